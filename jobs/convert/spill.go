package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"waybill/formats"
)

// spillFrom is how much of what a program writes is held in memory; beyond, all of it goes to a file.
const spillFrom = 1 << 20

// A spill keeps what a program writes.
type spill struct {
	most int64
	make func() (*os.File, error)
	head []byte
	file *os.File
	size int64
}

// errFull says that there is more than may be.
var errFull = errors.New("more was written than may be")

// take reads to the end.
func (s *spill) take(r io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if s.size+int64(n) > s.most {
			return errFull
		}
		if werr := s.write(buf[:n]); werr != nil {
			return werr
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read what it writes: %w", err)
		}
	}
}

func (s *spill) write(p []byte) (err error) {
	s.size += int64(len(p))
	if s.file == nil && s.size <= spillFrom {
		s.head = append(s.head, p...)
		return nil
	}
	if s.file == nil {
		if s.file, err = s.make(); err == nil {
			_, err = s.file.Write(s.head)
			s.head = nil
		}
	}
	if err == nil {
		_, err = s.file.Write(p)
	}
	if err != nil {
		return fmt.Errorf("keep what it writes: %w: a temporary file is needed for it", err)
	}
	return nil
}

func (s *spill) blob(of formats.Blob) formats.Blob {
	var at io.ReaderAt = bytes.NewReader(s.head)
	if s.file != nil {
		at = s.file
	}
	return formats.Blob{Name: of.Name, Reader: io.NewSectionReader(at, 0, s.size), ReaderAt: at, Size: s.size, ModTime: of.ModTime, Unpacked: true}
}

func (s *spill) close() {
	if s.file != nil {
		_ = s.file.Close() // what was written there is of no use any more
	}
}
