package formats

import (
	"fmt"
	"slices"
	"strings"
)

// A format is one way to lay out a file.
type format struct {
	name    string
	depth   int                                        // max_depth where that is not set; 0: as Limits says
	keys    []string                                   // of Options, beside those that all formats have
	check   func(Options) []Problem                    // of the values of those keys
	decoder func(Options, []Want) (Decoder, []Problem) // called with valid options
	parts   func(Options, []Part) (Decoder, []Problem) // of files that are more than records of one kind; nil: there are none

	writes       []string                                               // keys of Writing that have a meaning
	checkWriting func(Writing) []Problem                                // of the values of those keys
	encoder      func(Writing, []Column) (Encoder, []Problem)           // called with valid settings; nil: cannot be written
	partsEncoder func(Writing, []WrittenPart) (PartsEncoder, []Problem) // of files with a header, a trailer or several kinds of records; nil: there are none
}

// all lists the formats. A new one is one line here.
func all() []format {
	return []format{
		csvFormat(),
		tsvFormat(),
		jsonFormat(),
		ndjsonFormat(),
		xmlFormat(),
		fixedFormat(),
		xlsxFormat(),
		edifactFormat(),
		protobufFormat(),
		avroFormat(),
	}
}

// later names the formats that are planned, so that they are refused as such and not as typing errors.
var later = []string{"mt940", "camt"}

// Names lists the formats.
func Names() []string {
	var names []string
	for _, f := range all() {
		names = append(names, f.name)
	}
	return names
}

// New makes the decoder for files of one format, from which it takes what is wanted. Without wants it
// gives what is there. Paths of problems start at the block of the options; those of wants start with
// "fields." and the want's name.
func New(o Options, wants []Want) (Decoder, []Problem) {
	if ps := o.Validate(); len(ps) > 0 {
		return nil, ps
	}
	f, _ := find(o.Format)
	o.Limits = f.limits(o)
	return withSchema(o, func(o Options) (Decoder, []Problem) { return f.decoder(o, wants) })
}

// limits are those of the options, with the defaults of the format.
func (f *format) limits(o Options) Limits {
	if o.Limits.MaxDepth == 0 {
		o.Limits.MaxDepth = f.depth
	}
	return o.Limits.WithDefaults()
}

// NewEncoder makes the encoder that writes rows with these columns. Without columns each row is one
// value, a whole JSON record. An encoder may also be a Checker, or a Namer.
func NewEncoder(w Writing, columns []Column) (Encoder, []Problem) {
	if ps := w.Validate(); len(ps) > 0 {
		return nil, ps
	}
	f, _ := find(w.Format)
	return f.encoder(w, columns)
}

// find looks a format up, or tells why there is none.
func find(name string) (*format, []Problem) {
	fs := all()
	if i := slices.IndexFunc(fs, func(f format) bool { return f.name == name }); i >= 0 {
		return &fs[i], nil
	}
	names := Names()
	switch {
	case name == "":
		return nil, []Problem{{"format", "missing: write one of " + strings.Join(names, ", ")}}
	case slices.Contains(later, name):
		return nil, []Problem{{"format", fmt.Sprintf("%s is not there yet: today there are %s", name, strings.Join(names, ", "))}}
	}
	return nil, []Problem{{"format", fmt.Sprintf("unknown format %q%s: there are %s", name, Meant(name, names), strings.Join(names, ", "))}}
}

func formatsWith(key string) []string {
	var names []string
	for _, f := range all() {
		if slices.Contains(f.keys, key) {
			names = append(names, f.name)
		}
	}
	return names
}

// Meant suggests the nearest of the candidates: `, did you mean "delimiter"?`, or nothing.
func Meant(word string, candidates []string) string {
	best, least := "", 1+max(1, len([]rune(word))/3)
	for _, c := range candidates {
		if d := distance(fold(word), fold(c)); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// fold makes words that people take for the same the same: case, spaces and punctuation are dropped.
func fold(s string) []rune {
	return []rune(strings.Map(func(r rune) rune {
		if strings.ContainsRune(" _-.\u00a0\u200b", r) {
			return -1
		}
		return r
	}, strings.ToLower(s)))
}

// distance counts the letters to insert, delete, change or swap with their neighbour to make b of a.
func distance(a, b []rune) int {
	if len(a) > 100 || len(b) > 100 {
		return max(len(a), len(b))
	}
	rows := make([][]int, len(a)+1) // rows[i][j]: from the first i letters of a to the first j of b
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
