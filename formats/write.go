package formats

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Writing says how a file is written.
type Writing struct {
	Format     string `yaml:"as" doc:"how the file is laid out: csv, tsv, json, ndjson or xlsx"`
	Encoding   string `yaml:"encoding" doc:"utf-8 (default) or any that is read"`
	Unmappable string `yaml:"unmappable" doc:"a character that the encoding lacks: reject (default) or replace, by a question mark"`
	Delimiter  string `yaml:"delimiter" doc:"csv: the ASCII character between two cells; left out: a comma"`
	Quote      string `yaml:"quote" doc:"csv, tsv: the ASCII character around cells that need it; left out: \""`
	Lines      string `yaml:"lines" doc:"csv, tsv: how lines end, crlf (default) or lf"`
	Titles     string `yaml:"titles" doc:"csv, tsv, xlsx: whether the first line holds the column titles, write (default) or skip"`
	Formulas   string `yaml:"formulas" doc:"csv, tsv, xlsx: text that a spreadsheet would run as a formula: guard (default), by a leading apostrophe (xlsx: by the cell's style), or keep"`
}

const (
	guard = "guard"
	keep  = "keep"
	write = "write"
	skip  = "skip"
	lf    = "lf"
	crlf  = "crlf"
)

// Validate tells what is wrong with the settings.
func (w Writing) Validate() []Problem {
	f, ps := find(w.Format)
	if f == nil {
		ps[0].Path = "as"
		return ps
	}
	if f.encoder == nil {
		return []Problem{{"as", w.Format + " is not written yet"}}
	}
	ps = checkEncoding("encoding", w.Encoding)
	ps = append(ps, oneOf("unmappable", w.Unmappable, reject, "replace")...)
	if strings.HasSuffix(w.Format, "json") {
		for _, k := range [][2]string{{"encoding", w.Encoding}, {"delimiter", w.Delimiter}, {"quote", w.Quote},
			{"lines", w.Lines}, {"titles", w.Titles}, {"formulas", w.Formulas}} {
			if k[1] != "" && !strings.EqualFold(k[1], UTF8) {
				ps = append(ps, Problem{k[0], "does not go with " + w.Format})
			}
		}
		return ps
	}
	if w.Format == "xlsx" {
		for _, k := range [][2]string{{"encoding", w.Encoding}, {"delimiter", w.Delimiter}, {"quote", w.Quote}, {"lines", w.Lines}} {
			if k[1] != "" && !strings.EqualFold(k[1], UTF8) {
				ps = append(ps, Problem{k[0], "does not go with xlsx"})
			}
		}
	}
	if w.Format == "tsv" && w.Delimiter != "" {
		ps = append(ps, Problem{"delimiter", "does not go with tsv, only with csv"})
		w.Delimiter = "\t"
	}
	if w.Quote == noQuote {
		ps = append(ps, Problem{"quote", "none would leave cells that hold the delimiter open"})
	}
	ps = append(ps, checkCSV(Options{Delimiter: w.Delimiter, Quote: w.Quote})...)
	ps = append(ps, oneOf("lines", w.Lines, crlf, lf)...)
	ps = append(ps, oneOf("titles", w.Titles, write, skip)...)
	return append(ps, oneOf("formulas", w.Formulas, guard, keep)...)
}

const writeSize = 32 << 10

// A rowWriter gathers rows into writes of a good size.
type rowWriter struct {
	w      io.Writer
	buf    []byte
	recode *recoder // nil: UTF-8
}

// flush writes what was gathered, once there is enough of it.
func (r *rowWriter) flush(all bool) error {
	if len(r.buf) < writeSize && !all || len(r.buf) == 0 {
		return nil
	}
	text := r.buf
	if r.recode != nil {
		text = r.recode.recode(text)
	}
	_, err := r.w.Write(text)
	r.buf = r.buf[:0]
	if err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}

// each writes every row, by means of add.
func (r *rowWriter) each(rows iter.Seq2[[]Value, error], width int, add func(n int64, row []Value) error) error {
	n := int64(0)
	for row, err := range rows {
		if err != nil {
			return err
		}
		n++
		if len(row) != width {
			return fmt.Errorf("write row %d: it has %d values for %d columns", n, len(row), width)
		}
		if err := add(n, row); err != nil {
			return err
		}
		if err := r.flush(false); err != nil {
			return err
		}
	}
	return nil
}

var (
	errNotUTF8 = errors.New("the text is not valid UTF-8")
	errNUL     = errors.New("the text holds a NUL character, which csv cannot")
)
