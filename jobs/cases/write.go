package cases

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"waybill/jobs"
)

// Expectation is the key `expect` of a case to which the trial is as expected.
func Expectation(t *jobs.Trial) []byte {
	var w writer
	w.line(0, "expect:")
	w.entry(2, "state", string(t.State))
	if t.Reason != "" {
		w.entry(2, "reason", t.Reason)
	}
	w.line(2, fmt.Sprintf("records: %d", t.Records))
	if len(t.Rejects) > 0 {
		w.line(2, "rejects:")
	}
	for _, r := range t.Rejects {
		w.item(4)
		for _, f := range [][2]string{{"record", number(r.Record)}, {"line", number(r.Line)}} {
			if f[1] != "" {
				w.line(6, f[0]+": "+f[1])
			}
		}
		for _, f := range [][2]string{{"field", r.Field}, {"value", r.Value}, {"reason", r.Reason}} {
			if f[1] != "" {
				w.entry(6, f[0], f[1])
			}
		}
	}
	switch {
	case len(t.Shown) > 0:
		w.line(2, "messages:")
		for i := range t.Shown {
			w.message(&t.Shown[i])
		}
	default:
		w.line(2, "messages: []")
	}
	w.told(t.Told)
	return w.b.Bytes()
}

// A writer writes block YAML as a person would.
type writer struct {
	b     bytes.Buffer
	begin int // where an item of a list begins whose first line is to bear the dash; 0: none
}

func (w *writer) item(indent int) { w.begin = indent }

func (w *writer) line(indent int, text string) {
	margin := strings.Repeat(" ", indent)
	if w.begin > 0 {
		margin, w.begin = strings.Repeat(" ", w.begin)+"- ", 0
	}
	w.b.WriteString(margin + text + "\n")
}

// entry writes a key and a text. One of several lines stands as a block where a block can hold it.
func (w *writer) entry(indent int, key, text string) {
	if !blockable(text) {
		w.line(indent, word(key)+": "+scalar(text))
		return
	}
	mark := "|"
	if !strings.HasSuffix(text, "\n") {
		mark = "|-"
	}
	w.line(indent, word(key)+": "+mark)
	for l := range strings.Lines(text) {
		if l = strings.TrimSuffix(l, "\n"); l != "" {
			l = strings.Repeat(" ", indent+2) + l
		}
		w.b.WriteString(l + "\n")
	}
}

// blockable reports whether a block keeps a text as it is.
func blockable(s string) bool {
	return strings.Contains(strings.TrimSuffix(s, "\n"), "\n") && !strings.HasPrefix(s, " ") && !strings.HasPrefix(s, "\n") && !strings.HasSuffix(s, "\n\n") &&
		!strings.ContainsFunc(s, func(r rune) bool {
			return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == '\ufeff' || r == '\u2028' || r == '\u2029'
		})
}

// plainText is what needs no quotes whoever reads it.
var plainText = regexp.MustCompile(`^[\p{L}_/][\p{L}\p{N}_/ .,;@+()-]*$`)

// scalar is a text as YAML.
func scalar(s string) string {
	if plainText.MatchString(s) && !strings.HasSuffix(s, " ") && !bare(s) && !slices.Contains([]string{"Null", "NULL", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(s)) {
		return s
	}
	return quote(s)
}

// word is a key as YAML.
func word(s string) string {
	if simpleKey.MatchString(s) && !strings.ContainsAny(s[:1], "@#-") && s != "null" && s != "Null" && s != "NULL" {
		return s
	}
	return quote(s)
}

func (w *writer) message(m *jobs.TrialMessage) {
	w.item(4)
	w.entry(6, "to", m.Destination)
	if m.Ref != "" {
		w.entry(6, "key", m.Ref)
	}
	known := map[string]bool{":content-type": true, ":exists": true}
	for _, k := range new(Message).words() {
		known[k.header] = true
		if v := m.Headers[k.header]; v != "" {
			w.entry(6, k.key, v)
		}
	}
	var others []string
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		if !known[name] {
			others = append(others, name)
		}
	}
	if len(others) > 0 {
		w.line(6, "headers:")
	}
	for _, name := range others {
		w.entry(8, name, m.Headers[name])
	}
	t, isJSON := parse(m.Body)
	switch {
	case m.Original:
		w.line(6, "original: true")
	case isJSON:
		w.tree(6, "body", &t)
	default:
		w.entry(6, "body", strings.ReplaceAll(m.Text, "\r\n", "\n"))
	}
}

// tree writes a key and a value: small ones in one line, others as blocks.
func (w *writer) tree(indent int, key string, t *tree) {
	if t.kind == 0 {
		if text, isText := t.unquoted(); isText {
			w.entry(indent, key, text)
			return
		}
		w.line(indent, word(key)+": "+t.text)
		return
	}
	if len(t.items) == 0 {
		w.line(indent, word(key)+": "+t.String())
		return
	}
	w.line(indent, word(key)+":")
	w.children(indent+2, t)
}

func (w *writer) children(indent int, t *tree) {
	for i := range t.items {
		item := &t.items[i]
		switch {
		case t.kind == '{':
			w.tree(indent, t.keys[i], item)
		case item.kind == '{' && len(item.items) > 0:
			w.item(indent)
			w.children(indent+2, item)
		default:
			w.line(indent, "- "+item.flow())
		}
	}
}

// flow is a value in one line. JSON is YAML, but for texts that need no quotes it is not how a person writes.
func (t *tree) flow() string {
	if text, isText := t.unquoted(); isText {
		return scalar(text)
	}
	return t.String()
}

// unquoted is the text that a scalar stands for, false for what is no text.
func (t *tree) unquoted() (string, bool) {
	if t.kind != 0 || !strings.HasPrefix(t.text, `"`) {
		return "", false
	}
	return unquote(t.text), true
}

// told writes acknowledgements: of waybill's own shape what does not change with name, bytes and time of the file.
func (w *writer) told(list []jobs.TrialNotice) {
	if len(list) == 0 {
		return
	}
	w.line(2, "acknowledgement:")
	for _, n := range list {
		w.item(4)
		w.entry(6, "name", n.Name)
		t, isJSON := parse(n.Body)
		if !isJSON {
			w.entry(6, "body", strings.ReplaceAll(n.Text, "\r\n", "\n"))
			continue
		}
		if t.get("acknowledgement") == nil {
			w.tree(6, "body", &t)
			continue
		}
		own := tree{kind: '{'}
		for _, key := range []string{"state", "test", "verdict", "counts", "reason"} {
			if v := t.get(key); v != nil {
				own.keys, own.items = append(own.keys, key), append(own.items, *v)
			}
		}
		w.tree(6, "body", &own)
	}
}

// Replace puts an expectation into the text of a case, in place of the lines from up to to (from 1, to excluded); 0 and 0 puts it at the end. Comments
// and blank lines before the next key stay.
func Replace(text, expectation []byte, from, to int) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines) > 0 && len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	if from == 0 {
		from, to = len(lines)+1, len(lines)+1
	}
	to = min(to, len(lines)+1)
	for to > from+1 && spare(lines[to-2]) {
		to--
	}
	var b bytes.Buffer
	write := func(part [][]byte) {
		for _, l := range part {
			b.Write(l)
		}
		if n := b.Len(); n > 0 && b.Bytes()[n-1] != '\n' {
			b.WriteByte('\n')
		}
	}
	write(lines[:from-1])
	b.Write(expectation)
	write(lines[to-1:])
	return b.Bytes()
}

// spare reports whether a line at the end of a key belongs to what follows: it is blank, or a comment at the margin.
func spare(line []byte) bool {
	return len(bytes.TrimSpace(line)) == 0 || line[0] == '#'
}
