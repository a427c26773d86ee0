package sftpd

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waybill/testenv"
	"waybill/watcher/wire"
)

// packet builds a request of the protocol.
func packet(kind wire.Type, body ...any) []byte {
	b := []byte{0, 0, 0, 0, byte(kind)}
	for _, x := range body {
		switch x := x.(type) {
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(x))
		case uint64:
			b = binary.BigEndian.AppendUint64(b, x)
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(x))), x...)
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// uploading is what a client sends to upload content from an offset on, with the first handle of a session.
func uploading(path string, content []byte, from int, flags int) []byte {
	const block = 4096
	b := slices.Concat(packet(wire.Init, 3), packet(wire.Open, 1, path, flags, 0))
	for id := 2; from < len(content); id++ {
		n := min(block, len(content)-from)
		b = append(b, packet(wire.Write, id, "\x00\x00\x00\x01", uint64(from), string(content[from:from+n]))...)
		from += n
	}
	return append(b, packet(wire.Close, 99999, "\x00\x00\x00\x01")...)
}

// script is a client that sends what it was told and is then gone.
type script struct {
	io.Reader
	got bytes.Buffer
}

func (s *script) Write(p []byte) (int, error) { return s.got.Write(p) }
func (s *script) Close() error                { return nil }

// play serves one connection of which no more than these bytes arrive.
func (r *rig) play(sent []byte) error {
	return r.files.Serve(context.Background(), r.session(), &script{Reader: bytes.NewReader(sent)})
}

// TestUploadCutAtEveryByte is R7 as a server: whatever byte an upload is cut at, nothing is published unless its CLOSE came, never is anything short
// published, and what was kept can be gone on with. All bytes with WAYBILL_CUTS=all, else a sample.
func TestUploadCutAtEveryByte(t *testing.T) {
	t.Parallel()
	const atOnce = 4000 // cuts in one mailbox: each leaves a file in its ledger
	for _, size := range []int{64 << 10, 64<<10 + 5000} {
		length := len(uploading("/in/000000.csv", make([]byte, size), 0, anew))
		step := 211
		if testenv.EveryCut() {
			step = 1
		}
		cuts := []int{0, 1, length - 1, length}
		for n := 2 + size%step; n < length-1; n += step {
			cuts = append(cuts, n)
		}
		text, begin := pattern(size), time.Now()
		for some := range slices.Chunk(cuts, atOnce) {
			t.Run(fmt.Sprintf("%d bytes from %d on", size, some[0]), func(t *testing.T) {
				r := newRig(t)
				var next atomic.Int64
				var wg sync.WaitGroup
				for range 24 { // they share commits
					wg.Go(func() {
						content := bytes.Clone(text)
						for !t.Failed() {
							i := int(next.Add(1)) - 1
							if i >= len(some) {
								return
							}
							if err := r.cutUpload(content, some[i], length); err != nil {
								t.Errorf("cut at %d of %d: %v", some[i], length, err)
							}
						}
					})
				}
				wg.Wait()
			})
		}
		t.Logf("%d bytes cut at %d of %d places in %s", size, len(cuts), length, time.Since(begin).Round(time.Second/10))
	}
}

const anew = wire.FlagWrite | wire.FlagCreate | wire.FlagTrunc

// cutUpload cuts the upload of a file after n bytes, goes on with what was kept, and says what is wrong.
func (r *rig) cutUpload(content []byte, n, length int) error {
	name := fmt.Sprintf("%06d.csv", n)
	copy(content, name)
	if err := r.play(uploading("/in/"+name, content, 0, anew)[:n]); err != nil {
		return err
	}
	got, landed := r.content("acme/" + name)
	if landed != (n == length) || landed && got != string(content) {
		return fmt.Errorf("landed %t, %d bytes", landed, len(got))
	}
	m, err := r.part("in/" + name)
	switch {
	case landed && err == nil, !landed && err != nil && n > 5000:
		return fmt.Errorf("landed %t, the part: %w", landed, err)
	case err != nil:
		return nil
	case int(m) > n || int(m) < n-2*4200-100:
		return fmt.Errorf("%d bytes were kept", m)
	}
	if err := r.play(uploading("/in/"+name, content, int(m), wire.FlagWrite|wire.FlagAppend)); err != nil {
		return err
	}
	if got, _ := r.content("acme/" + name); got != string(content) {
		return fmt.Errorf("gone on with at %d: %d bytes landed", m, len(got))
	}
	return nil
}

func (r *rig) part(path string) (int64, error) {
	info, err := os.Stat(r.data + "/mailboxes/acme/" + path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// FuzzServe sends whatever packets to a mailbox.
func FuzzServe(f *testing.F) {
	f.Add(uploading("/in/a.csv", pattern(100), 0, wire.FlagWrite|wire.FlagCreate))
	h := "\x00\x00\x00\x01"
	f.Add(slices.Concat(packet(wire.Init, 3), packet(wire.Open, 1, "/in/x.part", 0x1b, 0), packet(wire.Write, 2, h, uint64(1<<40), "far"), packet(wire.Write, 3, h, uint64(0), "near"),
		packet(wire.Fsetstat, 4, h, wire.HasSize, uint64(1<<50)), packet(wire.Fsetstat, 5, h, wire.HasSize, uint64(2)), packet(wire.Fstat, 6, h), packet(wire.Read, 7, h, uint64(0), 10),
		packet(wire.Close, 8, h), packet(wire.Rename, 9, "/in/x.part", "/in/y"), packet(wire.Remove, 10, "/in/y"), packet(wire.Opendir, 11, "/in"),
		packet(wire.Readdir, 12, "\x00\x00\x00\x02"), packet(wire.Mkdir, 13, "/in/d", 0), packet(wire.Rmdir, 14, "/in/d"), packet(wire.Extended, 15, wire.StatVFS, "/"),
		packet(wire.Extended, 16, wire.Limits), packet(wire.Symlink, 17, "/etc/passwd", "/in/l"), packet(wire.Readlink, 18, "/in/l"), packet(wire.Setstat, 19, "/in/x", 0x0f, uint64(1), 0, 0, 0o777, 1, 1)))
	r := newRig(f)
	r.account.Quota = Quota{Bytes: 1 << 20, Files: 100}
	r.t = nil
	f.Fuzz(func(t *testing.T, sent []byte) {
		s := &script{Reader: bytes.NewReader(sent)}
		err := r.files.Serve(context.Background(), r.session(), s)
		if err != nil && !strings.Contains(err.Error(), "not SFTP") {
			t.Fatal(err)
		}
		r.files.mu.Lock()
		defer r.files.mu.Unlock()
		if len(r.files.boxes) > 0 || len(r.files.busy) > 0 {
			t.Fatalf("something is left open: %v, %v", r.files.boxes, r.files.busy)
		}
	})
}

// 56 of the hostile inputs, in part: many reads are asked for and none of the answers taken; and 54: a session that is not SFTP is noted.
func TestStrangeSessions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for what, b := range map[string][]byte{
		"no version":     packet(wire.Stat, 1, "/"),
		"version twice":  slices.Concat(packet(wire.Init, 3), packet(wire.Init, 3)),
		"unknown packet": slices.Concat(packet(wire.Init, 3), packet(wire.Type(77), 1)),
		"long packet":    slices.Concat(packet(wire.Init, 3), []byte{0x7f, 0xff, 0xff, 0xff, 1}),
		"text":           []byte("GET / HTTP/1.0\r\n\r\n"),
	} {
		before := r.noted("not sftp")
		if err := r.play(b); err == nil || r.noted("not sftp") != before+1 {
			t.Errorf("%s: %v, noted %d times", what, err, r.noted("not sftp")-before)
		}
	}
	odd := slices.Concat(packet(wire.Init, 3), packet(wire.Close, 1, "nonsense"), packet(wire.Write, 2, "\x00\x00\x00\x09", uint64(0), "x"),
		packet(wire.Read, 3, "", uint64(0), 1), packet(wire.Extended, 4, "unheard@of", "x"), packet(wire.Readdir, 5, ""))
	if err := r.play(odd); err != nil {
		t.Error(err)
	}
}
