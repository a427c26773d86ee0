package sftpd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// A Part is an upload that is not finished, or finished under a temporary name.
type Part struct {
	Partner string
	Path    string // within the mailbox
	Size    int64  // bytes
	Changed time.Time
	Whole   bool // closed by its sender: it waits to be renamed
	Busy    bool // being uploaded now, as far as this process knows
}

// Expires is when it is given up unless somebody goes on with it.
func (p Part) Expires() time.Time { return p.Changed.Add(partAge) }

// EachPart calls do for the unfinished uploads of an account that have a file in the mailboxes below folder, in no order. It only looks,
// and may be called beside the process that serves them.
func EachPart(ctx context.Context, folder string, a *Account, do func(Part)) error {
	j, err := openJail(filepath.Join(folder, a.Name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // he was never here
	case err != nil:
		return fmt.Errorf("look for unfinished uploads of %s: %w", a.Name, err)
	}
	box := &mailbox{partner: a.Name, jail: j}
	err = box.parts(ctx, a, func(p Part, _ meta) error {
		do(p)
		return nil
	})
	return errors.Join(err, j.close())
}

// An Unfinished sums up the unfinished uploads of one partner.
type Unfinished struct {
	Partner string    `json:"partner"`
	Count   int       `json:"count"`
	Bytes   int64     `json:"bytes"`
	Oldest  time.Time `json:"oldest"` // when the one that nothing came for longest was written to
}

// SumUp sums up the unfinished uploads of accounts in the mailboxes below folder, by partner in the order given. Partners that have none are
// left out.
func SumUp(ctx context.Context, folder string, accounts []*Account) (list []Unfinished, err error) {
	var errs []error
	for _, a := range accounts {
		u := Unfinished{Partner: a.Name}
		errs = append(errs, EachPart(ctx, folder, a, func(p Part) {
			if u.Count == 0 || p.Changed.Before(u.Oldest) {
				u.Oldest = p.Changed
			}
			u.Count++
			u.Bytes += p.Size
		}))
		if u.Count > 0 {
			list = append(list, u)
		}
	}
	return list, errors.Join(errs...)
}
