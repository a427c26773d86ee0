package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// spillFrom is the size up to which a file that only streams is kept in memory to be read at any place, beyond in a temporary file.
const spillFrom = 1 << 20

// again is the same file read from its beginning; it needs the ReaderAt.
func (b Blob) again() Blob {
	size := b.Size
	if size < 0 {
		size = math.MaxInt64
	}
	b.Reader = io.NewSectionReader(b.ReaderAt, 0, size)
	return b
}

// Head reads the beginning of a file, as much of it as Detect looks at; all tells whether that is all of it.
func (b Blob) Head() (head []byte, all bool, err error) {
	if b.Reader == nil {
		return nil, true, nil
	}
	head = make([]byte, detectMost)
	n, err := io.ReadFull(b.Reader, head)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return head[:n], true, nil
	case err != nil:
		return nil, false, fmt.Errorf("read the beginning of %s: %w", b.Name, err)
	}
	return head, false, nil
}

// Bounded reads the file from its beginning to its end, and refuses it where it is larger than max_file.
func (b Blob) Bounded(l Limits) io.Reader {
	if b.Unpacked {
		return b.Reader
	}
	return &capped{r: b.Reader, most: l.MaxFile}
}

// Anywhere makes a file that only streams one that can be read at any place. Temp makes a file for that; nil stands for TempFile.
func (b Blob) Anywhere(l Limits, temp func() (*os.File, error)) (at io.ReaderAt, size int64, drop func(), err error) {
	none := func() {}
	if b.ReaderAt != nil && b.Size >= 0 {
		if !b.Unpacked && b.Size > int64(l.MaxFile) {
			return nil, 0, none, tooLarge(l.MaxFile)
		}
		return b.ReaderAt, b.Size, none, nil
	}
	if b.Reader == nil {
		b.Reader = bytes.NewReader(nil)
	}
	from := b.Bounded(l)
	var head bytes.Buffer
	n, err := io.CopyN(&head, from, spillFrom)
	switch {
	case errors.Is(err, io.EOF):
		return bytes.NewReader(head.Bytes()), n, none, nil
	case err != nil:
		return nil, 0, none, streamError(err, n)
	}
	if temp == nil {
		temp = TempFile
	}
	f, err := temp()
	if err != nil {
		return nil, 0, none, fmt.Errorf("read a zip file that only streams: %w: a temporary file is needed for it", err)
	}
	drop = func() { _ = f.Close() } // what was written there is of no use any more
	if n, err = io.Copy(f, io.MultiReader(&head, from)); err != nil {
		drop()
		return nil, 0, none, streamError(err, n)
	}
	return f, n, drop, nil
}

// TempFile makes a temporary file that goes when it is closed, or the process ends.
func TempFile() (*os.File, error) {
	f, err := os.CreateTemp("", "waybill-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func streamError(err error, n int64) error {
	var f *FileError
	if errors.As(err, &f) {
		return err
	}
	return fmt.Errorf("read at offset %d: %w", n, err)
}
