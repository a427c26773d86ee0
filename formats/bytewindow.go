package formats

import (
	"errors"
	"fmt"
	"io"
)

// A byteWindow is the part in memory of a file that is no text: what has been read and is still needed.
type byteWindow struct {
	r          io.Reader
	buf        []byte
	start, end int   // of what is in memory and was not yet read
	base       int64 // offset of buf[0]
	err        error
}

// openBytes starts reading a blob.
func openBytes(b Blob, l Limits, on *bench) byteWindow {
	w := byteWindow{r: b.Reader, buf: on.buf}
	if len(w.buf) < windowSize {
		w.buf = make([]byte, windowSize)
	}
	if !b.Unpacked {
		w.r = &capped{r: b.Reader, most: l.MaxFile}
		if b.Size > int64(l.MaxFile) {
			w.err = tooLarge(l.MaxFile)
		}
	}
	return w
}

// Need has so many bytes in memory, fewer at the end of the file. They are valid until it is called again.
func (r *byteWindow) Need(n int) ([]byte, error) {
	for idle := 0; r.end-r.start < n && r.err == nil; {
		if r.start > 0 {
			copy(r.buf, r.buf[r.start:r.end])
			r.base += int64(r.start)
			r.start, r.end = 0, r.end-r.start
		}
		if r.end == len(r.buf) { // it grows with what comes, not with what is said to come
			r.buf = append(r.buf, make([]byte, min(len(r.buf), n-len(r.buf)))...)
		}
		k, err := r.r.Read(r.buf[r.end:])
		r.end += k
		r.err = err
		if idle++; k > 0 {
			idle = 0
		}
		if idle == fruitlessReads {
			r.err = io.ErrNoProgress
		}
	}
	have := r.buf[r.start:min(r.end, r.start+n)]
	if len(have) < n && !errors.Is(r.err, io.EOF) {
		return nil, r.cause()
	}
	return have, nil
}

// cause is the error of reading.
func (r *byteWindow) cause() error {
	var f *FileError
	if errors.As(r.err, &f) {
		return r.err
	}
	return fmt.Errorf("read at offset %d: %w", r.base+int64(r.end), r.err)
}

// Pass goes on by so many bytes, which are in memory.
func (r *byteWindow) Pass(n int) { r.start += n }

// Offset is where in the file it stands.
func (r *byteWindow) Offset() int64 { return r.base + int64(r.start) }

func (r *byteWindow) refuse(limit, format string, args ...any) *FileError {
	return &FileError{Offset: r.Offset(), Limit: limit, Reason: fmt.Sprintf(format, args...)}
}
