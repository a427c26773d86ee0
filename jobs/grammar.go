package jobs

import (
	"fmt"
	"strconv"
	"strings"
)

// A Problem is one mistake of a configuration. Path leads to it from the job: "send[0].body.total".
type Problem struct {
	Path   string
	Text   string
	Offset int // of the mistake in the text that stands at Path, bytes; 0 where it is the whole
}

func (p Problem) String() string { return p.Path + ": " + p.Text }

// An Allowance is how many bad records a file may have and still be accepted without them: a number, or a share of
// the records read.
type Allowance struct {
	Count int64
	Share float64 // 0.01 is 1%; 0: Count counts
	text  string
}

// UnmarshalText reads "10" or "1%".
func (a *Allowance) UnmarshalText(text []byte) error {
	s := string(text)
	bad := fmt.Errorf("%q is not a number of records (10) or a share of them (1%%)", s)
	if num, ok := strings.CutSuffix(s, "%"); ok {
		f, err := strconv.ParseFloat(num, 64)
		if err != nil || f < 0 || f > 100 || strings.Trim(num, "0123456789.") != "" {
			return bad
		}
		*a = Allowance{Share: f / 100, text: s}
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strings.Trim(s, "0123456789") != "" {
		return bad
	}
	*a = Allowance{Count: n, text: s}
	return nil
}

// MarshalText writes what UnmarshalText read.
func (a Allowance) MarshalText() ([]byte, error) {
	if a.text == "" {
		return strconv.AppendInt(nil, a.Count, 10), nil
	}
	return []byte(a.text), nil
}

// Allows reports whether rejected of records is within the allowance.
func (a Allowance) Allows(rejected, records int64) bool {
	if a.Share > 0 {
		return float64(rejected) <= a.Share*float64(records)
	}
	return rejected <= a.Count
}

// span is a range of lengths; -1: open.
type span struct{ low, high int64 }

// parseSpan reads "5", "1..20", "..20" or "1..".
func parseSpan(s string) (span, error) {
	bad := fmt.Errorf("%q is not a length (5) or a range of lengths (1..20)", s)
	number := func(t string) (int64, error) {
		if t == "" {
			return -1, nil
		}
		n, err := strconv.ParseUint(t, 10, 31)
		return int64(n), err
	}
	low, high, found := strings.Cut(s, "..")
	if !found {
		high = low
	}
	l, err := number(low)
	if err != nil {
		return span{}, bad
	}
	h, err := number(high)
	if err != nil || l < 0 && h < 0 || h >= 0 && l > h {
		return span{}, bad
	}
	return span{l, h}, nil
}

func (r span) holds(n int64) bool { return n >= r.low && (r.high < 0 || n <= r.high) }

func (r span) String() string {
	switch {
	case r.low == r.high:
		return strconv.FormatInt(r.low, 10)
	case r.high < 0:
		return "at least " + strconv.FormatInt(r.low, 10)
	case r.low < 0:
		return "at most " + strconv.FormatInt(r.high, 10)
	}
	return strconv.FormatInt(r.low, 10) + " to " + strconv.FormatInt(r.high, 10)
}
