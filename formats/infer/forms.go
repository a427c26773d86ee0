package infer

import (
	"slices"
	"strings"
	"time"
)

// A form is one way to write dates and times.
type form struct {
	typ    string
	format string // strftime; "" where the type needs none
	layout string // the same for package time
}

// forms lists what is looked for; of several that fit all values the first is proposed.
func forms() []form {
	return []form{
		{"date", "", "2006-01-02"},
		{"date", "%d.%m.%Y", "02.01.2006"},
		{"date", "%d/%m/%Y", "02/01/2006"},
		{"date", "%m/%d/%Y", "01/02/2006"},
		{"date", "%d-%m-%Y", "02-01-2006"},
		{"date", "%Y/%m/%d", "2006/01/02"},
		{"date", "%Y.%m.%d", "2006.01.02"},
		{"date", "%d.%m.%y", "02.01.06"},
		{"date", "%Y%m%d", "20060102"},
		{"datetime", "", time.RFC3339},
		{"datetime", "", "2006-01-02T15:04:05"},
		{"datetime", "%Y-%m-%d %H:%M:%S", "2006-01-02 15:04:05"},
		{"datetime", "%Y-%m-%d %H:%M", "2006-01-02 15:04"},
		{"datetime", "%d.%m.%Y %H:%M:%S", "02.01.2006 15:04:05"},
		{"datetime", "%d.%m.%Y %H:%M", "02.01.2006 15:04"},
		{"datetime", "%d/%m/%Y %H:%M:%S", "02/01/2006 15:04:05"},
		{"datetime", "%d/%m/%Y %H:%M", "02/01/2006 15:04"},
		{"datetime", "%m/%d/%Y %H:%M:%S", "01/02/2006 15:04:05"},
		{"datetime", "%Y%m%d%H%M%S", "20060102150405"},
		{"datetime", "%Y%m%dT%H%M%S", "20060102T150405"},
		{"time", "", "15:04:05"},
		{"time", "%H:%M", "15:04"},
	}
}

// formsOf are the forms that a text has. Digits alone are a date only of these years: any number of eight digits may look like one.
func formsOf(s string) (fits mask) {
	if len(s) < 5 || len(s) > 40 || s[0] < '0' || s[0] > '9' {
		return 0
	}
	digits := !strings.ContainsAny(s, "-./: ")
	for i, f := range forms() {
		t, err := time.Parse(f.layout, s)
		if err == nil && (!digits || t.Year() >= 1990 && t.Year() < 2040) {
			fits |= firstForm << i
		}
	}
	return fits
}

// form is the first that all values have, with the others.
func (c *column) form() (first *form, others []string) {
	for i, f := range forms() {
		switch {
		case c.fits&(firstForm<<i) == 0:
		case first == nil:
			first = &f
		case f.format != first.format && !slices.Contains(others, f.format):
			others = append(others, f.format)
		}
	}
	return first, others
}
