package expression

import (
	"errors"
	"fmt"
)

// Limits of one run. They are far above what a mapping needs, and low enough
// that a poisoned one costs a fraction of a second.
const (
	maxSteps  = 2_000_000 // operators and calls evaluated, elements visited, 32 bytes of text read
	maxRoom   = 64 << 20  // bytes of text and lists made on the way
	maxRange  = 100_000   // elements of a..b
	maxSource = 16 << 10  // bytes of an expression
	maxNodes  = 5_000     // of its tree
)

var (
	errSteps  = fmt.Errorf("takes more than %d steps", maxSteps)
	errRoom   = fmt.Errorf("needs more than %d MiB", maxRoom>>20)
	errAbsent = errors.New("is absent")
)

// code computes a value. It is made once and run by many goroutines, each with
// its own run.
type code func(*run) (any, error)

// run is the state of one evaluation.
type run struct {
	env   map[string]any
	slots []any // variables, elements and arguments, each at the place the compiler gave it
	steps int   // left
	room  int   // left, in bytes
}

func (r *run) step() error {
	if r.steps--; r.steps < 0 {
		return errSteps
	}
	return nil
}

// work accounts for going through a value: what is made once can be read often.
func (r *run) work(v any) {
	switch v := v.(type) {
	case string:
		r.steps -= len(v) >> 5
	case []byte:
		r.steps -= len(v) >> 5
	case []any:
		r.steps -= len(v)
	}
}

// take accounts for n bytes.
func (r *run) take(n int) error {
	if r.room -= n; r.room < 0 || n < 0 {
		return errRoom
	}
	return nil
}

// takeElements accounts for a list of n elements.
func (r *run) takeElements(n int) error { return r.take(16 * n) }

func (r *run) start(env map[string]any) {
	r.env, r.steps, r.room = env, maxSteps, maxRoom
}

// clear lets go of everything the run has seen, before it is pooled.
func (r *run) clear() {
	r.env = nil
	clear(r.slots)
}
