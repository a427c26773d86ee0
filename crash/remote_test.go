package crash_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"waybill/testenv"
)

// remote is a landscape in miniature: orders on somebody else's SFTP server.
const remote = `
data: %s
log: {level: info, format: json}
sources:
  partner:
    sftp: {address: "%s", user: %s, key: "${file:%s}", host_key: "%s", folder: out, files: 2}
    poll: 100ms
    settle: {looks: 2, pause: 20ms}
destinations:
  api: {http: {url: "%s/api"}, retry: {attempts: 4, pause: 20ms, longest: 200ms}}
jobs:
  orders:
    receive: {source: partner, files: "*.csv"}
    read: {format: csv, fields: {order_no: {required: true}, quantity: {type: integer}}}
    send: [{to: api, path: /orders, key: =order_no, body: {order: =order_no}}]
`

// TestKilledAtEveryNamedStepOfARemoteSource kills the daemon at each step of a remote source. What lies on the server is the
// only thing that tells the next one how far it was.
func TestKilledAtEveryNamedStepOfARemoteSource(t *testing.T) {
	t.Parallel()
	s := testenv.OpenSSH(t)
	names := points(t)
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "sftp/") })
	if len(names) < 4 {
		t.Fatalf("only %v", names)
	}
	for i, name := range append(names, "watcher/landed", "watcher/closing", "watcher/closed") {
		t.Run(name, func(t *testing.T) { remoteDeath(t, s, fmt.Sprintf("out%d", i), name) })
	}
}

func remoteDeath(t *testing.T, s *testenv.SSHD, folder, at string) {
	l := &landscape{t: t, folder: t.TempDir()}
	l.data = filepath.Join(l.folder, "data")
	l.out = newReceiver(t, l.folder)
	l.out.Start()
	text := fmt.Sprintf(remote, l.data, s.Addr, s.User, s.Key, ssh.FingerprintSHA256(s.HostKeys[ssh.KeyAlgoED25519]), l.out.URL)
	l.must(os.WriteFile(l.path("waybill.yaml"), []byte(strings.Replace(text, "folder: out", "folder: "+folder, 1)), 0o600))
	const files = 4
	for i := range files {
		s.Write(t, fmt.Sprintf("%s/%d.csv", folder, i), fmt.Sprintf("order_no,quantity\nA-%d-1,1\nA-%d-2,2\n", i, i))
	}
	s.Write(t, folder+"/bad.csv", "order_no,quantity\nA-1,many\n")
	l.die([]string{at})
	p := l.serve("")
	want := []string{"0.csv", "1.csv", "2.csv", "3.csv"}
	lies := func(in string) (names []string) {
		list, _ := os.ReadDir(filepath.Join(s.Folder, folder, in))
		for _, e := range list {
			names = append(names, e.Name())
		}
		return names
	}
	p.until(func() bool { return len(lies("done")) >= files && len(lies("failed")) >= 2 && len(lies("")) == 2 })
	p.stop()
	if got := lies("done"); !slices.Equal(got, want) {
		t.Errorf("in done: %v", got)
	}
	if got := lies("failed"); !slices.Equal(got, []string{"bad.csv", "bad.csv.rejects.json"}) {
		t.Errorf("in failed: %v", got)
	}
	keys := map[string]string{}
	for _, a := range l.out.arrivals() {
		if before, again := keys[a.Body]; again && before != a.Key {
			t.Errorf("%s arrived under two keys", a.Body)
		}
		keys[a.Body] = a.Key
	}
	if len(keys) != 2*files {
		t.Errorf("%d orders arrived, want %d", len(keys), 2*files)
	}
}
