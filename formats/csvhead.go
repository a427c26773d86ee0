package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// columnOf finds the column that a want names by its place, from 0; -1 when it goes by the titles.
func (d *csvDecoder) columnOf(w Want) (int, []Problem) {
	path := "fields." + w.Name
	switch {
	case len(w.Fields) > 0:
		return -1, []Problem{{path, "a row of csv holds no lists or objects: use group"}}
	case w.Column != "":
		at, err := columnNumber(w.Column)
		if err == nil && at > d.o.Limits.MaxColumns {
			err = fmt.Errorf("column %s lies beyond max_columns, %d", w.Column, d.o.Limits.MaxColumns)
		}
		if err != nil {
			return -1, []Problem{{path + ".column", err.Error()}}
		}
		return at - 1, nil
	case len(w.From) == 0:
		return -1, []Problem{{path, "missing: write from with the title of the column, or column with its letter or number"}}
	case d.titles == 0:
		return -1, []Problem{{path + ".from", "there are no titles (titles: 0): write column with its letter or number"}}
	}
	return -1, nil
}

// columnNumber reads a column's place, "C" or "3", from 1.
func columnNumber(s string) (int, error) {
	if n, err := strconv.Atoi(s); err == nil && n >= 1 && s[0] != '+' {
		return n, nil
	}
	n := 0
	for _, r := range s {
		if r < 'A' || r > 'Z' || n > 1_000_000 {
			return 0, fmt.Errorf("%q is no column: write its letter, as C, or its number from 1, as 3", s)
		}
		n = n*26 + int(r-'A') + 1
	}
	return n, nil
}

// head reads up to the first record and finds out which column each want means; io.EOF when there is
// nothing in the file.
func (r *csvReading) head() error {
	d, s := r.d, r.scan
	for i := 1; i < d.titles; i++ {
		if _, err := s.nextLine(); err != nil {
			return r.noTitles(err, i > 1)
		}
	}
	for {
		if err := s.next(); err != nil {
			return r.noTitles(err, d.titles > 1)
		}
		if !s.blank(0) || s.bad != "" {
			break
		}
	}
	r.columns = len(s.row)
	if d.titles == 0 {
		r.first = true
		r.rec.Names = numbers(nil, r.columns)
		return r.bind(nil)
	}
	if s.bad != "" {
		return r.refuse(s.bad)
	}
	titles, err := r.titles()
	if err != nil {
		return err
	}
	r.rec.Names = numbers(titles, r.columns)
	return r.bind(titles)
}

// noTitles turns the end of a file that has lines, but not those of the titles, into an error.
func (r *csvReading) noTitles(err error, begun bool) error {
	if begun && errors.Is(err, io.EOF) {
		return &FileError{Line: r.scan.line, Offset: r.scan.offset,
			Reason: fmt.Sprintf("the file ends before the titles, which should stand in line %d", r.d.titles)}
	}
	return err
}

// titles copies the titles and sees that none stands twice.
func (r *csvReading) titles() ([]string, error) {
	seen := make(map[string]int, r.columns)
	titles := make([]string, 0, r.columns)
	for i, cell := range r.scan.row {
		title := string(bytes.TrimSpace(cell))
		if first, twice := seen[title]; twice && title != "" {
			return nil, r.refuse(fmt.Sprintf("the title %q stands twice, over columns %d and %d", cut([]byte(title)), first+1, i+1))
		}
		seen[title] = i
		titles = append(titles, title)
	}
	return titles, nil
}

func (r *csvReading) refuse(reason string) error {
	return &FileError{Line: r.scan.line, Offset: r.scan.offset, Reason: reason}
}

// numbers gives each column without a title its number as a name.
func numbers(titles []string, columns int) []string {
	names := make([]string, columns)
	copy(names, titles)
	for i, n := range names {
		if n == "" {
			names[i] = strconv.Itoa(i + 1)
		}
	}
	return names
}

// bind finds the column of each want.
func (r *csvReading) bind(titles []string) error {
	d := r.d
	if len(d.wants) == 0 {
		r.at = make([]int, r.columns)
		for i := range r.at {
			r.at[i] = i
		}
		r.rec.Cells = make([]Cell, r.columns)
		return nil
	}
	var missing []string
	named := make([]bool, r.columns)
	for i, w := range d.wants {
		at := d.fixed[i]
		if at < 0 {
			at = anyOf(titles, w.From)
		}
		switch {
		case at >= 0 && at < r.columns:
			named[at] = true
		case w.Must || d.o.Columns.Missing != ignore:
			missing = append(missing, r.missing(w, titles))
			at = -1
		default:
			at = -1
		}
		r.at = append(r.at, at)
	}
	if len(missing) > 0 {
		return r.refuse(strings.Join(missing, "; ") + r.found(titles))
	}
	r.rec.Cells = make([]Cell, len(d.wants))
	return r.extra(titles, named)
}

// anyOf returns the place of the first name that is among the titles, or -1.
func anyOf(titles, names []string) int {
	for _, n := range names {
		if at := slices.Index(titles, strings.TrimSpace(n)); at >= 0 {
			return at
		}
	}
	return -1
}

func (r *csvReading) missing(w Want, titles []string) string {
	if w.Column != "" {
		return fmt.Sprintf("column %s of field %s: the file has only %s", w.Column, w.Name, counted(r.columns, "column"))
	}
	quoted := make([]string, len(w.From))
	for i, f := range w.From {
		quoted[i] = strconv.Quote(f)
	}
	return fmt.Sprintf("no column %s for field %s%s", strings.Join(quoted, " or "), w.Name, meant(w.From[0], titles))
}

// found tells what the file has instead, and whether the delimiter seems to be another.
func (r *csvReading) found(titles []string) string {
	const most = 40
	var text strings.Builder
	for i, t := range titles {
		if i == most {
			fmt.Fprintf(&text, " and %d more", len(titles)-most)
			break
		}
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(strconv.Quote(cut([]byte(t))))
	}
	if text.Len() == 0 {
		return ""
	}
	s := "; the titles are " + text.String()
	if r.columns == 1 {
		for _, d := range []string{";", ",", "\t", "|"} {
			if d[0] != r.d.delim && strings.Contains(titles[0], d) {
				return s + fmt.Sprintf("; they look separated by %q: set delimiter", d)
			}
		}
	}
	return s
}

func (r *csvReading) extra(titles []string, named []bool) error {
	if r.d.o.Columns.Extra != reject {
		return nil
	}
	for i, ok := range named {
		if !ok {
			return r.refuse(fmt.Sprintf("no field names column %q (columns.extra: reject)", numbers(titles, len(named))[i]))
		}
	}
	return nil
}
