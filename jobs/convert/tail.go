package convert

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	tailMost = 4 << 10              // how much of the end of stderr is told
	keptMost = tailMost + (1 << 10) // and kept, so that a secret across the cut is seen whole
)

// A tail keeps the end of what is written to it.
type tail struct {
	kept []byte
	size int64 // of all
}

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	t.size += int64(n)
	if len(p) > keptMost {
		p = p[len(p)-keptMost:]
	}
	if over := len(t.kept) + len(p) - keptMost; over > 0 {
		t.kept = t.kept[:copy(t.kept, t.kept[over:])]
	}
	t.kept = append(t.kept, p...)
	return n, nil
}

// text is what was kept, on one line, with everything escaped that a terminal would not just show, and without secrets.
func (t *tail) text(secrets map[string]string) string {
	s := string(t.kept)
	for _, name := range sorted(secrets) {
		if v := secrets[name]; len(v) >= 4 {
			s = strings.ReplaceAll(s, v, "***")
		}
	}
	more := t.size > keptMost || len(s) > tailMost
	s = s[max(0, len(s)-tailMost):]
	for more && s != "" && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	var lines []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, escaped(line))
		}
	}
	said := strings.Join(lines, " / ")
	if more {
		said = "…" + said
	}
	return said
}

func escaped(line string) string {
	var b strings.Builder
	for i, r := range line {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(line[i:], "\uFFFD"):
			b.WriteString(`\x` + strconv.FormatUint(uint64(line[i])|0x100, 16)[1:])
		case r == '\t':
			b.WriteByte(' ')
		case !unicode.IsPrint(r):
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
