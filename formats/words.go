package formats

import "waybill/formats/fault"

func cut(b []byte) string { return fault.Cut(b) }

func counted(n int, noun string) string { return fault.Counted(n, noun) }

func meant(word string, candidates []string) string { return fault.Meant(word, candidates) }

func cutCharacter(b []byte) int { return fault.Partial(b) }
