package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A lineReader gives the lines of one file to a layout. All that it gives is valid until the next line is asked for.
type lineReader interface {
	// next goes to the next line that is not blank, io.EOF behind the last. last says that it is the last one; only a layout with a trailer of no kind asks for that.
	next() (last bool, err error)
	// show tells where the line stands, and its text as Raw.
	show(rec *Record)
	// kind is the text that tells which kind of line it is, or the reason why there is none.
	kind() (text []byte, reason string)
	// take makes the cells of a record out of the line, by one of the tables that were made when the layout was compiled.
	take(table int, rec *Record) error
}

// A lineRun is the state of reading one file of several parts.
type lineRun struct {
	l      *lineLayout
	in     lineReader
	yield  func(*Record, error) bool
	order  lineOrder
	number int64
	rec    Record // of the line at hand
	held   heldRecord
}

// A heldRecord waits for the lines that follow it.
type heldRecord struct {
	on    bool
	part  int
	rec   Record
	bad   error // it, or a line that follows it, cannot be read: the other lines are passed over
	told  bool  // that has been told
	row   Record
	bytes arena[byte]
	cells arena[Cell]
	size  int
	taken int
	raw   []byte
}

// run reads the records of a file.
func (l *lineLayout) run(in lineReader, yield func(*Record, error) bool) {
	r := &lineRun{l: l, in: in, yield: yield, order: lineOrder{l: l}}
	if err := r.all(); err != nil && !errors.Is(err, errStopped) {
		yield(nil, err)
	}
}

func (r *lineRun) all() error {
	for {
		last, err := r.in.next()
		switch {
		case errors.Is(err, io.EOF):
			if err := r.release(); err != nil {
				return err
			}
			return r.order.end(&r.rec)
		case err != nil:
			return err
		}
		r.rec.Part, r.rec.Number = 0, 0
		r.in.show(&r.rec)
		size := len(r.rec.Raw)
		if !r.l.o.Raw {
			r.rec.Raw = nil
		}
		if err := r.line(last, size); err != nil {
			return err
		}
	}
}

// line works a line of so many bytes.
func (r *lineRun) line(last bool, size int) error {
	k, text, reason := r.which(last)
	switch {
	case k.ignore:
		return nil
	case k.detail && r.held.on:
		for _, d := range r.l.details[r.held.part] {
			if d.kind == string(text) {
				return r.detail(d, size)
			}
		}
	}
	if err := r.release(); err != nil {
		return err
	}
	if k.detail {
		reason = fmt.Sprintf("the line is of kind %q, which follows a record, but stands behind none that it could belong to", text)
	}
	if err := r.order.step(k.part, &r.rec); err != nil {
		return err
	}
	if reason != "" {
		r.number++
		r.rec.Number = r.number
		return r.give(nil, newRecordError(&r.rec, text, reason))
	}
	return r.record(k.part, size)
}

// which tells what the line at hand is; with a reason where it is nothing known.
func (r *lineRun) which(last bool) (k lineKind, text []byte, reason string) {
	l := r.l
	switch {
	case l.first >= 0 && !r.order.any:
		return lineKind{part: l.first}, nil, ""
	case last && l.last >= 0:
		return lineKind{part: l.last}, nil, ""
	case l.o.Kind == "":
		return lineKind{part: l.rest}, nil, ""
	}
	none := lineKind{part: -1}
	if text, reason = r.in.kind(); reason != "" {
		return none, text, reason
	}
	text = bytes.TrimSpace(text)
	k, known := l.kindOf(text)
	if !known {
		return none, text, l.unknown(text)
	}
	return k, text, ""
}

// record takes a line of a part.
func (r *lineRun) record(part, size int) error {
	role := r.l.parts[part].Role
	if role == Body {
		r.number++
		r.rec.Number = r.number
	}
	r.rec.Part = part
	err := r.in.take(part, &r.rec)
	var bad *RecordError
	if errors.As(err, &bad) && role != Body { // without it the rest says nothing
		return &FileError{Line: bad.Line, Offset: bad.Offset, Reason: told(r.l.told(part), bad)}
	}
	if len(r.l.details[part]) > 0 {
		return r.hold(part, size, err)
	}
	return r.give(&r.rec, err)
}

// told puts the error of a line that is no record into words.
func told(what string, bad *RecordError) string {
	if bad.Field != "" {
		what += ": field " + bad.Field
	}
	return what + ": " + bad.Reason
}

// give hands a record on, or what is wrong with it.
func (r *lineRun) give(rec *Record, err error) error {
	var bad *RecordError
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	if err != nil {
		rec = nil
	}
	if !r.yield(rec, err) {
		return errStopped
	}
	return nil
}

// hold keeps a record until the lines that follow it are there.
func (r *lineRun) hold(part, size int, err error) error {
	h := &r.held
	h.on, h.part, h.bad, h.told, h.size, h.taken = true, part, err, false, size, 0
	h.bytes.reset()
	h.cells.reset()
	cells, row := h.rec.Cells[:0], h.rec.Row[:0]
	h.rec = r.rec
	for _, c := range r.rec.Cells {
		cells = append(cells, h.cell(c))
	}
	for _, c := range r.rec.Row {
		row = append(row, h.keep(c))
	}
	h.rec.Cells, h.rec.Row = cells, row
	if r.rec.Row == nil {
		h.rec.Row = nil
	}
	h.raw = append(h.raw[:0], r.rec.Raw...)
	for _, d := range r.l.details[part] {
		if d.want < len(cells) {
			cells[d.want] = Cell{}
		}
	}
	return nil
}

// cellsIn counts cells, and those of the rows in them.
func cellsIn(cells []Cell) int {
	n := len(cells)
	for _, c := range cells {
		for _, row := range c.Rows {
			n += cellsIn(row)
		}
	}
	return n
}

// cell keeps a cell; only lines of JSON have rows in it.
func (h *heldRecord) cell(c Cell) Cell {
	if c.Rows != nil {
		return cloneCell(c)
	}
	return Cell{Kind: c.Kind, Bytes: h.keep(c.Bytes)}
}

func (h *heldRecord) keep(b []byte) []byte {
	kept := h.bytes.take(len(b))
	copy(kept, b)
	return kept
}

// detail adds a line to the record that is held.
func (r *lineRun) detail(d lineDetail, size int) error {
	h := &r.held
	if r.l.o.Raw {
		h.raw = append(append(h.raw, '\n'), r.rec.Raw...)
	}
	if h.bad != nil {
		h.raw = h.raw[:min(len(h.raw), int(r.l.o.Limits.MaxRecord))]
		return nil
	}
	h.row.Number, h.row.Line, h.row.Offset, h.row.Raw = h.rec.Number, r.rec.Line, r.rec.Offset, r.rec.Raw
	if err := r.in.take(d.table, &h.row); err != nil {
		want := &r.l.parts[h.part].Wants[d.want]
		var bad *RecordError
		if errors.As(err, &bad) {
			if bad.Field != "" {
				bad.Field = want.Name + "." + bad.Field
			} else {
				bad.Field = want.Name
			}
		}
		h.bad = err
		return nil
	}
	const overhead = 64 // of a row
	h.size += size + overhead
	h.taken += cellsIn(h.row.Cells)
	if h.size > int(r.l.o.Limits.MaxRecord) {
		return r.over("max_record", fmt.Sprintf("the record with the lines that follow it is longer than max_record, %s", r.l.o.Limits.MaxRecord))
	}
	if h.taken > r.l.o.Limits.MaxCells {
		return r.over("max_cells", fmt.Sprintf("the lines that follow the record give more than %d fields (max_cells)", r.l.o.Limits.MaxCells))
	}
	row := h.cells.take(len(h.row.Cells))
	for i, c := range h.row.Cells {
		row[i] = h.cell(c)
	}
	c := &h.rec.Cells[d.want]
	c.Kind = Nested
	c.Rows = append(c.Rows, row)
	return nil
}

func (r *lineRun) over(limit, reason string) error {
	return &FileError{Line: r.held.rec.Line, Offset: r.held.rec.Offset, Limit: limit, Reason: reason}
}

// release gives the record that was held.
func (r *lineRun) release() error {
	h := &r.held
	if !h.on {
		return nil
	}
	h.on = false
	if r.l.o.Raw {
		h.rec.Raw = h.raw
	}
	var bad *RecordError
	if errors.As(h.bad, &bad) && r.l.parts[h.part].Role != Body {
		return &FileError{Line: bad.Line, Offset: bad.Offset, Reason: told(r.l.told(h.part), bad)}
	}
	if bad != nil {
		bad.Offset = h.rec.Offset // its line is that of what is wrong; the record begins further up
	}
	return r.give(&h.rec, h.bad)
}
