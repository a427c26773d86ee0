package jobs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"waybill/formats"
)

// Bounds of grouping, which holds one group, and eight bytes for every group that was.
const (
	mostGroup  = 8 << 20 // bytes of one group
	mostTaken  = 200_000 // values of one group
	mostGroups = 1 << 20 // whose keys are remembered for apart: reject
)

// grouping collects the rows of one group.
type grouping struct {
	open  bool
	key   []byte
	next  []byte // key of the row at hand
	keep  []value
	rows  [][]value
	at    []place
	make  maker
	bad   string // why the group is rejected
	taint int64  // line of a row that may belong to the next group, and could not be read
	whole []value

	seed maphash.Seed
	seen map[uint64]struct{}
	base frame
}

// place is where a row stands; bad rows have been rejected already.
type place struct {
	number, line int64
	bad          bool
}

func (p place) String() string {
	if p.line > 0 {
		return fmt.Sprintf("line %d", p.line)
	}
	return fmt.Sprintf("record %d", p.number)
}

// add takes the row at hand, bad or not.
func (g *grouping) add(r *run) error {
	spec := r.part.group
	here := place{r.number, r.line, len(r.faults) > 0}
	g.next = g.next[:0]
	for _, i := range spec.by {
		if !r.row[i].set { // its key cannot be read
			r.reject(r.number, r.line, r.faults...)
			g.unreadable(r, r.line)
			return nil
		}
		g.next = binary.AppendUvarint(g.next, uint64(len(r.row[i].text)))
		g.next = append(g.next, r.row[i].text...)
	}
	if !g.open || !bytes.Equal(g.key, g.next) {
		if err := g.close(r); err != nil {
			return err
		}
		if err := g.begin(r); err != nil {
			return err
		}
	} else {
		g.agree(r)
		here.bad = len(r.faults) > 0
	}
	g.at = append(g.at, here)
	if here.bad {
		r.reject(r.number, r.line, r.faults...)
		if g.bad == "" {
			g.bad = here.String() + " is bad"
		}
	}
	if g.bad != "" {
		return nil
	}
	line := g.make.newRow(len(spec.take))
	for j, i := range spec.take {
		line[j] = g.make.copy(r.row[i])
	}
	g.rows = append(g.rows, line)
	if len(g.make.arena) > mostGroup || len(g.make.values) > mostTaken {
		return &formats.FileError{Line: g.at[0].line, Offset: -1, Reason: fmt.Sprintf("the group that starts here has more than %d values or %d MiB", mostTaken, mostGroup>>20)}
	}
	return nil
}

// begin starts a group with the row at hand.
func (g *grouping) begin(r *run) error {
	spec := r.part.group
	g.open, g.bad = true, ""
	g.key = append(g.key[:0], g.next...)
	g.rows, g.at, g.keep = g.rows[:0], g.at[:0], g.keep[:0]
	g.make.reset()
	for _, i := range spec.keep {
		g.keep = append(g.keep, g.make.copy(r.row[i]))
	}
	if g.taint != 0 {
		g.bad, g.taint = fmt.Sprintf("line %d may belong to it and cannot be read", g.taint), 0
	}
	if !spec.apart {
		return nil
	}
	if g.seen == nil {
		g.seed, g.seen = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	h := maphash.Bytes(g.seed, g.key)
	if _, again := g.seen[h]; again {
		g.bad = "rows of its key stand further up, apart from these"
	}
	g.seen[h] = struct{}{}
	if len(g.seen) > mostGroups {
		return &formats.FileError{Line: r.line, Offset: -1, Limit: "read.group.apart",
			Reason: fmt.Sprintf("more than %d groups: rows that stand apart could not be told any more; split the file, or set apart: process", mostGroups)}
	}
	return nil
}

// agree finds fields of the row at hand that differ from the group's.
func (g *grouping) agree(r *run) {
	for j, i := range r.part.group.keep {
		a, b := &g.keep[j], &r.row[i]
		f := &r.part.fields[i]
		if len(r.faults) > 0 || same(f, *a, *b) {
			continue
		}
		r.faults = append(r.faults, fault{f.name, b.text, fmt.Sprintf("differs from %s of the same group, which has %q", g.at[0], clip(a.text))})
	}
}

// same compares two values of a field.
func same(f *field, a, b value) bool {
	if a.set != b.set || len(a.rows) != len(b.rows) || !bytes.Equal(a.text, b.text) {
		return false
	}
	for i := range a.rows {
		for j := range f.fields {
			if !same(&f.fields[j], a.rows[i][j], b.rows[i][j]) {
				return false
			}
		}
	}
	return true
}

// unreadable notes a row whose key is not known. It may belong to the group before it or to the one behind, so neither
// may go out as if it were whole.
func (g *grouping) unreadable(r *run, line int64) {
	if r.p.reader.parts[0].group == nil {
		return
	}
	if g.open && g.bad == "" {
		g.bad = fmt.Sprintf("line %d may belong to it and cannot be read", line)
	}
	g.taint = max(line, 1)
}

// close works the group as one record, or rejects the rows that were not rejected yet.
func (g *grouping) close(r *run) error {
	if !g.open {
		return nil
	}
	g.open = false
	if g.bad != "" {
		for _, p := range g.at {
			if !p.bad {
				r.reject(p.number, p.line, fault{reason: "its group is rejected: " + g.bad})
			}
		}
		return nil
	}
	number, line := r.number, r.line
	r.number, r.line = g.at[0].number, g.at[0].line
	g.whole = append(append(g.whole[:0], g.keep...), value{set: true, rows: g.rows})
	g.base.turn(r.p.reader.parts[0].record, g.whole)
	part := r.part
	r.part = &r.p.reader.parts[0]
	err := r.work(&g.base)
	r.part, r.number, r.line = part, number, line
	return err
}
