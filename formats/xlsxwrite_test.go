package formats

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"waybill/formats/xlsx"
)

func xlsxWritten(t testing.TB, w Writing, columns []string, rows ...[]Value) []byte {
	t.Helper()
	w.Format = "xlsx"
	e, ps := NewEncoder(w, titled(columns...))
	if ps != nil {
		t.Fatal(ps)
	}
	var out bytes.Buffer
	if err := e.Encode(&out, rowsOf(rows...)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var writtenCells = []struct {
	v     Value
	read  string // as show shows it
	shown string // by excelize
}{
	{val(Text, "Clermont <&> \"Ferrand\""), `"Clermont <&> \"Ferrand\""`, `Clermont <&> "Ferrand"`},
	{val(Text, " a\r\nb\x01_x0041_ "), `" a\r\nb\x01_x0041_ "`, " a\r\nb\x01_x0041_ "},
	{val(Text, "=cmd|' /C calc'!A0"), `"=cmd|' /C calc'!A0"`, "=cmd|' /C calc'!A0"},
	{val(Text, "0010"), `"0010"`, "0010"},
	{val(Number, "24.90"), "24.90", "24.90"},
	{val(Number, "-7"), "-7", "-7"},
	{val(Number, "0.000001"), "0.000001", "0.000001"},
	{val(Number, "12345678901234567890"), `"12345678901234567890"`, "12345678901234567890"},
	{val(Number, "123456789.1234567"), `"123456789.1234567"`, "123456789.1234567"},
	{val(Bool, "true"), "true", "TRUE"},
	{val(Bool, "false"), "false", "FALSE"},
	{val(Date, "2026-11-21"), "2026-11-21", "2026-11-21"},
	{val(Date, "08:15:30"), "08:15:30", "08:15:30"},
	{val(Date, "2026-03-31T08:15:00+02:00"), "2026-03-31T08:15:00", "2026-03-31 08:15:00"},
	{val(Date, "1871-05-28"), `"1871-05-28"`, "1871-05-28"},
	{val(Absent, ""), "∅", ""},
}

func TestXLSXIsWrittenAsItIsRead(t *testing.T) {
	t.Parallel()
	var titles, wanted, shown []string
	var row []Value
	for i, c := range writtenCells {
		titles, row = append(titles, xlsx.Letters(i+1)), append(row, c.v)
		wanted, shown = append(wanted, c.read), append(shown, c.shown)
	}
	data := xlsxWritten(t, Writing{}, titles, row, row)
	got, err := xlsxRead(t, data, Options{}, columns(titles...)...)
	line := strings.Join(wanted, " ")
	if d := cmp.Diff([]string{"2: " + line, "3: " + line}, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	f, err := excelize.OpenReader(bytes.NewReader(data))
	must(t, err)
	defer f.Close()
	rows, err := f.GetRows("Sheet1")
	must(t, err)
	for i := range shown[:len(shown)-1] {
		if rows[1][i] != shown[i] {
			t.Errorf("excelize shows %q, want %q", rows[1][i], shown[i])
		}
	}
	style, err := f.GetCellStyle("Sheet1", "A1")
	if err != nil || style != styleTitle {
		t.Errorf("the titles have style %d, %v", style, err)
	}
	if width, err := f.GetColWidth("Sheet1", "A"); err != nil || width != 24 {
		t.Errorf("column A is %v wide, %v", width, err)
	}
	if !bytes.Equal(data, xlsxWritten(t, Writing{}, titles, row, row)) {
		t.Error("the same rows gave other bytes")
	}
}

func TestXLSXTextIsNeverAFormula(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"} {
		f, err := excelize.OpenReader(bytes.NewReader(xlsxWritten(t, Writing{}, []string{"a"}, []Value{val(Text, text)})))
		must(t, err)
		formula, err := f.GetCellFormula("Sheet1", "A2")
		kind, err2 := f.GetCellType("Sheet1", "A2")
		style, err3 := f.GetCellStyle("Sheet1", "A2")
		if formula != "" || kind != excelize.CellTypeInlineString || style != styleGuarded || errors.Join(err, err2, err3) != nil {
			t.Errorf("%q: formula %q, type %d, style %d, %v", text, formula, kind, style, errors.Join(err, err2, err3))
		}
		must(t, f.Close())
	}
}

func TestXLSXWhatASheetCannotHoldIsAnError(t *testing.T) {
	t.Parallel()
	e, ps := NewEncoder(Writing{Format: "xlsx"}, titled("a"))
	if ps != nil {
		t.Fatal(ps)
	}
	for text, want := range map[string]string{
		"\xff":                      `write row 1, column "a": the text is not valid UTF-8`,
		strings.Repeat("x", 32_768): `write row 1, column "a": a cell of a sheet holds at most 32767 characters, this text has 32768`,
	} {
		if err := e.Encode(io.Discard, rowsOf([]Value{val(Text, text)})); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := e.Encode(goneWriter{}, rowsOf([]Value{val(Text, "x")})); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("from the writer: %v", err)
	}
	for _, w := range []Writing{{Encoding: "windows-1252"}, {Delimiter: ";"}, {Titles: "x"}, {Formulas: "x"}} {
		w.Format = "xlsx"
		if _, ps := NewEncoder(w, titled("a")); len(ps) != 1 {
			t.Errorf("%+v: %v", w, ps)
		}
	}
	if _, ps := NewEncoder(Writing{Format: "xlsx"}, nil); len(ps) != 1 {
		t.Errorf("no columns: %v", ps)
	}
}

func TestXLSXAnyTextComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ReplaceAll(rapid.String().Draw(t, "text"), "\x00", "")
		e, _ := NewEncoder(Writing{Format: "xlsx"}, titled("a"))
		var out bytes.Buffer
		if err := e.Encode(&out, rowsOf([]Value{val(Text, text)}, []Value{val(Text, "end")})); err != nil {
			t.Fatal(err)
		}
		d, _ := New(Options{Format: "xlsx"}, columns("a"))
		var got []string
		for rec, err := range d.Decode(Blob{ReaderAt: bytes.NewReader(out.Bytes()), Size: int64(out.Len())}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(rec.Cells[0].Bytes))
		}
		if want := []string{text, "end"}; text == "" && len(got) != 1 || text != "" && !cmp.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

// TestXLSXIsWrittenInFlatMemory writes many rows and sees that the memory is that of a few.
func TestXLSXIsWrittenInFlatMemory(t *testing.T) {
	e, ps := NewEncoder(Writing{Format: "xlsx"}, titled(benchTitles()...))
	if ps != nil {
		t.Fatal(ps)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	most := uint64(0)
	row := benchXLSXRow(7)
	err := e.Encode(io.Discard, func(yield func([]Value, error) bool) {
		rows := dose(t, 100_000, 20_000)
		for i := range rows {
			if i%(rows/5) == 0 {
				runtime.GC()
				runtime.ReadMemStats(&after)
				most = max(most, after.HeapAlloc)
			}
			if !yield(row, nil) {
				return
			}
		}
	})
	if err != nil || most > before.HeapAlloc+8<<20 {
		t.Errorf("%d bytes more, %v", most-before.HeapAlloc, err)
	}
}

// TestXLSXOpensInLibreOffice converts what was written with LibreOffice, where it is installed.
func TestXLSXOpensInLibreOffice(t *testing.T) {
	t.Parallel()
	office, err := exec.LookPath("soffice")
	if err != nil {
		t.Skip("LibreOffice is not installed")
	}
	dir := t.TempDir()
	data := xlsxWritten(t, Writing{}, []string{"No", "Day"}, []Value{val(Text, "=1+1"), val(Date, "2026-11-21")})
	must(t, os.WriteFile(filepath.Join(dir, "a.xlsx"), data, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, office, "--headless", "-env:UserInstallation=file://"+dir+"/profile", "--convert-to", "csv", "--outdir", dir, filepath.Join(dir, "a.xlsx"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "a.csv"))
	if err != nil || string(text) != "No,Day\n=1+1,2026-11-21\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// What a workbook was written with before does not show in the next: messages are to be the same whenever they are made.
func TestTheSameRowsAreTheSameWorkbookHoweverManyWereWritten(t *testing.T) {
	t.Parallel()
	columns := []Column{{Title: "A"}, {Title: "B"}}
	write := func(e Encoder, n int) string {
		var b bytes.Buffer
		if err := e.Encode(&b, func(yield func([]Value, error) bool) {
			for i := range n {
				if !yield([]Value{{Kind: Text, Bytes: fmt.Appendf(nil, "row %d of %d", i, n)}, {Kind: Number, Bytes: strconv.AppendInt(nil, int64(i*n), 10)}}, nil) {
					return
				}
			}
		}); err != nil {
			t.Error(err)
		}
		return b.String()
	}
	var wg sync.WaitGroup
	used, ps := NewEncoder(Writing{Format: "xlsx"}, columns)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	for range 4 {
		wg.Go(func() {
			for _, n := range []int{1, 3000, 0, 2, 40, 700, 1} {
				fresh, _ := NewEncoder(Writing{Format: "xlsx"}, columns)
				if write(used, n) != write(fresh, n) {
					t.Errorf("a workbook of %d rows is another one", n)
				}
			}
		})
	}
	wg.Wait()
}
