package unpack

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"

	"waybill/formats"
	"waybill/formats/fault"
	"waybill/formats/zipfile"
)

// unzip yields the files of a zip archive. It is looked at as a whole before the first of them is read: what its directory says must be
// possible, each entry's bytes its own.
func unzip(u *unpacking, f packed) iter.Seq2[packed, error] {
	return func(yield func(packed, error) bool) {
		at, size, drop, err := f.Anywhere(u.limits, u.staging.Create)
		if err != nil {
			yield(packed{}, err)
			return
		}
		defer drop()
		z := &zipFile{u: u, at: zipfile.New(at), outer: f}
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
			more := yield(packed{formats.Blob{Name: m.name, Reader: limited, Size: -1, Unpacked: true, ModTime: changed}, used, true}, nil)
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
	at    *zipfile.Archive
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
	files, err := z.at.Directory(size)
	if err != nil {
		return nil, z.broken("", err)
	}
	var list []zipMember
	names, total := map[string]bool{}, uint64(0)
	for _, f := range files {
		name, err := z.u.enter(z.outer, "zip", entry{asText(f.Name), packedMode(f), f.Mode().IsDir()})
		if err != nil {
			return nil, err
		}
		if f.Flags&(1|1<<6|1<<13) != 0 || f.Method == aes {
			return nil, refused(fmt.Sprintf("zip: the entry %q is encrypted: archives with a password are not read", fault.Cut(f.Name)))
		}
		if name == "" {
			continue
		}
		if names[folded(name)] {
			return nil, refused(fmt.Sprintf("zip: two entries bear the name %q", fault.Cut(f.Name)))
		}
		names[folded(name)] = true
		if total += min(f.UncompressedSize64, 1<<60); total > uint64(z.u.limits.MaxUnpacked) {
			return nil, &formats.FileError{Offset: -1, Limit: "max_unpacked", Reason: fmt.Sprintf("zip: the archive unpacks to more than max_unpacked, %s", z.u.limits.MaxUnpacked)}
		}
		list = append(list, zipMember{name: name, file: f})
	}
	if err := zipfile.Apart(files, size); err != nil {
		return nil, z.broken("", err)
	}
	var fault zipfile.Fault
	if err := z.at.Agree(files); errors.As(err, &fault) {
		return nil, refused("zip: " + fault.Error())
	} else if err != nil {
		return nil, z.broken("", err)
	}
	for i := range list {
		if list[i].at, err = list[i].file.DataOffset(); err != nil {
			return nil, z.broken(list[i].name, err)
		}
	}
	z.at.Looked()
	return list, nil
}

// packedMode is of what an entry was packed. What came through a pipe or a socket, as with `dump | zip dump.zip -`, bears the mode of that, and is bytes as any.
func packedMode(f *zip.File) fs.FileMode {
	mode := f.Mode()
	if t := mode.Type(); t == fs.ModeNamedPipe || t == fs.ModeSocket {
		return mode.Perm()
	}
	return mode
}

// aes is the method that stands for another one, encrypted (WinZip).
const aes = 99

// broken says in words what is wrong with the archive; trouble in reading it stays what it is.
func (z *zipFile) broken(name string, err error) error {
	what := "zip: the archive"
	if name != "" {
		what = "zip: " + fault.Cut(name)
	}
	var file *formats.FileError
	switch {
	case errors.As(err, &file):
		return err
	case errors.Is(err, zipfile.ErrMuch):
		return &formats.FileError{Offset: 0, Limit: "archive_entries", Reason: fmt.Sprintf("zip: there are more than %d entries", maxEntries)}
	}
	reason, trouble := z.at.Reason(what, err, zipfile.Words{
		Method: "is not read: store or deflate it", CutOff: ", or shorter than it is said to be",
		Length: lengthWords(name), Other: " is damaged or cut off",
	})
	if trouble != nil {
		return fmt.Errorf("read %s: %w", what, trouble)
	}
	return &formats.FileError{Offset: 0, Reason: reason, Err: err}
}

// lengthWords are of an entry; an archive as a whole has no length that it says.
func lengthWords(name string) string {
	if name == "" {
		return ""
	}
	return " is not as long as it is said to be, or damaged"
}
