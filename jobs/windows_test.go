package jobs

import (
	"testing"
	"time"
)

func TestWindows(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		name, cron       string
		window           Window
		due, mark        string
		wantFrom, wantTo string
	}{
		{"the first tick goes back to the instant before", "0 * * * *", Window{}, "2026-11-21T10:00:00Z", "",
			"2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z"},
		{"a tick begins where the one before ended", "0 * * * *", Window{Lag: 2 * time.Minute}, "2026-11-21T10:00:00Z", "2026-11-21T07:58:00Z",
			"2026-11-21T07:58:00Z", "2026-11-21T09:58:00Z"},
		{"back overlaps", "0 * * * *", Window{Back: 10 * time.Minute}, "2026-11-21T10:00:00Z", "2026-11-21T09:00:00Z",
			"2026-11-21T08:50:00Z", "2026-11-21T10:00:00Z"},
		{"an instant before the mark gets its own window", "0 * * * *", Window{}, "2026-11-20T10:00:00Z", "2026-11-21T19:00:00Z",
			"2026-11-20T09:00:00Z", "2026-11-20T10:00:00Z"},
		{"a day", "0 6 * * *", Window{Period: "day"}, "2026-11-21T06:00:00Z", "2026-11-20T00:00:00Z",
			"2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"},
		{"days that were missed", "0 6 * * *", Window{Period: "day"}, "2026-11-21T06:00:00Z", "2026-11-18T00:00:00Z",
			"2026-11-18T00:00:00Z", "2026-11-21T00:00:00Z"},
		{"the same day again, every hour", "0 * * * *", Window{Period: "day"}, "2026-11-21T07:00:00Z", "2026-11-21T00:00:00Z",
			"2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"},
		{"a length", "0 * * * *", Window{Period: "6h"}, "2026-11-21T12:00:00Z", "2026-11-21T11:00:00Z",
			"2026-11-21T06:00:00Z", "2026-11-21T12:00:00Z"},
		{"a length with a gap before", "0 * * * *", Window{Period: "6h"}, "2026-11-21T12:00:00Z", "2026-11-20T11:00:00Z",
			"2026-11-20T11:00:00Z", "2026-11-21T12:00:00Z"},
		{"a week", "0 6 * * mon", Window{Period: "week"}, "2026-11-23T06:00:00Z", "",
			"2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"},
		{"a quarter", "0 6 1 * *", Window{Period: "quarter"}, "2026-11-01T06:00:00Z", "",
			"2026-07-01T00:00:00Z", "2026-10-01T00:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			table, path, err := newTimetable(Schedule{Cron: c.cron}, &c.window, time.UTC)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			from, to := table.windowOf(at(c.due), at(c.mark))
			if !from.Equal(at(c.wantFrom)) || !to.Equal(at(c.wantTo)) {
				t.Fatalf("got [%s, %s), want [%s, %s)", from.Format(time.RFC3339), to.Format(time.RFC3339), c.wantFrom, c.wantTo)
			}
		})
	}
}
