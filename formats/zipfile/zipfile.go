// Package zipfile looks at a zip file as a whole before anything in it is unpacked: it is the floor beneath archives (formats/unpack) and
// workbooks (formats/xlsx), which know what may be in theirs and say it in their words.
//
//	New ─► Directory ─► the caller looks at the entries ─► Apart, Agree ─► Looked ─► the entries are read
//
// The package archive/zip reads what the directory says. This one sees that what it says is possible: a directory that is not larger than that of
// MaxEntries can be (Directory; whoever calls counts them), each entry's bytes its own (Apart) and, which archives ask for, each entry the same where
// it stands as in the directory (Agree). Directory, and then Agree, read at most 4 MiB. It knows nothing of formats.
package zipfile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/klauspost/compress/flate"

	"waybill/formats/fault"
)

// MaxEntries is how many entries a zip file may have.
const MaxEntries = 1000

// directory is how many bytes are read to know what is inside, and as many again to see that entries agree with it.
const directory = 4 << 20

// ErrMuch says that the directory is larger than that of MaxEntries entries can be.
var ErrMuch = errors.New("more was read than should be needed")

// A Fault is what is wrong with a zip file as a whole, or with one of its entries, in words.
type Fault string

func (f Fault) Error() string { return string(f) }

// An Archive is a zip file being looked at and read. It keeps the error that is the file's and not of what is in it.
type Archive struct {
	r    io.ReaderAt
	left atomic.Int64 // bytes that may still be read
	head int64        // offset of what was read last, while it is looked at
	done bool         // it was looked at
	err  error
}

// New begins to look at the file that r is.
func New(r io.ReaderAt) *Archive {
	a := &Archive{r: r}
	a.left.Store(directory)
	return a
}

// Looked ends looking: from now on the entries are read, whatever they hold.
func (a *Archive) Looked() {
	a.done = true
	a.left.Store(1 << 62)
}

// ReadAt reads the bytes of the file.
func (a *Archive) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case a.left.Add(-int64(len(p))) < 0:
		return 0, ErrMuch
	case off < 0: // as a damaged directory says
		return 0, io.ErrUnexpectedEOF
	}
	if !a.done {
		a.head = off
	}
	n, err := a.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		a.err = err
	}
	return n, err
}

// Directory reads what is inside a file of so many bytes. Nothing is judged yet but how much it is. The checksums are those of the directory.
func (a *Archive) Directory(size int64) ([]*zip.File, error) {
	if err := a.count(size); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(a, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, err
	}
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser { return flate.NewReader(r) })
	for _, f := range z.File {
		if f.CRC32 != 0 { // the library would look behind the bytes instead, where some that say so have nothing, or something else
			f.Flags &^= flagDescriptor
		}
	}
	return z.File, nil
}

// count refuses a file that says, in its zip64 record, that it has more entries than any is taken with: the library makes room
// for as many as would fit into a file of that size, some 500 MiB for one of 2 GiB.
func (a *Archive) count(size int64) error {
	const locator, record = 20, 56
	tail := make([]byte, min(size, 1<<16+22+locator)) // as far back as the library looks
	if _, err := a.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for {
		i := bytes.Index(tail, []byte("PK\x06\x07"))
		if i < 0 || len(tail)-i < locator {
			return nil
		}
		from := binary.LittleEndian.Uint64(tail[i+8:])
		if tail = tail[i+4:]; from > uint64(size) {
			continue
		}
		var end [record]byte
		if n, err := a.ReadAt(end[:], int64(from)); n < record {
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			continue
		}
		if bytes.HasPrefix(end[:], []byte("PK\x06\x06")) && binary.LittleEndian.Uint64(end[32:]) > 1<<16 {
			return ErrMuch
		}
	}
}

// Apart refuses entries whose bytes are those of another one too, as bombs have them.
func Apart(files []*zip.File, size int64) error {
	type span struct{ from, to int64 }
	var spans []span
	for _, f := range files {
		from, err := f.DataOffset()
		if err != nil {
			return err
		}
		length := f.CompressedSize64
		if from < 0 || length > uint64(size) || from > size-int64(length) {
			return Fault(fmt.Sprintf("the entry %q is said to reach beyond the end of the file", fault.Cut(f.Name)))
		}
		spans = append(spans, span{from, from + int64(length)})
	}
	slices.SortFunc(spans, func(a, b span) int { return int(min(1, max(-1, a.from-b.from))) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return Fault("entries of the zip file overlap")
		}
	}
	return nil
}

// Words are what one says of a file of a kind.
type Words struct {
	Method string // it is packed in a way that is not read
	CutOff string // it ends too early
	Length string // it is not as long as it is said to be; "" where that is no reason of its own
	Other  string // anything else
}

// Reason says in words what is wrong with what, the file or an entry, as err came of reading it; where that is trouble in reading the file, it
// returns the trouble instead.
func (a *Archive) Reason(what string, err error, w Words) (reason string, trouble error) {
	var fault Fault
	switch {
	case errors.As(err, &fault):
		return string(fault), nil
	case a.err != nil:
		return "", a.err
	case errors.Is(err, zip.ErrAlgorithm):
		return what + " is packed in a way that " + w.Method, nil
	case errors.Is(err, zip.ErrChecksum):
		return what + " is damaged: its checksum does not agree", nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return what + " is damaged: it is cut off" + w.CutOff, nil
	case errors.Is(err, zip.ErrFormat) && w.Length != "":
		return what + w.Length, nil
	}
	return what + w.Other, nil
}
