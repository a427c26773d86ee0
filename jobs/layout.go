package jobs

import (
	"strings"
	"time"

	"waybill/jobs/expression"
)

// layout reads dates and times of one format. Formats of digits and punctuation, which nearly all are, are read without
// allocating; for the rest expression.ParseTime does it.
type layout struct {
	format string
	steps  string // verbs Y y m d H M S as they are, literals as they are, each verb behind a 0 byte; "": not simple
	zone   *time.Location

	century int // the first of the hundred years that %y stands for
}

// firstCentury is what %y means where the configuration does not say: as POSIX has it.
const firstCentury = 1969

func newLayout(format string, zone *time.Location) *layout {
	l := &layout{format: format, zone: zone, century: firstCentury}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		if i == len(format) || !strings.Contains("YymdHMS", format[i:i+1]) {
			return l
		}
		b.WriteByte(0)
		b.WriteByte(format[i])
	}
	l.steps = b.String()
	return l
}

// moment is what a text said, field by field.
type moment struct{ year, month, day, hour, minute, second int }

func (l *layout) parse(text []byte) (time.Time, bool) {
	if l.format == "" {
		return parseISO(string(text), l.zone)
	}
	if l.steps == "" {
		t, err := expression.ParseTime(l.format, string(text), l.zone)
		return t, err == nil
	}
	m, ok := l.moment(text)
	if !ok {
		return time.Time{}, false
	}
	return time.Date(m.year, time.Month(m.month), m.day, m.hour, m.minute, m.second, 0, l.zone), true
}

// iso is the text of a date or a time of day as it goes on. Neither knows a zone, and a day on which the clock has no midnight is that day.
func (l *layout) iso(dst, text []byte, k expression.Kind) (iso, rest []byte, ok bool) {
	m, ok := l.moment(text)
	if !ok || k == expression.KindDate && l.format == "%Y-%m-%d" {
		return text, dst, ok
	}
	at := len(dst)
	if k == expression.KindDate {
		dst = appendDigits(append(appendDigits(append(appendDigits(appendDigits(dst, m.year/100), m.year%100), '-'), m.month), '-'), m.day)
	} else {
		dst = appendDigits(append(appendDigits(append(appendDigits(dst, m.hour), ':'), m.minute), ':'), m.second)
	}
	return dst[at:], dst, true
}

func appendDigits(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// moment reads a text of a simple format.
func (l *layout) moment(text []byte) (m moment, ok bool) {
	m = moment{month: 1, day: 1}
	rest := text
	for i := 0; i < len(l.steps); i++ {
		c := l.steps[i]
		if c != 0 {
			if len(rest) == 0 || rest[0] != c {
				return m, false
			}
			rest = rest[1:]
			continue
		}
		i++
		n := 2
		if l.steps[i] == 'Y' {
			n = 4
		}
		v, ok := digits(rest, n)
		if !ok {
			return m, false
		}
		if l.steps[i] == 'y' {
			v += l.century - l.century%100
			if v < l.century {
				v += 100
			}
		}
		m.set(l.steps[i], v)
		rest = rest[n:]
	}
	return m, len(rest) == 0 && m.valid()
}

func digits(text []byte, n int) (v int, ok bool) {
	if len(text) < n {
		return 0, false
	}
	for _, c := range text[:n] {
		if c-'0' > 9 {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

func (m *moment) set(verb byte, v int) {
	switch verb {
	case 'Y', 'y':
		m.year = v
	case 'm':
		m.month = v
	case 'd':
		m.day = v
	case 'H':
		m.hour = v
	case 'M':
		m.minute = v
	case 'S':
		m.second = v
	}
}

func (m *moment) valid() bool {
	return m.month >= 1 && m.month <= 12 && m.day >= 1 && m.day <= daysIn(m.year, m.month) &&
		m.hour <= 23 && m.minute <= 59 && m.second <= 59
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// parseISO reads what RFC 3339 and ISO 8601 have in common, with or without zone and fraction.
func parseISO(text string, zone *time.Location) (time.Time, bool) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999"} {
		if t, err := time.ParseInLocation(form, text, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// Formats in which dates and times go on, as in JSON.
const (
	isoDate     = "2006-01-02"
	isoTime     = "15:04:05.999999999"
	isoDateTime = time.RFC3339Nano
)
