package jobs

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/ledger"
	"waybill/outbox"
)

const zippedLines = `
receive: {source: in, files: "*.zip"}
unpack: zip
read: {format: csv, delimiter: ";", fields: {no: {required: true}, qty: {type: integer, required: true}}}
send: [{to: erp, path: "/orders/{file.parent}/{file.folder}/{file.name}", key: =no, body: {no: =no, qty: =qty, of: =file.name}}]
`

const tarredFiles = `
receive: {source: in, files: "*.tar.gz"}
unpack: [gzip, tar]
members: ["*.csv"]
read: none
send: [{to: files, each: file, name: "{file.stem}-{file.size}"}]
`

// zipOf makes an archive of names and texts in turn.
func zipOf(t testing.TB, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: parts[i], Method: zip.Deflate, Modified: time.Unix(1_700_000_000, 0)})
		if err == nil {
			_, err = w.Write([]byte(parts[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func tarOf(t testing.TB, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		err := w.WriteHeader(&tar.Header{Name: parts[i], Mode: 0o644, Size: int64(len(parts[i+1]))})
		if err == nil {
			_, err = w.Write([]byte(parts[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// members are the members of an archive, by name.
func (p *plant) members(id int64) map[string]ledger.Entry {
	p.t.Helper()
	list, err := p.ledger.Members(context.Background(), p.entry(id))
	p.must(err)
	all := map[string]ledger.Entry{}
	for _, m := range list {
		all[m.Name] = m
	}
	return all
}

// states are the states of the members of an archive.
func (p *plant) states(id int64) string {
	p.t.Helper()
	var list []string
	for name, m := range p.members(id) {
		list = append(list, fmt.Sprintf("%s %s", name, m.State))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func TestEachMemberOfAnArchiveIsAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines)
	p.run()
	id := p.land1("sub/day.zip", zipOf(t, "a.csv", orderLines(1, 2), "deep/b.csv", orderLines(3, 3), "deep/", ""))
	e := p.await(id, ledger.Delivered)
	if e.Reason != "" || e.Messages != 0 {
		t.Errorf("%+v", e)
	}
	if got := p.states(id); got != "sub/day.zip/a.csv delivered, sub/day.zip/deep/b.csv delivered" {
		t.Error(got)
	}
	got := p.erp.bodies()
	slices.Sort(got)
	if s := strings.Join(got, ""); s != `{"no":"A-1","qty":1,"of":"a.csv"}{"no":"A-2","qty":2,"of":"a.csv"}{"no":"A-3","qty":3,"of":"b.csv"}` {
		t.Error(s)
	}
	var paths []string
	for _, m := range p.erp.got {
		paths = append(paths, m.Header(":path"))
	}
	slices.Sort(paths)
	if s := strings.Join(slices.Compact(paths), " "); s != "/orders/day.zip/sub%2Fdeep/b.csv /orders/day.zip/sub/a.csv" {
		t.Error(s)
	}
	p.is(1, `SELECT count(*) FROM files WHERE state = 'closable' AND reason = 'done' AND parent IS NULL`)
	p.is(2, `SELECT count(*) FROM files WHERE state = 'closed' AND parent = ?`, id)
	for name, m := range p.members(id) {
		f, err := p.ledger.FileOf(t.Context(), m.ID)
		if err != nil || f.Parent != id || f.Archive()+"/"+f.Member != name || f.ModTime.Unix() != 1_700_000_000 {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func TestAMemberThatIsBadDoesNotKeepTheOthers(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines)
	p.run()
	text := zipOf(t, "a.csv", orderLines(1, 2), "bad.csv", "no;qty\nX;many\n")
	id := p.land1("day.zip", text)
	e := p.await(id, ledger.Delivered)
	if e.Reason != "of its members, 2 in all, 1 rejected" || e.Identity != "" {
		t.Errorf("%q, %q", e.Reason, e.Identity)
	}
	p.is(1, `SELECT count(*) FROM files WHERE state = 'closable' AND reason = 'failed'`)
	list, err := p.ledger.Closable(t.Context(), "in", 10)
	p.must(err)
	report, err := list[0].Report(t.Context())
	if err != nil || !strings.Contains(string(report), `"member": "bad.csv"`) || !strings.Contains(string(report), "qty") {
		t.Errorf("%s, %v", report, err)
	}
	// The same once more: what was taken stays taken, what was not is tried again.
	again := p.land1("day.zip", text)
	p.await(again, ledger.Delivered)
	if got := p.states(again); got != "day.zip/a.csv duplicate, day.zip/bad.csv rejected" {
		t.Error(got)
	}
	if n := len(p.erp.bodies()); n != 2 {
		t.Errorf("%d messages", n)
	}
}

func TestAnArchiveIsKnownAgain(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines)
	p.run()
	a, b := orderLines(1, 2), orderLines(3, 4)
	first := p.land1("day.zip", zipOf(t, "a.csv", a, "b.csv", b))
	p.await(first, ledger.Delivered)
	if e := p.entry(p.land1("day.zip", zipOf(t, "a.csv", a, "b.csv", b))); e.State != ledger.Duplicate {
		t.Errorf("the same: %+v", e)
	}
	// Packed anew: its members are the same.
	anew := p.land1("day.zip", zipOf(t, "b.csv", b, "a.csv", a))
	p.await(anew, ledger.Delivered)
	if got := p.states(anew); got != "day.zip/a.csv duplicate, day.zip/b.csv duplicate" {
		t.Error(got)
	}
	other := p.land1("other.zip", zipOf(t, "a.csv", a, "c.csv", orderLines(5, 5)))
	p.until(func() bool { return p.states(other) == "other.zip/a.csv held, other.zip/c.csv delivered" }, func() string { return p.states(other) })
	if e := p.entry(other); e.State != ledger.Accepted {
		t.Errorf("%s while a member is held", e.State)
	}
	p.must(p.ledger.Cancel(t.Context(), p.members(other)["other.zip/a.csv"].ID, "ann"))
	if e := p.await(other, ledger.Delivered); e.Reason != "of its members, 2 in all, 1 cancelled" {
		t.Error(e.Reason)
	}
	if n := len(p.erp.bodies()); n != 5 {
		t.Errorf("%d messages", n)
	}
}

func TestAnArchiveThatIsBadIsRejectedWhole(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines, "files", tarredFiles)
	good := zipOf(t, "a.csv", orderLines(1, 2_000), "b.csv", orderLines(3, 4))
	broken := []byte(good)
	broken[len("PK....")+100] ^= 0xFF
	for name, c := range map[string]struct{ file, text, want string }{
		"zip slip": {"x.zip", zipOf(t, "a.csv", orderLines(1, 1), "../../evil.csv", "x"), `the entry "../../evil.csv" has a name that leads out of the archive`},
		"damaged":  {"x.zip", string(broken), "damaged"},
		"cut off":  {"x.zip", good[:len(good)-30], "damaged or cut off"},
		"no zip":   {"x.zip", "no;qty\n", "the file is not a zip archive"},
		"no file":  {"x.zip", zipOf(t), "there is no file in the archive"},
		"not them": {"x.tar.gz", packed(tarOf(t, "read.me", "x")), "the job takes none of the 1 file in the archive (members)"},
		"tar cut":  {"x.tar.gz", packed(tarOf(t, "a.csv", "x")[:1024]), "truncated: the archive has no end"},
	} {
		id := p.land1(name+c.file, c.text)
		e := p.work(id)
		if e.State != ledger.Rejected || !strings.Contains(e.Reason, c.want) || len(p.members(id)) != 0 {
			t.Errorf("%s: %s, %q, members %s", name, e.State, e.Reason, p.states(id))
		}
	}
	p.is(0, `SELECT count(*) FROM files WHERE parent IS NOT NULL`)
	p.is(7, `SELECT count(*) FROM objects`)
}

func TestMembersPassThroughUntouched(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "files", tarredFiles)
	p.run()
	long := strings.Repeat("x;y\n", 50_000)
	id := p.land1("x.tar.gz", packed(tarOf(t, "long.csv", long, "read.me", "please", "sub/short.csv", "1")))
	p.await(id, ledger.Delivered)
	got := map[string]string{}
	for _, m := range p.erp.got {
		got[m.Header(":name")] = string(m.Body)
	}
	if len(got) != 2 || got["long-200000"] != long || got["short-1"] != "1" {
		t.Errorf("%d files: %.100q", len(got), fmt.Sprint(got))
	}
	events, err := p.ledger.History(t.Context(), id)
	p.must(err)
	if s := fmt.Sprint(events); !strings.Contains(s, "unpacked") || !strings.Contains(s, "passed_over:1") {
		t.Error(s)
	}
}

func TestReplaysOfArchivesAndMembers(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines)
	refused := true
	p.erp.refuse = func(m *outbox.Message) error {
		if refused && strings.Contains(string(m.Body), "A-3") {
			return outbox.Refused(fmt.Errorf("no"))
		}
		return nil
	}
	p.run()
	id := p.land1("day.zip", zipOf(t, "a.csv", orderLines(1, 2), "b.csv", orderLines(3, 3), "bad.csv", "no;qty\nX;many\n"))
	e := p.await(id, ledger.Failed)
	if e.Dead != 1 || e.Reason != "of its members, 3 in all, 1 rejected, 1 failed" {
		t.Errorf("%+v", e)
	}
	p.erp.mu.Lock()
	refused = false
	p.erp.mu.Unlock()
	first := p.erp.keys()
	b, err := p.ledger.Replay(t.Context(), p.members(id)["day.zip/b.csv"].ID, "ann", false)
	p.must(err)
	p.await(b.ID, ledger.Delivered)
	if e := p.await(id, ledger.Delivered); e.Reason != "of its members, 3 in all, 1 rejected" {
		t.Error(e.Reason)
	}
	again, err := p.ledger.Replay(t.Context(), id, "ann", false)
	p.must(err)
	if again.State != ledger.Accepted || again.Run != 2 {
		t.Errorf("%+v", again)
	}
	p.await(again.ID, ledger.Delivered)
	if got := p.states(id); got != "day.zip/a.csv delivered, day.zip/b.csv delivered, day.zip/bad.csv rejected" {
		t.Error(got)
	}
	keys := p.erp.keys()
	if len(first) != 2 || len(keys) != 6 {
		t.Errorf("%d, then %d messages", len(first), len(keys))
	}
	slices.Sort(keys)
	if n := len(slices.Compact(keys)); n != 3 {
		t.Errorf("%d keys of 3 messages", n)
	}
}

func TestAnArchiveOnItsWayIsNotReplayed(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines)
	id := p.land1("day.zip", zipOf(t, "a.csv", orderLines(1, 2)))
	p.work(id)
	for _, of := range []int64{id, p.members(id)["day.zip/a.csv"].ID} {
		if _, err := p.ledger.Replay(t.Context(), of, "ann", false); err == nil {
			t.Errorf("#%d is replayed while it is %s", of, p.entry(of).State)
		}
	}
	p.run()
	p.await(id, ledger.Delivered)
	anew, err := p.ledger.Replay(t.Context(), id, "ann", true)
	p.must(err)
	p.await(anew.ID, ledger.Delivered)
	if keys := p.erp.keys(); len(keys) != 4 || keys[0] == keys[2] {
		t.Errorf("rendered anew: %q", keys)
	}
}

func TestAnArchiveThatCouldNotBeReadIsReplayed(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", strings.Replace(zippedLines, "unpack: zip", "unpack: zip\nmembers: none.csv", 1))
	id := p.land1("day.zip", zipOf(t, "a.csv", orderLines(1, 2)))
	if e := p.work(id); e.State != ledger.Rejected {
		t.Fatalf("%+v", e)
	}
	p.worker.SetJobs(p.set("orders", zippedLines))
	e, err := p.ledger.Replay(t.Context(), id, "ann", false)
	p.must(err)
	p.run()
	p.await(e.ID, ledger.Delivered)
	if got := p.states(id); got != "day.zip/a.csv delivered" {
		t.Error(got)
	}
	if n := len(p.erp.bodies()); n != 2 {
		t.Errorf("%d messages", n)
	}
}

func TestWhatAPersonLetThroughIsNotHeldMemberByMember(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines+"\napprove: true\n")
	p.run()
	id := p.land1("day.zip", zipOf(t, "a.csv", orderLines(1, 2)))
	p.must(p.ledger.Approve(t.Context(), id, "ann"))
	p.await(id, ledger.Delivered)
	other := p.land1("copy.zip", zipOf(t, "a.csv", orderLines(1, 2)))
	if e := p.entry(other); e.State != ledger.Held {
		t.Fatalf("%+v", e)
	}
	p.must(p.ledger.Approve(t.Context(), other, "ann"))
	p.await(other, ledger.Delivered)
	keys := p.erp.keys()
	if n := len(keys); n != 4 {
		t.Errorf("%d messages", n)
	}
}

func TestTheSenderOfAnArchiveIsToldOfItAndOfEachMember(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines+`
acknowledge:
  - {after: [accepted, rejected, held, duplicate], to: sender, folder: out, name: "{file.stem}.{entry.number}.ack.json"}
`)
	p.run()
	text := zipOf(t, "a.csv", orderLines(1, 2), "bad.csv", "no;qty\nX;many\n")
	id := p.drop("acme", "day.zip", text)
	p.await(id, ledger.Delivered)
	a := p.ack(id)
	if a.State != ledger.Accepted || a.File.Name != "day.zip" || len(a.Members) != 2 || a.Text != "day.zip was unpacked: 2 files, each of which is acknowledged by itself." {
		t.Errorf("%+v", a)
	}
	_, names := p.acks(a.Members[0].Entry, 1)
	m, bad := p.ack(a.Members[0].Entry), p.ack(a.Members[1].Entry)
	if m.State != ledger.Accepted || m.File.Name != "a.csv" || m.File.Archive != "day.zip" || m.Counts.Records != 2 || names[0] != fmt.Sprintf("acme/out/a.%d.ack.json", m.Entry) {
		t.Errorf("%+v as %s", m, names)
	}
	if bad.State != ledger.Rejected || bad.File.Name != "bad.csv" || len(bad.Rejects) != 1 || !strings.HasPrefix(bad.Text, "bad.csv (in day.zip) was rejected") {
		t.Errorf("%+v", bad)
	}
	trial := p.dropped("acme", "try.zip", zipOf(t, "a.csv", orderLines(1, 2)), true)
	p.await(trial, ledger.Delivered)
	if a := p.ack(trial); !a.Test || len(a.Members) != 1 || !p.ack(a.Members[0].Entry).Test {
		t.Errorf("%+v", a)
	}
	if n := len(p.erp.bodies()); n != 2 {
		t.Errorf("%d messages", n)
	}
	drop := ledger.Mailbox{Source: "in", Partner: "acme"}
	if list, err := p.ledger.Dropped(t.Context(), drop, "", "", 10); err != nil || len(list) != 1 || list[0].Within() != "day.zip" {
		t.Errorf("the drop folder shows %+v, %v", list, err)
	}
	if use, err := p.ledger.Use(t.Context(), drop, ""); err != nil || use.Files != 1 || use.Bytes != int64(len(text)) {
		t.Errorf("%+v, %v", use, err)
	}
}

func TestManyMembersLandInOneTransaction(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines)
	var parts []string
	for i := range 1000 {
		parts = append(parts, fmt.Sprintf("%d.csv", i), orderLines(i, i)+strings.Repeat(" \n", 5_000))
	}
	id := p.land1("day.zip", zipOf(t, parts...))
	if e := p.work(id); e.State != ledger.Accepted || len(p.members(id)) != 1000 {
		t.Fatalf("%s (%s), %d members", e.State, e.Reason, len(p.members(id)))
	}
	inline := p.count(`SELECT sum(length(bytes)) FROM objects WHERE name IS NULL`)
	apart := p.count(`SELECT count(*) FROM objects WHERE name IS NOT NULL`)
	if inline > membersInline+(1<<20) || apart < 100 {
		t.Errorf("%d bytes were held in memory, %d members in files", inline, apart)
	}
	parts = append(parts, "one-more.csv", "x")
	if e := p.work(p.land1("more.zip", zipOf(t, parts...))); e.State != ledger.Rejected || !strings.Contains(e.Reason, "more than 1000 entries") {
		t.Errorf("%s, %s", e.State, e.Reason)
	}
}

func TestArchivesAreTried(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines)
	plan := p.worker.Jobs().Plan("orders")
	try := func(text string) Trial {
		in := Input{File: ledger.File{Path: "day.zip", Source: "in"}, Entry: ledger.Entry{Name: "day.zip"}}
		in.Blob.Name, in.Blob.Reader, in.Blob.ReaderAt, in.Blob.Size = "day.zip", strings.NewReader(text), strings.NewReader(text), int64(len(text))
		got, err := plan.Try(t.Context(), in, 3)
		p.must(err)
		return got
	}
	got := try(zipOf(t, "a.csv", orderLines(1, 2), "b.csv", orderLines(3, 9), "bad.csv", "no;qty\nX;many\n"))
	if got.State != ledger.Accepted || got.Messages != 9 || len(got.Shown) != 3 || got.Rejected != 1 || !strings.HasPrefix(got.Rejects[0].Reason, "bad.csv: ") {
		t.Errorf("%+v", got)
	}
	if s := strings.Join(got.Findings, "; "); !strings.Contains(s, "a.csv: accepted, 2 records; b.csv: accepted, 7 records") {
		t.Error(s)
	}
	if got := try("PK\x03\x04"); got.State != ledger.Rejected || !strings.Contains(got.Reason, "zip: the archive is damaged") {
		t.Errorf("%+v", got)
	}
}

func TestMembersOfTheConfiguration(t *testing.T) {
	t.Parallel()
	for job, want := range map[string]string{
		lines + "members: a.csv\n":                                            "members: goes with an archive: say unpack: zip or tar",
		zippedLines + "members: '{day:%Y}.csv'\n":                             "members: captures no parts of names",
		zippedLines + "members: /a\n":                                         "members[0]: \"/a\" is no pattern",
		strings.Replace(zippedLines, "zip\nread", "[zip, tar, zip]\nread", 1): "at most 2 packings",
		strings.Replace(lines, "path: /orders", "path: '/{file.parent}'", 1):  "parent",
	} {
		_, problems := Compile("orders", parseOptions(t, job), Environment{})
		if s := fmt.Sprint(problems); !strings.Contains(s, want) {
			t.Errorf("%s\n%s, want %s", job, s, want)
		}
	}
}

// The rows of members' files may outlive their entries, as bytes are kept for longer or listings have shown them; that of the archive's entry outlives those of its members by a
// pass of retention.
func TestAnArchiveWhoseMembersRetentionHasRemovedIsReplayedToItsEnd(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", zippedLines)
	p.run()
	id := p.land1("day.zip", zipOf(t, "a.csv", orderLines(1, 2), "b.csv", orderLines(3, 3)))
	p.await(id, ledger.Delivered)
	p.ahead.Add(int64(time.Hour))
	_, err := p.outbox.Prune(t.Context(), time.Minute)
	p.must(err)
	pruned, err := p.ledger.Prune(t.Context(), ledger.Retain{Entries: time.Minute})
	if p.must(err); pruned.Entries != 2 || len(p.members(id)) != 0 {
		t.Fatalf("%+v", pruned)
	}
	again, err := p.ledger.Replay(t.Context(), id, "ann", false)
	p.must(err)
	if e := p.await(again.ID, ledger.Delivered); e.Dead != 0 {
		t.Errorf("%+v", e)
	}
	if got := p.states(id); got != "day.zip/a.csv duplicate, day.zip/b.csv duplicate" {
		t.Error(got)
	}
	p.is(3, `SELECT count(*) FROM objects`)
}
