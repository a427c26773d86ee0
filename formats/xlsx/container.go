package xlsx

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"waybill/formats/fault"
	"waybill/formats/zipfile"
)

// A container is the zip file that a workbook is. Nothing in it is read but the parts that are needed.
type container struct {
	at     *zipfile.Archive
	parts  map[string]*zip.File
	limits Limits
}

// openContainer looks at the directory of a zip file and refuses what is hostile about it.
func openContainer(r io.ReaderAt, size int64, l Limits) (*container, error) {
	c := &container{at: zipfile.New(r), parts: map[string]*zip.File{}, limits: l}
	if err := c.directory(size); err != nil {
		return nil, err
	}
	c.at.Looked()
	return c, nil
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
	files, err := c.at.Directory(size)
	if err != nil {
		return c.broken("the file", err)
	}
	if len(files) > zipfile.MaxEntries {
		return tooManyEntries()
	}
	folded := map[string]bool{}
	for _, f := range files {
		name := strings.ReplaceAll(f.Name, `\`, "/")
		fold := strings.ToLower(name)
		switch {
		case f.Flags&1 != 0:
			return refused(fmt.Sprintf("the entry %q is encrypted: only files without a password are read", fault.Cut([]byte(f.Name))))
		case path.IsAbs(name) || strings.Contains(name, "../") || strings.ContainsAny(name, ":\x00"):
			return refused(fmt.Sprintf("the entry %q has a name that leads out of the file", fault.Cut([]byte(f.Name))))
		case folded[fold]:
			return refused(fmt.Sprintf("two entries bear the name %q", fault.Cut([]byte(f.Name))))
		}
		folded[fold] = true
		c.parts[name] = f
	}
	if err := zipfile.Apart(files, size); err != nil {
		return c.broken("the file", err)
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

func refused(reason string) *fault.FileError { return &fault.FileError{Offset: 0, Reason: reason} }

func tooManyEntries() *fault.FileError {
	return refused(fmt.Sprintf("the zip file has more than %d entries", zipfile.MaxEntries))
}

// broken says in words what is wrong with the packed bytes; trouble in reading them stays what it is.
func (c *container) broken(what string, err error) error {
	var file *fault.FileError
	switch {
	case errors.As(err, &file):
		return err
	case errors.Is(err, zipfile.ErrMuch):
		return tooManyEntries()
	}
	reason, trouble := c.at.Reason(what, err, zipfile.Words{Method: "workbooks are not", Other: " is damaged, or no xlsx workbook"})
	if trouble != nil {
		return fmt.Errorf("read %s: %w", what, trouble)
	}
	return &fault.FileError{Offset: 0, Reason: reason, Err: err}
}

// open starts reading a part, of which at most so many bytes may come out.
func (c *container) open(name string, most fault.Bytes, limit string) (*partReader, error) {
	f := c.parts[name]
	if f == nil {
		return nil, refused(fmt.Sprintf("the workbook has no part %s", fault.Cut([]byte(name))))
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

func largePart(name string, most fault.Bytes, limit string) error {
	return &fault.FileError{Offset: 0, Limit: limit, Reason: fmt.Sprintf("%s unpacks to more than %s, %s", fault.Cut([]byte(name)), limit, most)}
}

// A partReader unpacks one part within its limits. The checksum is looked at when its end is reached.
type partReader struct {
	c     *container
	r     io.ReadCloser
	file  *zip.File
	name  string
	out   int64
	most  fault.Bytes
	limit string
}

func (p *partReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.out += int64(n)
	switch packed := int64(p.file.CompressedSize64); {
	case p.out > int64(p.most):
		return 0, largePart(p.name, p.most, p.limit)
	case p.out > fault.RatioFrom && p.out/int64(p.c.limits.MaxRatio) > packed:
		return 0, &fault.FileError{Offset: 0, Limit: "max_ratio",
			Reason: fmt.Sprintf("%s unpacks to more than %d times its size (max_ratio)", fault.Cut([]byte(p.name)), p.c.limits.MaxRatio)}
	case err != nil && !errors.Is(err, io.EOF):
		err = p.c.broken(fault.Cut([]byte(p.name)), err)
	}
	return n, err
}

func (p *partReader) close() { _ = p.r.Close() } // of a decompressor: there is nothing to say
