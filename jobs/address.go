package jobs

import (
	"crypto/sha256"
	"net/url"

	"waybill/outbox"
)

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
	err = r.addressHeaders(route, f)
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

// addressHeaders appends the headers that vary.
func (r *run) addressHeaders(route *route, f *frame) (err error) {
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
