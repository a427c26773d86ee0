package jobs

import (
	"fmt"
	"iter"
	"strings"

	"waybill/formats"
)

// records shows rows as a decoder shows records.
func (rows *Rows) records(wants []formats.Want) iter.Seq2[*formats.Record, error] {
	return func(yield func(*formats.Record, error) bool) {
		rec := formats.Record{Names: rows.Columns}
		at, err := rows.places(wants)
		if err != nil {
			yield(nil, err)
			return
		}
		for cells, err := range rows.All {
			if err != nil {
				yield(nil, err)
				return
			}
			rec.Number++
			if len(wants) == 0 {
				rec.Cells = cells
			} else {
				rec.Cells = rec.Cells[:0]
				for _, i := range at {
					rec.Cells = append(rec.Cells, cells[i])
				}
			}
			if !yield(&rec, nil) {
				return
			}
		}
	}
}

func (rows *Rows) places(wants []formats.Want) (at []int, err error) {
	for _, w := range wants {
		found := -1
		for _, from := range w.From {
			for i, c := range rows.Columns {
				if found < 0 && c == from {
					found = i
				}
			}
		}
		if found < 0 {
			return nil, &formats.FileError{Offset: -1, Reason: fmt.Sprintf("the query gives no column %s for field %s; it gives %s",
				strings.Join(w.From, " or "), w.Name, strings.Join(rows.Columns, ", "))}
		}
		at = append(at, found)
	}
	return at, nil
}
