package wire

import "encoding/binary"

// A Draft is a packet of a client that is being written: its length, type and id come first.
type Draft []byte

// Begin begins a packet.
func Begin(t Type) Draft { return append(make(Draft, 0, 96), 0, 0, 0, 0, byte(t), 0, 0, 0, 0) }

// Uint32 adds a number.
func (d Draft) Uint32(v uint32) Draft { return binary.BigEndian.AppendUint32(d, v) }

// Uint64 adds a long number.
func (d Draft) Uint64(v uint64) Draft { return binary.BigEndian.AppendUint64(d, v) }

// Text adds a string.
func (d Draft) Text(s string) Draft { return appendText(d, s) }

// Bytes adds a string.
func (d Draft) Bytes(b []byte) Draft { return append(d.Uint32(uint32(len(b))), b...) }

// Attrs adds attributes.
func (d Draft) Attrs(a Attrs) Draft { return a.append(d) }

// Seal writes the id, of Init the version, and the length. The packet is whole then.
func (d Draft) Seal(id uint32) Draft {
	binary.BigEndian.PutUint32(d, uint32(len(d)-4))
	binary.BigEndian.PutUint32(d[5:], id)
	return d
}
