package outbox

import "encoding/hex"

// Keys of messages are UUIDs nearly always. As 16 bytes they take half the room of their digits and need no compressor.

const uuidLength = 36

// parseUUID reads a UUID written as uuidText writes it, and nothing else: what is stored as 16 bytes must come back as it was.
func parseUUID(text string) (id [16]byte, ok bool) {
	if len(text) != uuidLength || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return id, false
	}
	n, bad := 0, byte(0)
	for i := 0; i < uuidLength; i += 2 {
		if text[i] == '-' {
			i++
		}
		high, low := digits[text[i]], digits[text[i+1]]
		bad |= high | low
		id[n] = high<<4 | low
		n++
	}
	return id, bad&noDigit == 0
}

func uuidText(id [16]byte) string {
	var b [uuidLength]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

const noDigit = 0x80

// digits are the values of lower-case hexadecimal digits.
var digits = func() (t [256]byte) {
	for c := range t {
		t[c] = noDigit
	}
	for i, c := range "0123456789abcdef" {
		t[c] = byte(i)
	}
	return t
}()
