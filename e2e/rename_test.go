package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"waybill/ledger"
)

// named is a configuration of one job whose parts have the given names, each with what follows it ("orders, formerly: old").
func named(url, source, destination, job string) string {
	part := func(s string) (name, more string) {
		name, more, _ = strings.Cut(s, ", ")
		return name, more
	}
	src, srcMore := part(source)
	dst, dstMore := part(destination)
	name, more := part(job)
	text := fmt.Sprintf("sources:\n  %s:\n    folder: {path: drop}\n    poll: 200ms\n    %s\n", src, srcMore) +
		fmt.Sprintf("destinations:\n  %s:\n    http: {url: %q}\n    retry: {pause: 50ms, longest: 100ms}\n    %s\n", dst, url, dstMore)
	return text + fmt.Sprintf("jobs:\n  %s:\n    %s\n    receive: {source: %s, files: \"o*.csv\"}\n", name, more, src) +
		"    identity: {by: name+content}\n    check: {unique: {key: =no, same: process, other: process}}\n" +
		"    read: {format: csv, delimiter: \";\", fields: {no: {required: true}, qty: {required: true}}, columns: {extra: ignore}}\n" +
		fmt.Sprintf("    send: [{to: %s, path: /o, key: =no, body: {no: =no, qty: =qty}}]\n", dst)
}

// keyOf returns the keys under which a message with text in its body has arrived, in order.
func (a *api) keyOf(text string) (keys []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, got := range a.got {
		if strings.Contains(got, text) {
			keys = append(keys, a.keys[i])
		}
	}
	return keys
}

func TestWhatIsRenamedKeepsItsIdentitiesKeysAndMessages(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	h := newHouse(t, named(a.URL, "drop", "first", "orders"))
	d := h.serve()
	l := h.look()
	const file = "no;qty;site\nA-1;1;x\nA-2;2;x\n"
	h.drop("o1.csv", file)
	h.until("the first file is done", func() bool { return h.there("drop/done/o1.csv") })

	a.turn(true)
	h.drop("o2.csv", "no;qty;site\nA-3;3;x\n")
	h.until("messages wait", func() bool {
		e := l.entries(t, "orders")
		return len(e) == 2 && e[1].State == ledger.Accepted
	})
	h.configure(named(a.URL, "inbox", "erp", "purchases"))
	out := h.runs(2, "reload")
	for _, part := range []string{"formerly: orders where it has another name now", "formerly: first where", "formerly: drop where"} {
		if !strings.Contains(out, part) {
			t.Errorf("the refusal does not say %q:\n%s", part, out)
		}
	}

	h.configure(named(a.URL, "inbox, formerly: drop", "erp, formerly: first", "purchases, formerly: orders"))
	h.runs(0, "reload")
	if e := l.entries(t, "purchases"); len(e) != 2 || e[1].Source != "inbox" || len(l.entries(t, "orders")) != 0 {
		t.Fatalf("the entries have not followed: %+v", e)
	}
	a.turn(false)
	h.until("what waited is delivered and its file closed", func() bool { return h.there("drop/done/o2.csv") })
	if out := h.runs(0, "trace", "A-3"); !strings.Contains(out, "erp") {
		t.Errorf("the message was not delivered to the new name:\n%s", out)
	}
	h.again(a, l, "purchases", file, 3)
	h.runs(0, "reload") // once more changes nothing

	// On, and the names before are no longer said: the ledger remembers.
	h.must(d.cmd.Process.Signal(syscall.SIGTERM))
	h.until("the daemon has stopped", func() bool { return strings.Contains(d.said.String(), `"msg":"stopped"`) })
	h.configure(named(a.URL, "inbox", "erp", "buys, formerly: purchases"))
	h.serve()
	h.again(a, l, "buys", file, 4)
	h.configure(named(a.URL, "inbox", "erp", "buys"))
	h.runs(0, "reload")
	h.again(a, l, "buys", file, 5)
	keys := a.keyOf(`"no":"A-1"`)
	if len(keys) != 4 || slices.ContainsFunc(keys, func(k string) bool { return k != keys[0] }) {
		t.Errorf("the keys of the order that never changed: %q", keys)
	}
	changed := a.keyOf(`"no":"A-2"`)
	slices.Sort(changed)
	if len(slices.Compact(changed)) != 4 {
		t.Errorf("the keys of the order that changed each time: %q", changed)
	}

	// What takes a name that something else had first has keys of its own.
	h.configure(named(a.URL, "inbox", "erp", "orders"))
	h.runs(0, "reload")
	h.drop("o1.csv", file)
	h.until("the new job has sent the order", func() bool { return len(a.keyOf(`"no":"A-1"`)) == 5 })
	if keys = a.keyOf(`"no":"A-1"`); keys[4] == keys[0] {
		t.Error("another job of the old name has the old keys")
	}
}

// again drops a file that is known already, and then a correction of it with the same first order.
func (h *house) again(a *api, l *look, job, file string, n int) {
	h.t.Helper()
	h.drop("o1.csv", file)
	h.until("the old file is skipped", func() bool {
		e := l.entries(h.t, job)
		return e[len(e)-1].State == ledger.Duplicate
	})
	before := len(a.keyOf(`"no":"A-1"`))
	h.until("the file is gone", func() bool { return !h.there("drop/o1.csv") })
	h.drop("o1.csv", fmt.Sprintf("no;qty;site\nA-1;1;x\nA-2;%d;x\n", n))
	h.until("the correction is delivered", func() bool {
		e := l.entries(h.t, job)
		return e[len(e)-1].Verdict == ledger.Correction && e[len(e)-1].State == ledger.Delivered && len(a.keyOf(`"no":"A-1"`)) == before+1
	})
	h.until("the file is gone", func() bool { return !h.there("drop/o1.csv") })
}
