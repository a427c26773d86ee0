package xlsx

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// skip passes the element whose start tag is shown.
func (s *partScan) skip() error {
	for depth := s.depth(); ; {
		t, err := s.next()
		if err != nil {
			return err
		}
		if t == partEnd && s.depth() < depth {
			return nil
		}
	}
}

// Rest passes what is left, so that all of it has been looked at: tags, checksum, length.
func (s *partScan) Rest() error {
	for {
		switch _, err := s.next(); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// attr is the value of an attribute of the start tag, by its name without prefix; nil when there is none.
func (s *partScan) attr(name string) []byte {
	for rest := s.attrs; ; {
		n, value, more, ok := nextAttr(rest)
		if !ok {
			return nil
		}
		if rest = more; string(localName(n)) == name {
			return value
		}
	}
}

// nextAttr cuts the next attribute off.
func nextAttr(rest []byte) (name, value, more []byte, ok bool) {
	i := 0
	for i < len(rest) && isBlank(rest[i]) {
		i++
	}
	from := i
	for i < len(rest) && rest[i] != '=' && !isBlank(rest[i]) {
		i++
	}
	name = rest[from:i]
	for i < len(rest) && (rest[i] == '=' || isBlank(rest[i])) {
		i++
	}
	if i >= len(rest) || rest[i] != '"' && rest[i] != '\'' {
		return nil, nil, nil, false
	}
	end := bytes.IndexByte(rest[i+1:], rest[i])
	if end < 0 {
		return nil, nil, nil, false
	}
	return name, rest[i+1 : i+1+end], rest[i+end+2:], true
}

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func localName(name []byte) []byte {
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		return name[i+1:]
	}
	return name
}

// appendText appends text as it is meant: entities decoded, line ends as line feeds. False when it is no text of XML.
func appendText(dst, raw []byte, literal bool) ([]byte, bool) {
	from, plain := len(dst), true
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '&' && !literal:
			r, n := entity(raw[i:])
			if n == 0 {
				return dst, false
			}
			dst, plain = utf8.AppendRune(dst, r), plain && r < utf8.RuneSelf
			i += n - 1
			continue
		case c == '\r':
			if i+1 < len(raw) && raw[i+1] == '\n' {
				continue
			}
			c = '\n'
		case c < ' ' && c != '\t' && c != '\n':
			return dst, false
		case c >= utf8.RuneSelf:
			plain = false
		}
		dst = append(dst, c)
	}
	return dst, plain || utf8.Valid(dst[from:])
}
