package sftpd

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"

	"waybill/ledger"
	"waybill/store"
)

// send uploads content in one go.
func send(c *sftp.Client, path string, content []byte) error {
	f, err := c.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

func (r *rig) refuses(what string, err error, say string) {
	r.t.Helper()
	if err == nil || !strings.Contains(err.Error(), say) {
		r.t.Errorf("%s: %v, it should say %q", what, err, say)
	}
}

func names(c *sftp.Client, path string) string {
	list, err := c.ReadDir(path)
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, i := range list {
		all = append(all, i.Name())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestTemporaryNamesLandWhenTheyAreRenamed(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 100, 200_000} {
		r := newRig(t)
		c, _ := r.dial()
		r.must(send(c, "/in/a.csv.filepart", pattern(size)))
		if len(r.entries()) > 0 {
			t.Fatal("a temporary name has landed")
		}
		if got := names(c, "/in"); got != "a.csv.filepart" {
			t.Errorf("listing: %s", got)
		}
		r.must(c.Rename("/in/a.csv.filepart", "/in/b.csv.part")) // between temporary names
		r.must(c.PosixRename("/in/b.csv.part", "/in/a.csv"))
		if got, landed := r.content("acme/a.csv"); !landed || got != string(pattern(size)) {
			t.Errorf("%d bytes: landed %t, %d bytes", size, landed, len(got))
		}
		if got := names(c, "/in"); got != "a.csv" {
			t.Errorf("listing: %s", got)
		}
		r.refuses("rename what has landed", c.Rename("/in/a.csv", "/in/c.csv"), "permission denied")
	}
}

// A mute journal takes nothing.
type mute struct{}

func (mute) Note(context.Context, string, map[string]any) error { return errors.New("no") }

// What is done is told as done, whether it could be noted or not: who hears of a failure sends the file again.
func TestWhatIsDoneIsToldAsDoneThoughItCannotBeNoted(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *FilesOptions) { o.Journal = mute{} })
	c, _ := r.dial()
	for _, n := range []int{10, 200_000} {
		r.must(send(c, "/in/a.csv.part", pattern(n)))
		r.must(c.Rename("/in/a.csv.part", "/in/b.csv.part"))
		r.must(c.Rename("/in/b.csv.part", "/in/b.csv"))
		if got, _ := r.content("acme/b.csv"); got != string(pattern(n)) {
			t.Errorf("%d bytes landed, not %d", len(got), n)
		}
	}
	r.must(send(c, "/in/c.csv.part", pattern(10)))
	r.must(c.Remove("/in/c.csv.part"))
	r.must(os.WriteFile(filepath.Join(r.data, "mailboxes", "acme", "out", "ack.json"), []byte("{}"), 0o600))
	r.must(c.Remove("/out/ack.json"))
}

func TestWhatWasNotClosedDoesNotLandByRenaming(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, cut := r.dial()
	f, err := c.Create("/in/a.csv.part")
	r.must(err)
	_, err = f.Write(pattern(1000))
	r.must(err)
	r.refuses("rename while it is open", c.Rename("/in/a.csv.part", "/in/a.csv"), "still being uploaded")
	cut()
	c, _ = r.dial()
	r.refuses("rename what is broken", c.Rename("/in/a.csv.part", "/in/a.csv"), "not uploaded to its end")
	f, err = c.OpenFile("/in/a.csv.part", os.O_WRONLY|os.O_APPEND)
	r.must(err)
	_, err = f.Write(pattern(1500)[1000:])
	r.must(err)
	r.must(f.Close())
	r.must(c.Rename("/in/a.csv.part", "/in/a.csv"))
	if got, _ := r.content("acme/a.csv"); got != string(pattern(1500)) {
		t.Errorf("%d bytes landed", len(got))
	}
}

func TestBytesMayComeInAnyOrderButNoneMayBeMissing(t *testing.T) {
	t.Parallel()
	for _, size := range []int{9000, 90_000, 900_000} {
		r := newRig(t)
		c, cut := r.dial()
		whole := pattern(size)
		f, err := c.Create("/in/a.csv")
		r.must(err)
		third := size / 3
		for _, from := range []int{2 * third, 0, third} {
			_, err = f.WriteAt(whole[from:min(from+third, size)], int64(from))
			r.must(err)
		}
		_, err = f.WriteAt(whole[:10], 0) // once more
		r.must(err)
		r.must(f.Close())
		if got, _ := r.content("acme/a.csv"); got != string(whole) {
			t.Errorf("%d bytes: other bytes have landed", size)
		}
		f, err = c.Create("/in/hole.csv")
		r.must(err)
		_, err = f.WriteAt(whole[:third], 0)
		r.must(err)
		_, err = f.WriteAt(whole[third+5:], int64(third+5))
		r.must(err)
		r.refuses("a hole", f.Close(), "never written")
		if _, landed := r.content("acme/hole.csv"); landed {
			t.Error("a file with a hole has landed")
		}
		info, err := c.Stat("/in/hole.csv")
		if err != nil || info.Size() != int64(third) {
			t.Errorf("what is kept: %v, %v", info, err)
		}
		cut()
	}
}

// 57 of the hostile inputs.
func TestTwoUploadsOfOneNameLandBoth(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1000, 300_000} {
		r := newRig(t)
		c1, _ := r.dial()
		c2, _ := r.dial()
		one, two := pattern(size), append([]byte("two"), pattern(size)...)
		f1, err := c1.Create("/in/a.csv")
		r.must(err)
		_, err = f1.Write(one[:size/2])
		r.must(err)
		f2, err := c2.Create("/in/a.csv")
		r.must(err)
		_, err = f2.Write(two)
		r.must(err)
		_, err = f1.Write(one[size/2:])
		r.must(err)
		r.must(f2.Close())
		r.must(f1.Close())
		list, err := r.ledger.Why(t.Context(), "acme/a.csv")
		r.must(err)
		if len(list) != 2 {
			t.Fatalf("%d versions", len(list))
		}
		for i, want := range [][]byte{one, two} { // the newest first
			if got, err := r.read(list[i].File.Object); err != nil || string(got) != string(want) {
				t.Errorf("version %d: %d bytes, %v", i, len(got), err)
			}
		}
		if list[0].Entries[0].Verdict != ledger.Correction {
			t.Errorf("the second is %s", list[0].Entries[0].Verdict)
		}
		if got := names(c1, "/in"); got != "a.csv" {
			t.Errorf("listing: %s", got)
		}
	}
}

func TestAResumedUploadTakesOverFromADeadConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c1, _ := r.dial() // whose end nobody has noticed yet
	f1, err := c1.Create("/in/a.csv")
	r.must(err)
	whole := pattern(400_000)
	_, err = f1.Write(whole[:200_000])
	r.must(err)
	c2, _ := r.dial()
	info, err := c2.Stat("/in/a.csv")
	r.must(err)
	f2, err := c2.OpenFile("/in/a.csv", os.O_WRONLY)
	r.must(err)
	_, err = f2.WriteAt(whole[info.Size():], info.Size())
	r.must(err)
	_, err = f1.Write([]byte("too late"))
	r.refuses("write on the old connection", err, "has ended")
	r.refuses("close on the old connection", f1.Close(), "has ended")
	r.must(f2.Close())
	if got, _ := r.content("acme/a.csv"); got != string(whole) {
		t.Errorf("%d bytes landed", len(got))
	}
}

// Whoever opens an upload in progress, to look at it or to set its time, and writes nothing, neither ends it nor lands an empty file beside it.
func TestWhoWritesNothingLeavesAnUploadInProgressAlone(t *testing.T) {
	t.Parallel()
	for _, flags := range []int{os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_CREATE} {
		r := newRig(t)
		c1, _ := r.dial()
		f1, err := c1.Create("/in/a.csv")
		r.must(err)
		whole := pattern(400_000)
		_, err = f1.Write(whole[:200_000])
		r.must(err)
		c2, _ := r.dial()
		f2, err := c2.OpenFile("/in/a.csv", flags)
		r.must(err)
		r.must(f2.Close())
		if got, landed := r.content("acme/a.csv"); landed {
			t.Errorf("flags %#x: %d bytes landed", flags, len(got))
		}
		_, err = f1.Write(whole[200_000:])
		r.must(err)
		r.must(f1.Close())
		if got, _ := r.content("acme/a.csv"); got != string(whole) {
			t.Errorf("flags %#x: %d bytes landed in the end", flags, len(got))
		}
	}
}

func TestWhatWaitsCanBeReadReplacedAndWithdrawn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, _ := r.dial()
	r.must(c.Mkdir("/in/sub"))
	for _, name := range []string{"/in/small.csv", "/in/sub/large.csv"} {
		content := append([]byte(name), pattern(map[bool]int{true: 200_000}[strings.Contains(name, "large")])...)
		r.must(send(c, name, content))
		f, err := c.Open(name)
		r.must(err)
		got, err := io.ReadAll(f)
		if err != nil || string(got) != string(content) {
			t.Errorf("%s: read back %d bytes, %v", name, len(got), err)
		}
		r.must(f.Close())
		r.must(send(c, name, append([]byte("new "), content...)))
	}
	if got := names(c, "/in") + "," + names(c, "/in/sub"); got != "small.csv sub,large.csv" {
		t.Errorf("listing: %s", got)
	}
	r.refuses("rmdir", c.RemoveDirectory("/in/sub"), "not empty")
	r.must(c.Remove("/in/sub/large.csv")) // both versions
	r.must(c.RemoveDirectory("/in/sub"))
	r.must(c.Remove("/in/small.csv"))
	if got := names(c, "/in"); got != "" {
		t.Errorf("listing: %s", got)
	}
	for _, e := range r.entries() {
		if e.State != ledger.Cancelled || !strings.Contains(e.Reason, "withdrawn by partner acme") {
			t.Errorf("#%d is %s: %s", e.ID, e.State, e.Reason)
		}
	}
	if _, err := c.Stat("/in/small.csv"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat of what was withdrawn: %v", err)
	}
}

func TestWhatIsBeingWorkedCannotBeWithdrawn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, _ := r.dial()
	r.must(send(c, "/in/a.csv", pattern(10)))
	list, err := r.ledger.Claim(t.Context(), "orders", 1)
	r.must(err)
	r.must(r.db.Tx(t.Context(), func(tx *store.Tx) error { return r.ledger.Working(tx, list[0]) }))
	r.refuses("remove", c.Remove("/in/a.csv"), "permission denied")
	if got := names(c, "/in"); got != "a.csv" {
		t.Errorf("listing: %s", got)
	}
}

// 42 and 56 of the hostile inputs.
func TestOddNamesAndOffsets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.account.Quota.FileSize = 1 << 20
	c, _ := r.dial()
	for _, name := range []string{strings.Repeat("n", 255), "-rf", "CON", "\xff\xfe.csv", "a\u202egnp.csv", "50%.csv", "with space", `back\slash`, "*.csv"} {
		r.must(send(c, "/in/"+name, []byte(name)))
		if _, landed := r.content("acme/" + name); !landed {
			t.Errorf("%q has not landed", name)
		}
	}
	for name, say := range map[string]string{"new\nline": "control character", "\x1b[31m": "control character", strings.Repeat("n", 256): "longer than 255"} {
		r.refuses(name, send(c, "/in/"+name, nil), say)
	}
	f, err := c.Create("/in/sparse")
	r.must(err)
	_, err = f.WriteAt([]byte("x"), 1<<62)
	r.refuses("offset 2^62", err, "larger than the limit")
	r.refuses("close", f.Close(), "larger than the limit")
	f, err = c.Create("/in/long")
	r.must(err)
	r.refuses("truncate to 2^63-1", f.Truncate(math.MaxInt64), "larger than the limit")
	_ = f.Close()
	rejected := 0
	for _, e := range r.entries() {
		if e.State == ledger.Rejected && strings.HasPrefix(e.Reason, ledger.RefusedBecause+"the file is larger") {
			rejected++
		}
	}
	if rejected != 2 {
		t.Errorf("%d refusals are in the ledger", rejected)
	}
	var open []*sftp.File
	for i := range maxHandles {
		f, err := c.Create("/in/h" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
		r.must(err)
		open = append(open, f)
	}
	_, err = c.Create("/in/toomany")
	r.refuses("handle 65", err, "open already")
	for _, f := range open {
		r.must(f.Close())
	}
}

// 58 of the hostile inputs.
func TestQuotaIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.account.Quota = Quota{Bytes: 250_000, Files: 3}
	c, _ := r.dial()
	r.must(send(c, "/in/a.csv", pattern(200_000)))
	f, err := c.Create("/in/b.csv")
	r.must(err)
	_, err = f.Write(pattern(50_001))
	r.refuses("the last byte", err, "may hold 250000 bytes")
	r.refuses("close", f.Close(), "may hold 250000 bytes")
	if _, landed := r.content("acme/b.csv"); landed {
		t.Error("it was published")
	}
	r.must(c.Remove("/in/a.csv"))
	r.must(send(c, "/in/b.csv", pattern(50_001))) // what was withdrawn counts no more
	r.must(send(c, "/in/c.csv", pattern(1)))
	r.must(send(c, "/in/d.csv.part", pattern(1)))
	r.refuses("a fourth file", send(c, "/in/e.csv", pattern(2)), "may hold 3 files")
	r.must(c.Rename("/in/d.csv.part", "/in/d.csv")) // is no more than before
	v, err := c.StatVFS("/in")
	if err != nil || v.Blocks != 250_000/v.Bsize || v.Ffree != 0 {
		t.Errorf("statvfs: %+v, %v", v, err)
	}
}

func TestRightsOfFolders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, _ := r.dial()
	out := filepath.Join(r.data, "mailboxes", "acme", "out")
	r.must(os.WriteFile(filepath.Join(out, "report.csv"), pattern(100_000), 0o600))
	r.must(os.WriteFile(filepath.Join(out, ".report2.csv.tmp"), nil, 0o600))
	if got := names(c, "/") + "," + names(c, "/orders") + "," + names(c, "/out"); got != "in orders out test,in,report.csv" {
		t.Errorf("listing: %s", got)
	}
	for what, err := range map[string]error{
		"upload":     send(c, "/out/x", nil),
		"mkdir":      c.Mkdir("/out/x"),
		"rename":     c.Rename("/out/report.csv", "/in/x"),
		"mkdir top":  c.Mkdir("/x"),
		"remove dir": c.RemoveDirectory("/in"),
		"rename dir": c.Rename("/in", "/x"),
		"upload top": send(c, "/x", nil),
		"symlink":    c.Symlink("/in/a", "/in/b"),
		"hard link":  c.Link("/out/report.csv", "/in/b"),
		"chown":      c.Chown("/out/report.csv", 0, 0),
		"beyond":     send(c, "/../etc/x", nil),
	} {
		if err == nil {
			t.Errorf("%s was allowed", what)
		}
	}
	r.must(c.Chmod("/out/report.csv", 0o777))
	for range 2 { // told once
		f, err := c.Open("/out/report.csv")
		r.must(err)
		got, err := io.ReadAll(f)
		if err != nil || string(got) != string(pattern(100_000)) {
			t.Errorf("download: %d bytes, %v", len(got), err)
		}
		r.must(f.Close())
	}
	f, err := c.Open("/out/report.csv")
	r.must(err)
	_, err = f.Read(make([]byte, 10))
	r.must(errors.Join(err, f.Close()))
	if n := r.noted("picked up"); n != 1 {
		t.Errorf("picked up is noted %d times", n)
	}
	r.must(c.Remove("/out/report.csv"))
	if got := names(c, "/out"); got != "" {
		t.Errorf("listing: %s", got)
	}
}

type strict struct{}

func (strict) Admit(_ context.Context, a ledger.Arrival, head []byte) error {
	if !strings.HasPrefix(string(head), "0;line") {
		return errors.New("column line is missing in line 1")
	}
	return nil
}

func TestAHeadThatIsNotTheFormatIsRefusedAtClose(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *FilesOptions) { o.Admit = strict{} })
	c, _ := r.dial()
	r.must(send(c, "/in/good.csv", pattern(100)))
	for _, size := range []int{100, 100_000} {
		r.refuses("bad", send(c, "/in/bad.csv", pattern(size + 20)[20:]), "column line is missing")
		r.must(send(c, "/in/bad.csv.part", pattern(size + 20)[20:]))
		r.refuses("rename", c.Rename("/in/bad.csv.part", "/in/bad.csv"), "column line is missing")
		r.must(c.Remove("/in/bad.csv.part"))
	}
	list := r.entries()
	if len(list) != 5 || list[0].State != ledger.Rejected || list[0].Reason != ledger.RefusedBecause+"column line is missing in line 1" {
		t.Errorf("entries %+v", list)
	}
	if got := names(c, "/in"); got != "good.csv" {
		t.Errorf("listing: %s", got)
	}
}

func TestADuplicateThatIsRejectedIsRefusedAtClose(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ledger.SetRouter(routes{{Job: "orders", Actions: map[ledger.Verdict]ledger.Action{ledger.Redelivery: ledger.ToReject}}})
	c, _ := r.dial()
	r.must(send(c, "/in/a.csv", pattern(100)))
	r.refuses("again", send(c, "/in/a.csv", pattern(100)), "same name and bytes as #1")
}

func TestUnfinishedUploadsExpire(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var mu sync.Mutex
	r := newRig(t, func(o *FilesOptions) { o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now } })
	c, cut := r.dial()
	f, err := c.Create("/in/broken.csv")
	r.must(err)
	_, err = f.Write(pattern(100))
	r.must(err)
	r.must(c.Mkdir("/in/sub"))
	r.must(send(c, "/in/sub/whole.part", pattern(100)))
	r.must(c.Chtimes("/in/sub/whole.part", time.Unix(0, 0), time.Unix(0, 0))) // says nothing of when it came
	cut()
	accounts := []*Account{&r.account}
	if n, err := r.files.Sweep(t.Context(), accounts); n != 0 || err != nil {
		t.Errorf("swept %d at once, %v", n, err)
	}
	list, err := SumUp(t.Context(), r.files.Folder, []*Account{{Name: "nobody"}, &r.account})
	if err != nil || len(list) != 1 || list[0].Partner != "acme" || list[0].Count != 2 || list[0].Bytes != 200 || time.Since(list[0].Oldest) > time.Minute {
		t.Errorf("summed up %+v, %v", list, err)
	}
	r.must(EachPart(t.Context(), r.files.Folder, &r.account, func(p Part) {
		if whole := p.Path == "in/sub/whole.part"; p.Whole != whole || p.Size != 100 || !p.Expires().Equal(p.Changed.Add(partAge)) {
			t.Errorf("part %+v", p)
		}
	}))
	mu.Lock()
	now = now.Add(partAge + time.Minute)
	mu.Unlock()
	if n, err := r.files.Sweep(t.Context(), accounts); n != 2 || err != nil {
		t.Errorf("swept %d after a day, %v", n, err)
	}
	if n := r.noted("upload expired"); n != 2 {
		t.Errorf("%d notes", n)
	}
}

func TestFilesThatAreDoneLeaveTheDropFolder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, cut := r.dial()
	r.must(send(c, "/in/a.csv", pattern(100)))
	r.must(send(c, "/in/a.csv", pattern(100))) // a duplicate needs nothing more
	list, err := r.ledger.Claim(t.Context(), "orders", 1)
	r.must(err)
	if got := names(c, "/in"); got != "a.csv" {
		t.Errorf("listing: %s", got)
	}
	r.must(r.ledger.Cancel(t.Context(), list[0].ID, "op"))
	done, err := r.ledger.Closable(t.Context(), "partners", 10)
	r.must(err)
	for _, f := range done {
		r.must(r.ledger.Closed(t.Context(), []ledger.ClosedFile{{ID: f.File.ID}}))
	}
	if got := names(c, "/in"); got != "" {
		t.Errorf("listing: %s", got)
	}
	// Who sent it may still look for it, as many programs do after CLOSE; another session may not.
	if info, err := c.Stat("/in/a.csv"); err != nil || info.Size() != 100 {
		t.Errorf("stat: %v, %v", info, err)
	}
	cut()
	c, _ = r.dial()
	if _, err := c.Stat("/in/a.csv"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
}

func TestTrialsStandApart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, _ := r.dial()
	r.must(send(c, "/test/a.csv", pattern(100)))
	if got := names(c, "/in") + "," + names(c, "/test"); got != ",a.csv" {
		t.Errorf("listing: %s", got)
	}
	r.must(send(c, "/in/a.csv", pattern(100)))
	list := r.entries()
	if len(list) != 2 || list[0].Trial || !list[1].Trial || list[0].State != ledger.Received || list[0].Partner != "acme" {
		t.Errorf("entries %+v", list)
	}
	r.must(c.Remove("/test/a.csv"))
	if got := names(c, "/in") + "," + names(c, "/test"); got != "a.csv," {
		t.Errorf("listing: %s", got)
	}
}
