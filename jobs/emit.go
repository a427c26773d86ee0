package jobs

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"waybill/formats"
	"waybill/outbox"
)

// Bounds of what is rendered and not yet emitted.
const (
	mostPending  = 256      // records
	mostRendered = 1 << 20  // bytes
	mostInFlight = 3        // pendings of one run: one is filled, one waits, one is emitted
	partsKept    = 64 << 10 // bytes of what a key is made of that are kept for the next
)

// An emitter makes messages, with their keys, of pending records and emits them in order. A run that fills one pending gets a
// goroutine for it: hashing and copying take as long as reading and checking. It ends with abort, which must be called.
type emitter struct {
	p    *Plan
	in   *Input
	ctx  context.Context
	emit func(*Rendered) error

	sinks    []*sink           // by route
	heads    [][]formats.Value // by route: the header of its file, made before its first row is handed over
	tallies  []rowTotals       // by route
	prefixes [][]byte
	hash     hasher
	keys     []byte // UUIDs of a pending, as text
	headers  []outbox.Header
	rendered Rendered
	messages int64

	full   chan *pending // nil: without a goroutine
	free   chan *pending
	wg     sync.WaitGroup
	failed atomic.Pointer[failure]
}

// failure is what ended the goroutine of an emitter.
type failure struct {
	err   error
	panic any // of emit
	stack []byte
}

func newEmitter(ctx context.Context, p *Plan, in *Input, emit func(*Rendered) error) *emitter {
	e := &emitter{p: p, in: in, ctx: ctx, emit: emit, sinks: make([]*sink, len(p.routes)),
		heads: make([][]formats.Value, len(p.routes)), tallies: make([]rowTotals, len(p.routes)), prefixes: make([][]byte, len(p.routes))}
	for i, route := range p.routes {
		var h hasher
		h.start(in.Partner.Name, p.origin, route.origin)
		e.prefixes[i] = h.parts
	}
	return e
}

// take emits a full pending, on a goroutine of its own, and returns an empty one. An error may be that of an earlier one.
func (e *emitter) take(p *pending) (*pending, error) {
	if e.full == nil {
		e.full, e.free = make(chan *pending, mostInFlight), make(chan *pending, mostInFlight)
		for range mostInFlight - 1 {
			e.free <- &pending{}
		}
		e.wg.Go(e.run)
	}
	e.full <- p
	p = <-e.free
	if f := e.failed.Load(); f != nil {
		return p, f.err
	}
	return p, nil
}

// run is the goroutine. After a failure it only hands the pendings back.
func (e *emitter) run() {
	for p := range e.full {
		if e.failed.Load() == nil {
			if f := e.guarded(p); f != nil {
				e.failed.Store(f)
			}
		}
		p.reset()
		e.free <- p
	}
}

func (e *emitter) guarded(p *pending) (f *failure) {
	defer func() {
		if v := recover(); v != nil {
			f = &failure{err: fmt.Errorf("panic: %v", v), panic: v, stack: debug.Stack()}
		}
	}()
	if err := e.all(p); err != nil {
		return &failure{err: err}
	}
	return nil
}

// wait returns when the goroutine has emitted what it was given.
func (e *emitter) wait() {
	if e.full != nil {
		close(e.full)
		e.wg.Wait()
		e.full = nil
	}
}

// join waits, and returns what went wrong meanwhile. A panic of emit goes on in the caller.
func (e *emitter) join() error {
	e.wait()
	f := e.failed.Swap(nil)
	switch {
	case f == nil:
		return nil
	case f.panic != nil:
		panic(fmt.Sprintf("%v\n%s", f.panic, f.stack))
	}
	return f.err
}

// all emits the messages of pending records, and hands rows to files.
func (e *emitter) all(p *pending) error {
	e.keys = e.keys[:0]
	for i := range p.records {
		rec := &p.records[i]
		for j := rec.from; j < rec.to && !rec.dropped; j++ {
			if d := &p.messages[j]; e.p.routes[d.route].each == "record" {
				e.keys = e.key(e.keys, p, d, rec.number)
			}
		}
	}
	keys, text := string(e.keys), string(p.text) // once for all, as messages have strings
	for i := range p.records {
		rec := &p.records[i]
		for j := rec.from; j < rec.to && !rec.dropped; j++ {
			d := &p.messages[j]
			var err error
			if e.p.routes[d.route].each == "record" {
				err = e.message(p, d, rec.number, keys[:uuidLength], text)
				keys = keys[uuidLength:]
			} else {
				err = e.writeRow(p, d)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// key appends the text of a message's key.
func (e *emitter) key(dst []byte, p *pending, d *draft, record int64) []byte {
	h := &e.hash
	h.parts = append(h.parts[:0], e.prefixes[d.route]...)
	if d.named {
		h.bytes(p.text[d.key.from:d.key.to])
		h.bytes(p.bytes[d.body.from:d.body.to])
	} else {
		h.text(e.in.Entry.Identity)
		h.number(record)
	}
	if e.in.Anew {
		h.number(int64(e.in.Entry.Run))
	}
	if dst = h.appendUUID(dst); cap(h.parts) > partsKept {
		h.parts = nil
	}
	return dst
}

// message emits one message; text is that of the pending.
func (e *emitter) message(p *pending, d *draft, record int64, key, text string) error {
	route := e.p.routes[d.route]
	body := p.bytes[d.body.from:d.body.to:d.body.to]
	m := outbox.Message{Key: key, Body: body, Size: int64(len(body)), Record: record, Judge: route.judge}
	if d.named {
		m.Ref = text[d.ref.from:d.ref.to]
	}
	m.Headers = route.fill(e.headers[:0], text, p.spots[d.spots.from:d.spots.to])
	e.headers = m.Headers
	e.messages++
	e.rendered = Rendered{Route: d.route, Name: route.name, Message: m}
	return e.emit(&e.rendered)
}
