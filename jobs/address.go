package jobs

import (
	"net/url"

	"waybill/outbox"
)

// address renders what the key and the headers of a message are made of.
func (r *run) address(route *route, f *frame, d *draft) (err error) {
	p := r.pending
	if d.named = len(route.key) > 0; d.named {
		if p.text, d.ref, d.key, err = r.key(p.text, route.key, f); err != nil {
			return err
		}
	}
	d.spots.from = len(p.spots)
	err = r.addressHeaders(route, f)
	d.spots.to = len(p.spots)
	return err
}

// key appends the text of a key, parts separated by /: that is ref. What is hashed is the same when there is one part; of several
// each is preceded by its length.
func (r *run) key(text []byte, parts []*source, f *frame) (_ []byte, ref, hashed spot, err error) {
	ref.from = len(text)
	var nested hasher
	for i, s := range parts {
		if i > 0 {
			text = append(text, '/')
		}
		from := len(text)
		there := false
		if text, there, err = r.appendText(text, s, f); err != nil {
			return text, ref, hashed, err
		}
		if !there || len(text) == from {
			return text, ref, hashed, &fault{field: s.path, reason: "is empty: a key must say which message this is"}
		}
		if len(parts) > 1 {
			nested.bytes(text[from:])
		}
	}
	ref.to = len(text)
	if len(parts) == 1 {
		return text, ref, ref, nil
	}
	text = append(text, nested.parts...)
	return text, ref, spot{ref.to, len(text)}, nil
}

// addressHeaders appends the headers that vary.
func (r *run) addressHeaders(route *route, f *frame) (err error) {
	p := r.pending
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

// fill appends the headers of a route; the places in text of those that vary are in order.
func (route *route) fill(list []outbox.Header, text string, spots []spot) []outbox.Header {
	next := func() string {
		s := spots[0]
		spots = spots[1:]
		return text[s.from:s.to]
	}
	for i := range route.headers {
		h := &route.headers[i]
		if h.constant {
			list = append(list, outbox.Header{Name: h.name, Value: h.fixed})
		} else {
			list = append(list, outbox.Header{Name: h.name, Value: next()})
		}
	}
	if len(route.query) > 0 {
		list = append(list, outbox.Header{Name: ":query", Value: next()})
	}
	return list
}
