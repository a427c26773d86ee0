package e2e_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// A door is a house that partners drop into.
type door struct {
	*house
	key     ssh.Signer
	address string
}

// newDoor configures a house with one partner, acme, whose files are laid into out.
func newDoor(t testing.TB) *door {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, "")
	h.configure(fmt.Sprintf(`
sftp_server: {listen: "127.0.0.1:0"}
partners:
  acme: {group: suppliers, keys: %q}
sources:
  suppliers: {mailboxes: {group: suppliers}}
destinations:
  out: {file: {folder: %s}}
jobs:
  orders:
    receive: {source: suppliers, files: ["*.csv"]}
    read: none
    send: [{to: out, each: file, name: "{file.name}"}]
`, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))), h.path("out")))
	return &door{house: h, key: signer}
}

var listens = regexp.MustCompile(`"msg":"SFTP","listen":"([^"]+)"`)

// open starts the daemon and notes where it listens.
func (d *door) open() *daemon {
	d.t.Helper()
	s := d.serve()
	m := listens.FindStringSubmatch(s.said.String())
	if m == nil {
		d.t.Fatal("it does not say where it listens")
	}
	d.address = m[1]
	return s
}

// login logs acme in, from an address of this machine.
func (d *door) login(from string) (*ssh.Client, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	conn, err := dialer.DialContext(d.t.Context(), "tcp", d.address)
	if err != nil {
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, d.address, &ssh.ClientConfig{User: "acme", Auth: []ssh.AuthMethod{ssh.PublicKeys(d.key)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: patience}) //nolint:gosec // it is this test's own server
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// session logs in and speaks SFTP until the test ends.
func (d *door) session() *sftp.Client {
	d.t.Helper()
	c, err := d.login("127.0.0.1")
	d.must(err)
	s, err := sftp.NewClient(c)
	d.must(err)
	d.t.Cleanup(func() { _ = s.Close(); _ = c.Close(); _ = c.Wait() })
	return s
}

func put(c *sftp.Client, name string, content []byte) error {
	f, err := c.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// resident is the memory of a process in RAM, in MiB.
func (d *daemon) resident() int {
	d.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	d.must(err)
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	d.must(err)
	return n >> 10
}

// systemd hands the program a socket that it has opened; a connection that came before the program ran is served.
func TestASocketThatSystemdHoldsIsServed(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	socket := d.held()
	early, err := net.Dial("tcp", d.address)
	d.must(err)
	defer func() { _ = early.Close() }()

	s := d.on(socket)

	d.must(early.SetReadDeadline(time.Now().Add(patience)))
	hello := make([]byte, len("SSH-2.0-waybill"))
	if _, err := io.ReadFull(early, hello); err != nil || string(hello) != "SSH-2.0-waybill" {
		t.Errorf("who connected before it ran is told %q, %v", hello, err)
	}
	d.must(put(d.session(), "/in/a.csv", []byte("a\n")))
	s.until("the file is delivered", func() bool { return d.there("out/a.csv") })
	if at := listens.FindStringSubmatch(s.said.String()); at == nil || at[1] != d.address {
		t.Errorf("it listens at %v, not at the socket %s that it was given", at, d.address)
	}
}

// R4 of an upload: what finds no room is refused and never published, and intake goes on by itself.
func TestAnUploadIntoAFullDiskIsRefusedAndIntakeGoesOn(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.must(os.Mkdir(d.path("data"), 0o700))
	if err := unix.Mount("tmpfs", d.path("data"), "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("a small file system cannot be mounted here, so it is NOT TESTED that uploads into a full disk are refused: %v", err)
	}
	t.Cleanup(func() { d.must(unix.Unmount(d.path("data"), unix.MNT_DETACH)) })
	s := d.open()
	c := d.session()
	before, content := bytes.Repeat([]byte("before it's full\n"), 4<<20/17), bytes.Repeat([]byte("0123456789abcde\n"), 4<<20/16)
	d.must(put(c, "/in/before.csv", before))

	f, err := c.Create("/in/large.csv")
	d.must(err)
	_, err = f.Write(content)
	d.must(err)
	fill(t, d.path("data/filler"))
	for err = nil; err == nil; {
		_, err = f.Write(content)
	}
	if !strings.Contains(err.Error(), "no room at the moment") {
		t.Errorf("write: %v", err)
	}
	if err := f.Close(); err == nil || !strings.Contains(err.Error(), "no room at the moment") {
		t.Errorf("close: %v", err)
	}
	s.until("a new upload is refused", func() bool {
		err := put(c, "/in/later.csv", content)
		return err != nil && strings.Contains(err.Error(), "no room at the moment")
	})
	if out := d.runs(0, "list", "--json"); strings.Contains(out, "large.csv") || strings.Contains(out, "later.csv") {
		t.Errorf("it is published:\n%s", out)
	}
	d.must(os.Remove(d.path("data/filler")))
	s.until("intake goes on", func() bool { return put(c, "/in/large.csv", content) == nil })
	for name, want := range map[string][]byte{"before.csv": before, "large.csv": content} {
		s.until(name+" is delivered", func() bool {
			got, err := os.ReadFile(d.path("out/" + name))
			return err == nil && bytes.Equal(got, want)
		})
	}
	if out := d.runs(0, "partner", "history", "acme"); !strings.Contains(out, "no room at the moment") {
		t.Errorf("the history does not tell of the refusal:\n%s", out)
	}
}

// fill takes all room that there is.
func fill(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	_ = f.Close() // it was meant to fail
}

// S1: what a crowd that never logs in costs, and that a partner is served meanwhile. How long that takes is logged; a login that takes longer than it may
// is refused by the server, so all that are asserted are counts and memory.
func TestS1ACrowdThatNeverLogsInCostsLittle(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	const crowd, rounds = 2000, 30
	d := newDoor(t)
	s := d.open()
	again := 0 // logins that gave way while they began: the partner's program tries once more
	served := func(name string) time.Duration {
		start := time.Now()
		c, err := d.login("127.0.3.1")
		for tries := 1; err != nil && tries < 5; tries++ {
			again++
			c, err = d.login("127.0.3.1")
		}
		if err != nil {
			t.Fatalf("the partner: %v", err)
		}
		took := time.Since(start)
		f, err := sftp.NewClient(c)
		d.must(err)
		d.must(put(f, "/in/"+name, bytes.Repeat([]byte(name+"\n"), 20_000)))
		_, _, _ = f.Close(), c.Close(), c.Wait()
		return took
	}
	var calm, took []time.Duration
	for i := range rounds {
		calm = append(calm, served(fmt.Sprintf("calm%d.csv", i)))
	}
	base := s.resident()

	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	come := func(from string, do func(net.Conn)) {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
		c, err := dialer.DialContext(ctx, "tcp", d.address)
		if err != nil {
			return
		}
		defer context.AfterFunc(ctx, func() { _ = c.Close() })()
		do(c)
		_ = c.Close()
	}
	for i := range crowd { // they say nothing, and who is sent away comes again
		all.Go(func() {
			rest(ctx, time.Duration(i)*2*time.Millisecond) // not all at once
			for ctx.Err() == nil {
				come(fmt.Sprintf("127.0.%d.%d", 10+i/200, 1+i%200), func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
				rest(ctx, 4*time.Second)
			}
		})
	}
	all.Go(func() { // hostile handshakes, up to 50 a second: a wrong version, a packet too long, a key exchange that is none
		hostile := [][]byte{[]byte("GET / HTTP/1.0\r\n\r\n"), []byte("SSH-2.0-x\r\n\xff\xff\xff\xff\x05"), append([]byte("SSH-2.0-x\r\n"), make([]byte, 40_000)...)}
		for i := 0; ctx.Err() == nil; i++ {
			come(fmt.Sprintf("127.0.30.%d", 1+i%200), func(c net.Conn) {
				_, _ = c.Write(hostile[i%len(hostile)])
				_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				_, _ = io.Copy(io.Discard, c)
			})
			rest(ctx, 20*time.Millisecond)
		}
	})
	peak := 0
	rest(ctx, 4*time.Second) // until all are there
	for i := range rounds {
		took = append(took, served(fmt.Sprintf("crowd%d.csv", i)))
		peak = max(peak, s.resident())
	}
	stop()
	all.Wait()
	slices.Sort(calm)
	slices.Sort(took)
	t.Logf("resident %d MiB, at most %d MiB beside the crowd; login median %s, slowest %s; beside the crowd %s and %s, %d tried again", base, peak, calm[rounds/2], calm[rounds-1],
		took[rounds/2], took[rounds-1], again)
	if again > rounds/3 {
		t.Errorf("%d of %d logins had to be tried again", again, rounds)
	}
	if peak-base > 64 {
		t.Errorf("%d MiB more beside the crowd, at most 64", peak-base)
	}
	s.until("all that was uploaded is delivered", func() bool {
		list, err := filepath.Glob(d.path("out/*.csv"))
		return err == nil && len(list) == 2*rounds
	})
}

// rest waits, unless it is over.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// What one partner can have the server hold: all his sessions and channels, in each of them as many requests as are taken without an answer being read.
func TestTheMemoryThatOnePartnerCanTakeIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	d := newDoor(t)
	s := d.open()
	d.must(put(d.session(), "/in/a.csv", []byte("a\n")))
	base := s.resident()
	request := func(kind byte, body []byte) []byte {
		return append(append(length(len(body)+1), kind), body...)
	}
	path := "/" + strings.Repeat("x", 250)
	block := bytes.Repeat(request(16, slices.Concat([]byte{0, 0, 0, 1}, length(len(path)), []byte(path))), 64)

	var all sync.WaitGroup
	var mu sync.Mutex
	var clients []*ssh.Client
	opened, sent := 0, 0
	for range 9 { // one is open
		c, err := d.login("127.0.0.1")
		d.must(err)
		clients = append(clients, c)
		for range 10 {
			ch, requests, err := c.OpenChannel("session", nil)
			if err != nil {
				break // as many as there may be
			}
			go ssh.DiscardRequests(requests)
			ok, err := ch.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"}))
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			opened++
			all.Go(func() { // nothing is read, so this ends when the windows are full and the connection is closed
				for p := request(1, []byte{0, 0, 0, 3}); ; p = block {
					n, err := ch.Write(p)
					mu.Lock()
					sent += n
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
	}
	was, peak := -1, 0
	s.until("nothing more is taken", func() bool {
		mu.Lock()
		now := sent
		mu.Unlock()
		peak = max(peak, s.resident())
		rest(t.Context(), 500*time.Millisecond)
		still := now == was && now > opened*2<<20
		was = now
		return still
	})
	peak = max(peak, s.resident())
	for _, c := range clients {
		_ = c.Close()
	}
	all.Wait()
	t.Logf("%d channels were opened and took %d MiB; resident %d MiB, at most %d MiB", opened, sent>>20, base, peak)
	if opened > 32 || peak-base > 192 {
		t.Errorf("one partner has %d channels and costs %d MiB", opened, peak-base)
	}
	d.must(put(d.session(), "/in/b.csv", []byte("b\n")))
}

// length is a number as it stands in packets.
func length(n int) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }

// What examples/partners says happens, over SFTP.
func TestTheExampleOfPartners(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.must(os.Remove(d.path("waybill.yaml")))
	d.must(os.CopyFS(d.folder, os.DirFS("../examples/partners")))
	text, err := os.ReadFile(d.path("waybill.yaml"))
	d.must(err)
	config := strings.Replace(string(text), `":2022"`, `"127.0.0.1:0"`, 1)
	d.must(os.WriteFile(d.path("waybill.yaml"), []byte(config+"\nlog: {format: json}\n"), 0o600))
	for _, name := range []string{"partners.d", "erp"} {
		d.must(os.Mkdir(d.path(name), 0o755))
	}
	d.must(os.WriteFile(d.path("key.pub"), ssh.MarshalAuthorizedKey(d.key.PublicKey()), 0o600))
	d.runs(0, "partner", "add", "acme", "--group", "suppliers", "--key", "key.pub")
	s := d.open()
	c := d.session()
	upload := func(name, folder string) error {
		content, err := os.ReadFile(d.path(name))
		d.must(err)
		return put(c, folder+"/"+name, content)
	}
	acknowledged := func(name string, wants ...string) {
		t.Helper()
		s.until(name+" is there", func() bool { _, err := c.Stat("/out/" + name); return err == nil })
		f, err := c.Open("/out/" + name)
		d.must(err)
		got, err := io.ReadAll(f)
		d.must(errors.Join(err, f.Close()))
		for _, want := range wants {
			if !strings.Contains(string(got), want) {
				t.Errorf("%s does not say %s:\n%s", name, want, got)
			}
		}
	}
	d.must(upload("orders_1001.csv", "in"))
	acknowledged("orders_1001.1.ack.json", `"state": "accepted"`)
	s.until("it is delivered", func() bool { return d.there("erp/acme_orders_1001.ndjson") })
	d.must(upload("orders_1002.csv", "in"))
	acknowledged("orders_1002.2.ack.json", `"state": "rejected"`, `"line": 3`, `"field": "quantity"`, `"value": "1O"`)
	d.must(upload("orders_1001.csv", "in"))
	acknowledged("orders_1001.3.ack.json", `"state": "duplicate"`)
	d.must(upload("orders_1002.csv", "test"))
	acknowledged("orders_1002.4.ack.json", `"state": "rejected"`, `"test": true`)
	if err := upload("README.md", "in"); err == nil || !strings.Contains(err.Error(), "no job takes a file of this name") {
		t.Errorf("a file that no job takes: %v", err)
	}
	if list, err := filepath.Glob(d.path("erp/*")); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}
