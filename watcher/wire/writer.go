package wire

import (
	"encoding/binary"
	"io"
	"sync"
)

// gathered is how many bytes of answers are sent without being asked to.
const gathered = 128 << 10

// A Writer writes answers. Its methods may be called concurrently. What they write is sent by Flush, or when it has become much. A failure is
// returned by every later call.
type Writer struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
	err error
}

// NewWriter returns a writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Flush sends what was written.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *Writer) flush() error {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.w.Write(w.buf)
	}
	w.buf = w.buf[:0]
	return w.err
}

// packet writes one packet, whose fields body appends.
func (w *Writer) packet(t Type, body func(b []byte) []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := len(w.buf)
	b := append(w.buf, 0, 0, 0, 0, byte(t))
	b = body(b)
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	w.buf = b
	if len(w.buf) >= gathered {
		return w.flush()
	}
	return w.err
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func (a *Attrs) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, a.Has&^HasMore)
	if a.Has&HasSize != 0 {
		b = binary.BigEndian.AppendUint64(b, a.Size)
	}
	if a.Has&HasOwner != 0 {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, a.UID), a.GID)
	}
	if a.Has&HasMode != 0 {
		b = binary.BigEndian.AppendUint32(b, a.Mode)
	}
	if a.Has&HasTimes != 0 {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, a.Atime), a.Mtime)
	}
	return b
}

// Version answers Init with the version and the extensions that are understood.
func (w *Writer) Version() error {
	return w.packet(AnswerVersion, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, 3)
		for _, e := range [...][2]string{{PosixRename, "1"}, {StatVFS, "2"}, {Limits, "1"}} {
			b = appendText(appendText(b, e[0]), e[1])
		}
		return b
	})
}

// Status answers with an outcome. text is for a person.
func (w *Writer) Status(id uint32, code Code, text string) error {
	return w.packet(AnswerStatus, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, id)
		b = binary.BigEndian.AppendUint32(b, uint32(code))
		return appendText(appendText(b, text), "en")
	})
}

// Handle answers Open and Opendir. h is not 0.
func (w *Writer) Handle(id, h uint32) error {
	return w.packet(AnswerHandle, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, id)
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 4), h)
	})
}

// Data answers Read.
func (w *Writer) Data(id uint32, p []byte) error {
	return w.packet(AnswerData, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, id)
		return append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
	})
}

// Names answers Readdir and Realpath.
func (w *Writer) Names(id uint32, list ...Name) error {
	return w.packet(AnswerNames, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, id)
		b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
		for _, n := range list {
			b = n.Attrs.append(appendText(appendText(b, n.Name), n.Long))
		}
		return b
	})
}

// Attrs answers Stat, Lstat and Fstat.
func (w *Writer) Attrs(id uint32, a Attrs) error {
	return w.packet(AnswerAttrs, func(b []byte) []byte {
		return a.append(binary.BigEndian.AppendUint32(b, id))
	})
}

// Limits answers the extension of that name.
func (w *Writer) Limits(id uint32, handles uint64) error {
	return w.packet(AnswerExtended, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, id)
		for _, n := range [...]uint64{MaxPacket, MaxData, MaxData, handles} {
			b = binary.BigEndian.AppendUint64(b, n)
		}
		return b
	})
}

// Volume answers StatVFS.
func (w *Writer) Volume(id uint32, v Volume) error {
	const noSUID = 2
	return w.packet(AnswerExtended, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, id)
		for _, n := range [...]uint64{v.BlockSize, v.BlockSize, v.Blocks, v.Free, v.Free, v.Files, v.FilesFree, v.FilesFree, 0, noSUID, v.MaxLen} {
			b = binary.BigEndian.AppendUint64(b, n)
		}
		return b
	})
}
