package unpack

import (
	"bufio"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"waybill/formats"
	"waybill/formats/fault"
)

// A stream reads what a compressor made of one file, which may be several members one after the other (RFC 1952 and RFC 8878 allow it, and so
// does bzip2). Unlike the decompressors by themselves it holds the limits, says what is wrong in words, and how far it got.
type stream struct {
	kind   string
	packed counter
	buffer *bufio.Reader
	begin  func() (io.Reader, error) // starts the next member; io.EOF where there can be none
	magic  []string                  // what a member begins with
	inside io.Reader                 // a member; nil between two
	began  int
	out    int64        // bytes unpacked
	used   func() int64 // bytes of the outermost file that it took
	limits formats.Limits
	err    error
}

func gunzip(f packed, l formats.Limits) *stream {
	s := newStream("gzip", f, l)
	s.magic = []string{"\x1F\x8B"}
	var z *gzip.Reader
	s.begin = func() (r io.Reader, err error) {
		if z == nil {
			z, err = gzip.NewReader(s.buffer)
		} else {
			err = z.Reset(s.buffer)
		}
		if err != nil {
			return nil, err
		}
		z.Multistream(false)
		return z, nil
	}
	return s
}

// zstdWindow is as far as zstd may look back, which is what it takes in memory: RFC 8878 asks for no more to be understood.
const zstdWindow = 8 << 20

func unzstd(f packed, l formats.Limits) *stream {
	s := newStream("zstd", f, l)
	s.magic = []string{"\x28\xB5\x2F\xFD", "\x50\x2A\x4D\x18"}
	for skippable := byte(0x51); skippable < 0x60; skippable++ {
		s.magic = append(s.magic, string(skippable)+"\x2A\x4D\x18")
	}
	s.begin = func() (io.Reader, error) {
		if s.began > 0 { // it has gone on from frame to frame by itself, to the end
			return nil, io.EOF
		}
		// One goroutine, ours: nothing to be ended, and nothing is read ahead.
		return zstd.NewReader(s.buffer, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(zstdWindow))
	}
	return s
}

func bunzip2(f packed, l formats.Limits) *stream {
	s := newStream("bzip2", f, l)
	s.magic = []string{"BZh"}
	s.begin = func() (io.Reader, error) {
		if s.began > 0 { // as above
			return nil, io.EOF
		}
		return bzip2.NewReader(s.buffer), nil
	}
	return s
}

func (s *stream) Read(p []byte) (int, error) {
	for s.err == nil && len(p) > 0 {
		if s.inside == nil {
			s.err = s.member()
			continue
		}
		n, err := s.inside.Read(p)
		s.out += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			s.inside = nil
		case err != nil:
			s.err = s.refuse(err)
		}
		if e := s.hold(); e != nil {
			s.err = e
			return 0, e
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, s.err
}

// member starts the next member; io.EOF when there is none.
func (s *stream) member() error {
	head, err := s.buffer.Peek(len(s.magic[0]))
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF) && s.began > 0:
		return io.EOF
	case len(head) == 0 && errors.Is(err, io.EOF):
		return s.fail("", "the file is empty, not compressed with "+s.kind, nil)
	case err != nil && !errors.Is(err, io.EOF):
		return s.refuse(err)
	case !s.begins(string(head)) && s.began > 0:
		return s.fail("", "bytes after the end of the compressed data", nil)
	case !s.begins(string(head)):
		return s.fail("", "the file is not compressed with "+s.kind, nil)
	}
	if s.inside, err = s.begin(); err != nil {
		s.inside = nil
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return s.refuse(err)
	}
	s.began++
	return nil
}

func (s *stream) begins(head string) bool {
	for _, m := range s.magic {
		if head == m {
			return true
		}
	}
	return false
}

// hold checks the limits on what came out so far.
func (s *stream) hold() error {
	if most := s.limits.MaxUnpacked; s.out > int64(most) {
		return s.fail("max_unpacked", fmt.Sprintf("the file unpacks to more than max_unpacked, %s", most), nil)
	}
	if in := s.used(); s.out > fault.RatioFrom && s.out/int64(s.limits.MaxRatio) > in {
		return s.fail("max_ratio", fmt.Sprintf("the file unpacks to more than %d times its size (max_ratio)", s.limits.MaxRatio), nil)
	}
	return nil
}

// refuse says in words what is wrong with the packed bytes; trouble in reading them stays what it is.
func (s *stream) refuse(err error) error {
	var file *formats.FileError
	var bad bzip2.StructuralError
	bzip := errors.As(err, &bad)
	switch {
	case errors.As(err, &file):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return s.fail("", "truncated: the file ends inside the compressed data; send it again, whole", err)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, zstd.ErrCRCMismatch), bzip && strings.Contains(string(bad), "checksum"):
		return s.fail("", "the compressed data is damaged: its checksum does not agree", err)
	case errors.Is(err, gzip.ErrHeader):
		return s.fail("", "the gzip header is damaged", err)
	case errors.Is(err, zstd.ErrMagicMismatch), bzip && strings.Contains(string(bad), "magic value in continuation"):
		return s.fail("", "bytes after the end of the compressed data", err)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return s.fail("", fmt.Sprintf("to unpack it takes a window of more than %s: compress it without --long and with no level above 19", formats.Bytes(zstdWindow)), err)
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return s.fail("", "the file is compressed with a dictionary, which it has to be unpacked with: compress it without", err)
	case s.packed.err != nil:
		return fmt.Errorf("unpack at offset %d: %w", s.offset(), err)
	}
	return s.fail("", "the compressed data is damaged", err)
}

func (s *stream) fail(limit, reason string, err error) error {
	return &formats.FileError{Offset: s.offset(), Limit: limit, Reason: s.kind + ": " + reason, Err: err}
}

// offset is how much of the packed file was used.
func (s *stream) offset() int64 { return s.packed.read - int64(s.buffer.Buffered()) }

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
