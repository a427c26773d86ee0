package unpack

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"waybill/formats"
	"waybill/formats/formatstest"
)

func TestTroubleInsideGzip(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Name = "orders.csv"
	if _, err := z.Write([]byte(csvHead + strings.Repeat(csvRow, 2_000))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	good := packed.Bytes()
	half := good[:len(good)/2]
	broken := bytes.Clone(good)
	for i := range 40 {
		broken[len(broken)/3+i] ^= 0xA5
	}
	method := bytes.Clone(good)
	method[2] = 7
	for name, c := range map[string]struct {
		r    io.Reader
		want string
		file bool
	}{
		"disk gone":           {io.MultiReader(bytes.NewReader(half), iotest.ErrReader(errGone)), "the disk is gone", false},
		"disk gone at once":   {iotest.ErrReader(errGone), "the disk is gone", false},
		"damaged inside":      {bytes.NewReader(broken), "damaged", true},
		"method unknown":      {bytes.NewReader(method), "the gzip header is damaged", true},
		"half":                {bytes.NewReader(half), "truncated", true},
		"second member short": {io.MultiReader(bytes.NewReader(good), bytes.NewReader(good[:4])), "truncated", true},
		"too long":            {bytes.NewReader(good), "max_file", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := formats.Limits{}
			if name == "too long" {
				limits.MaxFile = 100
			}
			for b, err := range Unpack(formats.Blob{Name: "orders.csv.gz", Reader: c.r, Size: -1}, []string{"gzip"}, limits) {
				if err != nil || b.Name != "orders.csv" {
					t.Fatal(b.Name, err)
				}
				_, err = readCSV(t, b)
				var f *formats.FileError
				if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &f) != c.file {
					t.Errorf("%v (%T)", err, err)
				}
			}
		})
	}
}

func bomb(t testing.TB, zeros int64) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.Copy(z, &formatstest.Endless{Text: make([]byte, 4096), Left: zeros}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func TestGzipBombIsRefusedEarly(t *testing.T) {
	t.Parallel()
	data := bomb(t, 8<<20)
	for name, c := range map[string]struct {
		limits formats.Limits
		limit  string
		most   int64
	}{
		"ratio": {formats.Limits{}, "max_ratio", 2 << 20},
		"size":  {formats.Limits{MaxRatio: 2000, MaxUnpacked: 5 << 20}, "max_unpacked", 6 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for b, err := range Unpack(formats.Blob{Reader: bytes.NewReader(data), Size: int64(len(data))}, []string{"gzip"}, c.limits) {
				if err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, b.Reader)
				var f *formats.FileError
				if !errors.As(err, &f) || f.Limit != c.limit || f.Offset <= 0 || n > c.most {
					t.Errorf("after %d bytes: %v (%+v)", n, err, f)
				}
			}
		})
	}
}

func TestBlanksUnderOneMiBMayPackWell(t *testing.T) {
	t.Parallel()
	data := bomb(t, 1<<20)
	for b, err := range Unpack(formats.Blob{Reader: bytes.NewReader(data), Size: -1}, []string{"gzip"}, formats.Limits{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, b.Reader); err != nil || n != 1<<20 {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}

func FuzzGzip(f *testing.F) {
	formatstest.Seeds(f, "../testdata/csv/*.gz")
	f.Fuzz(func(t *testing.T, data []byte) {
		for b, err := range Unpack(formats.Blob{Reader: bytes.NewReader(data), Size: int64(len(data))}, []string{"gzip"}, fuzzLimits()) {
			if err != nil {
				t.Fatal(err)
			}
			out, err := io.ReadAll(b.Reader)
			var fe *formats.FileError
			if err != nil && (!errors.As(err, &fe) || fe.Offset < 0) {
				t.Fatalf("no position: %v", err)
			}
			if len(out) > int(fuzzLimits().MaxUnpacked) {
				t.Fatalf("%d bytes came out", len(out))
			}
			if err != nil {
				continue
			}
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatalf("we take what the standard library refuses: %v", err)
			}
			want, err := io.ReadAll(z)
			if err != nil || !bytes.Equal(out, want) {
				t.Fatalf("%q, the standard library gives %q, %v", out, want, err)
			}
		}
	})
}
