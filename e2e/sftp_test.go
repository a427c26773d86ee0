package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"waybill/store"
	"waybill/testenv"
)

// polled is a house that polls an OpenSSH server.
func polled(t testing.TB, s *testenv.SSHD, a *api, more string) *house {
	t.Helper()
	s.MakeFolder(t, "out")
	return newHouse(t, fmt.Sprintf(`
sources:
  partner:
    sftp:
      address: %s
      user: %s
      key: "${file:%s}"
      host_key: "%s"
      folder: out%s
    poll: 200ms
    settle: {looks: 2, pause: 100ms}
destinations:
  api: {http: {url: "%s"}, retry: {pause: 50ms, longest: 200ms}}
jobs:
  orders:
    receive: {source: partner, files: "*.csv"}
    read: {format: csv, delimiter: ";", fields: {no: {required: true}, qty: {type: integer}}}
    send: [{to: api, path: /orders, key: =no, body: {order: =no}}]
`, s.Addr, s.User, s.Key, ssh.FingerprintSHA256(s.HostKeys[ssh.KeyAlgoED25519]), more, a.URL))
}

func (h *house) moved(s *testenv.SSHD, name string) func() bool {
	return func() bool {
		_, err := os.Stat(filepath.Join(s.Folder, "out", name))
		return err == nil
	}
}

func TestAFileOnAnSFTPServerIsDeliveredOnceAndMoved(t *testing.T) {
	t.Parallel()
	s, a := testenv.OpenSSH(t), newAPI(t)
	h := polled(t, s, a, "")
	s.Write(t, "out/orders_1.csv", orders(1, 20))
	s.Write(t, "out/bad.csv", "no;qty\nA-1;many\n")
	d := h.serve()
	d.until("the file is in done", h.moved(s, "done/orders_1.csv"))
	d.until("the bad one and its report are in failed", func() bool {
		return h.moved(s, "failed/bad.csv")() && h.moved(s, "failed/bad.csv.rejects.json")()
	})
	if got := a.arrived(); len(got) != 20 {
		t.Errorf("%d requests arrived, want 20: %s", len(got), got)
	}
	// The server goes away and comes back.
	s.Kill(t)
	d.until("the status says that the server is away", func() bool {
		_, out := h.run("status")
		return strings.Contains(out, "source is away")
	})
	s.Write(t, "out/orders_2.csv", orders(101, 3))
	s.Start(t)
	d.until("the second file is in done", h.moved(s, "done/orders_2.csv"))
	if got := a.arrived(); len(got) != 23 {
		t.Errorf("%d requests arrived, want 23: %s", len(got), got)
	}
}

func TestKilledWhileAFileOnAnSFTPServerIsOnItsWay(t *testing.T) {
	t.Parallel()
	s, a := testenv.OpenSSH(t), newAPI(t)
	h := polled(t, s, a, "")
	a.turn(true)
	const files = 5
	for i := range files {
		s.Write(t, fmt.Sprintf("out/orders_%d.csv", i), orders(100*i, 4))
	}
	for range 3 { // whatever it is doing then
		d := h.command("serve")
		out := new(said)
		d.Stdout, d.Stderr = out, out
		h.must(d.Start())
		h.until("a file has landed", func() bool { return strings.Contains(out.String(), `"ready"`) && h.landed() > 0 })
		h.must(d.Process.Kill())
		_ = d.Wait()
	}
	a.turn(false)
	d := h.serve()
	for i := range files {
		d.until("the file is in done", h.moved(s, fmt.Sprintf("done/orders_%d.csv", i)))
	}
	seen := map[string]int{}
	for _, r := range a.arrived() {
		seen[r]++
	}
	if len(seen) != 4*files {
		t.Errorf("%d orders arrived, want %d", len(seen), 4*files)
	}
	for r, n := range seen {
		if n > 1 {
			t.Errorf("%s arrived %d times", r, n)
		}
	}
	names, err := os.ReadDir(filepath.Join(s.Folder, "out/done"))
	h.must(err)
	if len(names) != files {
		t.Errorf("in done: %v", names)
	}
}

// landed counts the entries.
func (h *house) landed() int {
	h.t.Helper()
	db, err := store.Open(context.Background(), store.Options{Folder: h.path("data"), AcceptDataLoss: true, Readers: 1})
	h.must(err)
	defer func() { h.must(db.Close()) }() // it is asked again and again
	var n int
	h.must(db.Reader(context.Background()).QueryRow(`SELECT count(*) FROM entries`).Scan(&n))
	return n
}

func TestCheckFindsMistakesOfAnSFTPSourceByPlace(t *testing.T) {
	t.Parallel()
	s, a := testenv.OpenSSH(t), newAPI(t)
	h := polled(t, s, a, "")
	text, err := os.ReadFile(h.path("waybill.yaml"))
	h.must(err)
	for wrong, want := range map[string]string{
		"folder: out\n      order: newest":                            `"newest" is not one of`,
		"folder: out\n      known_hosts: none":                        "known_hosts",
		"folder: out\n      passphrase: x":                            "is not encrypted",
		"folder: out\n      include: \"[a\"":                          "is no pattern",
		"folder: out\n      jump: {address: a, user: b, password: c}": "host_key is missing",
	} {
		h.must(os.WriteFile(h.path("waybill.yaml"), []byte(strings.Replace(string(text), "folder: out", wrong, 1)), 0o600))
		if out := h.runs(2, "check"); !strings.Contains(out, want) || !strings.Contains(out, "waybill.yaml:") {
			t.Errorf("%s: %s", wrong, out)
		}
	}
}
