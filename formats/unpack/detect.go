package unpack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"waybill/formats"
)

// Detect looks at the first 64 KiB of a file, unpacked if need be. An error is that of reading, or a file that can never be read.
func Detect(b formats.Blob) (formats.Finding, error) {
	var f formats.Finding
	if b.Reader == nil && b.ReaderAt != nil {
		b.Reader = io.NewSectionReader(b.ReaderAt, 0, math.MaxInt64)
	}
	found := func(key, format string, args ...any) {
		f.Evidence = append(f.Evidence, formats.Evidence{Key: key, Text: fmt.Sprintf(format, args...)})
	}
	for {
		head, all, err := b.Head()
		if err != nil {
			return f, err
		}
		packed := formats.PackedAs(head)
		if packed == "" || len(f.Unpack) == maxArchiveDepth {
			inner, err := formats.Detect(head, all)
			inner.Unpack, inner.Evidence = f.Unpack, append(f.Evidence, inner.Evidence...)
			return inner, err
		}
		if packed == "pgp" || packed == "age" {
			found("format", "the file is encrypted with %s: what is inside cannot be seen without its key", packed)
			return f, nil
		}
		found("unpack", "the bytes start as those of %s do", packed)
		f.Unpack = append(f.Unpack, packed)
		b.Reader = io.MultiReader(bytes.NewReader(head), b.Reader)
		if b, err = first(b, packed); err != nil {
			return f, err
		}
	}
}

// first is the beginning of the first file in a packing.
func first(b formats.Blob, kind string) (formats.Blob, error) {
	u, problems := New([]string{kind}, formats.Limits{}, Keys{})
	if len(problems) > 0 {
		return formats.Blob{}, errors.New(problems[0].String())
	}
	beginning := func(file formats.Blob, err error) (formats.Blob, error) { // which is valid for now only
		if err != nil {
			return formats.Blob{}, err
		}
		head, _, err := file.Head()
		return formats.Blob{Name: file.Name, Reader: bytes.NewReader(head), Size: -1, Unpacked: true}, err
	}
	if !u.Archive() {
		file, end, err := u.Open(b, Staging{})
		defer end()
		return beginning(file, err)
	}
	for file, err := range u.Members(b, Staging{}) {
		return beginning(file, err)
	}
	return formats.Blob{}, nil
}
