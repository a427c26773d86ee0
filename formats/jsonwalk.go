package formats

import (
	"errors"
	"fmt"
	"io"
)

const off = -1 // the walk is beside the path to the records

// refuse refuses the file at the i-th byte of the window.
func (k *jsonWalk) refuse(i int, limit, reason string) error {
	return k.w.refusal(k.w.offset(i), limit, reason)
}

// peek passes white space and returns the byte behind; io.EOF at the end of the text.
func (k *jsonWalk) peek() (byte, error) {
	for {
		data := k.w.data()
		for i, c := range data {
			if !isSpace(c) {
				k.w.start += i
				return c, nil
			}
		}
		k.w.start = k.w.end
		if !k.w.more() {
			if err := k.w.cause(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
	}
}

// must is peek where the text may not end.
func (k *jsonWalk) must() (byte, error) {
	c, err := k.peek()
	if errors.Is(err, io.EOF) {
		return 0, k.refuse(0, "", "the text ends inside a JSON value: truncated?")
	}
	return c, err
}

// whole reads one value that has to fit into memory and takes from it what n wants. The window keeps
// its bytes until it is asked for more.
func (k *jsonWalk) whole(n *node, cells []Cell, depth int, fresh bool) (value []byte, err error) {
	most := int(k.d.o.Limits.MaxRecord)
	for {
		if fresh {
			clear(cells)
		}
		data := k.w.data()
		k.p.reset(data, k.w.err == io.EOF)
		end := k.p.value(0, n, cells, depth)
		switch {
		case end > most || end < 0 && k.p.short && len(data) > most:
			return nil, k.refuse(0, "max_record", fmt.Sprintf("%s is longer than max_record, %s", k.subject(), k.d.o.Limits.MaxRecord))
		case end >= 0:
			k.w.start += end
			return data[:end:end], nil
		case !k.p.short:
			return nil, k.refuse(k.p.fail.at, k.p.fail.limit, k.where()+k.p.fail.reason)
		}
		if !k.w.more() {
			if err := k.w.cause(); err != nil {
				return nil, err
			}
		}
	}
}

func (k *jsonWalk) subject() string {
	if k.hit {
		return fmt.Sprintf("record %d", k.rec.Number)
	}
	return "a value"
}

func (k *jsonWalk) where() string {
	if k.hit && !k.late {
		return fmt.Sprintf("record %d: ", k.rec.Number)
	}
	return ""
}

// walk reads the value that is next. at counts the steps of the path to the records that lead here, or is off.
func (k *jsonWalk) walk(depth, at int, n *node) error {
	c, err := k.must()
	if err != nil {
		return err
	}
	onPath := at != off
	switch {
	case onPath && at == len(k.d.steps):
		return k.records(c, depth)
	case !onPath && n != nil && (len(n.leaves) > 0 || n.inner()):
		return k.take(n, depth)
	case c != '{' && c != '[':
		_, err := k.whole(nil, nil, depth, false)
		return err
	case depth > k.d.o.Limits.MaxDepth:
		return k.refuse(0, "max_depth", fmt.Sprintf("lists and objects are nested deeper than %d (max_depth)", k.d.o.Limits.MaxDepth))
	case c == '{':
		return k.members(depth, at, n)
	}
	return k.elements(depth, at, n)
}

// members walks over an object.
func (k *jsonWalk) members(depth, at int, n *node) error {
	k.w.start++
	names := map[string]struct{}{}
	before := k.held
	defer func() { k.held = before }()
	for first := true; ; first = false {
		more, err := k.another('}', first)
		if err != nil || !more {
			return err
		}
		name, err := k.name(names)
		if err != nil {
			return err
		}
		next := off
		if at != off && k.d.steps[at].at < 0 && k.d.steps[at].name == name {
			next = at + 1
		}
		if err := k.walk(depth+1, next, n.member([]byte(name))); err != nil {
			return err
		}
	}
}

// name reads a member's name and the colon.
func (k *jsonWalk) name(seen map[string]struct{}) (string, error) {
	c, err := k.must()
	if err != nil {
		return "", err
	}
	if c != '"' {
		return "", k.refuse(0, "", fmt.Sprintf("unexpected %s, there should be the name of a member, in quotes", shown(k.w.data())))
	}
	cell, from := [1]Cell{}, k.w.offset(0)
	if _, err := k.whole(&node{leaves: []leaf{{}}}, cell[:], 0, false); err != nil {
		return "", err
	}
	name := string(cell[0].Bytes)
	if _, twice := seen[name]; twice {
		return "", k.w.refusal(from, "", twiceReason(cell[0].Bytes))
	}
	const overhead = 64 // of a map's entry
	if k.held += len(name) + overhead; k.held > int(k.d.o.Limits.MaxRecord) {
		return "", k.refuse(0, "max_record", "the names of the members around the records take more than max_record, "+k.d.o.Limits.MaxRecord.String())
	}
	seen[name] = struct{}{}
	if c, err = k.must(); err != nil {
		return "", err
	}
	if c != ':' {
		return "", k.refuse(0, "", fmt.Sprintf("unexpected %s, there should be \":\"", shown(k.w.data())))
	}
	k.w.start++
	return name, nil
}

// elements walks over a list.
func (k *jsonWalk) elements(depth, at int, n *node) error {
	k.w.start++
	for i := 0; ; i++ {
		more, err := k.another(']', i == 0)
		if err != nil || !more {
			return err
		}
		next := off
		if at != off && k.d.steps[at].at == i {
			next = at + 1
		}
		if err := k.walk(depth+1, next, n.item(i)); err != nil {
			return err
		}
	}
}

// another passes the comma before the next item, or the bracket behind the last.
func (k *jsonWalk) another(closing byte, first bool) (bool, error) {
	c, err := k.must()
	switch {
	case err != nil:
		return false, err
	case c == closing:
		k.w.start++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, k.refuse(0, "", fmt.Sprintf("unexpected %s, there should be \",\" or \"%c\"", shown(k.w.data()), closing))
	}
	k.w.start++
	if c, err = k.must(); err == nil && c == closing {
		return false, k.refuse(0, "", "a comma before the end of a list or an object")
	}
	return true, err
}

// records reads what the path leads to.
func (k *jsonWalk) records(c byte, depth int) error {
	if k.yield == nil || c == 'n' { // looking for the values around them only; or null, for no records
		k.hit = true
		return k.walk(depth, off, nil)
	}
	if err := k.ahead(); err != nil {
		return err
	}
	defer func() { k.late = true }()
	if c != '[' {
		return k.record(k.d.plan, depth)
	}
	k.hit = true
	k.w.start++
	for first := true; ; first = false {
		more, err := k.another(']', first)
		if err != nil || !more {
			return err
		}
		if _, err := k.must(); err != nil {
			return err
		}
		if err := k.record(k.d.plan, depth+1); err != nil {
			return err
		}
	}
}

// record reads one record and hands it on.
func (k *jsonWalk) record(p *plan, depth int) error {
	k.hit = true
	k.rec.Number++
	last := k.rec.Offset
	k.rec.Offset = k.w.offset(0)
	k.rec.Line = k.w.lineAt(k.rec.Line, last)
	cells := k.cells[:p.slots]
	value, err := k.whole(p.top, cells, depth, true)
	if err != nil {
		return err
	}
	k.rec.Raw = nil
	if k.d.o.Raw {
		k.rec.Raw = value
	}
	if p == k.d.plan {
		for _, slot := range p.roots {
			cells[slot] = k.outer[slot]
		}
	}
	if bad := k.p.complaint(&k.rec, value, k.declared()); bad != nil {
		if !k.yield(nil, bad) {
			return errStopped
		}
		return nil
	}
	p.settle(cells)
	k.rec.Cells = cells[:p.width]
	if !k.yield(&k.rec, nil) {
		return errStopped
	}
	return nil
}

// declared tells whether fields are wanted, and not the record as it is.
func (k *jsonWalk) declared() bool { return len(k.d.plan.top.leaves) == 0 }
