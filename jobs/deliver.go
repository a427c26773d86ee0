package jobs

import (
	"crypto/sha256"

	"waybill/formats"
	"waybill/outbox"
)

// pending are rendered records that wait for the answer whether their keys are new. Without check.unique they wait
// for their own other routes only.
type pending struct {
	records  []draftRecord
	messages []draft
	keys     []UniqueKey
	bytes    []byte // bodies
	text     []byte // keys and headers
	cells    []cell // of rows for files
	spots    []spot // of headers, in text
}

type draftRecord struct {
	number, line int64
	messages     int // index behind its last
}

// draft is a message, or a row of a file, by its place in pending.
type draft struct {
	route int
	body  spot
	key   spot // UUID, and behind it in the same text what the headers say
	end   int  // of that text
	named bool // the job's own key follows
	spots int  // index behind its last
	cells int
}

type spot struct{ from, to int }

type cell struct {
	kind formats.Kind
	spot
}

const mostPending = 256

// work checks one whole record and renders its messages.
func (r *run) work(f *frame) error {
	if bad := r.check(f); len(bad) > 0 {
		r.reject(r.number, r.line, bad...)
		return nil
	}
	p := &r.pending
	messages, bytes, text, cells, spots := len(p.messages), len(p.bytes), len(p.text), len(p.cells), len(p.spots)
	err := r.render(f)
	if err == nil && r.p.unique != nil {
		err = r.uniqueKey(f)
	}
	if err != nil {
		p.messages, p.bytes, p.text, p.cells, p.spots = p.messages[:messages], p.bytes[:bytes], p.text[:text], p.cells[:cells], p.spots[:spots]
		r.reject(r.number, r.line, faultOf(err))
		return nil
	}
	p.records = append(p.records, draftRecord{r.number, r.line, len(p.messages)})
	if r.p.unique == nil || len(p.records) >= mostPending || len(p.bytes) > mostGroup {
		return r.flush()
	}
	return nil
}

// check applies check.record.
func (r *run) check(f *frame) (bad []fault) {
	for i := range r.p.rules {
		rule := &r.p.rules[i]
		ok, err := r.truth(rule.that, f)
		switch {
		case err != nil:
			bad = append(bad, faultOf(err))
		case !ok:
			bad = append(bad, fault{reason: rule.say})
		}
	}
	return bad
}

func (r *run) render(f *frame) error {
	for i, route := range r.p.routes {
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
		d := draft{route: i}
		var err error
		if len(route.columns) > 0 {
			err = r.cells(route, f)
		} else {
			d.body, err = r.body(route, f)
		}
		if err == nil && route.each == "record" {
			err = r.address(route, f, &d)
		}
		if err != nil {
			return err
		}
		d.spots, d.cells = len(r.pending.spots), len(r.pending.cells)
		r.pending.messages = append(r.pending.messages, d)
	}
	return nil
}

func (r *run) body(route *route, f *frame) (spot, error) {
	p := &r.pending
	from := len(p.bytes)
	var err error
	switch {
	case !route.plain:
		p.bytes, err = r.execute(p.bytes, route.body, f, route.null)
		if err == nil && len(p.bytes) > from {
			p.bytes = p.bytes[:len(p.bytes)-1] // the comma
		}
	case route.open:
		p.bytes, err = r.openJSON(p.bytes)
	default:
		p.bytes = appendRow(p.bytes, f.fields, f.row, route.null)
	}
	return spot{from, len(p.bytes)}, err
}

func (r *run) uniqueKey(f *frame) error {
	r.hash.start(r.p.name, "")
	r.text = r.text[:0]
	if err := r.key(r.p.unique.key, f); err != nil {
		return err
	}
	sum := r.hash.sum()
	k := UniqueKey{Key: [16]byte(sum[:16]), Record: r.number}
	var err error
	if f.fields == nil {
		r.text, err = r.openJSON(r.text[:0])
	} else {
		r.text = appendRow(r.text[:0], f.fields, f.row, false)
	}
	sum = sha256.Sum256(r.text)
	k.Digest = [16]byte(sum[:16])
	r.pending.keys = append(r.pending.keys, k)
	return err
}

// flush asks whether keys are new and emits what is pending.
func (r *run) flush() error {
	p := &r.pending
	if len(p.records) == 0 {
		return nil
	}
	if len(p.keys) > 0 && r.in.Unique != nil {
		if err := r.in.Unique(r.ctx, p.keys); err != nil {
			return err
		}
	}
	at := cursor{}
	for i, rec := range p.records {
		out := true
		if len(p.keys) > 0 {
			out = r.isNew(&p.keys[i], rec)
		}
		for ; at.message < rec.messages; at.message++ {
			if err := r.send(&at, rec, out && !r.rejects.over()); err != nil {
				return err
			}
		}
	}
	p.records, p.messages, p.keys = p.records[:0], p.messages[:0], p.keys[:0]
	p.bytes, p.text, p.cells, p.spots = p.bytes[:0], p.text[:0], p.cells[:0], p.spots[:0]
	return nil
}

// isNew applies check.unique to one record; false: it is not to be sent.
func (r *run) isNew(k *UniqueKey, rec draftRecord) bool {
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

// cursor walks over what is pending.
type cursor struct{ message, spot, cell int }

// send emits one message, or hands one row to a file.
func (r *run) send(at *cursor, rec draftRecord, out bool) error {
	p := &r.pending
	d := &p.messages[at.message]
	spots, cells := p.spots[at.spot:d.spots], p.cells[at.cell:d.cells]
	at.spot, at.cell = d.spots, d.cells
	if !out {
		return nil
	}
	route := r.p.routes[d.route]
	body := p.bytes[d.body.from:d.body.to:d.body.to]
	if route.each != "record" {
		return r.writeRow(d.route, body, cells)
	}
	text := string(p.text[d.key.from:d.end])
	m := outbox.Message{Key: text[:d.key.to-d.key.from], Headers: r.headers[:0], Body: body, Size: int64(len(body)), Record: rec.number, Judge: route.judge}
	piece := func() string {
		s := text[spots[0].from-d.key.from : spots[0].to-d.key.from]
		spots = spots[1:]
		return s
	}
	if d.named {
		m.Ref = piece()
	}
	m.Headers = route.fill(m.Headers, piece)
	r.headers = m.Headers
	r.messages++
	r.rendered = Rendered{Route: d.route, Name: route.name, Message: m}
	return r.emit(&r.rendered)
}
