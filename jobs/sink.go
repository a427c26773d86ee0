package jobs

import (
	"errors"
	"io"
	"iter"
	"strconv"

	"waybill/formats"
	"waybill/outbox"
)

var errAborted = errors.New("the file is given up")

// sink writes the file of one route with `each: file` or `window`. The encoder pulls rows while the run pushes them, so it runs
// as a coroutine: resume lets it take one row.
type sink struct {
	out     Output
	row     []formats.Value
	resume  func() (struct{}, bool)
	stop    func()
	closing bool
	err     error
}

func newSink(e formats.Encoder, out Output) *sink {
	s := &sink{out: out}
	s.resume, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.err = e.Encode(out, func(take func([]formats.Value, error) bool) {
			for yield(struct{}{}) {
				if s.closing || !take(s.row, nil) {
					return
				}
			}
			take(nil, errAborted)
		})
	})
	s.resume() // to where the encoder wants its first row
	return s
}

// push hands one row to the encoder.
func (s *sink) push(row []formats.Value) error {
	s.row = row
	if _, wants := s.resume(); !wants && s.err != nil {
		return s.err
	}
	return nil
}

// end lets the encoder finish the file.
func (s *sink) end() error {
	s.closing = true
	s.resume()
	return s.err
}

// sink returns the file of a route, made when it is first needed.
func (r *run) sink(i int) (*sink, error) {
	if r.sinks[i] == nil {
		out, err := r.in.Files.Create(r.ctx)
		if err != nil {
			return nil, err
		}
		r.sinks[i] = newSink(r.p.routes[i].encoder, out)
	}
	return r.sinks[i], nil
}

// writeRow hands one record to the file of its route: its columns, or the whole of it as one JSON value.
func (r *run) writeRow(route int, body []byte, cells []cell) error {
	s, err := r.sink(route)
	if err != nil {
		return err
	}
	row := s.row[:0]
	for _, c := range cells {
		row = append(row, formats.Value{Kind: c.kind, Bytes: r.pending.bytes[c.from:c.to]})
	}
	if len(cells) == 0 {
		row = append(row, formats.Value{Kind: formats.Tree, Bytes: body})
	}
	return s.push(row)
}

// finish emits the messages that stand for the whole entry.
func (r *run) finish() error {
	r.number, r.line = 0, 0
	r.base.turn(nil, nil)
	for i, route := range r.p.routes {
		if route.each == "record" {
			continue
		}
		r.rendered = Rendered{Route: i, Name: route.name, Object: r.in.File.Object}
		size := r.in.File.Size
		switch {
		case route.encoder != nil:
			if r.sinks[i] == nil && !route.empty {
				continue
			}
			s, err := r.sink(i)
			if err == nil {
				err = s.end()
			}
			if err != nil {
				return err
			}
			if r.rendered.Object, size, err = s.close(r); err != nil {
				return err
			}
		case len(r.p.options.Unpack) > 0:
			var err error
			if r.rendered.Object, size, err = r.unpacked(); err != nil {
				return err
			}
		default:
			r.rendered.Original = true
		}
		if err := r.whole(i, size); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink) close(r *run) (object, size int64, err error) {
	out := s.out
	s.out = nil
	return out.Finish(r.ctx)
}

// unpacked writes the bytes of a packed file that is handed on as it is.
func (r *run) unpacked() (object, size int64, err error) {
	out, err := r.in.Files.Create(r.ctx)
	if err != nil {
		return 0, 0, err
	}
	if _, err := io.Copy(out, r.in.Blob.Reader); err != nil {
		return 0, 0, errors.Join(err, out.Abort())
	}
	return out.Finish(r.ctx)
}

// whole emits the message of a route for the whole entry.
func (r *run) whole(i int, size int64) error {
	route := r.p.routes[i]
	if route.when != nil && r.p.reader.none {
		if ok, err := r.truth(route.when, &r.base); err != nil || !ok {
			return err
		}
	}
	p := &r.pending
	var d draft
	p.text, p.spots = p.text[:0], p.spots[:0]
	if err := r.address(route, &r.base, &d); err != nil {
		return err
	}
	text, spots := string(p.text), p.spots
	m := outbox.Message{Key: text[d.key.from:d.key.to], Size: size, Judge: route.judge}
	m.Headers = route.fill(nil, func() string {
		s := spots[0]
		spots = spots[1:]
		return text[s.from:s.to]
	})
	r.messages++
	r.rendered.Message = m
	return r.emit(&r.rendered)
}

// abort gives up what was not finished.
func (r *run) abort() {
	for _, s := range r.sinks {
		if s == nil {
			continue
		}
		s.stop()
		if s.out != nil {
			_ = s.out.Abort() // nothing refers to it: the sweep takes what is left
		}
	}
}

func decimalText(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
