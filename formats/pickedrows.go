package formats

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// pickedRows writes a workbook with the picked rows, below their titles. These stand in the row and in the sheet in which the job looks for them: what is
// mended goes through the same job.
func pickedRows(open func() (Blob, func()), o Options, parts []Part, pick Pick, w io.Writer) (n int64, err error) {
	if len(parts) > 1 {
		return 0, errors.New("a workbook with parts beside its records cannot be written with some of them only")
	}
	at := 1
	if o.Titles != nil {
		at = *o.Titles
	} else if o.Titles, err = titleRow(open, o, parts); err != nil {
		return 0, err
	}
	d, problems := New(o, nil)
	if len(problems) > 0 {
		return 0, errors.New(problems[0].String())
	}
	b, end := open()
	defer end()
	var e Encoder
	var above [][]Value
	rows := func(yield func([]Value, error) bool) {
		for _, row := range above {
			if !yield(row, nil) {
				return
			}
		}
		for rec, err := range d.Decode(b) {
			reason, picked := "", false
			if err == nil {
				reason, picked = pick.of(rec.Number)
			} else if !errors.As(err, new(*RecordError)) {
				yield(nil, err)
				return
			}
			if !picked {
				continue
			}
			n++
			row := make([]Value, 0, len(rec.Cells)+1)
			for _, c := range rec.Cells {
				row = append(row, Value{Kind: c.Kind, Bytes: c.Bytes})
			}
			if !yield(append(row, Value{Kind: Text, Bytes: []byte(reason)}), nil) {
				return
			}
		}
	}
	titles, err := titlesOf(open, d)
	if err != nil {
		return 0, err
	}
	columns := make([]Column, 0, len(titles)+1)
	last := make([]Value, 0, len(titles)+1)
	for _, title := range append(titles, ReasonTitle) {
		columns, last = append(columns, Column{Title: title}), append(last, Value{Kind: Text, Bytes: []byte(title)})
	}
	writing := Writing{Format: "xlsx", Sheet: o.Sheet}
	if at != 1 {
		writing.Titles = skip
	}
	if at > 1 {
		for range at - 1 {
			above = append(above, make([]Value, len(last)))
		}
		above = append(above, last)
	}
	if e, problems = NewEncoder(writing, columns); len(problems) > 0 {
		return 0, errors.New(problems[0].String())
	}
	err = e.Encode(w, rows)
	return n, err
}

// titleRow is the row that has the titles which fields name; nil where there is no record below it.
func titleRow(open func() (Blob, func()), o Options, parts []Part) (*int, error) {
	d, problems := NewParts(o, parts)
	if len(problems) > 0 {
		return nil, errors.New(problems[0].String())
	}
	b, end := open()
	defer end()
	for rec, err := range d.Decode(b) {
		if err != nil {
			return nil, fmt.Errorf("look for the titles: %w", err)
		}
		row := int(rec.Titles) // empty rows may lie between
		return &row, nil
	}
	return nil, nil
}

// titlesOf are the names of the columns of a table.
func titlesOf(open func() (Blob, func()), d Decoder) ([]string, error) {
	b, end := open()
	defer end()
	for rec, err := range d.Decode(b) {
		if err != nil {
			return nil, fmt.Errorf("read the titles: %w", err)
		}
		return slices.Clone(rec.Names), nil
	}
	return nil, nil
}
