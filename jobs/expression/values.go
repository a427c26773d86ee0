package expression

import "time"

// Text is the text of a scalar.
func Text(v any) (string, error) { return "", nil }

// AppendJSON appends v as JSON.
func AppendJSON(dst []byte, v any) ([]byte, error) { return dst, nil }

// Coerce turns v into a value of type t where that loses nothing.
func Coerce(v any, t Type) (any, error) { return v, nil }

// Date is a day of the calendar, without a zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// TimeOfDay is a time of day, without a day or a zone.
type TimeOfDay struct{ Hour, Minute, Second, Nanosecond int }

// DateOf is the day on which t falls in its own zone.
func DateOf(t time.Time) Date { y, m, d := t.Date(); return Date{y, m, d} }

// TimeOf is the time of day that a clock in t's own zone shows.
func TimeOf(t time.Time) TimeOfDay {
	return TimeOfDay{t.Hour(), t.Minute(), t.Second(), t.Nanosecond()}
}

// ParseTime reads text by a strftime format.
func ParseTime(format, text string, zone *time.Location) (time.Time, error) { return time.Time{}, nil }
