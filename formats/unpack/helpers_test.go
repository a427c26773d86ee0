package unpack

import (
	"errors"
	"iter"
	"strings"
	"testing"

	"waybill/formats"
)

// Unpack yields what is inside b.
func Unpack(b formats.Blob, kinds []string, l formats.Limits) iter.Seq2[formats.Blob, error] {
	return func(yield func(formats.Blob, error) bool) {
		u, ps := New(kinds, l, Keys{})
		if len(ps) > 0 {
			yield(formats.Blob{}, errors.New(ps[0].String()))
			return
		}
		if u.Archive() {
			u.Members(b, Staging{})(yield)
			return
		}
		inner, end, err := u.Open(b, Staging{})
		defer end()
		yield(inner, err)
	}
}

// seekable makes a blob that can also be read at any place.
func seekable(s string) formats.Blob {
	return formats.Blob{Name: "t", Reader: strings.NewReader(s), ReaderAt: strings.NewReader(s), Size: int64(len(s))}
}

const (
	csvHead = "id,sku,qty,price,day,site,city,zip,flag,note\n"
	csvRow  = "1000017,AB-4711,12,199.90,2026-11-21,W1,Clermont-Ferrand,63000,O,ok\n"
)

// readCSV reads a file of CSV to its end, and tells how many records it has.
func readCSV(t testing.TB, b formats.Blob) (records int, err error) {
	t.Helper()
	d, problems := formats.New(formats.Options{Format: "csv"}, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, err := range d.Decode(b) {
		var bad *formats.RecordError
		if err != nil && !errors.As(err, &bad) {
			return records, err
		}
		records++
	}
	return records, nil
}

var errGone = errors.New("the disk is gone")

// small limits are reached by small inputs.
func fuzzLimits() formats.Limits {
	return formats.Limits{MaxFile: 64 << 10, MaxUnpacked: 64 << 10, MaxRecord: 200, MaxField: 60, MaxColumns: 8, MaxDepth: 6, MaxCells: 20}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
