package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"waybill/store"
)

// A Reader reads one object. Read, from the beginning to the end, checks the digest: where the bytes are
// not those that were kept, the last Read returns a [*CorruptError] instead of io.EOF. ReadAt is
// not checked; Verify does it. ReadAt may be called concurrently, also beside Read.
type Reader struct {
	object   Object
	content  io.ReaderAt
	sequence io.Reader
	file     *os.File // nil: the bytes were in the row, and are checked
	ahead    *ahead   // of a large file, once it is read
	hash     hash.Hash
	checked  bool
	err      error
}

// Reader opens the object id. A missing one is store.ErrNotFound, a damaged one a [*CorruptError].
func (s *Spool) Reader(ctx context.Context, id int64) (*Reader, error) {
	r := &Reader{object: Object{ID: id}}
	var name string
	var content []byte
	err := s.db.Reader(ctx).QueryRow(`SELECT size, digest, COALESCE(name, ''), bytes FROM objects WHERE id = ?`, id).
		Scan(&r.object.Size, &r.object.Digest, &name, &content)
	if err != nil {
		return nil, fmt.Errorf("read object %d: %w", id, err)
	}
	if name == "" {
		return inline(r.object, content)
	}
	f, err := os.Open(s.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, &CorruptError{Object: id, Path: s.path(name), Reason: "the file is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("read object %d: %w", id, err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() != r.object.Size {
		err = &CorruptError{Object: id, Path: f.Name(), Reason: fmt.Sprintf("it has %d bytes, not %d", info.Size(), r.object.Size)}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read object %d: %w", id, err)
	}
	r.file, r.content, r.sequence, r.hash = f, f, f, sha256.New()
	return r, nil
}

// inline reads an object that lies in its row.
func inline(o Object, content []byte) (*Reader, error) {
	if sum := sha256.Sum256(content); !bytes.Equal(sum[:], o.Digest) {
		return nil, &CorruptError{Object: o.ID, Reason: fmt.Sprintf("its SHA-256 is %x, not %x", sum, o.Digest)}
	}
	return Held(o, content), nil
}

// Held reads an object whose bytes are in memory still, as they were received.
func Held(o Object, content []byte) *Reader {
	b := bytes.NewReader(content)
	return &Reader{object: o, content: b, sequence: b, checked: true}
}

// Small opens, with one statement, those of up to 200 objects that lie in their rows and are whole, by id. The others are left to
// Reader, which says what is the matter with them.
func (s *Spool) Small(ctx context.Context, ids []int64) (map[int64]*Reader, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	const most = 200
	n := most
	for _, size := range []int{1, 8, 40} { // few distinct statements
		if len(ids) <= size {
			n = size
			break
		}
	}
	args := make([]any, n)
	for i := range args {
		args[i] = ids[min(i, len(ids)-1)]
	}
	rows, err := s.db.Reader(ctx).Query(`SELECT id, size, digest, bytes FROM objects WHERE name IS NULL AND id IN `+store.In(n), args...)
	if err != nil {
		return nil, fmt.Errorf("read %d objects: %w", len(ids), err)
	}
	defer func() { _ = rows.Close() }()
	small := make(map[int64]*Reader, len(ids))
	for rows.Next() {
		var o Object
		var content []byte
		if err := rows.Scan(&o.ID, &o.Size, &o.Digest, &content); err != nil {
			return nil, fmt.Errorf("read %d objects: %w", len(ids), err)
		}
		if r, err := inline(o, content); err == nil {
			small[o.ID] = r
		}
	}
	return small, rows.Err()
}

// Size returns the number of bytes.
func (r *Reader) Size() int64 { return r.object.Size }

// Digest returns the SHA-256 the object was kept under.
func (r *Reader) Digest() []byte { return r.object.Digest }

func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.ahead == nil && !r.checked && r.object.Size >= aheadLeast {
		r.ahead = newAhead(r.file, r.hash)
		r.sequence = r.ahead
	}
	n, err := r.sequence.Read(p)
	if r.ahead == nil && !r.checked {
		_, _ = r.hash.Write(p[:n])
	}
	if err == io.EOF && !r.checked {
		err = r.check()
	}
	if err != nil {
		r.err = err
	}
	return n, err
}

// check compares the digest at the end of the bytes and returns io.EOF when it is right.
func (r *Reader) check() error {
	sum := r.hash.Sum(nil)
	if !bytes.Equal(sum, r.object.Digest) {
		return &CorruptError{Object: r.object.ID, Path: r.file.Name(), Reason: fmt.Sprintf("its SHA-256 is %x, not %x", sum, r.object.Digest)}
	}
	r.checked = true
	return io.EOF
}

// ReadAt reads at an offset, see [io.ReaderAt].
func (r *Reader) ReadAt(p []byte, off int64) (int, error) { return r.content.ReadAt(p, off) }

// Verify reads what Read has not read yet and returns nil when the object is what was kept. Whoever stops reading early,
// or reads by ReadAt, calls it before relying on what was read.
func (r *Reader) Verify() error {
	if r.checked {
		return nil
	}
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
		return err
	}
	return nil
}

// Close ends the reading.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	if r.ahead != nil {
		r.ahead.stop()
		r.ahead = nil
	}
	if r.err == nil {
		r.err = os.ErrClosed
	}
	return r.file.Close()
}

// Remove deletes the rows of objects whose referrers let go of them in the same transaction. Their files are left to
// the sweep. Unknown ids are passed over.
func (s *Spool) Remove(tx *store.Tx, ids ...int64) error {
	for _, id := range ids {
		if _, err := tx.Exec(`DELETE FROM objects WHERE id = ?`, id); err != nil {
			return fmt.Errorf("remove object %d: %w", id, err)
		}
	}
	return nil
}
