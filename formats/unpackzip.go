package formats

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/klauspost/compress/flate"
)

// unzip yields the files of a zip archive. It is looked at as a whole before the first of them is read: what its directory says must be
// possible, each entry's bytes its own.
func unzip(u *unpacking, f packed) iter.Seq2[packed, error] {
	return func(yield func(packed, error) bool) {
		at, size, drop, err := randomAccess(f.Blob, u.limits, u.staging.Create)
		if err != nil {
			yield(packed{}, err)
			return
		}
		defer drop()
		z := &zipFile{u: u, at: &meteredAt{r: at}, outer: f}
		list, err := z.directory(size)
		if err != nil {
			yield(packed{}, err)
			return
		}
		for _, m := range list {
			r, err := m.file.Open()
			if err != nil {
				yield(packed{}, z.broken(m.name, err))
				return
			}
			length := int64(m.file.CompressedSize64) //nolint:gosec // it lies within the file
			used := func() int64 { return length }
			if f.used != nil {
				used = func() int64 { return min(length, f.used()) }
			}
			limited := &limitedReader{r: r, kind: "zip", name: m.name, u: u, used: used, at: func() int64 { return m.at }, tells: func(err error) error { return z.broken(m.name, err) }}
			changed := m.file.Modified
			if changed.Year() < 1980 { // none is said
				changed = time.Time{}
			}
			more := yield(packed{Blob{Name: m.name, Reader: limited, Size: -1, Unpacked: true, ModTime: changed}, used, true}, nil)
			_ = r.Close() // of a decompressor: there is nothing to say
			if !more {
				return
			}
		}
	}
}

// A zipFile is a zip archive being read.
type zipFile struct {
	u     *unpacking
	at    *meteredAt
	outer packed
}

// zipMember is an entry that becomes a file.
type zipMember struct {
	name string
	file *zip.File
	at   int64 // where its bytes begin
}

// directory reads what is inside and refuses what is hostile about it.
func (z *zipFile) directory(size int64) ([]zipMember, error) {
	z.at.left.Store(zipDirectory)
	head := make([]byte, 4)
	n, err := z.at.ReadAt(head, 0)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read at offset 0: %w", err)
	case n == 0:
		return nil, refused("zip: the file is empty, not a zip archive")
	case !bytes.Equal(head, []byte("PK\x03\x04")) && !bytes.Equal(head, []byte("PK\x05\x06")):
		return nil, refused("zip: the file is not a zip archive")
	}
	if err := saneCount(z.at, size); err != nil {
		return nil, z.broken("", err)
	}
	r, err := zip.NewReader(z.at, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, z.broken("", err)
	}
	r.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser { return flate.NewReader(r) })
	var list []zipMember
	names, total := map[string]bool{}, uint64(0)
	for _, f := range r.File {
		name, err := z.u.enter(z.outer, "zip", entry{asText(f.Name), f.Mode(), f.Mode().IsDir()})
		if err != nil {
			return nil, err
		}
		if f.Flags&(1|1<<6|1<<13) != 0 || f.Method == aes {
			return nil, refused(fmt.Sprintf("zip: the entry %q is encrypted: archives with a password are not read", cut([]byte(f.Name))))
		}
		if name == "" {
			continue
		}
		if names[folded(name)] {
			return nil, refused(fmt.Sprintf("zip: two entries bear the name %q", cut([]byte(f.Name))))
		}
		names[folded(name)] = true
		if total += min(f.UncompressedSize64, 1<<60); total > uint64(z.u.limits.MaxUnpacked) {
			return nil, &FileError{Offset: -1, Limit: "max_unpacked", Reason: fmt.Sprintf("zip: the archive unpacks to more than max_unpacked, %s", z.u.limits.MaxUnpacked)}
		}
		list = append(list, zipMember{name: name, file: f})
	}
	if err := overlapping(r.File, size); err != nil {
		return nil, z.broken("", err)
	}
	for i := range list {
		if list[i].at, err = list[i].file.DataOffset(); err != nil {
			return nil, z.broken(list[i].name, err)
		}
	}
	z.at.left.Store(1 << 62)
	return list, nil
}

// aes is the method that stands for another one, encrypted (WinZip).
const aes = 99

// broken says in words what is wrong with the archive; trouble in reading it stays what it is.
func (z *zipFile) broken(name string, err error) error {
	what := "zip: the archive"
	if name != "" {
		what = "zip: " + cut([]byte(name))
	}
	var file *FileError
	switch {
	case errors.As(err, &file):
		return err
	case errors.Is(err, errMuch):
		return &FileError{Offset: 0, Limit: "archive_entries", Reason: fmt.Sprintf("zip: there are more than %d entries", maxEntries)}
	case z.at.err != nil:
		return fmt.Errorf("read %s: %w", what, z.at.err)
	case errors.Is(err, zip.ErrAlgorithm):
		return &FileError{Offset: 0, Reason: what + " is packed in a way that is not read: store or deflate it", Err: err}
	case errors.Is(err, zip.ErrChecksum):
		return &FileError{Offset: 0, Reason: what + " is damaged: its checksum does not agree", Err: err}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &FileError{Offset: 0, Reason: what + " is damaged: it is cut off, or shorter than it is said to be", Err: err}
	case errors.Is(err, zip.ErrFormat) && name != "":
		return &FileError{Offset: 0, Reason: what + " is not as long as it is said to be, or damaged", Err: err}
	}
	return &FileError{Offset: 0, Reason: what + " is damaged or cut off", Err: err}
}

// saneCount refuses a zip file that says, in its zip64 record, that it has more entries than any is taken with: the library makes room
// for as many as would fit into a file of that size, some 500 MiB for one of 2 GiB.
func saneCount(at io.ReaderAt, size int64) error {
	const locator, record = 20, 56
	tail := make([]byte, min(size, 1<<16+22+locator)) // as far back as the library looks
	if _, err := at.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
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
		if n, err := at.ReadAt(end[:], int64(from)); n < record {
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			continue
		}
		if bytes.HasPrefix(end[:], []byte("PK\x06\x06")) && binary.LittleEndian.Uint64(end[32:]) > 1<<16 {
			return errMuch
		}
	}
}
