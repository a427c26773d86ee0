package jobs

import (
	"errors"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// cronStar is the bit that robfig/cron sets in a field that was written as * (its constant is not exported).
const cronStar = 1 << 63

// instants computes when a cron expression is due in a zone. robfig/cron only reads the expression: around changes of the clock it
// skips instants (robfig/cron#541), so these are ours.
//
//	clock goes forward   a time of day that does not exist is due at the change
//	clock goes back      a time of day that comes twice is due the first time; with * for the hour, both times
type instants struct {
	spec *cron.SpecSchedule
	zone *time.Location
}

func newInstants(expression string, zone *time.Location) (*instants, error) {
	parsed, err := cron.ParseStandard(expression)
	if err != nil {
		return nil, fmt.Errorf("%q is no schedule: %w; write minute, hour, day of month, month, day of week, for example 0 * * * *", expression, err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("@every has no fixed instants, so windows would drift: write minute, hour, day of month, month, day of week")
	}
	return &instants{spec, zone}, nil
}

// everyHour reports whether the schedule goes with the hours that pass rather than with times of day.
func (s *instants) everyHour() bool { return s.spec.Hour&cronStar != 0 }

// next returns the first instant after t, false when there is none within five years.
func (s *instants) next(t time.Time) (time.Time, bool) {
	limit := t.AddDate(5, 0, 0)
	for t.Before(limit) {
		// The span of one offset that the moment after t lies in.
		start, end := t.Add(1).In(s.zone).ZoneBounds()
		_, offset := t.Add(1).In(s.zone).Zone()
		if start.After(t) && s.skipped(start, offset) {
			return start, true
		}
		due := s.fixed(offset).Next(t)
		if from := s.repeated(start, offset); due.Before(from) {
			due = s.fixed(offset).Next(from.Add(-1))
		}
		if !due.IsZero() && (end.IsZero() || due.Before(end)) {
			return due.In(s.zone), true
		}
		if end.IsZero() {
			break
		}
		t = end.Add(-1)
	}
	return time.Time{}, false
}

// fixed is the schedule in a zone that never changes.
func (s *instants) fixed(offset int) fixedSchedule {
	spec := *s.spec
	spec.Location = time.FixedZone("", offset)
	return fixedSchedule{&spec}
}

type fixedSchedule struct{ spec *cron.SpecSchedule }

// Next returns the first instant after t, to the second.
func (f fixedSchedule) Next(t time.Time) time.Time { return f.spec.Next(t.In(f.spec.Location)) }

// before is the zone's offset just before the change at start.
func (s *instants) before(start time.Time) int {
	_, offset := start.Add(-1).In(s.zone).Zone()
	return offset
}

// skipped reports whether a time of day fell into what the clock left out at start, when it went to offset.
func (s *instants) skipped(start time.Time, offset int) bool {
	before := s.before(start)
	if s.everyHour() || offset <= before {
		return false
	}
	missed := s.fixed(before).Next(start.Add(-1))
	// A time that is due at the change by the new clock anyway is no missed one.
	return !missed.IsZero() && missed.Before(start.Add(time.Duration(offset-before)*time.Second))
}

// repeated is the end of what comes a second time after the change at start; the zero time when nothing does, or when
// it is due again.
func (s *instants) repeated(start time.Time, offset int) time.Time {
	if start.IsZero() || s.everyHour() {
		return time.Time{}
	}
	return start.Add(time.Duration(max(0, s.before(start)-offset)) * time.Second)
}
