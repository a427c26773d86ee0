package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A Reader reads requests. It is for one goroutine.
type Reader struct {
	in  *bufio.Reader
	buf []byte // the packet at hand, grown to what the client needs
}

// NewReader returns a reader of what comes from r.
func NewReader(r io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(r, 32<<10)} }

// Waits reports whether Next may have to wait for the client: a whole packet is not here yet.
func (r *Reader) Waits() bool {
	n := r.in.Buffered()
	if n < 4 {
		return true
	}
	head, err := r.in.Peek(4)
	return err != nil || n < 4+int(min(binary.BigEndian.Uint32(head), MaxPacket))
}

// Next reads one packet into p. The error is io.EOF where the client ended between two packets, io.ErrUnexpectedEOF where it did within one,
// and a [*ProtocolError] where that is no packet.
func (r *Reader) Next(p *Packet) error {
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 5 { // a type and an id, or a type and a version
		return &ProtocolError{fmt.Sprintf("a packet of %d bytes", n)}
	}
	if n > MaxPacket {
		return &ProtocolError{fmt.Sprintf("a packet of %d bytes, at most %d", n, MaxPacket)}
	}
	if int(n) > cap(r.buf) {
		r.buf = slices.Grow(r.buf[:0], int(n))
	}
	r.buf = r.buf[:n]
	if _, err := io.ReadFull(r.in, r.buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return parse(r.buf, p)
}

// parse reads the packet in b.
func parse(b []byte, p *Packet) error {
	*p = Packet{Type: Type(b[0])}
	f := fields{rest: b[1:]}
	p.ID = f.uint32() // of Init: the version
	switch p.Type {
	case Init:
	case Open:
		p.Path, p.Flags, p.Attrs = f.text(), f.uint32(), f.attrs()
	case Close, Fstat, Readdir:
		p.Handle = f.handle()
	case Read:
		p.Handle, p.Offset, p.Length = f.handle(), f.uint64(), f.uint32()
	case Write:
		p.Handle, p.Offset, p.Data = f.handle(), f.uint64(), f.bytes()
	case Lstat, Stat, Opendir, Remove, Rmdir, Realpath, Readlink:
		p.Path = f.text()
	case Setstat, Mkdir:
		p.Path, p.Attrs = f.text(), f.attrs()
	case Fsetstat:
		p.Handle, p.Attrs = f.handle(), f.attrs()
	case Rename, Symlink:
		p.Path, p.Target = f.text(), f.text()
	case Extended:
		p.Extension = f.text()
		switch p.Extension {
		case PosixRename:
			p.Path, p.Target = f.text(), f.text()
		case StatVFS:
			p.Path = f.text()
		}
	default:
		return &ProtocolError{fmt.Sprintf("a packet of type %d", p.Type)}
	}
	if f.short {
		return &ProtocolError{fmt.Sprintf("a packet of type %d that ends too early", p.Type)}
	}
	return nil // what follows the fields of this version is passed over, as other servers do
}

// fields reads the parts of a packet one after the other. After the first that is not there all are zero.
type fields struct {
	rest  []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if f.short || n > len(f.rest) {
		f.short = true
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) uint32() uint32 {
	if b := f.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (f *fields) uint64() uint64 {
	if b := f.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (f *fields) bytes() []byte {
	n := f.uint32()
	if uint64(n) > uint64(len(f.rest)) {
		f.short = true
		return nil
	}
	return f.take(int(n))
}

func (f *fields) text() string { return string(f.bytes()) }

// handle reads what Writer.Handle wrote, 0 for anything else.
func (f *fields) handle() uint32 {
	if b := f.bytes(); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (f *fields) attrs() (a Attrs) {
	a.Has = f.uint32()
	if a.Has&HasSize != 0 {
		a.Size = f.uint64()
	}
	if a.Has&HasOwner != 0 {
		a.UID, a.GID = f.uint32(), f.uint32()
	}
	if a.Has&HasMode != 0 {
		a.Mode = f.uint32()
	}
	if a.Has&HasTimes != 0 {
		a.Atime, a.Mtime = f.uint32(), f.uint32()
	}
	if a.Has&hasExtended != 0 {
		for range f.uint32() { // a count that lies runs out of bytes
			f.bytes()
			f.bytes()
			if f.short {
				break
			}
		}
	}
	return a
}
