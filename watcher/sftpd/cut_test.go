package sftpd

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

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
// published, and what was kept can be gone on with. All bytes with WAYBILL_EVERY_BYTE=1, else a sample.
func TestUploadCutAtEveryByte(t *testing.T) {
	t.Parallel()
	for _, size := range []int{64 << 10, 64<<10 + 5000} {
		r := newRig(t)
		const fresh, on = wire.FlagWrite | wire.FlagCreate | wire.FlagTrunc, wire.FlagWrite
		length := len(uploading("/in/000000.csv", pattern(size), 0, fresh))
		step := 211
		if os.Getenv("WAYBILL_EVERY_BYTE") != "" {
			step = 1
		}
		cuts := []int{0, 1, length - 1, length}
		for n := 2 + size%step; n < length; n += step {
			cuts = append(cuts, n)
		}
		for _, n := range cuts {
			name := fmt.Sprintf("%06d.csv", n)
			content := append([]byte(name), pattern(size)[len(name):]...)
			if err := r.play(uploading("/in/"+name, content, 0, fresh)[:n]); err != nil {
				t.Fatalf("cut at %d: %v", n, err)
			}
			got, landed := r.content("acme/" + name)
			if landed != (n == length) || landed && got != string(content) {
				t.Fatalf("cut at %d of %d: landed %t, %d bytes", n, length, landed, len(got))
			}
			m, err := r.part("in/" + name)
			if landed || err != nil {
				if !landed && n > 5000 || landed && err == nil {
					t.Fatalf("cut at %d: landed %t, the part: %v", n, landed, err)
				}
				continue
			}
			if int(m) > n || int(m) < n-2*4200-100 {
				t.Fatalf("cut at %d: %d bytes were kept", n, m)
			}
			if err := r.play(uploading("/in/"+name, content, int(m), on|wire.FlagAppend)); err != nil {
				t.Fatal(err)
			}
			if got, _ := r.content("acme/" + name); got != string(content) {
				t.Fatalf("cut at %d, gone on with at %d: %d bytes landed", n, m, len(got))
			}
		}
	}
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

// proxy passes one connection on to a port, cuts it after so many bytes from the client, and is gone.
func (r *rig) proxy(port string, after int64) string {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	var wg sync.WaitGroup
	wg.Go(func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		_ = l.Close()
		server, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			_ = client.Close()
			return
		}
		cut := func() { _ = client.Close(); _ = server.Close() }
		wg.Go(func() { defer cut(); _, _ = io.CopyN(server, client, after) })
		wg.Go(func() { defer cut(); _, _ = io.Copy(client, server) })
	})
	r.t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	_, own, _ := strings.Cut(l.Addr().String(), ":")
	return own
}
