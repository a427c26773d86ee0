package jobs

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"waybill/formats"
)

// Readable is a body, or its beginning, as text that people read and that tests compare: out of the encoding that its media type names. Bytes that are no text, as
// those of a workbook, are told by their digest, so that others are another text.
func Readable(media string, body []byte, size int64) string {
	_, encoding, _ := strings.Cut(media, "charset=")
	all := int64(len(body)) == size
	if text, ok := formats.Readable(body, encoding, all); ok {
		return text
	}
	of := ""
	if !all {
		of = fmt.Sprintf("of the first %d ", len(body))
	}
	return fmt.Sprintf("(%d bytes that are no text; SHA-256 %s%x)", size, of, sha256.Sum256(body))
}
