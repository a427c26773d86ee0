// Package unpack takes files out of what they are packed in: gzip, zstd, bzip2, zip, tar, OpenPGP and age, also in each other.
//
//	Blob ─► packing ─► … ─► Blob (Open), or one per member of an archive (Members)
//
// An Unpacker is what `unpack` of a job comes to. It holds the limits, which no decompressor does by itself: how much comes out, in all and
// against what went in, how many entries there are and what they may be called. What is wrong with a file is a *formats.FileError. A new packing
// is one line in packings and one file. Detect looks at a file as formats.Detect does, with the packings taken off first.
package unpack

import (
	"bufio"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"waybill/formats"
	"waybill/formats/fault"
	"waybill/formats/zipfile"
)

const (
	maxArchiveDepth = 2                  // packings in each other
	maxEntries      = zipfile.MaxEntries // of an archive, those of archives in it counted
)

// A packing is one way to pack bytes. It gives one file, or, for archives, one per member; a file is
// valid until the next step. It has to hold the limits itself, since it alone sees both sides.
type packing struct {
	name    string
	suffix  string // of the file name, dropped with the packing; several with a blank between them
	archive bool
	keys    string // the setting that holds its keys, "" for none: then it is encrypted, and no layer of archive_depth
	unpack  func(u *unpacking, f packed) iter.Seq2[packed, error]
}

// packings lists what can be unpacked. A new one is one line here.
func packings() []packing {
	return []packing{
		{"gzip", ".gz", false, "", one(gunzip)},
		{"zstd", ".zst", false, "", one(unzstd)},
		{"bzip2", ".bz2", false, "", one(bunzip2)},
		{"zip", "", true, "", unzip},
		{"tar", "", true, "", untar},
		{"pgp", ".pgp .gpg .asc", false, "pgp", decryptPGP},
		{"age", ".age", false, "age", decryptAge},
	}
}

func packingNames() []string {
	var names []string
	for _, p := range packings() {
		names = append(names, p.name)
	}
	return names
}

// A Staging is what unpacking may use beside the file.
type Staging struct {
	At   time.Time                // when the file landed: what keys are judged by; zero: nothing is decrypted
	Temp func() (*os.File, error) // makes a file that is gone once it is closed; nil: in the system's folder for temporary files
}

// Create makes such a file.
func (s Staging) Create() (*os.File, error) {
	if s.Temp == nil {
		return formats.TempFile()
	}
	return s.Temp()
}

// An Unpacker undoes the packings of files, the outermost first. It is safe for concurrent use.
type Unpacker struct {
	packings []packing
	limits   formats.Limits
	keys     keyring
}

// Keys are those with which encrypted files are opened.
type Keys struct {
	PGP     *PGP
	Age     *Age
	Unknown bool // they cannot be read here, as in commands that only look: nothing is decrypted
}

type keyring struct {
	pgp *pgpRing
	age []age.Identity
}

// take reads the keys that the packings need.
func (r *keyring) take(list []packing, k Keys) (problems []formats.Problem) {
	for _, p := range list {
		var more []formats.Problem
		switch {
		case p.keys == "pgp" && k.PGP == nil, p.keys == "age" && k.Age == nil:
			more = []formats.Problem{problem(p.keys, fmt.Sprintf("is missing: unpack says %s, so say with which keys", p.name))}
		case k.Unknown:
		case p.keys == "pgp":
			r.pgp, more = k.PGP.ring()
		case p.keys == "age":
			r.age, more = k.Age.keys()
		}
		problems = append(problems, more...)
	}
	for _, o := range []struct {
		name string
		set  bool
	}{{"pgp", k.PGP != nil}, {"age", k.Age != nil}} {
		if o.set && !slices.ContainsFunc(list, func(p packing) bool { return p.keys == o.name }) {
			problems = append(problems, problem(o.name, fmt.Sprintf("goes with unpack: %s", o.name)))
		}
	}
	return problems
}

// New makes an unpacker, or tells what is wrong with the value of `unpack`.
func New(kinds []string, l formats.Limits, k Keys) (*Unpacker, []formats.Problem) {
	var ps []formats.Problem
	layers := 0
	u := &Unpacker{limits: l.WithDefaults()}
	all, there := packings(), packingNames()
	for i, kind := range kinds {
		path := fmt.Sprintf("unpack[%d]", i)
		at := slices.Index(there, kind)
		switch {
		case at >= 0:
			u.packings = append(u.packings, all[at])
			if all[at].keys == "" {
				layers++
			}
		default:
			ps = append(ps, problem(path, fmt.Sprintf("unknown packing %q%s: there are %s", kind, fault.Meant(kind, there), strings.Join(there, ", "))))
		}
	}
	if layers > maxArchiveDepth {
		ps = append(ps, problem("unpack", fmt.Sprintf("at most %d packings in each other (archive_depth)", maxArchiveDepth)))
	}
	if len(u.packings)-layers > 1 {
		ps = append(ps, problem("unpack", "at most one encryption"))
	}
	ps = append(ps, u.keys.take(u.packings, k)...)
	if len(ps) > 0 {
		return nil, ps
	}
	return u, nil
}

// Archive reports whether there are files of their own inside: Members takes them out. Of anything else Open does.
func (u *Unpacker) Archive() bool {
	return slices.ContainsFunc(u.packings, func(p packing) bool { return p.archive })
}

// Packed reports whether there is anything to be undone.
func (u *Unpacker) Packed() bool { return len(u.packings) > 0 }

// Open returns the one file that is packed in b. What is wrong with the packed bytes is an error here when it shows at once, else
// an error of the file's reader. end is to be called once the file is not read any more, whatever came of it.
func (u *Unpacker) Open(b formats.Blob, s Staging) (inner formats.Blob, end func(), err error) {
	if len(u.packings) == 0 {
		return b, func() {}, nil
	}
	next, stop := iter.Pull2(u.all(&unpacking{limits: u.limits, staging: s, keys: u.keys}, packed{Blob: b}, u.packings))
	f, err, ok := next()
	if !ok {
		err = refused("nothing is inside")
	}
	return f.Blob, stop, err
}

// Members yields the files of an archive, each valid until the next step, with its path in the archive as its name. Archives in archives are
// taken apart, too. A file need not be read. After an error there is no other file, and none that was yielded before is to be used: the
// archive as a whole is bad. The error may be that of a file's reader.
func (u *Unpacker) Members(b formats.Blob, s Staging) iter.Seq2[formats.Blob, error] {
	return func(yield func(formats.Blob, error) bool) {
		state := &unpacking{limits: u.limits, staging: s, keys: u.keys, size: b.Size}
		names := map[string]bool{}
		for f, err := range u.all(state, packed{Blob: b}, u.packings) {
			if err == nil && names[folded(f.Name)] {
				err = refused(fmt.Sprintf("two files of the archive bear the name %q", fault.Cut(f.Name)))
			}
			if err != nil {
				yield(formats.Blob{}, err)
				return
			}
			names[folded(f.Name)] = true
			f.Reader = &memberReader{r: f.Reader, u: state, name: f.Name}
			if !yield(f.Blob, nil) {
				return
			}
		}
	}
}

func problem(path, text string) formats.Problem { return formats.Problem{Path: path, Text: text} }

func refused(reason string) *formats.FileError { return &formats.FileError{Offset: 0, Reason: reason} }

// An unpacking is one file on its way.
type unpacking struct {
	limits  formats.Limits
	staging Staging
	keys    keyring
	size    int64 // of the outermost file, -1 when it is not known
	entries int   // of all archives
	out     int64 // bytes of all files that came out
}

// packed is a file in the middle of being unpacked. Used tells how many bytes of the outermost file, the one that somebody sent, it took to come so far:
// the ratio is that of the whole chain, so that a bomb gains nothing from being packed twice. It is nil of the outermost file.
type packed struct {
	formats.Blob
	used   func() int64
	member bool // of an archive
}

func (u *Unpacker) all(state *unpacking, f packed, list []packing) iter.Seq2[packed, error] {
	return func(yield func(packed, error) bool) {
		if len(list) == 0 {
			yield(f, nil)
			return
		}
		for inner, err := range list[0].unpack(state, f) {
			if err != nil {
				yield(packed{}, err)
				return
			}
			for suffix := range strings.FieldsSeq(list[0].suffix) {
				inner.Name = strings.TrimSuffix(inner.Name, suffix)
			}
			for file, err := range u.all(state, inner, list[1:]) {
				if !yield(file, err) || err != nil {
					return
				}
			}
		}
	}
}

// one is the packing of a single file: a stream.
func one(open func(f packed, l formats.Limits) *stream) func(*unpacking, packed) iter.Seq2[packed, error] {
	return func(u *unpacking, f packed) iter.Seq2[packed, error] {
		return func(yield func(packed, error) bool) {
			s := open(f, u.limits)
			yield(packed{formats.Blob{Name: f.Name, Reader: s, Size: -1, Unpacked: true, ModTime: f.ModTime}, s.used, f.member}, nil)
		}
	}
}

// newStream begins a stream whose packed bytes are f.
func newStream(kind string, f packed, l formats.Limits) *stream {
	s := &stream{kind: kind, packed: counter{r: f.Bounded(l)}, limits: l, used: f.used}
	s.buffer = bufio.NewReaderSize(&s.packed, 64<<10)
	if s.used == nil {
		s.used = s.offset
	}
	return s
}
