package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"waybill/failpoint"
	"waybill/outbox"
)

// numbers is how many files of one name may lie there before the message waits.
const numbers = 1000

// tries is how often a temporary file that changes under our hands is opened.
const tries = 8

var errBusy = errors.New("another process is writing this file now")

// place brings m to its name, or finds it there from an earlier attempt, and returns the name it has.
func (w *writer) place(ctx context.Context, m *outbox.Message, name, exists string) (string, error) {
	f, err := w.folder(path.Dir(name))
	if err != nil {
		return "", err
	}
	base := path.Base(name)
	var temp *temporary
	defer func() { temp.drop() }()
	for n := 0; n < numbers; {
		candidate := numbered(base, n)
		there, err := f.look(candidate, m, exists == existsSame)
		if err != nil {
			return "", err
		}
		switch {
		case there.ours, there.equal && (m.Repeat || exists == existsSame):
			return path.Join(path.Dir(name), candidate), nil
		case there.taken && exists == existsSame:
			return "", outbox.Refused(fmt.Errorf("write %s in %s: a file with other content has that name, and exists is same-or-fail", name, w.t.folder))
		case there.taken && exists == existsNumber:
			n++
			continue
		}
		if temp == nil {
			if temp, err = w.fill(ctx, f, m); err != nil {
				return "", err
			}
		}
		err = temp.publish(candidate, exists == existsReplace)
		if err == nil {
			return path.Join(path.Dir(name), candidate), nil
		}
		if exists == existsReplace || !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		// Somebody took the name meanwhile: look again at what it is.
	}
	return "", outbox.Unavailable(fmt.Errorf("write %s in %s: %d files of that name lie there already: has its reader stopped taking them away?", name, w.t.folder, numbers))
}

// A finding is what lies at a name.
type finding struct {
	taken bool
	ours  bool // made by an earlier attempt of this message: it bears its key
	equal bool // bears no key (or the bytes alone decide) and has the message's bytes
}

// look finds out what lies at name. Where a file bears another message's key its bytes are compared only if byBytes.
func (f *folder) look(name string, m *outbox.Message, byBytes bool) (finding, error) {
	file, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, err := f.root.Lstat(name) // a link that leads nowhere takes the name, too
		return finding{taken: err == nil}, nil
	case errors.Is(err, fs.ErrPermission), err != nil && escapes(err):
		return finding{taken: true}, nil
	case err != nil:
		return finding{}, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return finding{}, err
	}
	if !info.Mode().IsRegular() {
		return finding{taken: true}, nil
	}
	key, keyed := readKey(file)
	if keyed && key == keyMark(m.Key) {
		return finding{taken: true, ours: true}, nil
	}
	if keyed && !byBytes || info.Size() != size(m) {
		return finding{taken: true}, nil
	}
	equal, err := sameBytes(file, m)
	return finding{taken: true, equal: equal}, err
}

// sameBytes compares a file with a message's body, streaming.
func sameBytes(file io.Reader, m *outbox.Message) (bool, error) {
	body, err := open(m)
	if err != nil {
		return false, err
	}
	defer func() { _ = body.Close() }() // only read
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(body, a)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return false, fmt.Errorf("read the message's body: %w", err)
		}
		k, ferr := io.ReadFull(file, b)
		if ferr != nil && ferr != io.EOF && ferr != io.ErrUnexpectedEOF {
			return false, ferr
		}
		if !bytes.Equal(a[:n], b[:k]) {
			return false, nil
		}
		if err != nil {
			return true, nil
		}
	}
}

// open opens the body of m.
func open(m *outbox.Message) (io.ReadCloser, error) {
	if m.Open == nil {
		return io.NopCloser(bytes.NewReader(m.Body)), nil
	}
	body, err := m.Open()
	if err != nil {
		return nil, fmt.Errorf("open the message's body: %w", err)
	}
	return body, nil
}

// size is the length of the body of m.
func size(m *outbox.Message) int64 {
	if m.Open == nil {
		return int64(len(m.Body))
	}
	return m.Size
}

// keyMark is key as it is kept with a file: short enough for every file system.
func keyMark(key string) string {
	if len(key) <= 200 {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// A temporary is a file under a hidden name, locked as long as it is open, so that two processes
// that deliver the same message (one of them late) cannot write into each other's.
type temporary struct {
	folder *folder
	file   *os.File
	name   string
	moved  bool
}

// fill writes m to a temporary file, whole and durable.
func (w *writer) fill(ctx context.Context, f *folder, m *outbox.Message) (*temporary, error) {
	t, err := f.temporary(m.Key)
	if err != nil {
		return nil, err
	}
	if err = t.write(ctx, m); err == nil {
		err = w.finish(t, m)
	}
	if err != nil {
		t.drop()
		return nil, err
	}
	return t, nil
}

// finish gives t its owner and mode and makes it durable.
func (w *writer) finish(t *temporary, m *outbox.Message) error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != size(m) {
		return fmt.Errorf("%d bytes were written, %d arrived on the disk", size(m), info.Size())
	}
	failpoint.Hit("file/written")
	if w.t.group >= 0 {
		if err := t.file.Chown(-1, w.t.group); err != nil {
			return err
		}
	}
	if err := t.file.Chmod(w.t.mode); err != nil {
		return err
	}
	writeKey(t.file, keyMark(m.Key))
	if err := t.file.Sync(); err != nil {
		return err
	}
	failpoint.Hit("file/synced")
	return nil
}

// temporary makes the hidden file for a key, or takes over what a killed attempt left of it.
func (f *folder) temporary(key string) (*temporary, error) {
	sum := sha256.Sum256([]byte(key))
	name := ".waybill-" + hex.EncodeToString(sum[:12]) + ".part"
	for range tries {
		file, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
		if err != nil {
			return nil, err
		}
		if err := lock(file); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
		}
		// Between opening and locking its owner may have published it: then it is not under this name any more.
		mine, err := file.Stat()
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		now, err := f.root.Lstat(name)
		if err == nil && os.SameFile(mine, now) && mine.Mode().IsRegular() {
			if shared(mine) { // published through a link, and killed before this name was removed
				if err := errors.Join(f.root.Remove(name), file.Close()); err != nil {
					return nil, err
				}
				continue
			}
			if err := file.Truncate(0); err != nil {
				return nil, errors.Join(err, file.Close())
			}
			return &temporary{folder: f, file: file, name: name}, nil
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: %w", name, errBusy)
}

// shared reports whether a file has another name as well.
func shared(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 1
}

// write copies the body and checks its length.
func (t *temporary) write(ctx context.Context, m *outbox.Message) error {
	if m.Open == nil {
		_, err := t.file.Write(m.Body)
		return err
	}
	body, err := open(m)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // only read
	n, err := io.CopyBuffer(struct{ io.Writer }{t.file}, &untilCancelled{ctx, body}, make([]byte, 256<<10))
	if err != nil {
		return err
	}
	if n != m.Size {
		return fmt.Errorf("the message's body has %d bytes instead of %d", n, m.Size)
	}
	return nil
}

// untilCancelled ends a long copy when ctx does: nothing has been published, so nothing is lost.
type untilCancelled struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilCancelled) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// publish gives t its name. Without replace it fails with fs.ErrExist when the name is taken. The file is closed
// only after the rename, because closing gives up the lock; it was synced, so closing has nothing left to report.
func (t *temporary) publish(name string, replace bool) error {
	var err error
	if replace {
		err = t.folder.root.Rename(t.name, name)
	} else {
		err = renameNew(t.folder, t.name, name)
	}
	if err != nil {
		return err
	}
	t.moved = true
	failpoint.Hit("file/renamed")
	return nil
}

// drop closes t, and removes it unless it was published. t may be nil; a second drop does nothing.
func (t *temporary) drop() {
	if t == nil || t.file == nil {
		return
	}
	if !t.moved {
		_ = t.folder.root.Remove(t.name) // what stays is hidden, and the next attempt takes it over
	}
	_ = t.file.Close()
	t.file = nil
}

// mark makes the empty file that says that p's is complete.
func (w *writer) mark(p *piece) error {
	f, err := w.folder(path.Dir(p.marker))
	if err != nil {
		return w.judge(p.marker, err)
	}
	name := path.Base(p.marker)
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		info, err := f.root.Lstat(name)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > 0) {
			return outbox.Refused(fmt.Errorf("write marker %s in %s: something else has that name", p.marker, w.t.folder))
		}
		if err == nil {
			return nil
		}
		return w.judge(p.marker, err)
	}
	if err != nil {
		return w.judge(p.marker, err)
	}
	if w.t.group >= 0 {
		err = file.Chown(-1, w.t.group)
	}
	if err := errors.Join(err, file.Chmod(w.t.mode), file.Sync(), file.Close()); err != nil {
		return w.judge(p.marker, err)
	}
	return nil
}
