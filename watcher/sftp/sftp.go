// Package sftp is the kind of source that is a folder on a remote SFTP server.
//
// The server belongs to somebody else: it may be slow, away, replaced or hostile, its clock may be wrong, and other clients
// work in the folder at the same time. So
//
//   - nothing is sent before the host key is one that is pinned ([pins]), and a login that was refused is not repeated but
//     after long, growing pauses, so that waybill never locks an account ([server]);
//   - one connection is kept per server and user, however many sources there are; whoever waits for an answer waits for
//     at most the patience of its [session], and a dead peer is noticed by keepalives ([conn]);
//   - a listing is a stream: memory does not grow with a folder ([Source.List]);
//   - times of the server are compared with each other for equality, never with our clock: a file is taken when size
//     and time were the same at several looks, as [watcher.Settle] counts them on the monotonic clock;
//   - a file that is read counts as whole when the size listed, the bytes read until the server said that there are no more, and the
//     size and time after that agree ([Source.Open]); broken off, it goes on where it was if nothing has changed;
//   - closing never overwrites, and a request whose answer was lost is resolved by looking ([Source.Close]).
//
// The protocol is SFTP version 3, which all servers speak. It knows of a file its size and a time in whole seconds: what changes
// and keeps both is not seen as another version.
//
// Several nodes must not list one source at a time: on SQLite the executor's lock sees to it, since only its holder runs watchers.
//
// The client is our own and not pkg/sftp's because that one reads a listing as a whole and cuts names at "/" before
// one sees them, and because most of its calls wait without end.
package sftp

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"path"
	"strings"
	"sync"
	"time"

	"waybill/watcher"
)

// Options is what stands under sftp: in a source.
type Options struct {
	Address    string   `yaml:"address" required:"true" doc:"the server, host or host:port"`
	Login      Login    `yaml:",inline"`
	HostKey    []string `yaml:"host_key" one:"true" doc:"what the server must prove to be: fingerprints (SHA256:…) or public keys (ssh-ed25519 AAAA…); several while it changes its key"`
	KnownHosts string   `yaml:"known_hosts" doc:"file of host keys as OpenSSH keeps it, also with hashed names, @revoked and @cert-authority"`
	Jump       *Jump    `yaml:"jump" doc:"host to go through"`
	Folder     string   `yaml:"folder" default:"." doc:"the folder there; one that does not begin with / is below the one where the login begins"`
	Recursive  bool     `yaml:"recursive" doc:"look into the folders below it as well"`
	Depth      int      `yaml:"depth" default:"16" doc:"how far down"`
	Names      int      `yaml:"names" default:"1000000" doc:"names looked at in one look; what is beyond is left, and told"`
	Include    []string `yaml:"include" one:"true" doc:"only these: patterns with *, ? and [a-z] for the name, or for the path when they hold a /"`
	Exclude    []string `yaml:"exclude" one:"true" doc:"not these, nor folders of these names"`
	Order      string   `yaml:"order" enum:"any,oldest,name" default:"any" doc:"oldest or name: one after the other in this order (of each 100,000); any: many at a time"`
	ReadOnce   bool     `yaml:"read_once" doc:"for mailboxes where a file is gone once it was opened: each is opened once and never asked about again, nor fetched anew; closing is left to the server"`
	Files      int      `yaml:"files" default:"32" doc:"files read at a time, by all sources of this server and user together"`
}

// A Jump is the server to go through.
type Jump struct {
	Address    string   `yaml:"address" required:"true" doc:"the jump host, host or host:port"`
	Login      Login    `yaml:",inline"`
	HostKey    []string `yaml:"host_key" one:"true" doc:"as for the server"`
	KnownHosts string   `yaml:"known_hosts" doc:"as for the server"`
}

// Files is what stands in the files that the options name; New reads none itself.
type Files struct {
	KnownHosts, JumpKnownHosts []byte // nil: none is named
}

// A Source is one folder on a server. It implements [watcher.Source], [watcher.Stater], [watcher.Sorter],
// [watcher.Distant] and [watcher.Leaver].
type Source struct {
	o      Options
	fates  watcher.Fates
	log    *slog.Logger
	settle *watcher.Settle
	marks  *marks // of read_once

	server *server
	pool   *Servers
	left   sync.Once

	warned sync.Map // by text: what was logged once
	made   sync.Map // folders below that are there
}

// New makes the source that o describes. It connects only when it is asked for something. Without servers it only looks for
// mistakes.
func New(o Options, files Files, s watcher.Settings, servers *Servers, log *slog.Logger) (*Source, []Problem) {
	hops, problems := o.hops(files)
	problems = append(problems, o.check()...)
	src := &Source{o: o, marks: newMarks()}
	src.fates = s.Fates(func(fate watcher.Fate, text string) { problems = append(problems, Problem{string(fate), text}) })
	if len(problems) > 0 || servers == nil {
		return nil, problems
	}
	src.pool, src.log = servers, log.With("server", hops[len(hops)-1].address, "folder", o.Folder)
	src.settle = watcher.NewSettle(s.Settle.Looks, s.Settle.Pause, servers.now)
	src.server = servers.share(key(o, files), o.Files, hops)
	return src, nil
}

// hops are the servers on the way, that with the files last.
func (o *Options) hops(files Files) (list []*hop, problems []Problem) {
	if o.Jump != nil {
		h, ps := newHop(o.Jump.Address, o.Jump.Login, o.Jump.HostKey, files.JumpKnownHosts)
		for _, p := range ps {
			problems = append(problems, Problem{"jump." + p.Path, p.Text})
		}
		list = append(list, h)
	}
	h, ps := newHop(o.Address, o.Login, o.HostKey, files.KnownHosts)
	return append(list, h), append(problems, ps...)
}

func newHop(address string, l Login, hostKeys []string, known []byte) (*hop, []Problem) {
	if address == "" {
		return nil, []Problem{{"address", "address is missing: write the server, host or host:port"}}
	}
	if strings.Contains(address, "://") {
		return nil, []Problem{{"address", fmt.Sprintf("%q is a URL: write host or host:port, and the folder as folder", address)}}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), "22"
	}
	if host == "" || strings.ContainsAny(host, "/@ ") {
		return nil, []Problem{{"address", fmt.Sprintf("%q is no host: write host or host:port", address)}}
	}
	h := &hop{address: net.JoinHostPort(host, port)}
	h.who = who(h.address, l)
	var problems, more []Problem
	h.login, problems = newCredential(l)
	h.pins, more = newPins(h.address, hostKeys, known)
	return h, append(problems, more...)
}

// check fills in what is left out and reports what cannot be.
func (o *Options) check() (problems []Problem) {
	for field, n := range map[string]*int{"depth": &o.Depth, "names": &o.Names, "files": &o.Files} {
		if *n < 0 {
			problems = append(problems, Problem{field, "is less than nothing"})
		}
		if *n == 0 {
			*n = map[string]int{"depth": 16, "names": 1_000_000, "files": 32}[field]
		}
	}
	for field, patterns := range map[string][]string{"include": o.Include, "exclude": o.Exclude} {
		for i, pattern := range patterns {
			if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
				problems = append(problems, Problem{fmt.Sprintf("%s[%d]", field, i), fmt.Sprintf("%q is no pattern: write for example *.csv", pattern)})
			}
		}
	}
	switch o.Order {
	case "", "any", "oldest", "name":
	default:
		problems = append(problems, Problem{"order", fmt.Sprintf("%q is unknown: write any, oldest or name", o.Order)})
	}
	if strings.ContainsRune(o.Folder, 0) {
		problems = append(problems, Problem{"folder", "holds a zero byte"})
	}
	switch folder := strings.TrimRight(o.Folder, "/"); {
	case folder != "" || o.Folder != "": // "" is now the root
		o.Folder = folder
	default:
		o.Folder = "."
	}
	return problems
}

// key tells servers apart: by address, user and whatever is needed to get there. With another key or password it is another
// one, which no refused login is held against.
func key(o Options, files Files) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %d", o.Address, o.Login, o.HostKey, files.KnownHosts, o.Files)
	if o.Jump != nil {
		fmt.Fprintf(h, " %q %q %q %q", o.Jump.Address, o.Jump.Login, o.Jump.HostKey, files.JumpKnownHosts)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Leave implements [watcher.Leaver]: when no other source uses it, the connection is closed.
func (s *Source) Leave() { s.left.Do(func() { s.pool.leave(s.server) }) }

// Sorted implements [watcher.Sorter]. Files of a mailbox land one after the other as well: each is closed only when it has landed.
func (s *Source) Sorted() bool { return s.ordered() || s.o.ReadOnce }

// ordered reports whether an order is asked for.
func (s *Source) ordered() bool { return s.o.Order == "oldest" || s.o.Order == "name" }

// Beside implements [watcher.Distant].
func (s *Source) Beside() int { return s.o.Files }

// full is a path of the source as the server knows it.
func (s *Source) full(below string) string {
	if below == "" || below == "." {
		return cmp.Or(s.o.Folder, "/")
	}
	return s.o.Folder + "/" + below
}

// once logs text as a warning the first time it is called with it.
func (s *Source) once(text string, args ...any) {
	if _, before := s.warned.LoadOrStore(text, true); !before {
		s.log.Warn(text, args...)
	}
}

// Ready implements [watcher.Source].
func (s *Source) Ready(_ context.Context, f watcher.File) (ok bool, reason string, wait time.Duration, err error) {
	ok, reason, wait = s.settle.Look(f)
	return ok, reason, wait, nil
}
