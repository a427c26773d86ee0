package watcher

import (
	"strconv"
	"testing"
	"time"
)

// A folder in which as many files fail as are remembered does not make each of them be tried at every look.
func TestFilesThatFailAgainWaitLongerHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	p := newPatience(func() time.Time { return now }, time.Second, time.Minute)
	for i := range watchedAtOnce {
		p.fail(strconv.Itoa(i), "v", "broken")
	}
	now = now.Add(time.Second)
	if wait, tries := p.fail("7", "v", "broken"); wait != 2*time.Second || tries != 2 {
		t.Fatalf("after the second failure it waits %s, %d tries", wait, tries)
	}
	if wait, _, yes := p.waits("7", "v"); !yes || wait != 2*time.Second {
		t.Errorf("it is tried again in %s (%t)", wait, yes)
	}
	if p.fail("one more", "v", "broken"); p.size() != watchedAtOnce {
		t.Errorf("%d are remembered", p.size())
	}
}
