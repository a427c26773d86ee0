package zipfile

import (
	"archive/zip"
	"encoding/binary"
	"fmt"

	"waybill/formats/fault"
)

// What the flags of an entry say that changes what it is; the others tell how it was packed. In which characters its name is written is taken from the
// directory alone: the name is the same bytes in both places, and some say it in one of them only.
const (
	flagDescriptor = 1 << 3 // checksum and sizes stand behind the bytes, since they were not known before
	flagsThatCount = 1 | 1<<5 | 1<<6 | 1<<13
)

const headerLength = 30

// Agree refuses an entry that stands there as another one than the directory says: who reads a zip file from its beginning, as many do that look
// for what is harmful, would see another file than who reads it by its directory.
func (a *Archive) Agree(files []*zip.File) error {
	a.left.Store(directory)
	for _, f := range files {
		there, err := a.header(f)
		if err != nil {
			return err
		}
		if what := there.differs(f); what != "" {
			return Fault(fmt.Sprintf("the entry %q does not agree with its own header, where its %s: pack it again", fault.Cut(f.Name), what))
		}
	}
	return nil
}

// A header is what stands before the bytes of an entry.
type header struct {
	name         string
	flags        uint16
	method       uint16
	sum          uint32
	size, packed uint64
}

func (a *Archive) header(f *zip.File) (h header, err error) {
	if _, err := f.DataOffset(); err != nil { // reads the header, which is how one learns where it stands
		return h, err
	}
	from := a.head
	var fixed [headerLength]byte
	if _, err := a.ReadAt(fixed[:], from); err != nil {
		return h, err
	}
	number := binary.LittleEndian
	h = header{
		flags: number.Uint16(fixed[6:]), method: number.Uint16(fixed[8:]), sum: number.Uint32(fixed[14:]),
		packed: uint64(number.Uint32(fixed[18:])), size: uint64(number.Uint32(fixed[22:])),
	}
	name := make([]byte, number.Uint16(fixed[26:]))
	if _, err := a.ReadAt(name, from+headerLength); err != nil {
		return h, err
	}
	h.name = string(name)
	if h.packed != 1<<32-1 && h.size != 1<<32-1 {
		return h, nil
	}
	extra := make([]byte, number.Uint16(fixed[28:]))
	if _, err := a.ReadAt(extra, from+headerLength+int64(len(name))); err != nil {
		return h, err
	}
	h.large(extra)
	return h, nil
}

// large takes the sizes that have no room in the header itself.
func (h *header) large(extra []byte) {
	const zip64 = 1
	for number := binary.LittleEndian; len(extra) >= 4; {
		kind, length := number.Uint16(extra), int(number.Uint16(extra[2:]))
		if extra = extra[4:]; length > len(extra) {
			return
		}
		field := extra[:length]
		extra = extra[length:]
		if kind != zip64 {
			continue
		}
		for _, size := range []*uint64{&h.size, &h.packed} {
			if *size == 1<<32-1 && len(field) >= 8 {
				*size, field = number.Uint64(field), field[8:]
			}
		}
		return
	}
}

// differs tells in what the header is not what the directory says, or "".
func (h *header) differs(f *zip.File) string {
	later := func(there, said uint64) bool { // it may stand behind the bytes instead
		return there != said && (h.flags&flagDescriptor == 0 || there != 0 && there != 1<<32-1)
	}
	switch {
	case h.name != f.Name:
		return fmt.Sprintf("name is %q", fault.Cut(h.name))
	case h.method != f.Method:
		return fmt.Sprintf("method is %d, not %d", h.method, f.Method)
	case (h.flags^f.Flags)&flagsThatCount != 0:
		return fmt.Sprintf("flags are %#x, not %#x", h.flags, f.Flags)
	case later(h.size, f.UncompressedSize64):
		return fmt.Sprintf("size is %d, not %d", h.size, f.UncompressedSize64)
	case later(h.packed, f.CompressedSize64):
		return fmt.Sprintf("packed size is %d, not %d", h.packed, f.CompressedSize64)
	case h.sum != f.CRC32 && (h.flags&flagDescriptor == 0 || h.sum != 0):
		return fmt.Sprintf("checksum is %08x, not %08x", h.sum, f.CRC32)
	}
	return ""
}
