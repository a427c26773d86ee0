package infer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A Kind is one of several kinds of records that a file holds.
type Kind struct {
	Name   string // of the kind, as the configuration has it
	Text   string // what tells its lines
	Fields []*Field
}

// A layout says how lines of several kinds follow each other. Records begin and end with the first and last line that are neither header nor trailer.
type layout struct {
	width           int // columns of the kind, from the first on
	header, trailer string
	filler          string // the kind of lines of one character, which fill up a block of the tape it once was; "": there are none
	blocks          bool   // header and trailer come again and again
	kinds           []string
	lines           map[string][][]rune
}

const (
	kindColumns = 3 // most columns that tell a kind
	kindsMost   = 9
)

// layoutOf finds lines of several kinds: the first columns hold one of a few texts, the first line is of a kind of its own, or the last is, and one of these is
// laid out unlike those between them. Numbers that only count up are none.
func layoutOf(files [][][]rune) *layout {
	var found *layout
	files, filler := unfilled(files)
	for width := 1; width <= kindColumns; width++ {
		l := layoutBy(files, width)
		if l != nil && filler != "" {
			if l.filler = filler[:width]; l.lines[l.filler] != nil { // as the trailer of NACHA: 9, and 99 is the filler
				continue
			}
		}
		switch {
		case l != nil && found == nil:
			found = l
		case l != nil && len(l.lines) == len(found.lines) && allLetters(l.lines): // HDR rather than H
			found = l
		}
	}
	return found
}

// unfilled are files without the lines of one digit or letter behind their last one, as NACHA has them, and the beginning of such a line, "" where there is none.
func unfilled(files [][][]rune) (rest [][][]rune, filler string) {
	for _, lines := range files {
		n := len(lines)
		for n > 1 && len(lines[n-1]) > 2*kindColumns && fills(lines[n-1]) && (filler == "" || rune(filler[0]) == lines[n-1][0]) {
			filler = strings.Repeat(string(lines[n-1][0]), kindColumns)
			n--
		}
		rest = append(rest, lines[:n])
	}
	return rest, filler
}

// fills reports whether a line is one character of ASCII, a digit or letter, again and again.
func fills(line []rune) bool {
	r := line[0]
	return r < unicode.MaxASCII && (unicode.IsDigit(r) || unicode.IsLetter(r)) && !slices.ContainsFunc(line, func(o rune) bool { return o != r })
}

// even reports whether the lines of each kind have one length.
func (l *layout) even() bool {
	for _, lines := range l.lines {
		for _, line := range lines {
			if len(line) != len(lines[0]) {
				return false
			}
		}
	}
	return true
}

func allLetters(kinds map[string][][]rune) bool {
	for kind := range kinds {
		if strings.ContainsFunc(kind, func(r rune) bool { return !unicode.IsLetter(r) }) {
			return false
		}
	}
	return true
}

func layoutBy(files [][][]rune, width int) *layout {
	l := &layout{width: width, lines: map[string][][]rune{}}
	firsts, lasts := map[string]bool{}, map[string]bool{}
	for _, lines := range files {
		for i, line := range lines {
			if len(line) <= width || slices.ContainsFunc(line[:width], func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
				return nil
			}
			kind := string(line[:width])
			if l.lines[kind] == nil {
				l.kinds = append(l.kinds, kind)
			}
			l.lines[kind] = append(l.lines[kind], line)
			if i == 0 {
				firsts[kind] = true
			}
			if i == len(lines)-1 {
				lasts[kind] = true
			}
		}
	}
	if len(l.kinds) < 2 || len(l.kinds) > kindsMost || len(firsts) != 1 || len(lasts) != 1 {
		return nil
	}
	first, last := l.kinds[0], string(files[0][len(files[0])-1][:width])
	if first == last || !l.frame(len(files), first, last) {
		return nil
	}
	l.kinds = slices.DeleteFunc(l.kinds, func(k string) bool { return k == l.header || k == l.trailer })
	var most [][]rune
	for _, k := range l.kinds {
		if len(l.lines[k]) > len(most) {
			most = l.lines[k]
		}
	}
	odd := l.header != "" && unlike(l.lines[l.header][0], most) || l.trailer != "" && unlike(l.lines[l.trailer][0], most)
	if len(most) < 2 || !l.even() || !odd && !l.turns(files) {
		return nil
	}
	return l
}

// turns reports whether kinds follow each other as parts of things do, each header by its trailer and kinds to and fro between them: what only counts up goes up.
func (l *layout) turns(files [][][]rune) bool {
	for _, lines := range files {
		open, back, before := false, false, ""
		for _, line := range lines {
			kind := string(line[:l.width])
			if kind == l.header && open || l.blocks && kind != l.header && !open {
				return false
			}
			switch kind {
			case l.header:
				open = true
			case l.trailer:
				open = false
			default:
				back = back || kind < before
				before = kind
			}
		}
		if !back {
			return false
		}
	}
	return true
}

// frame tells header and trailer: kinds that stand once in each file, at its beginning or end; or, where both come as often, blocks.
func (l *layout) frame(files int, first, last string) bool {
	opens, closes := len(l.lines[first]), len(l.lines[last])
	if opens == files {
		l.header = first
	}
	if closes == files {
		l.trailer = last
	}
	if l.header == "" && l.trailer == "" && opens == closes && len(l.kinds) > 2 {
		l.header, l.trailer, l.blocks = first, last, true
	}
	return l.header != "" || l.trailer != ""
}

// unlike reports whether a line is laid out as none of others is: letters or digits stand where all of them have something else.
func unlike(line []rune, others [][]rune) bool {
	odd, all := 0, 0
	for i, r := range line {
		if unicode.IsSpace(r) {
			continue
		}
		all++
		filled, same := false, false
		for _, o := range others {
			filled = filled || i < len(o) && !unicode.IsSpace(o[i])
			same = same || i < len(o) && class(o[i]) == class(r)
		}
		if filled && !same {
			odd++
		}
	}
	return odd >= 3 && odd*8 >= all
}

// class is what kind of character one is.
func class(r rune) int {
	switch {
	case unicode.IsSpace(r):
		return 0
	case unicode.IsDigit(r):
		return 1
	case unicode.IsLetter(r):
		return 2
	}
	return 3
}

// lay proposes kinds of records, and what stands around them.
func (p *Proposal) lay(l *layout, reserved func(string) bool) {
	o := &p.Options
	o.Kind = "1-" + strconv.Itoa(l.width)
	if l.width == 1 {
		o.Kind = "1"
	}
	o.Length = 0 // each kind may have its own
	p.Why["kind"] = fmt.Sprintf("the lines begin with one of %d texts", len(l.lines))
	if l.filler != "" {
		o.Ignore, p.Why["ignore"] = []string{l.filler}, "lines of one character only, which fill up"
	}
	fields := func(kind string) []*Field {
		n := &namer{taken: map[string]bool{}, reserved: reserved}
		return fixedFields(n, l.lines[kind], l.width)
	}
	if l.header != "" {
		p.Header, p.HeaderKind = fields(l.header), l.header
	}
	if l.trailer != "" {
		p.Trailer, p.TrailerKind = fields(l.trailer), l.trailer
	}
	p.Blocks = l.blocks
	p.Records = 0
	for _, k := range l.kinds {
		p.Kinds = append(p.Kinds, &Kind{Name: "kind_" + identifierOf(k), Text: k, Fields: fields(k)})
		p.Records += len(l.lines[k])
	}
}

// identifierOf is a kind's text as the end of a name.
func identifierOf(kind string) string {
	if name := identifier(kind); name != "" && unicode.IsLetter([]rune(kind)[0]) {
		return name
	}
	return kind
}

// fixedFields proposes fields for lines, from the column behind so many on.
func fixedFields(n *namer, lines [][]rune, behind int) (list []*Field) {
	for _, c := range cuts(lines, behind) {
		var all column
		for _, l := range lines {
			all.add(&value{kind: text, text: part(l, c)})
		}
		f := &Field{Name: n.name(fmt.Sprintf("column %d", c.from)), From: fmt.Sprintf("%d-%d", c.from, c.to)}
		if c.from == c.to {
			f.From = fmt.Sprint(c.from)
		}
		f.scalar(&all, true, len(lines))
		list = append(list, f)
	}
	return list
}
