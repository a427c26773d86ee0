package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"

	"golang.org/x/sys/unix"

	"waybill/ledger"
	"waybill/watcher"
)

// deepest bounds how far a recursive listing goes down.
const deepest = 32

// List implements [watcher.Source].
func (s *Source) List(ctx context.Context) iter.Seq2[watcher.File, error] {
	return func(yield func(watcher.File, error) bool) {
		r, err := s.open()
		if err != nil {
			yield(watcher.File{}, err)
			return
		}
		defer r.close()
		if s.remote = r.isRemote(); s.remote {
			s.once("network file system: new files are found by looking, and taken when they have stopped changing")
		}
		folders := []string{""}
		for len(folders) > 0 && ctx.Err() == nil {
			last := len(folders) - 1
			path := folders[last]
			below, goOn := s.listFolder(ctx, r, path, yield)
			if !goOn {
				return
			}
			folders = append(folders[:last], below...)
		}
	}
}

// listFolder yields the files of one folder and returns the folders in it that are to be listed as well.
func (s *Source) listFolder(ctx context.Context, r *root, path string, yield func(watcher.File, error) bool) (below []string, goOn bool) {
	s.watch(path)
	away := func(err error) bool {
		if path == "" {
			err = fmt.Errorf("%w: %w", watcher.ErrAway, err)
		}
		return yield(watcher.File{}, err) && path != ""
	}
	dir, err := r.folder(path)
	if errors.Is(err, fs.ErrNotExist) && path != "" {
		return nil, true
	}
	if err != nil {
		return nil, away(fmt.Errorf("list folder %s: %w", ledger.Shown(path), err))
	}
	names := dir.listing()
	defer names.Close() // only read from
	prefix := path
	if path != "" {
		prefix += "/"
	}
	for ctx.Err() == nil {
		set, err := names.ReadDir(watcher.SetSize)
		for _, d := range set {
			if !s.listEntry(dir, prefix, d, &below, yield) {
				return nil, false
			}
		}
		if err == io.EOF {
			return below, true
		}
		if err != nil {
			return below, away(fmt.Errorf("list folder %s: %w", ledger.Shown(path), err))
		}
	}
	return below, true
}

// listEntry yields one entry of dir, or adds it to the folders below.
func (s *Source) listEntry(dir *handle, prefix string, d fs.DirEntry, below *[]string, yield func(watcher.File, error) bool) bool {
	name := d.Name()
	if watcher.Ignored(name) {
		return true
	}
	path := prefix + name
	if d.IsDir() {
		if s.fates.Reserved(path) {
			return true
		}
		if s.recursive && strings.Count(path, "/") < deepest {
			*below = append(*below, path)
			return true
		}
	}
	m, err := statAt(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return true // gone since it was read
	}
	if err != nil {
		return yield(watcher.File{}, fmt.Errorf("look at %s: %w", ledger.Shown(path), err))
	}
	return yield(m.file(path), nil)
}

// watch adds the folder at path to those that hint at new files.
func (s *Source) watch(path string) {
	s.mu.Lock()
	w := s.hints
	s.mu.Unlock()
	if w == nil || s.remote {
		return
	}
	full := s.path
	if path != "" {
		full += "/" + path
	}
	err := w.Add(full)
	switch {
	case errors.Is(err, unix.ENOSPC):
		s.once("no more folders can be watched, new files are found by looking: raise fs.inotify.max_user_watches", "error", err)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		s.once("folder cannot be watched, new files are found by looking", "error", err)
	}
}

// Stat implements [watcher.Stater].
func (s *Source) Stat(_ context.Context, path string) (watcher.File, error) {
	r, err := s.open()
	if err != nil {
		return watcher.File{}, err
	}
	defer r.close()
	m, err := r.stat(path)
	if err != nil {
		return watcher.File{}, err
	}
	return m.file(path), nil
}
