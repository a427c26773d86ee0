package sftpd

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNothingButPlainFilesIsTouched is 43 of the hostile inputs.
func TestNothingButPlainFilesIsTouched(t *testing.T) {
	t.Parallel()
	for _, walk := range []bool{false, true} {
		dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "canary")
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.WriteFile(outside, []byte("secret"), 0o600))
		must(os.WriteFile(filepath.Join(dir, "plain"), []byte("fine"), 0o600))
		must(os.Symlink(outside, filepath.Join(dir, "link")))
		must(os.Symlink(filepath.Dir(outside), filepath.Join(dir, "linked")))
		must(os.Symlink("plain", filepath.Join(dir, "inner")))
		must(unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
		must(os.Mkdir(filepath.Join(dir, "x.csv"), 0o700))
		if err := os.Link(outside, filepath.Join(dir, "hard")); err != nil {
			t.Logf("no hard link to another folder: %v", err)
		}
		must(os.WriteFile(filepath.Join(dir, "twice"), nil, 0o600))
		must(os.Link(filepath.Join(dir, "twice"), filepath.Join(dir, "again")))
		j, err := openJail(dir)
		must(err)
		j.walk = walk
		f, _, err := j.open("plain", unix.O_RDONLY)
		must(err)
		if b, err := io.ReadAll(f); err != nil || string(b) != "fine" {
			t.Errorf("plain: %q, %v", b, err)
		}
		must(f.Close())
		for _, name := range []string{"link", "linked/canary", "inner", "fifo", "x.csv", "hard", "again", "twice", "../" + filepath.Base(dir) + "/plain", "/etc/passwd"} {
			if f, _, err := j.open(name, unix.O_RDWR); err == nil {
				t.Errorf("walk %t: %s was opened", walk, name)
				_ = f.Close()
			} else if name == "link" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := j.make("linked/new"); err == nil {
			t.Error("a file was made through a link")
		}
		if err := j.rename("plain", "linked/plain"); err == nil {
			t.Error("a file was moved through a link")
		}
		if err := j.remove("linked/canary"); err == nil {
			t.Error("a file was removed through a link")
		}
		must(j.close())
	}
}

// TestSwappedLinksLeadNowhere is S3: a folder of the mailbox is swapped for a link out of it, again and again, while the mailbox is used.
func TestSwappedLinksLeadNowhere(t *testing.T) {
	t.Parallel()
	const races = 3000
	for _, walk := range []bool{false, true} {
		top := t.TempDir()
		dir, out := filepath.Join(top, "box"), filepath.Join(top, "outside")
		for _, d := range []string{dir, out, filepath.Join(dir, "real")} {
			if err := os.Mkdir(d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for d, text := range map[string]string{out: "canary", filepath.Join(dir, "real"): "inside"} {
			if err := os.WriteFile(filepath.Join(d, "file"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(out, filepath.Join(dir, "evil")); err != nil {
			t.Fatal(err)
		}
		j, err := openJail(dir)
		if err != nil {
			t.Fatal(err)
		}
		j.walk = walk
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { // real and evil take turns at being called "in"
			in := filepath.Join(dir, "in")
			for {
				for _, who := range []string{"real", "evil"} {
					select {
					case <-stop:
						return
					default:
					}
					_ = os.Rename(filepath.Join(dir, who), in)
					_ = os.Rename(in, filepath.Join(dir, who))
				}
			}
		})
		seen := 0
		for range races {
			if f, _, err := j.open("in/file", unix.O_RDONLY); err == nil {
				b, _ := io.ReadAll(f)
				_ = f.Close()
				if string(b) != "inside" {
					t.Fatalf("walk %t: read %q", walk, b)
				}
				seen++
			}
			if f, err := j.make("in/new"); err == nil {
				_ = f.Close()
			}
			_ = j.rename("in/new", "in/newer")
			_ = j.remove("in/newer")
			_ = j.makeFolder("in/folder")
			_ = j.removeFolder("in/folder")
		}
		close(stop)
		wg.Wait()
		if seen == 0 {
			t.Log("the real folder was never met")
		}
		list, err := os.ReadDir(out)
		if err != nil || len(list) != 1 || list[0].Name() != "file" {
			t.Errorf("walk %t: outside is %v, %v", walk, list, err)
		}
		if b, err := os.ReadFile(filepath.Join(out, "file")); err != nil || string(b) != "canary" {
			t.Errorf("walk %t: the canary is %q, %v", walk, b, err)
		}
		_ = j.close()
	}
}
