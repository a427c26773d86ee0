package config

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// A Problem is one mistake in the configuration, with its place.
type Problem struct {
	File         string
	Line, Column int    // from 1; columns count characters
	Text         string // what is wrong
	Remedy       string // what would be right; may be empty
	Excerpt      string // the line with a caret below the column, secrets masked; may be empty
}

// Error renders the problem in one line: waybill.yaml:14:7: unknown key "delimeter", did you mean "delimiter"?
func (p Problem) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
	if p.Remedy != "" {
		s += ", " + p.Remedy
	}
	return s
}

// Problems are all mistakes of a configuration, sorted by place. It is the error that Load returns.
type Problems []Problem

// Error renders every problem with its excerpt.
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Error())
		if p.Excerpt != "" {
			b.WriteByte('\n')
			b.WriteString(p.Excerpt)
		}
	}
	return b.String()
}

// Sort puts problems in the order of their places and drops repetitions.
func (ps Problems) Sort() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(ps)
}

// A file is one configuration file as read.
type file struct {
	name   string // as shown
	folder string
	lines  []string
}

// A mistake is a problem on its way: its excerpt can be made only when all secrets of the file are known.
type mistake struct {
	file         *file
	line, column int
	text, remedy string
}

// A spot is a place in a file.
type spot struct {
	file         *file
	line, column int
}

// origins remembers where nodes come from and what must not be shown.
type origins struct {
	files  map[*yaml.Node]*file
	hidden map[*yaml.Node]bool   // texts that are secret, or may be
	plain  map[spot]bool         // where texts begin that may be shown
	words  *regexp.Regexp        // keys typed as secret, with what follows them; nil: none
	values map[string]bool       // what references yield, and plain secrets
	masker *strings.Replacer     // of values, once all are known
	lines  map[spot][]*yaml.Node // hidden nodes by line, column 0
}

func newOrigins(words []string) *origins {
	o := &origins{files: map[*yaml.Node]*file{}, hidden: map[*yaml.Node]bool{}, plain: map[spot]bool{}, values: map[string]bool{}}
	if len(words) > 0 {
		for i := range words {
			words[i] = regexp.QuoteMeta(words[i])
		}
		o.words = regexp.MustCompile(`(?:^|[\s{,"'-])(?:` + strings.Join(words, "|") + `)["']?\s*:\s*\[?\s*("(?:[^"\\]|\\.)*"?|'[^']*'?|[^,}\s][^,}]*)?`)
	}
	return o
}

// hide keeps a resolved value out of every text that is shown. Very short ones are left: they would blot out
// unrelated text, and tell nobody anything.
func (o *origins) hide(value string) {
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= 4 {
			o.values[line] = true
		}
	}
}

// seal prepares for showing: all that is to be hidden is known.
func (o *origins) seal() {
	values := slices.SortedFunc(maps.Keys(o.values), func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) }) // the longest first
	var pairs []string
	for _, v := range values {
		pairs = append(pairs, v, "***")
	}
	o.masker = strings.NewReplacer(pairs...)
	o.lines = map[spot][]*yaml.Node{}
	var index func(n *yaml.Node, f *file)
	index = func(n *yaml.Node, f *file) {
		if n.Kind == yaml.ScalarNode {
			at := spot{file: f, line: n.Line}
			o.lines[at] = append(o.lines[at], n)
		}
		for _, c := range n.Content {
			index(c, f)
		}
	}
	for n, hidden := range o.hidden {
		if hidden {
			index(n, o.files[n])
		}
	}
}

// scrub takes secrets out of a text that is to be shown.
func (o *origins) scrub(text string) string {
	return maskURLs(o.masker.Replace(text))
}

func (o *origins) problem(m mistake) Problem {
	return Problem{
		File: m.file.name, Line: m.line, Column: m.column, Text: shorten(o.scrub(m.text)), Remedy: shorten(o.scrub(m.remedy)),
		Excerpt: o.excerpt(m.file, m.line, m.column),
	}
}

// shorten keeps both ends of a text that nobody would read.
func shorten(text string) string {
	const longest = 1000
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest/2]) + "…" + string(runes[len(runes)-longest/2:])
	}
	return text
}

// excerpt shows a line with a caret under the column.
func (o *origins) excerpt(f *file, line, column int) string {
	const (
		width   = 120  // characters shown of a longer line
		longest = 4096 // bytes of a line that a person wrote
	)
	if line < 1 || line > len(f.lines) || len(f.lines[line-1]) > longest {
		return ""
	}
	text, caret := cover([]rune(f.lines[line-1]), column-1, o.spans(f, line))
	caret = min(max(caret, 0), len(text))
	if from := caret - width/2; len(text) > width && from > 0 {
		text = append([]rune("…"), text[from:]...)
		caret -= from - 1
	}
	if len(text) > width {
		text = append(text[:width:width], '…')
	}
	for i, r := range text {
		if !unicode.IsPrint(r) {
			text[i] = ' '
		}
	}
	number := fmt.Sprintf("%5d", line)
	return fmt.Sprintf("%s | %s\n%*s | %s^", number, o.scrub(string(text)), len(number), "", strings.Repeat(" ", caret))
}

// A span is a run of characters of a line, from inclusive, to exclusive.
type span struct{ from, to int }

// cover replaces spans by asterisks and tells where the caret has gone.
func cover(text []rune, caret int, spans []span) ([]rune, int) {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var out []rune
	at, moved := 0, caret
	for _, s := range spans {
		s.to = min(s.to, len(text))
		if s.from < at || s.from >= s.to {
			s.from = max(s.from, at)
			if s.from >= s.to {
				continue
			}
		}
		out = append(out, text[at:s.from]...)
		switch {
		case caret >= s.to:
			moved = caret - s.to + len(out) + 3
		case caret >= s.from:
			moved = len(out)
		}
		out = append(out, '*', '*', '*')
		at = s.to
	}
	return append(out, text[at:]...), moved
}

// spans finds what must not be shown of a line: texts known to be secret, and whatever follows a key typed as secret.
func (o *origins) spans(f *file, line int) []span {
	text := f.lines[line-1]
	var spans []span
	for _, n := range o.lines[spot{file: f, line: line}] {
		if runes := []rune(text); n.Column <= len(runes) {
			from := n.Column - 1
			spans = append(spans, span{from, from + extent(runes[from:], n)})
		}
	}
	for above := f.parent(line); above > 0; above = f.parent(above) {
		block := blockStart.FindString(f.lines[above-1])
		if len(o.lines[spot{file: f, line: above}]) > 0 || block != "" && o.words != nil && o.words.MatchString(block) {
			return append(spans, span{0, utf8.RuneCountInString(text)}) // the text of a secret goes on here
		}
	}
	if o.words == nil {
		return spans
	}
	for _, m := range o.words.FindAllStringSubmatchIndex(text, -1) {
		if m[2] < 0 || onlyReferences(strings.Trim(text[m[2]:m[3]], `"'`)) {
			continue
		}
		s := span{utf8.RuneCountInString(text[:m[2]]), utf8.RuneCountInString(text[:m[3]])}
		if !o.plain[spot{f, line, s.from + 1}] { // the same name may mean something else elsewhere
			spans = append(spans, s)
		}
	}
	return spans
}

// extent is the length of a scalar in the line on which it begins; the rest of the line when in doubt.
func extent(rest []rune, n *yaml.Node) int {
	value := []rune(n.Value)
	if n.Style == 0 && len(value) <= len(rest) && string(rest[:len(value)]) == n.Value {
		return len(value)
	}
	if quote := rest[0]; quote == '"' || quote == '\'' {
		for i := 1; i < len(rest); i++ {
			switch {
			case rest[i] == '\\' && quote == '"':
				i++
			case rest[i] == quote && i+1 < len(rest) && rest[i+1] == quote && quote == '\'':
				i++
			case rest[i] == quote:
				return i + 1
			}
		}
	}
	return len(rest)
}

// parent is the nearest line above that is indented less; 0 when there is none.
func (f *file) parent(line int) int {
	own := indent(f.lines[line-1])
	if own == 0 {
		return 0
	}
	for above := line - 1; above > 0; above-- {
		if text := f.lines[above-1]; strings.TrimSpace(text) != "" && indent(text) < own {
			return above
		}
	}
	return 0
}

// blockStart is a key whose text stands in the lines below.
var blockStart = regexp.MustCompile(`^.*:\s*([|>][-+0-9]*\s*)?$`)

// indent measures how deep a line stands. One with a tab, which YAML refuses, stands below any other.
func indent(line string) int {
	lead := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	if strings.Contains(lead, "\t") {
		return len(lead) + 1<<16
	}
	return len(lead)
}
