package zipfile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// archive makes a zip file of files that are stored, each with its name as text.
func archive(t testing.TB, headers ...zip.FileHeader) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, h := range headers {
		h.CRC32, h.CompressedSize64, h.UncompressedSize64 = crc32.ChecksumIEEE([]byte(h.Name)), uint64(len(h.Name)), uint64(len(h.Name))
		w, err := z.CreateRaw(&h)
		if err == nil {
			_, err = io.WriteString(w, h.Name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// looked looks at a file as a whole.
func looked(data []byte) (*Archive, []*zip.File, error) {
	a := New(bytes.NewReader(data))
	files, err := a.Directory(int64(len(data)))
	if err == nil {
		err = Apart(files, int64(len(data)))
	}
	if err == nil {
		err = a.Agree(files)
	}
	a.Looked()
	return a, files, err
}

// Python's zipfile and 7-Zip read these without a word.
func TestWhereNamesAreSaidToBeInUTF8DoesNotMatter(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"header", "directory"} {
		data := archive(t, zip.FileHeader{Name: "commandé.csv"})
		if place == "header" {
			data[7] &^= 8
		} else {
			data[bytes.Index(data, []byte("PK\x01\x02"))+9] &^= 8
		}
		if _, files, err := looked(data); err != nil || files[0].Name != "commandé.csv" {
			t.Errorf("not in the %s: %v", place, err)
		}
	}
}

// The flag says that checksum and sizes stand behind the bytes: some set it where they do not, or leave it in the directory only.
func TestDescriptorsNeedNotBeThere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ header, directory byte }{"both": {8, 8}, "header": {8, 0}, "directory": {0, 8}} {
		data := archive(t, zip.FileHeader{Name: "a.csv"})
		at := bytes.Index(data, []byte("PK\x01\x02"))
		data[6], data[at+8] = c.header, c.directory
		if text, err := first(data); text != "a.csv" || err != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		data[30+len("a.csv")] ^= 1
		if _, err := first(data); !errors.Is(err, zip.ErrChecksum) {
			t.Errorf("%s: damaged: %v", name, err)
		}
	}
}

// first reads the first file of an archive.
func first(data []byte) (string, error) {
	_, files, err := looked(data)
	if err != nil {
		return "", err
	}
	r, err := files[0].Open()
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

func TestSizesOfHeadersMayStandInTheirExtraField(t *testing.T) {
	t.Parallel()
	extra := binary.LittleEndian.AppendUint16([]byte("zz\x02\x00ab\x01\x00"), 16)
	sizes := len(extra)
	extra = binary.LittleEndian.AppendUint64(extra, 5)
	extra = binary.LittleEndian.AppendUint64(extra, 5)
	data := archive(t, zip.FileHeader{Name: "a.csv", Extra: extra})
	for i := 18; i < 26; i++ {
		data[i] = 0xff
	}
	if _, _, err := looked(data); err != nil {
		t.Error(err)
	}
	data[30+len("a.csv")+sizes]++
	if _, _, err := looked(data); err == nil || !strings.Contains(err.Error(), "its size is 6, not 5") {
		t.Errorf("another size: %v", err)
	}
}

func TestLookingIsBounded(t *testing.T) {
	t.Parallel()
	headers := make([]zip.FileHeader, 6_000)
	for i := range headers {
		headers[i].Name = fmt.Sprintf("%0700d", i)
	}
	if _, _, err := looked(archive(t, headers...)); !errors.Is(err, ErrMuch) {
		t.Errorf("a directory of 4 MiB: %v", err)
	}
	a, files, err := looked(archive(t, headers[:1000]...))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(r); string(text) != f.Name || err != nil {
			t.Fatalf("%q, %v: %s", text, err, fmt.Sprint(a.Reason("x", err, Words{})))
		}
	}
}

func TestTroubleInReadingIsNoReason(t *testing.T) {
	t.Parallel()
	gone := errors.New("the disk is gone")
	a := New(readerAt{iotest.ErrReader(gone)})
	_, err := a.Directory(1000)
	if reason, trouble := a.Reason("the archive", err, Words{}); reason != "" || !errors.Is(trouble, gone) {
		t.Errorf("%q, %v", reason, trouble)
	}
}

type readerAt struct{ r io.Reader }

func (r readerAt) ReadAt(p []byte, _ int64) (int, error) { return r.r.Read(p) }

// FuzzLook sees that looking ends, whatever the file, and that what was looked at is the same where it stands.
func FuzzLook(f *testing.F) {
	f.Add(archive(f, zip.FileHeader{Name: "a.csv"}, zip.FileHeader{Name: "b/é.csv"}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, files, err := looked(data)
		if err != nil {
			return
		}
		for _, file := range files {
			from, err := file.DataOffset()
			if err != nil || from < int64(len(file.Name)) || !bytes.Contains(data[:from], []byte(file.Name)) {
				t.Fatalf("%q does not stand before %d: %v", file.Name, from, err)
			}
		}
	})
}
