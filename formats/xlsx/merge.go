package xlsx

import (
	"bytes"
	"errors"
	"io"
)

// A Merge is a rectangle of cells that show what its first one holds.
type Merge struct {
	Column, Last int
	Row, Bottom  int64
}

// Merges reads which cells of a sheet are merged, those that are to be kept, and no more of them than most.
func (w *Book) Merges(part string, most int, keep func(Merge) bool) ([]Merge, error) {
	p, err := w.box.open(part, w.o.Limits.MaxSheet, "max_sheet")
	if err != nil {
		return nil, err
	}
	defer p.close()
	s := newPartScan(p, part, int(w.o.Limits.MaxField))
	var found []Merge
	for {
		k, err := s.next()
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return nil, err
		case k == partStart && s.depth() == 2 && string(s.name) == "sheetData":
			err = s.skip()
		case k == partStart && string(s.name) == "mergeCell":
			if m, ok := mergeOf(s.attr("ref")); ok && len(found) < most && keep(m) {
				found = append(found, m)
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

func mergeOf(ref []byte) (m Merge, ok bool) {
	from, to, ok := bytes.Cut(ref, []byte(":"))
	if !ok {
		return m, false
	}
	if m.Column, m.Row, ok = SplitName(from); !ok {
		return m, false
	}
	m.Last, m.Bottom, ok = SplitName(to)
	return m, ok
}
