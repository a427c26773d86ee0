package watcher

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"waybill/ledger"
)

// An Intake keeps what a watcher finds. *ledger.Ledger is one.
type Intake interface {
	// Land keeps the bytes of one file; see [ledger.Lander].
	Land(ctx context.Context, a ledger.Arrival, r io.Reader) (ledger.File, []ledger.Entry, error)
	// Unknown returns those of seen (at most SetSize) whose path and version have not landed, and remembers that the
	// others are still there.
	Unknown(ctx context.Context, source string, seen []ledger.Arrival) ([]ledger.Arrival, error)
	// Waiting notes why files are not taken yet, for `waybill why`. It writes only what is new or has changed.
	Waiting(ctx context.Context, source string, notes []ledger.Waiting) error
}

// An Archive says which files may be closed. *ledger.Ledger is one.
type Archive interface {
	// Closable returns up to n files whose entries are all done and that are not closed yet, oldest first.
	Closable(ctx context.Context, source string, n int) ([]ledger.Closable, error)
	// Closed notes what became of them.
	Closed(ctx context.Context, files []ledger.ClosedFile) error
}

// Options are what a watcher may be told. The zero value of each but Now and Log is a usable default.
type Options struct {
	Poll       time.Duration          // between two rescans when no hint comes; 30 s
	Landers    int                    // files landed at a time, so that they share the ledger's commits; 128. One keeps the order by time within a set
	Wanted     func(path string) bool // nil: every file; a file no job wants is left untouched and noted
	Companions []Companion            // the first that speaks of a file holds
	Closable   <-chan struct{}        // "some files may be closed": wakes the closing side; it looks each Poll as well
	Now        func() time.Time       // the clock, with its monotonic part
	Log        *slog.Logger
}

// fill returns o with its defaults.
func (o Options) fill() Options {
	if o.Poll <= 0 {
		o.Poll = 30 * time.Second
	}
	if o.Landers <= 0 {
		o.Landers = 128
	}
	if o.Wanted == nil {
		o.Wanted = func(string) bool { return true }
	}
	return o
}

// temporary are the endings under which senders write what they then rename: WinSCP, FileZilla, lftp, rsync, browsers.
var temporary = [...]string{".part", ".filepart", ".tmp"}

// Ignored reports whether path names a temporary file, or lies in a hidden folder: such names are never taken, whatever
// a job asks for.
func Ignored(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(part, ".") {
			return true
		}
	}
	base := path[strings.LastIndexByte(path, '/')+1:]
	if strings.Contains(base, ".!") {
		return true
	}
	for _, end := range temporary {
		if len(base) >= len(end) && strings.EqualFold(base[len(base)-len(end):], end) {
			return true
		}
	}
	return false
}

// Settings are the keys that sources of every kind have.
type Settings struct {
	Done     string        `yaml:"done" enum:"move,delete,leave" default:"move" doc:"what becomes of a file when its entries are delivered: move puts it into the folder done, never overwriting"`
	Failed   string        `yaml:"failed" enum:"move,delete,leave" default:"move" doc:"the same for a file that was rejected, cancelled or has dead letters; move puts it into the folder failed, its reject report beside it"`
	Poll     time.Duration `yaml:"poll" default:"30s" doc:"time between two looks when nothing hints at new files"`
	Drain    bool          `yaml:"drain" doc:"take nothing new; close what was taken, then the source can be removed"`
	Formerly string        `yaml:"formerly" doc:"the name it had before: its files follow, identities stay"`
	Settle   Settling      `yaml:"settle" doc:"where nothing proves that a file is complete: how long it must not change"`
}

// Settling are the settings of a Settle.
type Settling struct {
	Looks int           `yaml:"looks" default:"2" doc:"looks at which size and time must be equal"`
	Pause time.Duration `yaml:"pause" default:"5s" doc:"time between two of them"`
}
