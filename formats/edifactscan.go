package formats

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// An ediService is the characters that part segments, elements and components.
type ediService struct {
	part, element, decimal, release, repeat, end byte // 0: there is none
}

// defaultService is what holds without UNA. That * parts repetitions holds from syntax version 4 on.
var defaultService = ediService{':', '+', '.', '?', 0, '\''}

// unprintable are the separators of level B as ISO 9735 has them: a file without UNA shows by its first separator that it uses them.
var unprintable = ediService{0x1F, 0x1D, '.', 0, 0, 0x1C}

const (
	tagUNA = 'U'<<16 | 'N'<<8 | 'A'
	tagUNB = 'U'<<16 | 'N'<<8 | 'B'
	tagUNG = 'U'<<16 | 'N'<<8 | 'G'
	tagUNH = 'U'<<16 | 'N'<<8 | 'H'
	tagUNS = 'U'<<16 | 'N'<<8 | 'S'
	tagUNT = 'U'<<16 | 'N'<<8 | 'T'
	tagUNE = 'U'<<16 | 'N'<<8 | 'E'
	tagUNZ = 'U'<<16 | 'N'<<8 | 'Z'
)

// An ediSegment is a segment without its end. Its bytes are valid until the scan goes on.
type ediSegment struct {
	tag     uint32 // 0: it has none
	from    int    // of the bytes, behind the start of the window
	to      int
	bytes   []byte
	escaped bool // the release character occurs
	broken  bool // a line ends in it
}

// ediScan finds segments. What lies between the start of the window and at stays in memory.
type ediScan struct {
	w       *window
	limits  Limits
	service ediService
	at      int // where the next segment may begin, behind the start of the window
}

// skip passes blanks and line ends; io.EOF at the end of the text.
func (k *ediScan) skip() error {
	for {
		for data := k.w.data(); k.at < len(data); k.at++ {
			if c := data[k.at]; c != '\n' && c != '\r' && c != ' ' && c != '\t' && c != 0x1A {
				return nil
			}
		}
		if !k.w.more() {
			if err := k.w.cause(); err != nil {
				return err
			}
			return io.EOF
		}
	}
}

// need has so many bytes of the next segment in memory, fewer at the end of the text.
func (k *ediScan) need(n int) ([]byte, error) {
	for len(k.w.data()) < k.at+n {
		if !k.w.more() {
			return k.w.data()[k.at:], k.w.cause()
		}
	}
	return k.w.data()[k.at : k.at+n], nil
}

// drop lets go of what was read.
func (k *ediScan) drop() {
	k.w.start += k.at
	k.at = 0
}

// begin looks at UNA and the beginning of UNB, up to which it goes; io.EOF when there is nothing any more.
func (k *ediScan) begin() error {
	if err := k.skip(); err != nil {
		return err
	}
	k.drop()
	head, err := k.need(10)
	if err != nil {
		return err
	}
	k.service = defaultService
	advised := bytes.HasPrefix(head, []byte("UNA"))
	if advised {
		if len(head) < 9 {
			return k.short()
		}
		s := ediService{head[3], head[4], head[5], head[6], head[7], head[8]}
		if bad := s.check(); bad != "" {
			return k.w.refusal(k.w.offset(3), "", bad)
		}
		if k.service = s.blanks(); s.release == ' ' {
			k.service.release = 0
		}
		k.at = 9
		if err := k.skip(); err == io.EOF {
			return k.short()
		} else if err != nil {
			return err
		}
		k.drop()
		if head, err = k.need(10); err != nil {
			return err
		}
	}
	switch {
	case len(head) < 4 && bytes.HasPrefix([]byte("UNB"), head):
		return k.short()
	case !bytes.HasPrefix(head, []byte("UNB")):
		return k.w.refusal(k.w.offset(0), "", fmt.Sprintf("unexpected %s: an interchange begins with UNB, before which UNA may stand", shownTag(head)))
	case advised:
		return nil
	case head[3] == unprintable.element:
		k.service = unprintable
	case len(head) == 10 && head[9] >= '4' && head[9] <= '9': // UNB+UNOC:4
		k.service.repeat = '*'
	}
	return nil
}

// short tells of a file that ends at once.
func (k *ediScan) short() error {
	e := k.w.refusal(k.w.offset(0), "", "the interchange ends in its first segment")
	e.Incomplete = true
	return e
}

// check judges the characters that UNA gives.
func (s ediService) check() string {
	marks := []byte{s.part, s.element, s.end}
	for _, c := range []byte{s.release, s.repeat} {
		if c != ' ' {
			marks = append(marks, c)
		}
	}
	for i, c := range marks {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80 || c == ' ' || c == '\r' || c == '\n' && i != 2 {
			return fmt.Sprintf("UNA makes %q a separator, which it cannot be", c)
		}
		if bytes.IndexByte(marks[:i], c) >= 0 {
			return fmt.Sprintf("UNA gives %q two meanings", c)
		}
	}
	if s.decimal != '.' && s.decimal != ',' {
		return fmt.Sprintf("UNA makes %q the decimal mark: it is . or ,", s.decimal)
	}
	return ""
}

// blanks drops the repetition separator that is not used.
func (s ediService) blanks() ediService {
	if s.repeat == ' ' {
		s.repeat = 0
	}
	return s
}

// next returns the next segment and lets go of all before it.
func (k *ediScan) next() (ediSegment, error) {
	if err := k.skip(); err != nil {
		return ediSegment{}, err
	}
	k.drop()
	return k.more()
}

// more returns the next segment and keeps what is before it.
func (k *ediScan) more() (ediSegment, error) {
	if err := k.skip(); err != nil {
		return ediSegment{}, err
	}
	searched := k.at
	for {
		data := k.w.data()
		for searched < len(data) {
			i := bytes.IndexByte(data[searched:], k.service.end)
			if i < 0 {
				searched = len(data)
				break
			}
			to := searched + i
			if k.released(data[k.at:to]) {
				searched = to + 1
				continue
			}
			if to > int(k.limits.MaxRecord) {
				return ediSegment{}, k.tooLong()
			}
			seg := ediSegment{from: k.at, to: to}
			k.at = to + 1
			if k.service.end == '\n' && seg.to > seg.from && data[to-1] == '\r' {
				seg.to--
			}
			seg.bytes = data[seg.from:seg.to:seg.to]
			k.look(&seg)
			return seg, nil
		}
		if len(data) > int(k.limits.MaxRecord) {
			return ediSegment{}, k.tooLong()
		}
		if !k.w.more() {
			if err := k.w.cause(); err != nil {
				return ediSegment{}, err
			}
			return ediSegment{}, io.EOF // inside a segment
		}
	}
}

func (k *ediScan) tooLong() error {
	return k.w.refusal(k.w.offset(k.at), "max_record", fmt.Sprintf("the message is longer than max_record, %s", k.limits.MaxRecord))
}

// released tells whether the character behind text means itself.
func (k *ediScan) released(text []byte) bool {
	n := 0
	for i := len(text) - 1; i >= 0 && k.service.release != 0 && text[i] == k.service.release; i-- {
		n++
	}
	return n%2 == 1
}

// look finds out what must be known of every segment.
func (k *ediScan) look(seg *ediSegment) {
	b := seg.bytes
	if len(b) >= 3 && (len(b) == 3 || b[3] == k.service.element || b[3] == k.service.part) && isTag(b[:3]) {
		seg.tag = uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
	}
	seg.escaped = k.service.release != 0 && bytes.IndexByte(b, k.service.release) >= 0
	seg.broken = bytes.IndexByte(b, '\n') >= 0 || bytes.IndexByte(b, '\r') >= 0
}

func isTag(b []byte) bool {
	for i, c := range b {
		if (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// shownTag shows the beginning of what is no segment that may stand there.
func shownTag(b []byte) string {
	if len(b) == 0 {
		return "end of the file"
	}
	return strconv.Quote(string(cut(b[:min(len(b), 12)])))
}

// refusal refuses the file because of a segment.
func (k *ediScan) refusal(seg ediSegment, reason string) error {
	return k.w.refusal(k.w.offset(seg.from), "", reason)
}

// component returns a component of the first repetition of an element, both counted from 1, with its release characters; nil when there is none.
func (s *ediService) component(segment []byte, element, component int) []byte {
	i := 0
	for ; element > 0; element-- {
		n := s.index(segment[i:], s.element, 0)
		if n < 0 {
			return nil
		}
		i += n + 1
	}
	text := segment[i:]
	if n := s.index(text, s.element, s.repeat); n >= 0 {
		text = text[:n]
	}
	for ; component > 1; component-- {
		n := s.index(text, s.part, 0)
		if n < 0 {
			return nil
		}
		text = text[n+1:]
	}
	if n := s.index(text, s.part, 0); n >= 0 {
		text = text[:n]
	}
	return text
}

// index finds a separator, or another one unless that is 0.
func (s *ediService) index(text []byte, a, b byte) int {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == s.release && c != 0:
			i++
		case c == a, c == b && c != 0:
			return i
		}
	}
	return -1
}

// plain returns text without its release characters; it appends to arena where there are any.
func (s *ediService) plain(arena, text []byte) (out, rest []byte) {
	if s.release == 0 || bytes.IndexByte(text, s.release) < 0 {
		return text, arena
	}
	at := len(arena)
	for i := 0; i < len(text); i++ {
		if text[i] == s.release {
			i++
		}
		if i < len(text) {
			arena = append(arena, text[i])
		}
	}
	return arena[at:len(arena):len(arena)], arena
}

// misuse tells of a release character before one that needs none, "" when there is none.
func (s *ediService) misuse(text []byte) string {
	for i := 0; i < len(text); i++ {
		if text[i] != s.release {
			continue
		}
		if i++; i == len(text) {
			return fmt.Sprintf("the release character %q stands at the end of a segment", s.release)
		}
		if c := text[i]; c != s.release && c != s.element && c != s.part && c != s.end && (c != s.repeat || c == 0) {
			return fmt.Sprintf("the release character %q stands before %s, which needs none", s.release, shown(text[i:]))
		}
	}
	return ""
}

// ends judges a segment that ends what the segment begin began: "" when its count and its reference are right.
func (s *ediService) ends(end []byte, what string, n int64, begin []byte, reference int) string {
	count := string(s.component(end, 1, 1))
	if told, err := strconv.ParseInt(strings.TrimSpace(count), 10, 64); err != nil || told != n {
		return fmt.Sprintf("%s counts %q %s, there are %d", end[:3], count, what, n)
	}
	if a, b := s.component(begin, reference, 1), s.component(end, 2, 1); !bytes.Equal(a, b) {
		return fmt.Sprintf("%s has the reference %q, %s the reference %q", end[:3], cut(b), begin[:3], cut(a))
	}
	return ""
}
