package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A guess is one way to cut a text into rows.
type guess struct {
	delim, quote byte
	rows         []guessRow
	cells        int // that most rows have
	fit          int // how many rows have so many
	first        int // the first of them
	score        float64
}

type guessRow struct {
	line  int64
	cells []string
	bad   bool
}

const guessRows = 500

// table knows rows of cells, whatever parts them.
func (f *Finding) table(text []byte, all bool) bool {
	var best guess
	for _, d := range []byte{',', ';', '\t', '|', ':', '~', '^'} {
		for _, q := range []byte{'"', '\'', 0} {
			if q != 0 && !opens(text, d, q) {
				continue
			}
			g := guess{delim: d, quote: q}
			g.read(text, all)
			if g.weigh(); g.score > best.score*1.001 {
				best = g
			}
		}
	}
	if best.score < 0.3 {
		return false
	}
	f.Format, f.Delimiter = "csv", string(rune(best.delim))
	if best.delim == '\t' {
		f.Format, f.Delimiter = "tsv", ""
	}
	f.found("format", "%d of %d rows have %s", best.fit, len(best.rows), counted(best.cells, "cell"))
	if f.Format == "csv" {
		f.found("delimiter", "cut at %q most rows have the same number of cells, and the cells look like values", best.delim)
	}
	if best.quote != 0 && opens(text, best.delim, best.quote) {
		f.Quote = string(rune(best.quote))
		f.found("quote", "cells stand in %c", best.quote)
	} else if opens(text, best.delim, '"') {
		f.Quote = noQuote
		f.found("quote", "cells begin with \" but do not end with it")
	}
	best.passReport()
	f.head(&best)
	f.marks(&best)
	return true
}

// opens tells whether a cell starts with a quote.
func opens(text []byte, delim, quote byte) bool {
	if text[0] == quote {
		return true
	}
	return bytes.Contains(text, []byte{delim, quote}) || bytes.Contains(text, []byte{'\n', quote})
}

// read cuts the text.
func (g *guess) read(text []byte, all bool) {
	l := Limits{}.WithDefaults()
	w := open(Blob{Reader: bytes.NewReader(text), Size: int64(len(text))}, Options{Limits: l}, &bench{})
	s := newCSVScan(w, g.delim, g.quote, l)
	for len(g.rows) < guessRows {
		err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if !all && int(s.offset)+len(w.data()) == len(text) && len(g.rows) > 0 { // the row that is cut
				return
			}
			g.rows = append(g.rows, guessRow{line: s.line, bad: true})
			return
		}
		if s.blank(0) {
			continue
		}
		row := guessRow{line: s.line, bad: s.bad != ""}
		for _, c := range s.row {
			row.cells = append(row.cells, string(bytes.TrimSpace(c)))
		}
		g.rows = append(g.rows, row)
	}
	if n := len(g.rows); !all && n > 1 && n < guessRows { // the last one is cut
		g.rows = g.rows[:n-1]
	}
}

// weigh says how good a guess is, from 0 to 1.
func (g *guess) weigh() {
	counts := map[int]int{}
	for _, r := range g.rows {
		if !r.bad {
			counts[len(r.cells)]++
		}
	}
	for cells, n := range counts {
		if cells > 1 && (n*cells > g.fit*g.cells || n*cells == g.fit*g.cells && cells > g.cells) {
			g.cells, g.fit = cells, n
		}
	}
	if g.cells < 2 {
		return
	}
	g.first = slices.IndexFunc(g.rows, func(r guessRow) bool { return !r.bad && len(r.cells) == g.cells })
	good, seen := 0, 0
	for _, r := range g.rows[g.first:] {
		if r.bad || len(r.cells) != g.cells {
			continue
		}
		for _, c := range r.cells {
			seen++
			if valueLike(c) {
				good++
			}
		}
	}
	below := len(g.rows) - g.first // what stands above the table does not count against it
	g.score = float64(g.fit) / float64(below) * float64(good) / float64(seen) * (1 - 1/float64(g.cells+2))
	if len(g.rows) == 1 {
		g.score *= 0.7
	}
}

// valueLike tells whether a cell looks like one value: a number, a date, words; not like several of them run together.
func valueLike(c string) bool {
	if c == "" {
		return true
	}
	if strings.ContainsAny(c, ";|\t~^\"") {
		return false
	}
	return !strings.Contains(c, ",") || numberLike(c) || strings.Contains(c, ", ")
}

// numberLike tells whether a cell is a number, with either decimal mark.
func numberLike(c string) bool {
	mark, whole, rest := markOf(c)
	return whole && (mark == 0 || rest > 0)
}

// markOf reads a number: its decimal mark, 0 when there is none or it might be one between thousands; and how many digits stand behind the last mark.
func markOf(c string) (mark byte, number bool, behind int) {
	c = strings.TrimRight(strings.TrimLeft(c, "+-"), " %€$")
	if c == "" || c[0] < '0' || c[0] > '9' {
		return 0, false, 0
	}
	commas, points := strings.Count(c, ","), strings.Count(c, ".")
	for _, r := range c {
		if (r < '0' || r > '9') && !strings.ContainsRune(",. '\u00a0\u202f", r) {
			return 0, false, 0
		}
	}
	last := strings.LastIndexAny(c, ",.")
	if last < 0 {
		return 0, true, 0
	}
	behind = len(c) - last - 1
	switch {
	case commas > 0 && points > 0:
		return c[last], strings.Count(c, c[last:last+1]) == 1, behind
	case commas > 1, points > 1: // between thousands, or a date
		return 0, behind == 3, behind
	case behind == 3 && len(c) <= 7 && c[0] != '0': // 1,234
		return 0, true, behind
	}
	return c[last], true, behind
}

// passReport passes rows above the titles that only look like rows of the table because whoever wrote them filled them up with empty cells, as spreadsheets do: each of them has
// an empty cell, the titles have none, and beneath one of them stand numbers.
func (g *guess) passReport() {
	const most = 50
	for i := g.first; i < min(len(g.rows)-1, g.first+most); i++ {
		r := g.rows[i]
		if r.bad || len(r.cells) != g.cells || slices.Contains(r.cells, "") {
			continue
		}
		was := g.first
		g.first = i
		for k := range g.cells {
			if n := g.numeric(k); was < i && n > 0 && 2*n > g.filled(k) && noTitles(r.cells) == "" {
				return
			}
		}
		g.first = was
		return
	}
}

// head tells whether the first row of the table holds titles.
func (f *Finding) head(g *guess) {
	first := g.rows[g.first]
	f.Columns = numbers(nil, g.cells)
	if above := g.above(); above != nil {
		f.Skip = int(first.line) - 1
		f.found("titles", "line %d holds the titles %s, but each row below ends in one delimiter more, so that columns go by number", above.line, cut([]byte(strings.Join(above.cells, ", "))))
		f.found("skip", "the rows start in line %d", first.line)
		return
	}
	if why := noTitles(first.cells); why != "" {
		f.found("titles", "line %d is no row of titles: %s", first.line, why)
		if f.Skip = int(first.line) - 1; f.Skip > 0 {
			f.found("skip", "the table starts in line %d", first.line)
		}
		return
	}
	f.Titles, f.Columns = int(first.line), numbers(first.cells, g.cells)
	why := "its cells are words, each another one"
	for k := range first.cells {
		if n := g.numeric(k); n > 0 && n == g.filled(k) {
			why = fmt.Sprintf("its cells are words, and below %q stand numbers", cut([]byte(first.cells[k])))
			break
		}
	}
	f.found("titles", "line %d holds the titles: %s", first.line, why)
}

// above is the row of titles of a table whose rows end in one delimiter more than that, nil for none.
func (g *guess) above() *guessRow {
	last := g.cells - 1
	if g.first == 0 || g.filled(last) > 0 || g.rows[g.first].cells[last] != "" {
		return nil
	}
	r := &g.rows[g.first-1]
	if r.bad || len(r.cells) != last || slices.Contains(r.cells, "") || noTitles(r.cells) != "" {
		return nil
	}
	return r
}

// noTitles says why a row is none of titles.
func noTitles(cells []string) string {
	seen := map[string]bool{}
	for _, c := range cells {
		switch {
		case c != "" && strings.IndexFunc(c, func(r rune) bool { return r > '9' || r > 0 && r < '0' && !strings.ContainsRune(" .,:/+-", r) }) < 0:
			return fmt.Sprintf("%q is a number or a date", cut([]byte(c)))
		case c != "" && seen[c]:
			return fmt.Sprintf("%q stands twice", cut([]byte(c)))
		}
		seen[c] = true
	}
	if seen[""] && len(seen) <= len(cells)/2 {
		return "most of its cells are empty"
	}
	return ""
}

// numeric counts the numbers of a column below the first row, filled what is not empty.
func (g *guess) numeric(column int) int {
	return g.count(column, func(c string) bool { _, ok, _ := markOf(c); return ok })
}

func (g *guess) filled(column int) int {
	return g.count(column, func(c string) bool { return c != "" })
}

func (g *guess) count(column int, is func(string) bool) (n int) {
	for _, r := range g.rows[g.first+1:] {
		if !r.bad && len(r.cells) == g.cells && is(r.cells[column]) {
			n++
		}
	}
	return n
}

// marks tells which decimal mark the numbers have.
func (f *Finding) marks(g *guess) {
	votes, shown := map[byte]int{}, map[byte]string{}
	for _, r := range g.rows[g.first:] {
		for _, c := range r.cells {
			if mark, number, behind := markOf(c); number && mark != 0 && behind > 0 {
				votes[mark]++
				shown[mark] = c
			}
		}
	}
	f.decide(votes, shown)
}

func (f *Finding) decide(votes map[byte]int, shown map[byte]string) {
	mark := byte('.')
	if votes[','] > votes['.'] {
		mark = ','
	}
	if votes[mark] == 0 {
		return
	}
	f.Decimal = string(rune(mark))
	f.found("decimal", "%s, as %s", counted(votes[mark], "number")+" with "+strconv.Quote(f.Decimal), cut([]byte(shown[mark])))
	if other := votes['.'+','-mark]; other > 0 {
		f.found("decimal", "but %s with the other mark", counted(other, "number"))
	}
}
