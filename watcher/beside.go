package watcher

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// A Distant is a Source where opening a file waits for somebody far away. The small files of a set are then read side by side
// before they land, so that the waiting is shared. Optional.
type Distant interface {
	// Beside is how many files may be read at a time, for all sets together.
	Beside() int
}

// A fetched is a small file that was read before it lands.
type fetched struct {
	text []byte
	err  error // of reading, told after the text
	open error // it could not be opened
}

// fetch reads the files of a set, n at a time.
func (w *Watcher) fetch(ctx context.Context, set []landing, n int) []fetched {
	all := make([]fetched, len(set))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, len(set)) {
		wg.Go(func() {
			for i := range next {
				all[i] = w.fetchOne(ctx, set[i].file)
			}
		})
	}
	for i := range set {
		next <- i
	}
	close(next)
	wg.Wait()
	return all
}

func (w *Watcher) fetchOne(ctx context.Context, f File) (got fetched) {
	r, err := w.src.Open(ctx, f)
	if err != nil {
		return fetched{open: err}
	}
	defer r.Close()                                      // only read from; what matters was told by its last Read
	text := bytes.NewBuffer(make([]byte, 0, f.Size+512)) // inSets bounds it
	_, err = text.ReadFrom(io.LimitReader(r, smallMost+1))
	return fetched{text: text.Bytes(), err: err}
}

// reader gives what was fetched as Open would have.
func (f fetched) reader() (io.ReadCloser, error) {
	if f.open != nil {
		return nil, f.open
	}
	var end io.Reader = bytes.NewReader(nil)
	if f.err != nil {
		end = failing{f.err}
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(f.text), end)), nil
}

// failing is what is left of a file that could not be read to its end.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }
