package formats

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

// ediGap is how much white space stands between two messages at most.
const ediGap = 4

var errSeveralInterchanges = errors.New("its messages stand in several interchanges or groups, or among others that no record is made of, so that single ones cannot be written as a file of their own: " +
	"--json shows what is wrong with each; mend what writes the file")

// pickedInterchange writes a file of EDIFACT as it came, and tells how many messages it has.
func pickedInterchange(open func() (Blob, func()), o Options, parts []Part, w io.Writer) (n int64, err error) {
	d, problems := NewParts(o, parts)
	if len(problems) > 0 {
		return 0, errors.New(problems[0].String())
	}
	b, end := open()
	defer end()
	for _, err := range d.Decode(b) {
		var bad *RecordError
		if err != nil && !errors.As(err, &bad) {
			return 0, err
		}
		n++
	}
	b, end = open()
	defer end()
	_, err = io.Copy(w, b.Reader)
	return n, err
}

// closeInterchange writes what stands behind the last message: UNZ, with the number of those that were written.
func (p *picker) closeInterchange(t *textCopy, out func([]byte) error) error {
	text, err := t.take(-1)
	if err != nil {
		return err
	}
	at := bytes.Index(text, []byte("UNZ"))
	if at < 0 || len(bytes.TrimSpace(text[:at])) > 0 || len(text) < at+5 {
		return errSeveralInterchanges
	}
	from := at + len("UNZ") + 1 // behind the separator of elements, whichever it is
	to := from
	for to < len(text) && text[to] >= '0' && text[to] <= '9' {
		to++
	}
	text = append(strconv.AppendInt(bytes.Clone(text[:from]), int64(len(p.spans)), 10), text[to:]...)
	return out(text)
}
