package sftpd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"

	"waybill/ledger"
	"waybill/watcher/wire"
)

const (
	wireFailure = wire.Failure
	wireDenied  = wire.PermissionDenied
	wireMissing = wire.NoSuchFile
)

// A refused says no to a client, in words that it may show.
type refused struct {
	code    wire.Code
	text    string
	passing bool // it is for what is the case here, not for what the file is, and will be over
}

func (e *refused) Error() string { return e.text }

func refusal(code wire.Code, format string, args ...any) error {
	return &refused{code: code, text: fmt.Sprintf(format, args...)}
}

// missing says that nothing has this name.
func missing() error { return &refused{code: wireMissing, text: "no such file"} }

// answer says what a client is told of err. What is nobody's business but the operator's is told as internal.
func answer(err error) (code wire.Code, text string, internal bool) {
	var r *refused
	switch {
	case err == nil:
		return wire.OK, "", false
	case errors.As(err, &r):
		return r.code, r.text, false
	case errors.Is(err, io.EOF):
		return wire.EOF, "end of file", false
	case errors.Is(err, ledger.ErrFull), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return wire.Failure, noRoom, false
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return wire.NoSuchFile, "no such file", false
	case errors.Is(err, unix.ENOTEMPTY):
		return wire.Failure, "the folder is not empty", false
	case errors.Is(err, unix.EISDIR):
		return wire.Failure, "it is a folder", false
	case errors.Is(err, fs.ErrExist):
		return wire.Failure, "something has that name already", false
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		return wire.PermissionDenied, "permission denied", false
	}
	return wire.Failure, "the server has a fault of its own, which its operator is told: send it again later", true
}
