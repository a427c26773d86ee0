package watcher_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"waybill/ledger"
	"waybill/testenv"
	"waybill/watcher"
	"waybill/watcher/sftp"
	"waybill/watcher/watchertest"
)

// controlled is jobs whose job keeps the companions of its files.
type controlled struct{ jobs }

func (c controlled) Route(a ledger.Arrival) []ledger.Policy {
	list := c.jobs.Route(a)
	for i := range list {
		list[i].Companions = []string{ledger.RoleCompanion}
	}
	return list
}

// newControlled is a depot where *.csv waits for *.ctl, which is kept; src is nil for its own folder.
func newControlled(t testing.TB, src watcher.Source) *depot {
	t.Helper()
	d := newDepot(t)
	d.SetRouter(controlled{})
	if src == nil {
		src = d.source
	}
	d.Watcher = watcher.New("drop", src, d.Ledger, d.Ledger, watcher.Options{Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Companions: []watcher.Companion{{Name: "{stem}.ctl", Keep: true, Files: func(p string) bool { return strings.HasSuffix(p, ".csv") }}}})
	return d
}

// What a companion says is kept in the transaction that lands its file, and leaves with it: in a folder, and on a server.
func TestWhatACompanionSaysIsKeptWithItsFile(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(*testing.T) (*depot, string){
		"folder": func(t *testing.T) (*depot, string) { d := newControlled(t, nil); return d, d.dir },
		"server": func(t *testing.T) (*depot, string) {
			s := testenv.OpenSSH(t)
			s.MakeFolder(t, "out")
			key, err := os.ReadFile(s.Key)
			must(t, err)
			src, problems := sftp.New(sftp.Options{Address: s.Addr, Login: sftp.Login{User: s.User, Key: string(key)}, Folder: "out",
				HostKey: []string{ssh.FingerprintSHA256(s.HostKeys[ssh.KeyAlgoED25519])}},
				sftp.Files{}, watcher.Settings{Settle: watcher.Settling{Looks: 1}}, sftp.NewServers(time.Now), slog.New(slog.NewTextHandler(&watchertest.Logbook{}, nil)))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			t.Cleanup(src.Leave)
			return newControlled(t, src), filepath.Join(s.Folder, "out")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, dir := place(t)
			ctx := context.Background()
			write := func(name, text string) {
				t.Helper()
				must(t, os.WriteFile(filepath.Join(dir, name+"~"), []byte(text), 0o644))
				must(t, os.Rename(filepath.Join(dir, name+"~"), filepath.Join(dir, name)))
			}
			scan := func(want string) {
				t.Helper()
				must(t, d.ScanOnce(ctx))
				if got := d.why("day.csv"); !strings.HasPrefix(got, want) {
					t.Errorf("day.csv is %s, want %s", got, want)
				}
			}
			write("day.csv", "no\n1\n")
			scan("seen: waits for its companion day.ctl")
			write("day.ctl", strings.Repeat("x", ledger.CompanionMost+1))
			scan("seen: its companion day.ctl has more than 64 KiB")
			write("day.ctl", "count\n1\n")
			scan("landed")
			list, err := d.Claim(ctx, "orders", 10)
			must(t, err)
			if len(list) != 1 {
				t.Fatalf("%d entries", len(list))
			}
			d.Release(list[0])
			files, err := d.Companions(ctx, list[0])
			must(t, err)
			if f := files[ledger.RoleCompanion]; f.Path != "day.ctl" || f.Size != 8 || f.Object == 0 {
				t.Errorf("%+v", f)
			}
			must(t, d.CloseOnce(ctx))
			if _, err := os.Stat(filepath.Join(dir, "day.ctl")); err != nil {
				t.Error("the companion left before its file: ", err)
			}
			d.work(func(ledger.Entry) ledger.State { return ledger.Rejected })
			must(t, d.CloseOnce(ctx))
			for path, want := range map[string]string{"day.csv": "closed: failed/day.csv", "day.ctl": "closed: failed/day.ctl"} {
				if got := d.why(path); got != want {
					t.Errorf("%s is %s", path, got)
				}
				if _, err := os.Stat(filepath.Join(dir, "failed", path)); err != nil {
					t.Error(err)
				}
			}
			write("day.csv", "no\n22\n")
			scan("seen: waits for its companion day.ctl")
		})
	}
}

// A companion that is still being written says nothing yet.
func TestACompanionThatIsStillWrittenIsWaitedFor(t *testing.T) {
	t.Parallel()
	d := newControlled(t, nil)
	must(t, os.WriteFile(filepath.Join(d.dir, "day.csv"), []byte("no\n1\n"), 0o644))
	f, err := os.Create(filepath.Join(d.dir, "day.ctl"))
	must(t, err)
	must(t, d.ScanOnce(context.Background()))
	if got := d.why("day.csv"); got != "seen: waits for its companion day.ctl: somebody has it open for writing" {
		t.Error(got)
	}
	must(t, f.Close())
}
