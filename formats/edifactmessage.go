package formats

import (
	"bytes"
	"fmt"
	"slices"
)

// message reads one message, whose first segment is UNH, and hands it on.
func (r *ediReading) message(unh ediSegment) error {
	r.make.reset()
	r.make.add(unh)
	bad := ""
	for seg := unh; ; {
		if what := r.fault(seg); what != "" && bad == "" {
			bad = fmt.Sprintf("segment %d: %s", len(r.make.segments), what)
		}
		if seg.tag == tagUNT {
			if what := r.service.ends(seg.bytes, "segments", int64(len(r.make.segments)), r.make.text(r.w, 0), messageReference); what != "" && bad == "" {
				bad = what
			}
			break
		}
		before := r.at
		next, err := r.more()
		if err != nil {
			return r.incomplete(err)
		}
		if t := next.tag; t == tagUNH || t == tagUNZ || t == tagUNE || t == tagUNB || t == tagUNG {
			r.at = before
			if bad == "" {
				bad = fmt.Sprintf("the message ends without UNT: %s begins", next.bytes[:3])
			}
			break
		}
		seg = next
		r.make.add(seg)
	}
	return r.hand(bad)
}

// fault judges a segment by itself.
func (r *ediReading) fault(seg ediSegment) string {
	switch {
	case seg.tag == 0:
		if len(seg.bytes) == 0 {
			return "it is empty"
		}
		return fmt.Sprintf("%s is no beginning of a segment: its name has three letters or digits", shownTag(seg.bytes))
	case seg.broken:
		return fmt.Sprintf("a line ends inside of %s: the end of a segment, %q, is missing, or the file was broken into lines", seg.bytes[:3], r.service.end)
	case seg.escaped:
		return r.service.misuse(seg.bytes)
	}
	return ""
}

// hand hands a message on, or what is wrong with it.
func (r *ediReading) hand(bad string) error {
	m := &r.make
	m.data = r.w.data()
	unh := m.text(r.w, 0)
	id := m.parts(unh, 2)
	body := r.d.body(id)
	if body != nil {
		r.found = true
	} else if bad == "" {
		return nil
	}
	rec := &r.rec
	*rec = Record{Offset: r.w.offset(m.segments[0].from)}
	r.number++
	rec.Number = r.number
	rec.Line = r.w.lineAt(r.line, r.last)
	r.line, r.last = rec.Line, rec.Offset
	if body != nil {
		rec.Part = body.part
	}
	text := m.data[m.segments[0].from:r.at]
	if r.d.o.Raw {
		rec.Raw = text
	}
	if bad != "" {
		return r.reject(rec, unh, bad)
	}
	var fault *ediFault
	if body.plan == nil {
		rec.Cells = m.whole(id)
	} else if rec.Cells, fault = m.record(body.plan, r.unb, r.ung); fault != nil {
		return r.w.refusal(rec.Offset, fault.limit, fault.reason)
	}
	if !r.yield(rec, nil) {
		return errStopped
	}
	return nil
}

func (r *ediReading) reject(rec *Record, unh []byte, bad string) error {
	reference := cut(r.service.component(unh, messageReference, 1))
	if !r.yield(nil, newRecordError(rec, unh, fmt.Sprintf("message %q: %s", reference, bad))) {
		return errStopped
	}
	return nil
}

// An ediMaker makes cells of segments. What it makes stays valid until reset.
type ediMaker struct {
	service  *ediService
	limits   Limits
	segments []ediPlace
	data     []byte // that places are in
	room     []byte // texts that stand nowhere so
	cells    arena[Cell]
	rows     arena[[]Cell]
	spans    []ediSpan
	ids      [][]byte
	ranks    []int
	taken    int // fields taken from lists
}

// An ediPlace is a segment of the message at hand.
type ediPlace struct {
	tag      uint32
	from, to int
}

// An ediSpan is the segments of one row.
type ediSpan struct {
	tag      uint32
	from, to int
	group    bool
}

// An ediFault is a limit that a message passes.
type ediFault struct{ limit, reason string }

func (m *ediMaker) begin(s *ediService, l Limits) { m.service, m.limits = s, l }

func (m *ediMaker) reset() {
	m.segments, m.room, m.taken = m.segments[:0], m.room[:0], 0
	m.cells.reset()
	m.rows.reset()
}

func (m *ediMaker) add(seg ediSegment) {
	m.segments = append(m.segments, ediPlace{seg.tag, seg.from, seg.to})
}

// text returns the bytes of a segment of the message.
func (m *ediMaker) text(w *window, i int) []byte {
	s := m.segments[i]
	return w.data()[s.from:s.to:s.to]
}

// parts returns the components of an element.
func (m *ediMaker) parts(segment []byte, element int) [][]byte {
	m.ids = m.ids[:0]
	for c := 1; c < 16; c++ {
		text := m.service.component(segment, element, c)
		if text == nil {
			break
		}
		m.ids = append(m.ids, text)
	}
	return m.ids
}

// single makes the cells of wants of one segment.
func (m *ediMaker) single(p *ediPlan, segment []byte) ([]Cell, *ediFault) {
	m.data = segment
	m.segments = append(m.segments[:0], ediPlace{tagOf(string(segment[:3])), 0, len(segment)})
	return m.record(p, nil, nil)
}

// record makes the cells of a message.
func (m *ediMaker) record(p *ediPlan, unb, ung []byte) ([]Cell, *ediFault) {
	cells := m.cells.take(len(p.wants))
	clear(cells)
	ranks := m.rank(len(p.wants))
	for i := range p.unb {
		leaf := &p.unb[i]
		segment := unb
		if leaf.tag == tagUNG {
			segment = ung
		}
		if err := m.leaf(p, leaf, segment, cells, ranks); err != nil {
			return nil, err
		}
	}
	return cells, m.fill(p, 0, len(m.segments), cells, ranks)
}

// rank lends places for the ranks of values taken; 0 is none.
func (m *ediMaker) rank(n int) []int {
	at := len(m.ranks)
	if cap(m.ranks) < at+n {
		m.ranks = append(make([]int, 0, 2*(at+n)), m.ranks...)
	}
	m.ranks = m.ranks[:at+n]
	clear(m.ranks[at:])
	return m.ranks[at : at+n]
}

// fill takes what a plan wants from the segments from a up to b.
func (m *ediMaker) fill(p *ediPlan, a, b int, cells []Cell, ranks []int) *ediFault {
	defer func() { m.ranks = m.ranks[:len(m.ranks)-len(ranks)] }()
	mark := len(m.spans)
	defer func() { m.spans = m.spans[:mark] }()
	for i := a; i < b; i++ {
		tag := m.segments[i].tag
		if !slices.Contains(p.asked, tag) {
			continue
		}
		if slices.Contains(p.groups, tag) && (i > a || !p.deep) {
			to := m.groupEnd(p, i, b)
			m.spans = append(m.spans, ediSpan{tag, i, to, true})
			i = to - 1
			continue
		}
		m.spans = append(m.spans, ediSpan{tag, i, i + 1, false})
		for k := range p.leaves {
			if leaf := &p.leaves[k]; leaf.tag == tag {
				s := m.segments[i]
				if err := m.leaf(p, leaf, m.data[s.from:s.to:s.to], cells, ranks); err != nil {
					return err
				}
			}
		}
	}
	for i := range p.wants {
		if w := &p.wants[i]; w.rows != nil {
			if err := m.nest(w, mark, &cells[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// groupEnd finds where the group that segment i begins ends: before the next that begins one here, and before UNS, UNT and b. Where
// another list's follows, or the row around it ends, the last segment that its fields ask for is its last.
func (m *ediMaker) groupEnd(p *ediPlan, i, b int) int {
	tag := m.segments[i].tag
	to := i + 1
	for to < b && m.segments[to].tag != tagUNS && m.segments[to].tag != tagUNT && !slices.Contains(p.groups, m.segments[to].tag) {
		to++
	}
	another := to < b && m.segments[to].tag != tag && m.segments[to].tag != tagUNS && m.segments[to].tag != tagUNT
	if !another && !(p.deep && to == b) {
		return to
	}
	for ; to > i+1; to-- {
		for k := range p.wants {
			if w := &p.wants[k]; w.group && slices.ContainsFunc(w.paths, func(path ediPath) bool { return path.tag == tag }) && slices.Contains(w.rows.asked, m.segments[to-1].tag) {
				return to
			}
		}
	}
	return to
}

// nest makes the rows of a list or an object from the spans found.
func (m *ediMaker) nest(w *ediWant, mark int, cell *Cell) *ediFault {
	found := len(m.spans)
	for k := range w.paths {
		path := &w.paths[k]
		n := 0
		for _, s := range m.spans[mark:found] {
			if m.begins(w, path, s) {
				n++
			}
		}
		if n == 0 {
			continue
		}
		if w.object {
			n = 1
		}
		if m.taken += n * len(w.rows.wants); m.taken > m.limits.MaxCells {
			return &ediFault{"max_cells", fmt.Sprintf("the lists of one message give more than %d fields (max_cells)", m.limits.MaxCells)}
		}
		rows := m.rows.take(n)
		n = 0
		for i := mark; i < found && n < len(rows); i++ {
			s := m.spans[i]
			if !m.begins(w, path, s) {
				continue
			}
			rows[n] = m.cells.take(len(w.rows.wants))
			clear(rows[n])
			if err := m.fill(w.rows, s.from, s.to, rows[n], m.rank(len(w.rows.wants))); err != nil {
				return err
			}
			n++
		}
		*cell = Cell{Kind: Nested, Rows: rows}
		return nil
	}
	return nil
}

// begins tells whether a span is a row of a want.
func (m *ediMaker) begins(w *ediWant, path *ediPath, s ediSpan) bool {
	return s.tag == path.tag && (s.group || !w.group) && m.qualified(path, m.segments[s.from])
}

func (m *ediMaker) qualified(path *ediPath, s ediPlace) bool {
	return path.qualifier == "" || string(m.plain(m.service.component(m.data[s.from:s.to], 1, 1))) == path.qualifier
}

// leaf puts a value into its cell, unless one of a better place is there.
func (m *ediMaker) leaf(p *ediPlan, leaf *ediLeaf, segment []byte, cells []Cell, ranks []int) *ediFault {
	if have := ranks[leaf.want]; have > 0 && have <= leaf.rank+1 || len(segment) == 0 {
		return nil
	}
	if leaf.qualifier != "" && string(m.plain(m.service.component(segment, 1, 1))) != leaf.qualifier {
		return nil
	}
	text := m.plain(m.service.component(segment, leaf.element, leaf.component))
	if len(text) == 0 {
		return nil
	}
	if len(text) > int(m.limits.MaxField) {
		return &ediFault{"max_field", fmt.Sprintf("%s holds a text longer than max_field, %s", segment[:3], m.limits.MaxField)}
	}
	if i := bytes.IndexByte(text, ','); p.wants[leaf.want].number && m.service.decimal == ',' && i >= 0 {
		at := len(m.room)
		m.room = append(m.room, text...)
		text = m.room[at:len(m.room):len(m.room)]
		text[i] = '.'
	}
	ranks[leaf.want] = leaf.rank + 1
	cells[leaf.want] = Cell{Kind: Text, Bytes: text}
	return nil
}

func (m *ediMaker) plain(text []byte) (out []byte) {
	out, m.room = m.service.plain(m.room, text)
	return out
}
