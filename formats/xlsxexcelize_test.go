package formats

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"waybill/formats/xlsx"
)

// The reader is held against excelize, cell by cell, on workbooks that differ in all they can.

// Formats of numbers, and what a cell in them is to us. Those of dates are written so that excelize shows what we give.
type dateShown uint8

const (
	showsDate dateShown = 1 << iota
	showsTime
)

var xlsxFormats = []struct {
	code  string
	shape dateShown
}{
	{"", 0}, {"0.00", 0}, {`#,##0.00\ "€";[Red]-#,##0.00`, 0}, {"[$-419]0.0%", 0}, {"0.00E+00", 0}, {"@", 0},
	{"yyyy-mm-dd", showsDate}, {"[$-419]yyyy\\-mm\\-dd;@", showsDate}, {`yyyy"-"mm"-"dd`, showsDate},
	{"yyyy-mm-dd hh:mm:ss", showsDate | showsTime}, {"[$-F400]hh:mm:ss", showsTime}, {"hh:mm:ss", showsTime},
}

var xlsxTexts = []string{"A-1001", "Артикул", " spaced ", "a&b<c>\"d'", "line\nbreak", "0010", "=1+1", "_x0041_", "😀", "1e5", "TRUE", "-"}

// randomBook makes a workbook by excelize's ways of writing: cell by cell, or as a stream.
func randomBook(t *testing.T, seed uint64) []byte {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 4))
	f := excelize.NewFile()
	defer f.Close()
	since04 := seed%3 == 0
	must(t, f.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &since04}))
	styles := make([]int, len(xlsxFormats))
	for i, x := range xlsxFormats {
		if x.code != "" {
			id, err := f.NewStyle(&excelize.Style{CustomNumFmt: &x.code})
			must(t, err)
			styles[i] = id
		}
	}
	var stream *excelize.StreamWriter
	if seed%2 == 1 {
		var err error
		stream, err = f.NewStreamWriter("Sheet1")
		must(t, err)
	}
	row := 0
	for range 30 {
		row += 1 + rnd.IntN(3)
		cells := make([]any, 8)
		for c := range cells {
			if rnd.IntN(4) == 0 {
				continue
			}
			style := rnd.IntN(len(xlsxFormats))
			v := randomCell(rnd, xlsxFormats[style].shape)
			if _, text := v.(string); text {
				style = 0
			}
			cells[c] = excelize.Cell{StyleID: styles[style], Value: v}
			if seed%2 == 0 {
				name, err := excelize.CoordinatesToCellName(c+1, row)
				must(t, err)
				must(t, f.SetCellValue("Sheet1", name, v))
				must(t, f.SetCellStyle("Sheet1", name, name, styles[style]))
			}
		}
		if seed%2 == 1 {
			name, err := excelize.CoordinatesToCellName(1, row)
			must(t, err)
			must(t, stream.SetRow(name, cells))
		}
	}
	if seed%2 == 1 {
		must(t, stream.Flush())
	}
	if seed%5 == 0 {
		must(t, f.MergeCell("Sheet1", "A1", "C2"))
	}
	var out bytes.Buffer
	must(t, f.Write(&out))
	return out.Bytes()
}

func randomCell(rnd *rand.Rand, look dateShown) any {
	day := float64(62 + rnd.IntN(80_000)) // excelize is a day off in the first sixty of 1904
	seconds := float64(rnd.IntN(86_400)) / 86_400
	switch look {
	case showsDate:
		return day
	case showsTime:
		return seconds
	case showsDate | showsTime:
		return day + seconds
	}
	switch rnd.IntN(7) {
	case 0, 1:
		return xlsxTexts[rnd.IntN(len(xlsxTexts))]
	case 2:
		return rnd.IntN(2) == 0
	case 3:
		return rnd.Int64N(1_000_000_000_000_000) - 500_000_000_000_000
	case 4:
		return float64(rnd.IntN(10_000_000)) / 100
	case 5:
		return math.Exp(20*rnd.Float64() - 10)
	}
	return rnd.IntN(100)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ours reads all columns by their letters; cells by name, and the names of cells with an error.
func ours(t *testing.T, data []byte, columns int) (map[string]Cell, map[string]string) {
	t.Helper()
	var wants []Want
	for i := range columns {
		wants = append(wants, Want{Name: xlsx.Letters(i + 1), Column: xlsx.Letters(i + 1)})
	}
	zero := 0
	cells, bad := map[string]Cell{}, map[string]string{}
	for rec, err := range decoder(t, Options{Format: "xlsx", Titles: &zero}, wants...).Decode(Blob{ReaderAt: bytes.NewReader(data), Size: int64(len(data))}) {
		if e, ok := err.(*RecordError); ok {
			name, reason, _ := strings.Cut(e.Reason, ": ")
			bad[name] = reason
			continue
		}
		must(t, err)
		for i, c := range rec.Cells {
			if c.Kind != Absent && len(c.Bytes) > 0 {
				cells[rec.Places[i]+strconv.FormatInt(rec.Line, 10)] = Cell{Kind: c.Kind, Bytes: bytes.Clone(c.Bytes)}
			}
		}
	}
	return cells, bad
}

// theirs reads the same with excelize: as it is kept, and as it is shown.
func theirs(t *testing.T, data []byte) (kept, shown map[string]string, types map[string]excelize.CellType) {
	t.Helper()
	f, err := excelize.OpenReader(bytes.NewReader(data))
	must(t, err)
	defer f.Close()
	kept, shown, types = map[string]string{}, map[string]string{}, map[string]excelize.CellType{}
	sheet := f.GetSheetName(0)
	for raw, into := range map[bool]map[string]string{true: kept, false: shown} {
		rows, err := f.GetRows(sheet, excelize.Options{RawCellValue: raw})
		must(t, err)
		for r, row := range rows {
			for c, v := range row {
				name, err := excelize.CoordinatesToCellName(c+1, r+1)
				must(t, err)
				if v != "" {
					into[name] = v
					types[name], err = f.GetCellType(sheet, name)
					must(t, err)
				}
			}
		}
	}
	return kept, shown, types
}

func compareCells(t *testing.T, data []byte, columns int) int {
	t.Helper()
	mine, bad := ours(t, data, columns)
	kept, shown, types := theirs(t, data)
	for name, c := range mine {
		if got := string(c.Bytes); !sameCell(c.Kind, got, kept[name], shown[name], types[name]) {
			t.Errorf("%s: kind %d %q; excelize keeps %q, shows %q, type %d", name, c.Kind, got, kept[name], shown[name], types[name])
		}
	}
	for name := range kept {
		_, refused := bad[name]
		if _, ok := mine[name]; !ok && !refused && len(bad) == 0 {
			t.Errorf("%s: %q is missing", name, kept[name])
		}
	}
	return len(mine)
}

func sameCell(k Kind, got, kept, shown string, typ excelize.CellType) bool {
	switch k {
	case Text:
		return got == kept && typ != excelize.CellTypeNumber
	case Bool:
		return typ == excelize.CellTypeBool && (got == "true") == (kept == "1" || kept == "TRUE")
	case Number:
		a, err := strconv.ParseFloat(got, 64)
		b, err2 := strconv.ParseFloat(kept, 64)
		return err == nil && err2 == nil && math.Abs(a-b) <= 6e-15*math.Abs(b) && !strings.ContainsAny(got, "eE")
	case Date:
		day, clock, both := strings.Cut(got, "T")
		switch {
		case strings.Contains(shown, "-") && strings.Contains(shown, ":"):
			return both && shown == day+" "+clock
		}
		return shown == got
	}
	return false
}

func TestXLSXAgreesWithExcelize(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			if n := compareCells(t, randomBook(t, seed), 8); n < 100 {
				t.Errorf("only %d cells were compared", n)
			}
		})
	}
}

// handBook writes a sheet as other programs do: with or without names of rows and cells, prefixes, quotes of either
// sort, blanks in tags, shared strings with runs.
func handBook(rnd *rand.Rand) bookOf {
	p := []string{"", "x:", "ss:"}[rnd.IntN(3)]
	q := []string{`"`, `'`}[rnd.IntN(2)]
	named := rnd.IntN(2) == 0
	var rows strings.Builder
	texts := ""
	for i, s := range []string{"one", "two &amp; three", "п", "&#x20;x"} {
		texts += []string{"<si><t>" + s + "</t></si>", "<si><r><t>" + s + "</t></r><r><t>" + s + "</t></r></si>"}[(i+rnd.IntN(2))%2]
	}
	for row := 1; row <= 25; row++ {
		fmt.Fprintf(&rows, "<%srow", p)
		if named {
			fmt.Fprintf(&rows, " r=%s%d%s spans=%s1:8%s", q, row, q, q, q)
		}
		rows.WriteString(">")
		for c := range 8 {
			attrs := ""
			if named {
				if rnd.IntN(3) == 0 {
					continue
				}
				attrs = " r=" + q + xlsx.CellName(c+1, int64(row)) + q
			}
			attr := func(k, v string) string { return " " + k + "=" + q + v + q }
			v := func(s string) string { return "<" + p + "v>" + s + "</" + p + "v>" }
			body := ""
			switch rnd.IntN(6) {
			case 0:
				attrs, body = attrs+attr("t", "s"), v(strconv.Itoa(rnd.IntN(4)))
			case 1:
				attrs, body = attrs+attr("t", "inlineStr"), "<"+p+"is><"+p+"t>in&lt;"+strconv.Itoa(c)+"</"+p+"t></"+p+"is>"
			case 2:
				attrs, body = attrs+attr("t", "b"), v(strconv.Itoa(rnd.IntN(2)))
			case 3:
				attrs, body = attrs+attr("t", "str"), "<"+p+"f>A1&amp;B1</"+p+"f>"+v("calc")
			case 4:
				attrs, body = attrs+attr("s", "1"), v(strconv.Itoa(61+rnd.IntN(90_000)))
			default:
				body = v(strconv.FormatFloat(math.Exp(30*rnd.Float64()-10), 'g', 17, 64))
			}
			fmt.Fprintf(&rows, "<%sc%s >%s</%sc>", p, attrs, body, p)
		}
		fmt.Fprintf(&rows, "</%srow>\r\n", p)
	}
	xmlns := "xmlns"
	if p != "" {
		xmlns += ":" + strings.TrimSuffix(p, ":")
	}
	return bookOf{strings: texts, formats: `<numFmt numFmtId="164" formatCode="[$-F800]yyyy\-mm\-dd"/>`, since04: rnd.IntN(2) == 0,
		sheet: `<?xml version="1.0"?><!-- made by hand --><` + p + `worksheet ` + xmlns + `="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><` + p + `sheetData>` +
			rows.String() + `</` + p + `sheetData></` + p + `worksheet>`}
}

func TestXLSXAgreesWithExcelizeOnForeignLayouts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			if n := compareCells(t, handBook(rand.New(rand.NewPCG(seed, 9))).bytes(t), 8); n < 50 {
				t.Errorf("only %d cells were compared", n)
			}
		})
	}
}
