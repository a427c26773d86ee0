package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"waybill/ledger"
)

// reloads writes the configurations of one house.
type reloads struct{ url string }

func (r reloads) text(destinations, jobs string) string {
	api := "{http: {url: \"" + r.url + "\"}, retry: {pause: 50ms, longest: 100ms}%s}\n"
	text := "sources: {drop: {folder: {path: drop}, poll: 200ms}}\ndestinations:\n"
	for _, d := range strings.Fields(destinations) {
		name, drains := strings.CutSuffix(d, "-drains")
		extra := ""
		if drains {
			extra = ", drain: true"
		}
		text += "  " + name + ": " + fmt.Sprintf(api, extra)
	}
	text += "jobs:\n"
	for _, j := range strings.Fields(jobs) {
		name, drains := strings.CutSuffix(j, "-drains")
		text += fmt.Sprintf("  %s:\n    receive: {source: drop, files: \"%s*.csv\"}\n    drain: %t\n", name, name, drains) +
			"    read: {format: csv, delimiter: \";\", fields: {no: {required: true}}, columns: {extra: ignore}}\n" +
			"    send: [{to: " + map[bool]string{true: "second", false: "first"}[name == "b"] + ", path: /" + name + ", key: =no, body: {no: =no}}]\n"
	}
	return text
}

func TestAReloadTakesNothingAwayThatHasWorkPending(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	r := reloads{a.URL}
	h := newHouse(t, r.text("first second", "a"))
	d := h.serve()
	l := h.look()

	// A job that comes takes files that none took.
	h.drop("b1.csv", orders(1, 1))
	h.until("the file is noted as nobody's", func() bool {
		list, err := l.ledger.Why(t.Context(), "b1.csv")
		h.must(err)
		return len(list) > 0
	})
	h.configure(r.text("first second", "a b"))
	h.must(d.cmd.Process.Signal(syscall.SIGHUP))
	h.until("the file is taken", func() bool { return len(a.arrived()) == 1 })
	h.until("the file is closed", func() bool { return h.there("drop/done/b1.csv") })

	// What waits keeps its job and its destination.
	a.turn(true)
	h.drop("b2.csv", orders(2, 1))
	h.until("the entry is accepted", func() bool {
		e := l.entries(t, "b")
		return len(e) == 2 && e[1].State == ledger.Accepted
	})
	h.configure(r.text("first", "a"))
	out := h.runs(2, "reload")
	for _, part := range []string{"destination second is gone, but 1 messages wait", "job b is gone, but 1 of its entries", "drain: true"} {
		if !strings.Contains(out, part) {
			t.Errorf("the refusal does not say %q:\n%s", part, out)
		}
	}
	h.configure(r.text("first second-drains", "a b"))
	if out := h.runs(2, "reload"); !strings.Contains(out, "drains: send elsewhere") {
		t.Errorf("a job may send to a destination that drains:\n%s", out)
	}
	h.configure(r.text("first second-drains", "a b-drains"))
	h.runs(0, "reload")
	h.drop("b3.csv", orders(3, 1))
	a.turn(false)
	h.until("what waited is delivered", func() bool { return h.there("drop/done/b2.csv") })
	h.drop("a1.csv", orders(4, 1))
	h.until("the other job goes on", func() bool { return h.there("drop/done/a1.csv") })
	if !h.there("drop/b3.csv") || len(l.entries(t, "b")) != 2 {
		t.Error("a job that drains took a file")
	}
	h.configure(r.text("first", "a"))
	h.runs(0, "reload")
}

func TestAFileOfTwoJobsIsMovedWhenBothAreDone(t *testing.T) {
	t.Parallel()
	first, second := newAPI(t), newAPI(t)
	h := newHouse(t, fmt.Sprintf(`
sources: {drop: {folder: {path: drop}, poll: 200ms}}
destinations:
  first: {http: {url: %q}}
  second: {http: {url: %q}, retry: {pause: 20ms, longest: 50ms}}
jobs:
  one:
    receive: {source: drop}
    read: {format: csv, delimiter: ";", fields: {no: {required: true}}, columns: {extra: ignore}}
    send: [{to: first, key: =no, body: {no: =no}}]
  two:
    receive: {source: drop}
    read: {format: csv, delimiter: ";", fields: {no: {required: true}, qty: {type: integer, max: 100, required: true}}, columns: {extra: ignore}}
    send: [{to: second, key: =no, body: {no: =no}}]
`, first.URL, second.URL))
	second.turn(true)
	h.serve()
	l := h.look()
	h.drop("1.csv", orders(1, 5))
	h.until("the first job is done", func() bool { e := l.entries(t, "one"); return len(e) == 1 && e[0].State == ledger.Delivered })
	h.drop("2.csv", orders(98, 5)) // two of them too many for the second job
	h.until("the bad file lies in failed", func() bool { return h.there("drop/failed/2.csv") && h.there("drop/failed/2.csv.rejects.json") })
	report, err := os.ReadFile(h.path("drop/failed/2.csv.rejects.json"))
	h.must(err)
	if !strings.Contains(string(report), `"line": 5`) || !strings.Contains(string(report), `"two"`) {
		t.Errorf("the report says\n%s", report)
	}
	if len(first.arrived()) != 10 {
		t.Errorf("%d orders arrived by the first job, want 10", len(first.arrived()))
	}
	if !h.there("drop/1.csv") {
		t.Error("the file was moved although the second job is not done")
	}
	second.turn(false)
	h.until("the file lies in done", func() bool { return h.there("drop/done/1.csv") })
}
