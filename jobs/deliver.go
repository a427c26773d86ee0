package jobs

import (
	"crypto/sha256"

	"waybill/formats"
)

// pending are rendered records on their way out, which go together: those of check.unique because their keys are looked up by the set,
// others because they are handed to another goroutine. What they hold stands by its place, so that it may grow.
type pending struct {
	records  []draftRecord
	messages []draft
	keys     []UniqueKey
	keyed    []int  // beside keys: the record
	bytes    []byte // bodies
	text     []byte // keys and headers
	cells    []cell // of rows for files
	spots    []spot // of headers that vary, in text
}

type draftRecord struct {
	number   int64
	line     int64
	from, to int  // of its messages
	dropped  bool // its key is known
}

// draft is a message, or a row of a file.
type draft struct {
	route int
	part  int  // of a row: which of the route's rows it is
	named bool // the job's own key is part of the message's
	body  spot // in bytes
	ref   spot // in text: the job's own key as a person reads it
	key   spot // in text: the same as it is hashed
	spots spot // headers that vary
	cells spot
}

type spot struct{ from, to int }

type cell struct {
	kind formats.Kind
	spot
}

func (p *pending) full() bool { return len(p.records) >= mostPending || p.weight() >= mostRendered }

func (p *pending) reset() {
	*p = pending{records: p.records[:0], messages: p.messages[:0], keys: p.keys[:0], keyed: p.keyed[:0], bytes: p.bytes[:0], text: p.text[:0],
		cells: p.cells[:0], spots: p.spots[:0]}
}

// work checks one whole record and renders its messages.
func (r *run) work(f *frame) error {
	if bad := r.check(f); len(bad) > 0 {
		r.reject(r.number, r.line, bad...)
		return nil
	}
	p := r.pending
	before := *p
	err := r.render(f)
	if u := r.p.unique; err == nil && u != nil && u.part == r.part {
		err = r.uniqueKey(f)
	}
	if err != nil {
		bytes, text := p.bytes[:len(before.bytes)], p.text[:len(before.text)] // they may have grown
		*p = before
		p.bytes, p.text = bytes, text
		r.reject(r.number, r.line, r.faultOf(err))
		return nil
	}
	p.records = append(p.records, draftRecord{number: r.number, line: r.line, from: len(before.messages), to: len(p.messages)})
	if !p.full() || r.holds() {
		return nil
	}
	return r.hand()
}

// hand hands over what is pending.
func (r *run) hand() (err error) {
	if err := r.ask(); err != nil {
		return err
	}
	r.pending, err = r.out.take(r.pending)
	return err
}

// check applies check.record.
func (r *run) check(f *frame) (bad []fault) {
	for i := range r.part.rules {
		rule := &r.part.rules[i]
		ok, err := r.truth(rule.that, f)
		switch {
		case err != nil:
			bad = append(bad, r.faultOf(err))
		case !ok:
			bad = append(bad, fault{reason: rule.say})
		}
	}
	return bad
}

func (r *run) render(f *frame) error {
	p := r.pending
	for _, i := range r.part.routes {
		route := r.p.routes[i]
		if route.each != "record" && route.encoder == nil {
			continue // the original bytes
		}
		if route.when != nil {
			if ok, err := r.truth(route.when, f); err != nil {
				return err
			} else if !ok {
				continue
			}
		}
		if route.each != "record" {
			if err := r.fileRows(i, f); err != nil {
				return err
			}
			continue
		}
		d, there := draft{route: i}, true
		var err error
		if route.encoder != nil {
			d.body, there, err = r.document(i, f)
		} else {
			d.body, err = r.body(route, f)
		}
		if err == nil && there {
			err = r.address(route, f, &d)
		}
		if err != nil {
			return err
		}
		if there {
			p.messages = append(p.messages, d)
		}
	}
	return nil
}

func (r *run) body(route *route, f *frame) (spot, error) {
	p := r.pending
	from := len(p.bytes)
	var err error
	if route.shaper == nil {
		if p.bytes, err = r.tree(p.bytes, route, f); err == nil && len(p.bytes) == from {
			err = errNoBody
		}
		return spot{from, len(p.bytes)}, err
	}
	if r.json, err = r.tree(r.json[:0], route, f); err == nil {
		p.bytes, err = route.shaper.Append(p.bytes, orNull(r.json))
	}
	return spot{from, len(p.bytes)}, err
}

// tree appends the body as JSON.
func (r *run) tree(dst []byte, route *route, f *frame) (_ []byte, err error) {
	switch {
	case !route.plain:
		return r.one(dst, route.body, f, route.null)
	case route.open:
		return r.openJSON(dst)
	}
	return appendRow(dst, f.fields, f.row, route.null), nil
}

// one appends the one value that a program makes, nothing when it is absent.
func (r *run) one(dst []byte, program []instruction, f *frame, null bool) ([]byte, error) {
	from := len(dst)
	r.brim = from + r.room
	dst, err := r.execute(dst, program, f, null)
	return dst[:max(from, len(dst)-1)], err // without the comma
}

// errNoBody is of a body that is one value or one list, which the record lacks.
var errNoBody = &fault{field: "body", reason: "has no value here, and an empty message is no JSON: give it one with ??, or leave such records out with when"}

func orNull(json []byte) []byte {
	if len(json) == 0 {
		return append(json, "null"...)
	}
	return json
}

func (r *run) uniqueKey(f *frame) error {
	text, _, key, err := r.key(r.text[:0], r.p.unique.key, f)
	r.text = text
	if err != nil {
		return err
	}
	r.hash.start(r.in.Partner.Name, r.p.origin, "")
	r.hash.bytes(text[key.from:key.to])
	sum := r.hash.sum()
	k := UniqueKey{Key: [16]byte(sum[:16]), Record: r.number}
	if f.fields == nil {
		r.text, err = r.openJSON(r.text[:0])
	} else {
		r.text = appendRow(r.text[:0], f.fields, f.row, false)
	}
	sum = sha256.Sum256(r.text)
	k.Digest = [16]byte(sum[:16])
	r.pending.keys = append(r.pending.keys, k)
	r.pending.keyed = append(r.pending.keyed, len(r.pending.records))
	return err
}

// flush emits what is pending, once all records are read.
func (r *run) flush() error {
	if err := r.ask(); err != nil {
		return err
	}
	if r.out.full == nil {
		return r.out.all(r.pending)
	}
	if _, err := r.out.take(r.pending); err != nil {
		return err
	}
	return r.out.join()
}

// ask asks whether keys are new, and drops what is not to be sent.
func (r *run) ask() error {
	p := r.pending
	if len(p.keys) > 0 && r.in.Unique != nil {
		if err := r.in.Unique(r.ctx, p.keys); err != nil {
			return err
		}
	}
	for i := range p.keys {
		rec := &p.records[p.keyed[i]]
		rec.dropped = !r.isNew(&p.keys[i], rec)
	}
	if r.rejects.over() {
		p.reset()
	}
	return nil
}

// isNew applies check.unique to one record; false: it is not to be sent.
func (r *run) isNew(k *UniqueKey, rec *draftRecord) bool {
	action, what := "", "another content"
	switch k.Found {
	case NotFound:
		return true
	case FoundSame:
		action, what = r.p.unique.same, "the same content"
	case FoundOther:
		action = r.p.unique.other
	}
	switch action {
	case "skip":
		r.skipped++
		r.known++
		return false
	case "reject":
		r.reject(rec.number, rec.line, fault{field: "", reason: "its key was there before, with " + what + where(k)})
		return false
	}
	return true
}

func where(k *UniqueKey) string {
	if k.Entry == 0 {
		return ""
	}
	return " (#" + string(decimalText(k.Entry)) + ")"
}
