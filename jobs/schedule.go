package jobs

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"waybill/ledger"
)

// timetable is the compiled schedule of a job.
type timetable struct {
	instants *instants
	catchUp  string // last, none or all
	skip     bool   // overlap: skip
	window   Window
	length   time.Duration // of window.Period, when that is a duration
}

// newTimetable compiles a schedule; path is the key that an error is about.
func newTimetable(s Schedule, w *Window, zone *time.Location) (t *timetable, path string, err error) {
	if s.Zone != "" {
		if zone, err = time.LoadLocation(s.Zone); err != nil {
			return nil, "schedule.zone", fmt.Errorf("%q is no zone: write for example Europe/Paris", s.Zone)
		}
	}
	t = &timetable{catchUp: cmp.Or(s.CatchUp, "last"), skip: s.Overlap == "skip"}
	if t.instants, err = newInstants(s.Cron, zone); err != nil {
		return nil, "schedule.cron", err
	}
	if w != nil {
		t.window = *w
	}
	switch t.window.Period {
	case "", "tick", "day", "week", "month", "quarter", "year":
	default:
		if t.length, err = spanOf(t.window.Period); err != nil {
			return nil, "query.window.period", err
		}
	}
	return t, "", nil
}

// spanOf reads a duration as the configuration writes it: 1h30m, 2d, 1w.
func spanOf(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is no period: write tick, day, week, month, quarter, year or a duration such as 6h", text)
	var sum time.Duration
	for rest := text; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.Atoi(rest[:digits])
		if err != nil {
			return 0, wrong
		}
		rest = rest[digits:]
		unit := len(rest) - len(strings.TrimLeft(rest, "msdhw"))
		u, ok := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[rest[:unit]]
		if !ok {
			return 0, wrong
		}
		sum += time.Duration(n) * u
		rest = rest[unit:]
	}
	if sum <= 0 {
		return 0, wrong
	}
	return sum, nil
}

// windowOf returns the half-open window of the tick that is due, when the windows before it end at mark (zero: there was
// none). It begins at the mark, so that there are no gaps, whatever was missed or skipped; a period of the calendar begins
// earlier where the mark lies inside it. A tick made by hand for an instant before the mark gets the window of that instant.
func (t *timetable) windowOf(due, mark time.Time) (since, till time.Time) {
	since, till = t.natural(due)
	inside := !mark.After(since) || t.length == 0 && (t.window.Period == "" || t.window.Period == "tick")
	if !mark.IsZero() && mark.Before(till) && inside {
		since = mark
	}
	return since.Add(-t.window.Back), till
}

// natural is the window of an instant that knows of no others.
func (t *timetable) natural(due time.Time) (since, till time.Time) {
	till = due.Add(-t.window.Lag)
	local := till.In(t.instants.zone)
	midnight := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, local.Location())
	switch t.window.Period {
	case "day":
		return midnight.AddDate(0, 0, -1), midnight
	case "week":
		monday := midnight.AddDate(0, 0, -(int(local.Weekday())+6)%7)
		return monday.AddDate(0, 0, -7), monday
	case "month":
		first := midnight.AddDate(0, 0, 1-local.Day())
		return first.AddDate(0, -1, 0), first
	case "quarter":
		first := time.Date(local.Year(), (local.Month()-1)/3*3+1, 1, 0, 0, 0, 0, local.Location())
		return first.AddDate(0, -3, 0), first
	case "year":
		first := time.Date(local.Year(), 1, 1, 0, 0, 0, 0, local.Location())
		return first.AddDate(-1, 0, 0), first
	}
	if t.length > 0 {
		return till.Add(-t.length), till
	}
	return t.previous(due).Add(-t.window.Lag), till
}

// previous is the instant before due, or a day before it when the schedule is rarer than that.
func (t *timetable) previous(due time.Time) time.Time {
	for _, back := range []time.Duration{time.Hour, 24 * time.Hour, 32 * 24 * time.Hour} {
		last := due
		for at, ok := t.instants.next(due.Add(-back - time.Second)); ok && at.Before(due); at, ok = t.instants.next(at) {
			last = at
		}
		if last != due {
			return last
		}
	}
	return due.Add(-24 * time.Hour)
}

// missed returns the instants after last that are due by now and are to be made up for.
func (t *timetable) missed(last, now time.Time) (due []time.Time) {
	for at, ok := t.instants.next(last); ok && !at.After(now); at, ok = t.instants.next(at) {
		due = append(due, at)
		if t.catchUp != "all" {
			due = due[len(due)-1:]
		}
	}
	return due
}

// schedule makes the job's ticks when they are due, until ctx ends. The instant of the last tick stands in the
// ledger, so that a restart knows what was missed: with catch_up none, the first look only notes the time. Windows have no gaps in any case.
func (w *Worker) schedule(ctx context.Context, p *Plan) {
	mark, err := w.Ledger.Mark(ctx, p.name, ledger.WindowMark)
	for ; err != nil; mark, err = w.Ledger.Mark(ctx, p.name, ledger.WindowMark) {
		if ctx.Err() != nil || w.DB.Err() != nil {
			return
		}
		w.Log.Error("cannot read when the job was last due", "job", p.name, "error", err)
		w.pause(ctx, retryFirst)
	}
	last := mark.At.Add(p.table.window.Lag) // an instant whose tick is there already makes no second one
	if last.After(w.Now()) {
		w.Log.Warn("the last window of the job ends in the future: was the clock ahead? ticks go on from now", "job", p.name, "until", mark.At)
	}
	if mark.At.IsZero() || p.table.catchUp == "none" || last.After(w.Now()) {
		last = w.Now()
	}
	for ctx.Err() == nil {
		now, least := w.Now(), time.Millisecond
		for _, due := range p.table.missed(last, now) {
			if err := w.tick(ctx, p, due); err != nil {
				if ctx.Err() != nil {
					return
				}
				least = retryFirst
				w.Log.Error("cannot make a tick, it will be tried again", "job", p.name, "due", due, "error", err)
				break
			}
			last = due
		}
		next, ok := p.table.instants.next(last)
		if !ok {
			w.Log.Warn("the schedule never comes again", "job", p.name)
			return
		}
		// The clock may jump, so it is looked at again at least every half minute.
		timer := time.NewTimer(min(max(next.Sub(w.Now()), least), idleLook))
		select {
		case <-ctx.Done():
		case <-w.DB.Failed():
			timer.Stop()
			return
		case <-timer.C:
		}
		timer.Stop()
	}
}

// tick puts one due instant into the ledger.
func (w *Worker) tick(ctx context.Context, p *Plan, due time.Time) error {
	if p.table.skip {
		open, err := w.Ledger.List(ctx, ledger.Filter{Jobs: []string{p.name}, States: []ledger.State{ledger.Received, ledger.Working}, Limit: 1})
		if err != nil {
			return err
		}
		if len(open) > 0 {
			w.Log.Warn("a tick is skipped: the one before still runs; its window is part of the next", "job", p.name, "due", due, "running", open[0].ID)
			return nil
		}
	}
	e, made, err := w.Ledger.Tick(ctx, p.name, due, func(mark time.Time) (since, till time.Time) { return p.table.windowOf(due, mark) })
	if err == nil && made {
		w.Log.Info("due", "job", p.name, "entry", e.ID, "from", e.Since, "to", e.Till)
	}
	return err
}

// Window returns the half-open window of the tick that is due at an instant, when no tick went before it. It is for trials: the
// window of a real tick begins where the one before ended.
func (p *Plan) Window(due time.Time) (since, till time.Time) {
	return p.table.windowOf(due, time.Time{})
}

// Tick makes one tick by hand, for the instant at: what `waybill run` does with a scheduled job.
func (w *Worker) Tick(ctx context.Context, p *Plan, at time.Time) (ledger.Entry, error) {
	e, _, err := w.Ledger.Tick(ctx, p.name, at, func(mark time.Time) (since, till time.Time) { return p.table.windowOf(at, mark) })
	return e, err
}
