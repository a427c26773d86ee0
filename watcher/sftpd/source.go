package sftpd

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"

	"waybill/watcher"
)

// A Source is the mailboxes of partners as a watcher sees them: what is dropped lands by itself, at CLOSE, so there is
// nothing to list; and what is done leaves the drop folder by itself, which shows only what waits, so there is nothing to move.
type Source struct{}

// List yields nothing.
func (Source) List(context.Context) iter.Seq2[watcher.File, error] {
	return func(func(watcher.File, error) bool) {}
}

// Ready is never asked, for nothing is listed.
func (Source) Ready(context.Context, watcher.File) (bool, string, time.Duration, error) {
	return true, "", 0, nil
}

// Open never finds a file, for its bytes are in the spool.
func (Source) Open(_ context.Context, f watcher.File) (io.ReadCloser, error) {
	return nil, fmt.Errorf("open %s in a mailbox: %w", f.Path, fs.ErrNotExist)
}

// Close has nothing to do.
func (Source) Close(context.Context, watcher.File, watcher.Closing) (string, error) { return "", nil }
