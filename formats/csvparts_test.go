package formats

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func cells(pairs ...string) []Want {
	var ws []Want
	for i := 0; i < len(pairs); i += 2 {
		ws = append(ws, Want{Name: pairs[i], Column: pairs[i+1]})
	}
	return ws
}

func TestRowsAreToldApartByKind(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Role: Header, Kind: "H", Wants: cells("day", "2")},
		{Role: Trailer, Kind: "T", Wants: cells("count", "B")},
		{Role: BlockHeader, Kind: "B", Wants: cells("account", "B")},
		{Name: "order", Kind: "O", Wants: append(cells("no", "2", "by", "3"), Want{Name: "lines", List: true, Kind: "L", Fields: cells("sku", "2", "qty", "3")})},
		{Name: "note", Kind: "N", Wants: cells("text", "2")},
	}
	o := Options{Format: "csv", Delimiter: ";", Kind: "1", Ignore: []string{"X"}}
	checkParts(t, o, parts, []partsCase{
		{"H;2026\nB;1\nO;A-1;bob\nL;\"x;y\";3\nL;z;4;extra\nX;;;;\nN;hi\nB;2\nO;A-2;eve\nT;2\n",
			`header "2026"; block.header "1"; order "A-1" "bob" ["x;y" "3" | "z" "4"]; note "hi"; block.header "2"; order "A-2" "eve" ∅; trailer "2"`},
		{"H;2026\nB;1\nN\nT;0\n", `header "2026"; block.header "1"; reject line 3: field text: stands in column 2, but the row has 1 cell; trailer "0"`},
		{"H;2026\nB;1\nO;1;\"a\"\"b\"\nL;1\nL;1;2\nT;0\n", `header "2026"; block.header "1"; reject line 4: field lines.qty: stands in column 3, but the row has 2 cells; trailer "0"`},
		{"H;2026\nB;1\nN;a\"b\nT;0\n", `header "2026"; block.header "1"; reject line 3: cell 2 holds a quote but does not start with one: put the cell in quotes and double those inside; trailer "0"`},
		{"H;2026\nB;1\n?;1\nT;0\n", `header "2026"; block.header "1"; reject line 3: the line is of kind "?", which is none of B (block.header), H (header), L (details), N (note), O (order), T (trailer), X (ignored); ignore: passes kinds over; trailer "0"`},
		{"H;2026\nB;1\nn;1\nT;0\n", `header "2026"; block.header "1"; reject line 3: the line is of kind "n", which is none of B (block.header), H (header), L (details), N (note), O (order), T (trailer), X (ignored), did you mean "N"?; ignore: passes kinds over; trailer "0"`},
		{"H;2026\nN;1\nT;0\n", `header "2026" ! line 2: note (kind N) stands outside a block: the block.header (kind B) is missing before it`},
		{"H;2026\nB;1\n", `header "2026"; block.header "1" ! line 2: the file ends without its trailer (kind T): cut?`},
		{"H\nB;1\nT;0\n", ` ! line 1: header (kind H): field day: stands in column 2, but the row has 1 cell`},
		{"", ""},
	})
	o.Format, o.Delimiter, o.Quote = "tsv", "", noQuote
	checkParts(t, o, parts, []partsCase{{"H\t\"\nB\t1\nT\t0\n", `header "\""; block.header "1"; trailer "0"`}})
	o.Columns = Columns{Extra: "reject", Missing: "ignore"}
	checkParts(t, o, parts, []partsCase{{"H\t1\nB\t1\nN\nN\ta\t\nN\ta\tb\nT\t0\n", `header "1"; block.header "1"; note ∅; note "a"; reject line 5: no field names column 3 (columns.extra: reject); trailer "0"`}})
}

func TestRowsOfSeveralKindsMayHaveTitles(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Name: "order", Kind: "O", Wants: append(columns("no"), Want{Name: "lines", List: true, Kind: "L", Fields: columns("sku")})},
		{Role: Trailer, Kind: "T", Wants: cells("n", "B")},
		{Role: Header, Kind: "H", Wants: columns("day")},
	}
	checkParts(t, Options{Format: "csv", Kind: "type"}, parts, []partsCase{
		{"no,type,sku,day\n,H,,d\n1,O,,\n,L,x,\n,L,y,\n,T\n", `header "d"; order "1" ["x" | "y"]; trailer "T"`},
		{"no,type,sku,day\n,H,,d\n1,O,\n,T\n", `header "d"; reject line 3: the row has 3 cells, there should be 4; trailer "T"`},
		{"no,type,sku,day\n1\n", ` ! line 2: the file begins with a line, its header (kind H) should stand first: is the beginning cut off?`},
		{"no,Type,sku,day\n", ` ! line 1: no column "type", which tells the kind of a row, did you mean "Type"?; the titles are "no", "Type", "sku", "day"`},
		{"no,type,day\n", ` ! line 1: no column "sku" for field records.order.fields.lines.sku; the titles are "no", "type", "day"`},
	})
}

func TestHeaderAndTrailerRowsWithoutKind(t *testing.T) {
	t.Parallel()
	parts := []Part{{Role: Header, Wants: cells("by", "A", "day", "2")}, {Wants: columns("sku", "qty")}, {Role: Trailer, Wants: cells("label", "1", "sum", "B")}}
	checkParts(t, Options{Format: "csv"}, parts, []partsCase{
		{"acme,\"2026\n11\"\nqty,sku\n1,a\n2,b\nTotal,3\n", `header "acme" "2026\n11"; "a" "1"; "b" "2"; trailer "Total" "3"`},
		{"\ufeffacme,2026,x\n\nqty,sku\n\n1,a\nTotal,3,,\n\n \n", `header "acme" "2026"; "a" "1"; trailer "Total" "3"`},
		{"acme,2026\nqty,sku\nTotal,3", `header "acme" "2026"; trailer "Total" "3"`},
		{"acme,2026\nqty,sku\n1,a,b\nTotal,3", `header "acme" "2026"; reject line 3: the row has 3 cells, there should be 2; a cell that holds ',' must stand in "; trailer "Total" "3"`},
		{"acme,2026\nqty,sku\nTotal", `header "acme" "2026" ! line 3: trailer: field sum: stands in column 2, but the row has 1 cell`},
		{"acme,2026\n", `header "acme" "2026" ! line 2: the file ends before the titles, which should stand in line 2`},
		{"acme\n", ` ! line 1: header: field day: stands in column 2, but the row has 1 cell`},
		{"acme,2026\nqty\nTotal,3", `header "acme" "2026" ! line 2: no column "sku" for field sku; the titles are "qty"`},
		{"", ""},
	})
	checkParts(t, Options{Format: "csv", Skip: 1, Comment: "#", Footer: 1}, parts, []partsCase{
		{"\"junk\n# c\nacme,2026\n# c\nqty,sku\n1,a\n#\"2,b\n2,b\nTotal,3\n# end\nprinted \"today\n# z\n", `header "acme" "2026"; "a" "1"; "b" "2"; trailer "Total" "3"`},
		{"junk\nacme,2026\nqty,sku\nprinted\n", `header "acme" "2026" ! line 2: the file ends without its trailer: cut?`},
		{"junk\nacme,2026\nprinted\n", `header "acme" "2026" ! line 3: the file ends before the titles, which should stand in line 3`},
	})
	zero := 0
	untitled := []Part{{Role: Header, Wants: cells("by", "A")}, {Wants: cells("x", "1")}, {Role: Trailer, Wants: cells("sum", "A")}}
	checkParts(t, Options{Format: "csv", Titles: &zero}, untitled, []partsCase{
		{"h\n1,2\n3,4\n5\n9\n", `header "h"; "1"; "3"; reject line 4: the row has 1 cell, there should be 2; trailer "9"`},
		{"h\n9\n", `header "h"; trailer "9"`},
	})
}

func TestLinesThatAreNoRows(t *testing.T) {
	t.Parallel()
	zero, four := 0, 4
	for _, c := range []struct {
		o          Options
		text, want string
	}{
		{Options{Skip: 2}, "Report\nof \"today\na,b\n1,2\n", `["1" "2"] <nil>`},
		{Options{Skip: 2, Titles: &four}, "Report\nof\nmore\na,b\n1,2\n", `["1" "2"] <nil>`},
		{Options{Skip: 1, Titles: &zero}, "Report\n1,2\n", `["1" "2"] <nil>`},
		{Options{Skip: 5}, "a,b\n1,2\n", `[] line 3: the file ends before the titles, which should stand in line 6`},
		{Options{Comment: "#"}, "# a\n\na,b\n#1,2\n1,2\n \n#", `["1" "2"] <nil>`},
		{Options{Comment: "//"}, "a,b\n/1,2\n//\"\n", `["/1" "2"] <nil>`},
		{Options{Comment: "#"}, "a,b\n1,\"x\n#y\"\n", `["1" "x\n#y"] <nil>`},
		{Options{Comment: "#", Titles: &zero}, "#\n1,2\n#\n3,4", `["1" "2" "3" "4"] <nil>`},
		{Options{Footer: 1}, "a,b\n1,2\n3,4\nTotal \"of all\n", `["1" "2" "3" "4"] <nil>`},
		{Options{Footer: 2}, "a,b\n1,2\n\nTotal\n\nprinted\n\n", `["1" "2"] <nil>`},
		{Options{Footer: 2}, "a,b\n1,\"2\n2\"\nTotal\nprinted", `["1" "2\n2"] <nil>`},
		{Options{Footer: 3}, "a,b\n1\n", `[] <nil>`},
		{Options{Footer: 1, Titles: &zero}, "1,2\n3,4\nend", `["1" "2" "3" "4"] <nil>`},
		{Options{Footer: 1}, "a,b\n1,2\n3,\xff\nend\n", `["1" "2"] offset 10: byte 0xff is not valid UTF-8`},
		{Options{Footer: 1, Encoding: "windows-1252"}, "a,b\n1,\xe9\nTotal\n", `["1" "é"] <nil>`},
		{Options{Footer: 1}, "\xff\xfea\x00,\x00b\x00\n\x001\x00,\x002\x00\n\x00x\x00\n\x00", `["1" "2"] <nil>`},
	} {
		c.o.Format = "csv"
		wants := columns("a", "b")
		if c.o.Titles == &zero {
			wants = cells("a", "1", "b", "2")
		}
		lines, err := read(decoder(t, c.o, wants...), blobOf(c.text))
		if got := fmt.Sprint(lines) + " " + fmt.Sprint(err); !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v %q: %s, want %s", c.o, c.text, got, c.want)
		}
		again, err2 := read(decoder(t, c.o, wants...), Blob{Reader: drip{strings.NewReader(c.text), 1}, Size: -1})
		if !slices.Equal(lines, again) || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Errorf("%q: %q, %v; byte by byte %q, %v", c.text, lines, err, again, err2)
		}
	}
}

func TestWhatIsWrongWithPartsOfTablesIsToldByPath(t *testing.T) {
	t.Parallel()
	zero, one := 0, 1
	for _, c := range []struct {
		o     Options
		parts []Part
		want  string
	}{
		{Options{Skip: -1, Footer: 1001}, []Part{{}}, "[skip: -1 is no number of lines: write 1 to 1000 footer: 1001 is no number of lines: write 1 to 1000]"},
		{Options{Skip: 1, Titles: &one}, []Part{{}}, "[titles: line 1 is one of those that skip passes over]"},
		{Options{Comment: ",#"}, []Part{{}}, `[comment: ",#" cannot start a comment: write up to 10 characters that no row starts with, as "#"]`},
		{Options{Titles: &one}, []Part{{Role: Header, Wants: cells("x", "1")}, {}}, "[titles: line 1 is that of the header, which has no kind: the titles stand below it]"},
		{Options{}, []Part{{Role: Header, Wants: columns("x")}, {}}, "[header.fields.x: the header stands above the titles: write column with its letter or number]"},
		{Options{Kind: "typ", Titles: &zero}, []Part{{Name: "a", Kind: "A"}}, `[kind: "typ" is no column: write its letter, as C, or its number from 1, as 3; there are no titles (titles: 0)]`},
		{Options{Kind: "1", Titles: &zero}, []Part{{Name: "a", Kind: "A", Wants: columns("x")}}, `[records.a.fields.x.from: there are no titles (titles: 0): write column with its letter or number]`},
		{Options{Kind: "1"}, []Part{{Name: "a", Kind: "A", Wants: []Want{{Name: "l", List: true, Fields: cells("x", "1")}}}}, `[records.a.fields.l: a row of csv holds no lists or objects: use group, or kind for a list of the lines that follow]`},
	} {
		c.o.Format = "csv"
		d, ps := NewParts(c.o, c.parts)
		if got := fmt.Sprint(ps); got != c.want || d != nil {
			t.Errorf("%+v: %s, want %s", c.parts, got, c.want)
		}
	}
	if _, ps := New(Options{Format: "json", Skip: 1, Comment: "#", Footer: 1}, nil); len(ps) != 3 {
		t.Error(ps)
	}
}

// TestCSVPartsAreThoseOfTheFile writes tables with what stands around them by a plan and reads them as the plan says.
func TestCSVPartsAreThoseOfTheFile(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Role: Header, Wants: cells("x", "2")},
		{Name: "a", Kind: "a", Wants: append(columns("v"), Want{Name: "l", List: true, Kind: "d", Fields: columns("v")})},
		{Name: "b", Kind: "b", Wants: columns("v")},
		{Role: Trailer, Wants: cells("x", "1")},
	}
	word := rapid.SampledFrom([]string{"x", "é", `"a""b"`, `"p,q"`, "", `"r` + "\n" + `s"`, "#no"})
	rapid.Check(t, func(t *rapid.T) {
		o := Options{Format: "csv", Kind: "k", Comment: "#", Skip: rapid.IntRange(0, 2).Draw(t, "skip"), Footer: rapid.IntRange(0, 3).Draw(t, "footer"), Ignore: []string{"z"}}
		d, ps := NewParts(o, parts)
		if ps != nil {
			t.Fatal(ps)
		}
		filler := func(file []string) []string {
			return append(file, rapid.SliceOfN(rapid.SampledFrom([]string{"", "# \" comment", "  "}), 0, 1).Draw(t, "filler")...)
		}
		plain := func(w string) string {
			if strings.HasPrefix(w, `"`) {
				w = strings.ReplaceAll(w[1:len(w)-1], `""`, `"`)
			}
			return fmt.Sprintf("%q", w)
		}
		file := slices.Repeat([]string{"skipped \""}, o.Skip)
		w := word.Draw(t, "header")
		file = filler(append(filler(file), "h,"+w))
		file = filler(append(file, "k,v"))
		want := []string{"header " + plain(w)}
		for range rapid.IntRange(0, 8).Draw(t, "rows") {
			w := word.Draw(t, "v")
			kind := rapid.SampledFrom([]string{"a", "b", "z"}).Draw(t, "kind")
			file = filler(append(file, kind+","+w))
			if kind == "b" {
				want = append(want, "b "+plain(w))
			}
			if kind != "a" {
				continue
			}
			var rows []string
			for range rapid.IntRange(0, 2).Draw(t, "details") {
				w := word.Draw(t, "detail")
				file, rows = filler(append(file, "d,"+w)), append(rows, plain(w))
			}
			list := "∅"
			if len(rows) > 0 {
				list = "[" + strings.Join(rows, " | ") + "]"
			}
			want = append(want, "a "+plain(w)+" "+list)
		}
		file, want = filler(append(file, "total,1")), append(want, `trailer "total"`)
		for range o.Footer {
			file = filler(append(file, "footer \""))
		}
		text := strings.Join(file, "\r\n") + rapid.SampledFrom([]string{"", "\n", "\r\n\r\n"}).Draw(t, "end")
		got, err := readParts(d, parts, Blob{Reader: drip{strings.NewReader(text), rapid.IntRange(1, 20).Draw(t, "at a time")}, Size: 0})
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%q\n%s\n%v\nwant\n%s", text, strings.Join(got, "\n"), err, strings.Join(want, "\n"))
		}
	})
}

// FuzzCSVParts reads tables with header, trailer, footer, comments and two kinds of rows.
func FuzzCSVParts(f *testing.F) {
	for _, s := range []string{"s\nh,1\nk,v\na,1\nd,2\n#x\nb,\"3\"\nend\nfoot\n", "\nh\nk,v\nend\n", "k,v\n"} {
		f.Add([]byte(s))
	}
	parts := []Part{
		{Role: Header, Wants: cells("x", "2")},
		{Name: "a", Kind: "a", Wants: append(columns("v"), Want{Name: "l", List: true, Kind: "d", Fields: columns("v")})},
		{Name: "b", Kind: "b", Wants: cells("v", "2")},
		{Role: Trailer, Wants: cells("x", "1")},
	}
	d := partsDecoder(f, Options{Format: "csv", Kind: "k", Skip: 1, Comment: "#", Footer: 1, Raw: true, Limits: fuzzLimits}, parts...)
	f.Fuzz(func(t *testing.T, data []byte) {
		inOrder(t, d, parts, data)
		_, _ = readParts(d, parts, Blob{Reader: bytes.NewReader(data), Size: -1})
	})
}
