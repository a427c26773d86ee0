package sftpd

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"waybill/ledger"
	"waybill/watcher/wire"
)

// full is a disk that has no room while it says so.
func (r *rig) full(yes bool) {
	r.ledger.SetRoom(func(int64) error {
		if yes {
			return fmt.Errorf("intake is paused (%w)", ledger.ErrFull)
		}
		return nil
	})
}

// One partner's upload must not take the room that the ledger needs to say anything to anybody.
func TestAnUploadEndsBeforeTheDiskIsFull(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, _ := r.dial()
	f, err := c.Create("/in/big.csv")
	r.must(err)
	_, err = f.Write(pattern(200_000))
	r.must(err)
	r.full(true)
	_, err = f.Write(pattern(10))
	r.refuses("write", err, "no room at the moment")
	r.refuses("close", f.Close(), "no room at the moment")
	r.refuses("mkdir", c.Mkdir("/in/folder"), "no room at the moment")
	r.full(false)
	if _, err := os.Stat(filepath.Join(r.data, "mailboxes", "acme", "in", "big.csv")); !os.IsNotExist(err) {
		t.Errorf("what was sent takes room still: %v", err)
	}
}

// The CLOSE of the temporary name was answered OK: the file must have one of its names whatever comes.
func TestARenameThatFindsNoRoomLeavesTheFile(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 200_000} {
		r := newRig(t)
		c, _ := r.dial()
		r.must(send(c, "/in/a.csv.part", pattern(n)))
		r.full(true)
		r.refuses("rename", c.Rename("/in/a.csv.part", "/in/a.csv"), "no room at the moment")
		r.full(false)
		r.must(c.Rename("/in/a.csv.part", "/in/a.csv"))
		if got, _ := r.content("acme/a.csv"); got != string(pattern(n)) {
			t.Errorf("%d bytes: %d landed", n, len(got))
		}
		if _, err := os.Stat(filepath.Join(r.data, "mailboxes", "acme", "in", "a.csv.part")); !os.IsNotExist(err) {
			t.Errorf("%d bytes: the temporary name is there still: %v", n, err)
		}
	}
}

// The size of a file is changed by one connection while another has it land: either comes first, and what lands is what was digested.
func TestASizeIsNotChangedUnderALanding(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one, _ := r.dial()
	other, _ := r.dial()
	for i := range 60 {
		name := fmt.Sprintf("/in/%d.csv", i)
		body := append(pattern(150_000), byte(i))
		r.must(send(one, name+".part", body))
		var wg sync.WaitGroup
		wg.Go(func() { _ = other.Truncate(name+".part", 100_000) }) // either may lose
		wg.Go(func() { _ = one.Rename(name+".part", name) })
		wg.Wait()
	}
	for _, e := range r.entries() {
		f, err := r.ledger.FileOf(t.Context(), e.ID)
		r.must(err)
		b, err := r.read(f.Object)
		if sum := sha256.Sum256(b); err != nil || !bytes.Equal(sum[:], f.Digest) {
			t.Errorf("%s: %d bytes are not those of the digest: %v", e.Name, len(b), err)
		}
	}
}

func TestSmallUploadsGoToFilesWhenThereIsMuchInMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.files.memory.Store(maxMemory - 1000)
	c, _ := r.dial()
	for i, n := range []int{900, 1001, 2000} {
		f, err := c.Create(fmt.Sprintf("/in/%d.csv", i))
		r.must(err)
		_, err = f.Write(pattern(n))
		r.must(err)
		if i == 1 {
			r.must(f.Truncate(5000))
			r.must(f.Truncate(int64(n)))
		}
		_, err = os.Stat(filepath.Join(r.data, "mailboxes", "acme", "in", fmt.Sprint(i, ".csv")))
		if onDisk := err == nil; onDisk != (n > 1000) {
			t.Errorf("%d bytes: on disk %v", n, onDisk)
		}
		r.must(f.Close())
		if got, _ := r.content(fmt.Sprintf("acme/%d.csv", i)); got != string(pattern(n)) {
			t.Errorf("%d bytes: %d landed", n, len(got))
		}
	}
	if n := r.files.memory.Load(); n != maxMemory-1000 {
		t.Errorf("%d bytes are counted after the last upload", n-(maxMemory-1000))
	}
}

func TestHandlesOfAllSessionsOfAPartner(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var last func()
	for range maxBoxed / maxHandles {
		c, cut := r.dial()
		last = cut
		for range maxHandles {
			_, err := c.Open("/in") // for reading; a folder is none
			r.refuses("open", err, "it is a folder")
			_, err = c.Create("/in/same.csv")
			r.must(err)
		}
	}
	c, _ := r.dial()
	_, err := c.Create("/in/one.csv")
	r.refuses("one more", err, "open already in all sessions")
	last()
	r.must(send(c, "/in/one.csv", pattern(1)))
}

func TestAnUploadThatLosesItsNameWhileItIsKeptLeavesNothingAside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	b, err := r.files.enter(t.Context(), s.Account)
	r.must(err)
	defer func() { r.must(r.files.leave(b)) }()
	at, err := s.Account.file("/in/a.part", Drop)
	r.must(err)
	u, err := b.open(t.Context(), &s, at, 0x1a)
	r.must(err)
	r.must(u.write(t.Context(), pattern(100_000), 0))
	b.mu.Lock()
	r.must(b.displace(u)) // as another does that begins under the name while this one is synced
	b.mu.Unlock()
	u.release()
	list, err := os.ReadDir(r.files.aside())
	if err != nil || len(list) > 0 {
		t.Errorf("aside lie %v, %v", list, err)
	}
	if b.quota.Files != 0 || b.quota.Bytes != 0 {
		t.Errorf("counted are %+v", b.quota.Use)
	}
}

func TestFoldersCountAsFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.account.Quota = Quota{Files: 3}
	c, cut := r.dial()
	r.must(c.Mkdir("/in/a"))
	r.must(c.Mkdir("/in/a/b"))
	r.must(c.Mkdir("/in/c"))
	r.refuses("a fourth", c.Mkdir("/in/d"), "may hold 3 files")
	cut()
	c, _ = r.dial() // counted anew
	r.refuses("a fourth", c.Mkdir("/in/d"), "may hold 3 files")
	r.must(c.RemoveDirectory("/in/a/b"))
	r.must(c.Mkdir("/in/d"))
}

// What appears in a folder to pick up from was never counted: taking it away must not make room for more than there is.
func TestTakingAwayDoesNotStretchTheQuota(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.account.Quota = Quota{Bytes: 10_000}
	c, _ := r.dial()
	r.must(send(c, "/in/a.csv", pattern(100)))
	for i := range 3 {
		out := filepath.Join(r.data, "mailboxes", "acme", "out", fmt.Sprint(i, ".json"))
		r.must(os.WriteFile(out, pattern(9_000), 0o600))
		r.must(c.Remove(fmt.Sprintf("/out/%d.json", i)))
	}
	r.refuses("12,000 bytes", send(c, "/in/b.csv", pattern(12_000)), "may hold 10000 bytes")
	r.must(send(c, "/in/c.csv", pattern(9_000)))
}

// Whoever is killed right after it was made leaves a file that no rename can land.
func TestANewFileIsNotAWholeOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	b, err := r.files.enter(t.Context(), s.Account)
	r.must(err)
	defer func() { r.must(r.files.leave(b)) }()
	for _, held := range []bool{true, false} {
		f, err := b.place(&upload{box: b, lies: "in/a.part", held: held})
		r.must(err)
		m, err := metaOf(f)
		if err != nil || m.isWhole() {
			t.Errorf("held %v: mode %o is that of a whole file, %v", held, m.mode, err)
		}
		r.must(f.Close())
	}
}

// A session that has no upload in progress may be ended at a reload: it has one until the answer to CLOSE is sent.
func TestAnUploadIsInProgressUntilItsSenderIsAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	near, far := pipe()
	s := r.session()
	served := make(chan error, 1)
	go func() { served <- r.files.Serve(t.Context(), s, far) }()
	packet := func(b string) {
		t.Helper()
		_, err := near.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
		r.must(err)
	}
	answer := func() {
		t.Helper()
		var head [4]byte
		_, err := io.ReadFull(near, head[:])
		r.must(err)
		_, err = io.CopyN(io.Discard, near, int64(binary.BigEndian.Uint32(head[:])))
		r.must(err)
	}
	const id, handle = "\x00\x00\x00\x07", "\x00\x00\x00\x04\x00\x00\x00\x01"
	packet("\x01\x00\x00\x00\x03")
	answer()
	packet("\x03" + id + "\x00\x00\x00\x08in/a.csv" + "\x00\x00\x00\x1a" + "\x00\x00\x00\x00")
	answer()
	packet("\x06" + id + handle + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x01x")
	answer()
	packet("\x04" + id + handle)
	for len(r.entries()) == 0 { // it lands soon
	}
	for range 20 {
		r.entries()
	}
	if !r.files.Uploading(s.ID) {
		t.Error("the session may be ended before its client has heard that the file has landed")
	}
	answer()
	r.must(near.Close())
	if err := <-served; err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// only is a router that takes some names.
type only string

func (o only) Route(a ledger.Arrival) []ledger.Policy {
	if strings.HasPrefix(a.Within(), string(o)) {
		return []ledger.Policy{{Job: "orders"}}
	}
	return nil
}

func TestWhatNoJobTakesIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ledger.SetRouter(only("orders_"))
	r.account.Folders[0].Names = []string{"orders_*.csv", "orders_*.xml"}
	c, cut := r.dial()
	const why = "no job takes a file of this name: it is to be like orders_*.csv, orders_*.xml"
	r.refuses("close", send(c, "/in/order.csv", pattern(10)), why)
	r.refuses("close, large", send(c, "/in/order.csv", pattern(200_000)), why)
	r.refuses("trial", send(c, "/test/order.csv", pattern(10)), "no job takes a file of this name")
	r.must(send(c, "/in/order.part", pattern(10)))
	r.refuses("rename", c.Rename("/in/order.part", "/in/order.csv"), why)
	r.must(c.Rename("/in/order.part", "/in/orders_1.csv")) // it is there still
	steps, err := r.ledger.Why(t.Context(), "acme/order.csv")
	if err != nil || len(steps) == 0 || !strings.Contains(steps[0].File.Reason, why) {
		t.Errorf("the ledger says %+v, %v", steps, err)
	}
	if _, err := c.Stat("/in/order.csv"); !os.IsNotExist(err) {
		t.Errorf("it is shown: %v", err)
	}
	cut()
	r.account.Folders[0].Keep = true
	c, _ = r.dial()
	r.must(send(c, "/in/order.csv", pattern(10)))
	if info, err := c.Stat("/in/order.csv"); err != nil || info.Size() != 10 {
		t.Errorf("what is kept is shown: %v, %v", info, err)
	}
}

// What cannot be kept does not count: a folder that is gone when CLOSE comes leaves nothing in the quota.
func TestAnUploadThatCannotBeKeptTakesNoRoom(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.account.Quota = Quota{Bytes: 1 << 20, Files: 10}
	c, _ := r.dial()
	r.must(c.Mkdir("/in/deep"))
	f, err := c.Create("/in/deep/a.csv.part")
	r.must(err)
	_, err = f.Write(pattern(1000))
	r.must(err)
	r.must(os.Remove(filepath.Join(r.data, "mailboxes", "acme", "in", "deep")))
	r.refuses("close", f.Close(), "not exist")
	r.files.mu.Lock()
	box := r.files.boxes["acme"]
	r.files.mu.Unlock()
	box.mu.Lock()
	defer box.mu.Unlock()
	if box.quota.Bytes != 0 || box.quota.Files != 1 || len(box.all) > 0 { // the folder was counted, and will be until the next count
		t.Errorf("%+v, in progress: %d", box.quota.Use, len(box.all))
	}
	if n := r.files.memory.Load(); n != 0 {
		t.Errorf("%d bytes are held in memory", n)
	}
}

// Who has as many handles as he may opens nothing by asking for more.
func TestFoldersBeyondTheHandlesAreNotOpened(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	asks := packet(wire.Init, 3)
	for id := range 2000 {
		asks = append(asks, packet(wire.Opendir, id, "/in")...)
	}
	most := 0
	near := &watching{Reader: bytes.NewReader(asks), at: len(asks) - 1, look: func() {
		list, err := os.ReadDir("/proc/self/fd")
		r.must(err)
		for _, e := range list {
			if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, filepath.Join(r.data, "mailboxes", "acme", "in")) {
				most++
			}
		}
	}}
	r.must(r.files.Serve(t.Context(), r.session(), near))
	if most == 0 || most > maxHandles {
		t.Errorf("%d folders were open", most)
	}
}

// watching looks when so many bytes were read.
type watching struct {
	*bytes.Reader
	at   int
	look func()
}

func (w *watching) Read(p []byte) (int, error) {
	if left := w.at - int(w.Size()) + w.Len(); left > 0 {
		p = p[:min(len(p), left)]
	} else if w.look != nil {
		w.look()
		w.look = nil
	}
	return w.Reader.Read(p)
}

func (w *watching) Write(p []byte) (int, error) { return len(p), nil }
func (w *watching) Close() error                { return nil }

// Many large uploads that a byte is added to are digested a few at a time; other partners' are not held up. What is only opened is not digested.
func TestOnePartnersUploadsAreDigestedAFewAtATime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	large := pattern(3 << 20)
	c, cut := r.dial()
	f, err := c.Create("/in/a.csv")
	r.must(err)
	_, err = f.Write(large)
	r.must(err)
	cut()
	again, _ := r.dial()
	f, err = again.OpenFile("/in/a.csv", os.O_WRONLY|os.O_APPEND)
	r.must(err)
	r.files.mu.Lock()
	box := r.files.boxes["acme"]
	r.files.mu.Unlock()
	for range hashingAtOnce { // others of his
		box.hashing <- struct{}{}
	}
	box.mu.Lock()
	for u := range box.all {
		u.digest.mu.Lock()
		if u.digest.goal != 0 {
			t.Errorf("%d bytes are digested before anything was added", u.digest.goal)
		}
		u.digest.mu.Unlock()
	}
	box.mu.Unlock()
	_, err = f.Write([]byte("x"))
	r.must(err)
	closed := make(chan error, 1)
	go func() { closed <- f.Close() }()
	other, served := r.as(t.Context(), "other")
	r.must(send(other, "/in/b.csv", large))
	r.must(other.Close())
	<-served
	select {
	case err := <-closed:
		t.Fatalf("it was digested beside as many as may be: %v", err)
	default:
	}
	for range hashingAtOnce {
		<-box.hashing
	}
	r.must(<-closed)
	if got, _ := r.content("acme/a.csv"); got != string(large)+"x" {
		t.Errorf("%d bytes landed", len(got))
	}
}
