package formats

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
)

const (
	maxArchiveDepth = 2       // packings in each other
	ratioFrom       = 1 << 20 // unpacked bytes from which on the ratio counts: a small file may well be all blanks
)

// A packing is one way to pack bytes. It gives one blob, or, for archives, one per member; a blob is
// valid until the next step. It has to hold the limits itself, since it alone sees both sides.
type packing struct {
	name   string
	suffix string // of the file name, dropped with the packing
	unpack func(b Blob, l Limits) iter.Seq2[Blob, error]
}

// packings lists what can be unpacked. A new one is one line here.
func packings() []packing {
	return []packing{
		{"gzip", ".gz", gunzip},
	}
}

var laterPackings = []string{"zip", "zstd", "bzip2", "tar", "pgp", "age"}

// CheckUnpack tells what is wrong with the value of `unpack`.
func CheckUnpack(kinds []string) []Problem {
	var ps []Problem
	for i, kind := range kinds {
		path := fmt.Sprintf("unpack[%d]", i)
		switch {
		case slices.ContainsFunc(packings(), func(p packing) bool { return p.name == kind }):
		case slices.Contains(laterPackings, kind):
			ps = append(ps, Problem{path, kind + " is not unpacked yet: today there is gzip"})
		default:
			ps = append(ps, Problem{path, fmt.Sprintf("unknown packing %q%s: there is gzip", kind, meant(kind, append([]string{"gzip"}, laterPackings...)))})
		}
	}
	if len(kinds) > maxArchiveDepth {
		ps = append(ps, Problem{"unpack", fmt.Sprintf("at most %d packings in each other (archive_depth)", maxArchiveDepth)})
	}
	return ps
}

// Unpack undoes the packings, the outermost first. It yields each file inside: one for gzip. What is
// wrong with the packed bytes is an error here when it shows at once, else an error of the blob's reader.
func Unpack(b Blob, kinds []string, l Limits) iter.Seq2[Blob, error] {
	l = l.WithDefaults()
	if ps := CheckUnpack(kinds); len(ps) > 0 {
		return func(yield func(Blob, error) bool) {
			yield(Blob{}, &FileError{Offset: -1, Limit: "archive_depth", Reason: ps[0].String()})
		}
	}
	return unpackAll(b, kinds, l)
}

func unpackAll(b Blob, kinds []string, l Limits) iter.Seq2[Blob, error] {
	return func(yield func(Blob, error) bool) {
		if len(kinds) == 0 {
			yield(b, nil)
			return
		}
		ps := packings()
		p := ps[slices.IndexFunc(ps, func(p packing) bool { return p.name == kinds[0] })]
		for inner, err := range p.unpack(b, l) {
			if err != nil {
				yield(Blob{}, err)
				return
			}
			inner.Name = strings.TrimSuffix(inner.Name, p.suffix)
			for file, err := range unpackAll(inner, kinds[1:], l) {
				if !yield(file, err) || err != nil {
					return
				}
			}
		}
	}
}

func gunzip(b Blob, l Limits) iter.Seq2[Blob, error] {
	return func(yield func(Blob, error) bool) {
		packed := b.Reader
		if !b.Unpacked {
			packed = &capped{r: packed, most: l.MaxFile}
		}
		z := &gzipReader{packed: counter{r: packed}, limits: l}
		z.buffer = bufio.NewReaderSize(&z.packed, 64<<10)
		yield(Blob{Name: b.Name, Reader: z, Size: -1, Unpacked: true}, nil)
	}
}

// A gzipReader reads the members of a gzip file (RFC 1952 allows several) one after the other. Unlike
// gzip.Reader by itself it says what is wrong in words, and how far it got.
type gzipReader struct {
	packed  counter
	buffer  *bufio.Reader
	z       *gzip.Reader
	members int
	in      bool  // inside a member
	out     int64 // bytes unpacked
	limits  Limits
	err     error
}

func (g *gzipReader) Read(p []byte) (int, error) {
	for g.err == nil && len(p) > 0 {
		if !g.in {
			g.err = g.member()
			continue
		}
		n, err := g.z.Read(p)
		g.out += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			g.in = false
		case err != nil:
			g.err = g.refuse(err)
		}
		if e := g.hold(); e != nil {
			g.err = e
			return 0, e
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, g.err
}

// member starts the next member; io.EOF when there is none.
func (g *gzipReader) member() error {
	head, err := g.buffer.Peek(2)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF) && g.members > 0:
		return io.EOF
	case len(head) == 0 && errors.Is(err, io.EOF):
		return g.fail("", "the file is empty, not compressed with gzip", nil)
	case err != nil && !errors.Is(err, io.EOF):
		return g.refuse(err)
	case len(head) == 2 && head[0] == 0x1F && head[1] == 0x8B:
	case g.members > 0:
		return g.fail("", "bytes after the end of the compressed data", nil)
	default:
		return g.fail("", "the file is not compressed with gzip", nil)
	}
	if g.z == nil {
		g.z, err = gzip.NewReader(g.buffer)
	} else {
		err = g.z.Reset(g.buffer)
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return g.refuse(err)
	}
	g.z.Multistream(false)
	g.members++
	g.in = true
	return nil
}

// hold checks the limits on what came out so far.
func (g *gzipReader) hold() error {
	if most := g.limits.MaxUnpacked; g.out > int64(most) {
		return g.fail("max_unpacked", fmt.Sprintf("the file unpacks to more than max_unpacked, %s", most), nil)
	}
	if in := g.offset(); g.out > ratioFrom && g.out/int64(g.limits.MaxRatio) > in {
		return g.fail("max_ratio", fmt.Sprintf("the file unpacks to more than %d times its size (max_ratio)", g.limits.MaxRatio), nil)
	}
	return nil
}

// refuse says in words what is wrong with the packed bytes; trouble in reading them stays what it is.
func (g *gzipReader) refuse(err error) error {
	var file *FileError
	switch {
	case errors.As(err, &file):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return g.fail("", "truncated: the file ends inside the compressed data", err)
	case errors.Is(err, gzip.ErrChecksum):
		return g.fail("", "the compressed data is damaged: its checksum does not agree", err)
	case errors.Is(err, gzip.ErrHeader):
		return g.fail("", "the gzip header is damaged", err)
	case g.packed.err != nil:
		return fmt.Errorf("unpack at offset %d: %w", g.offset(), err)
	}
	return g.fail("", "the compressed data is damaged", err)
}

func (g *gzipReader) fail(limit, reason string, err error) error {
	return &FileError{Offset: g.offset(), Limit: limit, Reason: "gzip: " + reason, Err: err}
}

// offset is how much of the packed file was used.
func (g *gzipReader) offset() int64 { return g.packed.read - int64(g.buffer.Buffered()) }

// counter counts what is read and remembers an error that is not the end.
type counter struct {
	r    io.Reader
	read int64
	err  error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
