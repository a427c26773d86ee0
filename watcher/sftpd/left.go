package sftpd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Left is the mailbox of somebody who is no partner any more. What he dropped has landed and is worked all the same; what lies there is what he has not
// picked up and not finished. It may be the only copy, so nothing of it is taken away but empty folders.
type Left struct {
	Partner string `json:"partner"`
	Files   int64  `json:"files"`
	Bytes   int64  `json:"bytes"`
	Folder  string `json:"folder"` // where it is, to be removed by hand
}

// LeftOver returns the mailboxes below folder that are of none of the accounts, by name. It only looks.
func LeftOver(ctx context.Context, folder string, accounts []*Account) (list []Left, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for mailboxes that are left: %w", err)
	}
	of := map[string]bool{}
	for _, a := range accounts {
		of[a.Name] = true
	}
	var errs []error
	for _, e := range entries {
		if of[e.Name()] || !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		l := Left{Partner: e.Name(), Folder: filepath.Join(folder, e.Name())}
		if err := l.measure(ctx); err != nil {
			errs = append(errs, fmt.Errorf("look at the mailbox that %s has left: %w", e.Name(), err))
			continue
		}
		list = append(list, l)
	}
	return list, errors.Join(errs...)
}

func (l *Left) measure(ctx context.Context) error {
	j, err := openJail(l.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	box := &mailbox{partner: l.Partner, jail: j}
	u, err := box.disk(ctx, &Account{Name: l.Partner})
	l.Files, l.Bytes = u.Files, u.Bytes
	return errors.Join(err, j.close())
}

// sweepLeft removes the folders of partners that are gone in which nothing lies.
func (f *Files) sweepLeft(ctx context.Context, accounts []*Account) error {
	list, err := LeftOver(ctx, f.Folder, accounts)
	errs := []error{err}
	for _, l := range list {
		if l.Files == 0 {
			errs = append(errs, f.clear(l))
		}
	}
	return errors.Join(errs...)
}

// errCleared is why a mailbox is to be opened anew: it was not there for a moment.
var errCleared = errors.New("the empty mailbox was cleared away")

// clear removes the folders of a mailbox from the innermost on, those that are empty, while nobody has it. Who comes back meanwhile waits.
func (f *Files) clear(l Left) error {
	box, first := f.share(l.Partner)
	if !first { // he is back
		return f.leave(box)
	}
	err := f.clearAway(l)
	f.opened(box, errCleared)
	if err = errors.Join(err, f.leave(box)); err != nil {
		return fmt.Errorf("clear the mailbox that %s has left: %w", l.Partner, err)
	}
	return nil
}

func (f *Files) clearAway(l Left) error {
	j, err := openJail(l.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(j.removeEmpty("", 0), j.close()); err != nil {
		return err
	}
	if err := os.Remove(l.Folder); err != nil {
		return nil //nolint:nilerr // something lies there after all: it is told of
	}
	return os.RemoveAll(filepath.Join(f.Folder, boots, l.Partner))
}

// removeEmpty removes the folders in path that have nothing in them but such folders.
func (j *jail) removeEmpty(path string, deep int) error {
	if deep > maxDeep {
		return nil
	}
	return j.each(path, func(name string) error {
		full := filepath.Join(path, name)
		m, err := j.stat(full)
		if err != nil || !m.folder() {
			return err
		}
		if err := j.removeEmpty(full, deep+1); err != nil {
			return err
		}
		_ = j.removeFolder(full) // where something lies, it stays
		return nil
	})
}
