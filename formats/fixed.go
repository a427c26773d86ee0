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
	return format{name: "fixed", keys: []string{"unit", "length", "ends", "short"}, check: checkFixed, decoder: newFixed}
}

const (
	unitBytes = "bytes"
	endsNone  = "none"
	shortPad  = "pad"
)

func checkFixed(o Options) []Problem {
	ps := oneOf("unit", o.Unit, "characters", unitBytes)
	ps = append(ps, oneOf("ends", o.Ends, "line", endsNone)...)
	ps = append(ps, oneOf("short", o.TooShort, reject, shortPad)...)
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
	wants  []Want
	places [][]place      // by index of wants
	least  int            // columns that a record must have
	last   int            // the want that asks for the last of them, -1: none
	width  func(rune) int // columns of a character; nil: one
}

func newFixed(o Options, wants []Want) (Decoder, []Problem) {
	d := &fixedDecoder{o: o, wants: wants, least: o.Length, last: -1, width: widthOf(o)}
	var ps []Problem
	for i, w := range wants {
		path := "fields." + w.Name
		switch {
		case len(w.Fields) > 0:
			ps = append(ps, Problem{path, "a line of fixed width holds no lists or objects: use group"})
		case w.Column != "":
			ps = append(ps, Problem{path + ".column", "goes with csv and xlsx: write from with the columns, as 7-12"})
		}
		var places []place
		for _, from := range w.From {
			p, err := parsePlace(from)
			if end := max(p.from, p.to); err == nil && o.Length > 0 && end > o.Length {
				err = fmt.Errorf("%q lies beyond length, %d", from, o.Length)
			}
			if err != nil {
				ps = append(ps, Problem{path + ".from", err.Error()})
				continue
			}
			places = append(places, p)
			if len(places) == 1 && p.to > d.least {
				d.least, d.last = p.to, i
			}
		}
		d.places = append(d.places, places)
	}
	if len(ps) > 0 {
		return nil, ps
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
		r.rec.Cells = make([]Cell, max(1, len(d.wants)))
		if len(d.wants) == 0 {
			r.rec.Names, r.rec.Row = []string{"line"}, make([][]byte, 1)
		}
		for {
			line, err := r.next()
			if err == nil && len(line) == 0 {
				continue
			}
			if err == nil {
				err = r.take(line)
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
	d     *fixedDecoder
	w     *window
	lines *csvScan
	rec   Record
	taken int     // bytes to leave behind at the next step, where there are no lines
	at    []int32 // of a record that is not ASCII: where each column starts, -1: inside a character
	wide  bool    // at counts
}

// next returns the text of the next record; io.EOF after the last.
func (r *fixedReading) next() ([]byte, error) {
	if r.d.o.Ends != endsNone {
		line, err := r.lines.nextLine()
		r.rec.Line, r.rec.Offset = r.lines.line, r.lines.offset
		return line, err
	}
	r.w.start += r.taken
	r.taken = 0
	for {
		data := r.w.data()
		n, columns := r.measure(data)
		switch {
		case columns == r.d.o.Length:
			r.taken, r.rec.Offset = n, r.w.offset(0)
			return data[:n:n], nil
		case columns > r.d.o.Length:
			return nil, r.refuse("", fmt.Sprintf("record %d ends in the middle of a character: is unit: characters meant?", r.rec.Number+1))
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
		return nil, r.refuse("", fmt.Sprintf("the file ends in column %d of record %d, each of which has %d: truncated?", columns, r.rec.Number+1, r.d.o.Length))
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

// take makes the cells of a record.
func (r *fixedReading) take(line []byte) error {
	d := r.d
	r.rec.Number++
	if d.o.Raw {
		r.rec.Raw = line
	}
	columns := r.rule(line)
	if columns < d.least && d.o.TooShort != shortPad || d.o.Length > 0 && columns > d.o.Length {
		return r.badLength(line, columns)
	}
	if len(d.wants) == 0 {
		r.rec.Row[0] = line
		r.rec.Cells[0] = Cell{Kind: Text, Bytes: line}
		return nil
	}
	for i := range d.wants {
		c := Cell{}
		for _, p := range d.places[i] {
			if p.from > columns {
				continue
			}
			to := p.to
			if to == 0 || to > columns {
				to = columns
			}
			from, end := r.offset(p.from-1), r.offset(to)
			if from < 0 || end < 0 {
				return r.cutCharacter(line, i, p, from < 0)
			}
			c = Cell{Kind: Text, Bytes: line[from:end:end]}
			break
		}
		r.rec.Cells[i] = c
	}
	return nil
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

func (r *fixedReading) badLength(line []byte, columns int) error {
	d := r.d
	e := newRecordError(&r.rec, line, fmt.Sprintf("the record has %s, there should be %d", counted(columns, "column"), d.o.Length))
	switch {
	case columns > d.least && d.o.Length > 0:
	case d.last >= 0:
		e.Field = d.wants[d.last].Name
		e.Reason = fmt.Sprintf("stands in %s, but the record ends with column %d", d.places[d.last][0], columns)
	}
	if columns < d.least {
		e.Reason += "; if blanks at the end were cut off, say short: pad"
	}
	return e
}

func (r *fixedReading) cutCharacter(line []byte, want int, p place, first bool) error {
	at := p.to
	if first {
		at = p.from
	}
	e := newRecordError(&r.rec, line, fmt.Sprintf("stands in %s, but column %d lies inside a character of several bytes: is unit: characters meant?", p, at))
	e.Field = r.d.wants[want].Name
	return e
}
