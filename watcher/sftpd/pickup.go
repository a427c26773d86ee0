package sftpd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"waybill/watcher"
	"waybill/watcher/wire"
)

// A download is a file that is open for reading: one to be picked up, an upload that is not finished, or what waits in the spool.
type download struct {
	at      place
	content io.ReaderAt
	size    int64
	attrs   wire.Attrs
	got     extents // what was read
	done    func() error
	pick    *os.File // of one to be picked up, else nil
}

// download opens a file for reading.
func (h *handler) download(ctx context.Context, raw string) (*download, error) {
	at, err := h.session.Account.locate(raw)
	if err != nil {
		return nil, err
	}
	if at.folder == nil || at.rest == "" {
		return nil, refusal(wireFailure, "it is a folder")
	}
	h.settled(at.path)
	if at.folder.Right == PickUp && watcher.Ignored(at.rest) {
		return nil, missing() // it is being written
	}
	f, m, err := h.box.jail.open(at.path, unix.O_RDONLY)
	if err == nil {
		d := &download{at: at, content: f, size: m.size, attrs: fileAttrs(m.size, m.mtime), done: f.Close}
		if at.folder.Right == PickUp {
			d.pick = f
		}
		return d, nil
	}
	if at.folder.Right != Drop || !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	w, ok, err := h.box.waiting(ctx, at)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, missing()
	}
	r, err := h.files.Spool.Reader(ctx, w.Object)
	if err != nil {
		return nil, err
	}
	return &download{at: at, content: r, size: w.Size, attrs: fileAttrs(w.Size, w.Landed), done: r.Close}, nil
}

// read reads at an offset.
func (d *download) read(p []byte, off uint64) (int, error) {
	if off > 1<<62 {
		return 0, io.EOF
	}
	n, err := d.content.ReadAt(p, int64(off))
	if n > 0 {
		d.got.add(int64(off), int64(off)+int64(n))
		err = nil
	}
	return n, err
}

// complete reports whether all of it was read.
func (d *download) complete() bool { return d.got.front >= d.size }

// Close ends the reading.
func (d *download) Close() error { return d.done() }

// pickedUp records that a file was fetched whole, once for each version of it: the file itself carries the mark, which goes when it is replaced.
func (h *handler) pickedUp(ctx context.Context, d *download) error {
	if d.pick == nil {
		return nil
	}
	m, err := metaOf(d.pick)
	if err != nil || m.mode&unix.S_ISVTX != 0 {
		return err
	}
	mode := os.FileMode(m.mode & 0o777)
	if err := d.pick.Chmod(mode); err != nil { // another's file cannot be marked: it is told each time, of which there is no end
		return h.note(ctx, "picked up", "path", "/"+d.at.path, "size", d.size)
	}
	if err := h.prove(ctx, "picked up", "path", "/"+d.at.path, "size", d.size); err != nil {
		return err
	}
	return d.pick.Chmod(mode | os.ModeSticky)
}
