package formats

import (
	"fmt"
	"slices"
	"strings"
)

// A format is one way to lay out a file.
type format struct {
	name    string
	tabular bool                                       // its rows are made of columns: one record may become a message of them
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

// Tabular reports whether the rows of a format are made of columns. A message of one record may be laid out so as well: it is what a file of that record would be.
func Tabular(name string) bool { return slices.Contains(tabular(), name) }

func tabular() (names []string) {
	for _, f := range all() {
		if f.tabular {
			names = append(names, f.name)
		}
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
	return nil, []Problem{{"format", fmt.Sprintf("unknown format %q%s: there are %s", name, meant(name, names), strings.Join(names, ", "))}}
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
