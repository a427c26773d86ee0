package formats

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Files of lines (fixed, csv, ndjson) whose parts are told apart by the kind of a line, which stands at one place in each of them, or by
// standing first or last. What the lines of each part hold is the format's; here is which part a line belongs to, that the parts
// stand in order, and that following lines of one kind become a list of the record before them.

// A lineLayout is what a file of lines is made of.
type lineLayout struct {
	o       Options
	parts   []Part
	kinds   map[string]lineKind
	details [][]lineDetail // by index of parts
	roles   [5]int         // the part of each role but Body, -1: none
	first   int            // the part whose line is the first, whatever kind that has; -1: none
	last    int            // and the last
	rest    int            // the part of all other kinds; -1: none
	several bool           // there is more than records of one kind
}

// A lineKind says what the lines of one kind are.
type lineKind struct {
	part   int  // -1: none of the parts
	ignore bool // passed over
	detail bool // rows of the record before them
}

// A lineDetail is a list of the lines that follow a record.
type lineDetail struct {
	want  int
	kind  string
	table int // by which their cells are taken
}

// layLines compiles the parts. table is called for the fields of each part, in order, and then for those of each list of details.
func layLines(o Options, parts []Part, table func(p Part, path string, wants []Want) []Problem) (*lineLayout, []Problem) {
	l := &lineLayout{o: o, parts: parts, kinds: map[string]lineKind{}, details: make([][]lineDetail, len(parts)), roles: [5]int{-1, -1, -1, -1, -1},
		first: -1, last: -1, rest: -1, several: o.Kind != "" || len(parts) != 1 || parts[0].Role != Body}
	var ps []Problem
	bodies := 0
	for i, p := range parts {
		ps = append(ps, table(p, p.path()+"fields.", p.Wants)...)
		if p.Role == Body {
			bodies++
		} else if l.roles[p.Role] >= 0 {
			ps = append(ps, Problem{strings.TrimSuffix(p.path(), "."), "a file has only one"})
		} else {
			l.roles[p.Role] = i
		}
		ps = append(ps, l.place(i)...)
	}
	if bodies == 0 {
		ps = append(ps, Problem{"records", "missing: header and trailer stand around records"})
	}
	if l.rest >= 0 && bodies > 1 {
		ps = append(ps, Problem{parts[l.rest].path() + "kind", "missing: where there are several kinds of records each says which text at kind tells it"})
	}
	tables := len(parts)
	for i, p := range parts {
		for k, w := range p.Wants {
			if w.Kind == "" {
				continue
			}
			path := p.path() + "fields." + w.Name
			ps = append(ps, l.detail(i, k, tables, path)...)
			ps = append(ps, table(Part{Role: Body}, path+".fields.", w.Fields)...)
			tables++
		}
	}
	for _, k := range o.Ignore {
		if what := l.claim(k, lineKind{part: -1, ignore: true}); what != "" {
			ps = append(ps, Problem{"ignore", what})
		}
	}
	if o.Kind == "" && len(l.kinds) > 0 {
		ps = append(ps, Problem{"kind", "missing: it says where the kind of a line stands"})
	}
	if o.Kind != "" && len(l.kinds) == 0 {
		ps = append(ps, Problem{"kind", "nothing goes by it: name the kind of header, trailer, block or records, or what to ignore"})
	}
	return l, ps
}

// place says by what the lines of a part are known.
func (l *lineLayout) place(part int) []Problem {
	p := l.parts[part]
	kind := strings.TrimSpace(p.Kind)
	switch {
	case kind != "":
		if what := l.claim(kind, lineKind{part: part}); what != "" {
			return []Problem{{p.path() + "kind", what}}
		}
	case p.Role == Header:
		l.first = part
	case p.Role == Trailer:
		l.last = part
	case p.Role == Body:
		l.rest = part
	default:
		return []Problem{{p.path() + "kind", "missing: it is the text at kind that tells such a line"}}
	}
	return nil
}

// claim notes what the lines of a kind are, or tells what they are already.
func (l *lineLayout) claim(kind string, k lineKind) string {
	kind = strings.TrimSpace(kind)
	if old, taken := l.kinds[kind]; taken && !(old.detail && k.detail) {
		return fmt.Sprintf("lines of kind %q are %s already", kind, l.noun(old))
	}
	l.kinds[kind] = k
	return ""
}

// noun names what lines are, for messages.
func (l *lineLayout) noun(k lineKind) string {
	switch {
	case k.ignore:
		return "ignored"
	case k.detail:
		return "details"
	}
	return l.nameOf(k.part)
}

func (l *lineLayout) nameOf(part int) string {
	p := l.parts[part]
	if p.Role == Body && p.Name != "" {
		return p.Name
	}
	return p.Role.String()
}

// detail compiles a list of following lines.
func (l *lineLayout) detail(part, want, table int, path string) []Problem {
	w := l.parts[part].Wants[want]
	switch {
	case !w.List:
		return []Problem{{path + ".kind", "goes with type list, which the lines of that kind become"}}
	case w.Column != "":
		return []Problem{{path + ".column", "does not go with kind: the list is made of the lines that follow"}}
	case len(w.Fields) == 0:
		return []Problem{{path + ".fields", "missing: name the fields of the lines that follow"}}
	case slices.ContainsFunc(w.Fields, func(f Want) bool { return f.Kind != "" }):
		return []Problem{{path + ".fields", "lines that follow a record have none that follow them: give both kinds to the record"}}
	}
	kind := strings.TrimSpace(w.Kind)
	if slices.ContainsFunc(l.details[part], func(d lineDetail) bool { return d.kind == kind }) {
		return []Problem{{path + ".kind", fmt.Sprintf("lines of kind %q are another list already", kind)}}
	}
	l.details[part] = append(l.details[part], lineDetail{want, kind, table})
	if what := l.claim(kind, lineKind{part: -1, detail: true}); what != "" {
		return []Problem{{path + ".kind", what}}
	}
	return nil
}

// unknown says that there is no such kind, and which there are.
func (l *lineLayout) unknown(kind []byte) string {
	var names, known []string
	for name, k := range l.kinds {
		known = append(known, name)
		names = append(names, fmt.Sprintf("%s (%s)", name, l.noun(k)))
	}
	slices.Sort(names)
	return fmt.Sprintf("the line is of kind %q, which is none of %s%s; ignore: passes kinds over", cut(kind), strings.Join(names, ", "), meantExactly(string(kind), known))
}

// meantExactly suggests a kind that differs in case only: most kinds are so short that any other is near.
func meantExactly(kind string, known []string) string {
	for _, k := range known {
		if strings.EqualFold(k, kind) {
			return fmt.Sprintf(", did you mean %q?", k)
		}
	}
	return ""
}

// A lineOrder sees that the parts of a file stand in order. What does not is an error of the file: no block, no sum would be right.
type lineOrder struct {
	l      *lineLayout
	any    bool  // something stood there
	begun  bool  // the header did
	ended  int64 // line or offset of the trailer, from 1
	inside bool  // a block
	since  string
	where  string // of the line at hand
}

// step takes the next line of a part, -1 for one that is of no known kind.
func (s *lineOrder) step(part int, rec *Record) error {
	s.where = placeOf(rec)
	role, what := Body, "a line"
	if part >= 0 {
		role, what = s.l.parts[part].Role, s.l.told(part)
	}
	header, opens, closes := s.l.roles[Header] >= 0, s.l.roles[BlockHeader] >= 0, s.l.roles[BlockTrailer] >= 0
	refuse := func(format string, args ...any) error {
		return &FileError{Line: rec.Line, Offset: rec.Offset, Reason: fmt.Sprintf(format, args...)}
	}
	s.any = true
	switch {
	case s.ended > 0:
		return refuse("%s stands behind the trailer of the file: two files in one?", what)
	case role == Header && s.begun:
		return refuse("a second header: two files in one?")
	case role == Header:
		s.begun = true
		return nil
	case header && !s.begun:
		return refuse("the file begins with %s, its %s should stand first: is the beginning cut off?", what, s.l.told(s.l.roles[Header]))
	case role == BlockHeader && s.inside && closes:
		return refuse("a block begins, but the one that began in %s has no %s yet", s.since, s.l.told(s.l.roles[BlockTrailer]))
	case role == BlockTrailer && opens && !s.inside:
		return refuse("%s stands where no block has begun: its %s is missing", what, s.l.told(s.l.roles[BlockHeader]))
	case role == Body && part >= 0 && opens && !s.inside:
		return refuse("%s stands outside a block: the %s is missing before it", what, s.l.told(s.l.roles[BlockHeader]))
	case role == Trailer && s.inside && closes:
		return refuse("the trailer of the file stands in the block that began in %s and has no %s", s.since, s.l.told(s.l.roles[BlockTrailer]))
	}
	switch {
	case role == Trailer:
		s.ended = 1
	case role == BlockTrailer:
		s.inside = false
	case role == BlockHeader, !s.inside && closes && part >= 0:
		s.inside, s.since = true, s.where
	}
	return nil
}

func placeOf(rec *Record) string {
	return (&FileError{Line: rec.Line, Offset: rec.Offset}).Place()
}

// told names a part with its kind.
func (l *lineLayout) told(part int) string {
	if kind := strings.TrimSpace(l.parts[part].Kind); kind != "" {
		return fmt.Sprintf("%s (kind %s)", l.nameOf(part), kind)
	}
	if p := l.parts[part]; p.Role == Body && p.Name == "" {
		return "a record"
	}
	return l.nameOf(part)
}

// end sees that nothing is missing behind the last line.
func (s *lineOrder) end(rec *Record) error {
	reason := ""
	switch {
	case !s.any:
	case s.l.roles[Header] >= 0 && !s.begun:
		reason = fmt.Sprintf("the file has no %s", s.l.told(s.l.roles[Header]))
	case s.inside && s.l.roles[BlockTrailer] >= 0:
		reason = fmt.Sprintf("the file ends in the block that began in %s, without its %s: cut?", s.since, s.l.told(s.l.roles[BlockTrailer]))
	case s.l.roles[Trailer] >= 0 && s.ended == 0:
		reason = fmt.Sprintf("the file ends without its %s: cut?", s.l.told(s.l.roles[Trailer]))
	}
	if reason == "" {
		return nil
	}
	return &FileError{Line: rec.Line, Offset: rec.Offset, Reason: reason}
}

// kindOf finds what a line is by the text of its kind.
func (l *lineLayout) kindOf(text []byte) (lineKind, bool) {
	k, ok := l.kinds[string(bytes.TrimSpace(text))]
	if !ok && l.rest >= 0 {
		return lineKind{part: l.rest}, true
	}
	return k, ok
}
