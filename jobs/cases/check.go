package cases

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"

	"waybill/jobs"
	"waybill/ledger"
)

// Check tells what of a trial is not as expected. The trial must show all of its messages.
func (e *Expect) Check(t *jobs.Trial) []Difference {
	var ds differences
	if e.State != "" {
		ds.text("state", e.State, string(t.State))
	}
	if e.Reason != "" {
		ds.text("reason", e.Reason, t.Reason)
	}
	if len(ds) > 0 && t.Reason != "" && e.Reason == "" {
		ds[0].Note = t.Reason
	}
	if e.Records != nil {
		ds.text("records", fmt.Sprint(*e.Records), fmt.Sprint(t.Records))
	}
	e.rejects(&ds, t.Rejects)
	if e.Messages != nil {
		e.messages(&ds, t.Shown)
	}
	if e.Acknowledgement != nil {
		e.told(&ds, t.Told)
	}
	return ds
}

func (e *Expect) rejects(ds *differences, got []ledger.Reject) {
	var want []Reject
	if e.Rejects != nil {
		want = *e.Rejects
	}
	for i := range max(len(want), len(got)) {
		path := fmt.Sprintf("rejects[%d]", i)
		switch {
		case i >= len(got):
			ds.add(path, some(line(want[i])), nil)
		case i >= len(want):
			ds.add(path, nil, some(line(Reject(got[i]))))
		default:
			w, g := want[i], Reject(got[i])
			for _, f := range []struct{ name, want, got string }{
				{"record", number(w.Record), number(g.Record)}, {"line", number(w.Line), number(g.Line)},
				{"field", w.Field, g.Field}, {"value", w.Value, g.Value}, {"reason", w.Reason, g.Reason},
			} {
				if f.want != "" {
					ds.text(path+"."+f.name, f.want, f.got)
				}
			}
		}
	}
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// line is a fault in one line.
func line(r Reject) string {
	s := r.Reason
	if r.Value != "" {
		s = r.Value + " " + s
	}
	if r.Field != "" {
		s = r.Field + ": " + s
	}
	switch {
	case r.Line > 0:
		return fmt.Sprintf("line %d: %s", r.Line, s)
	case r.Record > 0:
		return fmt.Sprintf("record %d: %s", r.Record, s)
	}
	return s
}

// messages compares what is sent. One that is expected under a key is compared with the one that has the key, so that one too many
// does not make all that follow differ.
func (e *Expect) messages(ds *differences, got []jobs.TrialMessage) {
	taken := make([]bool, len(got))
	last, apart := -1, false
	for i := range *e.Messages {
		w := &(*e.Messages)[i]
		path := fmt.Sprintf("messages[%d]", i)
		at := slices.IndexFunc(indexes(got), func(k int) bool { return !taken[k] && w.is(&got[k]) })
		if at < 0 {
			ds.add(path, some(w.name()), nil)
			continue
		}
		taken[at] = true
		apart = apart || at < last
		last = max(last, at)
		w.check(ds, path, &got[at])
	}
	for k := range got {
		if !taken[k] {
			d := Difference{Path: fmt.Sprintf("message %d", k+1), Got: some(summary(&got[k])), at: "messages"}
			*ds = append(*ds, d)
		}
	}
	if apart {
		*ds = append(*ds, Difference{Path: "messages", Note: "all are there, but in another order"})
	}
}

func indexes[T any](list []T) []int {
	all := make([]int, len(list))
	for i := range all {
		all[i] = i
	}
	return all
}

func (m *Message) is(got *jobs.TrialMessage) bool {
	return m.To == got.Destination && (m.Key == "" || m.Key == cmp.Or(got.Ref, got.Key) || m.Key == got.Key)
}

func (m *Message) name() string {
	if m.Key != "" {
		return "to " + m.To + ", key " + m.Key
	}
	return "to " + m.To
}

// summary is a message in one line, as one that nobody expected is told.
func summary(m *jobs.TrialMessage) string {
	s := "to " + m.Destination
	if m.Ref != "" {
		s += ", key " + m.Ref
	}
	if t, ok := parse(m.Body); ok {
		return s + ": " + t.String()
	}
	return s + ": " + m.Text
}

// words are the headers that stand for keys of send.
func (m *Message) words() []struct{ key, header, want string } {
	return []struct{ key, header, want string }{
		{"method", ":method", m.Method}, {"path", ":path", m.Path}, {"query", ":query", m.Query}, {"routing_key", ":routing_key", m.RoutingKey},
		{"exchange", ":exchange", m.Exchange}, {"name", ":name", m.Name}, {"marker", ":marker", m.Marker},
	}
}

func (m *Message) check(ds *differences, path string, got *jobs.TrialMessage) {
	for _, w := range m.words() {
		have := got.Headers[w.header]
		if w.header == ":method" && have == "" && got.Headers[":path"] != "" {
			have = "POST"
		}
		if w.want != "" {
			ds.text(path+"."+w.key, w.want, have)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		if have, ok := got.Headers[name]; ok {
			ds.text(join(path+".headers", name), m.Headers[name], have)
		} else {
			ds.add(join(path+".headers", name), some(m.Headers[name]), nil)
		}
	}
	if m.Original != got.Original && (m.Original || written(&m.Body)) {
		ds.text(path+".original", fmt.Sprint(m.Original), fmt.Sprint(got.Original))
		return
	}
	if written(&m.Body) {
		body(ds, path+".body", &m.Body, got)
	}
}

func written(n *yaml.Node) bool { return n.Kind != 0 }

// body compares a body with the one that is expected: both as JSON when both are, else as texts.
func body(ds *differences, path string, want *yaml.Node, got *jobs.TrialMessage) {
	have, isJSON := parse(got.Body)
	wanted := treeOf(want)
	if want.Kind == yaml.ScalarNode {
		if t, ok := parse([]byte(want.Value)); isJSON && ok {
			ds.trees(path, &t, &have, false)
			return
		}
		ds.lines(path, want.Value, cmp.Or(string(got.Body), got.Text))
		return
	}
	if !isJSON {
		ds.add(path, some(wanted.String()), some(got.Text))
		return
	}
	ds.trees(path, &wanted, &have, false)
}

func (e *Expect) told(ds *differences, got []jobs.TrialNotice) {
	want := *e.Acknowledgement
	for i := range max(len(want), len(got)) {
		path := fmt.Sprintf("acknowledgement[%d]", i)
		switch {
		case i >= len(got):
			ds.add(path, some(cmp.Or(want[i].Name, "a file")), nil)
		case i >= len(want):
			ds.add(path, nil, some(got[i].Name))
		default:
			if want[i].Name != "" {
				ds.text(path+".name", want[i].Name, got[i].Name)
			}
			switch g, isJSON := parse(got[i].Body); {
			case !written(&want[i].Body):
			case isJSON:
				w := treeOf(&want[i].Body)
				ds.trees(path+".body", &w, &g, true)
			default:
				body(ds, path+".body", &want[i].Body, &jobs.TrialMessage{Text: got[i].Text})
			}
		}
	}
}
