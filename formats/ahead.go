package formats

import (
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
)

// aheadFrom is the size of a file from which its records are decoded ahead: less is read before another core has begun.
const aheadFrom = 1 << 20

// A set holds records that were decoded ahead of who works them: 128, or fewer with 256 KiB, of which cells take more than texts.
const (
	aheadRecords = 128
	aheadBytes   = 256 << 10
	aheadKept    = 1 << 20 // bytes of a set that are kept for the next one
	aheadCell    = 56      // bytes of a cell
	aheadRow     = 24      // and of what points to a row of them
)

// ahead decodes on a goroutine of its own, so that reading a record and working it overlap. Records point into the window that they were read from,
// so each is copied, which takes a tenth of what reading it took. A sequence that ends early, or whose reader panics, ends the goroutine; if the
// decoder panics, that is a panic of who asked for its records.
func ahead(records iter.Seq2[*Record, error]) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		a := &aheads{full: make(chan *aheadSet, 2), free: make(chan *aheadSet, 3), done: make(chan struct{})}
		for range cap(a.free) {
			a.free <- &aheadSet{}
		}
		go a.decode(records)
		defer func() {
			close(a.done)
			for range a.full { // until it is closed, which is the last that the goroutine does
			}
		}()
		for set := range a.full {
			for i := range set.items {
				item := &set.items[i]
				rec := &item.rec
				if item.err != nil {
					rec = nil
				}
				if !yield(rec, item.err) {
					return
				}
			}
			a.free <- set
		}
		if a.broken != "" {
			panic(a.broken)
		}
	}
}

// aheads is what the two goroutines share. Sets go round: whoever has one owns it.
type aheads struct {
	full, free chan *aheadSet
	done       chan struct{} // closed: nobody wants more
	broken     string        // what the decoder panicked with and where, to be looked at when full is closed
}

func (a *aheads) decode(records iter.Seq2[*Record, error]) {
	defer close(a.full)
	defer func() {
		if v := recover(); v != nil {
			a.broken = fmt.Sprintf("%v\n%s", v, debug.Stack()) // that of who reads would not say where
		}
	}()
	set := <-a.free
	for rec, err := range records {
		set.add(rec, err)
		select {
		case <-a.done: // who reads may have stopped long before a set is full of records that are far apart
			return
		default:
		}
		if len(set.items) < aheadRecords && set.bytes < aheadBytes {
			continue
		}
		if !a.hand(set) {
			return
		}
		select {
		case set = <-a.free:
			set.reset()
		case <-a.done:
			return
		}
	}
	a.hand(set)
}

func (a *aheads) hand(set *aheadSet) bool {
	select {
	case a.full <- set:
		return true
	case <-a.done:
		return false
	}
}

// An aheadSet is some records and errors, with all that they point to.
type aheadSet struct {
	items []aheadItem
	bytes int
	texts arena[byte]
	cells arena[Cell]
	rows  arena[[]Cell]
}

type aheadItem struct {
	rec Record
	err error
}

func (s *aheadSet) reset() {
	if s.bytes > aheadKept { // grown for one long record
		*s = aheadSet{items: s.items}
	}
	s.items, s.bytes = s.items[:0], 0
	s.texts.reset()
	s.cells.reset()
	s.rows.reset()
}

func (s *aheadSet) add(rec *Record, err error) {
	if err != nil {
		var bad *RecordError
		if s.items = append(s.items, aheadItem{err: err}); errors.As(err, &bad) {
			s.bytes += len(bad.Raw)
		}
		return
	}
	s.items = append(s.items, aheadItem{rec: *rec})
	own := &s.items[len(s.items)-1].rec
	own.Cells = s.row(rec.Cells)
	own.Raw = s.text(rec.Raw)
}

func (s *aheadSet) row(cells []Cell) []Cell {
	own := s.cells.take(len(cells))
	s.bytes += len(cells) * aheadCell
	for i := range cells {
		c := &cells[i]
		own[i] = Cell{Kind: c.Kind, Bytes: s.text(c.Bytes)}
		if c.Rows != nil {
			rows := s.rows.take(len(c.Rows))
			s.bytes += len(rows) * aheadRow
			for k := range rows {
				rows[k] = s.row(c.Rows[k])
			}
			own[i].Rows = rows
		}
	}
	return own
}

func (s *aheadSet) text(b []byte) []byte {
	if b == nil {
		return nil
	}
	own := s.texts.take(len(b))
	copy(own, b)
	s.bytes += len(b)
	return own
}
