package e2e_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"waybill/ledger"
)

// twoDestinations is a configuration whose job sends to the first of its destinations, each with what follows its name.
func twoDestinations(url string, names ...string) string {
	var b strings.Builder
	b.WriteString("sources: {drop: {folder: {path: drop}, poll: 200ms}}\ndestinations:\n")
	for _, n := range names {
		name, more, _ := strings.Cut(n, ",")
		if more != "" {
			more = "," + more
		}
		fmt.Fprintf(&b, "  %s: {http: {url: %q}, retry: {pause: 50ms, longest: 100ms}%s}\n", name, url, more)
	}
	to, _, _ := strings.Cut(names[0], ",")
	fmt.Fprintf(&b, `jobs:
  orders:
    receive: {source: drop}
    read: {format: csv, delimiter: ";", fields: {no: {required: true}}, columns: {extra: ignore}}
    send: [{to: %s, path: /o, key: =no, body: {no: =no}}]
`, to)
	return b.String()
}

// What is under way to one of two destinations would go out by the other, too: they become one only where nothing is under way.
func TestAReloadDoesNotMakeOneDestinationOfTwo(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.turn(true)
	h := newHouse(t, twoDestinations(a.URL, "first", "second"))
	d := h.serve()
	l := h.look()
	h.drop("1.csv", orders(1, 1))
	h.until("a message waits", func() bool { e := l.entries(t, "orders"); return len(e) == 1 && e[0].State == ledger.Accepted })
	h.configure(twoDestinations(a.URL, "second, formerly: first"))
	if out := h.runs(2, "reload"); !strings.Contains(out, "first is to become second, and both are in force") {
		t.Errorf("the refusal says\n%s", out)
	}
	h.must(d.cmd.Process.Signal(syscall.SIGTERM))
	h.until("the daemon has stopped", func() bool { return strings.Contains(d.said.String(), `"msg":"stopped"`) })
	a.turn(false)
	h.serve()
	h.until("it is delivered", func() bool { return h.there("drop/done/1.csv") })
}

// What had a name before is not renamed by another formerly: nothing of the other may be left behind for that.
func TestAReloadDoesNotLeaveBehindWhatItsHeirDoesNotTake(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.turn(true)
	h := newHouse(t, twoDestinations(a.URL, "first", "zero"))
	h.serve()
	l := h.look()
	h.configure(twoDestinations(a.URL, "first", "second, formerly: zero"))
	h.runs(0, "reload")
	h.drop("1.csv", orders(1, 1))
	h.until("a message waits", func() bool { e := l.entries(t, "orders"); return len(e) == 1 && e[0].State == ledger.Accepted })
	h.configure(twoDestinations(a.URL, "second, formerly: first"))
	if out := h.runs(2, "reload"); !strings.Contains(out, "destination first is gone, but 1 messages wait for it") || !strings.Contains(out, "formerly: first changes nothing") {
		t.Errorf("the refusal says\n%s", out)
	}
	a.turn(false)
	h.until("it is delivered", func() bool { return h.there("drop/done/1.csv") })
}
