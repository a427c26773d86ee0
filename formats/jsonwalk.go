package formats

import (
	"errors"
	"fmt"
	"io"
)

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
	if k.inner {
		return fmt.Sprintf("record %d", k.rec.Number)
	}
	return "a value"
}

func (k *jsonWalk) where() string {
	if k.inner {
		return fmt.Sprintf("record %d: ", k.rec.Number)
	}
	return ""
}

// walk reads the value that is next. at is where the path to the records has come, nil beside it.
func (k *jsonWalk) walk(depth int, at *jsonRoute, n *node) error {
	c, err := k.must()
	if err != nil {
		return err
	}
	switch {
	case at != nil && at.part >= 0:
		return k.records(c, depth, at.part)
	case at == nil && n != nil && len(n.leaves) > 0:
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
func (k *jsonWalk) members(depth int, at *jsonRoute, n *node) error {
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
		if err := k.walk(depth+1, at.member(name), n.member([]byte(name))); err != nil {
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
func (k *jsonWalk) elements(depth int, at *jsonRoute, n *node) error {
	k.w.start++
	for i := 0; ; i++ {
		more, err := k.another(']', i == 0)
		if err != nil || !more {
			return err
		}
		if err := k.walk(depth+1, at.item(i), n.item(i)); err != nil {
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

// records reads what the path of a part leads to.
func (k *jsonWalk) records(c byte, depth, part int) error {
	k.hit = true
	if k.yield == nil || c == 'n' { // looking for the values around them only; or null, for no records
		return k.walk(depth, nil, nil)
	}
	if err := k.begin(); err != nil {
		return err
	}
	if c != '[' {
		return k.record(part, depth)
	}
	k.w.start++
	for first := true; ; first = false {
		more, err := k.another(']', first)
		if err != nil || !more {
			return err
		}
		if _, err := k.must(); err != nil {
			return err
		}
		if err := k.record(part, depth+1); err != nil {
			return err
		}
	}
}

// record reads one record and hands it on.
func (k *jsonWalk) record(part, depth int) error {
	p := k.d.plans[part]
	value, err := k.read(p, depth)
	if err != nil {
		return err
	}
	k.rec.Part = part
	if bad := k.p.complaint(&k.rec, value, len(k.d.parts[part].Wants) > 0); bad != nil {
		return k.hand(nil, bad)
	}
	k.around(p, k.cells)
	p.settle(k.cells)
	k.rec.Cells = k.cells[:p.width]
	return k.hand(&k.rec, nil)
}

// read reads a value that is a record.
func (k *jsonWalk) read(p *plan, depth int) (value []byte, err error) {
	k.hit, k.inner = true, true
	k.rec.Number++
	last := k.rec.Offset
	k.rec.Offset = k.w.offset(0)
	k.rec.Line = k.w.lineAt(k.rec.Line, last)
	if value, err = k.whole(p.top, k.cells[:p.slots], depth, true); err != nil {
		return nil, err
	}
	k.inner = false
	k.rec.Raw = nil
	if k.d.o.Raw {
		k.rec.Raw = value
	}
	return value, nil
}

func (k *jsonWalk) hand(rec *Record, err error) error {
	if !k.yield(rec, err) {
		return errStopped
	}
	return nil
}
