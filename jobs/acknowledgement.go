package jobs

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"waybill/ledger"
	"waybill/outbox"
)

// An Acknowledgement is what a partner gets: docs/partners.md tells partners what it means. Keys may be added; those that are
// here keep name and meaning for as long as Version stays.
type Acknowledgement struct {
	Version  int             `json:"acknowledgement"`
	State    ledger.State    `json:"state"` // accepted, rejected, held, duplicate
	Test     bool            `json:"test"`
	Text     string          `json:"text"` // the whole, for a person
	Time     time.Time       `json:"time"`
	Partner  string          `json:"partner"`
	Job      string          `json:"job"`
	Entry    int64           `json:"entry"`
	Run      int             `json:"run"`
	ReplayOf int64           `json:"replay_of,omitempty"`
	Verdict  ledger.Verdict  `json:"verdict"`
	File     Subject         `json:"file"`
	Twin     *Twin           `json:"twin,omitempty"` // the earlier file it was found to be like
	Counts   Counts          `json:"counts"`
	Members  []Part          `json:"members,omitempty"` // of an archive: the files in it, each with an acknowledgement of its own
	Reason   string          `json:"reason,omitempty"`
	Rejects  []ledger.Reject `json:"rejects,omitempty"` // the first 1,000 faults

	figures string // of the outcome, for a body that the job says itself
}

// A Subject is the file that an acknowledgement speaks of.
type Subject struct {
	Name     string    `json:"name"`
	Folder   string    `json:"folder,omitempty"` // below the folder it was dropped into
	Size     int64     `json:"size"`             // bytes
	SHA256   string    `json:"sha256,omitempty"` // not of what was refused at the door
	Received time.Time `json:"received"`
	Archive  string    `json:"archive,omitempty"` // the file that it came in, which has an acknowledgement of its own
}

// A Part is a file of an archive.
type Part struct {
	Entry int64  `json:"entry"`
	File  string `json:"file"` // its path in the archive
}

// A Twin is an earlier file of the same partner.
type Twin struct {
	Entry    int64     `json:"entry"`
	File     string    `json:"file,omitempty"`
	Received time.Time `json:"received,omitzero"`
}

// Counts of an acknowledgement.
type Counts struct {
	Records  int64 `json:"records"`
	Messages int64 `json:"messages"`
	Rejects  int64 `json:"rejects"` // records
}

// ackVersion is the version of the shape.
const ackVersion = 1

// tidingsOf is the acknowledgement of an entry, without twin, rejects and text.
func tidingsOf(in *Input, after ledger.State, reason string, at time.Time) Acknowledgement {
	e, f := &in.Entry, &in.File
	name, folder, archive := fileNames(f)
	a := Acknowledgement{
		Version: ackVersion, State: after, Test: e.Trial, Time: at.UTC(), Partner: e.Partner, Job: e.Job, Entry: e.ID, Run: e.Run, ReplayOf: e.Origin,
		Verdict: e.Verdict, Reason: reason,
		File: Subject{Name: name, Folder: folder, Archive: archive, Size: f.Size, SHA256: hex.EncodeToString(f.Digest), Received: f.Landed.UTC()},
	}
	if f.Landed.IsZero() { // refused at the door
		a.File.Received = e.Received.UTC()
	}
	switch after {
	case ledger.Accepted:
		a.Counts = Counts{Records: e.Records, Messages: e.Messages, Rejects: e.Rejects}
	case ledger.Rejected:
		a.Counts = Counts{Records: e.Records, Rejects: e.Rejects}
	}
	return a
}

// words says all of it to a person.
func (a *Acknowledgement) words() string {
	var b strings.Builder
	name := ledger.Shown(path.Join(a.File.Folder, a.File.Name))
	if a.File.Archive != "" {
		name += " (in " + ledger.Shown(a.File.Archive) + ")"
	}
	switch a.State {
	case ledger.Accepted:
		if n := int64(len(a.Members)); n > 0 {
			fmt.Fprintf(&b, "%s was unpacked: %s, each of which is acknowledged by itself.", name, several(n, "file"))
			break
		}
		fmt.Fprintf(&b, "%s was accepted: %s.", name, several(a.Counts.Records, "record"))
		if a.Counts.Rejects > 0 {
			fmt.Fprintf(&b, " %s of them could not be taken, see rejects.", several(a.Counts.Rejects, "record"))
		}
	case ledger.Rejected:
		fmt.Fprintf(&b, "%s was rejected as a whole; nothing of it was taken. Correct it and send it again.", name)
	case ledger.Held:
		if a.Test {
			fmt.Fprintf(&b, "%s would be held until somebody has looked at it.", name)
			break
		}
		if strings.HasPrefix(a.Reason, incomplete) {
			fmt.Fprintf(&b, "%s seems to have been cut off: send it again, whole.", name)
			break
		}
		fmt.Fprintf(&b, "%s is held until somebody has looked at it; you need not send it again.", name)
	case ledger.Duplicate:
		fmt.Fprintf(&b, "%s was received before and was not taken a second time.", name)
	}
	if a.Reason != "" {
		fmt.Fprintf(&b, " Reason: %s.", strings.TrimSuffix(a.Reason, "."))
	}
	if a.Test {
		b.WriteString(" This was a test: nothing was sent on.")
	}
	return b.String()
}

func several(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// acknowledgements are the messages that tell the sender a; owed makes their keys. An error says why a body that the job says itself
// could not be made: the sender is told all the same, in the plain shape.
func (p *Plan) acknowledgements(a *Acknowledgement, in *Input, owed int64) (list []outbox.Message, err error) {
	plain, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return nil, err
	}
	plain = append(plain, '\n')
	names := p.beside(in)
	names["outcome"] = p.outcomeOf(a)
	err = p.figuresOf(a.figures, names) // the sender is told all the same
	for i := range p.notices {
		n := &p.notices[i]
		if !slices.Contains(n.after, a.State) {
			continue
		}
		body, media := plain, jsonMedia
		if n.body != nil || n.shaper != nil {
			own, bad := p.own(n, in, names, plain)
			if bad == nil {
				body, media = own, n.media
			}
			err = errors.Join(err, bad)
		}
		var h hasher
		h.start(a.Partner, p.origin, "acknowledge")
		for _, part := range []int64{a.Entry, owed, int64(i)} {
			h.number(part)
		}
		list = append(list, outbox.Message{Key: string(h.appendUUID(nil)), Body: body, Size: int64(len(body)), Headers: []outbox.Header{
			{Name: ":name", Value: a.Partner + "/" + n.folder + "/" + p.fileName(n, a, names)},
			{Name: ":exists", Value: "number"}, {Name: ":content-type", Value: media},
		}})
	}
	return list, err
}

// outcomeOf is a as expressions see it.
func (p *Plan) outcomeOf(a *Acknowledgement) map[string]any {
	faults := make([]any, len(a.Rejects))
	for i, r := range a.Rejects {
		faults[i] = map[string]any{"record": r.Record, "line": r.Line, "field": r.Field, "value": r.Value, "reason": r.Reason}
	}
	o := map[string]any{
		"state": string(a.State), "verdict": string(a.Verdict), "reason": a.Reason, "test": a.Test, "records": a.Counts.Records,
		"messages": a.Counts.Messages, "rejects": a.Counts.Rejects, "time": p.zoned(a.Time), "text": a.Text, "faults": faults, "twin": nil,
	}
	if a.Twin != nil {
		o["twin"] = map[string]any{"number": a.Twin.Entry, "name": a.Twin.File}
	}
	return o
}

// own is the body that a job says itself, or the plain one laid out as it says.
func (p *Plan) own(n *notice, in *Input, names map[string]any, plain []byte) (body []byte, err error) {
	r := newRun(p, in, names)
	r.base.turn(nil, nil)
	if body = plain; n.body != nil {
		if body, err = r.one(nil, n.body, r.base, false); err != nil {
			return nil, err
		}
	}
	if n.shaper != nil {
		return n.shaper.Append(nil, orNull(body))
	}
	if len(body) == 0 {
		return nil, errNoBody
	}
	var b bytes.Buffer
	if err := json.Indent(&b, body, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// nameMost is how long the name of an acknowledgement may be, bytes.
const nameMost = 200

// fileName is the name of an acknowledgement. Where what the job says makes none that can be had, its number is the name.
func (p *Plan) fileName(n *notice, a *Acknowledgement, names map[string]any) string {
	if n.name.constant {
		return n.name.fixed
	}
	b, err := n.name.template.Append(nil, names)
	if err != nil || len(b) == 0 || len(b) > nameMost || !utf8.Valid(b) || slices.Contains(b, '/') || temporary(string(b)) {
		return fmt.Sprintf("%d%s", a.Entry, n.suffix)
	}
	return string(b)
}

// tried is what the sender of a file that was tried would get. The entry has no number yet.
func (p *Plan) tried(in Input, o *ledger.Outcome) (list []TrialNotice, err error) {
	in.Entry.Records, in.Entry.Messages, in.Entry.Rejects = o.Records, o.Messages, o.Rejected
	if o.Verdict != "" {
		in.Entry.Verdict = o.Verdict
	}
	after := o.State
	if after == ledger.Delivered {
		after = ledger.Accepted
	}
	a := tidingsOf(&in, after, o.Reason, in.Entry.Received)
	a.Partner, a.Rejects, a.figures = in.Partner.Name, o.Rejects, o.Figures
	a.Text = a.words()
	messages, err := p.acknowledgements(&a, &in, 0)
	for _, m := range messages {
		t := TrialNotice{Name: strings.TrimPrefix(m.Header(":name"), a.Partner+"/")}
		if isJSON(&m) {
			t.Body = m.Body
		} else {
			t.Text = Readable(m.Header(":content-type"), m.Body, int64(len(m.Body)))
		}
		list = append(list, t)
	}
	return list, err
}
