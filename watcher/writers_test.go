package watcher_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"waybill/watcher"
)

// A writer is a program that drops one file, badly: it writes in pieces, begins anew, appends after it has closed, replaces, sets times.
// What the file held when the writer closed it is a version; nothing else ever was.
type writer struct {
	t    testing.TB
	rng  *rand.Rand
	path string

	mu       sync.Mutex
	versions map[string]bool
	last     string
}

// session opens the file, writes some pieces, and closes it.
func (w *writer) session(path string, flags int) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|flags, 0o644)
	if err != nil {
		w.t.Error(err)
		return
	}
	for range 1 + w.rng.IntN(5) {
		switch w.rng.IntN(6) {
		case 0: // a gap that is filled later, or never
			_, err = f.WriteAt([]byte(w.piece()), int64(w.rng.IntN(10_000)))
			if flags&os.O_APPEND != 0 {
				err = nil // refused by the package os
			}
		case 1:
			err = f.Truncate(int64(w.rng.IntN(2_000)))
		case 2:
			err = w.throughMemory(f)
		default:
			_, err = f.WriteString(w.piece())
		}
		if err != nil {
			w.t.Error(err)
		}
		for range w.rng.IntN(50) {
			runtime.Gosched()
		}
	}
	if w.rng.IntN(3) == 0 { // times that lie
		at := []time.Time{time.Unix(0, 0), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}[w.rng.IntN(3)]
		if err := os.Chtimes("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), at, at); err != nil {
			w.t.Error(err)
		}
	}
	w.closes(f, path == w.path)
}

// closes notes what the file holds, and closes it.
func (w *writer) closes(f *os.File, named bool) {
	info, err := f.Stat()
	must(w.t, err)
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil && len(b) > 0 {
		w.t.Error(err)
	}
	w.mu.Lock()
	w.versions[string(b)] = true
	if named {
		w.last = string(b)
	}
	w.mu.Unlock()
	must(w.t, f.Close())
}

func (w *writer) piece() string {
	return strings.Repeat(fmt.Sprintf("%08x;", w.rng.Uint32()), 1+w.rng.IntN(300))
}

// throughMemory changes the file as a program does that has it mapped.
func (w *writer) throughMemory(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	copy(m[w.rng.IntN(len(m)):], w.piece())
	return unix.Munmap(m)
}

// write does all that the writer does.
func (w *writer) write() {
	for range 1 + w.rng.IntN(4) {
		switch w.rng.IntN(6) {
		case 0: // a careful one: a temporary name, then renamed, over what may be there
			w.session(w.path+".part", os.O_TRUNC)
			w.renames(w.path + ".part")
		case 1: // another inode takes the name
			if err := os.Remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				w.t.Error(err)
			}
			w.session(w.path, 0)
		case 2:
			w.session(w.path, os.O_APPEND)
		case 3:
			w.session(w.path, os.O_TRUNC)
		case 4: // renamed out and in again
			if err := os.Rename(w.path, w.path+".tmp"); err == nil {
				w.renames(w.path + ".tmp")
			}
		default:
			w.session(w.path, 0)
		}
	}
}

func (w *writer) renames(from string) {
	b, err := os.ReadFile(from)
	must(w.t, err)
	w.mu.Lock()
	w.last = string(b)
	w.mu.Unlock()
	must(w.t, os.Rename(from, w.path))
}

// R10 of the reliability goals: nothing is taken that its writer had not finished, and what he finished last is never lost. WAYBILL_WRITERS
// sets how many there are.
func TestR10WhatIsLandedWasClosedByItsWriter(t *testing.T) {
	t.Parallel()
	n := 2_000
	if v, err := strconv.Atoi(os.Getenv("WAYBILL_WRITERS")); err == nil {
		n = v
	}
	y := newYard(t, func(o *watcher.Options) { o.Now, o.Poll = time.Now, time.Second })
	start(t, y.Watcher)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	writers := make([]*writer, n)
	for i := range writers {
		writers[i] = &writer{t: t, rng: rand.New(rand.NewPCG(seed, uint64(i))), path: y.path(fmt.Sprintf("orders_%d.csv", i)), versions: map[string]bool{}}
	}
	next := make(chan *writer)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for w := range next {
				w.write()
			}
		})
	}
	for _, w := range writers {
		next <- w
	}
	close(next)
	all.Wait()

	texts := func(i int) (list []string) { // the book's lock is held
		for _, f := range y.book.files {
			if f.Path == fmt.Sprintf("orders_%d.csv", i) {
				list = append(list, f.text)
			}
		}
		return list
	}
	done := 0
	y.book.await(t, "the last version of every file has landed", func() bool {
		for done < n && (writers[done].last == "" && len(writers[done].versions) == 0 || contains(texts(done), writers[done].last)) {
			done++
		}
		return done == n
	})
	y.book.mu.Lock()
	defer y.book.mu.Unlock()
	for i, w := range writers {
		for _, text := range texts(i) {
			if !w.versions[text] {
				t.Errorf("orders_%d.csv landed with %d bytes that its writer never closed it with", i, len(text))
			}
		}
	}
}

func contains(list []string, text string) bool {
	for _, s := range list {
		if s == text {
			return true
		}
	}
	return false
}

// R11, and reported failure 12: far more events than the queue of inotify holds, and each file is taken, once.
func TestR11ABurstBeyondTheQueueOfEventsIsTakenWhole(t *testing.T) {
	t.Parallel()
	const writers, each = 8, 2_500 // some 60,000 events; the queue holds 16,384
	y := newYard(t, func(o *watcher.Options) { o.Now, o.Poll = time.Now, time.Second })
	start(t, y.Watcher)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				y.write(fmt.Sprintf("%d_%d.csv", w, i), fmt.Sprintf("%d_%d.csv", w, i))
			}
		})
	}
	all.Wait()
	y.book.await(t, "every file is closed", func() bool { return y.book.closed() >= writers*each })
	y.book.mu.Lock()
	defer y.book.mu.Unlock()
	seen := map[string]bool{}
	for _, f := range y.book.files {
		if f.text != f.Path || seen[f.Path] {
			t.Errorf("%s landed with %q, before: %v", f.Path, f.text, seen[f.Path])
		}
		seen[f.Path] = true
	}
	if len(seen) != writers*each {
		t.Errorf("%d files landed, not %d", len(seen), writers*each)
	}
}
