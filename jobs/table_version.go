package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// tableSettled is for how long a file must have looked the same before it is taken for unchanged without reading it: a file system tells two changes
// apart by their times only when they are further from each other than its clock ticks, which may be as seldom as every two seconds.
const tableSettled = 3 * time.Second

// tableFile is how the file of a table looked when it was last read.
type tableFile struct {
	is     os.FileInfo
	digest [sha256.Size]byte
	since  time.Time // when it was first seen so
	sure   bool      // it was read once more when it had looked the same for long: whatever changes it now gets another time
}

// same reports whether a file looks as it did.
func (v *tableFile) same(is os.FileInfo) bool {
	return v.is != nil && v.is.Size() == is.Size() && v.is.ModTime().Equal(is.ModTime()) && changedAt(v.is).Equal(changedAt(is)) && os.SameFile(v.is, is)
}

// changedAt is when a file was last changed. The time of its bytes may be what somebody says.
func changedAt(is fs.FileInfo) time.Time {
	if st, ok := is.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return is.ModTime()
}

// Refresh reads the file if it has changed. What was found in it before remains with whoever has it.
func (t *Table) Refresh(ctx context.Context) error {
	t.reading.Lock()
	defer t.reading.Unlock()
	is, err := os.Stat(t.path)
	if err != nil {
		return fmt.Errorf("table %s: %w", t.name, err)
	}
	if t.file.sure && t.file.same(is) {
		return nil
	}
	if err := t.look(ctx, is); err != nil {
		return fmt.Errorf("table %s: %s: %w", t.name, t.options.File, err)
	}
	return nil
}

// look reads the file whole, as it is at one moment: half of a table would let keys be missing that are not.
func (t *Table) look(ctx context.Context, is os.FileInfo) error {
	if !is.Mode().IsRegular() { // to open a pipe would wait for whoever writes it
		return errors.New("is not a regular file")
	}
	f, err := os.Open(t.path)
	if err != nil {
		return err
	}
	return errors.Join(t.still(ctx, f), f.Close())
}

// still takes in a file that does not change meanwhile: its digest says so, since its times may not.
func (t *Table) still(ctx context.Context, f *os.File) error {
	now := t.now()
	is, err := f.Stat()
	if err != nil {
		return err
	}
	digest, err := digestOf(ctx, f)
	if err != nil {
		return err
	}
	seen := tableFile{is: is, digest: digest, since: now}
	if t.file.same(is) {
		seen.since = t.file.since
	}
	made := t.rows.Load()
	if made == nil || made.digest != digest {
		if made, err = t.read(ctx, f, is); err != nil {
			return err
		}
		made.digest, made.make, made.row = digest, maker{}, nil
	}
	switch after, bad := t.after(ctx, f, made != t.rows.Load()); {
	case bad != nil:
		return bad
	case !seen.same(after.is) || after.digest != digest && made != t.rows.Load():
		return errors.New("changed while it was read: write it beside and rename it")
	}
	seen.sure = now.Sub(seen.since) >= tableSettled
	t.file = seen
	t.rows.Store(made)
	return nil
}

// after is how the file looks once it was read; with its digest where that was more than making one.
func (t *Table) after(ctx context.Context, f *os.File, decoded bool) (v tableFile, err error) {
	if decoded {
		if v.digest, err = digestOf(ctx, f); err != nil {
			return v, err
		}
	}
	v.is, err = f.Stat()
	return v, err
}

// digestOf is the SHA-256 of a file, which it leaves at its beginning.
func digestOf(ctx context.Context, f *os.File) (digest [sha256.Size]byte, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return digest, err
	}
	h := sha256.New()
	for err == nil {
		if err = ctx.Err(); err == nil {
			_, err = io.CopyN(h, f, 1<<20)
		}
	}
	if !errors.Is(err, io.EOF) {
		return digest, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return [sha256.Size]byte(h.Sum(nil)), err
}

// A Snapshot is the tables of a job as one run sees them: whatever becomes of their files meanwhile, each has one version from the first record to the last.
type Snapshot struct {
	rows  map[*Table]*tableRows
	words string
}

// snapshotName is where an environment of expressions has it: no name of the language.
const snapshotName = "lookup()"

// Snapshot reads those tables that the job looks into and whose files have changed, and keeps them as they are; nil for a job that looks into none.
func (p *Plan) Snapshot(ctx context.Context) (*Snapshot, error) {
	if len(p.tables) == 0 {
		return nil, nil
	}
	s := &Snapshot{rows: make(map[*Table]*tableRows, len(p.tables))}
	var words []string
	for _, t := range p.tables {
		if err := t.Refresh(ctx); err != nil {
			return nil, err
		}
		rows := t.rows.Load()
		s.rows[t] = rows
		words = append(words, t.name+" "+hex.EncodeToString(rows.digest[:8]))
	}
	s.words = strings.Join(words, ", ")
	return s, nil
}

// String names each table with the first 16 hexadecimal digits of its file's SHA-256: what is kept of an entry that was worked with them.
func (s *Snapshot) String() string {
	if s == nil {
		return ""
	}
	return s.words
}

// rowsFor are the rows that an evaluation goes by: those of its run, else those of now.
func (t *Table) rowsFor(env map[string]any) (*tableRows, error) {
	if s, ok := env[snapshotName].(*Snapshot); ok && s.rows[t] != nil {
		return s.rows[t], nil
	}
	if t.rows.Load() == nil { // nobody has prepared it
		if err := t.Refresh(context.Background()); err != nil {
			return nil, err
		}
	}
	return t.rows.Load(), nil
}
