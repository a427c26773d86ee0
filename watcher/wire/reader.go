package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
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
		return Broken("a packet of %d bytes", n)
	}
	if n > MaxPacket {
		return Broken("a packet of %d bytes, at most %d", n, MaxPacket)
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
	f := Fields{rest: b[1:]}
	p.ID = f.Uint32() // of Init: the version
	switch p.Type {
	case Init:
	case Open:
		p.Path, p.Flags, p.Attrs = f.Text(), f.Uint32(), f.Attrs()
	case Close, Fstat, Readdir:
		p.Handle = f.handle()
	case Read:
		p.Handle, p.Offset, p.Length = f.handle(), f.Uint64(), f.Uint32()
	case Write:
		p.Handle, p.Offset, p.Data = f.handle(), f.Uint64(), f.Bytes()
	case Lstat, Stat, Opendir, Remove, Rmdir, Realpath, Readlink:
		p.Path = f.Text()
	case Setstat, Mkdir:
		p.Path, p.Attrs = f.Text(), f.Attrs()
	case Fsetstat:
		p.Handle, p.Attrs = f.handle(), f.Attrs()
	case Rename, Symlink:
		p.Path, p.Target = f.Text(), f.Text()
	case Extended:
		p.Extension = f.Text()
		switch p.Extension {
		case PosixRename:
			p.Path, p.Target = f.Text(), f.Text()
		case StatVFS:
			p.Path = f.Text()
		}
	default:
		return Broken("a packet of type %d", p.Type)
	}
	if f.short {
		return Broken("a packet of type %d that ends too early", p.Type)
	}
	return nil // what follows the fields of this version is passed over, as other servers do
}
