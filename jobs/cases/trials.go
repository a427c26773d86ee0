package cases

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill/jobs"
	"waybill/ledger"
)

// A Change is what differs between two trials of one subject: a message, an acknowledgement, the faults, or with subject ""
// the outcome as a whole.
type Change struct {
	Subject     string       `json:"subject,omitempty"`
	New         bool         `json:"new,omitempty"`  // it was not there before
	Gone        bool         `json:"gone,omitempty"` // it is not there any more
	Differences []Difference `json:"differences"`
}

// Compare tells what differs between an earlier trial and one of now, message by message: two are the same message when destination
// and key are, or where they have no key of the job's, when destination and number among those are.
func Compare(before, now *jobs.Trial) []Change {
	var list []Change
	add := func(c Change) {
		if len(c.Differences) > 0 {
			list = append(list, c)
		}
	}
	var whole differences
	whole.text("state", string(before.State), string(now.State))
	whole.text("reason", before.Reason, now.Reason)
	for _, n := range []struct {
		path        string
		before, now int64
	}{{"records", before.Records, now.Records}, {"messages", before.Messages, now.Messages}, {"rejected", before.Rejected, now.Rejected}} {
		whole.text(n.path, fmt.Sprint(n.before), fmt.Sprint(n.now))
	}
	apart(&whole, "finding", before.Findings, now.Findings)
	add(Change{Differences: whole})
	var faults differences
	apart(&faults, "fault", lines(before.Rejects), lines(now.Rejects))
	add(Change{Subject: "rejected", Differences: faults})
	pairUp(before.Shown, now.Shown, func(m *jobs.TrialMessage) string { return subject(m) }, add, func(ds *differences, b, n *jobs.TrialMessage) {
		if b != nil && n != nil {
			ds.message(b, n)
		} else {
			ds.only(cmp.Or(b, n), b != nil)
		}
	})
	pairUp(before.Told, now.Told, func(n *jobs.TrialNotice) string { return "acknowledgement " + n.Name }, add, func(ds *differences, b, n *jobs.TrialNotice) {
		if b == nil || n == nil {
			one := cmp.Or(b, n)
			ds.only(&jobs.TrialMessage{Body: one.Body, Text: one.Text}, b != nil)
			return
		}
		was, wasJSON := parse(b.Body)
		is, isJSON := parse(n.Body)
		if wasJSON && isJSON {
			ds.trees("body", &was, &is, false)
		} else {
			ds.lines("body", cmp.Or(string(b.Body), b.Text), cmp.Or(string(n.Body), n.Text))
		}
	})
	return list
}

func lines(list []ledger.Reject) []string {
	out := make([]string, len(list))
	for i, r := range list {
		out[i] = line(Reject(r))
	}
	return out
}

// apart tells which texts are in one of two lists only.
func apart(ds *differences, path string, before, now []string) {
	for _, s := range before {
		if !slices.Contains(now, s) {
			ds.add(path, some(s), nil)
		}
	}
	for _, s := range now {
		if !slices.Contains(before, s) {
			ds.add(path, nil, some(s))
		}
	}
}

func subject(m *jobs.TrialMessage) string {
	if m.Ref == "" {
		return "message to " + m.Destination
	}
	return "message to " + m.Destination + ", key " + m.Ref
}

// pairUp compares two lists, element by element of one name; of several with the same name the first with the first.
func pairUp[T any](before, now []T, name func(*T) string, add func(Change), compare func(ds *differences, before, now *T)) {
	earlier := map[string][]*T{}
	var order []string
	for i := range before {
		n := name(&before[i])
		if earlier[n] == nil {
			order = append(order, n)
		}
		earlier[n] = append(earlier[n], &before[i])
	}
	count := map[string]int{}
	for i := range now {
		n := name(&now[i])
		shown := n
		if count[n]++; count[n] > 1 {
			shown = fmt.Sprintf("%s (%d)", n, count[n])
		}
		var ds differences
		if list := earlier[n]; len(list) > 0 {
			compare(&ds, list[0], &now[i])
			earlier[n] = list[1:]
			add(Change{Subject: shown, Differences: ds})
		} else {
			compare(&ds, nil, &now[i])
			add(Change{Subject: shown, New: true, Differences: ds})
		}
	}
	for _, n := range order {
		for _, gone := range earlier[n] {
			var ds differences
			compare(&ds, gone, nil)
			add(Change{Subject: n, Gone: true, Differences: ds})
		}
	}
}

func (ds *differences) message(before, now *jobs.TrialMessage) {
	ds.text("record", number(before.Record), number(now.Record))
	names := maps.Clone(before.Headers)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, now.Headers)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, had := before.Headers[name]
		is, has := now.Headers[name]
		switch {
		case had && has:
			ds.text(join("headers", name), was, is)
		case had:
			ds.add(join("headers", name), some(was), nil)
		default:
			ds.add(join("headers", name), nil, some(is))
		}
	}
	was, wasJSON := parse(before.Body)
	is, isJSON := parse(now.Body)
	if wasJSON && isJSON {
		ds.trees("body", &was, &is, false)
	} else {
		ds.lines("body", cmp.Or(string(before.Body), before.Text), cmp.Or(string(now.Body), now.Text))
	}
	if before.Ref != "" && bytes.Equal(before.Body, now.Body) { // else the key differs because the body does, or the file
		ds.text("key", before.Key, now.Key)
	}
	if before.Answer != nil && now.Answer != nil { // else one of the trials had no answers
		ds.text("answer", answer(before.Answer), answer(now.Answer))
	}
}

// answer is what an answer makes of a message, in one line.
func answer(a *jobs.TrialAnswer) string {
	parts := []string{a.Outcome}
	if a.Reason != "" {
		parts = append(parts, a.Reason)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Captures)) {
		parts = append(parts, name+": "+a.Captures[name])
	}
	return strings.Join(parts, "; ")
}

// only tells a message that one of the trials has alone.
func (ds *differences) only(m *jobs.TrialMessage, was bool) {
	if t, ok := parse(m.Body); ok {
		ds.only1("body", &t, was)
		return
	}
	t := tree{text: m.Text}
	ds.only1("body", &t, was)
}

func (ds *differences) only1(path string, t *tree, was bool) {
	if was {
		ds.add(path, some(t.String()), nil)
	} else {
		ds.add(path, nil, some(t.String()))
	}
}
