package crash_test

import (
	"fmt"
	"testing"
	"time"
)

// TestKilledAtAnyMoment kills the daemon again and again while files keep coming and the receiver turns a request in
// a hundred away.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	chance := seeded(t)
	l := newLandscape(t)
	l.out.fail = func(n int) bool { return n%97 == 0 }
	l.out.Start()
	l.due()
	l.usual()
	files := 0
	drop := func() { // what comes in one go
		for range 1 + chance.IntN(3) {
			name := fmt.Sprintf("more%d", files)
			switch files++; chance.IntN(12) {
			case 0:
				l.event(name, 1+chance.IntN(5), 1+chance.IntN(9000))
			case 1:
				l.wrong(name)
			case 2:
				l.order(name, 200+chance.IntN(1000), chance.IntN(80))
			default:
				l.order(name, 1+chance.IntN(30), chance.IntN(80))
			}
		}
		l.partner()
	}
	for life := range dose(t, 20) {
		p := l.serve("")
		if life%2 == 1 { // every other process lives until it delivers, however busy the machine is; the others may die as they start
			taken := l.out.taken()
			l.order(fmt.Sprintf("life%d", life), 30, 0)
			p.until(func() bool { return p.over() || l.out.taken() > taken })
		}
		death := time.NewTimer(time.Duration(20+chance.IntN(400)) * time.Millisecond)
		for alive := true; alive; {
			drop()
			next := time.NewTimer(time.Duration(20+chance.IntN(150)) * time.Millisecond)
			select {
			case <-death.C:
				alive = false
			case <-next.C:
			case <-p.exited:
				t.Fatalf("the daemon ended by itself:\n%s", p.tail())
			}
			next.Stop()
		}
		p.kill()
		l.kills++
		if !eventually(patience, l.out.quiet) {
			t.Fatal("the receiver still talks to a dead process")
		}
	}
	l.round()
	_, repeats := l.check()
	t.Logf("%d kills, %d files, %d messages, %d of them repeated, of %d that might have been", l.kills, files, len(l.want), repeats, l.feared)
	if l.feared == 0 {
		t.Error("the program fears no repeats after all this")
	}
}
