package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"waybill/store"
)

const (
	sweepAge   = 24 * time.Hour // nobody takes that long between the last write and the commit
	sweepChunk = 100
)

// Sweep removes files that no object names, a day after they were last written, and returns how many. It
// never touches another file. It may run at any time, in several processes.
func (s *Spool) Sweep(ctx context.Context) (int, error) {
	removed, err := s.sweepFolder(ctx, temporary, s.removeTemps)
	if err != nil {
		return removed, err
	}
	for i := range 256 {
		n, err := s.sweepFolder(ctx, subName(byte(i)), s.removeUnnamed)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// sweepFolder gives the old files of one sub folder to remove, in chunks, so that memory does not grow with the folder.
func (s *Spool) sweepFolder(ctx context.Context, sub string, remove func(context.Context, []string) (int, error)) (int, error) {
	d, err := os.Open(filepath.Join(s.folder, sub))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // nothing was ever kept there
	}
	if err != nil {
		return 0, fmt.Errorf("sweep spool: %w", err)
	}
	defer d.Close()
	removed := 0
	for {
		list, readErr := d.ReadDir(sweepChunk)
		var old []string
		for _, e := range list {
			info, err := e.Info()
			if err == nil && info.Mode().IsRegular() && s.now().Sub(changed(info)) > sweepAge && isName(e.Name()) {
				old = append(old, e.Name())
			}
		}
		if len(old) > 0 {
			n, err := remove(ctx, old)
			removed += n
			if err != nil {
				return removed, fmt.Errorf("sweep spool: %w", err)
			}
		}
		if readErr == io.EOF {
			return removed, nil
		}
		if readErr != nil {
			return removed, fmt.Errorf("sweep spool: %w", readErr)
		}
		if err := ctx.Err(); err != nil {
			return removed, fmt.Errorf("sweep spool: %w", context.Cause(ctx))
		}
	}
}

// changed is when the file, or its name, was last changed. The time of its bytes may be what a sender says.
func changed(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}

// isName tells the spool's own files from what somebody else has laid there.
func isName(name string) bool {
	if len(name) != 32 {
		return false
	}
	for _, c := range []byte(name) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (s *Spool) removeTemps(_ context.Context, names []string) (int, error) {
	removed := 0
	for _, name := range names {
		if err := os.Remove(s.temp(name)); err == nil {
			removed++
		} else if !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
	}
	return removed, nil
}

// removeUnnamed takes away those of names that have no row.
func (s *Spool) removeUnnamed(ctx context.Context, names []string) (int, error) {
	unnamed, err := missing(s.db.Reader(ctx), names)
	if err != nil || len(unnamed) == 0 {
		return 0, err
	}
	// Looked at once more under the write lock, so that no row can appear between look and rename whatever the clocks say:
	// Commit finds the file either there, with its row to come, or gone. The unlinking itself, which may
	// take its time, is done outside.
	var taken []string
	err = s.db.Tx(ctx, func(tx *store.Tx) error {
		unnamed, err := missing(tx, unnamed)
		if err != nil {
			return err
		}
		for _, name := range unnamed {
			if err := os.Rename(s.path(name), s.temp(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			taken = append(taken, name)
		}
		return nil
	})
	n, removeErr := s.removeTemps(ctx, taken)
	return n, errors.Join(err, removeErr)
}

// Settle says whether a row names the file, which its writer was killed over. One that no row names is taken away, if it is there.
func (s *Spool) Settle(ctx context.Context, name string) (kept bool, err error) {
	if !isName(name) {
		return false, fmt.Errorf("settle object: %q is no name of one", name)
	}
	none, err := missing(s.db.Reader(ctx), []string{name})
	if err == nil && len(none) > 0 {
		_, err = s.removeUnnamed(ctx, none)
	}
	if err != nil {
		return false, fmt.Errorf("settle object: %w", err)
	}
	return len(none) == 0, nil
}

// Where is the path of the file of an object by its name.
func (s *Spool) Where(name string) string { return s.path(name) }

// missing returns those of names that no object has.
func missing(r store.Reader, names []string) ([]string, error) {
	var none []string
	for _, name := range names {
		var id int64
		err := r.QueryRow(`SELECT id FROM objects WHERE name = ?`, name).Scan(&id)
		if errors.Is(err, store.ErrNotFound) {
			none = append(none, name)
		} else if err != nil {
			return nil, err
		}
	}
	return none, nil
}
