package unpack

import (
	"bytes"
	"fmt"
	"io"
)

const (
	armorLine = 1 << 10  // bytes of a line of armor; programs write at most 76
	armorHead = 64 << 10 // bytes of what stands before the armored text
)

// An armorReader passes text in armor on as long as its lines are of the length of such. The libraries gather a line in memory, however long, and that of
// OpenPGP all lines of the head, too, each piece of a long one copied with those before it: some 100 MB without a line end would take minutes.
type armorReader struct {
	r    io.Reader
	fail func(limit, reason string, err error) error
	line int // bytes of the line at hand
	head int // bytes that may still come of the head; 0: it is over
	err  error
}

func newArmorReader(s *stream, head int) *armorReader {
	return &armorReader{r: s.buffer, fail: s.fail, head: head}
}

func (a *armorReader) Read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err // also to who has not heard it the first time
	}
	n, err := a.r.Read(p)
	for line := range bytes.Lines(p[:n]) {
		if a.line += len(line); a.line > armorLine {
			a.err = a.fail("", fmt.Sprintf("the armor has a line of more than %d bytes", armorLine), nil)
			return 0, a.err
		}
		if line[len(line)-1] == '\n' {
			a.line = 0
		}
	}
	if a.head > 0 {
		if a.head -= n; a.head <= 0 {
			a.err = a.fail("", fmt.Sprintf("the head of the armor is longer than %d bytes", armorHead), nil)
			return 0, a.err
		}
	}
	return n, err
}
