package outbox

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Options are the keys that every destination has beside that of its kind (http, amqp, file).
type Options struct {
	Timeout     time.Duration `yaml:"timeout" doc:"how long one attempt may take" default:"30s"`
	Retry       Retry         `yaml:"retry" doc:"when and how often a failed message is tried again"`
	Unknown     IfUnknown     `yaml:"unknown" doc:"what happens when bytes went out and no answer came: repeat (same key), hold (a person decides), or {ask: {get, applied}}"`
	Concurrency int           `yaml:"concurrency" doc:"how many messages are under way at once" default:"8"`
	Rate        Rate          `yaml:"rate" doc:"at most so many messages: 50/s, 100/m, 1000/h" as:"rate"`
	Drain       bool          `yaml:"drain" doc:"take nothing new; deliver what waits, then the destination can be removed"`
	Formerly    string        `yaml:"formerly" doc:"the name it had before: messages that wait follow, keys stay"`
	_           struct{}      `later:"breaker,order"`
}

// Retry says when and how often.
type Retry struct {
	Attempts int           `yaml:"attempts" doc:"tries a message gets while its destination confirms others; then it is a dead letter" default:"4"`
	Pause    time.Duration `yaml:"pause" doc:"wait before the second try" default:"1s"`
	Factor   float64       `yaml:"factor" doc:"each further wait is so many times longer" default:"2"`
	Longest  time.Duration `yaml:"longest" doc:"no wait is longer" default:"5m"`
	GiveUp   time.Duration `yaml:"give_up" doc:"a message that has waited so long for a destination that is away becomes a dead letter" default:"24h"`
}

// IfUnknown says what happens to a message whose outcome nobody knows.
type IfUnknown struct {
	Mode string `yaml:",scalar" enum:"repeat,hold"` // "ask" when Ask is set
	Ask  *Ask   `yaml:"ask" doc:"look whether it was applied"`
}

// Ask is a lookup that decides.
type Ask struct {
	Get     string `yaml:"get" doc:"path below the destination's URL; {key} is the message's key" as:"template" required:"true"`
	Applied string `yaml:"applied" doc:"true when the receiver has it, for example =response.status == 200" as:"expression" required:"true"`
}

// Rate bounds messages a time; the zero Rate is no bound.
type Rate struct {
	Count int
	Per   time.Duration
}

// UnmarshalText reads "50/s", "100/m" or "1000/h".
func (r *Rate) UnmarshalText(b []byte) error {
	count, unit, ok := strings.Cut(string(b), "/")
	n, err := strconv.Atoi(count)
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	if !ok || err != nil || n < 1 || per == 0 {
		return fmt.Errorf("%q is not a rate: write 50/s, 100/m or 1000/h", b)
	}
	*r = Rate{Count: n, Per: per}
	return nil
}

func (r Rate) limiter() *rate.Limiter {
	if r.Count == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(float64(r.Count)/r.Per.Seconds()), max(1, r.Count/10))
}

// WithDefaults returns o with the documented defaults in place of zero values.
func (o Options) WithDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Timeout, 30*time.Second)
	set(&o.Retry.Pause, time.Second)
	set(&o.Retry.Longest, 5*time.Minute)
	set(&o.Retry.GiveUp, 24*time.Hour)
	if o.Retry.Attempts == 0 {
		o.Retry.Attempts = 4
	}
	if o.Retry.Factor == 0 {
		o.Retry.Factor = 2
	}
	if o.Concurrency == 0 {
		o.Concurrency = 8
	}
	if o.Unknown.Ask != nil {
		o.Unknown.Mode = "ask"
	} else if o.Unknown.Mode == "" {
		o.Unknown.Mode = "repeat"
	}
	return o
}

// A Destination is where messages go, ready to be delivered to.
type Destination struct {
	Name    string
	Target  Target
	Options Options                  // with defaults
	Judge   func(route string) Judge // the judge of a route's answers, nil for none; may be nil
}
