package formats

import (
	"fmt"
	"slices"
	"strings"
)

// A Part is one kind of things that a file is made of: its records, or one of several kinds of them, or what stands
// around them. A decoder of several parts yields a Record for each thing in the order of the file, except that the header
// comes before all else, and the trailer last; Record.Part tells which of the parts it is. Only records of the body are numbered,
// and only they may be bad by themselves (*RecordError): a header or a trailer that cannot be read, or that is not
// where it should be, is an error of the file. A file with nothing in it has no parts, and is no error.
type Part struct {
	Role  Role
	Name  string // of one of several kinds of records
	Kind  string // what tells this kind from others: the text at Options.Kind (fixed, csv, ndjson), the path of its elements (xml, json)
	Wants []Want
}

// Role says what a part is to its file.
type Role uint8

// Roles of parts.
const (
	Body         Role = iota // records
	Header                   // once, before the records: yielded first, always; of lines without Kind: the first
	Trailer                  // once, after the records: yielded last, if the file can be read so far; of lines without Kind: the last
	BlockHeader              // begins a block of records
	BlockTrailer             // ends the block
)

func (r Role) String() string {
	return [...]string{"records", "header", "trailer", "block.header", "block.trailer"}[r]
}

// path is where the part stands in the settings, with a point at its end.
func (p Part) path() string {
	switch {
	case p.Role != Body:
		return p.Role.String() + "."
	case p.Name != "":
		return "records." + p.Name + "."
	}
	return ""
}

// NewParts is New for a file of several parts. Paths of problems start with that of the part: "fields.NAME", "header.fields.NAME",
// "block.trailer.fields.NAME", "records.KIND.fields.NAME".
func NewParts(o Options, parts []Part) (Decoder, []Problem) {
	if len(parts) == 1 && parts[0].Role == Body && parts[0].Name == "" && parts[0].Kind == "" {
		return New(o, parts[0].Wants)
	}
	if ps := o.Validate(); len(ps) > 0 {
		return nil, ps
	}
	f, _ := find(o.Format)
	if f.parts == nil {
		i := max(0, slices.IndexFunc(parts, func(p Part) bool { return p.Role != Body }))
		return nil, []Problem{{strings.TrimSuffix(parts[i].path(), "."), fmt.Sprintf("does not go with format %s", f.name)}}
	}
	o.Limits = f.limits(o)
	return withSchema(o, func(o Options) (Decoder, []Problem) { return f.parts(o, parts) })
}
