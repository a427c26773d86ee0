package sftpd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/testenv"
)

// uploads are ways to send a file to in/a.csv, anew or going on with what is there.
var uploads = map[string]func(r *rig, port, key, file string, resume bool) (string, error){
	"sftp": func(r *rig, port, key, file string, resume bool) (string, error) {
		verb := map[bool]string{false: "put ", true: "reput "}[resume]
		args := append([]string{"-b", "-", "-P", port, "-i", key}, sshOptions...)
		return program(r.t, verb+file+" in/a.csv\n", "sftp", append(args, "acme@127.0.0.1")...)
	},
	"lftp": func(r *rig, port, key, file string, resume bool) (string, error) {
		verb := map[bool]string{false: "put ", true: "reput "}[resume]
		return program(r.t, "", "lftp", "-c", "set sftp:auto-confirm yes; set net:max-retries 1; set net:reconnect-interval-base 1; set net:persist-retries 0; set net:timeout 5; set cmd:fail-exit yes; "+
			"set sftp:connect-program 'ssh -a -x -i "+key+" "+strings.Join(sshOptions, " ")+"'; open -u acme,x -p "+port+" sftp://127.0.0.1; "+verb+file+" -o in/a.csv")
	},
	"psftp": func(r *rig, port, key, file string, resume bool) (string, error) {
		verb := map[bool]string{false: "put ", true: "reput "}[resume]
		batch := r.file("batch", []byte(verb+file+" in/a.csv\nquit\n"))
		return program(r.t, "", "psftp", "-batch", "-hostkey", r.hostKey, "-P", port, "-pw", "x", "-b", batch, "acme@127.0.0.1")
	},
	"paramiko": func(r *rig, port, _, file string, resume bool) (string, error) {
		return program(r.t, `
import paramiko
t = paramiko.Transport(("127.0.0.1", `+port+`))
t.connect(username="acme", password="x")
c = paramiko.SFTPClient.from_transport(t)
with c.open("in/a.csv", "`+map[bool]string{false: "wb", true: "ab"}[resume]+`") as f:
    b = open("`+file+`", "rb").read()[f.tell():]
    for i in range(0, len(b), 32768): f.write(b[i:i+32768])
t.close()
`, "/usr/bin/python3", "-W", "ignore", "-")
	},
	"asyncssh": func(r *rig, port, _, file string, resume bool) (string, error) {
		return program(r.t, `
import asyncio, asyncssh
async def main():
    async with asyncssh.connect("127.0.0.1", `+port+`, username="acme", password="x", known_hosts=None, client_keys=None, config=None) as conn:
        async with conn.start_sftp_client() as c:
            async with c.open("in/a.csv", "`+map[bool]string{false: "wb", true: "ab"}[resume]+`") as f:
                b = open("`+file+`", "rb").read()[await f.tell():]
                for i in range(0, len(b), 32768): await f.write(b[i:i+32768])
asyncio.run(main())
`, "/usr/bin/python3", "-W", "ignore", "-")
	},
}

// TestClientsCutAtPackets is R9: the connections of real clients are cut in the middle of an upload of 1 MiB, below SSH: within the login, after
// each packet of the upload, about the CLOSE, and where the answers go. Nothing is published whose CLOSE did not come, and the client's own way to go on
// completes the rest. All places with WAYBILL_CUTS=all, else a few.
func TestClientsCutAtPackets(t *testing.T) {
	t.Parallel()
	for name, upload := range uploads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			port, key := r.listen()
			whole := pattern(1 << 20)
			file := r.file("a.csv", whole)
			p := testenv.NewProxy(t, "127.0.0.1:"+port)
			_, through, _ := strings.Cut(p.Addr(), ":")
			begin := time.Now()
			if out, err := upload(r, through, key, file, false); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			r.idle()
			r.landed("a.csv", whole)
			list := clientCuts(p.Passed())
			for _, at := range list {
				before := len(r.entries())
				p.CutLast(at.direction, at.bytes) // lftp would come again by itself, and close a file that it has not sent whole
				out, err := upload(r, through, key, file, false)
				p.Kick()
				r.idle()
				if len(r.entries()) > before { // its CLOSE came through
					if got, _ := r.content("acme/a.csv"); got != string(whole) {
						t.Fatalf("cut %v (%v): %d bytes landed\n%s", at, err, len(got), out)
					}
					continue
				}
				kept, none := r.part("in/a.csv")
				if none != nil && at.direction == 0 && at.bytes > 300_000 { // OpenSSH sends 255 KiB at a time
					t.Errorf("cut %v (%v): nothing was kept\n%s", at, err, out)
				}
				out, err = upload(r, port, key, file, none == nil)
				if err != nil && kept == int64(len(whole)) { // OpenSSH's has nothing to go on with, and says so
					out, err = upload(r, port, key, file, false)
				}
				if err != nil {
					t.Fatalf("cut %v, gone on at %d: %v\n%s", at, kept, err, out)
				}
				r.idle()
				r.landed("a.csv", whole)
				if got := len(r.entries()); got != before+1 {
					t.Fatalf("cut %v, gone on at %d (%v): %d entries\n%s", at, kept, none, got-before, out)
				}
			}
			t.Logf("cut at %d places in %s", len(list), time.Since(begin).Round(time.Second/10))
		})
	}
}

// A clientCut is after how many bytes to the server (0) or from it (1) a connection ends.
type clientCut struct {
	direction int
	bytes     int64
}

func (c clientCut) String() string {
	return fmt.Sprintf("after %d bytes in direction %d", c.bytes, c.direction)
}

// clientCuts are where to cut a client whose upload takes so many bytes in each direction.
func clientCuts(passed [2]int64) []clientCut {
	sent, got := passed[0], passed[1]
	if !testenv.EveryCut() {
		return []clientCut{{0, 1900}, {0, sent / 3}, {0, sent - 100}, {1, got * 2 / 3}}
	}
	var list []clientCut
	for n := int64(500); n < 5000; n += 500 { // the login, and OPEN
		list = append(list, clientCut{0, n})
	}
	for n := int64(5000); n < sent; n += 16 << 10 { // WRITEs of 32 KiB and their SSH packets
		list = append(list, clientCut{0, n})
	}
	for n := int64(20); n < 400; n += 20 { // CLOSE, and what comes after it
		list = append(list, clientCut{0, sent - n})
	}
	for n := got / 10; n < got; n += got / 10 { // what the server answers
		list = append(list, clientCut{1, n})
	}
	return list
}
