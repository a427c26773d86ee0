package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"waybill/formats"
	"waybill/formats/formatstest"
)

// zipWith makes an archive; each of make adds to it.
func zipWith(t testing.TB, make ...func(z *zip.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range make {
		if err := m(z); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name string, text []byte) func(z *zip.Writer) error {
	return func(z *zip.Writer) error {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	}
}

// stored adds a file as it is, its sizes in its header.
func stored(name, text string) func(z *zip.Writer) error {
	return raw(zip.FileHeader{Name: name, Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(text)), CompressedSize64: uint64(len(text)), UncompressedSize64: uint64(len(text))}, []byte(text))
}

func raw(h zip.FileHeader, data []byte) func(z *zip.Writer) error {
	return func(z *zip.Writer) error {
		w, err := z.CreateRaw(&h)
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	}
}

// tarWith makes an archive of headers and texts.
func tarWith(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// takenApart reads all members and returns their names with what they hold.
func takenApart(data []byte, kinds []string, l formats.Limits) (list []string, err error) {
	for b, err := range Unpack(formats.Blob{Name: "x", Reader: bytes.NewReader(data), ReaderAt: bytes.NewReader(data), Size: int64(len(data))}, kinds, l) {
		if err != nil {
			return list, err
		}
		text, err := io.ReadAll(b.Reader)
		if err != nil {
			return list, err
		}
		list = append(list, fmt.Sprintf("%s=%.10q", b.Name, text))
	}
	return list, nil
}

// As of `dump | zip dump.zip -`, and of the same within a program whose pipes are sockets.
func TestWhatWasPackedFromAPipeIsAFile(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]fs.FileMode{"pipe": fs.ModeNamedPipe, "socket": fs.ModeSocket} {
		h := zip.FileHeader{Name: "-", CRC32: crc32.ChecksumIEEE([]byte("a,b\n")), CompressedSize64: 4, UncompressedSize64: 4}
		h.SetMode(mode | 0o600)
		got, err := takenApart(zipWith(t, raw(h, []byte("a,b\n"))), []string{"zip"}, formats.Limits{})
		if err != nil || len(got) != 1 || got[0] != `-="a,b\n"` {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// Hostile inputs 2 to 7.
func TestHostileArchivesAreRefused(t *testing.T) {
	t.Parallel()
	many := make([]func(*zip.Writer) error, 1001)
	tarMany := make([]tar.Header, 1001)
	for i := range many {
		many[i] = file(fmt.Sprint(i), nil)
		tarMany[i] = tar.Header{Name: fmt.Sprint(i), Typeflag: tar.TypeReg}
	}
	link := zip.FileHeader{Name: "l"}
	link.SetMode(os.ModeSymlink | 0o777)
	device := zip.FileHeader{Name: "d"}
	device.SetMode(os.ModeDevice | 0o666)
	good := zipWith(t, file("a.csv", []byte("a,b\n1,2\n")))
	sum := crc32.ChecksumIEEE([]byte("12345678"))
	for name, c := range map[string]struct {
		kind string
		data []byte
		want string
	}{
		"4 slip":            {"zip", zipWith(t, file("../../x", nil)), `the entry "../../x" has a name that leads out`},
		"4 inside":          {"zip", zipWith(t, file("a/../../x", nil)), "leads out"},
		"4 absolute":        {"zip", zipWith(t, file("/etc/passwd", nil)), "leads out"},
		"4 drive":           {"zip", zipWith(t, file("C:x", nil)), "leads out"},
		"4 backslash":       {"zip", zipWith(t, file(`..\x`, nil)), "leads out"},
		"4 unc":             {"zip", zipWith(t, file(`\\host\x`, nil)), "leads out"},
		"4 NUL":             {"zip", zipWith(t, file("a\x00b", nil)), "leads out"},
		"4 dot":             {"zip", zipWith(t, file(".", nil)), "leads out"},
		"4 nothing":         {"zip", zipWith(t, file("", nil)), "leads out"},
		"4 folder":          {"zip", zipWith(t, file("../", nil)), "leads out"},
		"4 long":            {"zip", zipWith(t, file(strings.Repeat("x", 1025), nil)), "more than 1024 bytes"},
		"4 link":            {"zip", zipWith(t, raw(link, []byte("/etc"))), "no ordinary file"},
		"4 device":          {"zip", zipWith(t, raw(device, nil)), "no ordinary file"},
		"5 shorter":         {"zip", zipWith(t, raw(zip.FileHeader{Name: "a", CRC32: sum, CompressedSize64: 8, UncompressedSize64: 4}, []byte("12345678"))), "a is not as long as it is said to be"},
		"5 longer":          {"zip", zipWith(t, raw(zip.FileHeader{Name: "a", CRC32: sum, CompressedSize64: 8, UncompressedSize64: 100}, []byte("12345678"))), "shorter than it is said to be"},
		"5 huge":            {"zip", zipWith(t, raw(zip.FileHeader{Name: "a", CRC32: sum, CompressedSize64: 8, UncompressedSize64: 1 << 60}, []byte("12345678"))), "max_unpacked"},
		"5 packed beyond":   {"zip", zipWith(t, raw(zip.FileHeader{Name: "a", CRC32: sum, CompressedSize64: 1 << 40, UncompressedSize64: 8}, []byte("12345678"))), "reach beyond the end"},
		"6 twice":           {"zip", zipWith(t, file("a", nil), file("a", nil)), `two entries bear the name "a"`},
		"6 twins":           {"zip", zipWith(t, file("Straße.csv", nil), file("STRASSE.csv", nil), file("É.csv", nil), file("é.csv", nil)), "two entries bear the name"},
		"6 one path":        {"zip", zipWith(t, file("a/b", nil), file("a//b", nil)), "two entries"},
		"7 encrypted":       {"zip", zipWith(t, raw(zip.FileHeader{Name: "a", Flags: 1, CompressedSize64: 12}, make([]byte, 12))), "is encrypted: archives with a password are not read"},
		"7 AES":             {"zip", zipWith(t, raw(zip.FileHeader{Name: "a", Method: 99, CompressedSize64: 12}, make([]byte, 12))), "is encrypted"},
		"many":              {"zip", zipWith(t, many...), "more than 1000 entries"},
		"method":            {"zip", zipWith(t, raw(zip.FileHeader{Name: "a", Method: 12, CompressedSize64: 8}, make([]byte, 8))), "store or deflate it"},
		"checksum":          {"zip", zipWith(t, raw(zip.FileHeader{Name: "a", CRC32: sum + 1, CompressedSize64: 8, UncompressedSize64: 8}, []byte("12345678"))), "its checksum does not agree"},
		"cut off":           {"zip", good[:len(good)-10], "damaged or cut off"},
		"nothing":           {"zip", nil, "the file is empty"},
		"no zip":            {"zip", []byte("a,b\n1,2\n"), "not a zip archive"},
		"3 overlap":         {"zip", overlapped(t), "entries of the zip file overlap"},
		"tar slip":          {"tar", tarWith(t, tar.Header{Name: "../x", Typeflag: tar.TypeReg}), "leads out"},
		"tar absolute":      {"tar", tarWith(t, tar.Header{Name: "/x", Typeflag: tar.TypeReg}), "leads out"},
		"tar link":          {"tar", tarWith(t, tar.Header{Name: "x", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}), "no ordinary file"},
		"tar hard link":     {"tar", tarWith(t, tar.Header{Name: "a", Typeflag: tar.TypeReg}, tar.Header{Name: "x", Linkname: "a", Typeflag: tar.TypeLink}), "no ordinary file"},
		"tar fifo":          {"tar", tarWith(t, tar.Header{Name: "x", Typeflag: tar.TypeFifo}), "no ordinary file"},
		"tar twins":         {"tar", tarWith(t, tar.Header{Name: "a", Typeflag: tar.TypeReg}, tar.Header{Name: "A", Typeflag: tar.TypeReg}), "two entries bear the name"},
		"tar many":          {"tar", tarWith(t, tarMany...), "more than 1000 entries"},
		"tar cut in file":   {"tar", tarWith(t, tar.Header{Name: "a", Size: 5000, Typeflag: tar.TypeReg})[:2000], "offset 2000: tar: truncated"},
		"tar cut after it":  {"tar", tarWith(t, tar.Header{Name: "a", Size: 5120, Typeflag: tar.TypeReg})[:5632], "truncated: the archive has no end"},
		"tar cut in header": {"tar", tarWith(t, tar.Header{Name: "a", Typeflag: tar.TypeReg})[:700], "truncated"},
		"tar and junk":      {"tar", append(tarWith(t, tar.Header{Name: "a", Typeflag: tar.TypeReg}), 'x'), "bytes after the end"},
		"no tar":            {"tar", bytes.Repeat([]byte("a,b\n"), 1000), "not a tar archive"},
		"empty tar":         {"tar", nil, "the file is empty"},
	} {
		got, err := takenApart(c.data, []string{c.kind}, formats.Limits{})
		var f *formats.FileError
		if !errors.As(err, &f) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %q", name, got, err, c.want)
		}
	}
}

// overlapped is an archive in the manner of David Fifield: its entries share one run of packed bytes.
func overlapped(t *testing.T) []byte {
	data := zipWith(t, file("a", bytes.Repeat([]byte("x"), 100_000)), file("b", nil))
	// The second entry of the directory gets what the first says of where and how long it is.
	first := bytes.Index(data, []byte("PK\x01\x02"))
	second := first + 4 + bytes.Index(data[first+4:], []byte("PK\x01\x02"))
	copy(data[second+10:second+28], data[first+10:first+28])
	binary.LittleEndian.PutUint32(data[second+42:], 0)
	return data
}

// Hostile input 2: what is inside twice is taken out twice, and no more.
func TestArchivesInArchives(t *testing.T) {
	t.Parallel()
	inner := zipWith(t, file("a.csv", []byte("1")), file("sub/b.csv", []byte("2")))
	outer := zipWith(t, file("one.zip", inner), file("two.zip", inner))
	got, err := takenApart(outer, []string{"zip", "zip"}, formats.Limits{})
	if s := strings.Join(got, " "); err != nil || s != `one.zip/a.csv="1" one.zip/sub/b.csv="2" two.zip/a.csv="1" two.zip/sub/b.csv="2"` {
		t.Errorf("%s, %v", s, err)
	}
	third := zipWith(t, file("deep.zip", outer))
	got, err = takenApart(third, []string{"zip", "zip"}, formats.Limits{})
	if s := strings.Join(got, " "); err != nil || !strings.HasPrefix(s, `deep.zip/one.zip="PK`) {
		t.Errorf("%s, %v", s, err)
	}
	for b, err := range Unpack(seekable(string(third)), []string{"zip", "zip"}, formats.Limits{}) {
		if err == nil {
			_, err = readCSV(t, b)
		}
		if err == nil || !strings.Contains(err.Error(), "zip archive") {
			t.Errorf("a third archive is read as text: %v", err)
		}
		break
	}
	if _, ps := New([]string{"zip", "zip", "zip"}, formats.Limits{}, Keys{}); len(ps) != 1 || !strings.Contains(ps[0].Text, "archive_depth") {
		t.Errorf("%v", ps)
	}
	packed := zipWith(t, file("a.csv.gz", packAs(t, "gzip", []byte("1"))), file("b.csv.gz", packAs(t, "gzip", []byte("2"))))
	got, err = takenApart(packed, []string{"zip", "gzip"}, formats.Limits{})
	if s := strings.Join(got, " "); err != nil || s != `a.csv="1" b.csv="2"` {
		t.Errorf("%s, %v", s, err)
	}
	twins := zipWith(t, file("a.csv.gz", packAs(t, "gzip", []byte("1"))), file("a.csv", packAs(t, "gzip", []byte("2"))))
	if _, err = takenApart(twins, []string{"zip", "gzip"}, formats.Limits{}); err == nil || !strings.Contains(err.Error(), `two files of the archive bear the name "a.csv"`) {
		t.Error(err)
	}
	if _, err = takenApart(zipWith(t, file("a.csv.gz", []byte("1"))), []string{"zip", "gzip"}, formats.Limits{}); err == nil || !strings.Contains(err.Error(), "a.csv: gzip: the file is not compressed with gzip") {
		t.Error(err)
	}
	var half [2]func(*zip.Writer) error
	for i := range half {
		var many []func(*zip.Writer) error
		for n := range 600 {
			many = append(many, file(fmt.Sprint(n), nil))
		}
		half[i] = file(fmt.Sprint(i), zipWith(t, many...))
	}
	if _, err := takenApart(zipWith(t, half[:]...), []string{"zip", "zip"}, formats.Limits{}); err == nil || !strings.Contains(err.Error(), "more than 1000 entries") {
		t.Error(err)
	}
}

// TestArchiveBombsAreRefusedInFlatMemory is not parallel: it looks at the heap of the process.
func TestArchiveBombsAreRefusedInFlatMemory(t *testing.T) {
	var spread []func(*zip.Writer) error // each is fine by itself
	for i := range 64 {
		spread = append(spread, fileOfZeros(t, fmt.Sprint(i), 1))
	}
	gz := gzipZeros(t, tarHead(t, tar.Header{Name: "a", Size: 32 << 20, Typeflag: tar.TypeReg}), 33) // a tar archive ends with zeros
	inner := zipWith(t, fileOfZeros(t, "a", 32))
	for name, c := range map[string]struct {
		kinds string
		data  []byte
		l     formats.Limits
		limit string
	}{
		"ratio":      {"zip", inner, formats.Limits{}, "max_ratio"},
		"said":       {"zip", inner, formats.Limits{MaxUnpacked: 1 << 20}, "max_unpacked"},
		"sum":        {"zip", zipWith(t, spread...), formats.Limits{MaxUnpacked: 32 << 20}, "max_unpacked"},
		"tar.gz":     {"gzip tar", gz, formats.Limits{}, "max_ratio"},
		"zip.zip":    {"zip zip", zipWith(t, file("a.zip", inner)), formats.Limits{MaxRatio: 2000}, "max_ratio"},
		"zip.gz":     {"gzip zip", packAs(t, "gzip", inner), formats.Limits{MaxRatio: 1030}, "max_ratio"},
		"gz inner":   {"zip gzip", zipWith(t, file("a.gz", gzipZeros(t, nil, 32))), formats.Limits{}, "max_ratio"},
		"small ones": {"zip", zipWith(t, spread...), formats.Limits{}, "max_ratio"},
		"zip64":      {"zip", crowded(64 << 20), formats.Limits{}, "archive_entries"},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		begun := time.Now()
		n := int64(0)
		var err error
		for b, e := range Unpack(formats.Blob{Name: "x", Reader: bytes.NewReader(c.data), ReaderAt: bytes.NewReader(c.data), Size: int64(len(c.data))}, strings.Fields(c.kinds), c.l) {
			if err = e; err == nil {
				var some int64
				some, err = io.Copy(io.Discard, b.Reader)
				n += some
			}
			if err != nil {
				break
			}
		}
		runtime.ReadMemStats(&after)
		var f *formats.FileError
		if !errors.As(err, &f) || f.Limit != c.limit {
			t.Errorf("%s: after %d bytes: %v", name, n, err)
		}
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("%s: took %s", name, took)
		}
		if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 32<<20 {
			t.Errorf("%s: %d MiB were taken", name, grown>>20)
		}
	}
}

// crowded is a file of so many bytes whose end says that it has as many entries as fit into them.
func crowded(size int) []byte {
	data := make([]byte, size)
	copy(data, "PK\x03\x04")
	end := data[size-98:]
	copy(end, "PK\x06\x06")
	binary.LittleEndian.PutUint64(end[4:], 44)
	binary.LittleEndian.PutUint64(end[24:], uint64(size/30-10))
	binary.LittleEndian.PutUint64(end[32:], uint64(size/30-10))
	binary.LittleEndian.PutUint64(end[40:], 100)
	binary.LittleEndian.PutUint64(end[48:], 0)
	copy(end[56:], "PK\x06\x07")
	binary.LittleEndian.PutUint64(end[64:], uint64(size-98))
	end[72] = 1
	copy(end[76:], "PK\x05\x06")
	for i := 84; i < 96; i++ {
		end[i] = 0xFF
	}
	return data
}

func TestTarOfHoles(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/holes.tar") // 1 GiB, of which 4 KiB are there: tar --sparse
	if err != nil {
		t.Fatal(err)
	}
	if got, err := takenApart(data, []string{"tar"}, formats.Limits{}); err == nil || !strings.Contains(err.Error(), "no ordinary file") && !strings.Contains(err.Error(), "max_ratio") {
		t.Errorf("%v, %v", got, err)
	}
}

func TestMembersNeedNotBeRead(t *testing.T) {
	t.Parallel()
	zip := zipWith(t, file("a", bytes.Repeat([]byte("\x00"), 5000)), file("b", []byte("2")))
	tar := tarWith(t, tar.Header{Name: "a", Size: 5000, Typeflag: tar.TypeReg}, tar.Header{Name: "b", Size: 1, Typeflag: tar.TypeReg})
	for kind, data := range map[string][]byte{"zip": zip, "tar": tar} {
		var names []string
		for b, err := range Unpack(seekable(string(data)), []string{kind}, formats.Limits{}) {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, b.Name)
		}
		if s := strings.Join(names, " "); s != "a b" {
			t.Errorf("%s: %s", kind, s)
		}
		if _, err := takenApart(data[:len(data)-len(data)/8], []string{kind}, formats.Limits{}); err == nil {
			t.Errorf("%s that is cut off is taken", kind)
		}
	}
}

// fuzzArchive holds what any archive must: no panic, limits, names that stay inside.
func fuzzArchive(f *testing.F, kind string) {
	f.Fuzz(func(t *testing.T, data []byte) {
		seen, total := map[string]bool{}, 0
		for b, err := range Unpack(formats.Blob{Reader: bytes.NewReader(data), ReaderAt: bytes.NewReader(data), Size: int64(len(data))}, []string{kind}, fuzzLimits()) {
			var fe *formats.FileError
			if err != nil {
				if !errors.As(err, &fe) {
					t.Fatalf("%v", err)
				}
				break
			}
			if seen[b.Name] || !filepath.IsLocal(b.Name) || strings.ContainsAny(b.Name, "\\\x00") {
				t.Fatalf("name %q", b.Name)
			}
			seen[b.Name] = true
			out, err := io.ReadAll(b.Reader)
			if err != nil && !errors.As(err, &fe) {
				t.Fatalf("%v", err)
			}
			if total += len(out); total > int(fuzzLimits().MaxUnpacked) || len(seen) > maxEntries {
				t.Fatalf("%d bytes of %d files came out", total, len(seen))
			}
		}
	})
}

func FuzzZip(f *testing.F) {
	formatstest.Seeds(f, "testdata/*.zip")
	f.Add(zipWith(f, file("a.csv", []byte("1")), file("sub/", nil), file("sub/b.csv", bytes.Repeat([]byte("2"), 3000))))
	fuzzArchive(f, "zip")
}

func FuzzTar(f *testing.F) {
	// Without the zeros that fill the last record: inputs of 10 KiB, nearly all of them zeros, are minimized for a minute each.
	files, err := filepath.Glob("testdata/*.tar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(bytes.TrimRight(data, "\x00"), make([]byte, 2*tarBlock)...))
	}
	f.Add(tarWith(f, tar.Header{Name: "a", Size: 700, Typeflag: tar.TypeReg}, tar.Header{Name: "sub/", Typeflag: tar.TypeDir}))
	fuzzArchive(f, "tar")
}
