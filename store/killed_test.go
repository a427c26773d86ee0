package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// roles are what this test binary does when it is started as another process, with a data folder as its argument.
var roles = map[string]func(folder string) error{
	"writes and tells":  writeAndTell,
	"executes and busy": executeBusily,
}

const roleVariable = "WAYBILL_STORE_ROLE"

// play starts this binary in a role. What it prints can be read.
func play(t testing.TB, role, folder string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0], folder)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	return cmd, bufio.NewReader(out)
}

// writeAndTell writes rows from many goroutines and prints the name of each once it is said to be durable.
func writeAndTell(folder string) error {
	db, err := Open(context.Background(), Options{Folder: folder, AcceptDataLoss: true})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for i := range 16 {
		wg.Go(func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("%d-%d-%d", os.Getpid(), i, n)
				if err := db.Tx(context.Background(), func(tx *Tx) error { return mark(tx, name, n) }); err != nil {
					errs <- err
					return
				}
				if _, err := fmt.Println(name); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(<-errs, db.Close())
}

func TestAKilledProcessLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	chance := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
	var told []string
	for range 10 {
		cmd, out := play(t, "writes and tells", folder)
		for range 1 + chance.IntN(200) {
			name, err := out.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			told = append(told, strings.TrimSpace(name))
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(out) // told before it died
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.Lines(string(rest)) {
			if strings.HasSuffix(name, "\n") {
				told = append(told, strings.TrimSpace(name))
			}
		}
	}
	db := open(t, folder)
	got := marks(t, db)
	for _, name := range told {
		if _, ok := got[name]; !ok {
			t.Fatalf("%s was acknowledged and is gone (of %d)", name, len(told))
		}
	}
	var verdict string
	if err := db.Reader(t.Context()).QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity check: %s, %v", verdict, err)
	}
}

// executeBusily holds the executor's lock and commits group after group until it is killed.
func executeBusily(folder string) error {
	db, err := Open(context.Background(), Options{Folder: folder, AcceptDataLoss: true})
	if err != nil {
		return err
	}
	if _, err := db.TryExecutor("busy"); err != nil {
		return err
	}
	// Its parent's end must be its own: nobody else ends it.
	parent := os.Getppid()
	life, cancel := context.WithCancel(context.Background())
	defer cancel()
	time.AfterFunc(2*time.Minute, cancel)
	var wg sync.WaitGroup
	var once sync.Once
	for i := range 64 {
		wg.Go(func() {
			for n := 0; life.Err() == nil && os.Getppid() == parent; n++ {
				_ = db.Tx(life, func(tx *Tx) error {
					_, err := tx.Exec("INSERT INTO marks (job, name, at) VALUES ('busy', ?, ?) ON CONFLICT (job, name) DO UPDATE SET at = excluded.at", i, n)
					return err
				})
				if n == 20 {
					once.Do(func() { fmt.Println("busy") })
				}
			}
		})
	}
	wg.Wait()
	return db.Close()
}
