package formats

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFixedWidthIsWritten(t *testing.T) {
	t.Parallel()
	columns := []Column{{Title: "no", Width: 6}, {Title: "qty", Width: 5, Fill: "0"}, {Title: "price", Width: 8}, {Title: "text", Width: 4, Align: "right", Fill: "*"}, {Title: "amount", Width: 4, Align: "left"}}
	for name, c := range map[string]struct {
		w    Writing
		rows [][]Value
		want string
	}{
		"lines": {Writing{}, [][]Value{
			{val(Text, "A-1"), val(Number, "-5"), val(Number, "24.90"), val(Text, "é"), val(Number, "7")},
			{val(Text, "A-1234"), val(Number, "12345"), val(Absent, ""), val(Null, ""), val(Bool, "true")}},
			"A-1   -0005   24.90***é7   \r\nA-123412345        ****true\r\n"},
		"comma, line feeds": {Writing{Lines: "lf", Decimal: ","}, [][]Value{{val(Text, "1.5"), val(Number, "1.5"), val(Number, "-0.10"), val(Text, ""), val(Absent, "")}},
			"1.5   001,5   -0,10****    \n"},
		"no line ends":  {Writing{Lines: "none"}, [][]Value{{val(Text, "a"), val(Number, "1"), val(Number, "2"), val(Text, "b"), val(Number, "3")}}, "a     00001       2***b3   "},
		"mainframe":     {Writing{Lines: "none", Encoding: "cp037"}, [][]Value{{val(Text, "A"), val(Number, "1"), val(Number, "2"), val(Text, "b"), val(Number, "3")}}, "\xc1\x40\x40\x40\x40\x40\xf0\xf0\xf0\xf0\xf1\x40\x40\x40\x40\x40\x40\x40\xf2\\\\\\\x82\xf3\x40\x40\x40"},
		"bytes":         {Writing{Lines: "lf", Unit: "bytes"}, [][]Value{{val(Text, "éé"), val(Absent, ""), val(Absent, ""), val(Text, "é"), val(Absent, "")}}, "éé  00000        **é    \n"},
		"bytes of gbk":  {Writing{Lines: "lf", Unit: "bytes", Encoding: "gbk"}, [][]Value{{val(Text, "中a"), val(Absent, ""), val(Absent, ""), val(Text, "中"), val(Absent, "")}}, "\xd6\xd0a   00000        **\xd6\xd0    \n"},
		"replaced":      {Writing{Lines: "lf", Encoding: "iso-8859-1", Unmappable: "replace"}, [][]Value{{val(Text, "Жa"), val(Absent, ""), val(Absent, ""), val(Text, ""), val(Absent, "")}}, "?a    00000        ****    \n"},
		"without rows":  {Writing{}, nil, ""},
		"with the mark": {Writing{Encoding: "utf-16", Lines: "none"}, [][]Value{{val(Text, "a"), val(Number, "1"), val(Number, "2"), val(Text, "b"), val(Number, "3")}}, "\xff\xfea\x00"},
	} {
		c.w.Format = "fixed"
		e, ps := NewEncoder(c.w, columns)
		if ps != nil {
			t.Fatal(ps)
		}
		var out bytes.Buffer
		if err := e.Encode(&out, rowsOf(c.rows...)); err != nil || out.String() != c.want && (name != "with the mark" || !strings.HasPrefix(out.String(), c.want)) {
			t.Errorf("%s: %q, %v\nwant %q", name, out.String(), err, c.want)
		}
	}
}

func TestFixedWidthCutsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		w    Writing
		v    Value
		want string
	}{
		"too long":       {Writing{}, val(Text, "abcd"), "takes 4 columns, but its place has 3: what is too long is not cut"},
		"bytes":          {Writing{Unit: "bytes"}, val(Text, "éé"), "takes 4 columns, but its place has 3"},
		"number":         {Writing{}, val(Number, "-100"), "takes 4 columns"},
		"line end":       {Writing{}, val(Text, "a\nb"), `'\n' cannot stand in a line of fixed width`},
		"without lines":  {Writing{Lines: "none"}, val(Text, "a\rb"), `'\r' cannot stand`},
		"nul":            {Writing{}, val(Text, "\x00"), `'\x00' cannot stand`},
		"not utf-8":      {Writing{}, val(Text, "\xff"), "not valid UTF-8"},
		"not in charset": {Writing{Encoding: "cp500"}, val(Text, "Ж"), "has no place in cp500"},
	} {
		c.w.Format = "fixed"
		e, ps := NewEncoder(c.w, []Column{{Title: "a", Width: 3}})
		if ps != nil {
			t.Fatal(ps)
		}
		err := e.Encode(&bytes.Buffer{}, rowsOf([]Value{c.v}))
		var bad *ValueError
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), `write row 1, column "a": `) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if before := e.(Checker).Checks()(0, c.v); !errors.As(before, &bad) || bad.Field != "a" || !strings.Contains(before.Error(), c.want) {
			t.Errorf("%s, beforehand: %v", name, before)
		}
	}
}

func TestFixedWidthProblemsOfWriting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		w      Writing
		column Column
		want   string
	}{
		"no width":  {Writing{}, Column{}, "columns[0].width: missing"},
		"align":     {Writing{}, Column{Width: 1, Align: "middle"}, `columns[0].align: "middle" is not known`},
		"fill":      {Writing{}, Column{Width: 1, Fill: "ab"}, `columns[0].fill: "ab" cannot fill`},
		"wide fill": {Writing{}, Column{Width: 1, Fill: "é"}, `columns[0].fill: "é" cannot fill`},
		"unit":      {Writing{Unit: "bits"}, Column{Width: 1}, `unit: "bits" is not known`},
		"wide":      {Writing{Unit: "bytes", Encoding: "utf-16le"}, Column{Width: 1}, "unit: bytes does not go with utf-16le"},
		"titles":    {Writing{Titles: "write"}, Column{Width: 1}, "titles: does not go with fixed"},
		"lines":     {Writing{Lines: "cr"}, Column{Width: 1}, `lines: "cr" is not known`},
	} {
		c.w.Format = "fixed"
		if _, ps := NewEncoder(c.w, []Column{c.column}); len(ps) != 1 || !strings.HasPrefix(ps[0].String(), c.want) {
			t.Errorf("%s: %v, want %s", name, ps, c.want)
		}
	}
}

// TestFixedWidthWrittenIsReadBack: the reader, told the same columns, gives the same texts.
func TestFixedWidthWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		encoding := rapid.SampledFrom([]string{"utf-8", "cp037", "cp1140", "windows-1252", "gbk", "shift_jis", "utf-16le", "iso-8859-15"}).Draw(t, "encoding")
		unit := rapid.SampledFrom([]string{"characters", "bytes"}).Draw(t, "unit")
		if encoding == "utf-16le" {
			unit = "characters"
		}
		ends := rapid.SampledFrom([]string{"lf", "crlf", "none"}).Draw(t, "ends")
		letters := []rune("ab1 -.,\"é")
		switch encoding {
		case "gbk", "shift_jis":
			letters = []rune("ab1 -.,\"中人")
		case "utf-8", "utf-16le":
			letters = []rune("ab1 -.,\"é中😀")
		}
		var columns []Column
		var wants []Want
		at := 1
		for i := range rapid.IntRange(1, 4).Draw(t, "columns") {
			c := Column{Title: fmt.Sprint("c", i), Width: rapid.IntRange(1, 8).Draw(t, "width"), Fill: "~", Align: rapid.SampledFrom([]string{"left", "right", ""}).Draw(t, "align")}
			columns = append(columns, c)
			wants = append(wants, Want{Name: c.Title, From: []string{fmt.Sprintf("%d+%d", at, c.Width)}})
			at += c.Width
		}
		w := Writing{Format: "fixed", Encoding: encoding, Unit: unit, Lines: ends}
		o := Options{Format: "fixed", Encoding: encoding, Unit: unit, Length: at - 1}
		if ends == "none" {
			o.Ends = "none"
		}
		e, ps := NewEncoder(w, columns)
		d, ps2 := New(o, wants)
		if ps != nil || ps2 != nil {
			t.Fatal(ps, ps2)
		}
		var rows [][]Value
		var want [][]string
		check := e.(Checker).Checks()
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			var row []Value
			var texts []string
			for i := range columns {
				text := string(rapid.SliceOfN(rapid.SampledFrom(letters), 0, columns[i].Width).Draw(t, "text"))
				v := val(Text, text)
				if check(i, v) != nil { // too wide in bytes
					v, text = val(Absent, ""), ""
				}
				row, texts = append(row, v), append(texts, text)
			}
			rows, want = append(rows, row), append(want, texts)
		}
		var out bytes.Buffer
		if err := e.Encode(&out, rowsOf(rows...)); err != nil {
			t.Fatal(err)
		}
		got, err := texts(d, Blob{Reader: bytes.NewReader(out.Bytes()), Size: int64(out.Len())})
		for _, row := range got {
			for i := range row {
				row[i] = strings.Trim(row[i], "~")
			}
		}
		if err != nil || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("%q: %q, %v; want %q", out.String(), got, err, want)
		}
	})
}

// A kind takes as many columns as its unit says, and all kinds as many as the longest.
func TestKindsOfFixedWidthAreMeasuredInTheirUnit(t *testing.T) {
	t.Parallel()
	part := func(role Role, name, kind string) WrittenPart {
		return WrittenPart{Role: role, Name: name, Kind: kind, Columns: []Column{{Title: "a", Width: 2}}}
	}
	for unit, want := range map[string]string{"characters": "Жx \nTy \n", "bytes": "Жx \nT y \n"} {
		e, ps := NewPartsEncoder(Writing{Format: "fixed", Unit: unit, Lines: "lf"}, []WrittenPart{part(Body, "a", "Ж"), part(Trailer, "", "T")})
		if ps != nil {
			t.Errorf("%s: %v", unit, ps)
			continue
		}
		var out strings.Builder
		err := e.EncodeParts(&out, func(yield func(Row, error) bool) {
			_ = yield(Row{Part: 0, Values: []Value{val(Text, "x")}}, nil) && yield(Row{Part: 1, Values: []Value{val(Text, "y")}}, nil)
		})
		if err != nil || out.String() != want {
			t.Errorf("%s: %q, %v\nwant %q", unit, out.String(), err, want)
		}
	}
}
