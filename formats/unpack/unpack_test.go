package unpack

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"

	"waybill/formats"
	"waybill/formats/formatstest"
)

// packAs compresses text with one of the kinds there is an encoder for.
func packAs(t testing.TB, kind string, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch kind {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zstd":
		z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		t.Fatalf("no encoder for %s", kind)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bombs are zeros, 1 GiB of them.
func bombs(t testing.TB) map[string][]byte {
	t.Helper()
	bz, err := os.ReadFile("testdata/bomb.bz2")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{"bzip2": bz, "gzip": gzipZeros(t, nil, 1024)}
	// Frames of blocks of one byte repeated 128 KiB.
	block := []byte{2, 0, 0x10, 0} // not the last, RLE, 128 KiB
	frame := append([]byte("\x28\xB5\x2F\xFD\x00\x38"), bytes.Repeat(block, 8191)...)
	all["zstd"] = append(frame, 3, 0, 0x10, 0)
	return all
}

func unpackedAll(data []byte, kinds []string, l formats.Limits) (n int64, err error) {
	for b, err := range Unpack(formats.Blob{Name: "x", Reader: bytes.NewReader(data), Size: int64(len(data))}, kinds, l) {
		if err != nil {
			return n, err
		}
		more, err := io.Copy(io.Discard, b.Reader)
		n += more
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// TestBombsAreRefusedInFlatMemory is not parallel: it looks at the heap of the process. Hostile input 1.
func TestBombsAreRefusedInFlatMemory(t *testing.T) {
	for kind, data := range bombs(t) {
		for name, c := range map[string]struct {
			limits formats.Limits
			limit  string
			most   int64
		}{
			"ratio": {formats.Limits{}, "max_ratio", 48 << 20}, // a block of bzip2 is 46 MiB of zeros
			"size":  {formats.Limits{MaxRatio: 100_000_000, MaxUnpacked: 64 << 20}, "max_unpacked", 66 << 20},
		} {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			begun := time.Now()
			n, err := unpackedAll(data, []string{kind}, c.limits)
			runtime.ReadMemStats(&after)
			var f *formats.FileError
			if !errors.As(err, &f) || f.Limit != c.limit || f.Offset <= 0 || n > c.most {
				t.Errorf("%s, %s: after %d bytes: %v", kind, name, n, err)
			}
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("%s, %s: took %s", kind, name, took)
			}
			if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 32<<20 {
				t.Errorf("%s, %s: %d MiB were taken", kind, name, grown>>20)
			}
		}
	}
}

func TestABombInABombHasTheRatioOfBoth(t *testing.T) {
	t.Parallel()
	random := make([]byte, 12_000)
	rand.NewChaCha8([32]byte{}).Read(random)
	text := bytes.Repeat(random, 400)
	inner := packAs(t, "gzip", text)
	outer := packAs(t, "zstd", inner)
	once, twice := len(text)/len(inner), len(text)/len(outer)
	if twice < 3*once {
		t.Fatalf("ratios of %d and %d show nothing", once, twice)
	}
	l := formats.Limits{MaxRatio: 2 * once}
	if n, err := unpackedAll(inner, []string{"gzip"}, l); err != nil || n != int64(len(text)) {
		t.Errorf("once: %d bytes, %v", n, err)
	}
	_, err := unpackedAll(outer, []string{"zstd", "gzip"}, l)
	var f *formats.FileError
	if !errors.As(err, &f) || f.Limit != "max_ratio" {
		t.Errorf("twice: %v", err)
	}
}

func TestTroubleInsideStreams(t *testing.T) {
	t.Parallel()
	text := []byte(csvHead + strings.Repeat(csvRow, 2_000))
	for _, kind := range []string{"gzip", "zstd"} {
		good := packAs(t, kind, text)
		for name, c := range map[string]struct {
			r      io.Reader
			limits formats.Limits
			want   string
			file   bool
		}{
			"disk gone":         {io.MultiReader(bytes.NewReader(good[:len(good)/2]), iotest.ErrReader(errGone)), formats.Limits{}, "the disk is gone", false},
			"disk gone at once": {iotest.ErrReader(errGone), formats.Limits{}, "the disk is gone", false},
			"half":              {bytes.NewReader(good[:len(good)/2]), formats.Limits{}, "truncated", true},
			"too long":          {bytes.NewReader(good), formats.Limits{MaxFile: 100}, "max_file", true},
		} {
			for b, err := range Unpack(formats.Blob{Name: "orders.csv", Reader: c.r, Size: -1}, []string{kind}, c.limits) {
				if err != nil {
					t.Fatal(err)
				}
				_, err = readCSV(t, b)
				var f *formats.FileError
				if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &f) != c.file {
					t.Errorf("%s, %s: %v (%T)", kind, name, err, err)
				}
			}
		}
	}
}

func TestSuffixesGoWithThePacking(t *testing.T) {
	t.Parallel()
	for kind, suffix := range map[string]string{"gzip": ".gz", "zstd": ".zst", "bzip2": ".bz2"} {
		for b, err := range Unpack(formats.Blob{Name: "orders.csv" + suffix, Reader: strings.NewReader(""), Size: -1}, []string{kind}, formats.Limits{}) {
			if err != nil || b.Name != "orders.csv" {
				t.Errorf("%s: %q, %v", kind, b.Name, err)
			}
		}
	}
}

// fuzzStream holds what any packing must: no panic, limits, a position with each mistake.
func fuzzStream(f *testing.F, kind string) {
	f.Fuzz(func(t *testing.T, data []byte) {
		for b, err := range Unpack(formats.Blob{Reader: bytes.NewReader(data), Size: int64(len(data))}, []string{kind}, fuzzLimits()) {
			if err != nil {
				t.Fatal(err)
			}
			out, err := io.ReadAll(b.Reader)
			var fe *formats.FileError
			if err != nil && (!errors.As(err, &fe) || fe.Offset < 0 || fe.Offset > int64(len(data))) {
				t.Fatalf("no position: %v", err)
			}
			if len(out) > int(fuzzLimits().MaxUnpacked) {
				t.Fatalf("%d bytes came out", len(out))
			}
		}
	})
}

func FuzzZstd(f *testing.F) {
	formatstest.Seeds(f, "../testdata/csv/*.zst")
	fuzzStream(f, "zstd")
}

func FuzzBzip2(f *testing.F) {
	formatstest.Seeds(f, "../testdata/csv/*.bz2")
	fuzzStream(f, "bzip2")
}

func TestCheckUnpack(t *testing.T) {
	t.Parallel()
	for kinds, want := range map[string]string{
		"gzip":           "[]",
		"gzip gzip":      "[]",
		"gzip gzip gzip": "[unpack: at most 2 packings in each other (archive_depth)]",
		"zip tar":        "[]",
		"pgp":            "[pgp: is missing: unpack says pgp, so say with which keys]",
		"pgp gzip tar":   "[pgp: is missing: unpack says pgp, so say with which keys]",
		"age pgp":        "[unpack: at most one encryption age: is missing: unpack says age, so say with which keys pgp: is missing: unpack says pgp, so say with which keys]",
		"gzp":            `[unpack[0]: unknown packing "gzp", did you mean "gzip"?: there are gzip, zstd, bzip2, zip, tar, pgp, age]`,
	} {
		if got := fmt.Sprint(checkUnpack(kinds)); got != want {
			t.Errorf("%s: %s, want %s", kinds, got, want)
		}
	}
}

func checkUnpack(kinds string) []formats.Problem {
	_, ps := New(strings.Fields(kinds), formats.Limits{}, Keys{})
	return ps
}
