package wire

import "encoding/binary"

// Fields are the parts of a packet, read one after the other. After the first that is not there all are zero.
type Fields struct {
	rest  []byte
	short bool
}

// FieldsOf are the fields in b.
func FieldsOf(b []byte) Fields { return Fields{rest: b} }

// Short reports whether a field was asked for that is not there.
func (f *Fields) Short() bool { return f.short }

// More reports whether something is left to be read.
func (f *Fields) More() bool { return len(f.rest) > 0 && !f.short }

func (f *Fields) take(n int) []byte {
	if f.short || n > len(f.rest) {
		f.short = true
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

// Uint32 reads a number.
func (f *Fields) Uint32() uint32 {
	if b := f.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads a long number.
func (f *Fields) Uint64() uint64 {
	if b := f.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Bytes reads a string. It is part of the packet, not a copy.
func (f *Fields) Bytes() []byte {
	n := f.Uint32()
	if uint64(n) > uint64(len(f.rest)) {
		f.short = true
		return nil
	}
	return f.take(int(n))
}

// Text reads a string.
func (f *Fields) Text() string { return string(f.Bytes()) }

// handle reads what Writer.Handle wrote, 0 for anything else.
func (f *Fields) handle() uint32 {
	if b := f.Bytes(); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Attrs reads attributes.
func (f *Fields) Attrs() (a Attrs) {
	a.Has = f.Uint32()
	if a.Has&HasSize != 0 {
		a.Size = f.Uint64()
	}
	if a.Has&HasOwner != 0 {
		a.UID, a.GID = f.Uint32(), f.Uint32()
	}
	if a.Has&HasMode != 0 {
		a.Mode = f.Uint32()
	}
	if a.Has&HasTimes != 0 {
		a.Atime, a.Mtime = f.Uint32(), f.Uint32()
	}
	if a.Has&HasMore != 0 {
		for range f.Uint32() { // a count that lies runs out of bytes
			f.Bytes()
			f.Bytes()
			if f.short {
				break
			}
		}
	}
	return a
}
