package sftpd

import (
	"os"
	"strings"
	"testing"
)

// TestClientsCutAtPackets is R9: the connections of real clients are cut in the middle of an upload of 1 MiB. Nothing is published, and the client's own
// way to go on completes it. More cuts with WAYBILL_EVERY_BYTE=1.
func TestClientsCutAtPackets(t *testing.T) {
	t.Parallel()
	whole := pattern(1 << 20)
	cuts := []int64{4000, 300_000, 900_000}
	if os.Getenv("WAYBILL_EVERY_BYTE") != "" {
		cuts = nil
		for n := int64(1000); n < 1_100_000; n += 17_011 {
			cuts = append(cuts, n)
		}
	}
	for name, upload := range map[string]func(r *rig, port, key, file string, resume bool) (string, error){
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
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			port, key := r.listen()
			file := r.file("a.csv", whole)
			for _, n := range cuts {
				before := len(r.entries())
				out, err := upload(r, r.proxy(port, n), key, file, false)
				r.idle()
				if got := len(r.entries()); got != before {
					t.Fatalf("cut at %d: published (%v)\n%s", n, err, out)
				}
				resume := false
				kept, err := r.part("in/a.csv")
				if err == nil {
					resume = true
				} else if n > 100_000 {
					t.Errorf("cut at %d: nothing was kept\n%s", n, out)
				}
				if out, err = upload(r, port, key, file, resume); err != nil {
					t.Fatalf("cut at %d, gone on at %d: %v\n%s", n, kept, err, out)
				}
				r.idle()
				r.landed("a.csv", whole)
				if got := len(r.entries()); got != before+1 {
					t.Fatalf("cut at %d: %d entries", n, got-before)
				}
			}
		})
	}
}
