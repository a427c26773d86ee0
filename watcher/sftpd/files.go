package sftpd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"waybill/ledger"
	"waybill/spool"
	"waybill/watcher"
)

// FilesOptions are what the files half is made of. Admit and Log may be nil.
type FilesOptions struct {
	Folder  string // of all mailboxes, one a partner; best on the file system of the spool
	Ledger  *ledger.Ledger
	Spool   *spool.Spool
	Journal Journal
	Admit   watcher.Admitter         // nil: nothing is judged by its first bytes
	Paused  func(source string) bool // whether nothing is to be taken for it now; nil: never
	Now     func() time.Time
	Log     *slog.Logger
}

// Files are the mailboxes of all partners. Its methods may be called concurrently.
type Files struct {
	FilesOptions
	buffers sync.Pool    // *[]byte of digestBlock
	memory  atomic.Int64 // bytes of uploads that lie there

	ration *ration // of what is noted

	mu    sync.Mutex
	boxes map[string]*mailbox // of partners that are connected
	busy  map[string]int      // uploads in progress, by session

	landed map[string]int64 // since the start, by source
}

// Folders that are no mailboxes. No partner has such a name.
const (
	aside = ".aside"    // uploads whose name another has taken while they were in progress
	marks = ".renaming" // pointers of uploads that land by being renamed
	boots = ".boots"    // which start of the machine a mailbox was last opened under
)

// NewFiles opens the mailboxes below o.Folder, which it makes when it is missing.
func NewFiles(ctx context.Context, o FilesOptions) (*Files, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Files{FilesOptions: o, boxes: map[string]*mailbox{}, busy: map[string]int{}, landed: map[string]int64{}, ration: newRation(o.Journal, o.Now, o.Log)}
	f.buffers.New = func() any {
		b := make([]byte, digestBlock)
		return &b
	}
	// What lies aside belonged to connections of a process that is gone, and another upload has its name.
	if err := os.RemoveAll(f.aside()); err != nil {
		return nil, fmt.Errorf("open mailboxes: %w", err)
	}
	for _, sub := range []string{aside, boots, marks} {
		if err := os.MkdirAll(filepath.Join(o.Folder, sub), 0o700); err != nil {
			return nil, fmt.Errorf("open mailboxes: %w", err)
		}
	}
	return f, f.settle(ctx)
}

func (f *Files) pointers() string { return filepath.Join(f.Folder, marks) }

func (f *Files) aside() string { return filepath.Join(f.Folder, aside) }

// Serve speaks SFTP over ch for a partner that has logged in, until the client ends, ctx does, or something else comes than
// SFTP. It is nil when the client ended. The caller closes ch; Serve does so only to stop waiting when ctx ends. Uploads that are not closed
// then are kept in the mailbox, to be resumed.
func (f *Files) Serve(ctx context.Context, s Session, ch io.ReadWriteCloser) error {
	box, err := f.enter(ctx, s.Account)
	if err != nil {
		return err
	}
	h := newHandler(f, box, s, ch)
	err = h.serve(ctx)
	return errors.Join(err, f.leave(box))
}

// Landed is how many files have landed since the start, by source.
func (f *Files) Landed() map[string]int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.landed)
}

func (f *Files) count(source string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.landed[source]++
}

// Uploading reports whether a session has an upload in progress.
func (f *Files) Uploading(session string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.busy[session] > 0
}

func (f *Files) note(session string, by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy[session] += by; f.busy[session] <= 0 {
		delete(f.busy, session)
	}
}

// isPartner reports whether a name can be that of a folder for a partner.
func isPartner(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/\x00")
}

// enter opens the mailbox of a partner, which all its connections share, and makes its folders. Opening may take long, and holds up nobody else's.
func (f *Files) enter(ctx context.Context, a *Account) (*mailbox, error) {
	if !isPartner(a.Name) {
		return nil, fmt.Errorf("open the mailbox of %q: that is no name of a partner", a.Name)
	}
	for {
		box, first := f.share(a.Name)
		var err error
		if first {
			err = f.open(ctx, box, a)
		} else if err = box.wait(ctx); err == nil {
			err = box.makeFolders(a)
		}
		if err == nil {
			return box, nil
		}
		// Another connection may have given up when it ended: that is no reason for this one.
		again := !first && ctx.Err() == nil && (errors.Is(err, errCleared) || errors.Is(err, context.Canceled))
		if err = errors.Join(err, f.leave(box)); !again {
			return nil, fmt.Errorf("open the mailbox of %s: %w", a.Name, err)
		}
	}
}

// share returns the mailbox of a partner. The first is to open it.
func (f *Files) share(name string) (box *mailbox, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if box = f.boxes[name]; box == nil {
		box, first = &mailbox{files: f, partner: name, opened: make(chan struct{}), uploads: map[string]*upload{}, all: map[*upload]bool{}, sums: map[string]sum{}, hashing: make(chan struct{}, hashingAtOnce)}, true
		f.boxes[name] = box
	}
	box.sessions++
	return box, first
}

// open opens a mailbox. When it cannot, whoever comes next tries again.
func (f *Files) open(ctx context.Context, box *mailbox, a *Account) (err error) {
	defer func() { f.opened(box, err) }()
	path := filepath.Join(f.Folder, box.partner)
	if err := os.Mkdir(path, 0o770); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if box.jail, err = openJail(path); err != nil {
		return err
	}
	if err := box.makeFolders(a); err != nil {
		return err
	}
	return f.afterPowerCut(ctx, box, a)
}

// opened tells those who wait whether the mailbox is open.
func (f *Files) opened(box *mailbox, fault error) {
	if box.fault = fault; fault != nil {
		f.mu.Lock()
		delete(f.boxes, box.partner)
		f.mu.Unlock()
	}
	close(box.opened)
}

// wait waits until the mailbox is open.
func (b *mailbox) wait(ctx context.Context) error {
	select {
	case <-b.opened:
		return b.fault
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *mailbox) makeFolders(a *Account) error {
	for _, d := range a.Folders {
		if err := b.jail.makeFolders(d.Path); err != nil {
			return err
		}
	}
	return nil
}

// leave closes a mailbox that nobody uses any more.
func (f *Files) leave(box *mailbox) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if box.sessions--; box.sessions > 0 {
		return nil
	}
	if f.boxes[box.partner] == box {
		delete(f.boxes, box.partner)
	}
	if box.jail == nil {
		return nil
	}
	return box.jail.close()
}

// A mailbox is what the connections of one partner share.
type mailbox struct {
	files    *Files
	partner  string
	jail     *jail
	sessions int           // guarded by Files.mu
	opened   chan struct{} // closed when it is
	fault    error         // why it cannot be; set before opened is closed
	handles  atomic.Int64
	hashing  chan struct{} // one per upload that is being digested at the moment

	mu      sync.Mutex
	uploads map[string]*upload // in progress, by the name they hold
	all     map[*upload]bool   // in progress, also those whose name another has taken
	sums    map[string]sum     // of files that are kept whole, by name
	quota   usage
}

// fresh returns an id that nothing else has.
func fresh() string {
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
