package sftpd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/watcher/wire"
)

// What clients with windows do, packet by packet: they cannot be run here.

// reply is one answer of the server.
type reply struct {
	kind byte
	body []byte // behind the id
}

// Types of answers, and what is in them.
const (
	isStatus, isHandle, isData, isName, isAttrs = 101, 102, 103, 104, 105

	has = wire.HasTimes
)

func (a reply) code() wire.Code {
	if a.kind != isStatus {
		return 999
	}
	return wire.Code(binary.BigEndian.Uint32(a.body))
}

// size is that of an answer with attributes, -1 of another one.
func (a reply) size() int64 {
	if a.kind != isAttrs || binary.BigEndian.Uint32(a.body)&wire.HasSize == 0 {
		return -1
	}
	return int64(binary.BigEndian.Uint64(a.body[4:]))
}

// next reads an answer.
func next(r io.Reader) (id uint32, a reply, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, a, err
	}
	a = reply{head[4], make([]byte, binary.BigEndian.Uint32(head[:])-5)}
	_, err = io.ReadFull(r, a.body)
	return binary.BigEndian.Uint32(head[5:]), a, err
}

// talk sends packets without waiting for an answer, and returns the answers by id.
func (r *rig) talk(packets ...[]byte) map[uint32]reply {
	r.t.Helper()
	s := &script{Reader: bytes.NewReader(slices.Concat(packets...))}
	r.must(r.files.Serve(r.t.Context(), r.session(), s))
	all := map[uint32]reply{}
	for first := true; s.got.Len() > 0; first = false {
		id, a, err := next(&s.got)
		r.must(err)
		if !first { // the version has no id
			all[id] = a
		}
	}
	return all
}

// codes checks the outcomes of requests.
func (r *rig) codes(all map[uint32]reply, want map[uint32]wire.Code) {
	r.t.Helper()
	for id, code := range want {
		if a, ok := all[id]; !ok || a.code() != code {
			r.t.Errorf("request %d: %d %d %.80q, want %d", id, a.kind, a.code(), a.body, code)
		}
	}
}

const handle1 = "\x00\x00\x00\x01" // the first of a session

// writes are the WRITEs of content from an offset on, as many as it takes, none of which waits for an answer.
func writes(id int, content []byte, from int) (b []byte) {
	for ; from < len(content); id++ {
		n := min(32<<10, len(content)-from)
		b = append(b, packet(wire.Write, id, handle1, uint64(from), string(content[from:from+n]))...)
		from += n
	}
	return b
}

// winscp is what WinSCP 5 and 6 send to upload a file with their defaults: version 6 is offered, REALPATH of "." tells the home folder, LSTAT of the
// target whether to ask before it is overwritten, LSTAT of NAME.filepart whether there is something to resume; files from 100 KiB on go to NAME.filepart, opened to be
// written, made and emptied, by as many WRITEs as fit a window; after CLOSE, SETSTAT gives it the times of the original ("preserve timestamp"); what is to be
// overwritten is REMOVEd, and RENAME gives it its name.
func winscp(name string, content []byte, mtime int, overwrites bool) (packets [][]byte) {
	part := name + ".filepart"
	packets = [][]byte{
		packet(wire.Init, 6), packet(wire.Realpath, 1, "."), packet(wire.Lstat, 2, name), packet(wire.Lstat, 3, part),
		packet(wire.Open, 4, part, wire.FlagWrite|wire.FlagCreate|wire.FlagTrunc, 0), writes(100, content, 0), packet(wire.Close, 5, handle1),
		packet(wire.Setstat, 6, part, has, mtime, mtime),
	}
	if overwrites {
		packets = append(packets, packet(wire.Remove, 7, name))
	}
	return append(packets, packet(wire.Rename, 8, part, name), packet(wire.Lstat, 9, name))
}

func TestHabitsOfWinSCP(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	content := pattern(300_000)
	const mtime = 1_700_000_000
	all := r.talk(winscp("/in/orders.csv", content, mtime, false)...)
	r.codes(all, map[uint32]wire.Code{2: wire.NoSuchFile, 3: wire.NoSuchFile, 5: wire.OK, 6: wire.OK, 8: wire.OK, 100: wire.OK, 109: wire.OK})
	if all[1].kind != isName || all[4].kind != isHandle || all[9].size() != int64(len(content)) {
		t.Errorf("realpath %+v, open %+v, lstat: %d bytes", all[1], all[4], all[9].size())
	}
	r.landed("orders.csv", content)
	list, err := r.ledger.Why(t.Context(), "acme/orders.csv")
	if err != nil || len(list) != 1 || list[0].File.ModTime.Unix() != mtime {
		t.Errorf("landed as %+v, %v", list, err)
	}

	// Times set before the CLOSE stay with the file as well.
	r.codes(r.talk(packet(wire.Init, 6), packet(wire.Open, 4, "/in/small.csv.filepart", wire.FlagWrite|wire.FlagCreate|wire.FlagTrunc, 0), writes(100, content[:100], 0),
		packet(wire.Fsetstat, 6, handle1, has, mtime, mtime), packet(wire.Close, 5, handle1), packet(wire.Rename, 8, "/in/small.csv.filepart", "/in/small.csv")),
		map[uint32]wire.Code{5: wire.OK, 6: wire.OK, 8: wire.OK})
	list, err = r.ledger.Why(t.Context(), "acme/small.csv")
	if err != nil || len(list) != 1 || list[0].File.ModTime.Unix() != mtime {
		t.Errorf("landed as %+v, %v", list, err)
	}

	// Once more, over what waits: it is withdrawn, and the new one lands.
	second := append([]byte("second\n"), content...)
	all = r.talk(winscp("/in/orders.csv", second, mtime, true)...)
	r.codes(all, map[uint32]wire.Code{5: wire.OK, 6: wire.OK, 7: wire.OK, 8: wire.OK})
	if all[2].size() != int64(len(content)) || all[9].size() != int64(len(second)) {
		t.Errorf("before %d bytes, after %d", all[2].size(), all[9].size())
	}
	r.landed("orders.csv", second)

	// A connection that ends in the middle leaves the .filepart. WinSCP finds it by LSTAT, opens it without emptying it, and goes on behind its last byte.
	begun := slices.Concat(winscp("/in/big.csv", content, mtime, false)[:6]...)
	r.must(r.play(begun[:len(begun)-100_000]))
	kept, err := r.part("in/big.csv.filepart")
	if err != nil || kept < 100_000 || kept > 200_000 {
		t.Fatalf("%d bytes are kept, %v", kept, err)
	}
	all = r.talk(packet(wire.Init, 6), packet(wire.Lstat, 3, "/in/big.csv.filepart"), packet(wire.Open, 4, "/in/big.csv.filepart", wire.FlagWrite, 0),
		writes(100, content, int(kept)), packet(wire.Close, 5, handle1), packet(wire.Setstat, 6, "/in/big.csv.filepart", has, mtime, mtime),
		packet(wire.Rename, 8, "/in/big.csv.filepart", "/in/big.csv"))
	r.codes(all, map[uint32]wire.Code{5: wire.OK, 6: wire.OK, 8: wire.OK})
	if all[3].size() != kept {
		t.Errorf("LSTAT says %d bytes, %d are kept", all[3].size(), kept)
	}
	r.landed("big.csv", content)
}

// TestHabitsOfFileZilla plays what FileZilla sends, whose SFTP is that of PuTTY: REALPATH of ".", the folder is listed, STAT of the target; OPEN to be written, made and emptied
// under the final name; a pipeline of WRITEs; CLOSE. Then, where it preserves times, SETSTAT by name on what has landed by then (some versions FSETSTAT before the
// CLOSE), and LSTAT to compare the size. To resume, it takes the size from STAT, opens without making or emptying, and WRITEs from there.
func TestHabitsOfFileZilla(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	content := pattern(200_000)
	const mtime = 1_600_000_000
	const fresh = wire.FlagWrite | wire.FlagCreate | wire.FlagTrunc
	for _, early := range []bool{false, true} {
		name := fmt.Sprintf("orders_%t.csv", early)
		path := "/in/" + name
		times := [][]byte{nil, packet(wire.Setstat, 8, path, has, mtime, mtime)}
		if early {
			times = [][]byte{packet(wire.Fsetstat, 8, handle1, has, mtime, mtime), nil}
		}
		all := r.talk(packet(wire.Init, 3), packet(wire.Realpath, 1, "."), packet(wire.Stat, 2, path),
			packet(wire.Open, 4, path, fresh, 0), writes(100, content, 0), times[0], packet(wire.Close, 5, handle1), times[1],
			packet(wire.Lstat, 9, path), packet(wire.Opendir, 10, "/in"), packet(wire.Readdir, 11, "\x00\x00\x00\x02"), packet(wire.Readdir, 12, "\x00\x00\x00\x02"))
		r.codes(all, map[uint32]wire.Code{2: wire.NoSuchFile, 5: wire.OK, 8: wire.OK, 100: wire.OK, 106: wire.OK})
		if all[9].size() != int64(len(content)) {
			t.Errorf("%s: LSTAT says %d bytes", name, all[9].size())
		}
		if listing := string(all[11].body) + string(all[12].body); !strings.Contains(listing, name) {
			t.Errorf("%s is not listed: %q", name, listing)
		}
		r.landed(name, content)
		list, err := r.ledger.Why(t.Context(), "acme/"+name)
		if err != nil || len(list) != 1 || early != (list[0].File.ModTime.Unix() == mtime) {
			t.Errorf("%s landed as %+v, %v", name, list, err)
		}
	}

	begun := slices.Concat(packet(wire.Init, 3), packet(wire.Open, 1, "/in/big.csv", fresh, 0), writes(100, content, 0))
	r.must(r.play(begun[:len(begun)-50_000]))
	all := r.talk(packet(wire.Init, 3), packet(wire.Stat, 2, "/in/big.csv"))
	kept := all[2].size()
	if kept < 100_000 || kept >= int64(len(content)) {
		t.Fatalf("STAT says %d bytes", kept)
	}
	all = r.talk(packet(wire.Init, 3), packet(wire.Open, 4, "/in/big.csv", wire.FlagWrite, 0), packet(wire.Fstat, 3, handle1), writes(100, content, int(kept)),
		packet(wire.Close, 5, handle1), packet(wire.Setstat, 8, "/in/big.csv", has, mtime, mtime), packet(wire.Lstat, 9, "/in/big.csv"))
	r.codes(all, map[uint32]wire.Code{5: wire.OK, 8: wire.OK})
	if all[3].size() != kept || all[9].size() != int64(len(content)) {
		t.Errorf("FSTAT says %d bytes, LSTAT in the end %d", all[3].size(), all[9].size())
	}
	r.landed("big.csv", content)
}

// held measures what is in use, after everything that can be freed is.
func held() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// greedy is a client that has sent everything before it looks at the first answer. It looks at so many.
func (r *rig) greedy(send []byte, answers int, look func(n int, id uint32, a reply)) {
	r.t.Helper()
	near, far := pipe()
	done := make(chan error, 1)
	go func() {
		err := r.files.Serve(r.t.Context(), r.session(), far)
		_ = far.Close()
		done <- err
	}()
	sent := make(chan error, 1)
	go func() {
		_, err := near.Write(send)
		sent <- err
	}()
	_, _, err := next(near) // the version
	for n := 0; err == nil && n < answers; n++ {
		var id uint32
		var a reply
		if id, a, err = next(near); err == nil {
			look(n, id, a)
		}
	}
	r.must(err)
	r.must(<-sent)
	_ = near.Close()
	if err := <-done; err != nil && !errors.Is(err, io.ErrClosedPipe) {
		r.t.Error(err)
	}
}

// Test56AThousandReadsAtOnceAreAnsweredInFlatMemory: a client asks for 32 MB before it takes the first byte. What it does not take is not held for it.
func Test56AThousandReadsAtOnceAreAnsweredInFlatMemory(t *testing.T) { // not parallel: it measures memory
	const reads, block = 1000, 32 << 10
	r := newRig(t)
	_, cut := r.dial()
	cut() // makes the folders
	f, err := os.Create(filepath.Join(r.data, "mailboxes/acme/out/big.csv"))
	r.must(err)
	var b [block]byte
	for i := range reads {
		binary.BigEndian.PutUint32(b[:], uint32(i))
		_, err = f.Write(b[:])
		r.must(err)
	}
	r.must(f.Close())
	send := slices.Concat(packet(wire.Init, 3), packet(wire.Open, 1, "/out/big.csv", wire.FlagRead, 0))
	for i := range reads {
		send = append(send, packet(wire.Read, 10+i, handle1, uint64(i)*block, block)...)
	}
	send = append(send, packet(wire.Close, 5, handle1)...)
	before, most := held(), int64(0)
	r.greedy(send, 1+reads+1, func(n int, id uint32, a reply) {
		switch {
		case n == 0 && a.kind != isHandle, n == reads+1 && a.code() != wire.OK:
			t.Fatalf("answer %d: %+v", n, a)
		case n == 0 || n == reads+1:
			return
		case id != uint32(9+n) || a.kind != isData || len(a.body) != 4+block || binary.BigEndian.Uint32(a.body[4:]) != uint32(n-1):
			t.Fatalf("answer %d is of %d, type %d, %d bytes", n, id, a.kind, len(a.body))
		}
		if n%100 == 1 {
			most = max(most, held()-before)
		}
	})
	t.Logf("%d KiB at most", most>>10)
	if most > 4<<20 {
		t.Errorf("%d bytes are held for 1,000 reads", most)
	}
}

func TestAHundredThousandNamesAreListedInFlatMemory(t *testing.T) { // not parallel: it measures memory
	if testing.Short() {
		t.Skip("100,000 files are made")
	}
	const files = 100_000
	memory, err := os.MkdirTemp("/dev/shm", "waybill") // making them takes a minute on some disks
	if err != nil {
		memory = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(memory) })
	r := newRigIn(t, memory)
	_, cut := r.dial()
	cut() // makes the folders
	folder := filepath.Join(r.data, "mailboxes/acme/out")
	for i := range files {
		fd, err := os.OpenFile(filepath.Join(folder, fmt.Sprintf("acknowledgement_of_orders_%06d.json", i)), os.O_CREATE|os.O_WRONLY, 0o600)
		r.must(err)
		r.must(fd.Close())
	}
	send := slices.Concat(packet(wire.Init, 3), packet(wire.Opendir, 1, "/out"))
	const asked = files/listedAtOnce + 10
	for i := range asked {
		send = append(send, packet(wire.Readdir, 10+i, handle1)...)
	}
	seen, most, ended := 0, int64(0), false
	before, start := held(), time.Now()
	r.greedy(send, 1+asked, func(n int, _ uint32, a reply) {
		switch a.kind {
		case isName:
			seen += int(binary.BigEndian.Uint32(a.body))
		case isStatus:
			ended = a.code() == wire.EOF
		}
		if n%100 == 1 {
			most = max(most, held()-before)
		}
	})
	t.Logf("%d KiB at most, %s", most>>10, time.Since(start).Round(time.Millisecond))
	if seen != files+2 || !ended || most > 4<<20 {
		t.Errorf("%d names, ended %t, %d bytes held", seen, ended, most)
	}
}
