package expression

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ncruces/go-strftime"
)

// Date is a day of the calendar, without a zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// TimeOfDay is what a clock shows, without a day or a zone.
type TimeOfDay struct{ Hour, Minute, Second, Nanosecond int }

// DateOf is the day on which t falls in its own zone.
func DateOf(t time.Time) Date { y, m, d := t.Date(); return Date{y, m, d} }

// TimeOf is what a clock in t's own zone shows.
func TimeOf(t time.Time) TimeOfDay {
	return TimeOfDay{t.Hour(), t.Minute(), t.Second(), t.Nanosecond()}
}

// At is the instant at which clocks in zone show the time on that day. A time
// that the change to summer time leaves out is an error; of one that comes
// twice it is the first.
func (d Date) At(t TimeOfDay, zone *time.Location) (time.Time, error) {
	at := time.Date(d.Year, d.Month, d.Day, t.Hour, t.Minute, t.Second, t.Nanosecond, zone)
	if DateOf(at) != d || TimeOf(at) != t {
		return time.Time{}, fmt.Errorf("%sT%s does not exist in %s", d, t, zone)
	}
	// Go does not say which of two it takes, so look an offset change back.
	for _, back := range []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour} {
		if earlier := at.Add(-back); DateOf(earlier) == d && TimeOf(earlier) == t {
			at = earlier
		}
	}
	return at, nil
}

func (d Date) midnight() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// AddDays is the day n days later.
func (d Date) AddDays(n int) Date { return DateOf(d.midnight().AddDate(0, 0, n)) }

// Compare is -1, 0 or 1.
func (d Date) Compare(e Date) int {
	return cmp.Or(cmp.Compare(d.Year, e.Year), cmp.Compare(d.Month, e.Month), cmp.Compare(d.Day, e.Day))
}

// String is 2006-01-02.
func (d Date) String() string { return string(d.append(nil)) }

func (d Date) append(dst []byte) []byte { return d.midnight().AppendFormat(dst, time.DateOnly) }

func (t TimeOfDay) on(d Date) time.Time {
	return time.Date(d.Year, d.Month, d.Day, t.Hour, t.Minute, t.Second, t.Nanosecond, time.UTC)
}

// Compare is -1, 0 or 1.
func (t TimeOfDay) Compare(u TimeOfDay) int {
	return cmp.Or(cmp.Compare(t.Hour, u.Hour), cmp.Compare(t.Minute, u.Minute),
		cmp.Compare(t.Second, u.Second), cmp.Compare(t.Nanosecond, u.Nanosecond))
}

// String is 15:04:05, with as much of a fraction as there is.
func (t TimeOfDay) String() string { return string(t.append(nil)) }

func (t TimeOfDay) append(dst []byte) []byte {
	return t.on(Date{2000, 1, 1}).AppendFormat(dst, "15:04:05.999999999")
}

// MarshalText is String.
func (d Date) MarshalText() ([]byte, error) { return d.append(nil), nil }

// MarshalText is String.
func (t TimeOfDay) MarshalText() ([]byte, error) { return t.append(nil), nil }

// sample shows what a format means; each part of it has another value.
func sample(format string) string {
	return strftime.Format(format, time.Date(2026, 11, 25, 14, 30, 5, 0, time.UTC))
}

// directives are the letters that may stand behind a % of a format.
const directives = "AaBbhmdeIlHkMSLfNyYCUWVgGsQwujpPZzcvFDxrTXR+nt%"

// CheckFormat says what is wrong with a strftime format. To be read by, a format
// must also be one that ParseTime understands.
func CheckFormat(format string, reading bool) error {
	found := false
	for rest := format; ; found = true {
		_, after, ok := strings.Cut(rest, "%")
		if !ok {
			break
		}
		after = strings.TrimLeft(after, "-:")
		if after == "" || strings.IndexByte(directives, after[0]) < 0 {
			return fmt.Errorf("format %q: %%%.1s is no directive; %%Y is the year, %%m the month, %%d the day, %%H:%%M:%%S the time", format, after)
		}
		rest = after[1:]
	}
	if !found {
		return fmt.Errorf("format %q has no directive: write %%d.%%m.%%Y for %s", format, sample("%d.%m.%Y"))
	}
	if !reading {
		return nil
	}
	if _, err := strftime.Parse(format, sample(format)); err != nil {
		return formatError(format, err)
	}
	return nil
}

func formatError(format string, err error) error {
	cause := strings.TrimPrefix(strings.TrimSpace(err.Error()), "strftime: ")
	var parse *time.ParseError
	if errors.As(err, &parse) {
		cause = "it cannot be read back unambiguously"
	}
	return fmt.Errorf("format %q: %s", format, cause)
}

// ParseTime reads text by a strftime format. Without an offset in the format the
// text is what clocks in zone show; zone may be nil for UTC.
func ParseTime(format, text string, zone *time.Location) (time.Time, error) {
	if at, ok := parseDigits(format, text); ok {
		return inZone(at, zone)
	}
	at, err := strftime.Parse(format, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q does not fit %s, as %s would", clip(text), format, sample(format))
	}
	if at.Nanosecond() != 0 && !strings.ContainsAny(format, "LfN") {
		return time.Time{}, fmt.Errorf("%q has a fraction of a second that %s has no place for, add .%%f", clip(text), format)
	}
	if strings.Contains(format, "%z") || strings.Contains(format, "%:z") {
		return at, nil
	}
	return inZone(at, zone)
}

// inZone is the instant at which clocks in zone show what at shows.
func inZone(at time.Time, zone *time.Location) (time.Time, error) {
	if zone == nil || zone == time.UTC {
		return at.UTC(), nil
	}
	return DateOf(at).At(TimeOf(at), zone)
}

// parseDigits reads the formats that nearly all files have, digits at fixed
// places, at a tenth of the general way's cost. What it does not understand is
// left to that, which also knows what to say.
func parseDigits(format, text string) (time.Time, bool) {
	year, month, day, hour, minute, second := 0, 1, 1, 0, 0, 0
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			if text == "" || text[0] != format[i] {
				return time.Time{}, false
			}
			text = text[1:]
			continue
		}
		if i++; i == len(format) {
			return time.Time{}, false
		}
		width, into := 2, (*int)(nil)
		switch format[i] {
		case 'Y':
			width, into = 4, &year
		case 'm':
			into = &month
		case 'd':
			into = &day
		case 'H':
			into = &hour
		case 'M':
			into = &minute
		case 'S':
			into = &second
		}
		if into == nil || digits(text[:min(width, len(text))]) != width {
			return time.Time{}, false
		}
		*into = 0
		for _, b := range []byte(text[:width]) {
			*into = *into*10 + int(b-'0')
		}
		text = text[width:]
	}
	at := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	ok := text == "" && DateOf(at) == Date{year, time.Month(month), day} && TimeOf(at) == TimeOfDay{hour, minute, second, 0}
	return at, ok
}

// Format writes a date, time or datetime by a strftime format.
func Format(dst []byte, format string, v any) ([]byte, error) {
	switch v := v.(type) {
	case time.Time:
		return strftime.AppendFormat(dst, format, v), nil
	case Date:
		return strftime.AppendFormat(dst, format, v.midnight()), nil
	case TimeOfDay:
		return strftime.AppendFormat(dst, format, v.on(Date{2000, 1, 1})), nil
	}
	return dst, fmt.Errorf("a date, a time or a datetime is needed for the format %s, not %s", format, noun(v))
}

// zone finds a time zone by its name. That of this machine is refused: the same
// file would mean something else elsewhere.
func zone(name string) (*time.Location, error) {
	if name != "" && name != "Local" {
		if z, err := time.LoadLocation(name); err == nil {
			return z, nil
		}
	}
	return nil, fmt.Errorf("unknown time zone %q, write it as Europe/Paris or UTC", clip(name))
}
