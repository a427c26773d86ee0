package ledger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waybill/store"
)

// model is what the ledger should hold, in the simplest words.
type model struct {
	entries map[int64]*modelEntry
	files   map[string]int64 // path and content → file
	claims  map[int64]Entry
}

type modelEntry struct {
	id, file, first int64
	run             int
	content, path   string
	state           State
	owns            bool // holds the identity of its content
	claims          bool // or a numbered one
}

// holder is the entry that has a content's identity: never more than one.
func (m *model) holder(content string) *modelEntry {
	for _, e := range m.entries {
		if e.owns && e.content == content {
			return e
		}
	}
	return nil
}

func (m *model) in(states ...State) []int64 {
	var ids []int64
	for _, id := range slices.Sorted(maps.Keys(m.entries)) {
		if slices.Contains(states, m.entries[id].state) {
			ids = append(ids, id)
		}
	}
	return ids
}

// lastRun is the newest run of what e is a run of.
func (m *model) lastRun(first int64) *modelEntry {
	best := m.entries[first]
	for _, e := range m.entries {
		if e.first == first && e.run > best.run {
			best = e
		}
	}
	return best
}

const modelRuns = 40

// Any sequence of landings, claims, outcomes, commands and restarts leaves the ledger as the model says.
func TestLedgerBehavesAsItsModel(t *testing.T) {
	t.Parallel()
	base := newRig(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++ // each run has a source and a job of its own in the one database
		if n > modelRuns && !t.Failed() {
			return // enough of them for every day; rapid's 100 take a minute on a busy machine
		}
		r := base.restarted()
		job, source := fmt.Sprint("job", n), fmt.Sprint("source", n)
		r.SetRouter(routes{{Job: job}})
		m := &machine{rig: r, job: job, source: source,
			model: model{entries: map[int64]*modelEntry{}, files: map[string]int64{}, claims: map[int64]Entry{}}}
		rt.Repeat(map[string]func(*rapid.T){
			"land":    m.land,
			"claim":   m.claimSome,
			"accept":  m.accept,
			"release": m.release,
			"finish":  m.finishSome,
			"approve": m.approve,
			"cancel":  m.cancel,
			"replay":  m.replay,
			"restart": m.restart,
			"":        m.check,
		})
	})
	if _, err := base.Verify(ctx); err != nil {
		t.Error(err)
	}
}

type machine struct {
	*rig
	model       model
	job, source string
}

func (m *machine) land(t *rapid.T) {
	path := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "path")
	content := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "content")
	a := Arrival{Source: m.source, Path: path, Version: content + rapid.SampledFrom([]string{"1", "2"}).Draw(t, "version")}
	f, es, err := m.Land(ctx, a, strings.NewReader(content))
	if err != nil || len(es) != 1 {
		t.Fatalf("%v, %v", es, err)
	}
	e := es[0]
	if file, ok := m.model.files[a.Path+"/"+a.Version]; ok {
		if f.ID != file || m.model.entries[e.ID] == nil {
			t.Fatalf("landed again as file %d entry #%d, was file %d", f.ID, e.ID, file)
		}
		return
	}
	m.model.files[a.Path+"/"+a.Version] = f.ID
	want := &modelEntry{id: e.ID, file: f.ID, first: e.ID, run: 1, content: content, path: path, state: Received, owns: true, claims: true}
	var alike []*modelEntry
	for _, o := range m.model.entries {
		if o.content == content && o.claims {
			alike = append(alike, o)
		}
	}
	if len(alike) > 0 {
		want.state, want.owns = Held, false
		for _, o := range alike {
			if o.path == path {
				want.state, want.claims = Duplicate, false
			}
		}
	}
	m.model.entries[e.ID] = want
	if e.State != want.state {
		t.Fatalf("landed as %s, want %s (alike %d)", e.State, want.state, len(alike))
	}
}

func (m *machine) claimSome(t *rapid.T) {
	k := rapid.IntRange(1, 3).Draw(t, "n")
	es, err := m.Claim(ctx, m.job, k)
	if err != nil {
		t.Fatal(err)
	}
	free := slices.DeleteFunc(m.model.in(Received, Working), func(id int64) bool { _, ok := m.model.claims[id]; return ok })
	free = free[:min(k, len(free))]
	if len(es) != len(free) {
		t.Fatalf("claimed %d, want %v", len(es), free)
	}
	for i, e := range es {
		if e.ID != free[i] {
			t.Fatalf("claimed #%d, want #%d: the oldest first", e.ID, free[i])
		}
		m.model.claims[e.ID] = e
	}
}

// claimed draws one of the claimed entries.
func (m *machine) claimed(t *rapid.T) Entry {
	ids := slices.Sorted(maps.Keys(m.model.claims))
	if len(ids) == 0 {
		t.Skip("nothing is claimed")
	}
	return m.model.claims[rapid.SampledFrom(ids).Draw(t, "claim")]
}

func (m *machine) accept(t *rapid.T) {
	e := m.claimed(t)
	o := Outcome{State: rapid.SampledFrom([]State{Accepted, Accepted, Delivered, Rejected, Held, Duplicate}).Draw(t, "outcome")}
	staged := rapid.Bool().Draw(t, "staged")
	err := m.db.Tx(ctx, func(tx *store.Tx) error {
		if staged {
			if err := m.Working(tx, e); err != nil {
				return err
			}
		}
		return m.Accept(tx, e, o)
	})
	want := m.model.entries[e.ID]
	if want.state != Received && want.state != Working {
		if !errors.Is(err, ErrGone) {
			t.Fatalf("accepted #%d, which is %s: %v", e.ID, want.state, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	want.state = o.State
	if o.State == Rejected || o.State == Duplicate {
		want.owns, want.claims = false, false
	}
}

func (m *machine) release(t *rapid.T) {
	e := m.claimed(t)
	m.Release(e)
	delete(m.model.claims, e.ID)
}

func (m *machine) finishSome(t *rapid.T) {
	var results []Finish
	for id, e := range m.model.entries {
		if !rapid.Bool().Draw(t, "finish") {
			continue
		}
		dead := rapid.Int64Range(0, 1).Draw(t, "dead")
		results = append(results, Finish{Entry: id, Dead: dead})
		if e.state == Accepted || e.state == Failed {
			e.state = []State{Delivered, Failed}[dead]
		}
	}
	if err := m.db.Tx(ctx, func(tx *store.Tx) error { return m.Finish(tx, results) }); err != nil {
		t.Fatal(err)
	}
}

// any draws an entry of any state.
func (m *machine) any(t *rapid.T) *modelEntry {
	ids := slices.Sorted(maps.Keys(m.model.entries))
	if len(ids) == 0 {
		t.Skip("no entries")
	}
	return m.model.entries[rapid.SampledFrom(ids).Draw(t, "entry")]
}

func (m *machine) approve(t *rapid.T) {
	e := m.any(t)
	err := m.Approve(ctx, e.id, "ops")
	if (err == nil) != (e.state == Held) {
		t.Fatalf("approve #%d, which is %s: %v", e.id, e.state, err)
	}
	if err == nil {
		e.state = Received
	}
}

func (m *machine) cancel(t *rapid.T) {
	e := m.any(t)
	err := m.Cancel(ctx, e.id, "ops")
	if (err == nil) != (e.state == Held || e.state == Received || e.state == Working) {
		t.Fatalf("cancel #%d, which is %s: %v", e.id, e.state, err)
	}
	if err == nil {
		e.state, e.owns, e.claims = Cancelled, false, false
	}
}

func (m *machine) replay(t *rapid.T) {
	e := m.any(t)
	last := m.model.lastRun(e.first)
	got, err := m.Replay(ctx, e.id, "ops", rapid.Bool().Draw(t, "rerender"))
	ended := func(s State) bool { return s.final() || s == Failed }
	if !ended(e.state) || !ended(last.state) {
		var wrong *StateError
		if !errors.As(err, &wrong) {
			t.Fatalf("replay #%d, which is %s, last run %s: %v", e.id, e.state, last.state, err)
		}
		return
	}
	if err != nil { // only because another entry has its identity
		if h := m.model.holder(e.content); h == nil || h.first == e.first {
			t.Fatalf("replay #%d: %v", e.id, err)
		}
		return
	}
	own, err := m.ownIdentity(got.ID)
	if err != nil {
		t.Fatal(err)
	}
	m.model.entries[got.ID] = &modelEntry{id: got.ID, file: e.file, first: e.first, run: last.run + 1, content: e.content, path: e.path,
		state: Received, claims: own != "", owns: own != "" && !strings.Contains(own, "#")}
	if got.Run != last.run+1 || got.Origin != e.first || got.Identity == "" {
		t.Fatalf("replayed as %+v", got)
	}
}

func (m *machine) ownIdentity(id int64) (s string, err error) {
	err = m.db.Reader(ctx).QueryRow(`SELECT COALESCE(identity, '') FROM entries WHERE id = ?`, id).Scan(&s)
	return s, err
}

func (m *machine) restart(*rapid.T) {
	m.rig = m.restarted()
	m.model.claims = map[int64]Entry{}
}

// check compares everything.
func (m *machine) check(t *rapid.T) {
	list, err := m.List(ctx, Filter{Jobs: []string{m.job}, Limit: 1000})
	if err != nil || len(list) != len(m.model.entries) {
		t.Fatalf("%d entries, want %d, %v", len(list), len(m.model.entries), err)
	}
	open := map[int64]bool{}
	for _, e := range list {
		want := m.model.entries[e.ID]
		if e.State != want.state && (e.State != Working || want.state != Received) {
			t.Fatalf("#%d is %s, want %s", e.ID, e.State, want.state)
		}
		own, err := m.ownIdentity(e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if (own != "") != want.claims {
			t.Fatalf("#%d (%s) has identity %q, want one: %v", e.ID, e.State, own, want.claims)
		}
		if owns := own != "" && !strings.Contains(own, "#"); owns != want.owns {
			t.Fatalf("#%d (%s) has identity %q, want that it holds the plain one: %v", e.ID, e.State, own, want.owns)
		}
		if !e.State.final() && e.State != Failed {
			open[e.File] = true
		}
	}
	for _, id := range m.model.files {
		f, err := m.File(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		// A replay after the file became closable does not take that back.
		if f.State == FileLanded && !open[id] {
			t.Fatalf("file %d is landed though all its entries have ended", id)
		}
	}
}
