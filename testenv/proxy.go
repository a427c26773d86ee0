package testenv

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// EveryCut reports whether tests that cut connections do so at all places, and not only at some of them: WAYBILL_CUTS=all.
func EveryCut() bool { return os.Getenv("WAYBILL_CUTS") == "all" }

// A Proxy passes bytes on to a server until it is told not to. Directions are 0, to the server, and 1, from it.
type Proxy struct {
	to string
	l  net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	cut   [2]int64
	last  bool          // the connection after which none is taken
	shut  bool          // none is taken
	stall chan struct{} // closed: nothing passes any more, and nobody is told
	count [2]atomic.Int64
}

// NewProxy starts one for the server at an address. It ends with the test.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start a proxy: %v", err)
	}
	p := &Proxy{to: to, l: l, stall: make(chan struct{})}
	p.wg.Go(func() {
		for {
			c, err := p.l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.pass(c) })
		}
	})
	t.Cleanup(func() {
		_ = p.l.Close()
		p.Kick()
		p.wg.Wait()
	})
	return p
}

// Addr is where it listens, host:port.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Kick ends the connections there are. New ones are taken.
func (p *Proxy) Kick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = false
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// CutNext ends the next connection, and no other, after so many bytes have passed in a direction.
func (p *Proxy) CutNext(direction int, after int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.last = [2]int64{}, false
	p.cut[direction] = after
}

// CutLast is CutNext, and no connection is taken after that one until Kick.
func (p *Proxy) CutLast(direction int, after int64) {
	p.CutNext(direction, after)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = true
}

// Stall swallows all that comes from now on, without a word to either side, until the returned function is called; then
// the connections end.
func (p *Proxy) Stall() (resume func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.stall)
	return func() {
		p.mu.Lock()
		p.stall = make(chan struct{})
		p.mu.Unlock()
		p.Kick()
	}
}

// Passed is how many bytes have passed in each direction on the last connection.
func (p *Proxy) Passed() [2]int64 { return [2]int64{p.count[0].Load(), p.count[1].Load()} }

func (p *Proxy) pass(c net.Conn) {
	s, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	if p.shut {
		p.mu.Unlock()
		_, _ = c.Close(), s.Close()
		return
	}
	p.conns = append(p.conns, c, s)
	cut, stall := p.cut, p.stall
	p.cut, p.shut, p.last = [2]int64{}, p.last, false
	p.count[0].Store(0)
	p.count[1].Store(0)
	p.mu.Unlock()
	p.wg.Go(func() { p.copy(s, c, cut[0], &p.count[0], stall) })
	p.wg.Go(func() { p.copy(c, s, cut[1], &p.count[1], stall) })
}

// copy passes bytes on until limit of them have passed; 0 is no limit.
func (p *Proxy) copy(to, from net.Conn, limit int64, count *atomic.Int64, stall chan struct{}) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 16<<10)
	for sent := int64(0); ; {
		n, err := from.Read(buf)
		if limit > 0 && sent+int64(n) >= limit {
			count.Add(limit - sent)
			_, _ = to.Write(buf[:limit-sent])
			return
		}
		select {
		case <-stall:
			n = 0 // swallowed
		default:
		}
		if n > 0 {
			sent += int64(n)
			count.Add(int64(n))
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
