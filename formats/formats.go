// Package formats turns bytes into records with positions, and records into bytes.
//
// A file passes these stages, each of which reads from the one before it and holds its limits:
//
//	Blob ─► unpack ─► charset ─► window ─► csv, json, xml, … ─► Record
//	        zip, pgp  to UTF-8   BOM, UTF-8, NUL; slides
//	  └───────────► workbook ─► cells ─────► xlsx ────────────► Record
//	                zip, guarded XML, unpacked as a stream
//
// Packings are taken off by package unpack, above this one. Below it are xlsx, which reads workbooks, avro, which reads container files
// of Avro, jsonvalue, which writes values, and fault, in which all say what is wrong with a file.
//
// New makes a decoder and NewEncoder an encoder of one of the formats in the list (list.go): a new
// format is one file with a value of type format and one line in that list. What is wrong with the
// settings is told as Problems with the path of the key. What is wrong with a file is a *FileError and
// refuses it whole; what is wrong with one record is a *RecordError and reading goes on. Any other
// error is that of the reader beneath and says nothing about the file.
package formats

import (
	"fmt"
	"io"
	"iter"
	"time"

	"waybill/formats/fault"
)

// A Blob is the bytes of one file. Size is -1 when not known. ReaderAt is nil when the bytes only stream.
type Blob struct {
	Name     string
	Reader   io.Reader
	ReaderAt io.ReaderAt
	Size     int64
	ModTime  time.Time // of a member of an archive
	Unpacked bool      // the bytes come out of package unpack, which has counted them: max_file does not apply
}

// A Want says what a decoder is to take out of each record. From holds the places in the
// format's own terms, the first that is present counts (csv: header texts; json, xml: paths; fixed: columns).
type Want struct {
	Name   string   // for error texts
	From   []string // as configured; never empty unless Column is set
	Column string   // csv, xlsx: "C" or "3" instead of From
	List   bool     // From names an array, or elements; Fields are taken from each (json, xml)
	Object bool     // From names one object, or element; Fields are taken from it (json, xml)
	Fields []Want
	Kind   string // a List of the records of this kind that follow at once (fixed, csv, ndjson), instead of From
	Must   bool   // csv, xlsx: the column must exist in the header
	Date   bool   // xlsx: a bare number in this column stands for a date, a time of day or both
	Number bool   // edifact: it holds a number, and nobody said with which decimal mark: it is given with a point
}

// Kind says what a cell holds.
type Kind uint8

// Kinds of cells. CSV knows only Absent (no such column, or the row is too short) and Text.
const (
	Absent   Kind = iota // not there at all
	Null                 // JSON null
	Text                 // text, decoded to UTF-8, unescaped
	Number               // a JSON number, as written
	Bool                 // "true" or "false"
	Nested               // a list or an object with wanted fields: Rows
	Tree                 // a list or an object nobody described: JSON text, as written but without white space outside strings
	Date                 // a date, a time of day or both, as ISO 8601 text without a zone (xlsx); to be written: as a date where the format has such
	Verbatim             // to be written: JSON text that the caller made itself, so that nobody looks at it again
)

// A Cell is one value of a record. Bytes is valid until the next record is asked for.
type Cell struct {
	Kind  Kind
	Bytes []byte
	Rows  [][]Cell // Nested: one row of cells an element (an object has one), by index of Want.Fields
}

// A Record is one decoded item of a file. It and all it points to are valid until the next step of the
// iteration, or its end; the decoder reuses them, also for other files.
type Record struct {
	Part   int      // by index of the parts that NewParts was given
	Number int64    // from 1, counting every record of the file; 0: a part that is no record, as its header
	Line   int64    // line (xlsx: row) at which it starts, from 1; 0 where lines are not counted (json)
	Offset int64    // byte offset at which it starts, in the decoded text where the format is recoded
	Cells  []Cell   // by index of Want; without wants csv: every column; json: one cell, the record as a whole
	Places []string // xlsx: the letters of the column of each cell; the same slice for all records of a file
	Names  []string // csv, xlsx: the titles, or the column numbers where there are none; the same slice for all records of a file
	Titles int64    // xlsx: the row in which Names stand, 0 for none
	Row    [][]byte // csv: the text of every column, by index of Names; nil elsewhere
	Raw    []byte   // the record's text as UTF-8, without the line end; nil unless Options.Raw
}

// A Decoder turns a blob into records. The sequence yields either a record or an error. After a *RecordError
// (this record is bad, the rest can be read) the iteration goes on; after any other error it ends. Limits
// are held in all cases; memory does not grow with the size of the blob.
// Decode may be called again with another blob, also concurrently.
type Decoder interface {
	Decode(b Blob) iter.Seq2[*Record, error]
}

// An Encoder writes rows of text or JSON values as one file, in flat memory.
type Encoder interface {
	Encode(w io.Writer, rows iter.Seq2[[]Value, error]) error
}

// A Value is one value to be written, with its kind (Text, Number, Bool, Date, Null, Absent, Tree or Verbatim) and its bytes as UTF-8.
type Value struct {
	Kind  Kind
	Bytes []byte
}

// A RecordError tells what is wrong with one record; reading goes on after it.
type RecordError struct {
	Record int64
	Line   int64
	Offset int64
	Field  string // "" when it is the record as a whole
	Value  string // cut to 200 bytes; escaped when shown
	Reason string // what is wrong and what would be right
	Raw    []byte // as Record.Raw
}

func (e *RecordError) Error() string {
	s := fmt.Sprintf("record %d", e.Record)
	if e.Line > 0 {
		s = fmt.Sprintf("line %d", e.Line)
	}
	if e.Field != "" {
		s += ": field " + e.Field
	}
	return s + ": " + e.Reason
}

// A FileError tells why a file cannot be read further: it is rejected as a whole.
type FileError = fault.FileError

// Bytes is a size, written as a number with its unit: 8MiB.
type Bytes = fault.Bytes
