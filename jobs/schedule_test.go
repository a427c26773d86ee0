package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"waybill/ledger"
)

// These tests run the whole worker in a bubble of synctest, whose clock jumps to the next thing that is due.

// at moves the clock of a plant to an instant.
func (p *plant) at(text string) {
	p.t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	p.must(err)
	p.ahead.Add(int64(at.Sub(p.now())))
}

// pass lets time go by: not by sleeping, for the bubble's clock moves when nothing else is left to do.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// ticks lists the ticks of a job with their windows, oldest first.
func (p *plant) ticks(job string) (list []ledger.Entry) {
	p.t.Helper()
	list, err := p.ledger.List(context.Background(), ledger.Filter{Jobs: []string{job}, After: -1, Limit: 1000})
	p.must(err)
	return list
}

// shown is the ticks in UTC, as "due[from,to)".
func shown(list []ledger.Entry) string {
	var b strings.Builder
	for _, e := range list {
		const form = "02T15:04"
		due, err := time.Parse(time.RFC3339, e.Name)
		if err != nil {
			due = time.Time{}
		}
		fmt.Fprintf(&b, "%s[%s,%s) ", due.UTC().Format(form), e.Since.UTC().Format(form), e.Till.UTC().Format(form))
	}
	return strings.TrimSpace(b.String())
}

// gapless reports what is wrong with the windows of a job whose period is tick.
func (p *plant) gapless(job string) {
	p.t.Helper()
	var till time.Time
	for _, e := range p.ticks(job) {
		if !e.Since.Before(e.Till) {
			p.t.Errorf("window of %s is empty: [%s, %s)", e.Name, e.Since, e.Till)
		}
		if !till.IsZero() && !e.Since.Equal(till) {
			p.t.Errorf("window of %s begins at %s, but the one before ended at %s", e.Name, e.Since, till)
		}
		till = e.Till
	}
}

// bubble runs f with a plant of one job called export that is due as schedule says.
func bubble(t *testing.T, schedule, window string, f func(t *testing.T, p *plant)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t, "export", exportJob(schedule, window))
		p.ask = func(time.Time, time.Time) (*Rows, error) { return rowsOf(1, func(int) {}), nil }
		f(t, p)
	})
}

func exportJob(schedule, window string) string {
	return "schedule: {" + schedule + "}\nquery: {connection: shop, sql: \"select 1\"" + window + "}\nsend: [{to: erp, path: /orders, key: =no}]\n"
}

const paris = `zone: Europe/Paris, cron: `

func TestTicksAroundChangesOfTheClock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, schedule, from, want string }{
		{
			"the hour that does not exist is due at the change", paris + `"30 2 * * *"`, "2026-03-28T00:00:00+01:00",
			"28T01:30[27T01:30,28T01:30) 29T01:00[28T01:30,29T01:00) 30T00:30[29T01:00,30T00:30)",
		}, {
			"the hour that comes twice is due once", paris + `"30 2 * * *"`, "2026-10-24T00:00:00+02:00",
			"24T00:30[23T00:30,24T00:30) 25T00:30[24T00:30,25T00:30) 26T01:30[25T00:30,26T01:30)",
		}, {
			"every hour goes on when the clock goes forward", paris + `"0 * * * *"`, "2026-03-29T00:30:00+01:00",
			"29T00:00[28T23:00,29T00:00) 29T01:00[29T00:00,29T01:00) 29T02:00[29T01:00,29T02:00)",
		}, {
			"every hour goes on when the clock goes back", paris + `"0 * * * *"`, "2026-10-25T01:30:00+02:00",
			"25T00:00[24T23:00,25T00:00) 25T01:00[25T00:00,25T01:00) 25T02:00[25T01:00,25T02:00)",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, c.schedule, "", func(t *testing.T, p *plant) {
				p.at(c.from)
				ctx, cancel := context.WithCancel(context.Background())
				var wg sync.WaitGroup
				wg.Go(func() { p.worker.schedule(ctx, p.worker.Jobs().Plans[0]) })
				for range 72 {
					if len(p.ticks("export")) == 3 {
						break
					}
					pass(time.Hour)
				}
				cancel()
				wg.Wait()
				if got := shown(p.ticks("export")); got != c.want {
					t.Errorf("ticks\n%s\nwant\n%s", got, c.want)
				}
				p.gapless("export")
			})
		})
	}
}

func TestMissedTicksAreMadeUpForAsTheJobSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ catchUp, want string }{
		{"none", "01T09:00[01T08:00,01T09:00) 01T13:00[01T09:00,01T13:00)"},
		{"last", "01T09:00[01T08:00,01T09:00) 01T12:00[01T09:00,01T12:00) 01T13:00[01T12:00,01T13:00)"},
		{"all", "01T09:00[01T08:00,01T09:00) 01T10:00[01T09:00,01T10:00) 01T11:00[01T10:00,01T11:00) 01T12:00[01T11:00,01T12:00) 01T13:00[01T12:00,01T13:00)"},
	} {
		bubble(t, `cron: "0 * * * *", catch_up: `+c.catchUp, "", func(t *testing.T, p *plant) {
			p.at("2026-06-01T08:30:00Z")
			stop := p.run()
			pass(45 * time.Minute) // 9:15
			stop()
			pass(3*time.Hour + 15*time.Minute) // 12:30
			p.wire(p.worker.Jobs())
			stop = p.run()
			pass(45 * time.Minute) // 13:15
			stop()
			if got := shown(p.ticks("export")); got != c.want {
				t.Errorf("catch_up %s: ticks\n%s\nwant\n%s", c.catchUp, got, c.want)
			}
			p.gapless("export")
			for _, e := range p.ticks("export") {
				if e.State != ledger.Delivered {
					t.Errorf("catch_up %s: the tick of %s is %s (%s)", c.catchUp, e.Name, e.State, e.Reason)
				}
			}
		})
	}
}

func TestATickThatMeetsTheOneBeforeWaitsOrIsSkippedAndNoWindowIsLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ overlap, running, want string }{
		{"wait", "delivered working received received", "01T09:00[01T08:00,01T09:00) 01T10:00[01T09:00,01T10:00) 01T11:00[01T10:00,01T11:00) 01T12:00[01T11:00,01T12:00) 01T13:00[01T12:00,01T13:00)"},
		{"skip", "delivered working", "01T09:00[01T08:00,01T09:00) 01T10:00[01T09:00,01T10:00) 01T13:00[01T10:00,01T13:00)"},
	} {
		bubble(t, `cron: "0 * * * *", overlap: `+c.overlap, "", func(t *testing.T, p *plant) {
			asked := 0
			p.ask = func(time.Time, time.Time) (*Rows, error) {
				asked++
				if asked != 2 {
					return rowsOf(1, func(int) {}), nil
				}
				return rowsOf(2000, func(i int) {
					if i == 1999 {
						<-time.After(150 * time.Minute) // from 10:00 to 12:30
					}
				}), nil
			}
			p.at("2026-06-01T08:30:00Z")
			stop := p.run()
			pass(3*time.Hour + 45*time.Minute) // 12:15
			var states []string
			for _, e := range p.ticks("export") {
				states = append(states, string(e.State))
			}
			if got := strings.Join(states, " "); got != c.running {
				t.Errorf("overlap %s: while one runs the ticks are %s, want %s", c.overlap, got, c.running)
			}
			pass(time.Hour)
			stop()
			if got := shown(p.ticks("export")); got != c.want {
				t.Errorf("overlap %s: ticks\n%s\nwant\n%s", c.overlap, got, c.want)
			}
			p.gapless("export")
			for _, e := range p.ticks("export") {
				if e.State != ledger.Delivered {
					t.Errorf("overlap %s: the tick of %s is %s", c.overlap, e.Name, e.State)
				}
			}
		})
	}
}

func TestAFailedTickKeepsItsWindowAndTheNextFollowsIt(t *testing.T) {
	t.Parallel()
	bubble(t, `cron: "0 * * * *"`, "", func(t *testing.T, p *plant) {
		var asked []string
		p.ask = func(from, to time.Time) (*Rows, error) {
			asked = append(asked, from.UTC().Format("15:04")+"-"+to.UTC().Format("15:04"))
			if p.now().UTC().Hour() < 11 {
				return nil, errors.New("the database is away")
			}
			return rowsOf(1, func(int) {}), nil
		}
		p.at("2026-06-01T08:30:00Z")
		stop := p.run()
		pass(3 * time.Hour) // 11:30
		stop()
		if want := "01T09:00[01T08:00,01T09:00) 01T10:00[01T09:00,01T10:00) 01T11:00[01T10:00,01T11:00)"; shown(p.ticks("export")) != want {
			t.Errorf("ticks\n%s\nwant\n%s", shown(p.ticks("export")), want)
		}
		for _, e := range p.ticks("export") {
			if e.State != ledger.Delivered {
				t.Errorf("the tick of %s is %s (%s)", e.Name, e.State, e.Reason)
			}
		}
		last := map[string]int{}
		for i, w := range asked {
			last[w] = i + 1
		}
		if len(last) != 3 || last["08:00-09:00"] < 10 {
			t.Errorf("windows that were asked for: %v", last)
		}
	})
}

func TestWindowsWithLagAndBackSendEachRowOnce(t *testing.T) {
	t.Parallel()
	bubble(t, `cron: "0 * * * *"`, `, window: {lag: 2m, back: 10m, key: =no}`, func(t *testing.T, p *plant) {
		// A row appears up to ten minutes after the time it bears.
		type row struct{ bears, appears string }
		table := map[string]row{"A-1": {"08:40", "08:40"}, "A-2": {"08:57", "08:59"}, "A-3": {"08:59", "09:00"}, "A-4": {"08:55", "09:04"}, "A-5": {"09:30", "09:31"}}
		p.ask = func(from, to time.Time) (*Rows, error) {
			var list []string
			for name, r := range table {
				bears, _ := time.Parse("2006-01-02 15:04", "2026-06-01 "+r.bears)
				appears, _ := time.Parse("2006-01-02 15:04", "2026-06-01 "+r.appears)
				if !bears.Before(from) && bears.Before(to) && !p.now().Before(appears) {
					list = append(list, name)
				}
			}
			return rowsNamed(list...), nil
		}
		p.at("2026-06-01T08:30:00Z")
		stop := p.run()
		pass(2 * time.Hour) // 10:30
		stop()
		if got, want := shown(p.ticks("export")), "01T09:00[01T07:48,01T08:58) 01T10:00[01T08:48,01T09:58)"; got != want {
			t.Errorf("ticks\n%s\nwant\n%s", got, want)
		}
		sent := map[string]int{}
		for _, b := range p.erp.bodies() {
			sent[b]++
		}
		if len(sent) != 5 || len(p.erp.bodies()) != 5 {
			t.Errorf("sent: %v", sent)
		}
	})
}

func TestCalendarWindowsFollowTheZone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ period, want string }{
		{"day", "2026-03-28T23:00 2026-03-29T22:00"}, // 23 hours
		{"week", "2026-03-22T23:00 2026-03-29T22:00"},
		{"month", "2026-01-31T23:00 2026-02-28T23:00"},
		{"6h", "2026-03-29T22:30 2026-03-30T04:30"},
	} {
		plan := newPlan(t, exportJob(paris+`"30 6 * * *"`, ", window: {period: "+c.period+"}"))
		due, err := time.Parse(time.RFC3339, "2026-03-30T06:30:00+02:00")
		if err != nil {
			t.Fatal(err)
		}
		since, till := plan.Window(due)
		if got := since.UTC().Format("2006-01-02T15:04") + " " + till.UTC().Format("2006-01-02T15:04"); got != c.want {
			t.Errorf("period %s: window %s, want %s", c.period, got, c.want)
		}
	}
}

func newPlan(t *testing.T, job string) *Plan {
	t.Helper()
	p, problems := Compile("export", parseOptions(t, job), Environment{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

func TestATickIsThereOnceAndARunOfItAgainRepeatsItsWindow(t *testing.T) {
	t.Parallel()
	bubble(t, `cron: "0 * * * *"`, "", func(t *testing.T, p *plant) {
		var asked []string
		p.ask = func(from, to time.Time) (*Rows, error) {
			asked = append(asked, from.UTC().Format("15:04")+"-"+to.UTC().Format("15:04"))
			return rowsOf(1, func(int) {}), nil
		}
		p.at("2026-06-01T08:30:00Z")
		stop := p.run()
		pass(2 * time.Hour) // 10:30
		first := p.ticks("export")[0]
		e, err := p.worker.Tick(context.Background(), p.worker.Jobs().Plans[0], first.Till)
		p.must(err)
		if e.ID != first.ID {
			t.Errorf("the instant %s has a second tick, #%d beside #%d", first.Till, e.ID, first.ID)
		}
		again, err := p.ledger.Replay(context.Background(), first.ID, "anna", true)
		p.must(err)
		pass(time.Hour) // 11:30
		stop()
		if e := p.entry(again.ID); e.State != ledger.Delivered || !e.Since.Equal(first.Since) || !e.Till.Equal(first.Till) {
			t.Errorf("the replay is %s over [%s, %s)", e.State, e.Since, e.Till)
		}
		if got := strings.Join(asked, " "); got != "08:00-09:00 09:00-10:00 08:00-09:00 10:00-11:00" {
			t.Errorf("windows that were asked for: %s", got)
		}
	})
}
