package jobs

import (
	"context"
	"errors"
	"io"
	"iter"
	"strconv"

	"waybill/formats"
	"waybill/outbox"
)

var errAborted = errors.New("the file is given up")

// Files makes the files of routes with one message for all records.
type Files interface {
	Create(ctx context.Context) (Output, error)
}

// An Output is a file being written. Exactly one of Finish and Abort is called, once.
type Output interface {
	Write(p []byte) (int, error)
	// Finish makes the file durable and returns the spool object that holds it, and its size in bytes.
	Finish(ctx context.Context) (object, size int64, err error)
	Abort() error
}

// sink writes the file of one route with `each: file` or `window`. The encoder pulls rows while the run pushes them, so it runs
// as a coroutine: resume lets it take one row.
type sink struct {
	out     Output
	row     formats.Row
	resume  func() (struct{}, bool)
	stop    func()
	closing bool
	err     error
}

func newSink(e formats.PartsEncoder, out Output) *sink {
	s := &sink{out: out}
	s.resume, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.err = e.EncodeParts(out, func(take func(formats.Row, error) bool) {
			for yield(struct{}{}) {
				if s.closing || !take(s.row, nil) {
					return
				}
			}
			take(formats.Row{}, errAborted)
		})
	})
	s.resume() // to where the encoder wants its first row
	return s
}

// push hands one row to the encoder.
func (s *sink) push(row formats.Row) error {
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
func (e *emitter) sink(i int) (*sink, error) {
	if e.sinks[i] == nil {
		out, err := e.in.Files.Create(e.ctx)
		if err != nil {
			return nil, err
		}
		e.sinks[i] = newSink(e.p.routes[i].encoder, out)
		if head := e.p.routes[i].head; head != nil {
			if err := e.sinks[i].push(formats.Row{Part: head.part, Values: e.heads[i]}); err != nil {
				return nil, err
			}
		}
	}
	return e.sinks[i], nil
}

// writeRow hands one record to the file of its route: its columns, or the whole of it as one JSON value.
func (e *emitter) writeRow(p *pending, d *draft) error {
	s, err := e.sink(d.route)
	if err != nil {
		return err
	}
	route := e.p.routes[d.route]
	w := &route.rows[d.part]
	row := s.row.Values[:0]
	shown := w.shown
	if shown == 0 {
		kind := formats.Verbatim
		if e.in.Rows != nil && route.shaper == nil {
			kind = formats.Tree // a database's JSON may have line ends, and its texts are what they are
		}
		row = append(row, formats.Value{Kind: kind, Bytes: p.bytes[d.body.from:d.body.to]})
		shown = 1
	}
	from := len(row)
	for _, c := range p.cells[d.cells.from:d.cells.to] {
		row = append(row, formats.Value{Kind: c.kind, Bytes: p.bytes[c.from:c.to]})
	}
	e.tallies[d.route].add(route.totals, w, row[from:])
	return s.push(formats.Row{Part: w.part, Values: row[:shown]})
}

// finish emits the messages that stand for the whole entry.
func (r *run) finish() error {
	if r.around.header == nil && r.p.reader.around(formats.Header) != nil {
		return nil // a file with nothing in it: what it would be called may stand in the header
	}
	r.number, r.line = 0, 0
	r.base.turn(nil, nil)
	if err := r.ofFile(); err != nil {
		return err
	}
	for i, route := range r.p.routes {
		if route.each == "record" {
			continue
		}
		whole := Rendered{Route: i, Name: route.name, Object: r.in.File.Object}
		size := r.in.File.Size
		switch {
		case route.encoder != nil:
			if r.out.sinks[i] == nil && !route.empty {
				continue
			}
			if r.head(i); r.held != "" || r.rejects.whole != nil {
				return errWhole
			}
			s, err := r.out.sink(i)
			if err == nil {
				err = r.tail(i, s)
			}
			if err == nil {
				err = s.end()
			}
			if err != nil {
				return err
			}
			if whole.Object, size, err = s.close(r); err != nil {
				return err
			}
		case r.in.File.Parent == 0 && r.p.unpacker.Packed():
			var err error
			if whole.Object, size, err = r.unpacked(); err != nil {
				return err
			}
		default:
			whole.Original = true
		}
		if err := r.ofAll(&whole, size); err != nil {
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

// ofAll emits the message of a route for the whole entry.
func (r *run) ofAll(w *Rendered, size int64) error {
	route := r.p.routes[w.Route]
	if route.when != nil && r.p.reader.none {
		if ok, err := r.truth(route.when, r.base); err != nil || !ok {
			return err
		}
	}
	p := r.pending
	p.reset()
	d := draft{route: w.Route}
	if err := r.address(route, r.base, &d); err != nil {
		return err
	}
	w.Message = outbox.Message{Key: string(r.out.key(nil, p, &d, 0)), Size: size, Judge: route.judge}
	w.Message.Headers = route.fill(nil, string(p.text), p.spots)
	r.out.messages++
	return r.emit(w)
}

// abort gives up what was not finished.
func (e *emitter) abort() {
	e.wait()
	for _, s := range e.sinks {
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
