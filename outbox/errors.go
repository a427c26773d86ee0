package outbox

import (
	"errors"
	"time"
)

// Fault says whose a failure is.
type Fault int

// Faults, see Whose fault in docs/architecture.md.
const (
	FaultUnavailable Fault = iota // the destination's, not the message's: try again
	FaultRefused                  // the message's, for good: dead letter
	FaultUnknown                  // bytes went out, no answer came: as the destination's unknown says
	FaultStopped                  // the configuration's (credentials, URL): pause the destination until somebody acts
)

// Error is a failed attempt with its fault.
type Error struct {
	Fault   Fault
	After   time.Duration // Retry-After: not before this long from now; 0 means not said
	Status  int           // HTTP status or AMQP reply code, 0 when none
	Body    string        // head of the answer, at most 1 KiB
	Alone   bool          // of FaultUnavailable: says nothing of the destination, only the message's own place there could not be reached; the message waits by itself
	Untried bool          // nothing of the message went out (its neighbour's failure took the connection): no attempt counts
	Err     error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Refused marks err as the message's fault, for good: it becomes a dead letter.
func Refused(err error) error { return &Error{Fault: FaultRefused, Err: err} }

// Unavailable marks err as the destination's fault: nothing was applied, the message waits.
func Unavailable(err error) error { return &Error{Fault: FaultUnavailable, Err: err} }

// Alone marks err as a fault of the message's own place at the destination, which is well: the message waits by itself, for as long as give_up says.
func Alone(err error) error { return &Error{Fault: FaultUnavailable, Alone: true, Err: err} }

// Unknown marks err as an outcome nobody knows: bytes went out and no answer came.
func Unknown(err error) error { return &Error{Fault: FaultUnknown, Err: err} }

// Stopped marks err as a fault of the configuration: the destination is paused until somebody acts.
func Stopped(err error) error { return &Error{Fault: FaultStopped, Err: err} }

// FaultOf returns the fault of err; an error without one counts as Unavailable.
func FaultOf(err error) Fault {
	var e *Error
	if errors.As(err, &e) {
		return e.Fault
	}
	return FaultUnavailable
}
