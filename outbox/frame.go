package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// errFrame says that a payload cannot be what was stored.
var errFrame = errors.New("the stored messages are damaged")

// contents are the messages of one batch on their way into its payload, apart by what they are: bodies, which are much alike,
// what stands before them, and keys, which are random bits that no compressor makes smaller but every one tries to.
type contents struct {
	uuids  []byte // of keys that are UUIDs, 16 bytes each
	bodies []byte
	heads  []byte
	block  []byte // hashes of keys and refs

	headers []Header // of the last message
	record  int64
}

// add takes a message. Each of its texts stands with its length before it (uvarint), so that reading copies nothing.
// The lengths of keys and the numbers of headers are counted from one. 0 says of a key that it is the next UUID, and of headers that they
// are those of the message before: in most batches all messages have the same.
func (c *contents) add(m *Message) {
	head := c.heads
	if id, ok := parseUUID(m.Key); ok {
		c.uuids = append(c.uuids, id[:]...)
		c.block = appendHash(c.block, hashUUID(id))
		head = append(head, 0)
	} else {
		c.block = appendHash(c.block, hashKey(m.Key))
		head = binary.AppendUvarint(head, uint64(len(m.Key))+1)
		head = append(head, m.Key...)
	}
	if m.Ref != "" {
		c.block = appendHash(c.block, hashKey(m.Ref))
	}
	head = appendText(head, m.Ref)
	head = binary.AppendVarint(head, m.Record-c.record)
	c.record = m.Record
	if len(m.Headers) > 0 && slices.Equal(m.Headers, c.headers) {
		head = append(head, 0)
	} else {
		head = binary.AppendUvarint(head, uint64(len(m.Headers))+1)
		for _, h := range m.Headers {
			head = appendText(head, h.Name)
			head = appendText(head, h.Value)
		}
		c.headers = append(c.headers[:0], m.Headers...)
	}
	head = binary.AppendUvarint(head, uint64(m.Object))
	if m.Object != 0 {
		c.heads = binary.AppendUvarint(head, uint64(m.Size))
		return
	}
	c.heads = binary.AppendUvarint(head, uint64(len(m.Body)))
	c.bodies = append(c.bodies, m.Body...)
}

func (c *contents) size() int { return len(c.uuids) + len(c.bodies) + len(c.heads) }

// reset keeps the room.
func (c *contents) reset() {
	*c = contents{uuids: c.uuids[:0], bodies: c.bodies[:0], heads: c.heads[:0], block: c.block[:0], headers: c.headers[:0]}
}

// plainMost is up to how many bytes are stored as they are: compressing them would take longer than writing what that saves.
const plainMost = 2 << 10

// plainly is the first byte of what is not compressed. A zstd frame begins with another.
const plainly = 0

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// payload appends what is stored, and ends the use of c: the number of UUIDs and they themselves, the length of the bodies, the
// checksum of all, and compressed, unless there is little of it, the bodies and the heads.
func (c *contents) payload(dst []byte, z *zstd.Encoder) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(c.uuids)/16))
	dst = append(dst, c.uuids...)
	dst = binary.AppendUvarint(dst, uint64(len(c.bodies)))
	c.bodies = append(c.bodies, c.heads...)
	dst = binary.BigEndian.AppendUint32(dst, checksum(c.uuids, c.bodies))
	if len(c.bodies) <= plainMost {
		return append(append(dst, plainly), c.bodies...)
	}
	return z.EncodeAll(c.bodies, dst)
}

func checksum(uuids, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(uuids, castagnoli), castagnoli, rest)
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// A cursor reads messages out of their parts.
type cursor struct {
	b      []byte // heads
	uuids  []byte
	bodies []byte
	before []Header // of the last message
	record int64
	err    error
}

// open finds the parts of a payload.
func (c *cursor) open(payload []byte, z *zstd.Decoder) error {
	c.b = payload
	ids := c.number()
	if c.err != nil || ids > uint64(len(c.b))/16 {
		return errFrame
	}
	c.uuids, c.b = c.b[:16*ids], c.b[16*ids:]
	bodies := c.number()
	if c.err != nil || len(c.b) <= 4 {
		return errFrame
	}
	sum, rest := binary.BigEndian.Uint32(c.b), c.b[4:]
	if rest[0] == plainly {
		rest = rest[1:]
	} else {
		var err error
		if rest, err = z.DecodeAll(rest, nil); err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
	}
	if bodies > uint64(len(rest)) || sum != checksum(c.uuids, rest) {
		return errFrame
	}
	c.bodies, c.b = rest[:bodies], rest[bodies:]
	return nil
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

func (c *cursor) difference() int64 {
	n, size := binary.Varint(c.b)
	if size <= 0 {
		c.err = errFrame
		return 0
	}
	c.b = c.b[size:]
	return n
}

// take cuts n bytes off a part.
func (c *cursor) take(part *[]byte, n uint64) []byte {
	if c.err != nil || n > uint64(len(*part)) {
		c.err = errFrame
		return nil
	}
	b := (*part)[:n:n]
	*part = (*part)[n:]
	return b
}

func (c *cursor) text() string { return string(c.take(&c.b, c.number())) }

func (c *cursor) key() string {
	if n := c.number(); n > 0 {
		return string(c.take(&c.b, n-1))
	}
	if id := c.take(&c.uuids, 16); id != nil {
		return uuidText([16]byte(id))
	}
	return ""
}

// message reads one message; its body shares the payload's bytes.
func (c *cursor) message() Message {
	m := Message{Key: c.key(), Ref: c.text()}
	c.record += c.difference()
	m.Record = c.record
	m.Headers = c.headers()
	if c.err != nil {
		return m
	}
	if m.Object = int64(c.number()); m.Object != 0 {
		m.Size = int64(c.number())
		return m
	}
	m.Body = c.take(&c.bodies, c.number())
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
		list = append(list, Header{Name: c.text(), Value: c.text()})
	}
	c.before = list
	return list
}

// messages reads all count messages of a payload.
func messages(payload []byte, count int, z *zstd.Decoder) ([]Message, error) {
	var c cursor
	if err := c.open(payload, z); err != nil {
		return nil, err
	}
	ms := make([]Message, 0, count)
	for range count {
		ms = append(ms, c.message())
		if c.err != nil {
			return nil, fmt.Errorf("message %d of %d: %w", len(ms), count, c.err)
		}
	}
	if n := len(c.b) + len(c.bodies) + len(c.uuids); n != 0 {
		return nil, fmt.Errorf("%d bytes after the last message: %w", n, errFrame)
	}
	return ms, nil
}

// hashKey is how a key stands in a key block, verified in the payload after a hit: of a UUID, which is random, its four words
// laid over each other; of others 64 bits of FNV-1a, folded. A batch that has not the key answers falsely once in two million.
func hashKey(key string) uint32 {
	if id, ok := parseUUID(key); ok {
		return hashUUID(id)
	}
	const offset, prime = 14695981039346656037, 1099511628211 // of hash/fnv, which would have the key copied
	h := uint64(offset)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	return uint32(h>>32) ^ uint32(h)
}

func hashUUID(id [16]byte) uint32 {
	h := binary.BigEndian.Uint64(id[:8]) ^ binary.BigEndian.Uint64(id[8:])
	return uint32(h>>32) ^ uint32(h)
}

// appendHash adds a hash to a key block: four bytes, big-endian. They stand as they come: sorting them cost more than
// going through a few thousand does, once somebody asks.
func appendHash(block []byte, h uint32) []byte { return binary.BigEndian.AppendUint32(block, h) }

// inBlock looks h up in a key block.
func inBlock(block []byte, h uint32) bool {
	for ; len(block) >= 4; block = block[4:] {
		if binary.BigEndian.Uint32(block) == h {
			return true
		}
	}
	return false
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
