package formats

import (
	"bufio"
	"fmt"
	"iter"
	"slices"
	"strings"
)

const (
	maxArchiveDepth = 2       // packings in each other
	ratioFrom       = 1 << 20 // unpacked bytes from which on the ratio counts: a small file may well be all blanks
)

// A packing is one way to pack bytes. It gives one file, or, for archives, one per member; a file is
// valid until the next step. It has to hold the limits itself, since it alone sees both sides.
type packing struct {
	name   string
	suffix string // of the file name, dropped with the packing
	unpack func(f packed, l Limits) iter.Seq2[packed, error]
}

// packings lists what can be unpacked. A new one is one line here.
func packings() []packing {
	return []packing{
		{"gzip", ".gz", one(gunzip)},
		{"zstd", ".zst", one(unzstd)},
		{"bzip2", ".bz2", one(bunzip2)},
	}
}

var laterPackings = []string{"zip", "tar", "pgp", "age"}

func packingNames() []string {
	var names []string
	for _, p := range packings() {
		names = append(names, p.name)
	}
	return names
}

// CheckUnpack tells what is wrong with the value of `unpack`.
func CheckUnpack(kinds []string) []Problem {
	var ps []Problem
	there := packingNames()
	for i, kind := range kinds {
		path := fmt.Sprintf("unpack[%d]", i)
		switch {
		case slices.Contains(there, kind):
		case slices.Contains(laterPackings, kind):
			ps = append(ps, Problem{path, fmt.Sprintf("%s is not unpacked yet: today there are %s", kind, strings.Join(there, ", "))})
		default:
			ps = append(ps, Problem{path, fmt.Sprintf("unknown packing %q%s: there are %s", kind, meant(kind, append(laterPackings, there...)), strings.Join(there, ", "))})
		}
	}
	if len(kinds) > maxArchiveDepth {
		ps = append(ps, Problem{"unpack", fmt.Sprintf("at most %d packings in each other (archive_depth)", maxArchiveDepth)})
	}
	return ps
}

// packed is a file in the middle of being unpacked. Used tells how many bytes of the outermost file, the one that somebody sent, it took to come so far:
// the ratio is that of the whole chain, so that a bomb gains nothing from being packed twice. It is nil of the outermost file.
type packed struct {
	Blob
	used func() int64
}

// Unpack undoes the packings, the outermost first. It yields each file inside: one for a stream. What is
// wrong with the packed bytes is an error here when it shows at once, else an error of the blob's reader.
func Unpack(b Blob, kinds []string, l Limits) iter.Seq2[Blob, error] {
	l = l.WithDefaults()
	return func(yield func(Blob, error) bool) {
		if ps := CheckUnpack(kinds); len(ps) > 0 {
			yield(Blob{}, &FileError{Offset: -1, Limit: "archive_depth", Reason: ps[0].String()})
			return
		}
		for f, err := range unpackAll(packed{Blob: b}, kinds, l) {
			if !yield(f.Blob, err) {
				return
			}
		}
	}
}

func unpackAll(f packed, kinds []string, l Limits) iter.Seq2[packed, error] {
	return func(yield func(packed, error) bool) {
		if len(kinds) == 0 {
			yield(f, nil)
			return
		}
		ps := packings()
		p := ps[slices.IndexFunc(ps, func(p packing) bool { return p.name == kinds[0] })]
		for inner, err := range p.unpack(f, l) {
			if err != nil {
				yield(packed{}, err)
				return
			}
			inner.Name = strings.TrimSuffix(inner.Name, p.suffix)
			for file, err := range unpackAll(inner, kinds[1:], l) {
				if !yield(file, err) || err != nil {
					return
				}
			}
		}
	}
}

// one is the packing of a single file: a stream.
func one(open func(f packed, l Limits) *stream) func(packed, Limits) iter.Seq2[packed, error] {
	return func(f packed, l Limits) iter.Seq2[packed, error] {
		return func(yield func(packed, error) bool) {
			s := open(f, l)
			yield(packed{Blob{Name: f.Name, Reader: s, Size: -1, Unpacked: true}, s.used}, nil)
		}
	}
}

// newStream begins a stream whose packed bytes are f.
func newStream(kind string, f packed, l Limits) *stream {
	from := f.Reader
	if !f.Unpacked {
		from = &capped{r: from, most: l.MaxFile}
	}
	s := &stream{kind: kind, packed: counter{r: from}, limits: l, used: f.used}
	s.buffer = bufio.NewReaderSize(&s.packed, 64<<10)
	if s.used == nil {
		s.used = s.offset
	}
	return s
}
