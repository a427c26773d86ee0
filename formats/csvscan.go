package formats

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// A csvScan cuts text into rows of cells. Lines without a quote, nearly all there are, are cut at their
// delimiters by the vector instructions behind bytes.IndexByte; the others go byte by byte through row.
type csvScan struct {
	w         *window
	delim     byte
	quote     byte // 0: none
	maxRecord int
	maxField  int
	maxCells  int

	row    [][]byte // cells of the row; they point into the window, or into plain
	raw    []byte   // the row as written, without its line end
	bad    string   // what makes it a bad record, though it is clear where it ends
	line   int64    // at which it starts
	offset int64    // at which it starts
	lines  int64    // how many lines it has
	taken  int      // bytes to leave behind at the next step

	spans []span
	plain []byte // cells that held doubled quotes

	comment []byte  // what starts lines that are passed over
	ahead   []int64 // where the lines start that are known to come, as far as somebody asked
	looked  int64   // up to there
}

// A span is a cell by its place in the row: the window may move while the row is read.
type span struct {
	from, to int
	doubled  bool
}

func newCSVScan(w *window, delim, quote byte, l Limits) *csvScan {
	return &csvScan{w: w, delim: delim, quote: quote, line: 1,
		maxRecord: int(l.MaxRecord), maxField: int(l.MaxField), maxCells: l.MaxColumns}
}

// next reads a row; io.EOF after the last.
func (s *csvScan) next() error {
	s.leave()
	line, length, err := s.oneLine()
	switch {
	case err != nil:
		return err
	case line == nil, s.quote != 0 && bytes.IndexByte(line, s.quote) >= 0:
		return s.quoted()
	}
	s.raw, s.taken, s.lines = line, length, 1
	return s.cut(line)
}

// nextLine reads a line without looking into it.
func (s *csvScan) nextLine() ([]byte, error) {
	s.leave()
	line, length, err := s.oneLine()
	if err == nil && line == nil {
		err = s.tooLong(-1)
	}
	s.taken, s.lines = length, 1
	return line, err
}

// leave lets go of the row before.
func (s *csvScan) leave() {
	s.w.start += s.taken
	s.line += s.lines
	s.offset = s.w.offset(0)
	s.taken, s.lines, s.bad = 0, 0, ""
}

// oneLine finds the end of the line, and its length with the line end. Without error the line is nil
// when it is too long, but holds a quote: perhaps the row is not.
func (s *csvScan) oneLine() (line []byte, length int, err error) {
	w := s.w
	for seen := 0; ; {
		data := w.data()
		if i := bytes.IndexByte(data[seen:], '\n'); i >= 0 {
			line, length = data[:seen+i], seen+i+1
			break
		}
		seen = len(data)
		if seen > s.maxRecord {
			line, length = data, seen
			break
		}
		if w.more() {
			s.offset = w.offset(0) // a byte order mark may have been passed
			continue
		}
		if err := w.cause(); err != nil {
			return nil, 0, err
		}
		if seen == 0 {
			return nil, 0, io.EOF
		}
		line, length = data, seen
		break
	}
	if len(line) > s.maxRecord {
		if s.quote != 0 && bytes.IndexByte(line, s.quote) >= 0 {
			return nil, 0, nil
		}
		return nil, 0, s.tooLong(-1)
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, length, nil
}

// cut cuts a line without quotes, eight bytes at a time: cells are too short for bytes.IndexByte to be worth its call.
func (s *csvScan) cut(line []byte) error {
	if i := bytes.IndexByte(line, '\r'); i >= 0 {
		return s.bareReturn(i, s.line)
	}
	row, from, i := s.row[:0], 0, 0
	delims := ones * uint64(s.delim)
	for ; i+8 <= len(line); i += 8 {
		for found := zeroBytes(binary.LittleEndian.Uint64(line[i:]) ^ delims); found != 0; found &= found - 1 {
			at := i + bits.TrailingZeros64(found)>>3
			row = append(row, line[from:at:at])
			from = at + 1
		}
		if len(row) >= s.maxCells {
			return s.tooMany()
		}
	}
	for ; i < len(line); i++ {
		if line[i] == s.delim {
			row = append(row, line[from:i:i])
			from = i + 1
		}
	}
	if len(row) >= s.maxCells {
		return s.tooMany()
	}
	s.row = append(row, line[from:])
	if len(line) <= s.maxField {
		return nil
	}
	return s.checkFields()
}

const ones = 0x0101010101010101

// zeroBytes has the highest bit of each byte that is zero, and no other.
func zeroBytes(w uint64) uint64 {
	const low = 0x7f * ones
	return ^((w&low + low) | w | low)
}

func (s *csvScan) checkFields() error {
	for i, c := range s.row {
		if len(c) > s.maxField {
			return &FileError{Line: s.line, Offset: s.offset, Limit: "max_field",
				Reason: fmt.Sprintf("cell %d is longer than max_field, %s", i+1, Bytes(s.maxField))}
		}
	}
	return nil
}

// blank tells whether the row is one that nobody means: an empty line, or one of spaces where more cells are due.
func (s *csvScan) blank(columns int) bool {
	return len(s.raw) == 0 || len(s.row) == 1 && columns != 1 && len(bytes.TrimSpace(s.raw)) == 0
}

func (s *csvScan) tooLong(opened int64) error {
	e := &FileError{Line: s.line, Offset: s.offset, Limit: "max_record",
		Reason: fmt.Sprintf("the record is longer than max_record, %s", Bytes(s.maxRecord))}
	if opened > 0 {
		e.Line = opened
		e.Reason = fmt.Sprintf("a quote is opened here and not closed within max_record, %s", Bytes(s.maxRecord))
	}
	return e
}

func (s *csvScan) tooMany() error {
	return &FileError{Line: s.line, Offset: s.offset, Limit: "max_columns",
		Reason: fmt.Sprintf("more than %d columns (max_columns)", s.maxCells)}
}

func (s *csvScan) bareReturn(at int, line int64) error {
	return &FileError{Line: line, Offset: s.offset + int64(at),
		Reason: "a carriage return without a line feed outside quotes: lines must end with LF or CRLF"}
}

// passComments goes over lines that start as comments do.
func (s *csvScan) passComments() error {
	for {
		s.leave()
		line, length, err := s.oneLine()
		switch {
		case errors.Is(err, io.EOF): // told by the next row
			return nil
		case err != nil:
			return err
		case !bytes.HasPrefix(line, s.comment):
			return nil
		}
		s.taken, s.lines = length, 1
	}
}

// remains tells whether at least n lines that hold something are still to come. It looks at each line ahead once.
func (s *csvScan) remains(n int) (bool, error) {
	s.leave()
	for len(s.ahead) > 0 && s.ahead[0] < s.w.offset(0) {
		s.ahead = s.ahead[:copy(s.ahead, s.ahead[1:])]
	}
	for len(s.ahead) < n {
		data := s.w.data()
		from := max(0, int(s.looked-s.w.offset(0)))
		i := bytes.IndexByte(data[from:], '\n')
		switch {
		case i < 0 && len(data) > 2*s.maxRecord:
			return false, &FileError{Line: s.line, Offset: s.w.offset(0), Limit: "max_record",
				Reason: fmt.Sprintf("what is looked at to know the last lines is longer than max_record, %s", Bytes(s.maxRecord))}
		case i < 0 && s.w.more():
			continue
		case i < 0:
			i = len(s.w.data()) - from
			data = s.w.data()
		}
		if line := bytes.TrimSpace(data[from : from+i]); len(line) > 0 && (len(s.comment) == 0 || !bytes.HasPrefix(data[from:], s.comment)) {
			s.ahead = append(s.ahead, s.w.offset(from))
		}
		if from+i == len(data) { // no line end: the text ends
			if s.looked = s.w.offset(from + i); len(s.ahead) >= n {
				return true, nil
			}
			return false, s.w.cause()
		}
		s.looked = s.w.offset(from + i + 1)
	}
	return true, nil
}
