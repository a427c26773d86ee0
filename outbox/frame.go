package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// errFrame says that a payload cannot be what was stored.
var errFrame = errors.New("the stored messages are damaged")

// appendMessage appends m as it stands in a batch's payload: each text with its length before it (uvarint), so that reading copies nothing.
// Headers are counted from one; 0 says that they are those of the message before, whose headers are before: in most batches all
// messages have the same, and repeating them was a fifth of what the compressor had to read.
func appendMessage(dst []byte, m *Message, before []Header) []byte {
	dst = appendText(dst, m.Key)
	dst = appendText(dst, m.Ref)
	dst = binary.AppendUvarint(dst, uint64(m.Record))
	if len(m.Headers) > 0 && slices.Equal(m.Headers, before) {
		dst = append(dst, 0)
	} else {
		dst = binary.AppendUvarint(dst, uint64(len(m.Headers))+1)
		for _, h := range m.Headers {
			dst = appendText(dst, h.Name)
			dst = appendText(dst, h.Value)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(m.Object))
	if m.Object != 0 {
		return binary.AppendUvarint(dst, uint64(m.Size))
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.Body)))
	return append(dst, m.Body...)
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// A cursor reads what appendMessage wrote.
type cursor struct {
	b      []byte
	before []Header // of the last message
	err    error
}

func (c *cursor) number() uint64 {
	n, size := binary.Uvarint(c.b)
	if size <= 0 {
		c.err = errFrame
		return 0
	}
	c.b = c.b[size:]
	return n
}

func (c *cursor) bytes() []byte {
	n := c.number()
	if c.err != nil || n > uint64(len(c.b)) {
		c.err = errFrame
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

// message reads one message; its body shares the payload's bytes.
func (c *cursor) message() Message {
	m := Message{Key: string(c.bytes()), Ref: string(c.bytes()), Record: int64(c.number())}
	m.Headers = c.headers()
	if c.err != nil {
		return m
	}
	if m.Object = int64(c.number()); m.Object != 0 {
		m.Size = int64(c.number())
		return m
	}
	m.Body = c.bytes()
	m.Size = int64(len(m.Body))
	return m
}

// headers reads the headers of one message. Those that stand for several messages are shared, and full: appending to them copies.
func (c *cursor) headers() []Header {
	n := c.number()
	if c.err != nil || n == 0 {
		return c.before
	}
	if n-1 > uint64(len(c.b)) {
		c.err = errFrame
		return nil
	}
	list := make([]Header, 0, n-1)
	for range n - 1 {
		list = append(list, Header{Name: string(c.bytes()), Value: string(c.bytes())})
	}
	c.before = list
	return list
}

// messages reads all count messages of a payload.
func messages(payload []byte, count int) ([]Message, error) {
	c := cursor{b: payload}
	ms := make([]Message, 0, count)
	for range count {
		ms = append(ms, c.message())
		if c.err != nil {
			return nil, fmt.Errorf("message %d of %d: %w", len(ms), count, c.err)
		}
	}
	if len(c.b) != 0 {
		return nil, fmt.Errorf("%d bytes after the last message: %w", len(c.b), errFrame)
	}
	return ms, nil
}

// hashKey is how a key stands in a key block: 64 bits of FNV-1a, verified in the payload after a hit.
func hashKey(key string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // of hash/fnv, which would have the key copied
	h := uint64(offset)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	return h
}

// keyBlock packs hashes as a sorted block of big-endian numbers.
func keyBlock(hashes []uint64) []byte {
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	b := make([]byte, 0, 8*len(hashes))
	for _, h := range hashes {
		b = binary.BigEndian.AppendUint64(b, h)
	}
	return b
}

// inBlock looks h up in a key block by halving.
func inBlock(block []byte, h uint64) bool {
	lo, hi := 0, len(block)/8
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if binary.BigEndian.Uint64(block[8*mid:]) < h {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(block)/8 && binary.BigEndian.Uint64(block[8*lo:]) == h
}

// A bitmap has one bit a message of a batch.
type bitmap []byte

func newBitmap(stored []byte, count int) bitmap {
	b := make(bitmap, (count+7)/8)
	copy(b, stored)
	return b
}

func (b bitmap) has(i int) bool { return b[i/8]&(1<<(i%8)) != 0 }
func (b bitmap) set(i int)      { b[i/8] |= 1 << (i % 8) }
func (b bitmap) clear(i int)    { b[i/8] &^= 1 << (i % 8) }
