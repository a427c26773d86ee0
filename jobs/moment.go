package jobs

import (
	"bytes"
	"strconv"
	"strings"

	"waybill/jobs/expression"
)

// Dates that a file holds as dates, as a spreadsheet does: no format says how they are written.

// moment is the text of such a date or time as it goes on.
func (m *maker) moment(f *field, cell []byte) ([]byte, string) {
	day, clock, both := bytes.Cut(cell, []byte("T"))
	if !both && bytes.IndexByte(cell, ':') >= 0 {
		day, clock = nil, cell
	}
	switch {
	case f.kind == expression.KindDate && len(day) > 0:
		if len(bytes.Trim(clock, "0:")) > 0 {
			return nil, "is a date with a time of day: say type: datetime"
		}
		return day, ""
	case f.kind == expression.KindTime && len(day) == 0:
		if hour, _, _ := bytes.Cut(clock, []byte(":")); len(hour) > 2 || bytes.Compare(hour, []byte("24")) >= 0 {
			return nil, "is a span of time, not a time of day"
		}
		return clock, ""
	case f.kind == expression.KindDateTime && len(day) > 0:
		if !both {
			cell = append(append([]byte(nil), day...), "T00:00:00"...)
		}
		t, ok := parseISO(string(cell), f.layout.zone)
		if !ok {
			return nil, "is not " + f.kind.Noun()
		}
		at := len(m.arena)
		m.arena = t.AppendFormat(m.arena, isoForm(f.kind))
		return m.arena[at:], ""
	}
	return nil, "is not " + f.kind.Noun()
}

// bareMoment tells whether a bare number in the column of a field is a date: unless its format is one that digits alone can have, as %Y%m%d.
func (f *field) bareMoment() bool {
	if !f.timely() {
		return false
	}
	literal := f.layout.format
	for _, verb := range []string{"%Y", "%m", "%d", "%H", "%M", "%S", "%y", "%s"} {
		literal = strings.ReplaceAll(literal, verb, "")
	}
	return f.layout.format == "" || literal != ""
}

// place adds the name of the cell to what is wrong with a field, where the format has cells.
func (r *run) place(f *field, bad *fault) {
	if places := r.source.Places; f.cell >= 0 && f.cell < len(places) && places[f.cell] != "" {
		bad.reason += " (cell " + places[f.cell] + strconv.FormatInt(r.line, 10) + ")"
	}
}
