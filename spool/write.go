package spool

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"waybill/failpoint"
	"waybill/store"
)

// An Incoming is a run of bytes that is durable in the spool but belongs to no row yet, or is held in memory until
// its row is written. It is either committed or abandoned.
type Incoming struct {
	Size   int64  // bytes
	Digest []byte // SHA-256

	spool     *Spool
	bytes     []byte // inline
	name      string // else a file
	attempted bool
}

// Receive reads r to its end and keeps what it yields. More than max bytes are a [*TooLargeError]; 0 is no limit.
// When it fails nothing is left behind. Any error of r other than io.EOF is returned, wrapped.
func (s *Spool) Receive(ctx context.Context, r io.Reader, max int64) (*Incoming, error) {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	head := *buf
	n := 0
	for n < len(head) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("receive: %w", context.Cause(ctx))
		}
		k, err := r.Read(head[n:])
		n += k
		if max > 0 && int64(n) > max {
			return nil, &TooLargeError{Max: max}
		}
		if err == io.EOF && n <= Inline {
			return s.inline(bytes.Clone(head[:n])), nil
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("receive: %w", err)
		}
	}
	return s.receiveLarge(ctx, r, head, n, max)
}

// ReceiveApart is Receive for what is not to be held in memory, however small it is: it is kept in a file.
func (s *Spool) ReceiveApart(ctx context.Context, r io.Reader, max int64) (*Incoming, error) {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	w := s.Create(ctx)
	if err := w.spill(); err != nil {
		w.err = err
		w.Abandon()
		return nil, err
	}
	return s.receiveInto(w, r, *buf, 0, max)
}

// Temp makes a file in the spool's folder that has no name there: it is gone when it is closed, or the process ends.
func (s *Spool) Temp() (*os.File, error) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	// Under a name that the sweep knows: a process may be killed before it is taken away.
	f, err := os.OpenFile(s.temp(hex.EncodeToString(id[:])), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, failed(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(failed(err), f.Close())
	}
	return f, nil
}

// receiveLarge goes on after the first n bytes in buf, which it uses up.
func (s *Spool) receiveLarge(ctx context.Context, r io.Reader, buf []byte, n int, max int64) (*Incoming, error) {
	return s.receiveInto(s.Create(ctx), r, buf, n, max)
}

func (s *Spool) receiveInto(w *Writer, r io.Reader, buf []byte, n int, max int64) (in *Incoming, err error) {
	defer func() {
		if err != nil {
			w.Abandon()
		}
	}()
	if _, err := w.Write(buf[:n]); err != nil {
		return nil, err
	}
	for {
		k, readErr := r.Read(buf)
		if max > 0 && w.size+int64(k) > max {
			return nil, &TooLargeError{Max: max}
		}
		if _, err := w.Write(buf[:k]); err != nil {
			return nil, err
		}
		if readErr == io.EOF {
			return w.Finish()
		}
		if readErr != nil {
			return nil, fmt.Errorf("receive: %w", readErr)
		}
	}
}

func (s *Spool) inline(b []byte) *Incoming {
	d := sha256.Sum256(b)
	return &Incoming{Size: int64(len(b)), Digest: d[:], spool: s, bytes: b}
}

// A Writer builds an object piece by piece. It is for one goroutine. It ends with Finish or Abandon.
type Writer struct {
	spool *Spool
	ctx   context.Context
	small bytes.Buffer
	size  int64
	name  string
	file  *os.File
	out   *tee
	hash  hash.Hash
	err   error // the first failure; nothing is written after it
}

// Create begins an object. It touches no disk before there are more than [Inline] bytes. ctx ends the writing.
func (s *Spool) Create(ctx context.Context) *Writer { return &Writer{spool: s, ctx: ctx} }

// Write appends p.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.ctx.Err() != nil {
		w.err = fmt.Errorf("spool: %w", context.Cause(w.ctx))
		return 0, w.err
	}
	if w.file == nil && w.size+int64(len(p)) <= Inline {
		w.size += int64(len(p))
		return w.small.Write(p)
	}
	if w.file == nil {
		if w.err = w.spill(); w.err != nil {
			return 0, w.err
		}
	}
	n, err := w.out.Write(p)
	w.size += int64(n)
	if err != nil {
		w.err = failed(err)
	}
	return n, w.err
}

// spill moves what was written so far to a file.
func (w *Writer) spill() error {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	w.name = hex.EncodeToString(id[:])
	if err := w.spool.makeSub(id[0]); err != nil {
		return failed(err)
	}
	f, err := os.OpenFile(w.spool.temp(w.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return failed(err)
	}
	w.file, w.hash = f, sha256.New()
	w.out = newTee(f, w.hash)
	failpoint.Hit("spool/begun")
	_, err = w.out.Write(w.small.Bytes())
	w.small = bytes.Buffer{}
	if err != nil {
		return failed(err)
	}
	return nil
}

// Finish makes the object durable. An error leaves nothing behind.
func (w *Writer) Finish() (*Incoming, error) {
	if w.err != nil {
		w.Abandon()
		return nil, w.err
	}
	if w.file == nil {
		return w.spool.inline(w.small.Bytes()), nil
	}
	if err := w.keep(); err != nil {
		w.err = err
		w.Abandon()
		return nil, err
	}
	return &Incoming{Size: w.size, Digest: w.hash.Sum(nil), spool: w.spool, name: w.name}, nil
}

// keep takes the fixed steps to a durable file, see the package comment.
func (w *Writer) keep() error {
	if err := w.out.flush(); err != nil {
		return failed(err)
	}
	w.out.stop()
	info, err := w.file.Stat()
	if err != nil {
		return failed(err)
	}
	if info.Size() != w.size {
		return fmt.Errorf("spool %s: wrote %d bytes but it has %d: is something else writing to the spool?", w.file.Name(), w.size, info.Size())
	}
	failpoint.Hit("spool/written")
	if err := w.spool.fsync(w.file); err != nil {
		return err
	}
	failpoint.Hit("spool/synced")
	if err := w.file.Close(); err != nil {
		return failed(err)
	}
	target := w.spool.path(w.name)
	if err := os.Rename(w.file.Name(), target); err != nil {
		return failed(err)
	}
	failpoint.Hit("spool/renamed")
	if err := w.spool.syncFolder(filepath.Dir(target)); err != nil {
		return err
	}
	failpoint.Hit("spool/folder-synced")
	return nil
}

// Abandon drops what was written. It does nothing after a successful Finish.
func (w *Writer) Abandon() {
	if w.err == nil {
		w.err = errors.New("spool: abandoned")
	}
	if w.file == nil {
		return
	}
	w.out.stop()
	_ = w.file.Close()
	_ = os.Remove(w.file.Name()) // what cannot be removed now is swept
}

// Commit writes the object's row. The object is kept once the transaction is.
func (in *Incoming) Commit(tx *store.Tx) (Object, error) {
	in.attempted = true
	var name, content any
	if in.name == "" {
		content = in.bytes
	} else {
		name = in.name
		// Sweep takes files away under the write lock that this transaction has, so what is here now stays here.
		info, err := os.Stat(in.spool.path(in.name))
		if err != nil {
			return Object{}, fmt.Errorf("keep object: %w", err)
		}
		if info.Size() != in.Size {
			return Object{}, fmt.Errorf("keep object: %s has %d bytes, not %d", in.spool.path(in.name), info.Size(), in.Size)
		}
	}
	id, err := tx.Insert(`INSERT INTO objects (size, digest, name, bytes, made) VALUES (?, ?, ?, ?, ?)`,
		in.Size, in.Digest, name, content, store.Millis(in.spool.now()))
	if err != nil {
		return Object{}, fmt.Errorf("keep object: %w", err)
	}
	return Object{ID: id, Size: in.Size, Digest: in.Digest}, nil
}

// CommitAll is Commit for objects that are all small (see [Incoming.Bytes]), with a few statements for all of them. The ids are in their order.
func CommitAll(tx *store.Tx, list []*Incoming) ([]int64, error) {
	args := make([]any, 0, 4*len(list))
	for _, in := range list {
		in.attempted = true
		args = append(args, in.Size, in.Digest, in.bytes, store.Millis(in.spool.now()))
	}
	ids, err := tx.InsertAll(`INSERT INTO objects (size, digest, bytes, made)`, `(?, ?, ?, ?)`, args)
	if err != nil {
		return nil, fmt.Errorf("keep %d objects: %w", len(list), err)
	}
	return ids, nil
}

// Abandon drops an object that is not wanted. After an attempt to commit it does nothing, because a transaction that
// failed may still turn out to be on disk: the sweep tells for sure.
func (in *Incoming) Abandon() {
	if in.attempted || in.name == "" {
		return
	}
	_ = os.Remove(in.spool.path(in.name)) // what cannot be removed now is swept
}

// Withdraw is Abandon after a transaction that failed for lack of room: the file would take a day of what room there is. It
// looks under the write lock, as the sweep does, whether a row has the file after all.
func (in *Incoming) Withdraw(ctx context.Context) error {
	if !in.attempted || in.name == "" {
		in.Abandon()
		return nil
	}
	_, err := in.spool.removeUnnamed(ctx, []string{in.name})
	return err
}

// Bytes returns the content of a small object, false when it lies in a file.
func (in *Incoming) Bytes() ([]byte, bool) { return in.bytes, in.name == "" }
