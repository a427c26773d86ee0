package formats

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"waybill/formats/jsonvalue"
)

// ReasonTitle is the column, or the member, that stands for the reason beside a picked record.
const ReasonTitle = "reject_reason"

// A Pick says which records are written: those of Reasons, each with its reason, and with All the others, too.
type Pick struct {
	Reasons map[int64]string // by number
	All     bool
}

func (p Pick) of(number int64) (reason string, ok bool) {
	reason, ok = p.Reasons[number]
	return reason, ok || p.All
}

// Picked writes a file anew with some of its records only, as it came: in its own format and encoding, with what stands before its first record and
// behind its last, each record byte for byte, and beside each the reason why it was picked. open opens the file anew each time it is called. It returns
// how many records were written.
//
// The reason is one more column (csv, tsv, xlsx), stands behind the line (fixed), is one more member (json, ndjson) or a comment before the element
// (xml). Where lines are of one length, of several kinds or not text there is no room for it, nor is there in an interchange (edifact), whose UNZ counts the messages that are left.
func Picked(open func() (Blob, func()), o Options, parts []Part, pick Pick, w io.Writer) (int64, error) {
	switch o.Format {
	case "xlsx":
		return pickedRows(open, o, parts, pick, w)
	case "edifact":
		if pick.All {
			return pickedInterchange(open, o, parts, w)
		}
	case "avro", "protobuf": // bytes behind counts and lengths, perhaps packed: a part of them is no file
		return 0, errors.New("single records of a file of format " + o.Format + " cannot be written as a file of their own: --json shows what is wrong with each; mend what writes the file")
	}
	p := &picker{o: o, parts: parts, pick: pick}
	p.o.Limits = o.Limits.WithDefaults()
	if err := p.look(open); err != nil {
		return 0, err
	}
	b, end := open()
	head, _, err := b.Head()
	end()
	if err != nil {
		return 0, err
	}
	out, err := p.encoded(head, w)
	if err != nil {
		return 0, err
	}
	b, end = open()
	defer end()
	return int64(len(p.spans)), p.copy(b, out)
}

// A picker first looks where the picked records stand, and then copies them.
type picker struct {
	o      Options
	parts  []Part
	pick   Pick
	spans  []pickedSpan
	names  []string
	begin  int64 // of the first record, picked or not; -1: there is none
	behind int64 // the end of the last; -1: that of the file
}

// A pickedSpan is where a picked record stands in the text.
type pickedSpan struct {
	from, to int64 // -1: to the end
	reason   string
}

// byLine reports whether records end where the next begin.
func (p *picker) byLine() bool {
	return p.o.Format != "json" && p.o.Format != "xml" && p.o.Format != "edifact"
}

func (p *picker) look(open func() (Blob, func())) error {
	o := p.o
	o.Raw = true
	d, problems := NewParts(o, p.parts)
	if len(problems) > 0 {
		return errors.New(problems[0].String())
	}
	b, end := open()
	defer end()
	p.begin, p.behind = -1, -1
	waiting := false // the last span ends where something else begins
	for rec, err := range d.Decode(b) {
		var bad *RecordError
		number, from, length, body := int64(0), int64(0), 0, true
		switch {
		case errors.As(err, &bad):
			number, from, length = bad.Record, bad.Offset, len(bad.Raw)
		case err != nil:
			return err
		default:
			body = len(p.parts) == 0 || p.parts[rec.Part].Role == Body
			number, from, length = rec.Number, rec.Offset, len(rec.Raw)
			if body && p.names == nil {
				p.names = slices.Clone(rec.Names)
			}
		}
		if !body && (p.begin < 0 || !p.byLine()) {
			continue
		}
		if waiting {
			p.spans[len(p.spans)-1].to, waiting = from, false
		}
		if p.o.Format == "edifact" && p.behind >= 0 && from-p.behind > ediGap {
			return errSeveralInterchanges
		}
		switch {
		case !body: // a trailer: all from here on is behind the records
			if p.behind < 0 {
				p.behind = from
			}
			continue
		case p.begin < 0:
			p.begin = from
		}
		p.behind = -1
		if !p.byLine() {
			p.behind = from + int64(length)
		}
		if reason, ok := p.pick.of(number); ok {
			p.spans = append(p.spans, pickedSpan{from, from + int64(length), reason})
			waiting = p.byLine()
		}
	}
	if waiting {
		p.spans[len(p.spans)-1].to = -1
	}
	return nil
}

// copy writes what was found.
func (p *picker) copy(b Blob, out func([]byte) error) error {
	if p.begin < 0 {
		return nil
	}
	t := &textCopy{w: open(b, p.o, &bench{})}
	head, err := t.take(p.begin)
	if err != nil {
		return err
	}
	if err := out(p.titled(head)); err != nil {
		return err
	}
	for i, s := range p.spans {
		if err := t.skip(s.from); err != nil {
			return err
		}
		text, err := t.take(s.to)
		if err != nil {
			return err
		}
		if err := out(p.reasoned(text, s.reason, i == len(p.spans)-1)); err != nil {
			return err
		}
	}
	if p.behind < 0 {
		return nil
	}
	if err := t.skip(p.behind); err != nil {
		return err
	}
	if p.o.Format == "edifact" {
		return p.closeInterchange(t, out)
	}
	for {
		if err := out(t.w.data()); err != nil {
			return err
		}
		if t.w.start = t.w.end; !t.w.more() {
			return t.w.cause()
		}
	}
}

// encoded returns what writes text in the encoding of the file, once the byte order mark is written if it has one.
func (p *picker) encoded(head []byte, w io.Writer) (func([]byte) error, error) {
	name, _, err := DetectEncoding(p.o, head)
	if err != nil {
		return nil, err
	}
	recode := newRecoder(name, true)
	put := func(text []byte) error {
		text, _ = recode.writable(text)
		_, err := w.Write(recode.recode(text))
		return err
	}
	if bom, _, err := startOf(head); err != nil || bom == 0 || recode.charset.wide == marked {
		return put, err
	}
	return put, put([]byte("\ufeff"))
}

// titled adds the title of the reasons to what stands before the first record.
func (p *picker) titled(head []byte) []byte {
	if p.o.Format != "csv" && p.o.Format != "tsv" || p.o.Titles != nil && *p.o.Titles == 0 || len(p.parts) > 1 {
		return head
	}
	text := bytes.TrimRight(head, "\r\n")
	title := ReasonTitle
	for n := 2; slices.Contains(p.names, title); n++ {
		title = ReasonTitle + "_" + strconv.Itoa(n)
	}
	return append(append(append(slices.Clone(text), p.delimiter()), title...), head[len(text):]...)
}

func (p *picker) delimiter() byte {
	if p.o.Format == "tsv" {
		return '\t'
	}
	d, _ := separators(p.o.Delimiter, p.o.Quote)
	return d
}

// reasoned is a record with its reason.
func (p *picker) reasoned(text []byte, reason string, last bool) []byte {
	body := bytes.TrimRight(text, "\r\n")
	ending := string(text[len(body):])
	reason = strings.Join(strings.Fields(reason), " ")
	switch p.o.Format {
	case "csv", "tsv":
		if len(p.parts) > 1 {
			return text
		}
		return append(append(append(slices.Clone(body), p.delimiter()), p.cell(reason)...), ending...)
	case "fixed":
		if reason == "" || p.o.Length > 0 || p.o.Ends == "none" || len(p.parts) > 1 || !behind(body, p.parts[0].Wants) {
			return text
		}
		return append(slices.Clone(body), "  "+reason+ending...)
	case "ndjson":
		return append(withReason(body, reason), ending...)
	case "json":
		out := withReason(text, reason)
		if !last {
			out = append(out, ",\n"...)
		}
		return out
	case "xml":
		if reason == "" {
			return append(slices.Clone(text), '\n')
		}
		out := append([]byte("<!-- "+strings.ReplaceAll(strings.ReplaceAll(reason, "--", "- -"), "--", "- -")+" -->\n"), text...)
		if !last {
			out = append(out, '\n')
		}
		return out
	}
	return text
}

// cell is a reason as a cell of csv.
func (p *picker) cell(reason string) string {
	if reason == "" {
		return ""
	}
	_, q := separators("", p.o.Quote)
	if q == 0 {
		return strings.ReplaceAll(reason, string(p.delimiter()), " ")
	}
	quote := string(q)
	return quote + strings.ReplaceAll(reason, quote, quote+quote) + quote
}

// withReason adds the reason to a JSON object; anything else, and an object that has one, stays.
func withReason(text []byte, reason string) []byte {
	if reason == "" {
		return slices.Clone(text)
	}
	inner, ok := bytes.CutSuffix(bytes.TrimRight(text, " \t"), []byte("}"))
	if !ok || bytes.Contains(text, []byte(`"`+ReasonTitle+`"`)) {
		return slices.Clone(text)
	}
	out := slices.Clone(bytes.TrimRight(inner, " \t\r\n"))
	if !bytes.HasSuffix(out, []byte("{")) {
		out = append(out, ", "...)
	}
	return append(jsonvalue.AppendString(append(out, `"`+ReasonTitle+`": `...), []byte(reason)), '}')
}

// A textCopy reads a text from its beginning, by offsets.
type textCopy struct{ w *window }

// skip passes the text up to an offset.
func (t *textCopy) skip(to int64) error { return t.until(to, func([]byte) {}) }

// take returns the text up to an offset, -1 for all of it.
func (t *textCopy) take(to int64) (text []byte, err error) {
	err = t.until(to, func(part []byte) { text = append(text, part...) })
	return text, err
}

func (t *textCopy) until(to int64, each func([]byte)) error {
	for {
		n := len(t.w.data())
		if to >= 0 {
			n = int(min(int64(n), to-t.w.offset(0)))
		}
		if n > 0 {
			each(t.w.data()[:n])
			t.w.start += n
		}
		if to >= 0 && t.w.offset(0) >= to {
			return nil
		}
		if !t.w.more() {
			return t.w.cause()
		}
	}
}
