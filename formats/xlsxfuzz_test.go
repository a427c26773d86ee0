package formats

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"waybill/formats/formatstest"
)

var fuzzBook = Limits{MaxFile: 256 << 10, MaxUnpacked: 1 << 20, MaxRecord: 64 << 10, MaxField: 1 << 10, MaxColumns: 50, MaxSheet: 256 << 10, MaxPart: 64 << 10, MaxStrings: 64 << 10, MaxSheetCells: 20_000}

// heldBook reads a workbook and sees that limits hold, records count up, and every error says where it is.
func heldBook(t *testing.T, data []byte) {
	t.Helper()
	d := decoder(t, Options{Format: "xlsx", Limits: fuzzBook, Columns: Columns{Missing: "ignore"}})
	number, row := int64(0), int64(0)
	for rec, err := range d.Decode(Blob{ReaderAt: bytes.NewReader(data), Size: int64(len(data))}) {
		var r *RecordError
		var f *FileError
		switch {
		case errors.As(err, &r):
			if number++; r.Record != number || r.Line <= row || r.Reason == "" {
				t.Fatalf("no position: %+v behind record %d of row %d", r, number, row)
			}
			row = r.Line
		case errors.As(err, &f):
			if f.Line < 1 && f.Offset < 0 || f.Reason == "" {
				t.Fatalf("no position: %+v", f)
			}
			return
		case err != nil:
			t.Fatalf("neither a file's nor a record's error: %v", err)
		default:
			if number++; rec.Number != number || rec.Line <= row || len(rec.Cells) > 50 {
				t.Fatalf("record %d of row %d behind %d of %d, %d cells", rec.Number, rec.Line, number, row, len(rec.Cells))
			}
			row = rec.Line
			for _, c := range rec.Cells {
				if len(c.Bytes) > 3<<10 {
					t.Fatalf("a field of %d bytes", len(c.Bytes))
				}
			}
		}
	}
}

// FuzzXLSX reads any bytes as a workbook: those of the corpus, damaged.
func FuzzXLSX(f *testing.F) {
	formatstest.Seeds(f, "testdata/xlsx/*.xlsx")
	f.Fuzz(func(t *testing.T, data []byte) { heldBook(t, data) })
}

// FuzzXLSXParts reads any texts as the parts of a sound zip file, which damaged bytes seldom come to.
func FuzzXLSXParts(f *testing.F) {
	f.Add(orderTitles+`<row r="2"><c r="A2" t="s"><v>1</v></c><c r="B2" s="1"><v>44087.5</v></c></row>`, `<si><t>a</t></si><si><r><t>b</t></r></si>`, `<numFmt numFmtId="164" formatCode="dd.mm.yyyy h:mm"/>`)
	f.Add(`<row><c t="inlineStr"><is><t>No_x0041_</t></is></c></row><row hidden="1"><c t="b"><v>1</v></c><c t="e"><v>#N/A</v></c><c><f>1+1</f></c><c t="d"><v>2026-11-21</v></c></row>`, ``, `<numFmt numFmtId="164" formatCode="[$-419]d mmmm yyyy;@"/>`)
	f.Add(`<row r="3"><c r="XFD3"><v>1E+30</v></c></row>`, `<si/>`, `<numFmt numFmtId="164" formatCode="[h]"/>`)
	f.Add(`<worksheet><sheetData><row><c><v>1</v></c></row></sheetData><mergeCells><mergeCell ref="A1:B2"/></mergeCells></worksheet>`, `<![CDATA[<]]>&#65;`, ``)
	f.Fuzz(func(t *testing.T, sheet, strings, formats string) {
		heldBook(t, bookOf{sheet: sheet, strings: strings, formats: formats, store: true}.bytes(t))
	})
}

// TestXLSXThatOnlyStreamsIsReadFromATemporaryFile: there is none left of it, also when the reading is given up or fails.
func TestXLSXThatOnlyStreamsIsReadFromATemporaryFile(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var rows strings.Builder
	rows.WriteString(orderTitles)
	for i := range 60_000 {
		fmt.Fprintf(&rows, `<row r="%d"><c r="A%d"><v>%d</v></c></row>`, i+2, i+2, i)
	}
	data := bookOf{sheet: rows.String(), store: true}.bytes(t)
	d := decoder(t, Options{Format: "xlsx"}, columns("No")...)
	for _, most := range []int{1 << 30, 10} {
		n := 0
		for rec, err := range d.Decode(Blob{Reader: iotest.HalfReader(bytes.NewReader(data)), Size: -1}) {
			must(t, err)
			if string(rec.Cells[0].Bytes) != fmt.Sprint(n) {
				t.Fatalf("record %d holds %s", n, rec.Cells[0].Bytes)
			}
			if n++; n == most {
				break
			}
		}
		if n != min(60_000, most) {
			t.Errorf("%d records", n)
		}
	}
	for _, err := range d.Decode(Blob{Reader: iotest.TimeoutReader(bytes.NewReader(data)), Size: -1}) {
		if !errors.Is(err, iotest.ErrTimeout) {
			t.Errorf("of a reader that fails: %v", err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) > 0 {
		t.Errorf("%q are left, %v", left, err)
	}
	t.Setenv("TMPDIR", filepath.Join(tmp, "gone"))
	for _, err := range d.Decode(Blob{Reader: bytes.NewReader(data), Size: -1}) {
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "a temporary file is needed") {
			t.Errorf("without room for it: %v", err)
		}
	}
}

// The bomb of docs/performance.md's peer: 3,985 bytes that cost its row iterator half a minute and 22 GB of allocations.
func TestXLSXABombOfEmptyCellsCostsNothing(t *testing.T) {
	var rows strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&rows, `<row r="%d"><c r="XFD%d"/></row>`, i+1, i+1)
	}
	data := bookOf{sheet: rows.String()}.bytes(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := time.Now()
	for _, o := range []Options{{}, {Limits: Limits{MaxColumns: 16384}}, {Limits: Limits{MaxColumns: 16384, MaxRatio: 1000}}} {
		o.Format = "xlsx"
		var f *FileError
		if _, err := xlsxRead(t, data, o, columns("No")...); !errors.As(err, &f) {
			t.Errorf("%+v: %v", o.Limits, err)
		}
	}
	runtime.ReadMemStats(&after)
	if took, got := time.Since(begun), after.TotalAlloc-before.TotalAlloc; took > time.Minute || got > 64<<20 {
		t.Errorf("it took %s and %d MiB", took, got>>20)
	}
}

// TestFailure14TwoHundredThousandRowsInLittleMemory: what was reported of others (excelize#1112) is that such a file does not fit into memory.
func TestFailure14TwoHundredThousandRowsInLittleMemory(t *testing.T) {
	rows := dose(t, 200_000, 20_000)
	for name, shared := range map[string]bool{"texts in their cells": false, "shared texts": true} {
		var data []byte
		if shared {
			data = benchBook(t, rows, true)
		} else {
			data = ownBook(t, rows)
		}
		d := decoder(t, Options{Format: "xlsx"}, columns(benchTitles()...)...)
		runtime.GC()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		most, n := before.HeapAlloc, 0
		for _, err := range d.Decode(Blob{ReaderAt: bytes.NewReader(data), Size: int64(len(data))}) {
			must(t, err)
			if n++; n%(rows/20) == 0 {
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
		}
		cap := uint64(16 << 20)
		if shared {
			cap += 64 << 20 // max_strings: a million texts that are all different
		}
		if n != rows || most-before.HeapAlloc > cap {
			t.Errorf("%s: %d records, %d MiB more", name, n, (most-before.HeapAlloc)>>20)
		}
	}
}

// ownBook is a workbook of ten columns, written by the encoder.
func ownBook(t *testing.T, rows int) []byte {
	t.Helper()
	e, ps := NewEncoder(Writing{Format: "xlsx"}, titled(benchTitles()...))
	if ps != nil {
		t.Fatal(ps)
	}
	var out bytes.Buffer
	must(t, e.Encode(&out, func(yield func([]Value, error) bool) {
		for i := range rows {
			if !yield(benchXLSXRow(i), nil) {
				return
			}
		}
	}))
	return out.Bytes()
}
