package ledger

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"waybill/store"
)

// Kinds of identity: what makes two arrivals of a job the same one.
const (
	ByContent      = "content" // SHA-256, the default
	ByName         = "name"
	ByNameContent  = "name+content"
	ByNameSizeTime = "name+size+mtime"
)

// DefaultAction is what a job does with a verdict it says nothing of.
func DefaultAction(v Verdict) Action {
	switch v {
	case Redelivery:
		return ToSkip
	case Suspect:
		return ToHold
	}
	return ToProcess
}

// identityOf returns the identity of an arrival. Names are quoted, so that no name can be made to look like
// another identity, and "#" cannot follow: it sets off what numbered adds. A partner's stands before the rest, so that nothing of
// one partner is ever that of another, or of none.
func identityOf(kind string, a Arrival, digest []byte) string {
	partner := ""
	if a.Partner != "" {
		partner = "partner:" + strconv.QuoteToASCII(a.Partner) + ":"
	}
	name := partner + "name:" + strconv.QuoteToASCII(a.Source) + ":" + strconv.QuoteToASCII(a.Path)
	content := "sha256:" + hex.EncodeToString(digest)
	switch kind {
	case ByName:
		return name
	case ByNameContent:
		return name + ":" + content
	case ByNameSizeTime:
		return name + ":" + strconv.FormatInt(a.Size, 10) + ":" + strconv.FormatInt(modTime(a.ModTime), 10)
	}
	return partner + content
}

// Identity is what makes the first arrival of these bytes known again, as a job identifies files: for trials, which have no
// ledger.
func Identity(kind string, a Arrival, digest []byte) string { return identityOf(kind, a, digest) }

// identityOf is the identity of an arrival under the oldest name of its source.
func (l *Ledger) identityOf(kind string, a Arrival, digest []byte) string {
	a.Source = l.origins.Load().ofSource(a.Source)
	return identityOf(kind, a, digest)
}

// numbered is the identity of a file that is to be processed although another has the plain one. It must differ, for
// the keys of the messages come from it: a file that is processed again on purpose is sent again under keys of its own.
func numbered(identity string, file int64) string {
	return identity + "#f" + strconv.FormatInt(file, 10)
}

// past is an earlier entry of the same job that an arrival resembles, and how.
type past struct {
	entry     int64
	name      string // "" when retention has removed it
	sameName  bool
	sameBytes bool
	claims    bool // it has the arrival's identity, plain or numbered
}

// judge compares an arrival with the earlier entries it resembles, of which it picks the one the verdict speaks of.
func judge(empty bool, earlier []past) (Verdict, past) {
	if empty {
		return Empty, past{}
	}
	for _, v := range []struct {
		verdict     Verdict
		name, bytes bool
	}{
		{Redelivery, true, true},
		{Suspect, false, true},
		{Correction, true, false},
	} {
		for _, p := range earlier {
			if p.sameName == v.name && p.sameBytes == v.bytes {
				return v.verdict, p
			}
		}
	}
	return Fresh, past{}
}

// A decision is what becomes of an arrival for one job.
type decision struct {
	policy  Policy
	verdict Verdict
	twin    past
	state   State
	reason  string
	hold    string
	plain   string // identity, to be numbered when taken; "" for entries that claim none
	taken   bool
	set     *set // of an arrival that is one of several files
}

// identity returns what the entry claims, nil for none.
func (d *decision) identity(file int64) any {
	switch {
	case d.plain == "":
		return nil
	case d.taken:
		return numbered(d.plain, file)
	}
	return d.plain
}

// decide applies the policy of a job to an arrival.
func decide(r store.Reader, p Policy, a Arrival, identity string, digest []byte, empty, knownName bool) (decision, error) {
	var earlier []past
	if !empty {
		var err error
		if earlier, err = resembling(r, p, a, digest, identity, knownName); err != nil {
			return decision{}, fmt.Errorf("compare with earlier entries of %s: %w", p.Job, err)
		}
	}
	d := ruling(p, identity, empty, earlier)
	if a.Trial {
		d.onTrial()
	}
	return d, nil
}

// ruling applies the policy of a job to an arrival with the identity plain that resembles earlier ones.
func ruling(p Policy, plain string, empty bool, earlier []past) decision {
	d := decision{policy: p, plain: plain}
	d.taken = empty // all empty files look the same, and none is another's duplicate
	for _, e := range earlier {
		d.taken = d.taken || e.claims
	}
	d.verdict, d.twin = judge(empty, earlier)
	action, ok := p.Actions[d.verdict]
	if !ok {
		action = DefaultAction(d.verdict)
	}
	switch {
	case action == ToSkip:
		d.state, d.reason, d.plain = Duplicate, d.likeness(), ""
	case action == ToReject:
		d.state, d.reason, d.plain = Rejected, d.likeness()+": this job rejects that", ""
	case action == ToHold:
		d.state, d.reason, d.hold = Held, d.likeness(), HoldVerdict
		if d.verdict == Empty {
			d.hold = HoldEmpty
		}
	case p.Hold != "":
		d.state, d.reason, d.hold = Held, p.Hold, HoldApproval
	default:
		d.state = Received
	}
	return d
}

// onTrial makes it the decision on an arrival that is only tried: it claims nothing, and waits for nobody.
func (d *decision) onTrial() {
	d.plain = ""
	if d.state == Held {
		d.state, d.reason, d.hold = Received, wouldHold+d.reason, ""
	}
}

// likeness says the verdict in words.
func (d *decision) likeness() string {
	twin := fmt.Sprintf("#%d", d.twin.entry)
	if d.twin.name != "" {
		twin += " (" + d.twin.name + ")"
	}
	switch d.verdict {
	case Redelivery:
		return "same name and bytes as " + twin
	case Suspect:
		return "same bytes as " + twin + " under another name"
	case Correction:
		return "same name as " + twin + ", other bytes"
	case Empty:
		return "empty file"
	}
	return "new file"
}

// Rows of the next three queries are what scanPast reads.
const (
	// Numbered identities follow the plain one, "#" to "$".
	claimersQuery = `SELECT e.id, e.kind, e.name, COALESCE(` + sourceName + `, ''), f.path, f.digest
		FROM entries e LEFT JOIN files f ON f.id = e.file WHERE e.job = ` + ofJob + ` AND e.identity >= ? AND e.identity < ?
		UNION ALL SELECT entry, '', '', '', NULL, NULL FROM identities WHERE job = ` + ofJob + ` AND identity >= ? AND identity < ? LIMIT 16`
	namesakesQuery = `SELECT e.id, e.kind, e.name, ` + sourceName + `, f.path, f.digest
		FROM (SELECT id, source, path, digest FROM files WHERE source = ` + ofSource + ` AND path = ? AND partner = ? LIMIT 200) f JOIN entries e ON e.file = f.id
		WHERE e.job = ` + ofJob + ` AND +e.identity IS NOT NULL LIMIT 16`
	samebytesQuery = `SELECT e.id, e.kind, e.name, ` + sourceName + `, f.path, f.digest
		FROM (SELECT id, source, path, digest FROM files WHERE digest = ? AND partner = ? ORDER BY id DESC LIMIT 200) f JOIN entries e ON e.file = f.id
		WHERE e.job = ` + ofJob + ` AND +e.identity IS NOT NULL LIMIT 16`
)

// resembling finds the entries of the job with the same identity, name or bytes. Those without an identity do not count: rejected
// and cancelled ones, duplicates, which only point to another, replays, which stand behind their first run, and those whose
// identity retention has freed, nor what is only tried. What another partner sent is never looked at.
func resembling(r store.Reader, p Policy, a Arrival, digest []byte, identity string, knownName bool) ([]past, error) {
	scan := func(scan func(...any) error) (past, error) { return scanPast(scan, p, a, digest) }
	list, err := collect(r, scan, claimersQuery, p.Job, identity, identity+"$", p.Job, identity, identity+"$")
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].claims = true
	}
	if p.Identity != "" && p.Identity != ByContent { // else those with the same bytes are the claimers
		more, err := collect(r, scan, samebytesQuery, digest, a.Partner, p.Job)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	if knownName {
		more, err := collect(r, scan, namesakesQuery, a.Source, []byte(a.Path), a.Partner, p.Job)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

func scanPast(scan func(...any) error, p Policy, a Arrival, digest []byte) (past, error) {
	var e past
	var kind, source string
	var path, bytes []byte
	if err := scan(&e.entry, &kind, &e.name, &source, &path, &bytes); err != nil {
		return e, err
	}
	if path == nil { // retention has removed all but the identity, which tells enough
		e.sameName = true
		e.sameBytes = p.Identity != ByName
		return e, nil
	}
	e.sameBytes = string(bytes) == string(digest)
	e.sameName = source == a.Source && string(path) == a.Path
	if kind == Manual || a.Kind == Manual { // run by hand from wherever it lay
		e.sameName = base(string(path)) == base(a.Path)
	}
	return e, nil
}
