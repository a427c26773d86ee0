package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"waybill/failpoint"
	"waybill/ledger"
	"waybill/watcher"
)

// errNoLease says that leases prove nothing here.
var errNoLease = errors.New("no read lease")

// lease asks the kernel for a read lease on f, which it grants only while nobody has the file open for writing. The
// error is watcher.ErrBusy or errNoLease. Closing f gives it back.
func lease(f *handle) error {
	_, err := unix.FcntlInt(uintptr(f.fd), unix.F_SETLEASE, unix.F_RDLCK)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EAGAIN):
		return watcher.ErrBusy
	}
	// EACCES: neither the owner nor CAP_LEASE. EINVAL and others: a file system without leases.
	return fmt.Errorf("%w: %w", errNoLease, err)
}

// stands reports whether the lease on f does: nobody wants to open it for writing.
func stands(f *handle) bool {
	kind, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETLEASE, 0)
	return err == nil && kind == unix.F_RDLCK
}

// Ready implements [watcher.Source].
func (s *Source) Ready(_ context.Context, f watcher.File) (ok bool, reason string, wait time.Duration, err error) {
	r, err := s.open()
	if err != nil {
		return false, "", 0, err
	}
	defer r.close()
	file, err := r.openVersion(f)
	if errors.Is(err, watcher.ErrChanged) {
		return false, "is being changed", s.backOff(f.Path), nil
	}
	if err != nil {
		return false, "", 0, err
	}
	defer file.Close() // only looked at; gives the lease back
	err = errNoLease
	if !s.remote {
		err = lease(file)
	}
	switch {
	case err == nil:
		delete(s.writers, f.Path)
		return true, "", 0, nil
	case errors.Is(err, watcher.ErrBusy):
		return false, "somebody has it open for writing", s.backOff(f.Path), nil
	}
	if !s.remote {
		s.once("no read lease, so files are taken when they have stopped changing: run as their owner or give waybill CAP_LEASE", "error", err)
	}
	ok, reason, wait = s.settle.Look(f)
	return ok, reason, wait, nil
}

// backOff returns when to look again at a file that is being written: soon at first, because most are written in
// a moment, then up to a second. What it remembers is only for that, so it may be thrown away.
func (s *Source) backOff(path string) time.Duration {
	if len(s.writers) > 10_000 {
		clear(s.writers)
	}
	n := s.writers[path]
	s.writers[path] = n + 1
	return min(2*time.Millisecond<<min(n, 20), time.Second)
}

// openVersion opens the version of f that was listed. The error is watcher.ErrChanged if it is another one now.
func (r *root) openVersion(f watcher.File) (*handle, error) {
	file, err := r.at(f.Path, unix.O_RDONLY)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return nil, fmt.Errorf("open %s: %w: it is no ordinary file any more", ledger.Shown(f.Path), watcher.ErrChanged)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ledger.Shown(f.Path), errors.Unwrap(err))
	}
	m, err := metaOf(file)
	if err == nil && (m.version() != f.Version || m.skip() != "") {
		err = fmt.Errorf("open %s: %w", ledger.Shown(f.Path), watcher.ErrChanged)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Open implements [watcher.Source].
func (s *Source) Open(_ context.Context, f watcher.File) (io.ReadCloser, error) {
	r, err := s.begin(f)
	switch {
	case err != nil:
		return nil, err
	case errors.Is(r.unproven, watcher.ErrBusy):
		_ = r.Close() // only looked at
		return nil, fmt.Errorf("open %s: %w", ledger.Shown(f.Path), r.unproven)
	}
	return r, nil
}

// Take implements [watcher.Taker]: a lease is the proof.
func (s *Source) Take(_ context.Context, f watcher.File) (io.ReadCloser, error) {
	r, err := s.begin(f)
	if err == nil && r.unproven != nil {
		_ = r.Close() // only looked at
		err = r.unproven
	}
	if errors.Is(err, watcher.ErrBusy) || errors.Is(err, errNoLease) || errors.Is(err, watcher.ErrChanged) {
		err = fmt.Errorf("%w: %w", watcher.ErrUnproven, err)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// begin opens f and asks for a lease on it.
func (s *Source) begin(f watcher.File) (*reader, error) {
	r, err := s.open()
	if err != nil {
		return nil, err
	}
	defer r.close()
	file, err := r.openVersion(f)
	if err != nil {
		return nil, err
	}
	err = errNoLease
	if !r.isRemote() {
		err = lease(file)
	}
	failpoint.Hit("local/opened")
	return &reader{file: file, f: f, left: f.Size, unproven: err}, nil
}

// A reader reads one version of a file.
type reader struct {
	file *handle
	f    watcher.File
	left int64 // bytes until the end

	unproven error // why there is no lease, nil when there is one
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	leased := r.unproven == nil
	var n int
	err := io.EOF
	if !leased || r.left > 0 { // nobody lets a file grow that is leased
		n, err = r.file.Read(p)
	}
	r.left -= int64(n)
	switch {
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("read %s: %w", ledger.Shown(r.f.Path), errors.Unwrap(err))
	case r.left < 0:
		return n, r.changed() // and it may grow for ever
	case leased && (r.left > 0 || err == io.EOF) && !stands(r.file):
		return n, r.changed() // a writer waits for us: let it in
	case err == io.EOF:
		m, err := metaOf(r.file)
		if err != nil {
			return n, err
		}
		if m.version() != r.f.Version {
			return n, r.changed()
		}
	}
	return n, err
}

// changed returns the error for a file that is another version now.
func (r *reader) changed() error {
	return fmt.Errorf("read %s: %w", ledger.Shown(r.f.Path), watcher.ErrChanged)
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.file.Close() }
