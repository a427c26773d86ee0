package expression

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
)

// Error is a mistake in an expression or template, found when it was compiled
// or when it ran.
type Error struct {
	Source string // as it was given, with = in front
	Offset int    // in Source, in bytes, of what is wrong
	Text   string // what is wrong, and what would be right
	Cause  error  // what Text came from, if anything
}

// Error names the expression, the place in it and the cause.
func (e *Error) Error() string {
	line, column := e.Position()
	place := fmt.Sprintf("column %d", column)
	if line > 1 || strings.Contains(e.Source, "\n") {
		place = fmt.Sprintf("line %d, column %d", line, column)
	}
	return fmt.Sprintf("%s: %s: %s", clip(strings.Join(strings.Fields(e.Source), " ")), place, e.Text)
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Position is where Offset lies in Source; both count from 1, columns in
// characters.
func (e *Error) Position() (line, column int) {
	before := e.Source[:min(max(e.Offset, 0), len(e.Source))]
	start := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:])
}

// source is the text of an expression: all of it for people, and from the sign
// on for the parser, whose locations count characters.
type source struct {
	whole string
	skip  int // bytes of whole that the parser does not see
}

func (s *source) text() string { return s.whole[s.skip:] }

// spot is a place in a source.
type spot struct {
	src *source
	loc file.Location
}

// err puts the place in front of a cause, unless one stands there.
func (s spot) err(cause error) error {
	if e, ok := cause.(*Error); ok {
		return e
	}
	return &Error{Source: s.src.whole, Offset: s.offset(), Text: cause.Error(), Cause: cause}
}

func (s spot) offset() int {
	left := s.loc.From
	for i := range s.src.text() {
		if left == 0 {
			return s.src.skip + i
		}
		left--
	}
	return len(s.src.whole)
}

// written is the text of the place itself.
func (s spot) written() string {
	runes := []rune(s.src.text())
	from, to := min(s.loc.From, len(runes)), min(s.loc.To, len(runes))
	return string(runes[from:max(from, to)])
}

// failure carries an error out of the compiler, from wherever it is found in
// the tree, to the one place that recovers it.
type failure struct{ err error }

// suggest is ", did you mean x?" with the name nearest to the wrong one, or
// nothing.
func suggest(wrong string, names []string) string {
	best, least := "", 1+max(1, utf8.RuneCountInString(wrong)/3)
	for _, name := range names {
		d := distance([]rune(strings.ToLower(wrong)), []rune(strings.ToLower(name)))
		if d < least && name != wrong {
			best, least = name, d
		}
	}
	if best == "" {
		best = akin(wrong, names)
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best + "?"
}

// akin is the name that the wrong one lengthens or shortens, as uppercase does upper, by not more than doubling; empty if
// there is none.
func akin(wrong string, names []string) (best string) {
	wrong = strings.ToLower(wrong)
	for _, name := range names {
		long, short := wrong, strings.ToLower(name)
		if len(long) < len(short) {
			long, short = short, long
		}
		if len(short) >= 4 && len(long) <= 2*len(short) && len(name) > len(best) && (strings.HasPrefix(long, short) || strings.HasSuffix(long, short)) {
			best = name
		}
	}
	return best
}

// distance is how many letters must be put in, left out, replaced or swapped
// with their neighbour to make b of a.
func distance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
