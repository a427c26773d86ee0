package xlsx

import (
	"encoding/binary"
	"fmt"

	"waybill/formats/fault"
)

// sharedStrings are the texts that cells refer to by number. They stand one behind the other in blocks, so that
// a million of them cost little more than their bytes; how many bytes is bounded by max_strings.
type sharedStrings struct {
	blocks [][]byte
	refs   []uint32 // block<<stringBits | place, where the length stands before the text
	held   int64
	most   fault.Bytes
}

const (
	stringBits  = 18
	stringBlock = 1 << stringBits
)

// add keeps one more text.
func (t *sharedStrings) add(text []byte) bool {
	need := binary.MaxVarintLen64 + len(text)
	last := len(t.blocks) - 1
	if last < 0 || cap(t.blocks[last])-len(t.blocks[last]) < need {
		if len(t.blocks) == 1<<(32-stringBits) {
			return false
		}
		t.blocks = append(t.blocks, make([]byte, 0, max(stringBlock, need)))
		last++
	}
	b := t.blocks[last]
	t.refs = append(t.refs, uint32(last)<<stringBits|uint32(len(b)))
	t.blocks[last] = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	t.held += int64(len(text)) + 8
	return t.held <= int64(t.most)
}

// get is the n-th text, from 0.
func (t *sharedStrings) get(n uint64) ([]byte, bool) {
	if n >= uint64(len(t.refs)) {
		return nil, false
	}
	ref := t.refs[n]
	b := t.blocks[ref>>stringBits][ref&(stringBlock-1):]
	length, size := binary.Uvarint(b)
	return b[size : size+int(length)], true
}

// shared reads the texts when the first cell asks for one.
func (w *Book) shared() (*sharedStrings, error) {
	if w.table != nil {
		return w.table, nil
	}
	t := &sharedStrings{most: w.o.Limits.MaxStrings}
	if w.strings != "" && w.box.parts[w.strings] != nil {
		if err := w.readStrings(t); err != nil {
			return nil, err
		}
	}
	w.table = t
	return t, nil
}

func (w *Book) readStrings(t *sharedStrings) error {
	r, err := w.box.open(w.strings, w.o.Limits.MaxSheet, "max_sheet")
	if err != nil {
		return err
	}
	defer r.close()
	s := newPartScan(r, w.strings, int(w.o.Limits.MaxField))
	for {
		if _, err = s.next(); err != nil { // the root
			return err
		}
		if s.depth() == 1 {
			break
		}
	}
	var text []byte
	for s.depth() > 0 {
		k, err := s.next()
		if err != nil {
			return err
		}
		if k != partStart {
			continue
		}
		if string(s.name) != "si" {
			if err := s.skip(); err != nil {
				return err
			}
			continue
		}
		if text, err = richText(s, text[:0], w.o.Limits.MaxField); err != nil {
			return err
		}
		if !t.add(text) {
			return &fault.FileError{Offset: s.offset(), Limit: "max_strings",
				Reason: fmt.Sprintf("the texts of the workbook take more than max_strings, %s", t.most)}
		}
	}
	return s.Rest()
}

// richText appends the text of the element at hand: its t elements and those of its runs (r), not how to pronounce it (rPh).
func richText(s *partScan, dst []byte, most fault.Bytes) ([]byte, error) {
	from, depth := len(dst), s.depth()
	taking := 0 // depth of the t whose text is taken
	for {
		k, err := s.next()
		switch {
		case err != nil:
			return dst, err
		case k == partEnd:
			if s.depth() < depth {
				return unescape(dst, from), nil
			}
			if s.depth() < taking {
				taking = 0
			}
		case k == partText && taking > 0:
			var ok bool
			if dst, ok = appendText(dst, s.text, s.cdata); !ok {
				return dst, s.fail("a text holds what is no text of XML in UTF-8")
			}
			if len(dst)-from > int(most) {
				return dst, &fault.FileError{Offset: s.offset(), Limit: "max_field", Reason: fmt.Sprintf("%s: a text is longer than max_field, %s", s.part, most)}
			}
		case k == partStart && string(s.name) == "t":
			taking = s.depth()
		case k == partStart && string(s.name) != "r":
			if err := s.skip(); err != nil {
				return dst, err
			}
		}
	}
}
