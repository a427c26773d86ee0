package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"waybill/config"
	"waybill/jobs"
	"waybill/ledger"
	"waybill/outbox"
	"waybill/outbox/rest"
)

// answerMost bounds a file with an answer: what a target reads of one, and a head.
const answerMost = 1<<20 + 64<<10

// canned are answers out of a folder, by what their files are called without the last ending: DESTINATION.KEY for one message, DESTINATION for all others.
type canned struct {
	folder string
	files  map[string]string // names of files by stem
	read   map[string]outbox.Response
}

// openCanned lists the answers in a folder. What is hidden is none, nor is what lies in folders below.
func openCanned(folder string) (*canned, error) {
	if info, err := os.Stat(folder); err == nil && !info.IsDir() { // a pipe would be waited for
		return nil, usage("answers of --responses: %s is not a folder: name the folder that holds a file for each destination", ledger.Shown(folder))
	}
	list, err := os.ReadDir(folder)
	if err != nil {
		return nil, exit{exitUsage, fmt.Errorf("answers of --responses: %w", err)}
	}
	a := &canned{folder: folder, files: map[string]string{}, read: map[string]outbox.Response{}}
	for _, item := range list {
		name := item.Name()
		if item.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		stem := strings.TrimSuffix(name, filepath.Ext(name))
		if other := a.files[stem]; other != "" {
			return nil, usage("%s holds %s and %s for the same messages: leave one", ledger.Shown(folder), ledger.Shown(other), ledger.Shown(name))
		}
		a.files[stem] = name
	}
	return a, nil
}

// to is the answer to a message: its own, else that of its destination.
func (a *canned) to(m *jobs.TrialMessage) (name string, r outbox.Response, err error) {
	if m.Ref != "" {
		name = a.files[m.Destination+"."+m.Ref]
	}
	if name == "" {
		name = a.files[m.Destination]
	}
	if name == "" {
		return "", r, nil
	}
	if r, known := a.read[name]; known {
		return name, r, nil
	}
	if r, err = answerIn(filepath.Join(a.folder, name)); err != nil {
		return name, r, exit{exitUsage, err}
	}
	a.read[name] = r
	return name, r, nil
}

// answerIn reads an answer: with the ending .http as it came over the line, or as curl -i prints it; else the body of an answer 200.
func answerIn(name string) (r outbox.Response, err error) {
	f, _, err := openOrdinary(name)
	if err != nil {
		return r, err
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, answerMost+1))
	if err != nil {
		return r, err
	}
	if len(text) > answerMost {
		return r, fmt.Errorf("%s has more than 1 MiB, which no answer is read beyond", ledger.Shown(name))
	}
	if !strings.EqualFold(filepath.Ext(name), ".http") {
		return outbox.Response{Status: http.StatusOK, Headers: map[string][]string{}, Body: text}, nil
	}
	if r, err = parseAnswer(text); err != nil {
		return r, fmt.Errorf("read %s: %w; it begins with a line such as HTTP/1.1 201 Created, then come headers, an empty line and the body", ledger.Shown(name), err)
	}
	return r, nil
}

// parseAnswer cuts an answer into status, headers and body. The body goes to the end, whatever the headers say of its length: a tool that saved it has undone that.
func parseAnswer(text []byte) (r outbox.Response, err error) {
	b := bufio.NewReader(bytes.NewReader(text))
	head := textproto.NewReader(b)
	for r.Status < 200 { // those of 1xx go before the answer
		line, err := head.ReadLine()
		if err != nil {
			return r, fmt.Errorf("its head: %w", ended(err))
		}
		version, rest, _ := strings.Cut(line, " ")
		code, _, _ := strings.Cut(rest, " ")
		if r.Status, err = strconv.Atoi(code); err != nil || r.Status < 100 || r.Status > 999 || !strings.HasPrefix(version, "HTTP/") {
			return r, fmt.Errorf("%q is no first line of an answer", short(line, 80))
		}
		headers, err := head.ReadMIMEHeader()
		if err != nil && (!errors.Is(err, io.EOF) || r.Status < 200) { // an answer may end with its headers
			return r, fmt.Errorf("its headers: %w", ended(err))
		}
		r.Headers = headers
	}
	r.Body, err = io.ReadAll(b)
	return r, err
}

// ended is an error of reading in the words of somebody who wrote a file.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("it ends too early")
	}
	return err
}

// answers says of each message shown what its destination's answer would make of it. refused is how many would become dead letters.
func (t *trial) answers(o tryOptions, out *jobs.Trial) (refused int, err error) {
	if o.responses == "" {
		return 0, nil
	}
	a, err := openCanned(o.responses)
	if err != nil {
		return 0, err
	}
	spoken := map[string]bool{}
	for _, send := range t.plan.Options().Send {
		if item := config.Find(t.land.config.Destinations, send.To); item != nil && item.Kind == "http" {
			spoken[send.To] = true
		}
	}
	for i := range out.Shown {
		m := &out.Shown[i]
		if !spoken[m.Destination] {
			continue
		}
		name, r, err := a.to(m)
		if err != nil {
			return refused, err
		}
		if name == "" {
			continue
		}
		m.Answer = t.judged(m, r)
		if m.Answer.From = name; m.Answer.Outcome == outcomeOf(outbox.FaultRefused) {
			refused++
		}
	}
	for _, stem := range slices.Sorted(maps.Keys(a.files)) {
		if to, _, _ := strings.Cut(stem, "."); !spoken[to] {
			out.Findings = append(out.Findings, fmt.Sprintf("%s answers nothing: it is called after no destination of kind http that the job sends to", ledger.Shown(a.files[stem])))
		}
	}
	return refused, nil
}

// judged is what an answer makes of a message to a destination of kind http.
func (t *trial) judged(shown *jobs.TrialMessage, r outbox.Response) *jobs.TrialAnswer {
	m := outbox.Message{Key: shown.Key, Ref: shown.Ref}
	for _, r := range t.plan.Routes() {
		if r.Name == shown.Route {
			m.Judge = r.Judge
		}
	}
	for name, value := range shown.Headers {
		m.Headers = append(m.Headers, outbox.Header{Name: name, Value: value})
	}
	o := config.Find(t.land.config.Destinations, shown.Destination).Options.(*rest.Options)
	receipt, err := rest.Judged(*o, &m, r, t.p.now)
	a := &jobs.TrialAnswer{Status: r.Status, Outcome: "delivered"}
	if err != nil {
		a.Outcome, a.Reason = outcomeOf(outbox.FaultOf(err)), err.Error()
	}
	for _, c := range receipt.Captures {
		if a.Captures == nil {
			a.Captures = map[string]string{}
		}
		a.Captures[c.Name] = c.Value
	}
	return a
}

// outcomeOf names what a fault makes of a message.
func outcomeOf(f outbox.Fault) string {
	switch f {
	case outbox.FaultRefused:
		return "refused"
	case outbox.FaultUnknown:
		return "unknown"
	case outbox.FaultStopped:
		return "stopped"
	}
	return "unavailable"
}

// answered prints what an answer makes of a message.
func (p *program) answered(a *jobs.TrialAnswer, margin string) {
	fmt.Fprintf(p.out, "%sanswered by %s: %s\n", margin, ledger.Shown(a.From), map[string]string{
		"delivered":   "delivered",
		"refused":     "refused, a dead letter",
		"unavailable": "unavailable, it would be tried again",
		"unknown":     "unknown, so that the destination's unknown decides",
		"stopped":     "stopped, the destination would wait for somebody",
	}[a.Outcome])
	if a.Reason != "" {
		fmt.Fprintf(p.out, "%s  %s\n", margin, safe(short(a.Reason, 500)))
	}
	for _, name := range sorted(a.Captures) {
		fmt.Fprintf(p.out, "%s  %s: %s\n", margin, name, shown(a.Captures[name], 200))
	}
}
