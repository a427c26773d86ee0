// Package watcher notices files that are complete, lands them in the ledger, and closes the original once its entries
// are done.
//
// A [Source] knows one kind of place where files lie; package watcher/local is the folder. A [Watcher] runs one source:
//
//	hint or rescan ─► List ─► names ─► Unknown ─► Ready ─► Open ─► Land        (many at a time)
//	closable ───────► Closable ─► Close ─► Sync ─► Closed                      (one round at a time)
//
// Hints only say "look now"; the rescan is the truth. Whatever a hint misses (overflow, a network file system, a folder
// that was replaced) the next rescan finds. Nothing is remembered here that a restart would miss: what is known
// of a file stands in the ledger, and both arrows may be repeated from any point.
//
//	killed …                          what a restart does
//	while a file is read              nothing was kept: it is listed as unknown and taken again
//	after Land, before the next step  the file is known, its entries are in the ledger
//	after Close, before Closed        Close is repeated, finds the file gone and says where it is
//	between Close and Sync            the folder may show the file in its old place: Close is repeated
//
// Memory does not grow with a folder: listings are streamed in sets of [SetSize], and what is kept of files that wait is
// bounded.
package watcher

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"waybill/ledger"
)

// SetSize is how many listed files are compared with the ledger at a time.
const SetSize = 500

// Faults that a source reports; compare with errors.Is.
var (
	// ErrAway says that the source as a whole cannot be looked at: its folder is gone, its server does not answer.
	ErrAway = errors.New("source is away")
	// ErrChanged says that a file is no longer the version that was asked for.
	ErrChanged = errors.New("changed meanwhile")
	// ErrBusy says that a file cannot be closed now because somebody has it open for writing. It is tried again.
	ErrBusy = errors.New("open for writing elsewhere")
	// ErrLeft says that a file was closed where it is, because none can be taken away. Close returns where that is beside it.
	ErrLeft = errors.New("closed files cannot be moved")
)

// A File is what a source's listing tells of one of its files.
type File struct {
	Path    string // relative to the source, "/"-separated, any bytes
	Version string // differs whenever the content may differ
	Size    int64  // bytes
	ModTime time.Time
	Skip    string // non-empty: not to be taken, and why ("symbolic link", "named pipe")
}

// Fate says why a file is closed.
type Fate string

// Fates.
const (
	Done   Fate = "done"   // all its entries are delivered or need nothing more
	Failed Fate = "failed" // rejected, cancelled or with dead letters
)

// A Closing says how a source is to close one of its files.
type Closing struct {
	Fate       Fate
	Report     []byte // reject report to be laid beside a file moved to failed, nil for none
	ReportName string // its name, "orders_1.csv.rejects.json"
}

// A Source is one kind of place where files lie (pull kinds). List and Ready are called on one goroutine, Close (and
// Sync) on another at the same time, Open on many.
type Source interface {
	// List yields what is there now, in no order. It yields an error and goes on (one entry cannot be looked at), or
	// yields one that is [ErrAway] and ends (the source cannot be listed). Memory does not grow with the folder.
	List(ctx context.Context) iter.Seq2[File, error]
	// Ready reports whether nobody is still writing f. When it is not, reason says why, and wait when to look again at
	// the latest; 0 leaves that to the watcher.
	Ready(ctx context.Context, f File) (ok bool, reason string, wait time.Duration, err error)
	// Open reads f. The reader's last Read returns ErrChanged instead of io.EOF when the file is no longer the version
	// f names. An error is fs.ErrNotExist when the file is gone.
	Open(ctx context.Context, f File) (io.ReadCloser, error)
	// Close takes f away as configured (move to done or failed, delete, leave) and returns where it is
	// now ("" when deleted). It never overwrites, moves nothing but the version f names (else ErrChanged), and may be
	// repeated: a file that is already gone is no error.
	Close(ctx context.Context, f File, how Closing) (where string, err error)
}

// A Hinter is a Source that can say "look now". Optional. The channel is closed when ctx ends or hints are lost for good.
type Hinter interface {
	Hints(ctx context.Context) (<-chan struct{}, error)
}

// A Syncer is a Source whose Close calls are durable only after Sync, so that a round of them shares the cost. Sync ends every
// round, also one in which nothing could be closed. Optional.
type Syncer interface {
	Sync(ctx context.Context) error
}

// A Stater is a Source that can look at one path without listing. Needed for companions. A path that is not there is
// fs.ErrNotExist.
type Stater interface {
	Stat(ctx context.Context, path string) (File, error)
}

// An Admitter turns a file away at the door, by its name and first bytes, where its sender can still be told at once. Its error says why,
// in words for the sender. It answers within 50 ms; whatever takes longer is found when the file is worked. Optional: what it lets pass is
// checked in full later all the same.
type Admitter interface {
	Admit(ctx context.Context, a ledger.Arrival, head []byte) error
}

// A Sorter is a Source that may list in the order in which its files are to land; then they land one after the other.
// Without one, older files of a set land first, many at a time. Optional.
type Sorter interface {
	Sorted() bool
}

// A Leaver is a Source that holds something between calls, a connection for example. Leave is called once, when nothing
// else is asked of it any more. Optional.
type Leaver interface {
	Leave()
}
