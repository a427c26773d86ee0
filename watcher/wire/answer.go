package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
)

// maxHandle is the longest handle that a server may give (draft-ietf-secsh-filexfer-02, 6.2).
const maxHandle = 256

// An Answer is a packet of a server.
type Answer struct {
	Type Type
	ID   uint32 // of AnswerVersion: the version
	Body []byte // what follows
}

// Room is room that is not used again, for [ReadAnswer].
func Room(n int) []byte { return make([]byte, n) }

// ReadAnswer reads one packet of a server. room makes the space for a body of n bytes, whatever was there before. The error is that of r, or
// a [*ProtocolError].
func ReadAnswer(r io.Reader, room func(n int) []byte) (a Answer, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return a, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 5 || n > MaxAnswer {
		return a, Broken("a packet of %d bytes", n)
	}
	a = Answer{Type: Type(head[4]), ID: binary.BigEndian.Uint32(head[5:]), Body: room(int(n - 5))}
	if _, err := io.ReadFull(r, a.Body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return a, err
	}
	return a, nil
}

// Status is the outcome in an answer that holds no more than that: nil, io.EOF or a [*StatusError].
func (a Answer) Status() error {
	if a.Type != AnswerStatus {
		return Broken("a packet of type %d where a status belongs", a.Type)
	}
	f := FieldsOf(a.Body)
	code := Code(f.Uint32())
	switch {
	case f.short:
		return Broken("a status without a code")
	case code == OK:
		return nil
	case code == EOF:
		return io.EOF
	}
	return &StatusError{code, Cut(f.Text())} // some servers leave the text out
}

// fields are those of an answer of a type. What it says instead is the error.
func (a Answer) fields(t Type) (f Fields, err error) {
	if a.Type == t {
		return FieldsOf(a.Body), nil
	}
	if err = a.Status(); err == nil {
		err = Broken("an OK where more belongs")
	}
	return f, err
}

// Handle is what answers Open and Opendir.
func (a Answer) Handle() (string, error) {
	f, err := a.fields(AnswerHandle)
	if err != nil {
		return "", err
	}
	h := f.Bytes()
	if f.short || len(h) > maxHandle {
		return "", Broken("a handle of %d bytes", len(h))
	}
	return string(h), nil
}

// Data is what answers Read. It is part of the answer, not a copy. At the end of the file the error is io.EOF.
func (a Answer) Data() ([]byte, error) {
	f, err := a.fields(AnswerData)
	if err != nil {
		return nil, err
	}
	b := f.Bytes()
	if f.short {
		return nil, Broken("data cut short")
	}
	return b, nil
}

// Attrs is what answers Stat, Lstat and Fstat.
func (a Answer) Attrs() (at Attrs, err error) {
	f, err := a.fields(AnswerAttrs)
	if err != nil {
		return at, err
	}
	if at = f.Attrs(); f.short {
		return Attrs{}, Broken("attributes cut short")
	}
	return at, nil
}

// Names is what answers Readdir and Realpath. An error is the last that comes; at the end of a folder it is io.EOF.
func (a Answer) Names() iter.Seq2[Name, error] {
	return func(yield func(Name, error) bool) {
		f, err := a.fields(AnswerNames)
		if err != nil {
			yield(Name{}, err)
			return
		}
		for range f.Uint32() { // a count that lies runs out of bytes
			n := Name{f.Text(), f.Text(), f.Attrs()}
			if f.short {
				yield(Name{}, Broken("names cut short"))
				return
			}
			if !yield(n, nil) {
				return
			}
		}
	}
}

// A StatusError is what a server refuses a request with.
type StatusError struct {
	Code Code
	Text string // what it says, shortened
}

// Error implements error.
func (e *StatusError) Error() string {
	words := e.Code.words()
	switch {
	case words == "":
		return fmt.Sprintf("status %d: %q", e.Code, e.Text)
	case e.Text == "" || strings.EqualFold(e.Text, words) || e.Code == Failure && strings.EqualFold(e.Text, "failure"):
		return words
	}
	return fmt.Sprintf("%s (%q)", words, e.Text)
}

// words say what a code means, "" for one that nobody knows.
func (c Code) words() string {
	switch c {
	case NoSuchFile:
		return "no such file"
	case PermissionDenied:
		return "permission denied"
	case Failure:
		return `the server says no more than "failure"`
	case Unsupported:
		return "the server cannot do that"
	case NoSuchPath:
		return "no such folder"
	case AlreadyExists:
		return "is there already"
	case WriteProtect:
		return "read-only"
	}
	return ""
}

// Is has errors.Is find the errors of io/fs.
func (e *StatusError) Is(target error) bool {
	switch e.Code {
	case NoSuchFile, NoSuchPath:
		return target == fs.ErrNotExist
	case PermissionDenied, WriteProtect:
		return target == fs.ErrPermission
	case AlreadyExists:
		return target == fs.ErrExist
	}
	return false
}

// Cut shortens what a stranger says.
func Cut(text string) string { return CutTo(text, 200) }

// CutTo shortens a text to so many bytes.
func CutTo(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
