package expression

import (
	"errors"
	"fmt"
	"time"
)

const (
	dates    kindSet = 1 << KindDate
	times    kindSet = 1 << KindTime
	instants kindSet = 1 << KindDateTime
)

// timeFunctions work on dates, times and instants. None of them knows what time
// it is.
var timeFunctions = map[string]function{
	"date":        {use: "date(text, format)", params: []kindSet{texts | instants, texts}, least: 1, gives: KindDate, check: checkReading, run: makeDate},
	"time":        {use: "time(text, format)", params: []kindSet{texts | instants, texts}, least: 1, gives: KindTime, check: checkReading, run: makeTime},
	"datetime":    {use: "datetime(day, time, zone) or datetime(text, format, zone)", params: []kindSet{texts | dates, texts | times, texts}, least: 3, gives: KindDateTime, check: checkInstant, run: makeInstant},
	"local":       {use: "local(datetime, zone)", params: []kindSet{instants, texts}, least: 2, gives: KindDateTime, check: checkZone, run: localize},
	"format":      {use: `format(date, "%d.%m.%Y")`, params: []kindSet{moments, texts}, least: 2, gives: KindString, check: checkWriting, run: format},
	"addDays":     {use: "addDays(date, n)", params: []kindSet{dates | instants, integers}, least: 2, typed: sameList, run: addDays},
	"addSeconds":  {use: "addSeconds(datetime, n)", params: []kindSet{instants, integers}, least: 2, gives: KindDateTime, run: addSeconds},
	"daysBetween": {use: "daysBetween(date, date)", params: []kindSet{dates, dates}, least: 2, gives: KindInteger, run: daysBetween},
	"year":        {use: "year(date)", params: []kindSet{dates | instants}, least: 1, gives: KindInteger, run: year},
}

func checkReading(args []term) error {
	if args[0].typ.Kind == KindString && len(args) == 1 {
		return errors.New(`text is read by a format: write it as the second argument, such as "%d.%m.%Y"`)
	}
	if args[0].typ.Kind == KindDateTime && len(args) == 2 {
		return errors.New("a datetime has no format, leave out the second argument")
	}
	if len(args) == 2 {
		return checkFormat(args[1], true)
	}
	return nil
}

func checkWriting(args []term) error { return checkFormat(args[1], false) }

func checkFormat(t term, reading bool) error {
	if literal, ok := t.constant.(string); ok {
		return CheckFormat(literal, reading)
	}
	return nil
}

// checkZone looks a literal zone up, and leaves it where its text stood: finding
// one reads a file.
func checkZone(args []term) error {
	last := &args[len(args)-1]
	literal, ok := last.constant.(string)
	if !ok {
		return nil
	}
	z, err := zone(literal)
	last.code = func(*run) (any, error) { return z, nil }
	return err
}

// zoneOf is the zone in an argument: found once, if it is a literal.
func zoneOf(v any) (*time.Location, error) {
	if z, ok := v.(*time.Location); ok {
		return z, nil
	}
	return zone(str(v))
}

func checkInstant(args []term) error {
	if err := checkZone(args); err != nil {
		return err
	}
	switch day, clock := args[0].typ.Kind, args[1].typ.Kind; {
	case day == KindString && clock == KindString:
		return checkFormat(args[1], true)
	case day == KindString && clock == KindTime, day == KindDate && clock == KindString:
		return errors.New("datetime(day, time, zone) takes a date and a time, datetime(text, format, zone) two texts")
	}
	return nil
}

// parsed is the instant of args[0]: one, or text by the format in args[1].
func parsed(args []any) (time.Time, error) {
	if at, ok := args[0].(time.Time); ok && len(args) == 1 {
		return at, nil
	}
	if text, ok := args[0].(string); ok && len(args) == 2 {
		return ParseTime(str(args[1]), text, nil)
	}
	return time.Time{}, errors.New("a datetime is needed, or text and a format")
}

func makeDate(_ *run, args []any) (any, error) {
	at, err := parsed(args)
	if err != nil {
		return nil, err
	}
	return DateOf(at), nil
}

func makeTime(_ *run, args []any) (any, error) {
	at, err := parsed(args)
	if err != nil {
		return nil, err
	}
	return TimeOf(at), nil
}

func makeInstant(_ *run, args []any) (any, error) {
	z, err := zoneOf(args[2])
	if err != nil {
		return nil, err
	}
	var at time.Time
	switch first := args[0].(type) {
	case Date:
		clock, ok := args[1].(TimeOfDay)
		if !ok {
			return nil, fmt.Errorf("a time is needed behind the date, not %s", noun(args[1]))
		}
		at, err = first.At(clock, z)
	case string:
		at, err = ParseTime(str(args[1]), first, z)
	}
	if err != nil {
		return nil, err
	}
	return at, nil
}

func localize(_ *run, args []any) (any, error) {
	z, err := zoneOf(args[1])
	if err != nil {
		return nil, err
	}
	at, _ := args[0].(time.Time)
	return at.In(z), nil
}

func format(r *run, args []any) (any, error) {
	b, err := Format(nil, str(args[1]), args[0])
	if err != nil {
		return nil, err
	}
	return made(r, string(b))
}

// maxDays keeps what is added to a date within four-digit years, roughly.
const maxDays = 4_000_000

// addDays keeps the time of day, whatever a change of the clocks lies between.
func addDays(_ *run, args []any) (any, error) {
	n := num(args[1])
	if n < -maxDays || n > maxDays {
		return nil, fmt.Errorf("addDays adds at most %d days, not %d", maxDays, n)
	}
	if at, ok := args[0].(time.Time); ok {
		return at.AddDate(0, 0, int(n)), nil
	}
	d, _ := args[0].(Date)
	return d.AddDays(int(n)), nil
}

func addSeconds(_ *run, args []any) (any, error) {
	n := num(args[1])
	if n < -maxDays*1000 || n > maxDays*1000 {
		return nil, fmt.Errorf("addSeconds adds at most %d seconds, not %d", maxDays*1000, n)
	}
	at, _ := args[0].(time.Time)
	return at.Add(time.Duration(n) * time.Second), nil
}

func daysBetween(_ *run, args []any) (any, error) {
	from, _ := args[0].(Date)
	to, _ := args[1].(Date)
	return (to.midnight().Unix() - from.midnight().Unix()) / 86400, nil
}

func year(_ *run, args []any) (any, error) {
	if at, ok := args[0].(time.Time); ok {
		return int64(at.Year()), nil
	}
	d, _ := args[0].(Date)
	return int64(d.Year), nil
}
