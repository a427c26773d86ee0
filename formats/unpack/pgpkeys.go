package unpack

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// sessionKeysMost is how many recipients a message may have: to each of them costs a try, and those by passphrase are made to cost much.
const sessionKeysMost = 64

// sessionKeys passes a message through and counts the packets before the encrypted data, which hold the session key for each recipient.
type sessionKeys struct {
	m     *pgpMessage
	r     *bufio.Reader
	count int
	left  int64 // of the packet at hand
	past  bool  // the encrypted data has begun
	err   error
}

func asBuffered(r io.Reader) *bufio.Reader {
	if b, ok := r.(*bufio.Reader); ok {
		return b
	}
	return bufio.NewReader(r)
}

func (k *sessionKeys) Read(p []byte) (int, error) {
	if !k.past && k.left == 0 && k.err == nil {
		k.next()
	}
	switch {
	case k.err != nil:
		return 0, k.err
	case k.past:
		return k.r.Read(p)
	}
	n, err := k.r.Read(p[:min(int64(len(p)), k.left)])
	k.left -= int64(n)
	return n, err
}

// next looks at the head of the next packet (RFC 9580, 4.2). What is wrong with one the library says.
func (k *sessionKeys) next() {
	head, _ := k.r.Peek(6) // with an error there is less
	tag, size := packetHead(head)
	switch tag {
	case 1, 3, 10, 21: // a session key for a public key or a passphrase, a marker, padding
	default:
		k.past = true
		return
	}
	if k.count++; k.count > sessionKeysMost || size < 0 {
		k.err = k.m.fail("", fmt.Sprintf("the message is encrypted for more than %d keys and passphrases: encrypt it for this receiver alone", sessionKeysMost), nil)
	}
	k.left = size
}

// packetHead reads what a packet is and how long it is with its head, -1 when that is not said in one; tag 0 is none.
func packetHead(head []byte) (tag byte, size int64) {
	if len(head) < 2 || head[0]&0x80 == 0 {
		return 0, 0
	}
	var full [6]byte
	copy(full[:], head)
	if head[0]&0x40 == 0 { // of old
		tag = head[0] >> 2 & 0xf
		switch head[0] & 3 {
		case 0:
			return tag, 2 + int64(full[1])
		case 1:
			return tag, 3 + int64(binary.BigEndian.Uint16(full[1:]))
		case 2:
			return tag, 5 + int64(binary.BigEndian.Uint32(full[1:]))
		}
		return tag, -1
	}
	tag = head[0] & 0x3f
	switch first := int64(full[1]); {
	case first < 192:
		return tag, 2 + first
	case first < 224:
		return tag, 3 + (first-192)<<8 + int64(full[2]) + 192
	case first == 255:
		return tag, 6 + int64(binary.BigEndian.Uint32(full[2:]))
	}
	return tag, -1
}
