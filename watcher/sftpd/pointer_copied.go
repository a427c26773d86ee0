package sftpd

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"waybill/failpoint"
	"waybill/ledger"
)

// A file that lands by being renamed may have no second name that would tell what became of it: a small one is copied into the database, and one on another file
// system than the spool's into that. Its pointer is a file called as the version that it lands as, by which the ledger knows it. It is not synced: after a killed
// process it is there, and where the machine went down without it the file keeps its name, and is known as the same when it is renamed again.

// A landing is what such a pointer says.
type landing struct {
	Partner string
	Source  string
	Path    []byte // that it lands under; names are any bytes
	Lies    []byte // that it has
	Inode   uint64
	Changed int64 // nanoseconds: with the inode, which file it is
}

// pointCopied says what the upload's file is about to become.
func (b *mailbox) pointCopied(u *upload, a ledger.Arrival) error {
	m, err := metaOf(u.file)
	if err != nil {
		return err
	}
	text, err := json.Marshal(landing{Partner: b.partner, Source: a.Source, Path: []byte(u.at.rest), Lies: []byte(u.lies), Inode: m.inode, Changed: m.ctime.UnixNano()})
	if err != nil {
		return fmt.Errorf("point at %s: %w", u, err)
	}
	u.pointer = filepath.Join(b.files.pointers(), a.Version)
	if err := os.WriteFile(u.pointer, text, 0o600); err != nil {
		return errors.Join(err, b.unpoint(u))
	}
	failpoint.Hit("sftpd/pointed")
	return nil
}

// settleCopied takes away the name in the mailbox of a file that has landed, and its pointer.
func (f *Files) settleCopied(ctx context.Context, version, pointer string) error {
	if _, err := hex.DecodeString(version); err != nil || len(version) != len(fresh()) {
		return errors.New("it is no pointer")
	}
	text, err := os.ReadFile(pointer)
	if err != nil {
		return err
	}
	var l landing
	if err := json.Unmarshal(text, &l); err != nil {
		return os.Remove(pointer) // killed while it was written, so nothing has landed
	}
	landed, err := f.Ledger.HasLanded(ctx, ledger.Mailbox{Source: l.Source, Partner: l.Partner}, string(l.Path), version)
	if err != nil {
		return err
	}
	if landed {
		err := f.inMailbox(l.Partner, func(j *jail) error {
			return j.removeThat(string(l.Lies), func(m meta) bool { return m.inode == l.Inode && m.ctime.UnixNano() == l.Changed })
		})
		if err != nil {
			return err
		}
	}
	return os.Remove(pointer)
}

// inMailbox does something in the mailbox of a partner, if there is one.
func (f *Files) inMailbox(partner string, do func(*jail) error) error {
	if !isPartner(partner) {
		return fmt.Errorf("%q is no name of a partner", partner)
	}
	j, err := openJail(filepath.Join(f.Folder, partner))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(do(j), j.close())
}

// removeThat removes path if it is the file that is meant.
func (j *jail) removeThat(path string, meant func(meta) bool) error {
	m, err := j.stat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil || !meant(m) {
		return err
	}
	if err := j.remove(path); err != nil {
		return err
	}
	d, err := j.list(folderOf(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
