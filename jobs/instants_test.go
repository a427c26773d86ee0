package jobs

import (
	"testing"
	"time"
)

func TestInstantsAroundChangesOfTheClock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, cron, zone, from string
		want                   []string
	}{
		{"hourly, forward", "0 * * * *", "Europe/Paris", "2026-03-29T00:30:00+01:00",
			[]string{"2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
		{"hourly, back", "0 * * * *", "Europe/Paris", "2026-10-25T01:30:00+02:00",
			[]string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
		{"a time that does not exist", "30 2 * * *", "Europe/Paris", "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"a time that comes twice", "30 2 * * *", "Europe/Paris", "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"the end of the gap itself", "0 3 * * *", "Europe/Paris", "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00"}},
		{"a gap at midnight", "0 0 * * *", "America/Sao_Paulo", "2017-10-14T12:00:00-03:00",
			[]string{"2017-10-15T01:00:00-02:00", "2017-10-16T00:00:00-02:00"}},
		{"every quarter, half an hour back", "*/15 * * * *", "Australia/Lord_Howe", "2026-04-05T01:40:00+11:00",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-05T01:30:00+10:30", "2026-04-05T01:45:00+10:30"}},
		{"working days", "0 6 * * mon-fri", "Europe/Moscow", "2026-11-20T07:00:00+03:00",
			[]string{"2026-11-23T06:00:00+03:00", "2026-11-24T06:00:00+03:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			s, err := newInstants(c.cron, zone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				next, ok := s.next(at)
				if !ok || next.Format(time.RFC3339) != want {
					t.Fatalf("after %s: got %s, want %s", at.Format(time.RFC3339), next.Format(time.RFC3339), want)
				}
				at = next
			}
		})
	}
}

func TestAScheduleThatNeverComesEnds(t *testing.T) {
	t.Parallel()
	s, err := newInstants("0 0 30 2 *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := s.next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); ok {
		t.Fatalf("30 February came at %s", at)
	}
	for _, wrong := range []string{"", "* * * *", "@every 5m", "61 * * * *", "a b c d e"} {
		if _, err := newInstants(wrong, time.UTC); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}
