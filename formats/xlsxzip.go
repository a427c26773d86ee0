package formats

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
)

const (
	zipEntries   = 1000
	zipDirectory = 4 << 20 // bytes read to know what is inside
	spillFrom    = 1 << 20 // a file that only streams is kept in memory up to here, beyond in a temporary file
)

// A container is the zip file that a workbook is. Nothing in it is read but the parts that are needed.
type container struct {
	at     *meteredAt
	parts  map[string]*zip.File
	limits Limits
	drop   func()
}

// A meteredAt counts what is read of a file, and keeps the error that is the file's and not of what is in it.
type meteredAt struct {
	r    io.ReaderAt
	left atomic.Int64
	err  error
}

var errMuch = errors.New("more was read than should be needed")

func (m *meteredAt) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case m.left.Add(-int64(len(p))) < 0:
		return 0, errMuch
	case off < 0: // as a damaged directory says
		return 0, io.ErrUnexpectedEOF
	}
	n, err := m.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

// openContainer looks at the directory of a zip file and refuses what is hostile about it.
func openContainer(b Blob, l Limits) (*container, error) {
	r, size, drop, err := randomAccess(b, l, nil)
	if err != nil {
		return nil, err
	}
	c := &container{at: &meteredAt{r: r}, parts: map[string]*zip.File{}, limits: l, drop: drop}
	c.at.left.Store(zipDirectory)
	if err := c.directory(size); err != nil {
		drop()
		return nil, err
	}
	c.at.left.Store(1 << 62)
	return c, nil
}

// randomAccess makes a file that only streams one that can be read at any place.
func randomAccess(b Blob, l Limits, temp func() (*os.File, error)) (io.ReaderAt, int64, func(), error) {
	none := func() {}
	if b.ReaderAt != nil && b.Size >= 0 {
		if !b.Unpacked && b.Size > int64(l.MaxFile) {
			return nil, 0, none, tooLarge(l.MaxFile)
		}
		return b.ReaderAt, b.Size, none, nil
	}
	from := b.Reader
	if from == nil {
		from = bytes.NewReader(nil)
	}
	if !b.Unpacked {
		from = &capped{r: from, most: l.MaxFile}
	}
	var head bytes.Buffer
	n, err := io.CopyN(&head, from, spillFrom)
	switch {
	case errors.Is(err, io.EOF):
		return bytes.NewReader(head.Bytes()), n, none, nil
	case err != nil:
		return nil, 0, none, streamError(err, n)
	}
	if temp == nil {
		temp = unnamed
	}
	f, err := temp()
	if err != nil {
		return nil, 0, none, fmt.Errorf("read a zip file that only streams: %w: a temporary file is needed for it", err)
	}
	drop := func() { _ = f.Close() } // what was written there is of no use any more
	if n, err = io.Copy(f, io.MultiReader(&head, from)); err != nil {
		drop()
		return nil, 0, none, streamError(err, n)
	}
	return f, n, drop, nil
}

// unnamed is a temporary file that goes when it is closed, or the process ends.
func unnamed() (*os.File, error) {
	f, err := os.CreateTemp("", "waybill-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func streamError(err error, n int64) error {
	var f *FileError
	if errors.As(err, &f) {
		return err
	}
	return fmt.Errorf("read at offset %d: %w", n, err)
}

func (c *container) directory(size int64) error {
	head := make([]byte, 8)
	n, err := c.at.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read at offset 0: %w", err)
	}
	switch head = head[:n]; {
	case n == 0:
		return refused("the file is empty, not an xlsx workbook")
	case string(head) == "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
		return c.compound()
	case !bytes.HasPrefix(head, []byte("PK")):
		return refused("the file is not an xlsx workbook: it is no zip file")
	}
	if err := saneCount(c.at, size); err != nil {
		return c.broken("the file", err)
	}
	z, err := zip.NewReader(c.at, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return c.broken("the file", err)
	}
	if len(z.File) > zipEntries {
		return tooManyEntries()
	}
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser { return flate.NewReader(r) })
	folded := map[string]bool{}
	for _, f := range z.File {
		name := strings.ReplaceAll(f.Name, `\`, "/")
		fold := strings.ToLower(name)
		switch {
		case f.Flags&1 != 0:
			return refused(fmt.Sprintf("the entry %q is encrypted: only files without a password are read", cut([]byte(f.Name))))
		case path.IsAbs(name) || strings.Contains(name, "../") || strings.ContainsAny(name, ":\x00"):
			return refused(fmt.Sprintf("the entry %q has a name that leads out of the file", cut([]byte(f.Name))))
		case folded[fold]:
			return refused(fmt.Sprintf("two entries bear the name %q", cut([]byte(f.Name))))
		}
		folded[fold] = true
		c.parts[name] = f
	}
	if err := overlapping(z.File, size); err != nil {
		return c.broken("the file", err)
	}
	return nil
}

// overlapping refuses entries whose bytes are those of another one too, as bombs have them.
func overlapping(files []*zip.File, size int64) error {
	type span struct{ from, to int64 }
	var spans []span
	for _, f := range files {
		from, err := f.DataOffset()
		if err != nil {
			return err
		}
		length := f.CompressedSize64
		if from < 0 || length > uint64(size) || from > size-int64(length) {
			return refused(fmt.Sprintf("the entry %q is said to reach beyond the end of the file", cut([]byte(f.Name))))
		}
		spans = append(spans, span{from, from + int64(length)})
	}
	slices.SortFunc(spans, func(a, b span) int { return int(min(1, max(-1, a.from-b.from))) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return refused("entries of the zip file overlap")
		}
	}
	return nil
}

// compound tells what a file in Microsoft's older container is: a workbook with a password, or one of Excel 97 to 2003.
func (c *container) compound() error {
	header := make([]byte, 52)
	if _, err := c.at.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read at offset 0: %w", err)
	}
	folder := make([]byte, 16<<10)
	sector := int64(header[48]) | int64(header[49])<<8 | int64(header[50])<<16 | int64(header[51])<<24
	n, err := c.at.ReadAt(folder, (sector+1)<<min(header[30], 12))
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the folder of a compound file: %w", err)
	}
	if bytes.Contains(folder[:n], []byte("E\x00n\x00c\x00r\x00y\x00p\x00t")) {
		return refused("the workbook is encrypted: only files without a password are read")
	}
	return refused("the file is a workbook of Excel 97 to 2003 (.xls), or encrypted: save it as .xlsx, without a password")
}

func refused(reason string) *FileError { return &FileError{Offset: 0, Reason: reason} }

func tooManyEntries() *FileError {
	return refused(fmt.Sprintf("the zip file has more than %d entries", zipEntries))
}

// broken says in words what is wrong with the packed bytes; trouble in reading them stays what it is.
func (c *container) broken(what string, err error) error {
	var file *FileError
	switch {
	case errors.As(err, &file):
		return err
	case errors.Is(err, errMuch):
		return tooManyEntries()
	case c.at.err != nil:
		return fmt.Errorf("read %s: %w", what, c.at.err)
	case errors.Is(err, zip.ErrAlgorithm):
		return &FileError{Offset: 0, Reason: what + " is packed in a way that workbooks are not", Err: err}
	case errors.Is(err, zip.ErrChecksum):
		return &FileError{Offset: 0, Reason: what + " is damaged: its checksum does not agree", Err: err}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &FileError{Offset: 0, Reason: what + " is damaged: it is cut off", Err: err}
	}
	return &FileError{Offset: 0, Reason: what + " is damaged, or no xlsx workbook", Err: err}
}

// open starts reading a part, of which at most so many bytes may come out.
func (c *container) open(name string, most Bytes, limit string) (*partReader, error) {
	f := c.parts[name]
	if f == nil {
		return nil, refused(fmt.Sprintf("the workbook has no part %s", cut([]byte(name))))
	}
	if f.UncompressedSize64 > uint64(most) {
		return nil, largePart(name, most, limit)
	}
	r, err := f.Open()
	if err != nil {
		return nil, c.broken(name, err)
	}
	return &partReader{c: c, r: r, file: f, name: name, most: most, limit: limit}, nil
}

func largePart(name string, most Bytes, limit string) error {
	return &FileError{Offset: 0, Limit: limit, Reason: fmt.Sprintf("%s unpacks to more than %s, %s", cut([]byte(name)), limit, most)}
}

// A partReader unpacks one part within its limits. The checksum is looked at when its end is reached.
type partReader struct {
	c     *container
	r     io.ReadCloser
	file  *zip.File
	name  string
	out   int64
	most  Bytes
	limit string
}

func (p *partReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.out += int64(n)
	switch packed := int64(p.file.CompressedSize64); {
	case p.out > int64(p.most):
		return 0, largePart(p.name, p.most, p.limit)
	case p.out > ratioFrom && p.out/int64(p.c.limits.MaxRatio) > packed:
		return 0, &FileError{Offset: 0, Limit: "max_ratio",
			Reason: fmt.Sprintf("%s unpacks to more than %d times its size (max_ratio)", cut([]byte(p.name)), p.c.limits.MaxRatio)}
	case err != nil && !errors.Is(err, io.EOF):
		err = p.c.broken(cut([]byte(p.name)), err)
	}
	return n, err
}

func (p *partReader) close() { _ = p.r.Close() } // of a decompressor: there is nothing to say
