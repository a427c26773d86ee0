package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"waybill/ledger"
	"waybill/outbox"
)

// A Trial is what a job would make of a file: nothing of it is kept or sent.
type Trial struct {
	Job      string          `json:"job"`
	File     string          `json:"file"` // escaped
	State    ledger.State    `json:"state"`
	Reason   string          `json:"reason,omitempty"`
	Records  int64           `json:"records"`
	Messages int64           `json:"messages"` // that would be sent; Shown holds the first of them
	Rejected int64           `json:"rejected"`
	Shown    []TrialMessage  `json:"shown"`
	Rejects  []ledger.Reject `json:"rejects"`
	Told     []TrialNotice   `json:"acknowledgements,omitempty"`
	Findings []string        `json:"findings"` // what the trial noticed or left out, for people
}

// A TrialNotice is a file that the sender would get.
type TrialNotice struct {
	Name string          `json:"name"`           // below his mailbox
	Body json.RawMessage `json:"body,omitempty"` // when it is JSON
	Text string          `json:"text,omitempty"` // when it is not
}

// A TrialMessage is a message that would be sent.
type TrialMessage struct {
	Destination string            `json:"destination"`
	Route       string            `json:"route"`
	Key         string            `json:"key"`
	Ref         string            `json:"ref,omitempty"` // the job's own key
	Record      int64             `json:"record"`
	Headers     map[string]string `json:"headers,omitempty"`
	Body        json.RawMessage   `json:"body,omitempty"` // when it is JSON
	Text        string            `json:"text,omitempty"` // when it is not, cut to 64 KiB
	Bytes       int64             `json:"bytes"`
	Original    bool              `json:"original,omitempty"` // the body is the file's own bytes
	Answer      *TrialAnswer      `json:"answer,omitempty"`   // what an answer would make of it, where the trial was given one
}

// A TrialAnswer is what the answer of a destination would make of a message.
type TrialAnswer struct {
	From     string            `json:"from"` // where the answer was kept
	Status   int               `json:"status"`
	Outcome  string            `json:"outcome"` // delivered, refused, unavailable, unknown or stopped
	Reason   string            `json:"reason,omitempty"`
	Captures map[string]string `json:"captures,omitempty"`
}

const trialText = 64 << 10

// Try runs the plan without keeping or sending anything and shows at most that many messages.
func (p *Plan) Try(ctx context.Context, in Input, most int) (Trial, error) {
	if p.archive(in.File) {
		return p.tryArchive(ctx, in, most)
	}
	files := &heads{}
	in.Files = files
	in.Unique, in.Sequence = nil, nil
	t := Trial{Job: p.name, Shown: []TrialMessage{}, File: clip([]byte(first(in.File.Path, in.Entry.Name)))}
	var made converted
	in.Converted = made.take
	outcome, err := p.Run(ctx, in, func(r *Rendered) error {
		if len(t.Shown) < most {
			t.Shown = append(t.Shown, p.shown(r, files))
		}
		return nil
	})
	if err != nil {
		return Trial{}, err
	}
	t.State, t.Reason = outcome.State, outcome.Reason
	t.Records, t.Messages, t.Rejected = outcome.Records, outcome.Messages, outcome.Rejected
	t.Rejects = append([]ledger.Reject{}, outcome.Rejects...)
	if t.State == ledger.Rejected || t.State == ledger.Held {
		t.Shown = t.Shown[:0] // they would not be sent
	}
	t.Findings = p.findings(&t)
	if made.by != "" {
		t.Findings = append(t.Findings, made.finding())
	}
	if t.Told, err = p.tried(in, &outcome); err != nil {
		t.Findings = append(t.Findings, "the acknowledgement has not the body that the job says: "+err.Error())
	}
	return t, nil
}

func (p *Plan) findings(t *Trial) (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if p.unique != nil {
		say("check.unique was not asked: a trial does not look into the ledger")
	}
	if p.numbers != nil {
		say("check.sequence saw the numbers of this file alone: a trial does not look into the ledger")
	}
	if hidden := t.Messages - int64(len(t.Shown)); hidden > 0 {
		say("messages not shown: %d", hidden)
	}
	if t.Rejected > int64(len(t.Rejects)) {
		say("of %d rejected records only the first faults are shown", t.Rejected)
	}
	return list
}

func (p *Plan) shown(r *Rendered, files *heads) TrialMessage {
	m := &r.Message
	t := TrialMessage{Destination: p.routes[r.Route].destination, Route: r.Name, Key: m.Key, Ref: m.Ref, Record: m.Record, Bytes: m.Size}
	for _, h := range m.Headers {
		if t.Headers == nil {
			t.Headers = map[string]string{}
		}
		t.Headers[h.Name] = h.Value
	}
	body := m.Body
	switch {
	case r.Original:
		t.Original, t.Text = true, "(the file's own bytes)"
		return t
	case r.Object != 0:
		body = files.list[r.Object-1].head
	}
	if isJSON(m) && json.Valid(body) {
		t.Body = json.RawMessage(strings.Clone(string(body)))
	} else {
		t.Text = Readable(m.Header(":content-type"), body, m.Size)
		t.Text = strings.ToValidUTF8(t.Text[:min(len(t.Text), trialText)], "")
	}
	return t
}

func isJSON(m *outbox.Message) bool { return m.Header(":content-type") == "application/json" }

// heads keeps the beginning of each file that a trial writes.
type heads struct{ list []*headOf }

type headOf struct {
	all  *heads
	head []byte
	size int64
}

func (h *heads) Create(context.Context) (Output, error) { return &headOf{all: h}, nil }

func (h *headOf) Write(p []byte) (int, error) {
	h.size += int64(len(p))
	h.head = append(h.head, p[:min(len(p), trialText-len(h.head))]...)
	return len(p), nil
}

func (h *headOf) Finish(context.Context) (object, size int64, err error) {
	h.all.list = append(h.all.list, h)
	return int64(len(h.all.list)), h.size, nil
}

func (h *headOf) Abort() error { return nil }
