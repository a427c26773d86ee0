package expression

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Mode says where the text of a template goes, and so what a hole may yield.
type Mode uint8

const (
	// ModeText takes values as they are: subjects, routing keys, topics.
	ModeText Mode = iota
	// ModeURLPath is an address, whole or from its path on. Holes are
	// percent-encoded; each yields a part of one segment, a / in it included.
	ModeURLPath
	// ModeURLQuery is the value of a parameter in the query of an address.
	ModeURLQuery
	// ModeFileName is a name or folder. A hole yields neither a / (unless it is
	// a date format or file.folder) nor a leading dot.
	ModeFileName
)

// Template is text with holes, compiled. It is safe for concurrent use.
type Template struct {
	source string
	mode   Mode
	parts  []part
	names  []string
}

// part is a literal, or a hole.
type part struct {
	literal string
	hole    *Program // nil: a literal
	at      int      // of the hole, in the source
	format  string   // strftime
	width   int      // of a zero-padded integer
	query   bool     // behind the ? of an address
	slashes bool     // of a file name: / is allowed
	folder  bool     // it is file.folder, which may be empty
}

// Template compiles src. A = in front is a mistake, for an expression was meant; == is one =.
func (s *Scope) Template(src string, m Mode) (*Template, error) {
	t := &Template{source: src, mode: m}
	if len(src) > maxSource {
		return nil, t.err(0, fmt.Errorf("a template has at most %d KiB", maxSource>>10))
	}
	at := 0
	if strings.HasPrefix(src, "=") {
		if at = 1; !strings.HasPrefix(src, "==") {
			return nil, t.err(0, errors.New("a template takes {name}, not an expression: compute a field and name it here, or begin with == for a text that starts with ="))
		}
	}
	for at < len(src) {
		brace := strings.IndexAny(src[at:], "{}")
		if brace < 0 {
			t.text(src[at:])
			break
		}
		t.text(src[at : at+brace])
		at += brace
		if name := s.doubled(src[at:]); name != "" {
			return nil, t.err(at, fmt.Errorf("{{%s}} is the text {%s}: write {%s} for its value", name, name, name))
		}
		switch {
		case strings.HasPrefix(src[at:], "{{"), strings.HasPrefix(src[at:], "}}"):
			t.text(src[at : at+1])
			at += 2
		case src[at] == '}':
			return nil, t.err(at, errors.New("this } closes nothing: write }} for the character"))
		default:
			end := strings.IndexAny(src[at+1:], "{}")
			if end < 0 || src[at+1+end] == '{' {
				return nil, t.err(at, errors.New("the } that closes this is missing: write {{ for the character"))
			}
			if err := s.hole(t, at+1, src[at+1:at+1+end]); err != nil {
				return nil, err
			}
			at += end + 2
		}
	}
	if m == ModeURLPath {
		if err := t.address(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// doubled is the name that text begins with in braces that are doubled by mistake, as other languages write holes: one that the
// scope has. Other text in doubled braces is meant.
func (s *Scope) doubled(text string) string {
	inside, ok := strings.CutPrefix(text, "{{")
	end := strings.Index(inside, "}}")
	if !ok || end < 0 {
		return ""
	}
	inside = strings.TrimSpace(inside[:end])
	declared := &Scope{fields: s.fields, names: s.names}
	if _, known := declared.find(inside[:ident(inside)]); !known || !isPath(inside) {
		return ""
	}
	if _, err := declared.compile(&source{whole: inside}, inside); err != nil {
		return ""
	}
	return inside
}

func (t *Template) err(at int, cause error) error {
	return &Error{Source: t.source, Offset: at, Text: cause.Error(), Cause: cause}
}

// text appends literal text.
func (t *Template) text(s string) {
	if n := len(t.parts); n > 0 && t.parts[n-1].hole == nil {
		t.parts[n-1].literal += s
	} else if s != "" {
		t.parts = append(t.parts, part{literal: s})
	}
}

// hole compiles the inside of a pair of braces, which stands at in the source.
func (s *Scope) hole(t *Template, at int, text string) error {
	path, format, hasFormat := strings.Cut(text, ":")
	if !isPath(path) {
		return t.err(at, fmt.Errorf("a hole holds a name and perhaps a format, not %q: compute a field instead, or write {{ for the character", clip(text)))
	}
	p, err := s.compile(&source{whole: t.source, skip: at}, path)
	if err != nil {
		return err
	}
	h := part{hole: p, at: at, folder: path == "file.folder"}
	kind := p.typ.Kind
	switch {
	case len(p.names) == 0:
		return t.err(at, fmt.Errorf("%s is a word of the language, not a name", path))
	case p.typ.Optional && kind != KindAny:
		return t.err(at, fmt.Errorf("%s may be absent: compute a field with ?? and name it here, or make the field required", path))
	case !scalars.has(kind) && kind != KindAny:
		return t.err(at, fmt.Errorf("%s is %s, which has no text: compute a field instead", path, kind.Noun()))
	case hasFormat:
		err = h.setFormat(path, format)
	}
	if err != nil {
		return t.err(at, err)
	}
	h.slashes = h.format != "" || h.folder
	t.parts = append(t.parts, h)
	for _, name := range p.names {
		if !slices.Contains(t.names, name) {
			t.names = append(t.names, name)
		}
	}
	return nil
}

func (h *part) setFormat(path, format string) error {
	kind := h.hole.typ.Kind
	if strings.Contains(format, "%") {
		if !moments.has(kind) && kind != KindAny {
			return fmt.Errorf("%s is %s, and %s is the format of a date", path, kind.Noun(), format)
		}
		h.format = format
		return CheckFormat(format, false)
	}
	width, err := strconv.Atoi(format)
	if err != nil || format[0] != '0' || width < 1 || width > 100 {
		return fmt.Errorf("%q is no format: write one of dates such as %%Y-%%m-%%d, or 06 for an integer of six digits", clip(format))
	}
	if kind != KindInteger && kind != KindAny {
		return fmt.Errorf("%s is %s, and %s is the format of an integer", path, kind.Noun(), format)
	}
	h.width = width
	return nil
}

// address finds out what each hole is a part of, and refuses those in the scheme
// or the host.
func (t *Template) address() error {
	whole := "" // with a NUL for each hole; one that is written in the text is none
	first, at := -1, 0
	for i, p := range t.parts {
		if p.hole == nil {
			whole += p.literal
			continue
		}
		if first < 0 {
			first, at = i, len(whole)
		}
		t.parts[i].query = strings.Contains(whole, "?")
		whole += "\x00"
	}
	host := strings.Index(whole, "//")
	if query := strings.IndexByte(whole, '?'); host < 0 || query >= 0 && query < host {
		return nil
	}
	if before := whole[:host]; host > 0 && !strings.HasSuffix(before, ":") {
		return nil
	}
	constant := len(whole)
	if path := strings.IndexAny(whole[host+2:], "/?#"); path >= 0 {
		constant = host + 2 + path
	}
	if first < 0 || at >= constant {
		return nil
	}
	return t.err(t.parts[first].at, errors.New("the scheme and host of an address are constant: a hole can stand behind them only"))
}

// Names are the names of the scope that the template uses, each once.
func (t *Template) Names() []string { return t.names }

// Literal is the text, if there are no holes.
func (t *Template) Literal() (string, bool) {
	switch {
	case len(t.parts) == 0:
		return "", true
	case len(t.parts) == 1 && t.parts[0].hole == nil:
		return t.parts[0].literal, true
	}
	return "", false
}

// Append appends the text. On an error nothing is appended.
func (t *Template) Append(dst []byte, env map[string]any) ([]byte, error) {
	start := len(dst)
	skipSlash := false
	for i, p := range t.parts {
		if p.hole == nil {
			if skipSlash {
				p.literal = strings.TrimPrefix(p.literal, "/")
			}
			dst, skipSlash = append(dst, p.literal...), false
			continue
		}
		value, err := p.value(env)
		if err == nil {
			err = t.fits(p, value, dst[start:], i)
		}
		if err != nil {
			return dst[:start], t.err(p.at, fmt.Errorf("%s: %w", p.hole.source, err))
		}
		// A folder that is the root itself takes its slash along.
		skipSlash = p.folder && t.mode == ModeFileName && len(value) == 0 && atSegment(dst[start:])
		dst = t.encode(dst, p, value)
	}
	if err := t.segments(string(dst[start:])); err != nil {
		return dst[:start], t.err(0, err)
	}
	return dst, nil
}

// value is what the hole yields, before any encoding.
func (p part) value(env map[string]any) ([]byte, error) {
	v, err := p.hole.Eval(env)
	if err != nil {
		return nil, err
	}
	switch {
	case v == nil:
		return nil, errAbsent
	case p.format != "":
		return Format(nil, p.format, v)
	case p.width > 0:
		i, ok := v.(int64)
		if !ok {
			return nil, fmt.Errorf("an integer is needed for the format, not %s", noun(v))
		}
		return fmt.Appendf(nil, "%0*d", p.width, i), nil
	}
	return AppendText(nil, v)
}

// atSegment reports whether the next character begins a segment.
func atSegment(before []byte) bool { return len(before) == 0 || before[len(before)-1] == '/' }

// fits refuses a value that would make another place of the name or address than
// the one that is meant.
func (t *Template) fits(p part, value, before []byte, i int) error {
	if t.mode == ModeText || t.mode == ModeURLQuery || p.query {
		return nil
	}
	if len(value) == 0 && !p.folder && atSegment(before) && t.endsSegment(i+1) {
		return errors.New("is empty, and a part of the name would be missing")
	}
	if t.mode == ModeURLPath {
		return nil
	}
	switch {
	case bytes.IndexByte(value, '/') >= 0 && !p.slashes:
		return fmt.Errorf("%q has a /, which a file name cannot", clip(string(value)))
	case bytes.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%q has a control character, which a file name should not", clip(string(value)))
	case atSegment(before) && bytes.HasPrefix(value, []byte(".")), bytes.Contains(value, []byte("/.")):
		return fmt.Errorf("%q begins with a dot: the file would be hidden, or lie elsewhere", clip(string(value)))
	}
	return nil
}

// endsSegment reports whether nothing more of the segment stands from part i on.
func (t *Template) endsSegment(i int) bool {
	return i == len(t.parts) || t.parts[i].hole == nil && strings.ContainsRune("/?#", rune(t.parts[i].literal[0]))
}

func (t *Template) encode(dst []byte, p part, value []byte) []byte {
	switch {
	case t.mode == ModeURLQuery || p.query:
		return append(dst, strings.ReplaceAll(url.QueryEscape(string(value)), "+", "%20")...)
	case t.mode == ModeURLPath:
		return append(dst, url.PathEscape(string(value))...)
	}
	return append(dst, value...)
}

// segments refuses . and .. , which mean another place than they name.
func (t *Template) segments(text string) error {
	if t.mode != ModeURLPath && t.mode != ModeFileName {
		return nil
	}
	if t.mode == ModeURLPath {
		text, _, _ = strings.Cut(text, "?")
	}
	for segment := range strings.SplitSeq(text, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("the result %q has a part %q, which leads elsewhere", clip(text), segment)
		}
	}
	return nil
}
