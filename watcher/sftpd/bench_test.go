package sftpd

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"waybill/testenv"
)

// BenchmarkUpload is P7: OpenSSH's client uploads into this server, where all has landed in the ledger, and into OpenSSH's own, in turns; there once
// as it does by itself, and once asking for each file to be synced (put -f), which is the least that a file needs that is to survive. WAYBILL_BENCH_MB and WAYBILL_BENCH_FILES say how much.
func BenchmarkUpload(b *testing.B) {
	mb, files := number("WAYBILL_BENCH_MB", 100), number("WAYBILL_BENCH_FILES", 1000)
	large := filepath.Join(b.TempDir(), "large.bin")
	if err := os.WriteFile(large, pattern(mb<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	many := b.TempDir()
	for i := range files {
		name := fmt.Sprintf("f%05d.json", i)
		if err := os.WriteFile(filepath.Join(many, name), append([]byte(name), pattern(1024-len(name))...), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	other := testenv.OpenSSH(b)
	_, otherPort, _ := strings.Cut(other.Addr, ":")
	for b.Loop() {
		for _, name := range []string{"ours", "OpenSSH", "synced", "ours", "OpenSSH", "synced"} {
			folder, prefix, put := "in", "", "put"
			var args []string
			if name == "ours" {
				port, key := newRig(b).listen()
				args = append([]string{"-b", "-", "-P", port, "-i", key}, sshOptions...)
				args = append(args, "acme@127.0.0.1")
			} else {
				folder = "in" + fresh()
				if name == "synced" {
					put = "put -f"
				}
				prefix = "mkdir " + folder + "\n"
				args = append([]string{"-b", "-", "-P", otherPort, "-i", other.Key}, sshOptions...)
				args = append(args, other.User+"@127.0.0.1")
			}
			rate := func(what, batch string, units float64) {
				begun := time.Now()
				if out, err := program(b, batch, "sftp", args...); err != nil {
					b.Fatalf("%s: %v\n%s", name, err, out[:min(len(out), 2000)])
				}
				b.Logf("%-8s %-6s %8.1f/s", name, what, units/time.Since(begun).Seconds())
			}
			rate("MB", prefix+put+" "+large+" "+folder+"/large.bin\n", float64(mb)*1.048576)
			rate("files", "cd "+folder+"\nlcd "+many+"\n"+put+" *\n", float64(files))
		}
	}
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}
