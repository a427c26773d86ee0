package jobs

import (
	"crypto/sha256"
	"errors"
	"net/url"

	"waybill/formats"
	"waybill/jobs/expression"
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

// address makes the key and the headers of a message. All its text stands together, so that it costs one allocation.
func (r *run) address(route *route, f *frame, d *draft) (err error) {
	p := &r.pending
	d.named = len(route.key) > 0
	from := len(p.text)
	r.hash.start(r.p.name, route.name)
	r.text = r.text[:0]
	if d.named {
		if err = r.key(route.key, f); err != nil {
			return err
		}
		sum := sha256.Sum256(p.bytes[d.body.from:d.body.to])
		r.hash.bytes(sum[:])
	} else {
		r.hash.text(r.in.Entry.Identity)
		r.hash.number(r.number)
	}
	if r.in.Anew {
		r.hash.number(int64(r.in.Entry.Run))
	}
	p.text = r.hash.appendUUID(p.text)
	d.key = spot{from, len(p.text)}
	if d.named {
		p.text = append(p.text, r.text...)
		p.spots = append(p.spots, spot{d.key.to, len(p.text)})
	}
	err = r.address2(route, f)
	d.end = len(p.text)
	return err
}

// key adds the parts of a key to the hash, and its text, parts separated by /, to r.text.
func (r *run) key(parts []*source, f *frame) (err error) {
	var nested hasher
	for i, s := range parts {
		if i > 0 {
			r.text = append(r.text, '/')
		}
		from := len(r.text)
		there := false
		if r.text, there, err = r.appendText(r.text, s, f); err != nil {
			return err
		}
		if !there || len(r.text) == from {
			return &fault{field: s.path, reason: "is empty: a key must say which message this is"}
		}
		if len(parts) == 1 {
			r.hash.bytes(r.text)
			return nil
		}
		nested.bytes(r.text[from:])
	}
	r.hash.bytes(nested.parts)
	return nil
}

// address2 appends the headers that vary.
func (r *run) address2(route *route, f *frame) (err error) {
	p := &r.pending
	for i := range route.headers {
		h := &route.headers[i]
		if h.constant {
			if h.name == ":name" {
				r.file = h.fixed
			}
			continue
		}
		from := len(p.text)
		if p.text, err = r.header(p.text, h, f); err != nil {
			return err
		}
		if h.name == ":name" && route.marked {
			r.file = string(p.text[from:])
		}
		p.spots = append(p.spots, spot{from, len(p.text)})
	}
	if len(route.query) > 0 {
		from := len(p.text)
		if p.text, err = r.query(p.text, route.query, f); err != nil {
			return err
		}
		p.spots = append(p.spots, spot{from, len(p.text)})
	}
	return nil
}

func (r *run) header(dst []byte, h *header, f *frame) ([]byte, error) {
	if h.value != nil {
		dst, _, err := r.appendText(dst, h.value, f)
		return dst, err
	}
	if h.name == ":marker" {
		r.beside["name"] = r.file
		defer delete(r.beside, "name") // elsewhere it may be a field
	}
	env, err := r.env(h.needs, f)
	if err != nil {
		return dst, err
	}
	return h.template.Append(dst, env)
}

func (r *run) query(dst []byte, list []header, f *frame) ([]byte, error) {
	for i := range list {
		text, there, err := r.appendText(r.text[:0], list[i].value, f)
		r.text = text[:0]
		if err != nil {
			return dst, err
		}
		if !there {
			continue
		}
		if len(dst) > 0 && i > 0 {
			dst = append(dst, '&')
		}
		dst = append(append(dst, list[i].name...), '=')
		dst = append(dst, url.QueryEscape(string(text))...)
	}
	return dst, nil
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
		return r.row2(d.route, body, cells)
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

// fill appends the headers of a route; piece gives those that vary, in order.
func (route *route) fill(list []outbox.Header, piece func() string) []outbox.Header {
	for i := range route.headers {
		h := &route.headers[i]
		if h.constant {
			list = append(list, outbox.Header{Name: h.name, Value: h.fixed})
		} else {
			list = append(list, outbox.Header{Name: h.name, Value: piece()})
		}
	}
	if len(route.query) > 0 {
		list = append(list, outbox.Header{Name: ":query", Value: piece()})
	}
	return list
}

var errAborted = errors.New("the file is given up")

// cells renders the columns of one row.
func (r *run) cells(route *route, f *frame) error {
	p := &r.pending
	for i := range route.columns {
		c := &route.columns[i]
		from := len(p.bytes)
		kind, err := r.cell(c, f)
		if err != nil {
			return err
		}
		p.cells = append(p.cells, cell{kind, spot{from, len(p.bytes)}})
	}
	return nil
}

// cell appends the text of a column to the pending bytes and returns its kind.
func (r *run) cell(c *column, f *frame) (kind formats.Kind, err error) {
	p := &r.pending
	if s := c.value; s.fixed || s.ref != nil && c.format == "" && !s.ref.field().nested() {
		there := false
		p.bytes, there, err = r.appendText(p.bytes, s, f)
		switch {
		case !there:
			return formats.Absent, err
		case s.fixed:
			return formats.Text, err
		}
		return kindOfCell(s.ref.field().kind), err
	}
	v, err := r.eval(c.value, f)
	if err != nil || v == nil {
		return formats.Absent, err
	}
	if c.format != "" {
		p.bytes, err = expression.Format(p.bytes, c.format, v)
		return formats.Text, err
	}
	switch v.(type) {
	case []any, map[string]any:
		p.bytes, err = expression.AppendJSON(p.bytes, v)
		return formats.Tree, err
	case int64, float64, expression.Decimal:
		kind = formats.Number
	case bool:
		kind = formats.Bool
	default:
		kind = formats.Text
	}
	p.bytes, err = expression.AppendText(p.bytes, v)
	return kind, err
}

func kindOfCell(k expression.Kind) formats.Kind {
	switch k {
	case expression.KindInteger, expression.KindDecimal, expression.KindNumber:
		return formats.Number
	case expression.KindBoolean:
		return formats.Bool
	}
	return formats.Text
}
