package ledger

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// How an arrival stands to the one before it.
type resemblance struct {
	name, bytes, mtime bool // the same
	blank              bool
}

func (s resemblance) String() string {
	if s.blank {
		return "blank"
	}
	return fmt.Sprintf("name=%v,bytes=%v,mtime=%v", s.name, s.bytes, s.mtime)
}

// wantVerdict is the table: verdicts tell name and bytes, whatever the identity is.
func wantVerdict(s resemblance) Verdict {
	switch {
	case s.blank:
		return Empty
	case s.name && s.bytes:
		return Redelivery
	case s.bytes:
		return Suspect
	case s.name:
		return Correction
	}
	return Fresh
}

func sameIdentity(kind string, s resemblance) bool {
	switch kind {
	case ByName:
		return s.name
	case ByNameContent:
		return s.name && s.bytes
	case ByNameSizeTime:
		return s.name && s.mtime // sizes are equal here
	}
	return s.bytes
}

// second is an arrival after one of "a.csv" with the content first, at a time.
func (s resemblance) second(first string) (Arrival, string) {
	a, content := arrival("a.csv", "v2"), first
	if !s.name {
		a.Path = "b.csv"
	}
	if !s.bytes {
		content = strings.ToUpper(first) // of the same size
	}
	if !s.mtime {
		a.ModTime = a.ModTime.Add(time.Hour)
	}
	if s.blank {
		content = "\xef\xbb\xbf \r\n\t"
	}
	return a, content
}

func TestVerdictsOfEveryKindOfIdentity(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.SetRouter(bySource{})
	var wg sync.WaitGroup
	for _, kind := range []string{ByContent, ByName, ByNameContent, ByNameSizeTime} {
		for i := range 9 {
			s := resemblance{name: i&1 != 0, bytes: i&2 != 0, mtime: i&4 != 0, blank: i == 8}
			for _, action := range []Action{"", ToProcess, ToSkip, ToHold, ToReject} {
				wg.Go(func() { checkVerdict(t, r, kind, s, action) })
			}
		}
	}
	wg.Wait()
}

// bySource finds the policy in the name of the source: "job|identity|verdict|action".
type bySource struct{}

func (bySource) Route(a Arrival) []Policy {
	part := strings.Split(a.Source, "|")
	p := Policy{Job: a.Source, Identity: part[1]}
	if part[3] != "" {
		p.Actions = map[Verdict]Action{Verdict(part[2]): Action(part[3])}
	}
	return []Policy{p}
}

// checkVerdict lands two files for a job of their own.
func checkVerdict(t *testing.T, r *rig, kind string, s resemblance, action Action) {
	what := fmt.Sprintf("%s, %s, %q", kind, s, action)
	verdict := wantVerdict(s)
	if verdict == Fresh { // else the first file would be treated so too
		action = ""
	}
	job := fmt.Sprint(what, "|", kind, "|", verdict, "|", action)
	if action == "" {
		action = DefaultAction(verdict)
	}
	first := arrival("a.csv", "v1 "+what)
	first.Source = job
	content := "of " + what // of its own: only the newest files with the same bytes are looked at, of whatever job
	_, e1 := r.land(first, content)
	a, content := s.second(content)
	a.Source, a.Version = job, "v2 "+what
	f, e2 := r.land(a, content)
	e := e2[0]
	if e.Verdict != verdict {
		t.Errorf("%s: verdict %s, want %s", what, e.Verdict, verdict)
	}
	state := map[Action]State{ToProcess: Received, ToSkip: Duplicate, ToHold: Held, ToReject: Rejected}[action]
	if e.State != state {
		t.Errorf("%s: state %s, want %s", what, e.State, state)
	}
	twin := e1[0].ID
	if verdict == Fresh || verdict == Empty {
		twin = 0
	}
	if e.Twin != twin {
		t.Errorf("%s: twin #%d, want #%d", what, e.Twin, twin)
	}
	switch claims := state == Received || state == Held; {
	case !claims && e.Identity != "":
		t.Errorf("%s: %s entry has identity %q", what, state, e.Identity)
	case claims && (e.Identity == "" || e.Identity == e1[0].Identity):
		t.Errorf("%s: identity %q, the first one's is %q", what, e.Identity, e1[0].Identity)
	case claims && strings.Contains(e.Identity, "#") != (sameIdentity(kind, s) && !s.blank || s.blank):
		t.Errorf("%s: identity %q: numbered where it need not be, or the other way round", what, e.Identity)
	}
	if (state == Duplicate || state == Rejected) != (f.State == FileClosable) || state != Received && e.Reason == "" {
		t.Errorf("%s: file %s, reason %q", what, f.State, e.Reason)
	}
}

func TestRejectedAndCancelledFreeTheirIdentity(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	first := r.one("a.csv", "bad")
	r.work(first.ID, Outcome{State: Rejected, Reason: "line 3"})
	second := r.one("b.csv", "bad")
	if second.Verdict != Fresh || second.State != Received || second.Identity != first.Identity {
		t.Errorf("after a rejection: %+v", second)
	}
	if err := r.Cancel(ctx, second.ID, "ops"); err != nil {
		t.Fatal(err)
	}
	if e := r.one("c.csv", "bad"); e.Verdict != Fresh {
		t.Errorf("after cancelling: %+v", e)
	}
}

func TestManualRunOfAFileKnownFromAFolderIsItsRedelivery(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	first := r.one("in/a.csv", "x")
	_, es := r.land(Arrival{Source: "run", Path: "/home/ops/a.csv", Version: "1", Kind: Manual}, "x")
	if es[0].Verdict != Redelivery || es[0].State != Duplicate || es[0].Twin != first.ID || es[0].Kind != Manual {
		t.Errorf("%+v", es[0])
	}
	f, es := r.land(Arrival{Source: "run", Path: "/home/ops/b.csv", Version: "1", Kind: Manual}, "y")
	r.work(es[0].ID, Outcome{State: Delivered})
	if got := r.fileState(f.ID); got != "closed done" {
		t.Errorf("file of a manual run: %q, want closed: nobody else would", got)
	}
}

func TestIdentitiesOfHostileNamesDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, src := range []string{"a", `a"`, "a:b", "é"} {
		for _, path := range []string{"x", `x"`, `x":"y`, "x#f1", "x\xff", "x\ufffd", "\x00", `x\`} {
			id := identityOf(ByName, Arrival{Source: src, Path: path}, nil)
			if old, ok := seen[id]; ok {
				t.Errorf("%q and %q have identity %s", old, src+"|"+path, id)
			}
			seen[id] = src + "|" + path
			for other := range seen {
				if other != id && strings.HasPrefix(id, other+"#") {
					t.Errorf("%s looks like %s numbered", id, other)
				}
			}
		}
	}
}

func TestShownIsOneLineOfPlainText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Commande n° 5.csv": "Commande n° 5.csv",
		"a\x1b[2Jb":         `a\u001b[2Jb`,
		"evil\u202egpj.exe": `evil\u202egpj.exe`,
		"zero\u200bwidth":   `zero\u200bwidth`,
		"\xff\xfe":          `\xff\xfe`,
		"two\nlines\r\t":    `two\nlines\r\t`,
		`back\slash`:        `back\\slash`,
		"\ufffd":            "\ufffd",
		"\U000e0041":        `\U000e0041`,
	} {
		if got := Shown(in); got != want {
			t.Errorf("Shown(%q) = %s, want %s", in, got, want)
		}
	}
}

func FuzzShown(f *testing.F) {
	f.Add("a\xffb\\\n\u202e", "b")
	f.Fuzz(func(t *testing.T, a, b string) {
		s := Shown(a)
		if strings.ToValidUTF8(s, "") != s || strings.ContainsAny(s, "\n\r\x1b\u202e") {
			t.Errorf("Shown(%q) = %q", a, s)
		}
		if (a == b) != (s == Shown(b)) {
			t.Errorf("%q and %q are shown as %q and %q", a, b, s, Shown(b))
		}
	})
}
