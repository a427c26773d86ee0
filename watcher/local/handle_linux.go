package local

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A handle is an open file or folder. An os.File would try to register each with the poller, which refuses them, and set it
// to blocking again: three system calls more for every file that is taken. Close it on every path; nothing else does.
type handle struct {
	fd   int
	name string
}

// Close closes h; it may be called again.
func (h *handle) Close() error {
	if h.fd < 0 {
		return nil
	}
	fd := h.fd
	h.fd = -1
	if err := unix.Close(fd); err != nil {
		return &os.PathError{Op: "close", Path: h.name, Err: err}
	}
	return nil
}

// Read implements io.Reader.
func (h *handle) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Read(h.fd, p)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, &os.PathError{Op: "read", Path: h.name, Err: err}
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// listing gives h away to an os.File, which can be listed: that is what is to be closed then. Until it is, h can be used.
func (h *handle) listing() *os.File { return os.NewFile(uintptr(h.fd), h.name) }
