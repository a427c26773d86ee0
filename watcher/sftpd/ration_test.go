package sftpd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"waybill/watcher/wire"
)

func TestTheReasonsOfAFloodAreBounded(t *testing.T) {
	t.Parallel()
	r := newRation(nil, newClock().now, nil)
	for i := range rationBurst + 1000 {
		r.admit("acme", "refused", fmt.Sprint("reason ", i))
	}
	list := r.turn()
	reasons := list[0].detail["reasons"].(map[string]int)
	if len(list) != 1 || len(reasons) != rationReasons+1 || reasons["other reasons"] != 1000-rationReasons {
		t.Errorf("%v", list)
	}
}

// endless is a client that sends a packet after the other while it may.
type endless struct {
	packets func(n int) []byte // nil: that was all
	sent    int
	rest    bytes.Reader
}

func (e *endless) Read(p []byte) (int, error) {
	for e.rest.Len() == 0 {
		b := e.packets(e.sent)
		if b == nil {
			return 0, io.EOF
		}
		e.rest.Reset(b)
		e.sent++
	}
	return e.rest.Read(p)
}

func (e *endless) Write(p []byte) (int, error) { return len(p), nil }
func (e *endless) Close() error                { return nil }

// A partner who does the same again and again, as fast as he can, does not fill the ledger.
func TestWhatAPartnerDoesWithoutEndIsFewRows(t *testing.T) {
	t.Parallel()
	names := [2]string{"/in/a.part", "/in/b.part"}
	open := func(id int) []byte { return packet(wire.Open, id, names[0], anew, 0) }
	for kind, does := range map[string]func(n int) []byte{
		"renamed": func(n int) []byte {
			if n == 0 {
				return slices.Concat(packet(wire.Init, 3), open(1), packet(wire.Close, 2, "\x00\x00\x00\x01"))
			}
			return packet(wire.Rename, n, names[(n+1)%2], names[n%2])
		},
		"upload removed": func(n int) []byte {
			if n == 0 {
				return packet(wire.Init, 3)
			}
			handle := string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
			return slices.Concat(open(n), packet(wire.Remove, n, names[0]), packet(wire.Close, n, handle))
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			r := newRig(t, func(o *FilesOptions) { o.Now = clock.now })
			c := &endless{packets: func(n int) []byte {
				if n > 10*rationBurst {
					return nil
				}
				return does(n)
			}}
			r.must(r.files.Serve(t.Context(), r.session(), c))
			r.files.SumUp(t.Context())
			done := c.sent - 1
			if got := r.noted(kind); got != rationBurst+1 {
				t.Fatalf("done %d times, noted %d times", done, got)
			}
			last := r.notes[len(r.notes)-1]
			if last.kind != kind || last.detail["count"] != done-rationBurst || last.detail["partner"] != "acme" || last.detail["reasons"].(map[string]int)["from 127.0.0.1"] != done-rationBurst {
				t.Errorf("%v", last)
			}
			for range 60 { // and a quiet hour, ten a minute
				clock.add(rationSum)
				for range 10 {
					r.must(r.files.ration.Note(t.Context(), kind, map[string]any{"partner": "acme"}))
				}
				r.files.SumUp(t.Context())
			}
			if got := r.noted(kind); got != rationBurst+1+600 {
				t.Errorf("%d notes after an hour", got)
			}
		})
	}
}

// Connections that break off, over and over.
func TestBrokenUploadsWithoutEndAreFewRows(t *testing.T) {
	t.Parallel()
	clock := newClock()
	r := newRig(t, func(o *FilesOptions) { o.Now = clock.now })
	const times = rationBurst + 100
	for range times {
		r.must(r.play(uploading("/in/a.csv", pattern(100), 0, anew)[:150]))
	}
	r.files.SumUp(t.Context())
	if got := r.noted("upload broken"); got != rationBurst+1 {
		t.Errorf("%d times, noted %d times", times, got)
	}
}

// What is picked up and deleted is asked after: it stands there each time.
func TestEveryPickUpIsNoted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c, _ := r.dial()
	const files = rationBurst + 20
	for i := range files {
		name := fmt.Sprintf("out/%d.csv", i)
		r.must(os.WriteFile(filepath.Join(r.data, "mailboxes", "acme", name), pattern(10), 0o600))
		f, err := c.Open("/" + name)
		r.must(err)
		_, err = io.Copy(io.Discard, f)
		r.must(errors.Join(err, f.Close(), c.Remove("/"+name)))
	}
	if picked, deleted := r.noted("picked up"), r.noted("deleted"); picked != files || deleted != files {
		t.Errorf("%d are noted as picked up, %d as deleted", picked, deleted)
	}
}

// What is done while the server ends is summed up as well.
func TestLoginsWithoutEndAreFewRowsAndSummedUpAtTheEnd(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	h := open(t, nil, partner("acme", nil, key.PublicKey()))
	for range rationBurst {
		h.server.ration.admit("acme", "login", "")
		h.server.ration.admit("acme", "logout", "")
	}
	c, err := h.dial("acme", with(key))
	if err != nil {
		t.Fatal(err)
	}
	works(t, c)
	if n := len(h.journal.all("login")); n != 0 {
		t.Errorf("%d logins are noted one by one", n)
	}
	h.end()
	for kind, reason := range map[string]string{"login": "from 127.0.0.1", "logout": "the server ends"} {
		list := h.journal.all(kind)
		if len(list) != 1 || list[0]["count"] != 1 || list[0]["reasons"].(map[string]int)[reason] != 1 {
			t.Errorf("%s: %v", kind, list)
		}
	}
}

// A journal that takes nothing loses a note, and ends nothing.
type deaf struct{}

func (deaf) Note(context.Context, string, map[string]any) error { return errors.New("no room") }

func TestASumThatCannotBeNotedIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := newRation(deaf{}, newClock().now, slog.New(slog.NewTextHandler(&log, nil)))
	for range rationBurst + 1 {
		r.admit("acme", "renamed", "")
	}
	r.sumUp(t.Context())
	if !bytes.Contains(log.Bytes(), []byte("renamed")) {
		t.Errorf("log: %q", log.String())
	}
}
