package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"waybill/formats/xlsx"
)

const (
	headRows   = 50     // among which the titles are looked for
	headMerges = 10_000 // merged cells that are kept
	mergeRows  = 1000   // in which they are looked for
)

// A headRow is a row in which titles may stand.
type headRow struct {
	row    int64
	titles []string // by column from 0, "" where there is none
}

// head finds the titles and the column of each want; io.EOF when the sheet is empty.
func (r *xlsxReading) head() error {
	d := r.d
	last := int64(headRows)
	if d.titles > 0 {
		last = int64(d.titles)
	}
	rows, err := r.headRows(last)
	if err != nil {
		return err
	}
	var titles []string
	if d.titles == 0 {
		r.width = len(rows[0].titles)
	} else if titles, err = r.chooseTitles(rows, last); err != nil {
		return err
	} else {
		r.width = len(titles)
	}
	return r.bind(titles)
}

// headRows reads the rows up to last, and at least one; io.EOF when there is none.
func (r *xlsxReading) headRows(last int64) ([]headRow, error) {
	s, err := r.book.Rows(r.part)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var rows []headRow
	size := 0
	for {
		err := s.Next()
		switch {
		case errors.Is(err, io.EOF) && len(rows) > 0:
			return rows, nil
		case errors.Is(err, io.EOF):
			if err := s.Rest(); err != nil {
				return nil, err
			}
			return nil, io.EOF
		case err != nil:
			return nil, err
		}
		if size += s.Size(); size > int(r.d.o.Limits.MaxRecord) {
			return nil, s.Refusal("max_record", fmt.Sprintf("the rows above the records are longer than max_record, %s", r.d.o.Limits.MaxRecord))
		}
		row := headRow{row: s.Row}
		for i := range s.Cells {
			row.add(s, &s.Cells[i])
		}
		if len(row.titles) > r.d.o.Limits.MaxColumns {
			return nil, s.Refusal("max_columns", fmt.Sprintf("row %d reaches to column %s, beyond max_columns, %d", s.Row, xlsx.Letters(len(row.titles)), r.d.o.Limits.MaxColumns))
		}
		if s.Row > last && len(rows) > 0 {
			return rows, nil
		}
		if len(row.titles) > 0 {
			rows = append(rows, row)
		}
	}
}

func (h *headRow) add(s *xlsx.Rows, c *xlsx.Cell) {
	text := string(bytes.TrimSpace(s.Content(c)))
	if text == "" || c.Bad != "" {
		return
	}
	for len(h.titles) < c.Column {
		h.titles = append(h.titles, "")
	}
	h.titles[c.Column-1] = text
}

func (h *headRow) filled() (n int) {
	for _, t := range h.titles {
		if t != "" {
			n++
		}
	}
	return n
}

// chooseTitles finds the row of the titles. Only where it takes merged cells to find them the sheet is read once more for these,
// as they stand at its end.
func (r *xlsxReading) chooseTitles(rows []headRow, last int64) ([]string, error) {
	best, lacking := r.bestRow(rows)
	if r.d.titles > 0 {
		best = slices.IndexFunc(rows, func(h headRow) bool { return h.row == last })
		if best < 0 && rows[0].row > last { // nothing but blank cells there
			best, rows = 0, slices.Insert(rows, 0, headRow{row: last})
		}
		if best < 0 {
			return nil, r.refuse(last, fmt.Sprintf("the sheet holds nothing in row %d, where the titles should stand", last))
		}
		lacking = r.lacking(rows[best].titles)
	}
	if lacking > 0 || len(r.d.wants) == 0 && best > 0 {
		merges, err := r.book.Merges(r.part, headMerges, func(m xlsx.Merge) bool {
			return m.Row <= mergeRows && m.Column <= r.d.o.Limits.MaxColumns && m.Row < m.Bottom
		})
		if err != nil {
			return nil, err
		}
		rows = spread(rows, merges)
		if r.d.titles <= 0 {
			best, _ = r.bestRow(rows)
		}
	}
	if rows[best].row > last {
		return nil, r.refuse(last, fmt.Sprintf("the first %d rows are empty: say in which row the titles stand (titles)", last))
	}
	r.titles = rows[best].row
	r.rec.Titles = r.titles
	return rows[best].titles, nil
}

// bestRow is the first row that lacks the fewest of the titles that fields name. Where there are no fields it is the first that has more than half as many
// cells as the fullest: a caption or two above a table are not its titles.
func (r *xlsxReading) bestRow(rows []headRow) (best, lacking int) {
	if len(r.d.wants) == 0 && len(r.d.below) == 0 {
		most := 0
		for i := range rows {
			most = max(most, rows[i].filled())
		}
		return slices.IndexFunc(rows, func(h headRow) bool { return 2*h.filled() > most }), 0
	}
	lacking = r.lacking(rows[0].titles)
	for i := range rows {
		if n := r.lacking(rows[i].titles); n < lacking {
			best, lacking = i, n
		}
	}
	return best, lacking
}

func (r *xlsxReading) lacking(titles []string) int {
	n := 0
	for _, w := range r.d.wants {
		if w.Column == "" && anyOf(titles, w.From) < 0 {
			n++
		}
	}
	for _, s := range r.d.below {
		if s.column == 0 && anyOf(titles, s.text) < 0 {
			n++
		}
	}
	return n
}

// spread writes what a merged cell shows into each row it spans, in its first column: a title over two rows counts in both.
func spread(rows []headRow, merges []xlsx.Merge) []headRow {
	all := slices.Clone(rows)
	for i := range all {
		h := &all[i]
		for _, m := range merges {
			if h.row <= m.Row || h.row > m.Bottom {
				continue
			}
			from := slices.IndexFunc(rows, func(o headRow) bool { return o.row == m.Row })
			if from < 0 || m.Column > len(rows[from].titles) {
				continue
			}
			h.titles = slices.Clone(h.titles)
			for len(h.titles) < m.Column {
				h.titles = append(h.titles, "")
			}
			if t := &h.titles[m.Column-1]; *t == "" {
				*t = rows[from].titles[m.Column-1]
			}
		}
	}
	return all
}

// bind finds the column of each want.
func (r *xlsxReading) bind(titles []string) error {
	if err := r.twice(titles); err != nil {
		return err
	}
	r.rec.Names = numbers(titles, r.width)
	missing := r.bindTail(titles)
	if len(r.d.wants) == 0 && len(missing) == 0 {
		for i := range r.width {
			r.at = append(r.at, i+1)
		}
		r.lay()
		return nil
	}
	named := make([]bool, r.width)
	for i, w := range r.d.wants {
		at := r.d.fixed[i]
		if at == 0 {
			at = anyOf(titles, w.From) + 1
		}
		if at == 0 && (w.Must || r.d.o.Columns.Missing != ignore) {
			missing = append(missing, noColumn(w.From, w.Name, titles))
		}
		if at > 0 && at <= r.width {
			named[at-1] = true
		}
		r.at = append(r.at, at)
	}
	for _, t := range r.tail {
		if t.row == 0 && t.column > 0 && t.column <= r.width {
			named[t.column-1] = true
		}
	}
	if len(missing) > 0 {
		return r.refuse(r.titles, strings.Join(missing, "; ")+r.there(titles))
	}
	r.lay()
	if r.d.o.Columns.Extra != reject {
		return nil
	}
	for i, ok := range named {
		if !ok && (len(titles) == 0 || titles[i] != "") {
			return r.refuse(r.titles, fmt.Sprintf("no field names column %q (columns.extra: reject)", r.rec.Names[i]))
		}
	}
	return nil
}

// lay prepares what a record is made of.
func (r *xlsxReading) lay() {
	most := 0
	for _, column := range r.at {
		most = max(most, column)
	}
	r.slots, r.dates = make([]int, most+1), make([]bool, most+1)
	for i := range r.slots {
		r.slots[i] = -1
	}
	n := 0
	for i, column := range r.at {
		if column > 0 && r.slots[column] < 0 {
			r.slots[column] = n
			n++
		}
		if len(r.d.wants) > 0 && r.d.wants[i].Date {
			r.dates[column] = true
		}
		r.rec.Places = append(r.rec.Places, xlsx.Letters(column))
	}
	r.found = make([]*xlsx.Cell, n)
	r.rec.Cells = make([]Cell, len(r.at))
	if len(r.d.wants) > 0 {
		r.width = max(r.width, most)
	}
}

// twice refuses titles that stand twice, where it matters.
func (r *xlsxReading) twice(titles []string) error {
	seen := make(map[string]int, len(titles))
	for i, t := range titles {
		first, again := seen[t]
		if !again {
			seen[t] = i
			continue
		}
		wanted := slices.ContainsFunc(r.d.wants, func(w Want) bool {
			return w.Column == "" && slices.ContainsFunc(w.From, func(f string) bool { return strings.TrimSpace(f) == t })
		})
		if t != "" && (wanted || len(r.d.wants) == 0) {
			return r.refuse(r.titles, fmt.Sprintf("the title %q stands twice, over columns %s and %s", cut([]byte(t)), xlsx.Letters(first+1), xlsx.Letters(i+1)))
		}
	}
	return nil
}

// there tells what the sheet has instead.
func (r *xlsxReading) there(titles []string) string {
	const most = 40
	var some []string
	for _, t := range titles {
		if t != "" && len(some) < most {
			some = append(some, strconv.Quote(cut([]byte(t))))
		}
	}
	text := fmt.Sprintf("; in row %d stand %s", r.titles, strings.Join(some, ", "))
	if r.d.titles < 0 {
		text += fmt.Sprintf(", and none of the first %d rows fits better", headRows)
	}
	return text
}

func (r *xlsxReading) refuse(row int64, reason string) error {
	return &FileError{Line: row, Offset: -1, Reason: reason}
}
