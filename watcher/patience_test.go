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

// A server that lists a million files that all fail, or never settle, has each looked at in no time.
func TestAFullTableIsNotSweptForEachFile(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return at }
	p := newPatience(now, time.Minute, time.Hour)
	s := NewSettle(2, time.Minute, now)
	for i := range watchedAtOnce {
		p.fail(strconv.Itoa(i), "v", "broken")
		s.Look(File{Path: strconv.Itoa(i)})
	}
	sweeps := func() bool {
		p.fail("more", "v", "broken")
		s.Look(File{Path: "more"})
		return p.swept.Equal(at) && s.swept.Equal(at)
	}
	if first := at; !sweeps() {
		t.Errorf("not swept at %s", first)
	}
	for range 10 {
		if at = at.Add(time.Second); sweeps() {
			t.Fatal("swept again at once")
		}
	}
	if at = at.Add(time.Minute); !sweeps() {
		t.Error("not swept a minute later")
	}
	if at = at.Add(24 * time.Hour); !sweeps() || p.size() > 1 || len(s.seen) > 1 {
		t.Errorf("%d and %d are still known a day later", p.size(), len(s.seen))
	}
}
