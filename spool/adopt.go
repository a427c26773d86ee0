package spool

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"waybill/failpoint"
)

// Adopt makes a file that was written elsewhere an object, without writing its bytes again: it is synced, and move renames or links
// it to the path that it is given. Where that is another file system (move returns EXDEV) it is copied, and what lies there is left to the
// caller. digest is its SHA-256; when it is nil the file is read for it. file stays open.
//
// Nobody may write to the file any more. A crash after move leaves a file that no row names, which is swept.
func (s *Spool) Adopt(ctx context.Context, file *os.File, digest []byte, move func(to string) error) (*Incoming, error) {
	before, err := file.Stat()
	if err != nil {
		return nil, failed(err)
	}
	size := before.Size()
	if digest == nil {
		if digest, err = digestOf(ctx, io.NewSectionReader(file, 0, size)); err != nil {
			return nil, fmt.Errorf("adopt %s: %w", file.Name(), err)
		}
	}
	if err := s.fsync(file); err != nil {
		return nil, err
	}
	failpoint.Hit("spool/adopting")
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	in := &Incoming{Size: size, Digest: digest, spool: s, name: hex.EncodeToString(id[:])}
	if err := s.makeSub(id[0]); err != nil {
		return nil, failed(err)
	}
	target := s.path(in.name)
	err = move(target)
	if errors.Is(err, syscall.EXDEV) {
		return s.Receive(ctx, io.NewSectionReader(file, 0, size), 0)
	}
	if err != nil {
		return nil, failed(err)
	}
	failpoint.Hit("spool/adopted")
	// What has been moved must be what was synced, at the length that was digested.
	after, err := os.Lstat(target)
	if err == nil && (!os.SameFile(before, after) || after.Size() != size) {
		err = fmt.Errorf("%s was changed while it was taken: is something else writing to it?", file.Name())
	}
	if err == nil {
		err = s.syncFolder(filepath.Dir(target))
	}
	if err != nil {
		in.Abandon()
		return nil, failed(err)
	}
	return in, nil
}

// Keep is Receive for bytes that are in memory, and stay as they are.
func (s *Spool) Keep(ctx context.Context, b []byte) (*Incoming, error) {
	if len(b) <= Inline {
		return s.inline(b), nil
	}
	w := s.Create(ctx)
	if _, err := w.Write(b); err != nil {
		w.Abandon()
		return nil, err
	}
	return w.Finish()
}

// digestOf returns the SHA-256 of what r yields.
func digestOf(ctx context.Context, r io.Reader) ([]byte, error) {
	h := sha256.New()
	buf := make([]byte, 256<<10)
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		n, err := r.Read(buf)
		_, _ = h.Write(buf[:n])
		if err == io.EOF {
			return h.Sum(nil), nil
		}
		if err != nil {
			return nil, err
		}
	}
}
