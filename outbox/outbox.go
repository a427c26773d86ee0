package outbox

import (
	"context"
	"io"
)

// A Header is one named text that goes with a message. Names that start with a
// colon are instructions to the target and never go out as they are:
//
//	:method, :path, :query    rest: method, escaped path (appended to the URL), encoded query
//	:routing_key, :exchange   amqp
//	:name, :marker, :exists   file: name below the folder, marker's name, what to do with a name that is taken
//	:content-type             any: media type of the body
//
// Others are sent as HTTP or AMQP headers.
type Header struct{ Name, Value string }

// A Message is what is to be delivered to one destination. Its bytes were fixed
// when its entry was accepted and are the same on every attempt.
type Message struct {
	Key     string // stable for ever: a UUID's text or the job's own key, see Keys in docs/architecture.md
	Headers []Header
	Ref     string // the job's key as a person writes it ("A-1001"): what trace looks for; "" without one
	Body    []byte
	Object  int64                         // spool object that holds the body (whole files), 0 when Body does
	Open    func() (io.ReadCloser, error) // opens Object; set when the message is delivered
	Size    int64                         // of the body, bytes
	Record  int64                         // number of the record it was made from, 0 for the whole entry
	Repeat  bool                          // an earlier attempt may have arrived
	Judge   Judge                         // nil: the target's own judgement of an answer stands
}

// Header returns the value of the first header named name, "" when there is none.
func (m *Message) Header(name string) string {
	for _, h := range m.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// A Response is what a destination answered, as a Judge sees it.
type Response struct {
	Status  int                 // HTTP status; 0 where the protocol has none
	Headers map[string][]string // canonical HTTP names
	Body    []byte              // capped by the target (1 MiB)
}

// A Verdict is a judge's word on a response.
type Verdict int

// Verdicts.
const (
	Passed Verdict = iota // delivered
	Failed                // refused: the receiver says no
	Opaque                // cannot be told (not parsable, HTML): unknown
)

// A Judge applies a job's success assertion and captures fields. It is called on
// any goroutine, concurrently. reason says what was wrong when the verdict is not Passed.
type Judge func(r Response) (v Verdict, captures []Capture, reason string)

// A Capture is a named value kept with the delivery ("remote_id" = "DM-17").
type Capture struct{ Name, Value string }

// A Receipt is what is kept of a confirmed delivery.
type Receipt struct {
	Status   int       `json:"status,omitempty"`   // HTTP status
	Text     string    `json:"text,omitempty"`     // short: Location, confirmation id, file name
	Body     string    `json:"body,omitempty"`     // head of the answer, at most 1 KiB
	Captures []Capture `json:"captures,omitempty"` // from the job
	Took     int64     `json:"took,omitempty"`     // milliseconds
}

// A Target delivers messages to one destination of its kind.
//
// Deliver tries each message and calls done(i, …) at most once for each ms[i], from any
// goroutine; what is not reported when Deliver returns is unknown. err is nil for a
// confirmed message; else Refused, Unavailable, Unknown or Stopped; any
// other error counts as Unavailable. Deliver may pipeline or use several connections, returns only
// when its goroutines have ended, and may be called again concurrently. When ctx is
// cancelled it lets what is in flight finish for a moment if it can, and reports the
// untried messages as ctx.Err(), which counts as not tried. The error it returns is only for a
// fault that concerns all messages (connection lost); messages already reported keep their outcome.
type Target interface {
	Deliver(ctx context.Context, ms []Message, done func(i int, r Receipt, err error)) error
}

// An Asker finds out whether a message whose outcome is unknown was applied (unknown: ask). Optional.
type Asker interface {
	Ask(ctx context.Context, m Message) (applied bool, r Receipt, err error)
}
