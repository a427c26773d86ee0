package jobs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"waybill/formats"
	"waybill/formats/unpack"
	"waybill/ledger"
)

// headMost is how much of a file is judged at the door, packed or unpacked.
const headMost = 64 << 10

// Admit turns away a file that plainly is not what the jobs that take its name read (watcher.Admitter): every one of them would reject
// it whole, and its first bytes show that already. head is the beginning of the file, or all of it. What it lets pass may still be rejected.
//
// It judges with the very decoders that read the file later, so that the two never disagree, up to the first record, and the text
// of all of head by its encoding. Single records are not looked at: a report that names them all tells the sender more.
func (s *Set) Admit(_ context.Context, a ledger.Arrival, head []byte) error {
	var reasons []string
	for _, p := range s.Plans {
		if !p.Takes(a.Source, a.Within()) {
			continue
		}
		reason := p.refuses(a.Size, head)
		if reason == "" {
			return nil
		}
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return errors.New(strings.Join(reasons, "; or "))
}

// refuses says in words for the sender why the job would reject a file that begins so, "" when it may be good.
func (p *Plan) refuses(size int64, head []byte) (reason string) {
	var blank ledger.Blankness
	blank.Look(head)
	if blank.Blank() || p.reader.decoder == nil && !p.unpacker.Archive() { // of files with nothing in them identity.empty says what becomes
		return ""
	}
	if p.converter != nil && !p.unpacker.Archive() { // its program alone can tell
		return ""
	}
	defer func() {
		if recover() != nil { // the worker finds the same, and holds the file until a person has looked at it
			reason = ""
		}
	}()
	if p.unpacker.Archive() {
		for _, err := range p.unpacker.Members(beginning(head, size, false), unpack.Staging{}) {
			return p.words(err) // of all that can be seen before the first file is read
		}
		return ""
	}
	b, err := p.head(head[:min(len(head), headMost)], size)
	if err != nil {
		return p.words(err)
	}
	for rec, err := range p.reader.decoder.Decode(b) {
		if err == nil && rec.Part >= p.reader.kinds {
			continue // a header
		}
		return p.words(p.atFirst(err)) // of the first record, or instead of it
	}
	return ""
}

// atFirst is err as far as the file cannot be good with it.
func (p *Plan) atFirst(err error) error {
	var bad *formats.RecordError
	if !errors.As(err, &bad) {
		return err
	}
	allowed := p.options.Check.AllowRejects
	if p.options.Read.Format != "ndjson" || allowed.Count > 0 || allowed.Share > 0 || strings.HasPrefix(strings.TrimLeft(bad.Value, " \t"), "{") {
		return nil
	}
	return &formats.FileError{Line: bad.Line, Offset: bad.Offset, Reason: bad.Reason}
}

// head makes the blob that is judged of the beginning of a file of so many bytes, once the text of it is known to be good.
func (p *Plan) head(text []byte, size int64) (formats.Blob, error) {
	packed := p.unpacker.Packed()
	if packed {
		var err error
		if text, size, err = p.unpackHead(text, size); err != nil {
			return formats.Blob{}, err
		}
	}
	if p.options.Read.Format == "xlsx" {
		if bytes.HasPrefix(text, []byte("PK")) && len(text) > workbookHead { // what it holds is no matter of a few bytes
			text, size = text[:workbookHead], max(size, headMost)
		}
		return beginning(text, size, packed), nil
	}
	if noText(p.options.Read.Format) {
		return beginning(text, size, packed), nil
	}
	first, err := formats.CheckText(beginning(text, size, packed), p.options.Read.Options)
	switch {
	case err != nil && !errors.Is(err, errCut):
		return formats.Blob{}, err
	case p.options.Read.Format == "xml" && first != '<' && first != 0: // else it may end before there is one
		return formats.Blob{}, &formats.FileError{Line: 1, Reason: fmt.Sprintf("the text begins with %q, not with <", first)}
	}
	return beginning(text, size, packed), nil
}

// noText tells whether a format brings its own layout of bytes, whose texts are UTF-8.
func noText(format string) bool { return format == "protobuf" || format == "avro" }

// workbookHead is as much of a workbook as tells it from what is none.
const workbookHead = 512

// unpackHead unpacks as much as is judged, and returns how much there is in all, -1 when that is not known.
func (p *Plan) unpackHead(head []byte, size int64) ([]byte, int64, error) {
	inner, end := p.Unpack(beginning(head, size, false), unpack.Staging{})
	defer end()
	text := make([]byte, headMost)
	n, err := io.ReadFull(inner.Reader, text)
	var bad *formats.FileError
	switch {
	case errors.As(err, &bad): // also one of a file that is cut off
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return text[:n], int64(n), nil
	case err == nil, errors.Is(err, errCut):
		return text[:n], -1, nil
	}
	return nil, 0, err
}

// words tells the sender what is wrong with the file, and what would be right; "" when err says nothing about the file.
func (p *Plan) words(err error) string {
	var bad *formats.FileError
	if !errors.As(err, &bad) || bad.Incomplete { // what is incomplete is held, not turned away
		return ""
	}
	reason := bad.Error()
	for _, hint := range []string{": add ", ": say ", "; say ", ": leave ", ": set ", "; if the file ", "; is the file "} {
		reason, _, _ = strings.Cut(reason, hint) // it is meant for whoever configures the job
	}
	return fmt.Sprintf("%s; expected is %s", reason, p.expected())
}

// expected says what the job reads.
func (p *Plan) expected() string {
	o, packed := p.options.Read, ""
	for i, kind := range p.options.Unpack {
		switch kind {
		case "zip", "tar":
			return fmt.Sprintf("a %s archive%s", kind, packed)
		case "pgp", "age":
			packed = ", encrypted with " + p.options.Unpack[i] + packed
		default:
			packed = ", compressed with " + kind + packed
		}
	}
	expected := strings.ToUpper(o.Format)
	if o.Format == "fixed" {
		expected = "text of fixed width"
	}
	switch o.Format {
	case "protobuf":
		expected = "Protobuf, each message behind its length"
	case "avro":
		expected = "an Avro container file"
	}
	declares := noText(o.Format) || o.Format == "xml" || o.Format == "edifact" // by itself what it is in
	if o.Format != "xlsx" && (!declares || o.Encoding != "") {
		expected += " in " + cmp.Or(o.Encoding, formats.UTF8)
	}
	return expected + packed
}

// errCut ends what is known of a file: it goes on, and how is not to be seen.
var errCut = errors.New("the rest is not looked at")

// A peeked is the beginning of a file. It ends with errCut unless it is all of it.
type peeked struct {
	r   *bytes.Reader
	cut bool
}

// beginning makes a blob of the beginning of a file of so many bytes, -1 when that is not known.
func beginning(head []byte, size int64, unpacked bool) formats.Blob {
	p := &peeked{r: bytes.NewReader(head), cut: size != int64(len(head))}
	return formats.Blob{Reader: p, ReaderAt: p, Size: size, Unpacked: unpacked}
}

func (p *peeked) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	return n, p.end(err)
}

// ReadAt does not touch what Read is about to give.
func (p *peeked) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.r.ReadAt(b, off)
	return n, p.end(err)
}

func (p *peeked) end(err error) error {
	if p.cut && errors.Is(err, io.EOF) {
		return errCut
	}
	return err
}
