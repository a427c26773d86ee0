package unpack

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"

	"waybill/formats"
	"waybill/formats/fault"
)

// untar yields the files of a tar archive, one after the other.
func untar(u *unpacking, f packed) iter.Seq2[packed, error] {
	return func(yield func(packed, error) bool) {
		t := newTarFile(u, f)
		for names := map[string]bool{}; ; {
			m, err := t.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil && m.Name != "" && names[folded(m.Name)] {
				err = t.fail(fmt.Sprintf("two entries bear the name %q", fault.Cut(m.Name)), nil)
			}
			if err != nil {
				yield(packed{}, err)
				return
			}
			names[folded(m.Name)] = true
			if m.Name != "" && !yield(m, nil) {
				return
			}
			// What nobody read of it is passed over here: its limits hold, and its zeros are not taken for the end of the archive.
			if _, err := io.Copy(io.Discard, m.Reader); err != nil {
				yield(packed{}, err)
				return
			}
		}
		if err := t.end(); err != nil {
			yield(packed{}, err)
		}
	}
}

// A tarFile is a tar archive being read. It counts the zeros that it has read last, for two blocks of them are its end, which the reader
// of the standard library does not ask for: an archive that is cut off between two entries must not be taken for a whole one.
type tarFile struct {
	u      *unpacking
	outer  packed
	packed counter
	buffer *bufio.Reader
	r      *tar.Reader
	used   func() int64
	zeros  int
	begun  bool
}

func newTarFile(u *unpacking, f packed) *tarFile {
	t := &tarFile{u: u, outer: f, packed: counter{r: f.Bounded(u.limits)}, used: f.used}
	t.buffer = bufio.NewReaderSize(&t.packed, 64<<10)
	t.r = tar.NewReader(t)
	if t.used == nil {
		t.used = t.offset
	}
	return t
}

// Read is what the reader of the standard library reads from.
func (t *tarFile) Read(p []byte) (int, error) {
	n, err := t.buffer.Read(p)
	for _, b := range p[:n] {
		if t.zeros++; b != 0 {
			t.zeros = 0
		}
	}
	return n, err
}

const tarBlock = 512

// next goes to the next entry; one without a name is nothing that becomes a file. io.EOF is the end.
func (t *tarFile) next() (packed, error) {
	t.zeros = 0
	h, err := t.r.Next()
	switch {
	case errors.Is(err, io.EOF) && t.offset() == 0:
		return packed{}, t.fail("the file is empty, not a tar archive", nil)
	case errors.Is(err, io.EOF) && t.zeros < tarBlock:
		return packed{}, t.fail("truncated: the archive has no end", io.ErrUnexpectedEOF)
	case errors.Is(err, io.EOF):
		return packed{}, io.EOF
	case err != nil:
		return packed{}, t.refuse(err)
	}
	t.begun = true
	e := entry{asText(h.Name), h.FileInfo().Mode(), h.Typeflag == tar.TypeDir}
	if h.Typeflag == tar.TypeXGlobalHeader { // says something of all
		e.folder, e.name = true, "global/"
	}
	name, err := t.u.enter(t.outer, "tar", e)
	if err == nil && name != "" && h.Typeflag != tar.TypeReg {
		err = t.fail(fmt.Sprintf("the entry %q is no ordinary file (a link, a device, a file with holes): only files and folders are taken", fault.Cut(h.Name)), nil)
	}
	if err != nil {
		return packed{}, err
	}
	limited := &limitedReader{r: t.r, kind: "tar", name: name, u: t.u, used: t.used, at: t.offset, tells: t.refuse}
	return packed{formats.Blob{Name: name, Reader: limited, Size: -1, Unpacked: true, ModTime: h.ModTime}, t.used, true}, nil
}

// end makes sure that nothing follows but zeros.
func (t *tarFile) end() error {
	for {
		p, err := t.buffer.Peek(1)
		switch {
		case len(p) == 0 && errors.Is(err, io.EOF):
			return nil
		case len(p) == 0:
			return t.refuse(err)
		case p[0] != 0:
			return t.fail("bytes after the end of the archive", nil)
		}
		_, _ = t.buffer.Discard(1) // it is there
	}
}

func (t *tarFile) refuse(err error) error {
	var file *formats.FileError
	switch {
	case errors.As(err, &file):
		return err
	case t.packed.err != nil:
		return fmt.Errorf("unpack at offset %d: %w", t.offset(), err)
	case errors.Is(err, io.ErrUnexpectedEOF) && t.begun:
		return t.fail("truncated: the file ends inside the archive", err)
	case !t.begun:
		return t.fail("the file is not a tar archive", err)
	}
	return t.fail("the archive is damaged", err)
}

func (t *tarFile) fail(reason string, err error) error {
	return &formats.FileError{Offset: t.offset(), Reason: "tar: " + reason, Err: err}
}

func (t *tarFile) offset() int64 { return t.packed.read - int64(t.buffer.Buffered()) }
