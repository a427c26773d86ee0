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

// ColumnNumber reads a column's place as the configuration writes it, "C" or "3", from 1.
func ColumnNumber(s string) (int, error) {
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
	begun, err := r.pass(max(d.titles, d.o.Skip+1))
	if err != nil {
		return r.noTitles(err, begun)
	}
	if d.titles == 0 && d.o.Kind != "" {
		r.columns = -1
		return r.bind(nil)
	}
	for {
		if r.last, err = r.edge(); err == nil {
			err = s.next()
		}
		if err != nil {
			return r.noTitles(err, d.titles > 1)
		}
		if !s.blank(0) || s.bad != "" {
			break
		}
	}
	r.columns = len(s.row)
	if d.titles == 0 {
		r.first = true
		return r.bind(nil)
	}
	if s.bad != "" {
		return r.refuse(s.bad)
	}
	titles, err := r.titles()
	if err != nil {
		return err
	}
	return r.bind(titles)
}

// pass goes to a line without looking at those before it, and tells whether there were any.
func (r *csvReading) pass(line int) (begun bool, err error) {
	for r.scan.line+r.scan.lines < int64(line) {
		if _, err := r.scan.nextLine(); err != nil {
			return begun, err
		}
		begun = true
	}
	return begun, nil
}

// edge passes comments. It tells whether the row that is next is the last line, where that is the trailer; io.EOF when only the footer is left.
func (r *csvReading) edge() (last bool, err error) {
	d, s := r.d, r.scan
	if !d.edged {
		return false, nil
	}
	if len(s.comment) > 0 {
		if err := s.passComments(); err != nil {
			return false, err
		}
	}
	trailer := d.layout != nil && d.layout.last >= 0
	if d.o.Footer == 0 && !trailer {
		return false, nil
	}
	more, err := s.remains(d.o.Footer + 1)
	if err == nil && !more {
		err = io.EOF
	}
	if err == nil && trailer {
		more, err = s.remains(d.o.Footer + 2)
	}
	return !more, err
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

// anyOf returns the place of the first name that is among the titles, or -1.
func anyOf(titles, names []string) int {
	for _, n := range names {
		if at := slices.Index(titles, strings.TrimSpace(n)); at >= 0 {
			return at
		}
	}
	return -1
}

func (r *csvReading) missing(w Want, name string, titles []string) string {
	if w.Column != "" {
		return fmt.Sprintf("column %s of field %s: the file has only %s", w.Column, name, counted(r.columns, "column"))
	}
	return noColumn(w.From, name, titles)
}

// noColumn says that a field has none of its titles, and which may have been meant.
func noColumn(from []string, field string, titles []string) string {
	return fmt.Sprintf("no column %s for field %s%s", quoted(from), field, meant(from[0], titles))
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
