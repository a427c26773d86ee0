package formats

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Options say how a file is read. One flat struct serves all formats, as one block of the
// configuration does; Validate tells which key does not go with which format.
type Options struct {
	Format     string            `yaml:"format" doc:"how the file is laid out: csv, tsv, json, ndjson, xml, fixed, xlsx, edifact, protobuf or avro"`
	Encoding   string            `yaml:"encoding" doc:"utf-8, utf-16, windows-1252, koi8-r, cp866 and many more; left out: by the byte order mark, else (xml, edifact) as the file declares, else utf-8"`
	Delimiter  string            `yaml:"delimiter" doc:"csv: the ASCII character between two cells; left out: a comma"`
	Quote      string            `yaml:"quote" doc:"csv, tsv: the ASCII character around a cell, or none; left out: \""`
	Titles     *int              `yaml:"titles" doc:"csv, tsv, xlsx: the line that holds the column titles, 0 for none; left out: the first behind those that skip passes over (none where kind is set and no field goes by a title), xlsx: the one of the first 50 rows that has the titles which fields name, without fields the first that is not much shorter than the longest"`
	Skip       int               `yaml:"skip" doc:"csv, tsv: how many lines at the beginning of the file are passed over unread"`
	Comment    string            `yaml:"comment" doc:"csv, tsv: what starts a line that is passed over, as #"`
	Footer     int               `yaml:"footer" doc:"csv, tsv: how many lines at the end of the file are no records; empty ones do not count"`
	Columns    Columns           `yaml:"columns" doc:"csv, tsv, xlsx: what happens when the columns are not those of the fields"`
	Records    string            `yaml:"-"` // json: path of the array; xml: path of the elements; edifact: the type of message. Of several kinds: see Part
	Kind       string            `yaml:"kind" doc:"fixed: the columns that tell which kind of record a line is, 1-2; csv, tsv: the column, by title or number; ndjson: the path of a member"`
	Ignore     []string          `yaml:"ignore" one:"true" doc:"fixed, csv, tsv, ndjson: kinds of records that are passed over"`
	Sheet      string            `yaml:"sheet" doc:"xlsx: name or number of the sheet; left out: the first that shows"`
	Hidden     string            `yaml:"hidden" enum:"take,skip" doc:"xlsx: rows that are hidden: take (default) or skip"`
	Macros     string            `yaml:"macros" enum:"reject,allow" doc:"xlsx: a workbook with macros: reject (default), or allow, which reads its values and runs nothing"`
	Namespaces map[string]string `yaml:"namespaces" doc:"xml: prefixes that paths use, and the namespaces they stand for"`
	Schema     string            `yaml:"schema" doc:"xml: the XSD that documents are compared with; json, ndjson: the JSON Schema of each record; protobuf: the .proto file that describes the messages"`
	Unknown    string            `yaml:"unknown" doc:"protobuf: a field that the schema does not have: ignore (default) or reject"`
	Unit       string            `yaml:"unit" doc:"fixed: what columns count, characters (default) or bytes as the file has them"`
	Length     int               `yaml:"length" doc:"fixed: how many columns a record has; left out: at least as many as its fields need"`
	Ends       string            `yaml:"ends" doc:"fixed: how records end, line (default), or none, where each is as long as length says"`
	TooShort   string            `yaml:"short" doc:"fixed: a record that ends before its fields do: reject (default), or pad, as if blanks had been cut off"`
	Limits     Limits            `yaml:"limits" doc:"bounds that keep a hostile file from hurting others"`
	Raw        bool              // keep each record's text in Record.Raw
	Files      Files             // reads what Schema names; nil: there are no files
}

// Files reads a file that the settings name, by the path that they have for it.
type Files func(path string) ([]byte, error)

// Columns say what happens when the columns of a file are not those that the fields name.
type Columns struct {
	Extra   string `yaml:"extra" enum:"ignore,reject" doc:"a column that no field names: ignore (default) or reject"`
	Missing string `yaml:"missing" enum:"reject,ignore" doc:"a column that a field names and the file lacks: reject (default), or ignore for fields that are not required"`
}

// Limits bound what one file may cost. Zero means the default.
type Limits struct {
	MaxFile       Bytes `yaml:"max_file" doc:"size of a file, default 2GiB"`
	MaxUnpacked   Bytes `yaml:"max_unpacked" doc:"size after unpacking, default 8GiB"`
	MaxRatio      int   `yaml:"max_ratio" doc:"size after unpacking over size before, looked at from 1 MiB on, default 200"`
	MaxRecord     Bytes `yaml:"max_record" doc:"size of one record, default 8MiB"`
	MaxField      Bytes `yaml:"max_field" doc:"size of one field, default 1MiB"`
	MaxColumns    int   `yaml:"max_columns" doc:"csv, xlsx: number of columns; xml: of attributes of one element; avro: of fields of a record; default 2000"`
	MaxDepth      int   `yaml:"max_depth" doc:"depth of lists and objects (json, protobuf, avro; default 100) or of elements (xml, default 200) in each other"`
	MaxCells      int   `yaml:"max_cells" doc:"json, xml, protobuf, avro: number of fields taken from the lists of one record, default 500000"`
	MaxSheet      Bytes `yaml:"max_sheet" doc:"xlsx: size of a sheet, or of the texts of a workbook, after unpacking, default 256MiB"`
	MaxPart       Bytes `yaml:"max_part" doc:"xlsx: size of every other part of a workbook after unpacking; avro: size of a block, before and after; default 16MiB"`
	MaxStrings    Bytes `yaml:"max_strings" doc:"xlsx: memory for the texts that the cells of a workbook share, default 64MiB"`
	MaxSheetCells int   `yaml:"max_sheet_cells" doc:"xlsx: number of cells that the rows of a sheet span, empty ones counted, default 50000000"`
	MaxKeys       int   `yaml:"max_keys" doc:"xml with schema: number of values that its ID, IDREF, key, unique and keyref hold in memory until the end of the document, default 25000"`
}

// WithDefaults returns the limits with every zero replaced by its default.
func (l Limits) WithDefaults() Limits {
	size := func(v *Bytes, d Bytes) {
		if *v == 0 {
			*v = d
		}
	}
	count := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	size(&l.MaxFile, 2<<30)
	size(&l.MaxUnpacked, 8<<30)
	count(&l.MaxRatio, 200)
	size(&l.MaxRecord, 8<<20)
	size(&l.MaxField, 1<<20)
	count(&l.MaxColumns, 2000)
	count(&l.MaxDepth, 100)
	count(&l.MaxCells, 500_000)
	size(&l.MaxSheet, 256<<20)
	size(&l.MaxPart, 16<<20)
	size(&l.MaxStrings, 64<<20)
	count(&l.MaxSheetCells, 50_000_000)
	count(&l.MaxKeys, 25_000)
	return l
}

func (l Limits) validate() []Problem {
	var ps []Problem
	for _, c := range []struct {
		key   string
		value int64
		most  int64
	}{
		{"max_file", int64(l.MaxFile), math.MaxInt64}, {"max_unpacked", int64(l.MaxUnpacked), math.MaxInt64},
		{"max_ratio", int64(l.MaxRatio), 1_000_000},
		{"max_record", int64(l.MaxRecord), 1 << 30}, {"max_field", int64(l.MaxField), 1 << 30}, // held in memory
		{"max_columns", int64(l.MaxColumns), 1_000_000}, {"max_depth", int64(l.MaxDepth), 10_000},
		{"max_cells", int64(l.MaxCells), 100_000_000},
		{"max_sheet", int64(l.MaxSheet), 1 << 40}, {"max_part", int64(l.MaxPart), 1 << 40}, {"max_strings", int64(l.MaxStrings), 1 << 32},
		{"max_sheet_cells", int64(l.MaxSheetCells), 1 << 40}, {"max_keys", int64(l.MaxKeys), 10_000_000},
	} {
		if c.value < 0 || c.value > c.most {
			ps = append(ps, Problem{"limits." + c.key, fmt.Sprintf("%d is out of bounds: from 1 to %d", c.value, c.most)})
		}
	}
	return ps
}

// A Problem is something wrong with the settings: the path of the key, below the block that the
// settings stand in, and what would be right.
type Problem struct {
	Path string
	Text string
}

func (p Problem) String() string { return p.Path + ": " + p.Text }

// Validate tells what is wrong with the options, whatever the fields are.
func (o Options) Validate() []Problem {
	f, ps := find(o.Format)
	if f == nil {
		return ps
	}
	for _, key := range o.used() {
		if !slices.Contains(f.keys, key) {
			text := fmt.Sprintf("does not go with format %s, only with %s", f.name, strings.Join(formatsWith(key), ", "))
			if key == "records" && slices.Contains(f.keys, "sheet") {
				text += ": write sheet with the name or number of the sheet"
			}
			ps = append(ps, Problem{key, text})
		}
	}
	ps = append(ps, checkEncoding("encoding", o.Encoding)...)
	ps = append(ps, o.Limits.validate()...)
	if f.check != nil {
		ps = append(ps, f.check(o)...)
	}
	return ps
}

// used names the keys that were set and that not every format has.
func (o Options) used() []string {
	var keys []string
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"delimiter", o.Delimiter != ""}, {"quote", o.Quote != ""}, {"titles", o.Titles != nil},
		{"columns", o.Columns != Columns{}}, {"records", o.Records != ""}, {"namespaces", len(o.Namespaces) > 0},
		{"skip", o.Skip != 0}, {"comment", o.Comment != ""}, {"footer", o.Footer != 0},
		{"unit", o.Unit != ""}, {"length", o.Length != 0}, {"ends", o.Ends != ""}, {"short", o.TooShort != ""},
		{"kind", o.Kind != ""}, {"ignore", len(o.Ignore) > 0},
		{"schema", o.Schema != ""}, {"unknown", o.Unknown != ""},
		{"sheet", o.Sheet != ""}, {"hidden", o.Hidden != ""}, {"macros", o.Macros != ""},
	} {
		if k.set {
			keys = append(keys, k.name)
		}
	}
	return keys
}

// oneOf checks a word from a short list; empty stands for the default.
func oneOf(path, value string, words ...string) []Problem {
	if value == "" || slices.Contains(words, value) {
		return nil
	}
	return []Problem{{path, fmt.Sprintf("%q is not known here: write %s", value, strings.Join(words, " or "))}}
}
