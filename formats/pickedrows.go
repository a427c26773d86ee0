package formats

import (
	"errors"
	"fmt"
	"io"
	"iter"
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
	titles, err := titlesOf(open, d)
	if err != nil {
		return 0, err
	}
	writing := Writing{Format: "xlsx", Sheet: o.Sheet}
	if at != 1 {
		writing.Titles = skip
	}
	columns, above := tableHead(append(titles, ReasonTitle), at)
	e, problems := NewEncoder(writing, columns)
	if len(problems) > 0 {
		return 0, errors.New(problems[0].String())
	}
	b, end := open()
	defer end()
	err = e.Encode(w, func(yield func([]Value, error) bool) {
		for _, row := range above {
			if !yield(row, nil) {
				return
			}
		}
		n = pickRows(d.Decode(b), pick, yield)
	})
	return n, err
}

// tableHead gives the columns of a table, and the rows above its first one where its titles do not stand in the first row.
func tableHead(titles []string, at int) (columns []Column, above [][]Value) {
	last := make([]Value, 0, len(titles))
	for _, title := range titles {
		columns, last = append(columns, Column{Title: title}), append(last, Value{Kind: Text, Bytes: []byte(title)})
	}
	if at <= 1 {
		return columns, nil
	}
	for range at - 1 {
		above = append(above, make([]Value, len(last)))
	}
	return columns, append(above, last)
}

// pickRows yields the picked records with their reasons, and returns how many there were.
func pickRows(records iter.Seq2[*Record, error], pick Pick, yield func([]Value, error) bool) (n int64) {
	for rec, err := range records {
		if err != nil && !errors.As(err, new(*RecordError)) {
			yield(nil, err)
			return n
		}
		if err != nil {
			continue
		}
		reason, picked := pick.of(rec.Number)
		if !picked {
			continue
		}
		n++
		row := make([]Value, 0, len(rec.Cells)+1)
		for _, c := range rec.Cells {
			row = append(row, Value{Kind: c.Kind, Bytes: c.Bytes})
		}
		if !yield(append(row, Value{Kind: Text, Bytes: []byte(reason)}), nil) {
			return n
		}
	}
	return n
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
