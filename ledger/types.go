package ledger

import (
	"context"
	"io"
	"strings"
	"time"
)

// State is where an entry is on its way. See the diagram in the package comment.
type State string

// States of an entry.
const (
	Held      State = "held"
	Received  State = "received"
	Working   State = "working"
	Accepted  State = "accepted"
	Delivered State = "delivered"
	Rejected  State = "rejected"
	Failed    State = "failed"
	Duplicate State = "duplicate"
	Cancelled State = "cancelled"
)

// Kinds of entries.
const (
	OfFile  = "file"
	OfTick  = "tick"
	Request = "request"
	Manual  = "manual"
)

// States of a file.
const (
	FileSeen     = "seen"
	FileLanded   = "landed"
	FileClosable = "closable"
	FileClosed   = "closed"
)

// Verdict is what a file is, compared with those before it.
type Verdict string

// Verdicts.
const (
	Fresh      Verdict = "new"
	Redelivery Verdict = "redelivery" // same name, same bytes
	Suspect    Verdict = "suspect"    // other name, same bytes
	Correction Verdict = "correction" // same name, other bytes
	Empty      Verdict = "empty"      // no records (no bytes, or only white space)
)

// Action is what a job does with a verdict.
type Action string

// Actions.
const (
	ToProcess Action = "process"
	ToSkip    Action = "skip"
	ToHold    Action = "hold"
	ToReject  Action = "reject"
)

// An Arrival is a file (or a request) that a source has found complete.
type Arrival struct {
	Source  string
	Path    string // as the source names it, any bytes, "/"-separated, relative to the source; of a partner PARTNER/path, see Within
	Version string // what the source tells versions of a path apart by, trials and others among them
	Size    int64  // bytes
	ModTime time.Time
	Partner string // who sent it: identities of two partners are strictly apart; "" where the source knows no partners
	Trial   bool   // only to be tried: it is worked and acknowledged in full, nothing of it is sent, and it is nobody's twin
	Kind    string // file, request or manual; "" means file
	Landed  bool   // it is asked for what came of it: jobs that take nothing new say that, too

	Companions []Companion // files that were found beside it, for jobs that keep them with it
}

// RoleCompanion is the role of a file that says of another one that it is complete.
const RoleCompanion = "companion"

// CompanionMost is how many bytes a companion may have that is read: it is waited for in memory.
const CompanionMost = 64 << 10

// A Companion is a file that belongs to an arrival. Its bytes are kept in the transaction that lands that.
type Companion struct {
	Role    string // what it is to the file, one of Policy.Companions
	Path    string // as Arrival.Path
	Version string
	ModTime time.Time
	Open    func(ctx context.Context) (io.ReadCloser, error) // called once
}

// Within returns the path as the partner sees it, below his folder.
func (a Arrival) Within() string { return within(a.Partner, a.Path) }

// A Policy is what one job says of arrivals that belong to it.
type Policy struct {
	Job      string
	Identity string // content, name, name+content, name+size+mtime
	Actions  map[Verdict]Action
	Hold     string  // non-empty: the entry starts held, with this reason (a companion is missing, approval is asked)
	Owes     []State // an acknowledgement is owed for an entry that lands in one of these: held, duplicate, rejected

	Companions []string  // roles of the files that the job keeps with an arrival
	Together   *Together // non-nil: the arrival is one of several files that make one entry
}

// Together says that an arrival is one of several files that make one entry, which is held until all of them have come.
type Together struct {
	Key    string        // what the names of these files have in common
	Role   string        // of the arrival; "": the file that is worked, to which the others belong
	Needs  []Need        // all of them
	Within time.Duration // after which it is told that some have not come; 0: never
}

// A Need is one of the files that make an entry.
type Need struct {
	Role string
	Name string // to be shown
}

// A Router tells which jobs an arrival belongs to; none is a valid answer. It is asked inside the landing transaction
// and must neither block nor change its answer between two reloads.
type Router interface {
	Route(a Arrival) []Policy
}

// A File is one version of a file at a source.
type File struct {
	ID      int64
	Source  string
	Path    string
	Version string
	Size    int64
	ModTime time.Time
	Digest  []byte // SHA-256
	Object  int64  // spool object, 0 when it was dropped
	State   string // seen, landed, closable, closed
	Reason  string
	Until   time.Time
	Seen    time.Time
	Landed  time.Time
	Closed  time.Time
	Partner string
	Trial   bool
	Parent  int64  // of a member of an archive: the first run of the entry that took it out
	Member  string // and its path in the archive
}

// Within returns the path as the partner sees it, below his folder.
func (f File) Within() string { return within(f.Partner, f.Path) }

// Archive returns the path of the archive that a member came in, as the source names it; of any other file, its own.
func (f File) Archive() string {
	if f.Parent == 0 {
		return f.Path
	}
	return strings.TrimSuffix(f.Path, "/"+f.Member)
}

// An Entry is one row of the ledger.
type Entry struct {
	ID       int64
	Kind     string // file, tick, request, manual
	Job      string
	Run      int
	Origin   int64 // the entry this one replays, 0 when none
	File     int64 // 0 when none
	Source   string
	Name     string // to be shown: escaped
	Identity string
	Verdict  Verdict
	Twin     int64
	State    State
	Reason   string
	Hold     string // of what is held: what for, see HoldVerdict
	Let      string // what a person has let pass of that, one a line: see Approved
	Records  int64
	Messages int64
	Rejects  int64
	Dead     int64
	Attempts int
	Due      time.Time
	Token    int64
	Since    time.Time // window of a tick, [Since, Till)
	Till     time.Time
	Config   string
	Received time.Time
	Accepted time.Time
	Finished time.Time
	Partner  string // who sent its file
	Trial    bool   // see Arrival
}

// A Lander keeps arrivals. Land reads r to its end, keeps the bytes and makes one entry per job the arrival belongs
// to, durably; when it returns nil the file has landed. It is safe to repeat: landing the same source, path and version
// again returns the file and entries of the first time. An error of r (the file changed while it was read) leaves nothing
// behind.
type Lander interface {
	Land(ctx context.Context, a Arrival, r io.Reader) (File, []Entry, error)
}

// A Parcel is one of the arrivals of LandSet. Open is called once, and what it returns is closed as soon as it has been read.
type Parcel struct {
	Arrival Arrival
	Open    func(ctx context.Context) (io.ReadCloser, error)
}

// A Reject is one line of a reject report.
type Reject struct {
	Record int64  `json:"record,omitempty"` // 0: the file as a whole
	Line   int64  `json:"line,omitempty"`   // 0: not known
	Field  string `json:"field,omitempty"`
	Value  string `json:"value,omitempty"` // cut to 200 characters, escaped
	Reason string `json:"reason"`
}

// An Outcome is what working an entry came to.
type Outcome struct {
	State    State // Accepted, Delivered (accepted, and no message to send), Rejected, Held or Duplicate
	Reason   string
	Hold     string        // with Held: what for, in a word of the caller's; "" is nothing that approving lets pass
	Within   time.Duration // with Held: after which time it is rejected unless somebody or something lets it go on; 0: never, see Ledger.Expire
	Records  int64
	Messages int64
	Rejected int64 // number of rejects; Rejects holds at most the first 1,000
	Rejects  []Reject
	Config   string  // digest of the job's configuration
	Verdict  Verdict // "" leaves it
	Tables   string  // which versions of tables it was worked with, for the history
	Figures  string  // JSON: what stood around the records and their totals, for the acknowledgement; the ledger keeps it with what is owed
}

// An Event is one thing that happened. Entry or Entries or neither is set.
type Event struct {
	ID      int64
	At      time.Time
	Node    string
	Kind    string // landed, accepted, rejected, delivered, failed, held, …, or a command ("approve")
	Entry   int64
	Entries []int64
	Detail  map[string]any
	Hash    []byte
}

// A Waiting is a file that a watcher has seen and does not take yet.
type Waiting struct {
	Arrival Arrival
	Reason  string    // what it waits for, in words a person can act on
	Until   time.Time // when it is looked at again at the latest; zero: at every look
}

// A Closable is a file whose entries are all done, so that its source may take it away.
type Closable struct {
	File       File
	Failed     bool                                      // an entry was rejected, cancelled or has dead letters
	Report     func(ctx context.Context) ([]byte, error) // reads the reject report; nil for none
	ReportName string                                    // "orders_1.csv.rejects.json"
}

// A ClosedFile says what a source made of a closable file. It is closed for good either way: with Err it was left where it is.
type ClosedFile struct {
	ID    int64
	Where string // where it is now, "" when it was deleted
	Err   string // why it could not be taken away, "" when it was
}
