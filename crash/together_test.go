package crash_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// runs brings files through `waybill run`, one after the other, and fails the test unless each ends with 0.
func (l *landscape) runs(names ...string) {
	for _, name := range names {
		p, err := l.launch(nil, "run", "orders", l.path("partner", name))
		if err != nil {
			l.t.Error(err)
			return
		}
		select {
		case <-p.exited:
		case <-deadline(l.t):
			l.t.Errorf("run %s did not end:\n%s", name, p.tail())
			return
		}
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			l.t.Errorf("run %s ended with %d:\n%s", name, code, p.tail())
		}
	}
}

// lay puts an order file where no source looks, for `waybill run`.
func (l *landscape) lay(name string, rows, note int) string {
	l.t.Helper()
	l.expectOrders(name, rows, note)
	delete(l.done, name+".csv") // it stays where it is
	l.must(os.WriteFile(l.path("partner", name+".csv"), []byte(orderFile(name, rows, note)), 0o600))
	return name + ".csv"
}

// TestRunsBesideTheDaemon has two series of runs and the daemon at work in one data folder, which are given some of the same files.
func TestRunsBesideTheDaemon(t *testing.T) {
	t.Parallel()
	l := newLandscape(t)
	l.out.Start()
	l.due()
	p := l.serve("")
	p.until(func() bool { return p.over() || p.ready() }) // a run that has the lock before it would end it
	var mine [2][]string
	for i := range 4 {
		for s := range mine {
			mine[s] = append(mine[s], l.lay(fmt.Sprintf("own%d-%d", s, i), 10+300*(i%2), 40))
		}
		both := l.lay(fmt.Sprintf("both%d", i), 10, 0) // whoever comes second has nothing to do
		l.entries["orders "+both+" duplicate"]++
		mine[0], mine[1] = append(mine[0], both), append(mine[1], both)
	}
	var wg sync.WaitGroup
	for _, names := range mine {
		wg.Go(func() { l.runs(names...) })
	}
	l.usual()
	for i := range 10 {
		l.order(fmt.Sprintf("more%d", i), 20, 0)
	}
	wg.Wait()
	p.until(func() bool { return p.over() || l.partner() && l.drained() })
	p.stop()
	if _, repeats := l.check(); repeats != 0 {
		t.Errorf("%d messages came twice, although nothing was killed", repeats)
	}
}

// TestRunsWithoutADaemon has two series of runs share one data folder: whoever has the lock delivers its own, the other waits its turn.
// A daemon that was started meanwhile waits until both are through.
func TestRunsWithoutADaemon(t *testing.T) {
	t.Parallel()
	l := newLandscape(t)
	l.out.Start()
	var mine [2][]string
	for i := range 4 {
		for s := range mine {
			mine[s] = append(mine[s], l.lay(fmt.Sprintf("own%d-%d", s, i), 10+300*(i%2), 40))
		}
	}
	var wg sync.WaitGroup
	for _, names := range mine {
		wg.Go(func() { l.runs(names...) })
	}
	l.order("dropped", 10, 0)
	p := l.begin(nil, "serve", "--wait")
	wg.Wait()
	p.until(func() bool { return p.over() || l.drained() })
	p.stop()
	if _, repeats := l.check(); repeats != 0 {
		t.Errorf("%d messages came twice, although nothing was killed", repeats)
	}
}
