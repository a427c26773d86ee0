package sftp

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"waybill/testenv"
	"waybill/watcher"
)

// P8: fetching from an OpenSSH server, ours beside OpenSSH's own client, both into files.
//
//	go test -run '^$' -bench Fetch -benchtime 1x -count 5 ./watcher/sftp
func BenchmarkFetch(b *testing.B) {
	for _, load := range []struct {
		name  string
		files int
		size  int
	}{{"small", 10_000, 1 << 10}, {"large", 1, 500_000_000}} {
		s := testenv.OpenSSH(b)
		s.MakeFolder(b, "out")
		text := []byte(strings.Repeat(noise(1<<10), load.size>>10+1))[:load.size]
		for i := range load.files {
			must(b, os.WriteFile(filepath.Join(s.Folder, "out", fmt.Sprintf("orders_%05d.csv", i)), text, 0o644))
		}
		for name, fetch := range map[string]func(*testing.B, *testenv.SSHD, string){"waybill": fetchOurs, "OpenSSH": fetchOpenSSH} {
			b.Run(load.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					to := b.TempDir()
					b.StartTimer()
					fetch(b, s, to)
					b.StopTimer()
					if got := filesBelow(b, to); got != load.files {
						b.Fatalf("%d files, want %d", got, load.files)
					}
					must(b, os.RemoveAll(to))
					b.StartTimer()
				}
				each := b.Elapsed().Seconds() / float64(b.N)
				b.ReportMetric(float64(load.files)/each, "files/s")
				b.ReportMetric(float64(load.files*load.size)/1e6/each, "MB/s")
			})
		}
	}
}

func filesBelow(b *testing.B, folder string) (n int) {
	b.Helper()
	must(b, filepath.WalkDir(folder, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	return n
}

// fetchOpenSSH begins with its login, as ours does.
func fetchOpenSSH(b *testing.B, s *testenv.SSHD, to string) {
	host, port, _ := strings.Cut(s.Addr, ":")
	cmd := exec.Command("sftp", "-q", "-b", "-", "-P", port, "-i", s.Key, "-o", "UserKnownHostsFile="+s.KnownHosts, "-o", "IdentitiesOnly=yes", s.User+"@"+host)
	cmd.Stdin = strings.NewReader("get -r out " + to + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("sftp: %v\n%s", err, out)
	}
}

// fetchOurs verifies as well, and digests, as landing does.
func fetchOurs(b *testing.B, s *testenv.SSHD, to string) {
	src := onServer(b, s, usual())
	defer src.Leave()
	list := make(chan watcher.File)
	var wg sync.WaitGroup
	for range src.Beside() {
		wg.Go(func() {
			for f := range list {
				r, err := src.Open(b.Context(), f)
				if err != nil {
					b.Error(err)
					continue
				}
				w, err := os.Create(filepath.Join(to, f.Path))
				if err == nil {
					_, err = io.Copy(io.MultiWriter(w, sha256.New()), r)
				}
				if err != nil {
					b.Error(err)
				}
				_, _ = w.Close(), r.Close()
			}
		})
	}
	for f, err := range src.List(b.Context()) {
		must(b, err)
		list <- f
	}
	close(list)
	wg.Wait()
}
