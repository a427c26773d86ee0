package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"
)

// xmlWalk is the state of reading one document.
type xmlWalk struct {
	d     *xmlDecoder
	w     *window
	p     *xmlParser
	blob  Blob
	yield func(*Record, error) bool // nil: only the values outside the records are looked for
	rec   Record

	header xmlTree // what is kept of the document around the records
	tree   xmlTree // and of the record
	taker  xmlTaker
	cells  []Cell
	outer  []Cell   // values that start at the document, by slot
	late   bool     // the records have begun
	known  bool     // all values around the records that there are have been seen
	found  bool     // there were records, or what would hold them
	seen   int      // size of header when it was last looked at
	side   Record   // header, trailer
	body   *xmlBody // whose record is read
	root   string   // name of the root element
}

// document reads the whole text.
func (k *xmlWalk) document() error {
	k.header.reset()
	k.p.tree = &k.header
	k.taker.most = k.d.o.Limits.MaxCells
	if err := k.declaration(); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // nothing in it: no records
		}
		return err
	}
	for {
		err := k.next()
		switch {
		case errors.Is(err, io.EOF):
			return k.finish()
		case err != nil:
			return err
		}
	}
}

// finish sees that the document was one, and that nothing was missed.
func (k *xmlWalk) finish() error {
	switch {
	case len(k.p.open) > 0:
		return k.refuse(0, "", fmt.Sprintf("the text ends inside the element <%s>: truncated?", cut(k.p.nameOf(len(k.p.open)-1))))
	case k.root == "":
		return k.refuse(0, "", "there is no root element")
	case !k.found:
		var paths []string
		for _, b := range k.d.bodies {
			paths = append(paths, pathOf(b.steps))
		}
		return &FileError{Offset: -1, Reason: fmt.Sprintf("records: there is no %s in the document, whose root element is <%s>", strings.Join(paths, " and no "), cut([]byte(k.root)))}
	case k.yield == nil:
		return nil
	case k.late && !k.known:
		for slot, o := range k.d.plan.outer[:k.d.plan.early] {
			if k.outer[slot].Kind == Absent && k.around(slot).Kind != Absent {
				return k.refuse(0, "", fmt.Sprintf("field %s%s: %s stands behind the records; in a file that can only be read once it must stand before them", o.part, o.want.name, o.path))
			}
		}
	}
	return k.end()
}

func (k *xmlWalk) around(slot int) Cell {
	o := k.d.plan.outer[slot]
	return k.taker.cell(&k.header, 0, o.want, o.path)
}

// fill has text in the window; io.EOF at its end.
func (k *xmlWalk) fill() error {
	for len(k.w.data()) == 0 {
		if !k.w.more() {
			if err := k.w.cause(); err != nil {
				return err
			}
			return io.EOF
		}
	}
	return nil
}

// again is called when the parser could not go on: it gets more text, or tells what is wrong.
func (k *xmlWalk) again() error {
	if !k.p.short {
		return k.refuse(k.p.fail.at, k.p.fail.limit, k.where()+k.p.fail.reason)
	}
	if len(k.w.data()) > int(k.d.o.Limits.MaxRecord) {
		what := "a tag"
		if k.p.tree == &k.tree {
			what = fmt.Sprintf("record %d", k.rec.Number)
		}
		return k.refuse(0, "max_record", fmt.Sprintf("%s is longer than max_record, %s", what, k.d.o.Limits.MaxRecord))
	}
	if !k.w.more() {
		return k.w.cause()
	}
	return nil
}

func (k *xmlWalk) where() string {
	if k.p.tree == &k.tree {
		return fmt.Sprintf("record %d: ", k.rec.Number)
	}
	return ""
}

func (k *xmlWalk) refuse(i int, limit, reason string) error {
	return k.w.refusal(k.w.offset(i), limit, reason)
}

// declaration reads the XML declaration, which stands at the very start if there is one.
func (k *xmlWalk) declaration() error {
	for {
		if err := k.fill(); err != nil {
			return err
		}
		k.p.reset(k.w.data(), k.w.err == io.EOF)
		i := k.p.declaration()
		if i >= 0 {
			k.w.start += i
			return k.blank()
		}
		if err := k.again(); err != nil {
			return err
		}
	}
}

// blank tells a file of white space alone, which is as good as empty, by io.EOF.
func (k *xmlWalk) blank() error {
	if k.w.offset(0) > 3 { // behind a declaration there must be a document
		return nil
	}
	for {
		if err := k.fill(); err != nil {
			return err
		}
		if len(bytes.TrimLeft(k.w.data(), " \t\r\n")) > 0 || len(k.w.data()) > int(k.d.o.Limits.MaxField) {
			return nil
		}
		if !k.w.more() {
			if err := k.w.cause(); err != nil {
				return err
			}
			return io.EOF
		}
	}
}

// next reads what is next outside the records, or a record.
func (k *xmlWalk) next() error {
	if err := k.fill(); err != nil {
		return err
	}
	for {
		k.p.reset(k.w.data(), k.w.err == io.EOF)
		k.p.arena.reset()
		i := k.outside()
		if i < 0 {
			if err := k.again(); err != nil {
				return err
			}
			continue
		}
		if body := k.hit(); body >= 0 && k.yield != nil {
			return k.record(body, i)
		}
		if k.p.empty {
			k.p.pop()
		}
		k.p.empty = false
		if k.header.bytes > int(k.d.o.Limits.MaxRecord) {
			return k.refuse(0, "max_record", "the fields around the records take more than max_record, "+k.d.o.Limits.MaxRecord.String())
		}
		k.w.start += i
		if k.enough() {
			return errStopped // the rest is for the other reading
		}
		return nil
	}
}

// outside reads one piece; of a start tag the element is left open, so that it can be looked at.
func (k *xmlWalk) outside() int {
	p, n := k.p, len(k.p.open)
	if buf := p.buf; buf[0] != '<' || len(buf) > 1 && (buf[1] == '/' || buf[1] == '!' || buf[1] == '?') {
		return p.step(0)
	} else if len(buf) == 1 {
		return p.end(0, "a tag")
	}
	if n == 0 && k.root != "" {
		return p.failAt(0, "a second root element")
	}
	i := p.start(0)
	if i < 0 {
		return -1
	}
	o := &p.open[n]
	name := p.nameOf(n)
	if n == 0 {
		k.root = string(name)
	}
	o.ways = k.along(n, o, name[o.local:])
	return i
}

// along finds the kinds of records whose paths lead to an element.
func (k *xmlWalk) along(n int, o *xmlOpen, local []byte) (ways uint32) {
	above := uint32(1)<<len(k.d.bodies) - 1
	if n > 0 {
		above = k.p.open[n-1].ways
	}
	for ; above != 0; above &= above - 1 {
		i := bits.TrailingZeros32(above)
		steps := k.d.bodies[i].steps
		if n >= len(steps) {
			continue
		}
		st := &steps[n]
		if st.id != anyName && st.local != string(local) || st.space != anyName && st.space != o.space {
			continue
		}
		ways |= 1 << i
		k.found = k.found || n+1 >= max(1, len(steps)-1)
	}
	return ways
}
