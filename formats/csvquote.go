package formats

import (
	"bytes"
	"fmt"
	"io"
)

// What follows a cell.
type ending uint8

const (
	endOfCell ending = iota // a delimiter
	endOfRow                // a line end, or the end of the text
)

// quoted reads a row that holds quotes, cell by cell. It remembers places, not slices, as the window
// may move under it.
func (s *csvScan) quoted() error {
	s.spans, s.plain = s.spans[:0], s.plain[:0]
	for at := 0; ; {
		if len(s.spans) >= s.maxCells {
			return s.tooMany()
		}
		var (
			next int
			end  ending
			err  error
		)
		if c, ok := s.at(at); ok && c == s.quote {
			next, end, err = s.quotedCell(at)
		} else {
			next, end, err = s.plainCell(at)
		}
		if err != nil {
			return err
		}
		if end == endOfRow {
			s.taken = next
			break
		}
		at = next
	}
	return s.collect()
}

// at returns the i-th byte of the row; false at the end of the text and where the row gets too long.
func (s *csvScan) at(i int) (byte, bool) {
	for {
		if data := s.w.data(); i < len(data) {
			return data[i], i <= s.maxRecord+1
		}
		if i > s.maxRecord || !s.w.more() {
			return 0, false
		}
		s.offset = s.w.offset(0)
	}
}

// ended explains why at gave nothing: io.EOF when the text is over.
func (s *csvScan) ended(i int, opened int64) error {
	if i > s.maxRecord {
		return s.tooLong(opened)
	}
	if err := s.w.cause(); err != nil {
		return err
	}
	return io.EOF
}

// quotedCell reads a cell that starts with the quote at from.
func (s *csvScan) quotedCell(from int) (next int, end ending, err error) {
	opened := s.lineAt(from)
	sp := span{from: from + 1}
	for i := from + 1; ; {
		if _, ok := s.at(i); !ok {
			if err := s.ended(i, opened); err != io.EOF {
				return 0, 0, err
			}
			return 0, 0, &FileError{Line: opened, Offset: s.offset + int64(from), Reason: "a quote is opened here and never closed"}
		}
		data := s.w.data()
		q := bytes.IndexByte(data[i:], s.quote)
		if q < 0 {
			i = len(data)
			continue
		}
		i += q
		if i > s.maxRecord {
			return 0, 0, s.tooLong(opened)
		}
		if c, ok := s.at(i + 1); ok && c == s.quote {
			sp.doubled = true
			i += 2
			continue
		}
		sp.to = i
		break
	}
	s.spans = append(s.spans, sp)
	return s.afterQuote(sp.to + 1)
}

// afterQuote sees that nothing but a delimiter or a line end follows the closing quote.
func (s *csvScan) afterQuote(i int) (next int, end ending, err error) {
	c, ok := s.at(i)
	switch {
	case !ok:
		if err := s.ended(i, 0); err != io.EOF {
			return 0, 0, err
		}
		return i, endOfRow, nil
	case c == s.delim:
		return i + 1, endOfCell, nil
	case c == '\n':
		return i + 1, endOfRow, nil
	case c == '\r':
		return s.afterReturn(i)
	}
	return 0, 0, &FileError{Line: s.lineAt(i), Offset: s.offset + int64(i),
		Reason: fmt.Sprintf("text after the quote that closes a cell; a quote inside a cell must be doubled: %c%c", s.quote, s.quote)}
}

// afterReturn sees that the carriage return at i belongs to a line end.
func (s *csvScan) afterReturn(i int) (next int, end ending, err error) {
	c, ok := s.at(i + 1)
	switch {
	case ok && c == '\n':
		return i + 2, endOfRow, nil
	case ok:
		return 0, 0, s.bareReturn(i, s.lineAt(i))
	}
	if err := s.ended(i+1, 0); err != io.EOF {
		return 0, 0, err
	}
	return i + 1, endOfRow, nil
}

// plainCell reads a cell that starts without a quote. A quote further on makes the record bad, but it
// is still clear where the row ends.
func (s *csvScan) plainCell(from int) (next int, end ending, err error) {
	for i := from; ; i++ {
		i += s.plainRun(i)
		c, ok := s.at(i)
		if ok && c != s.delim && c != '\n' && c != '\r' {
			if c == s.quote {
				s.bad = fmt.Sprintf("cell %d holds a quote but does not start with one: put the cell in quotes and double those inside", len(s.spans)+1)
			}
			continue
		}
		s.spans = append(s.spans, span{from: from, to: i})
		return s.afterQuote(i)
	}
}

// plainRun counts the bytes from i on, as far as the window shows them, that end no cell.
func (s *csvScan) plainRun(i int) int {
	data := s.w.data()
	data = data[min(i, len(data)):]
	for n, c := range data {
		if c == s.delim || c == s.quote || c == '\n' || c == '\r' {
			return n
		}
	}
	return len(data)
}

// lineAt is the number of the line that holds the i-th byte of the row.
func (s *csvScan) lineAt(i int) int64 {
	data := s.w.data()
	return s.line + int64(bytes.Count(data[:min(i, len(data))], []byte{'\n'}))
}

// collect turns places into cells, once the row stands whole in the window.
func (s *csvScan) collect() error {
	data := s.w.data()[:s.taken]
	s.lines = int64(bytes.Count(data, []byte{'\n'}))
	s.raw = bytes.TrimSuffix(data, []byte{'\n'})
	s.raw = bytes.TrimSuffix(s.raw, []byte{'\r'})
	s.plain = growTo(s.plain, s.taken) // before any cell points into it
	s.row = s.row[:0]
	for _, sp := range s.spans {
		cell := data[sp.from:sp.to:sp.to]
		if sp.doubled {
			cell = s.undouble(cell)
		}
		s.row = append(s.row, cell)
	}
	if len(s.raw) > s.maxRecord {
		return s.tooLong(-1)
	}
	return s.checkFields()
}

// undouble writes a cell's doubled quotes as one each.
func (s *csvScan) undouble(cell []byte) []byte {
	from := len(s.plain)
	for {
		i := bytes.IndexByte(cell, s.quote)
		if i < 0 {
			break
		}
		s.plain = append(s.plain, cell[:i+1]...)
		cell = cell[i+2:]
	}
	s.plain = append(s.plain, cell...)
	return s.plain[from:len(s.plain):len(s.plain)]
}

func growTo(b []byte, n int) []byte {
	if cap(b) >= n {
		return b[:0]
	}
	return make([]byte, 0, n+n/2)
}
