package formats

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waybill/formats/xlsx"
)

// gridOf makes the rows of a sheet; a cell that starts with # is a number, an empty one is left out.
func gridOf(rows ...string) string {
	var b strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&b, `<row r="%d">`, i+1)
		for k, cell := range strings.Split(row, "|") {
			name := xlsx.CellName(k+1, int64(i+1))
			switch number, isNumber := strings.CutPrefix(cell, "#"); {
			case cell == "":
			case cell == "!":
				fmt.Fprintf(&b, `<c r="%s" t="e"><v>#REF!</v></c>`, name)
			case isNumber:
				fmt.Fprintf(&b, `<c r="%s"><v>%s</v></c>`, name, number)
			default:
				fmt.Fprintf(&b, `<c r="%s" t="inlineStr"><is><t>%s</t></is></c>`, name, cell)
			}
		}
		b.WriteString("</row>")
	}
	return b.String()
}

func xlsxParts(t *testing.T, o Options, parts []Part, sheet string) string {
	t.Helper()
	o.Format = "xlsx"
	data := bookOf{sheet: sheet}.bytes(t)
	lines, err := readParts(partsDecoder(t, o, parts...), parts, Blob{Reader: bytes.NewReader(data), ReaderAt: bytes.NewReader(data), Size: int64(len(data))})
	got := strings.Join(lines, "; ")
	if err != nil {
		got += " ! " + err.Error()
	}
	return got
}

func TestXLSXHeaderAndTrailerAreCells(t *testing.T) {
	t.Parallel()
	three := 3
	header := Part{Role: Header, Wants: append(places("campaign", "B1"), Want{Name: "day", From: []string{"B2"}, Date: true}, Want{Name: "who", From: []string{"Author", "By"}, Must: true})}
	body := Part{Wants: columns("Name", "Amount")}
	row := Part{Role: Trailer, Wants: []Want{{Name: "total", From: []string{"Amount"}, Must: true}, {Name: "label", Column: "A"}}}
	cell := Part{Role: Trailer, Wants: places("total", "B5", "none", "Z99")}
	for _, c := range []struct {
		o     Options
		parts []Part
		rows  []string
		want  string
	}{
		{Options{Titles: &three}, []Part{header, body}, []string{"Campaign|Spring|By||Bob", "Day|#46347", "Name|Amount", "a|#1", "b|#2"},
			`header "Spring" 2026-11-21 "Bob"; "a" 1; "b" 2`},
		{Options{}, []Part{body, header}, []string{"By|Bob|Author", "", "", "Amount|Name", "#1|a"}, `header "Bob" ∅ "Bob"; "a" 1`},
		{Options{}, []Part{header, body}, []string{"x|y", "Name|Amount", "a|#1"}, ` ! no cell above the titles holds "Author" or "By", right of which field header.who should stand`},
		{Options{}, []Part{header, body}, []string{"By|!", "Name|Amount"}, ` ! line 1: field header.campaign: B1: the cell holds the error #REF!`},
		{Options{}, []Part{body, row}, []string{"Name|Amount", "a|#1", "", "b|#2", "Total|#3", ""}, `"a" 1; "b" 2; trailer 3 "Total"`},
		{Options{}, []Part{body, row}, []string{"Name|Amount", "a|!", "Total|#3"}, `reject line 2: field Amount: B2: the cell holds the error #REF!; trailer 3 "Total"`},
		{Options{}, []Part{body, row}, []string{"Name|Amount", "a|#1", "Total|!"}, `"a" 1 ! line 3: field trailer.total: B3: the cell holds the error #REF!`},
		{Options{}, []Part{body, row}, []string{"Name|Amount"}, ` ! the sheet ends without the row of its trailer: cut?`},
		{Options{}, []Part{body, row}, []string{"Name|Amounts"}, ` ! line 1: no column "Amount" for field trailer.total, did you mean "Amounts"?; no column "Amount" for field Amount, did you mean "Amounts"?; in row 1 stand "Name", "Amounts", and none of the first 50 rows fits better`},
		{Options{}, []Part{body, cell}, []string{"Name|Amount", "a|#1", "b|#2", "", "|#3|x"}, `"a" 1; "b" 2; ∅ 3; trailer 3 ∅`},
		{Options{Sheet: "1"}, []Part{header, {}, row}, []string{"By|Bob", "", "Name|Amount", "a|#1", "T|#1"}, `header "Bob" ∅ "Bob"; "a" 1; trailer 1 "T"`},
		{Options{Sheet: "Orders"}, []Part{body}, []string{"Name|Amount", "a|#1"}, `"a" 1`},
		{Options{Sheet: "Other"}, []Part{body}, []string{"Name|Amount", "a|#1"}, ` ! offset 0: there is no sheet "Other"; the workbook has 1 sheet: ["Orders"]`},
		{Options{}, []Part{header, body}, nil, ``},
	} {
		if got := xlsxParts(t, c.o, c.parts, gridOf(c.rows...)); got != c.want {
			t.Errorf("%q gives\n\t%s\nwant\n\t%s", c.rows, got, c.want)
		}
	}
}

func TestWhatIsWrongWithPartsOfWorkbooksIsToldByPath(t *testing.T) {
	t.Parallel()
	zero := 0
	for _, c := range []struct {
		o     Options
		parts []Part
		want  string
	}{
		{Options{Records: "Orders"}, []Part{{}}, "[records: does not go with format xlsx, only with json, xml, edifact, protobuf: write sheet with the name or number of the sheet]"},
		{Options{}, []Part{{Name: "a", Kind: "A"}, {Role: BlockHeader, Kind: "x"}}, "[records.a: does not go with format xlsx: a sheet holds records of one kind block.header: does not go with format xlsx: a sheet holds records of one kind]"},
		{Options{}, []Part{{Role: Header, Kind: "x"}}, "[header.kind: does not go with format xlsx: its cells are named, as B1 records: missing: header and trailer stand around records]"},
		{Options{}, []Part{{}, {Role: Header}}, "[header.fields: missing: name what is to be taken]"},
		{Options{}, []Part{{}, {Role: Header, Wants: cells("x", "A")}}, "[header.fields.x.column: goes with records and trailer: write from with the name of the cell, as B1, or the text left of it]"},
		{Options{Titles: &zero}, []Part{{}, {Role: Header, Wants: places("x", "Label", "y", "B1")}, {Role: Trailer, Wants: places("z", "Label")}},
			"[header.fields.x.from: there are no titles (titles: 0): write the name of a cell, as B1 trailer.fields.z.from: there are no titles (titles: 0): write the name of a cell, as B1, or column with its letter or number]"},
		{Options{}, []Part{{}, {Role: Trailer, Wants: places("x", "ZZZ1", "y", "A9999999")}}, `[trailer.fields.x.from: "ZZZ1" lies beyond any sheet trailer.fields.y.from: "A9999999" lies beyond any sheet]`},
		{Options{}, []Part{{Wants: []Want{{Name: "l", List: true, From: []string{"l"}}}}, {Role: Header, Wants: places("x", "B1")}}, "[fields.l: a row of xlsx holds no lists or objects: use group]"},
	} {
		c.o.Format = "xlsx"
		d, ps := NewParts(c.o, c.parts)
		if got := fmt.Sprint(ps); got != c.want || d != nil {
			t.Errorf("%+v: %s, want %s", c.parts, got, c.want)
		}
	}
}

// TestXLSXPartsAreThoseOfTheSheet takes cells out of a grid in the plainest way and compares.
func TestXLSXPartsAreThoseOfTheSheet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		above := rapid.IntRange(1, 4).Draw(rt, "above")
		var grid [][]string
		cell := rapid.SampledFrom([]string{"", "", "x", "é", "#1", "#2.5"})
		for i := range above + 1 + rapid.IntRange(1, 6).Draw(rt, "rows") {
			row := []string{cell.Draw(rt, "a"), cell.Draw(rt, "b"), cell.Draw(rt, "c")}
			if i == above {
				row = []string{"Ta", "Tb", "Tc"}
			}
			if i > above && strings.Join(row, "") == "" {
				row[2] = "z"
			}
			grid = append(grid, row)
		}
		shown := func(s string) string {
			switch number, isNumber := strings.CutPrefix(s, "#"); {
			case s == "":
				return "∅"
			case isNumber:
				return number
			}
			return fmt.Sprintf("%q", s)
		}
		column, row := rapid.IntRange(0, 2).Draw(rt, "column"), rapid.IntRange(0, len(grid)-1).Draw(rt, "row")
		titles := above + 1
		parts := []Part{
			{Role: Header, Wants: places("h", xlsx.CellName(column+1, int64(row+1)))},
			{Role: Trailer, Wants: append(places("t", xlsx.CellName(column+1, int64(row+1)), "u", "Tb"), Want{Name: "v", Column: "3"})},
			{Wants: places("a", "Ta", "c", "Tc")},
		}
		want := []string{"header " + shown(grid[row][column])}
		for _, r := range grid[titles : len(grid)-1] {
			want = append(want, shown(r[0])+" "+shown(r[2]))
		}
		last := grid[len(grid)-1]
		want = append(want, "trailer "+shown(grid[row][column])+" "+shown(last[1])+" "+shown(last[2]))
		var rows []string
		for _, r := range grid {
			rows = append(rows, strings.Join(r, "|"))
		}
		if got := xlsxParts(t, Options{Titles: &titles}, parts, gridOf(rows...)); got != strings.Join(want, "; ") {
			rt.Fatalf("%q\n%s\nwant\n%s", rows, got, strings.Join(want, "; "))
		}
	})
}

// FuzzXLSXAround reads whatever stands in a sheet, with header and trailer.
func FuzzXLSXAround(f *testing.F) {
	f.Add(gridOf("By|Bob", "", "No|Qty", "a|#1", "T|#1"))
	f.Add(gridOf("No|Qty", "!|#1"))
	parts := []Part{{Role: Header, Wants: places("h", "B1", "l", "By")}, {Wants: places("no", "No")}, {Role: Trailer, Wants: places("q", "Qty", "x", "B9")}}
	limits := fuzzLimits
	limits.MaxPart, limits.MaxSheet, limits.MaxSheetCells = 64<<10, 64<<10, 10_000
	d := partsDecoder(f, Options{Format: "xlsx", Columns: Columns{Missing: "ignore"}, Limits: limits}, parts...)
	f.Fuzz(func(t *testing.T, sheet string) {
		data := bookOf{sheet: sheet, store: true}.bytes(t)
		inOrder(t, d, parts, data)
	})
}
