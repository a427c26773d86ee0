package formats

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
)

// columns knows lines of one length.
func (f *Finding) columns(text []byte, all bool) bool {
	list := strings.Split(strings.TrimRight(strings.ReplaceAll(string(text), "\r", ""), "\n"), "\n")
	if !all && len(list) > 1 {
		list = list[:len(list)-1]
	}
	lengths := map[int]int{}
	best, lines := 0, 0
	for _, l := range list {
		n := len([]rune(l))
		if n == 0 {
			continue
		}
		lines++
		if lengths[n]++; lengths[n] > lengths[best] {
			best = n
		}
	}
	if lines == 1 && !bytes.Contains(text, []byte("\n")) {
		return f.endless(text, all)
	}
	if lines < 3 || best < 8 || lengths[best]*10 < lines*9 {
		return false
	}
	f.Format, f.Length = "fixed", best
	f.found("format", "%d of %d lines have %s, and nothing parts cells", lengths[best], lines, counted(best, "character"))
	f.found("length", "that of the lines")
	return true
}

// endless knows records that have no line ends.
func (f *Finding) endless(text []byte, all bool) bool {
	n := recordLength(text, all)
	switch {
	case n > 0:
		f.Format, f.Length, f.Ends = "fixed", n, endsNone
		f.found("format", "there are no line ends and nothing parts cells")
		f.found("length", "every %d characters the same kinds of characters come again", n)
	case f.Encoding == "cp037" || len(text) >= 1<<10:
		f.Format = "fixed"
		f.found("format", "there are no line ends and nothing parts cells: say ends: none and how long a record is (length)")
	}
	return f.Format != ""
}

// recordLength finds out how many characters the records of a text without line ends have: the least number after which letters, digits and blanks stand again where they
// stood in the records before; 0 where there is none.
func recordLength(text []byte, all bool) int {
	const least, most, looked, few = 8, 4000, 16 << 10, 4
	kinds := kindsOf(text)
	whole := len(kinds)
	kinds = kinds[:min(whole, looked)]
	var overall [4]int
	for _, k := range kinds {
		overall[k]++
	}
	common := float64(slices.Max(overall[:])) / float64(max(1, len(kinds)))
	for n := least; n <= min(most, len(kinds)/few); n++ {
		if all && whole%n != 0 {
			continue
		}
		rows := len(kinds) / n
		agree := 0
		for column := range n {
			var here [4]int
			for row := range rows {
				here[kinds[row*n+column]]++
			}
			agree += slices.Max(here[:])
		}
		if share := float64(agree) / float64(n*rows); share > 0.85 && (share-common) > 0.6*(1-common) {
			return n
		}
	}
	return 0
}

// kindsOf tells of each character whether it is a digit, a letter, a blank or something else.
func kindsOf(text []byte) (kinds []byte) {
	for _, r := range string(text) {
		switch {
		case unicode.IsDigit(r):
			kinds = append(kinds, 0)
		case unicode.IsLetter(r):
			kinds = append(kinds, 1)
		case unicode.IsSpace(r):
			kinds = append(kinds, 2)
		default:
			kinds = append(kinds, 3)
		}
	}
	return kinds
}
