package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill/jobs"
	"waybill/outbox"
)

// A messageView is a message as --json shows it.
type messageView struct {
	Key     string            `json:"key"`
	Ref     string            `json:"ref,omitempty"`
	Record  int64             `json:"record,omitempty"`  // left out for what stands for a whole file
	Headers map[string]string `json:"headers,omitempty"` // those that begin with a colon tell the target where to
	Bytes   int64             `json:"bytes"`
	Body    json.RawMessage   `json:"body,omitempty"` // when it is JSON
	Text    string            `json:"text,omitempty"` // when it is not
}

// viewOfMessage shows a message. The body of a whole file is not part of it.
func viewOfMessage(m outbox.Message, body bool) messageView {
	v := messageView{Key: m.Key, Ref: m.Ref, Record: m.Record, Bytes: m.Size}
	for _, h := range m.Headers {
		if v.Headers == nil {
			v.Headers = map[string]string{}
		}
		v.Headers[h.Name] = h.Value
	}
	switch {
	case !body || m.Object != 0:
	case json.Valid(m.Body):
		v.Body = json.RawMessage(m.Body)
	default:
		v.Text = jobs.Readable(m.Header(":content-type"), m.Body, int64(len(m.Body)))
	}
	return v
}

// message prints a message as it goes out.
func (p *program) message(m outbox.Message, margin string) {
	p.key(m, margin)
	if m.Object != 0 {
		p.content(m.Headers, fmt.Appendf(nil, "(a file of %s)", count(m.Size, "byte")), margin)
		return
	}
	p.content(m.Headers, []byte(jobs.Readable(m.Header(":content-type"), m.Body, int64(len(m.Body)))), margin)
}

func (p *program) key(m outbox.Message, margin string) {
	fmt.Fprintf(p.out, "%skey %s%s\n", margin, shown(m.Key, 200), bracket(shown(m.Ref, 200)))
}

func bracket(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// content prints headers and body.
func (p *program) content(headers []outbox.Header, body []byte, margin string) {
	where := map[string]string{}
	for _, h := range headers {
		if strings.HasPrefix(h.Name, ":") {
			where[h.Name] = h.Value
		}
	}
	if where[":path"] != "" && where[":method"] == "" {
		where[":method"] = http.MethodPost
	}
	if line := strings.TrimSpace(where[":method"] + " " + where[":path"]); line != "" {
		if q := where[":query"]; q != "" {
			line += "?" + q
		}
		fmt.Fprintf(p.out, "%s%s\n", margin, shown(line, 500))
	}
	for _, h := range headers {
		if h.Name != ":method" && h.Name != ":path" && h.Name != ":query" {
			fmt.Fprintf(p.out, "%s%s: %s\n", margin, strings.TrimPrefix(shown(h.Name, 100), ":"), shown(h.Value, 300))
		}
	}
	if len(body) > 0 {
		fmt.Fprint(p.out, indent(pretty(body), margin))
	}
}

// pretty is a body as a person reads it: JSON with its structure, its numbers and the order of its keys as they are.
func pretty(body []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, body, "", "  ") == nil {
		return safe(b.String())
	}
	return safe(strings.ReplaceAll(string(body), "\r\n", "\n"))
}

// A trackedView is where a message is, as --json shows it.
type trackedView struct {
	messageView
	Entry       int64           `json:"entry"`
	Job         string          `json:"job,omitempty"`
	File        string          `json:"file,omitempty"`
	Line        int64           `json:"line,omitempty"`
	Destination string          `json:"destination"`
	Route       string          `json:"route"`
	State       string          `json:"state"`
	Attempts    int             `json:"attempts,omitempty"`
	LastError   string          `json:"last_error,omitempty"`
	Due         time.Time       `json:"due,omitzero"`
	Answered    time.Time       `json:"answered,omitzero"`
	Answer      *outbox.Receipt `json:"answer,omitempty"`
	Resent      bool            `json:"resent,omitempty"`
}

func viewOfTracked(t outbox.Tracked, body bool) trackedView {
	v := trackedView{messageView: viewOfMessage(t.Message, body), Entry: t.Parent, Destination: t.Destination, Route: t.Route, State: t.State,
		Attempts: t.Attempts, LastError: t.LastError, Answered: t.Answered, Answer: t.Receipt}
	if t.State == "waiting" || t.State == "retrying" {
		v.Due = t.Due
	}
	return v
}

// answerText is what a destination answered, in one line.
func answerText(t outbox.Tracked) string {
	var parts []string
	if r := t.Receipt; r != nil {
		if r.Status != 0 {
			parts = append(parts, strconv.Itoa(r.Status))
		}
		for _, c := range r.Captures {
			parts = append(parts, shown(c.Name, 40)+"="+shown(c.Value, 80))
		}
		if r.Text != "" {
			parts = append(parts, shown(strings.TrimSpace(r.Text), 120))
		}
		if r.Body != "" {
			parts = append(parts, shown(strings.TrimSpace(r.Body), 120))
		}
	}
	if t.State != "delivered" && t.LastError != "" {
		parts = append(parts, shown(t.LastError, 160))
	}
	if len(parts) == 0 {
		return "–"
	}
	return strings.Join(parts, "  ")
}

// A traffic is what one entry has for one destination.
type traffic struct {
	Destination string           `json:"destination"`
	Messages    int              `json:"messages"`
	Delivered   int              `json:"delivered"`
	Dead        int              `json:"dead"`
	Repeats     int              `json:"repeats"`
	MayRepeat   int              `json:"may_repeat,omitempty"` // after crashes, at most
	Batches     []batchView      `json:"batches"`
	Shown       []trackedView    `json:"shown"` // the first of the messages
	Paused      string           `json:"paused,omitempty"`
	list        []outbox.Tracked // as Shown
}

// A batchView is a batch as --json shows it.
type batchView struct {
	Batch    int64     `json:"batch"`
	Route    string    `json:"route"`
	State    string    `json:"state"`
	Messages int       `json:"messages"`
	Done     int       `json:"done"`
	Dead     int       `json:"dead"`
	Repeats  int       `json:"repeats"`
	Resent   bool      `json:"resent"`
	Made     time.Time `json:"made"`
	Finished time.Time `json:"finished,omitzero"`
}

// traffics gathers the messages of an entry by destination, and of each the first most with their answers.
func (i *instance) traffics(ctx context.Context, entry int64, most int, bodies bool) ([]*traffic, error) {
	batches, err := i.outbox.Batches(ctx, entry)
	if err != nil {
		return nil, err
	}
	list := []*traffic{}
	for _, b := range batches {
		at := slices.IndexFunc(list, func(t *traffic) bool { return t.Destination == b.Destination })
		if at < 0 {
			at = len(list)
			list = append(list, &traffic{Destination: b.Destination, Shown: []trackedView{}})
		}
		t := list[at]
		t.Batches = append(t.Batches, batchView{Batch: b.ID, Route: b.Route, State: b.State, Messages: b.Count, Done: b.Done, Dead: b.Dead,
			Repeats: b.Repeats, Resent: b.Resent, Made: b.Made, Finished: b.Finished})
		if !b.Resent {
			t.Messages += b.Count
		}
		t.Delivered += b.Done - b.Dead // what is set aside is done with too
		t.Dead += b.Dead
		t.Repeats += b.Repeats
		if most <= len(t.list) {
			continue
		}
		ms, err := i.outbox.Messages(ctx, b, 0, most-len(t.list))
		if err != nil {
			return nil, err
		}
		for _, m := range ms {
			v := viewOfTracked(m, bodies)
			v.Resent = b.Resent
			t.list, t.Shown = append(t.list, m), append(t.Shown, v)
		}
	}
	doubts, err := i.outbox.Doubts(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		t.MayRepeat = doubts[t.Destination].Of(slices.DeleteFunc(slices.Clone(batches), func(b outbox.BatchInfo) bool { return b.Destination != t.Destination }))
		if t.Paused, err = i.outbox.Paused(ctx, t.Destination); err != nil {
			return nil, err
		}
	}
	return list, nil
}
