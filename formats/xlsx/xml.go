package xlsx

import (
	"bytes"
	"fmt"
	"io"

	"waybill/formats/fault"
)

// The XML of a workbook's parts is split by a scanner of its own: encoding/xml is at twenty times the cost of looking
// at every byte, takes documents apart into allocations, and knows neither limits nor what is refused here. It checks
// that tags match, and it refuses document types, so that there are no entities but the five of XML itself.

// token is what a partScan stands on.
type token uint8

const (
	partStart token = iota + 1
	partEnd
	partText
)

const (
	partBuffer = 32 << 10
	partDepth  = 100
	partIdle   = 100 // reads without a byte, after which a reader is broken
)

// A partScan gives the tags and texts of one part. What it shows is valid until its next step.
type partScan struct {
	r    io.Reader
	part string // its name, for errors
	most int    // the longest tag or text

	buf      []byte
	pos, end int
	base     int64 // offset of buf[0]
	err      error // of the reader

	name   []byte // of a tag, without its prefix
	attrs  []byte // of a start tag, as written
	text   []byte // as written
	cdata  bool   // the text is to be taken literally
	ending bool   // an element without content: its end comes next
	begun  bool   // the root was seen
	names  []byte // of the open elements, one behind the other
	opened []int  // where each of them starts
}

func newPartScan(r io.Reader, part string, most int) *partScan {
	return &partScan{r: r, part: part, most: most + 4<<10, buf: make([]byte, partBuffer)}
}

// depth is the number of open elements, with the one whose start tag is shown.
func (s *partScan) depth() int { return len(s.opened) }

// next goes to the next tag or text; io.EOF behind the end of the root.
func (s *partScan) next() (token, error) {
	if s.ending {
		s.ending = false
		return partEnd, s.pop(s.names[s.opened[len(s.opened)-1]:])
	}
	for {
		if s.pos == s.end {
			if !s.fill() {
				return 0, s.over()
			}
		}
		if s.buf[s.pos] != '<' {
			blank, err := s.chars()
			if err != nil {
				return 0, err
			}
			if blank && len(s.opened) == 0 {
				continue
			}
			if len(s.opened) == 0 {
				return 0, s.fail("text outside the root element")
			}
			return partText, nil
		}
		t, err := s.markup()
		if t != 0 || err != nil {
			return t, err
		}
	}
}

// chars takes the text up to the next tag.
func (s *partScan) chars() (blank bool, err error) {
	from := 0
	for {
		i := bytes.IndexByte(s.buf[s.pos+from:s.end], '<')
		if i >= 0 {
			from += i
			break
		}
		from = s.end - s.pos
		if from > s.most {
			return false, s.tooLong()
		}
		if !s.fill() {
			if s.err != io.EOF {
				return false, s.err
			}
			break
		}
	}
	if from > s.most {
		return false, s.tooLong()
	}
	s.text, s.cdata = s.buf[s.pos:s.pos+from], false
	s.pos += from
	return len(s.opened) > 0 || len(bytes.TrimSpace(s.text)) == 0, nil
}

// markup takes what starts with "<"; 0 for what shows nothing.
func (s *partScan) markup() (token, error) {
	if !s.have(2) {
		return 0, s.cut()
	}
	switch s.buf[s.pos+1] {
	case '/':
		return s.endTag()
	case '?':
		return 0, s.instruction()
	case '!':
		return s.declaration()
	}
	return s.startTag()
}

func (s *partScan) startTag() (token, error) {
	n, err := s.tag()
	if err != nil {
		return 0, err
	}
	tag := s.buf[s.pos+1 : s.pos+n-1]
	if len(tag) > 0 && tag[len(tag)-1] == '/' {
		tag, s.ending = tag[:len(tag)-1], true
	}
	i := 0
	for i < len(tag) && !isBlank(tag[i]) {
		i++
	}
	if i == 0 || len(s.opened) == 0 && s.begun {
		return 0, s.fail("this is not well-formed XML")
	}
	if len(s.opened) == partDepth {
		return 0, s.fail(fmt.Sprintf("elements stand in each other more than %d deep", partDepth))
	}
	s.opened = append(s.opened, len(s.names))
	s.names = append(s.names, tag[:i]...)
	s.name, s.attrs, s.begun = localName(tag[:i]), tag[i:], true
	s.pos += n
	return partStart, nil
}

// tag is the length of the tag that starts here. A ">" in an attribute's value does not end it.
func (s *partScan) tag() (int, error) {
	quote := byte(0)
	for i := 1; ; i++ {
		if s.pos+i == s.end {
			if i > s.most {
				return 0, s.tooLong()
			}
			if !s.fill() {
				return 0, s.cut()
			}
		}
		switch c := s.buf[s.pos+i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '>':
			return i + 1, nil
		case c == '"' || c == '\'':
			quote = c
		case c == '<':
			return 0, s.fail("a < inside a tag")
		}
	}
}

func (s *partScan) endTag() (token, error) {
	n, err := s.tag()
	if err != nil {
		return 0, err
	}
	name := bytes.TrimRight(s.buf[s.pos+2:s.pos+n-1], " \t\r\n")
	if len(s.opened) == 0 {
		return 0, s.fail("an end tag without its start")
	}
	if err := s.pop(name); err != nil {
		return 0, err
	}
	s.pos += n
	return partEnd, nil
}

func (s *partScan) pop(name []byte) error {
	last := len(s.opened) - 1
	open := s.names[s.opened[last]:]
	if !bytes.Equal(open, name) {
		return s.fail(fmt.Sprintf("</%s> stands where </%s> should", fault.Cut(name), fault.Cut(open)))
	}
	s.name = localName(open)
	s.names, s.opened = s.names[:s.opened[last]], s.opened[:last]
	return nil
}

func (s *partScan) instruction() error {
	n, err := s.upTo("?>")
	if err != nil {
		return err
	}
	text := s.buf[s.pos+2 : s.pos+n]
	if bytes.HasPrefix(text, []byte("xml ")) {
		for rest := text[4 : len(text)-2]; ; {
			name, value, more, ok := nextAttr(rest)
			if !ok {
				break
			}
			if rest = more; string(name) == "encoding" && !bytes.EqualFold(value, []byte("utf-8")) && !bytes.EqualFold(value, []byte("us-ascii")) {
				return s.fail(fmt.Sprintf("the part is in %s; only UTF-8 is read", fault.Cut(value)))
			}
		}
	}
	s.pos += n
	return nil
}

func (s *partScan) declaration() (token, error) {
	const cdata = "<![CDATA["
	switch {
	case s.have(4) && string(s.buf[s.pos:s.pos+4]) == "<!--":
		n, err := s.upTo("-->")
		s.pos += n
		return 0, err
	case s.have(len(cdata)) && string(s.buf[s.pos:s.pos+len(cdata)]) == cdata && len(s.opened) > 0:
		n, err := s.upTo("]]>")
		if err != nil {
			return 0, err
		}
		s.text, s.cdata = s.buf[s.pos+len(cdata):s.pos+n-3], true
		s.pos += n
		return partText, nil
	case s.have(9) && string(s.buf[s.pos:s.pos+9]) == "<!DOCTYPE":
		return 0, s.fail("a document type (DOCTYPE), which is refused")
	}
	return 0, s.fail("this is not well-formed XML")
}

// upTo is the length of what starts here and ends with a mark.
func (s *partScan) upTo(mark string) (int, error) {
	from := 2
	for {
		if i := bytes.Index(s.buf[min(s.pos+from, s.end):s.end], []byte(mark)); i >= 0 {
			return from + i + len(mark), nil
		}
		from = max(2, s.end-s.pos-len(mark)+1)
		if s.end-s.pos > s.most {
			return 0, s.tooLong()
		}
		if !s.fill() {
			return 0, s.cut()
		}
	}
}

// have tells whether n bytes from here on can be had.
func (s *partScan) have(n int) bool {
	for s.end-s.pos < n {
		if !s.fill() {
			return false
		}
	}
	return true
}

// fill reads on; what stands before pos is let go of. False at the end, see err.
func (s *partScan) fill() bool {
	if s.err != nil {
		return false
	}
	first := s.base == 0 && s.end == 0
	kept := s.buf[s.pos:s.end]
	to := s.buf
	if len(kept) > len(to)/2 {
		to = make([]byte, 2*len(to))
	}
	copy(to, kept)
	s.base += int64(s.pos)
	s.buf, s.end, s.pos = to, len(kept), 0
	from := s.end
	for idle := 0; s.end == from && s.err == nil; idle++ {
		var n int
		n, s.err = s.r.Read(s.buf[s.end:])
		if s.end += n; idle == partIdle {
			s.err = io.ErrNoProgress
		}
	}
	if first {
		return s.mark() && s.end > s.pos
	}
	return s.end > from
}

// mark passes the byte order mark of UTF-8.
func (s *partScan) mark() bool {
	for s.end < 3 && s.err == nil {
		var n int
		n, s.err = s.r.Read(s.buf[s.end:])
		s.end += n
	}
	if bytes.HasPrefix(s.buf[:s.end], []byte("\xef\xbb\xbf")) {
		s.pos = 3
	}
	return s.end > 0
}

// over is what the end of the bytes means.
func (s *partScan) over() error {
	if s.err == io.EOF && (len(s.opened) > 0 || !s.begun) {
		return s.cut()
	}
	return s.err
}

// cut is the error of a part that ends too early.
func (s *partScan) cut() error {
	if s.err == nil || s.err == io.EOF {
		return s.fail("the part is cut off")
	}
	return s.err
}

func (s *partScan) tooLong() error {
	return &fault.FileError{Offset: s.offset(), Limit: "max_field", Reason: fmt.Sprintf("%s: a text is longer than max_field", s.part)}
}

func (s *partScan) fail(reason string) error {
	return &fault.FileError{Offset: s.offset(), Reason: s.part + ": " + reason}
}

// offset of what is next in the part.
func (s *partScan) offset() int64 { return s.base + int64(s.pos) }
