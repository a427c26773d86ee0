package formats

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSamplePurchaseOrders(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../shared/samples/csv/smooks-purchase-orders.csv")
	if err != nil {
		t.Skipf("samples are not here: %v", err)
	}
	d := decoder(t, Options{Format: "csv"}, columns("UPC_NUMBER", "CUSTOMER_NAME", "STATE", "POSTAL_CODE")...)
	got, err := read(d, Blob{Reader: bytes.NewReader(data), Size: int64(len(data))})
	if err != nil || len(got) != 3 || got[1] != `"4000862141405" "Maria Theresa" "" "AT6020"` {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSampleXMLFilesAreReadAsTheStandardLibraryReadsThem compares every XML file of the samples, whole.
func TestSampleXMLFilesAreReadAsTheStandardLibraryReadsThem(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../shared/samples/*/*.xml")
	if err != nil || len(files) == 0 {
		t.Skip("no XML files of the samples are here")
	}
	d := decoder(t, Options{Format: "xml"})
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
		if name := declared(text); name != "" && !strings.EqualFold(name, UTF8) {
			s, err := decodeText(name, bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			text = []byte(s)
		}
		want, err := parsed(text)
		if err != nil {
			t.Fatalf("%s: the standard library: %v", file, err)
		}
		n := 0
		for rec, err := range d.Decode(Blob{Reader: bytes.NewReader(data), Size: int64(len(data))}) {
			if n++; err != nil || !sameJSON(rec.Cells[0].Bytes, want.json()) {
				t.Errorf("%s: %v", file, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d records", file, n)
		}
	}
}
