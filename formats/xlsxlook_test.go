package formats

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"waybill/formats/xlsx"
)

// The export of design example 06, and columns of every other kind.
func soldColumns() []Column {
	return []Column{
		{Title: "Дата", Format: "dd.mm.yyyy hh:mm", Width: 18}, {Title: "Артикул"}, {Title: "Сумма", Format: "# ##0.00"},
		{Title: "Share", Format: "0.0%"}, {Title: "Price", Format: `#,##0.00" €";[Red]-#,##0.00" €"`}, {Title: "Day", Format: "dd.mm.yyyy hh:mm"}, {Title: "Plain"},
	}
}

func soldRow() []Value {
	return []Value{val(Date, "2026-11-21T08:15:00+03:00"), val(Text, "0010"), val(Number, "1234.5"), val(Number, "0.125"), val(Number, "-7"), val(Date, "2026-11-22"), val(Number, "3")}
}

func xlsxOf(t testing.TB, w Writing, columns []Column, rows ...[]Value) []byte {
	t.Helper()
	w.Format = "xlsx"
	e, ps := NewEncoder(w, columns)
	if ps != nil {
		t.Fatal(ps)
	}
	var out bytes.Buffer
	must(t, e.Encode(&out, rowsOf(rows...)))
	return out.Bytes()
}

func TestXLSXLooksAsItIsSaid(t *testing.T) {
	t.Parallel()
	data := xlsxOf(t, Writing{Sheet: "Продажи & co"}, soldColumns(), soldRow(), []Value{val(Number, "1"), val(Text, "x"), val(Date, "2026-11-21"), {}, val(Number, "1E5"), {}, {}})
	f, err := excelize.OpenReader(bytes.NewReader(data))
	must(t, err)
	defer f.Close()
	if list := f.GetSheetList(); len(list) != 1 || list[0] != "Продажи & co" {
		t.Fatal(list)
	}
	rows, err := f.GetRows("Продажи & co")
	must(t, err)
	// a blank among the digits of a code is not what excelize counts on: spreadsheets show 1 234.50
	want := []string{"21.11.2026 08:15", "0010", rows[1][2], "12.5%", "-7.00 €", "22.11.2026 00:00", "3"}
	if d := cmp.Diff(want, rows[1]); d != "" {
		t.Errorf("excelize shows\n%s", d)
	}
	for cell, code := range map[string]string{"A2": "dd.mm.yyyy hh:mm", "C2": "# ##0.00", "D2": "0.0%", "E2": `#,##0.00" €";[Red]-#,##0.00" €"`, "F2": "dd.mm.yyyy hh:mm"} {
		id, err := f.GetCellStyle("Продажи & co", cell)
		must(t, err)
		style, err := f.GetStyle(id)
		must(t, err)
		if style.CustomNumFmt == nil || *style.CustomNumFmt != code {
			t.Errorf("%s has style %+v, want %s", cell, style.CustomNumFmt, code)
		}
	}
	for _, c := range []struct {
		cell string
		kind excelize.CellType
	}{{"A2", excelize.CellTypeUnset}, {"B2", excelize.CellTypeInlineString}, {"C2", excelize.CellTypeUnset}, {"A3", excelize.CellTypeUnset}, {"E3", excelize.CellTypeInlineString}} {
		if kind, err := f.GetCellType("Продажи & co", c.cell); err != nil || kind != c.kind {
			t.Errorf("%s is of type %v, %v", c.cell, kind, err)
		}
	}
	for cell, style := range map[string]int{"A3": stylePlain, "C3": styleDate} { // a format of dates is not for numbers, nor one of numbers for dates
		if got, err := f.GetCellStyle("Продажи & co", cell); err != nil || got != style {
			t.Errorf("%s has style %d, %v", cell, got, err)
		}
	}
	if width, err := f.GetColWidth("Продажи & co", "A"); err != nil || width != 18 {
		t.Errorf("column A is %v wide, %v", width, err)
	}
	id, err := f.GetCellStyle("Продажи & co", "A1")
	must(t, err)
	if style, err := f.GetStyle(id); err != nil || style.Font == nil || !style.Font.Bold || len(style.Fill.Color) != 1 {
		t.Errorf("the titles look like %+v, %v", style, err)
	}
	if panes, err := f.GetPanes("Продажи & co"); err != nil || !panes.Freeze || panes.YSplit != 1 {
		t.Errorf("the titles do not stay: %+v, %v", panes, err)
	}
	got, err := xlsxRead(t, data, Options{}, columns("Дата", "Сумма", "Share", "Price", "Day")...)
	if d := cmp.Diff([]string{"2: 2026-11-21T08:15:00 1234.5 0.125 -7 2026-11-22T00:00:00", `3: 1 2026-11-21 ∅ "1E5" ∅`}, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}

func TestXLSXProblemsOfLooks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		w      Writing
		column Column
		want   string
	}{
		"long sheet":      {Writing{Sheet: strings.Repeat("x", 32)}, Column{}, "sheet: "},
		"sheet in a path": {Writing{Sheet: "a/b"}, Column{}, `sheet: "a/b" cannot be the name of a sheet: it holds one of [ ] : * ? / \`},
		"apostrophe":      {Writing{Sheet: "'a"}, Column{}, "sheet: "},
		"history":         {Writing{Sheet: "History"}, Column{}, "sheet: "},
		"blank":           {Writing{Sheet: " "}, Column{}, "sheet: "},
		"width":           {Writing{}, Column{Width: 256}, "columns[0].width: 256 is no width"},
		"align":           {Writing{}, Column{Align: "left"}, "columns[0].align: and fill do not go with xlsx"},
		"strftime":        {Writing{}, Column{Format: "%d.%m.%Y"}, `columns[0].format: "%d.%m.%Y" is a format of strftime: write it in a spreadsheet's terms`},
		"open quote":      {Writing{}, Column{Format: `0 "x`}, `columns[0].format: "0 \"x" is no number format: its '"' is not closed`},
		"open bracket":    {Writing{}, Column{Format: "[h"}, "columns[0].format: "},
		"last backslash":  {Writing{}, Column{Format: `0\`}, "columns[0].format: "},
		"words":           {Writing{}, Column{Format: "0 kg"}, `columns[0].format: "0 kg" is no number format: 'k' means nothing in it; text stands in double quotes`},
		"another tongue":  {Writing{}, Column{Format: "ДД.ММ.ГГГГ"}, `columns[0].format: "ДД.ММ.ГГГГ" is no number format: the letter 'Д' is not one of y m d h s`},
		"five parts":      {Writing{}, Column{Format: "0;0;0;0;0"}, "columns[0].format: "},
		"endless":         {Writing{}, Column{Format: strings.Repeat("0", 256)}, "columns[0].format: "},
	} {
		c.w.Format, c.column.Title = "xlsx", "a"
		if _, ps := NewEncoder(c.w, []Column{c.column}); len(ps) != 1 || !strings.HasPrefix(ps[0].String(), c.want) {
			t.Errorf("%s: %v, want %s", name, ps, c.want)
		}
	}
	for _, code := range []string{"General", "0", "#,##0.00", "0%", "0.00E+00", "# ?/?", "@", "yyyy-mm-dd", "[h]:mm:ss", "h:mm AM/PM", `0" kg"`, `0\ \k\g`, "[$-419]d mmmm yyyy", "_-* #,##0.00 €_-", "[>100]0;[Red]-0;\"nil\""} {
		if _, ps := NewEncoder(Writing{Format: "xlsx"}, []Column{{Title: "a", Format: code}}); ps != nil {
			t.Errorf("%s: %v", code, ps)
		}
	}
}

func TestXLSXHasOnlySoManyRows(t *testing.T) {
	t.Parallel()
	e, _ := NewEncoder(Writing{Format: "xlsx", Titles: "skip"}, titled("a"))
	row := []Value{val(Absent, "")}
	err := e.Encode(io.Discard, func(yield func([]Value, error) bool) {
		for range xlsx.MaxRows + 1 {
			if !yield(row, nil) {
				return
			}
		}
	})
	if err == nil || !strings.Contains(err.Error(), "a sheet has at most 1048576 rows: write csv, or several files") {
		t.Error(err)
	}
}

// python is Debian's python3 with a module, or the test is skipped.
func python(t *testing.T, module string) string {
	t.Helper()
	const path = "/usr/bin/python3"
	if err := exec.Command(path, "-c", "import "+module).Run(); err != nil {
		t.Skipf("%s has no %s (scripts/test-deps.sh installs it)", path, module)
	}
	return path
}

func runPython(t *testing.T, path, script string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, append([]string{"-c", script}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestXLSXOpensInOpenpyxl has a second implementation say what it sees.
func TestXLSXOpensInOpenpyxl(t *testing.T) {
	t.Parallel()
	py := python(t, "openpyxl")
	name := filepath.Join(t.TempDir(), "sold.xlsx")
	must(t, os.WriteFile(name, xlsxOf(t, Writing{Sheet: "Продажи"}, soldColumns(), soldRow(), []Value{val(Date, "08:15:30"), val(Text, "=1+1"), val(Number, "12345678901234567890"), val(Bool, "true"), {}, {}, val(Text, "a\n<b>")}), 0o600))
	got := runPython(t, py, `
import openpyxl, sys
book = openpyxl.load_workbook(sys.argv[1])
sheet = book.active
print(book.sheetnames, sheet.dimensions, sheet.freeze_panes, sheet.column_dimensions["A"].width, sheet["A1"].font.b, sheet["A1"].fill.fgColor.rgb)
for row in sheet.iter_rows():
    for c in row:
        if c.value is not None:
            print(c.coordinate, c.data_type, repr(c.value), c.number_format, c.quotePrefix or "")
`, name)
	want := `['Продажи'] A1:G3 A2 18.0 True FFDDE3EA
A1 s 'Дата' General
B1 s 'Артикул' General
C1 s 'Сумма' General
D1 s 'Share' General
E1 s 'Price' General
F1 s 'Day' General
G1 s 'Plain' General
A2 d datetime.datetime(2026, 11, 21, 8, 15) dd.mm.yyyy hh:mm
B2 s '0010' General
C2 n 1234.5 # ##0.00
D2 n 0.125 0.0%
E2 n -7 #,##0.00" €";[Red]-#,##0.00" €"
F2 d datetime.datetime(2026, 11, 22, 0, 0) dd.mm.yyyy hh:mm
G2 n 3 General
A3 d datetime.time(8, 15, 30) dd.mm.yyyy hh:mm
B3 s '=1+1' @ True
C3 s '12345678901234567890' General
D3 b True General
G3 s 'a\n<b>' General
`
	if d := cmp.Diff(want, strings.ReplaceAll(got, " \n", "\n")); d != "" {
		t.Error(d)
	}
}
