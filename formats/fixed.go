package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Fixed width: a field is what stands in certain columns. A record is a line, or, as mainframes write them, so many columns
// without anything between. Columns are counted in characters, or in bytes as the file has them, whatever it is recoded to.

func fixedFormat() format {
	return format{name: "fixed", tabular: true, keys: []string{"kind", "ignore", "unit", "length", "ends", "short"}, check: checkFixed, decoder: newFixed, parts: newFixedParts,
		writes: []string{"encoding", "unmappable", "lines", "unit", "decimal"}, checkWriting: checkFixedWriting, encoder: newFixedEncoder, partsEncoder: newFixedParted}
}

// blankLine are the characters of a line that is no row of a file of several parts; the last is what some systems end a file with.
const blankLine = " \t\x1a"

const (
	unitBytes = "bytes"
	endsNone  = "none"
	shortPad  = "pad"
)

func checkFixed(o Options) []Problem {
	ps := oneOf("unit", o.Unit, "characters", unitBytes)
	ps = append(ps, oneOf("ends", o.Ends, "line", endsNone)...)
	ps = append(ps, oneOf("short", o.TooShort, reject, shortPad)...)
	if o.Kind != "" {
		p, err := parsePlace(o.Kind)
		switch {
		case err != nil:
			ps = append(ps, Problem{"kind", err.Error()})
		case p.to == 0:
			ps = append(ps, Problem{"kind", fmt.Sprintf("%q has no end: write the columns of the kind alone, as 1-2", o.Kind)})
		case o.Length > 0 && p.to > o.Length:
			ps = append(ps, Problem{"kind", fmt.Sprintf("%q lies beyond length, %d", o.Kind, o.Length)})
		}
	}
	if o.Length < 0 || o.Length > math.MaxInt32 {
		ps = append(ps, Problem{"length", fmt.Sprintf("%d is no length of a record", o.Length)})
	}
	if o.Ends == endsNone && o.Length == 0 {
		ps = append(ps, Problem{"length", "missing: without line ends the length of a record must be known"})
	}
	if o.Ends == endsNone && o.TooShort == shortPad {
		ps = append(ps, Problem{"short", "pad does not go with ends: none, where every record is as long as length says"})
	}
	if c, _ := findCharset(o.Encoding); o.Unit == unitBytes && c.wide != noOrder {
		ps = append(ps, Problem{"unit", "bytes does not go with " + c.name + ", where a character takes two of them or four: write characters"})
	}
	return ps
}

// A place is a run of columns, from 1, both ends included. to is 0 where it goes on to the end of the record.
type place struct{ from, to int }

func (p place) String() string {
	switch {
	case p.to == 0:
		return fmt.Sprintf("columns %d to the end", p.from)
	case p.to == p.from:
		return fmt.Sprintf("column %d", p.from)
	}
	return fmt.Sprintf("columns %d to %d", p.from, p.to)
}

// parsePlace reads N, N-M, N- or N+LEN.
func parsePlace(s string) (place, error) {
	count := func(s string) int {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return 0
		}
		return int(n)
	}
	var p place
	first, last, ranged := strings.Cut(s, "-")
	if ranged {
		p = place{count(first), count(last)}
		if p.from > 0 && (last == "" || p.to >= p.from) {
			return p, nil
		}
	} else if first, length, lasts := strings.Cut(s, "+"); lasts {
		p.from = count(first)
		if n := count(length); p.from > 0 && n > 0 && n <= math.MaxInt32-p.from {
			return place{p.from, p.from + n - 1}, nil
		}
	} else if p.from = count(s); p.from > 0 {
		return place{p.from, p.from}, nil
	}
	return place{}, fmt.Errorf("%q is no place in a line: write 7, 7-12, 7- or 7+6, counting columns from 1", s)
}

type fixedDecoder struct {
	o      Options
	shop   workshop
	tables []fixedTable
	kind   place          // where the kind of a line stands
	layout *lineLayout    // nil: all lines are records of one kind
	width  func(rune) int // columns of a character; nil: one
}

func newFixed(o Options, wants []Want) (Decoder, []Problem) {
	return newFixedParts(o, []Part{{Wants: wants}})
}

func newFixedParts(o Options, parts []Part) (Decoder, []Problem) {
	d := &fixedDecoder{o: o, width: widthOf(o)}
	if o.Kind != "" {
		d.kind, _ = parsePlace(o.Kind) // checked before
	}
	layout, ps := layLines(o, parts, func(_ Part, path string, wants []Want) []Problem {
		t, ps := newFixedTable(o, path, wants)
		d.tables = append(d.tables, t)
		return ps
	})
	if layout.last >= 0 && o.Ends == endsNone {
		ps = append(ps, Problem{"trailer.kind", "missing: without line ends the trailer is known by its kind only"})
	}
	if len(ps) > 0 {
		return nil, ps
	}
	if layout.several || len(layout.details[0]) > 0 {
		d.layout = layout
	}
	return d, nil
}

// widthOf tells how many columns a character takes.
func widthOf(o Options) func(rune) int {
	if o.Unit != unitBytes {
		return nil
	}
	c, _ := findCharset(o.Encoding)
	switch {
	case c.single != nil:
		return nil
	case c.multi == nil:
		return utf8.RuneLen
	}
	return func(r rune) int {
		b, _ := newRecoder(c.name, true).put(nil, r)
		return max(1, len(b))
	}
}

// Decode reads the records of a file.
func (d *fixedDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		on := d.shop.borrow()
		w := open(b, d.o, on)
		defer d.shop.back(on, w)
		r := &fixedReading{d: d, w: w, lines: newCSVScan(w, 0, 0, d.o.Limits)}
		if d.layout != nil {
			d.layout.run(r, yield)
			return
		}
		for {
			_, err := r.next()
			if err == nil {
				r.rec.Number++
				r.show(&r.rec)
				if !d.o.Raw {
					r.rec.Raw = nil
				}
				err = r.take(0, &r.rec)
			}
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				var bad *RecordError
				if !yield(nil, err) || !errors.As(err, &bad) {
					return
				}
			case !yield(&r.rec, nil):
				return
			}
		}
	}
}

// fixedReading is the state of reading one file.
type fixedReading struct {
	d       *fixedDecoder
	w       *window
	lines   *csvScan
	rec     Record
	count   int64    // of the records before the one at hand, where there are no lines
	text    []byte   // of the line at hand
	names   []string // of a record whose fields nobody named
	row     [][]byte
	wide    bool    // at counts
	taken   int     // bytes to leave behind at the next step, where there are no lines
	at      []int32 // of a record that is not ASCII: where each column starts, -1: inside a character
	columns int     // of the line at hand
}

// next goes to the next line that is not blank; io.EOF after the last.
func (r *fixedReading) next() (last bool, err error) {
	layout := r.d.layout
	for {
		if layout != nil && layout.last >= 0 {
			more, err := r.lines.remains(1)
			if err == nil && more {
				more, err = r.lines.remains(2)
				last = !more
			}
			if err != nil {
				return false, err
			}
		}
		if r.text, err = r.line(); err != nil {
			return false, err
		}
		if len(r.text) == 0 || layout != nil && len(bytes.Trim(r.text, blankLine)) == 0 {
			continue
		}
		r.columns = r.rule(r.text)
		return last, nil
	}
}

// show tells where the line stands.
func (r *fixedReading) show(rec *Record) {
	rec.Raw = r.text
	if r.d.o.Ends == endsNone {
		rec.Offset = r.w.offset(0)
		return
	}
	rec.Line, rec.Offset = r.lines.line, r.lines.offset
}

// line returns the text of the next line or record; io.EOF after the last.
func (r *fixedReading) line() ([]byte, error) {
	if r.d.o.Ends != endsNone {
		return r.lines.nextLine()
	}
	r.w.start += r.taken
	r.taken = 0
	for {
		data := r.w.data()
		n, columns := r.measure(data)
		switch {
		case columns == r.d.o.Length:
			r.taken = n
			r.count++
			return data[:n:n], nil
		case columns > r.d.o.Length:
			return nil, r.refuse("", fmt.Sprintf("record %d ends in the middle of a character: is unit: characters meant?", r.count+1))
		case len(data) > int(r.d.o.Limits.MaxRecord):
			return nil, r.refuse("max_record", fmt.Sprintf("the record is longer than max_record, %s", r.d.o.Limits.MaxRecord))
		}
		if r.w.more() {
			continue
		}
		if err := r.w.cause(); err != nil {
			return nil, err
		}
		if len(bytes.Trim(r.w.data(), "\r\n\x1a")) == 0 { // some systems end a file so
			return nil, io.EOF
		}
		return nil, r.refuse("", fmt.Sprintf("the file ends in column %d of record %d, each of which has %d: truncated?", columns, r.count+1, r.d.o.Length))
	}
}

func (r *fixedReading) refuse(limit, reason string) error {
	return &FileError{Offset: r.w.offset(0), Limit: limit, Reason: reason}
}

// measure goes through the text up to as many columns as a record has.
func (r *fixedReading) measure(data []byte) (n, columns int) {
	length := r.d.o.Length
	if plain := data[:min(len(data), length)]; isASCII(plain) {
		return len(plain), len(plain)
	}
	for n < len(data) && columns < length {
		c, size := utf8.DecodeRune(data[n:])
		n += size
		columns += r.d.columns(c)
	}
	return n, columns
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func (d *fixedDecoder) columns(r rune) int {
	if d.width == nil || r < utf8.RuneSelf {
		return 1
	}
	return d.width(r)
}

// rule finds out where the columns of a record are, and how many.
func (r *fixedReading) rule(line []byte) int {
	if r.wide = !isASCII(line); !r.wide {
		return len(line)
	}
	r.at = r.at[:0]
	for i := 0; i < len(line); {
		c, size := utf8.DecodeRune(line[i:])
		r.at = append(r.at, int32(i))
		for range r.d.columns(c) - 1 {
			r.at = append(r.at, -1)
		}
		i += size
	}
	columns := len(r.at)
	r.at = append(r.at, int32(len(line)))
	return columns
}

// offset is where the column behind so many starts, -1 inside a character.
func (r *fixedReading) offset(columns int) int {
	if !r.wide {
		return columns
	}
	return int(r.at[columns])
}
