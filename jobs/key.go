package jobs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// Keys of messages are UUIDs made from a SHA-256 over parts, each preceded by its length as eight bytes, big-endian.
//
//	with key:     "1", job, route, key, body
//	without:      "1", job, route, identity of the entry, number of the record
//	one for all:  "1", job, route, identity of the entry, "0"
//
// For what a partner sent "2" and his name stand in place of "1": two partners may use the same order numbers, and what one sends is never
// taken for what the other has sent. And at the end, for what is rendered anew (a re-render, a corrected resend), the run's number. A key of several parts is one
// part, in which each of its own is preceded by its length too. A route is its destination's name, and for the second
// route of a job to one destination name#2. The first 16 bytes of the sum carry version 8 and the variant of RFC 9562.

// keyVersion is the first part: another derivation would be another version.
const (
	keyVersion        = "1"
	keyVersionPartner = "2" // the partner's name follows
)

const uuidLength = 36

// hasher collects the parts of one key.
type hasher struct{ parts []byte }

func (h *hasher) start(partner, job, route string) {
	h.parts = h.parts[:0]
	if partner == "" {
		h.text(keyVersion)
	} else {
		h.text(keyVersionPartner)
		h.text(partner)
	}
	h.text(job)
	h.text(route)
}

func (h *hasher) text(s string) {
	h.parts = binary.BigEndian.AppendUint64(h.parts, uint64(len(s)))
	h.parts = append(h.parts, s...)
}

func (h *hasher) bytes(b []byte) {
	h.parts = binary.BigEndian.AppendUint64(h.parts, uint64(len(b)))
	h.parts = append(h.parts, b...)
}

func (h *hasher) number(n int64) {
	var b [20]byte
	h.bytes(strconv.AppendInt(b[:0], n, 10))
}

func (h *hasher) sum() [sha256.Size]byte { return sha256.Sum256(h.parts) }

// appendUUID appends the text of the key that the parts give.
func (h *hasher) appendUUID(dst []byte) []byte {
	sum := h.sum()
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	var b [uuidLength]byte
	hex.Encode(b[0:8], sum[0:4])
	hex.Encode(b[9:13], sum[4:6])
	hex.Encode(b[14:18], sum[6:8])
	hex.Encode(b[19:23], sum[8:10])
	hex.Encode(b[24:36], sum[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return append(dst, b[:]...)
}

// CorrectedKey is the key of a message whose body a person corrected, in the given run of its entry. It differs from that of
// the message as it was, and the same correction gives the same key again.
func CorrectedKey(key string, run int, body []byte) string {
	var h hasher
	h.text(keyVersion)
	h.text(key)
	h.bytes(body)
	h.number(int64(run))
	return string(h.appendUUID(nil))
}
