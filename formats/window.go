package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	windowSize     = 128 << 10 // of a window at first: two windows fit the second-level cache of a small machine
	windowLeast    = 4 << 10
	fruitlessReads = 100 // reads in a row that may give neither bytes nor an error
)

// A window is the part of a text that is in memory: what has been read and is still needed. It slides
// along the text and grows only while its owner needs more before letting go of any; the owner bounds
// that. All it shows is valid UTF-8 without a byte order mark and without NUL.
type window struct {
	r      io.Reader
	buf    []byte
	start  int   // what is still needed starts here
	end    int   // what has been checked ends here
	tail   int   // bytes behind end that have been read, but not the rest of their character
	base   int64 // offset of buf[0] in the text
	err    error // why there is no more: io.EOF, a *FileError or what the reader said
	begun  bool
	o      Options      // how it is encoded, as far as configured
	tee    func([]byte) // is shown all text, once it is known to be good; nil: nobody
	passed *passage     // lines of the text before buf[0]; nil for who counts them himself
}

// A passage is what is known of the text that a window has let go of.
type passage struct {
	ended int64 // lines
	start int64 // offset of the beginning of the line that goes on behind it
}

// A workshop lends out what reading one file needs, so that ten thousand small files do not make ten
// thousand buffers. Each decoder has its own.
type workshop struct{ pool sync.Pool }

// A bench is what is lent out.
type bench struct {
	buf    []byte
	parser *jsonParser // nil until it is needed
	xml    *xmlParser
}

func (s *workshop) borrow() *bench {
	if b, ok := s.pool.Get().(*bench); ok {
		return b
	}
	return &bench{}
}

// back returns what was borrowed, once no record is looked at any more.
func (s *workshop) back(b *bench, w *window) {
	if b.buf = w.buf; len(b.buf) > windowSize {
		b.buf = nil // grown for one long record
	}
	s.pool.Put(b)
}

// json returns the parser on the bench.
func (b *bench) json(l Limits) *jsonParser {
	if b.parser == nil {
		b.parser = newJSONParser(l)
	}
	return b.parser
}

// open starts reading a blob as text.
func open(b Blob, o Options, on *bench) *window {
	w := &window{r: b.Reader, buf: on.buf, o: Options{Format: o.Format, Encoding: o.Encoding}}
	size := windowSize
	if b.Size >= 0 && b.Size < windowSize {
		size = max(windowLeast, int(b.Size)+utf8.UTFMax)
	}
	if len(w.buf) < size {
		w.buf = make([]byte, size)
	}
	if b.Reader == nil {
		w.r = bytes.NewReader(nil)
	}
	if !b.Unpacked {
		w.r = &capped{r: w.r, most: o.Limits.MaxFile}
		if b.Size > int64(o.Limits.MaxFile) {
			w.err = tooLarge(o.Limits.MaxFile)
		}
	}
	if o.Encoding != "" {
		if c, _ := findCharset(o.Encoding); !c.utf8() {
			w.r, w.begun = &recoded{r: w.r, o: w.o}, true
		}
	}
	return w
}

// data is what is in the window.
func (w *window) data() []byte { return w.buf[w.start:w.end] }

// offset is that of the byte at data()[i] in the text.
func (w *window) offset(i int) int64 { return w.base + int64(w.start+i) }

// more adds text to the window; slices of it that were taken before are no longer valid. It reports
// false when nothing was added: err then says why.
func (w *window) more() bool {
	if w.err != nil {
		return false
	}
	w.slide()
	read := w.end + w.tail
	var failed error
	for idle := 0; failed == nil && read < len(w.buf); {
		var n int
		n, failed = w.r.Read(w.buf[read:])
		read += n
		if idle++; n > 0 {
			idle = 0
		}
		if idle == fruitlessReads {
			failed = io.ErrNoProgress
		}
	}
	w.err = failed
	if !w.begun && !w.begin(read) {
		return w.err == nil && w.more()
	}
	from := w.end
	w.check(read)
	return w.end > from
}

// begin looks at the first bytes, as many as read: it passes a byte order mark. False means that the text begins anew, turned into
// UTF-8, or that there is none to be had.
func (w *window) begin(read int) bool {
	w.begun = true
	c, skip, _, err := detect(w.o, w.buf[:read])
	switch {
	case err != nil:
		w.err = err
		return false
	case !c.utf8():
		rest := w.r
		if w.err != nil {
			rest = failing{w.err}
		}
		w.r, w.err = &recoded{r: io.MultiReader(bytes.NewReader(bytes.Clone(w.buf[:read])), rest), o: Options{Format: w.o.Format, Encoding: c.name}}, nil
		return false
	}
	w.start, w.end = skip, skip
	if w.passed != nil {
		w.passed.start = int64(skip)
	}
	return true
}

// failing is a reader of which nothing is left but its error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// slide makes room for at least as much as is still needed.
func (w *window) slide() {
	kept := w.buf[w.start : w.end+w.tail]
	to := w.buf
	if len(kept) > len(to)/2 {
		to = make([]byte, 2*len(to))
	}
	if w.passed != nil {
		w.passed.pass(w.base, w.buf[:w.start])
	}
	copy(to, kept)
	w.buf = to
	w.base += int64(w.start)
	w.end -= w.start
	w.start = 0
}

// check looks at what was read since the last time, up to the end of the last whole character.
func (w *window) check(read int) {
	fresh := w.buf[w.end:read]
	whole := len(fresh)
	if w.err != io.EOF {
		whole -= cutCharacter(fresh)
	}
	w.tail = 0
	if w.err == nil {
		w.tail = len(fresh) - whole
	}
	fresh = fresh[:whole]
	if i := bytes.IndexByte(fresh, 0); i >= 0 {
		w.stop(i, w.nulReason(fresh, i))
		fresh = fresh[:i]
	}
	if !utf8.Valid(fresh) {
		i := invalidAt(fresh)
		w.stop(i, fmt.Sprintf("byte 0x%02x is not valid UTF-8; if the file is in windows-1252, say encoding: windows-1252", fresh[i]))
		fresh = fresh[:i]
	}
	w.end += len(fresh)
	if w.tee != nil {
		w.tee(fresh)
	}
}

// stop ends the text before the i-th byte behind end.
func (w *window) stop(i int, reason string) {
	w.err = w.refusal(w.base+int64(w.end+i), "", reason)
	w.tail = 0
}

// pass takes in text that stands at offset from.
func (p *passage) pass(from int64, text []byte) {
	if last := bytes.LastIndexByte(text, '\n'); last >= 0 {
		p.ended += int64(bytes.Count(text[:last+1], []byte{'\n'}))
		p.start = from + int64(last) + 1
	}
}

// lineAt is the line of the byte that is next. known is that of the offset last, 0 for none: where its text is still there, only
// what came since is looked at, so that lines are counted once.
func (w *window) lineAt(known, last int64) int64 {
	if w.passed == nil {
		return 0
	}
	from := 0
	if known > 0 && last >= w.base {
		from = int(last - w.base)
	} else {
		known = w.passed.ended + 1
	}
	return known + int64(bytes.Count(w.buf[from:w.start], []byte{'\n'}))
}

// refusal is the error of a file at an offset that is in the window. It tells the line where lines are counted, unless that is longer
// than the window, and the offset tells more.
func (w *window) refusal(offset int64, limit, reason string) *FileError {
	e := &FileError{Offset: offset, Limit: limit, Reason: reason}
	if w.passed == nil {
		return e
	}
	before := w.buf[:offset-w.base]
	p := *w.passed
	p.pass(w.base, before)
	if p.start >= w.base {
		e.Line, e.Column = p.ended+1, int64(utf8.RuneCount(before[p.start-w.base:]))+1
	}
	return e
}

// cause is the error to report when the text ended but should not have, nil at its regular end.
func (w *window) cause() error {
	var f *FileError
	switch {
	case w.err == nil || errors.Is(w.err, io.EOF):
		return nil
	case errors.As(w.err, &f):
		if f.Line == 0 && w.passed != nil { // it struck the reader beneath, when all before it had been given
			at := w.refusal(w.base+int64(w.end), "", "")
			f.Line, f.Column = at.Line, at.Column
		}
		return f
	}
	return fmt.Errorf("read at offset %d: %w", w.base+int64(w.end), w.err)
}

// invalidAt finds the first byte that is not part of a character.
func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// nulReason says what is wrong with the first NUL, fresh[i]. What has been turned into UTF-8 already is of no other encoding.
func (w *window) nulReason(fresh []byte, i int) string {
	const reason = "a NUL byte, which no text has"
	at := w.base + int64(w.end+i)
	_, turned := w.r.(*recoded)
	if again := i+2 < len(fresh) && fresh[i+2] == 0; turned || at > 0 && !again {
		return reason
	}
	from := i - int(at%4) // where a character of UTF-32 would begin
	if from < 0 {
		from += 4
	}
	order := zeros(fresh[min(from, len(fresh)):])
	if order == "" {
		order = utf16le
	}
	return reason + "; the file looks like " + strings.ToUpper(order[:len(order)-2]) + " without a byte order mark: say encoding: " + order
}

// capped refuses what is longer than it may be.
type capped struct {
	r    io.Reader
	read int64
	most Bytes
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read += int64(n)
	if over := c.read - int64(c.most); over > 0 {
		return max(0, n-int(over)), tooLarge(c.most)
	}
	return n, err
}

func tooLarge(most Bytes) error {
	return &FileError{Offset: int64(most), Limit: "max_file", Reason: fmt.Sprintf("the file is larger than max_file, %s", most)}
}
