package formats

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"waybill/formats/formatstest"
)

func partsDecoder(t testing.TB, o Options, parts ...Part) Decoder {
	t.Helper()
	d, ps := NewParts(o, parts)
	if len(ps) > 0 {
		t.Fatalf("NewParts: %v", ps)
	}
	return d
}

// readParts decodes a blob into one line a part, one a record error, and the final error.
func readParts(d Decoder, parts []Part, b Blob) (lines []string, end error) {
	number := int64(0)
	for rec, err := range d.Decode(b) {
		var bad *RecordError
		switch {
		case errors.As(err, &bad):
			number++
			if bad.Record != number {
				return lines, fmt.Errorf("record %d where %d should be", bad.Record, number)
			}
			lines = append(lines, "reject "+bad.Error())
		case err != nil:
			return lines, err
		default:
			p := parts[rec.Part]
			name := p.Name
			if p.Role != Body {
				name = p.Role.String()
				if rec.Number != 0 {
					return lines, fmt.Errorf("%s has number %d", name, rec.Number)
				}
			} else if number++; rec.Number != number {
				return lines, fmt.Errorf("record %d where %d should be", rec.Number, number)
			}
			lines = append(lines, strings.TrimSpace(name+" "+show(rec.Cells)))
		}
	}
	return lines, nil
}

// partsCase is a file of several parts and what it gives.
type partsCase struct {
	text string
	want string // lines that readParts gives, joined by "; ", and the error
}

func checkParts(t *testing.T, o Options, parts []Part, cases []partsCase) {
	t.Helper()
	d := partsDecoder(t, o, parts...)
	for _, c := range cases {
		for _, b := range []Blob{seekable(c.text), {Reader: iotest.OneByteReader(strings.NewReader(c.text)), ReaderAt: strings.NewReader(c.text), Size: -1}} {
			lines, err := readParts(d, parts, b)
			got := strings.Join(lines, "; ")
			if err != nil {
				got += " ! " + err.Error()
			}
			if got != c.want {
				t.Errorf("%q gives\n\t%s\nwant\n\t%s", c.text, got, c.want)
			}
		}
	}
}

func TestFixedLinesAreToldApartByKind(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Role: BlockHeader, Kind: "01", Wants: places("account", "3-5")},
		{Role: BlockTrailer, Kind: "07", Wants: places("closing", "3-5")},
		{Role: Body, Name: "movement", Kind: "04", Wants: append(places("amount", "3-5"), Want{Name: "details", List: true, Kind: "05", Fields: places("text", "3-6")})},
		{Role: Body, Name: "fee", Kind: "06", Wants: places("amount", "3-4")},
	}
	checkParts(t, Options{Format: "fixed", Kind: "1-2", Ignore: []string{"08"}}, parts, []partsCase{
		{"01ABC\n04100\n05text\n05more\n06xy\n07300\n", `block.header "ABC"; movement "100" ["text" | "more"]; fee "xy"; block.trailer "300"`},
		{"01ABC\r\n04100\r\n08zz\r\n05text\r\n04200\r\n07300", `block.header "ABC"; movement "100" ["text"]; movement "200" ∅; block.trailer "300"`},
		{"01AAA\n07000\n08\n01BBB\n07001\n\n  \n\x1a", `block.header "AAA"; block.trailer "000"; block.header "BBB"; block.trailer "001"`},
		{"", ""},
		{"\n\n", ""},
		{"01AAA\n09zzz\n04100\n07000\n", `block.header "AAA"; reject line 2: the line is of kind "09", which is none of 01 (block.header), 04 (movement), 05 (details), 06 (fee), 07 (block.trailer), 08 (ignored); ignore: passes kinds over; movement "100" ∅; block.trailer "000"`},
		{"01AAA\n05text\n07000\n", `block.header "AAA"; reject line 2: the line is of kind "05", which follows a record, but stands behind none that it could belong to; block.trailer "000"`},
		{"01AAA\n06xy\n05text\n07000\n", `block.header "AAA"; fee "xy"; reject line 3: the line is of kind "05", which follows a record, but stands behind none that it could belong to; block.trailer "000"`},
		{"01AAA\n041\n05text\n05more\n06xy\n07000\n", `block.header "AAA"; reject line 2: field amount: stands in columns 3 to 5, but the record ends with column 3; if blanks at the end were cut off, say short: pad; fee "xy"; block.trailer "000"`},
		{"01AAA\n04100\n05tex\n05more\n06xy\n07000\n", `block.header "AAA"; reject line 3: field details.text: stands in columns 3 to 6, but the record ends with column 5; if blanks at the end were cut off, say short: pad; fee "xy"; block.trailer "000"`},
		{"01AAA\n0\n07000\n", `block.header "AAA"; reject line 2: the line is of kind "0", which is none of 01 (block.header), 04 (movement), 05 (details), 06 (fee), 07 (block.trailer), 08 (ignored); ignore: passes kinds over; block.trailer "000"`},
		{"04100\n01AAA\n07000\n", ` ! line 1: movement (kind 04) stands outside a block: the block.header (kind 01) is missing before it`},
		{"01AAA\n07000\n06xy\n", `block.header "AAA"; block.trailer "000" ! line 3: fee (kind 06) stands outside a block: the block.header (kind 01) is missing before it`},
		{"01AAA\n04100\n01BBB\n", `block.header "AAA"; movement "100" ∅ ! line 3: a block begins, but the one that began in line 1 has no block.trailer (kind 07) yet`},
		{"07000\n", ` ! line 1: block.trailer (kind 07) stands where no block has begun: its block.header (kind 01) is missing`},
		{"01AAA\n04100\n05text\n", `block.header "AAA"; movement "100" ["text"] ! line 3: the file ends in the block that began in line 1, without its block.trailer (kind 07): cut?`},
		{"01A\n04100\n07000\n", ` ! line 1: block.header (kind 01): field account: stands in columns 3 to 5, but the record ends with column 3; if blanks at the end were cut off, say short: pad`},
	})
}

func TestFixedFilesHaveHeaderAndTrailer(t *testing.T) { // hostile input 35: missing trailer
	t.Parallel()
	byKind := []Part{
		{Role: Header, Kind: "H", Wants: append(places("day", "2-4"), Want{Name: "notes", List: true, Kind: "N", Fields: places("text", "2-4")})},
		{Role: Trailer, Kind: "T", Wants: places("count", "2-3")},
		{Role: Body, Wants: places("sku", "2-4")},
	}
	checkParts(t, Options{Format: "fixed", Kind: "1"}, byKind, []partsCase{
		{"H123\nNone\nNtwo\n1abc\n2def\nT02\n", `header "123" ["one" | "two"]; "abc"; "def"; trailer "02"`},
		{"H123\nT00\n", `header "123" ∅; trailer "00"`},
		{"1abc\nH123\n", ` ! line 1: the file begins with a record, its header (kind H) should stand first: is the beginning cut off?`},
		{"H123\n1abc\n", `header "123" ∅; "abc" ! line 2: the file ends without its trailer (kind T): cut?`},
		{"H123\nH124\nT00\n", `header "123" ∅ ! line 2: a second header: two files in one?`},
		{"H123\nT00\n1abc\n", `header "123" ∅; trailer "00" ! line 3: a record stands behind the trailer of the file: two files in one?`},
		{"H123\nT00\nH124\nT00\n", `header "123" ∅; trailer "00" ! line 3: header (kind H) stands behind the trailer of the file: two files in one?`},
		{"H123\nT0\n", `header "123" ∅ ! line 2: trailer (kind T): field count: stands in columns 2 to 3, but the record ends with column 2; if blanks at the end were cut off, say short: pad`},
		{"H123\nN\nT00\n", ` ! line 2: header (kind H): field notes.text: stands in columns 2 to 4, but the record ends with column 1; if blanks at the end were cut off, say short: pad`},
	})
	byPlace := []Part{
		{Role: Header, Wants: places("day", "1-3")},
		{Role: Body, Wants: places("sku", "1-3")},
		{Role: Trailer, Wants: places("count", "1-2")},
	}
	cases := []partsCase{
		{"123\nabc\ndef\n02\n", `header "123"; "abc"; "def"; trailer "02"`},
		{"123\nabc\ndef\n02", `header "123"; "abc"; "def"; trailer "02"`},
		{"123\r\n02\r\n\r\n \r\n", `header "123"; trailer "02"`},
		{"123\n", `header "123" ! line 1: the file ends without its trailer: cut?`},
		{"", ""},
		{"\ufeff123\n\nabc\n\n02\n", `header "123"; "abc"; trailer "02"`},
		{"123\nabc\nde\x00\n02\n", `header "123"; "abc" ! offset 10: a NUL byte, which no text has`},
	}
	checkParts(t, Options{Format: "fixed"}, byPlace, cases)
	checkParts(t, Options{Format: "fixed", Limits: Limits{MaxRecord: 40}}, byPlace, []partsCase{
		{"123\nabc\n" + strings.Repeat("x", 90) + "\n02\n", `header "123"; "abc" ! line 3: the record is longer than max_record, 40B`},
	})
}

func TestALineThatIsFollowedWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	parts := []Part{{Name: "a", Kind: "A", Wants: []Want{{Name: "rows", List: true, Kind: "B", Fields: places("x", "2")}}}}
	d := partsDecoder(t, Options{Format: "fixed", Kind: "1"}, parts...)
	r := &formatstest.Endless{Text: []byte("Bx\n"), Left: 1 << 30}
	_, err := readParts(d, parts, Blob{Reader: io.MultiReader(strings.NewReader("Ay\n"), r), Size: -1})
	var bad *FileError
	if !errors.As(err, &bad) || bad.Limit != "max_record" && bad.Limit != "max_cells" || r.Taken > 16<<20 {
		t.Fatalf("%v after %d bytes", err, r.Taken)
	}
}

func TestWhatIsWrongWithPartsOfLinesIsToldByPath(t *testing.T) {
	t.Parallel()
	list := func(kind string) Want { return Want{Name: "l", List: true, Kind: kind, Fields: places("x", "1")} }
	for _, c := range []struct {
		o     Options
		parts []Part
		want  string
	}{
		{Options{}, []Part{{Name: "a", Kind: "A"}}, "[kind: missing: it says where the kind of a line stands]"},
		{Options{Kind: "1-2"}, []Part{{}}, "[kind: nothing goes by it: name the kind of header, trailer, block or records, or what to ignore]"},
		{Options{Kind: "1-"}, []Part{{Name: "a", Kind: "A"}}, `[kind: "1-" has no end: write the columns of the kind alone, as 1-2]`},
		{Options{Kind: "x"}, []Part{{Name: "a", Kind: "A"}}, `[kind: "x" is no place in a line: write 7, 7-12, 7- or 7+6, counting columns from 1]`},
		{Options{Kind: "1-9", Length: 5}, []Part{{Name: "a", Kind: "A"}}, `[kind: "1-9" lies beyond length, 5]`},
		{Options{Kind: "1"}, []Part{{Name: "a", Kind: "A"}, {Name: "b", Kind: "A"}}, `[records.b.kind: lines of kind "A" are a already]`},
		{Options{Kind: "1"}, []Part{{Name: "a", Kind: "A"}, {Name: "b"}}, `[records.b.kind: missing: where there are several kinds of records each says which text at kind tells it]`},
		{Options{Kind: "1", Ignore: []string{"A"}}, []Part{{Name: "a", Kind: "A"}}, `[ignore: lines of kind "A" are a already]`},
		{Options{Kind: "1"}, []Part{{Name: "a", Kind: "A"}, {Role: BlockHeader, Wants: places("x", "2")}}, "[block.header.kind: missing: it is the text at kind that tells such a line]"},
		{Options{}, []Part{{}, {Role: BlockTrailer}}, "[block.trailer.kind: missing: it is the text at kind that tells such a line]"},
		{Options{}, []Part{{Role: Header}}, "[records: missing: header and trailer stand around records]"},
		{Options{Ends: "none", Length: 5}, []Part{{Role: Trailer}, {}}, "[trailer.kind: missing: without line ends the trailer is known by its kind only]"},
		{Options{Kind: "1"}, []Part{{Name: "a", Kind: "A", Wants: []Want{list("A")}}}, `[records.a.fields.l.kind: lines of kind "A" are a already]`},
		{Options{Kind: "1"}, []Part{{Name: "a", Kind: "A", Wants: []Want{list("B"), list("B")}}}, `[records.a.fields.l.kind: lines of kind "B" are another list already]`},
		{Options{Kind: "1"}, []Part{{Name: "a", Kind: "A", Wants: []Want{{Name: "l", List: true, Kind: "B"}}}}, `[records.a.fields.l.fields: missing: name the fields of the lines that follow]`},
		{Options{Kind: "1"}, []Part{{Name: "a", Kind: "A", Wants: []Want{{Name: "l", Kind: "B"}}}}, `[records.a.fields.l.kind: goes with type list, which the lines of that kind become]`},
		{Options{Kind: "1"}, []Part{{Name: "a", Kind: "A", Wants: []Want{{Name: "l", List: true, Kind: "B", From: []string{"1"}, Fields: places("x", "0")}}}},
			`[records.a.fields.l.from: does not go with kind: the list is made of the lines that follow records.a.fields.l.fields.x.from: "0" is no place in a line: write 7, 7-12, 7- or 7+6, counting columns from 1]`},
		{Options{Kind: "1"}, []Part{{Name: "a", Kind: "A", Wants: []Want{{Name: "l", List: true, Kind: "B", Fields: []Want{list("C")}}}}},
			`[records.a.fields.l.fields: lines that follow a record have none that follow them: give both kinds to the record]`},
		{Options{Kind: "1"}, []Part{{Role: Header, Kind: "H", Wants: places("x", "y")}, {}}, `[header.fields.x.from: "y" is no place in a line: write 7, 7-12, 7- or 7+6, counting columns from 1]`},
	} {
		c.o.Format = "fixed"
		d, ps := NewParts(c.o, c.parts)
		if got := fmt.Sprint(ps); got != c.want || d != nil {
			t.Errorf("%+v: %s, want %s", c.parts, got, c.want)
		}
	}
}

// TestFixedPartsAreThoseOfTheFile writes files of blocks by a plan and reads them as the plan says.
func TestFixedPartsAreThoseOfTheFile(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Role: Header, Kind: "00", Wants: places("x", "3-")},
		{Role: BlockHeader, Kind: "01", Wants: places("x", "3-")},
		{Name: "m", Kind: "04", Wants: append(places("x", "3-"), Want{Name: "d", List: true, Kind: "05", Fields: places("y", "3-4", "z", "5-")})},
		{Name: "f", Kind: "é", Wants: places("x", "3-")},
		{Role: BlockTrailer, Kind: "07", Wants: places("x", "3-")},
		{Role: Trailer, Wants: places("x", "1-")},
	}
	d := partsDecoder(t, Options{Format: "fixed", Kind: "1-2", Ignore: []string{"08"}}, parts...)
	text := rapid.StringMatching(`[a-zé€ 0-9]{2,9}[a-z]`)
	rapid.Check(t, func(t *rapid.T) {
		var file, want []string
		line := func(kind, part string) {
			x := text.Draw(t, "text")
			file = append(file, kind+x)
			if part != "" {
				want = append(want, part+" "+fmt.Sprintf("%q", x))
			}
			if rapid.IntRange(0, 5).Draw(t, "between") == 0 {
				file = append(file, rapid.SampledFrom([]string{"", "08 whatever", "  "}).Draw(t, "filler"))
			}
		}
		line("00", "header")
		for range rapid.IntRange(0, 3).Draw(t, "blocks") {
			line("01", "block.header")
			for range rapid.IntRange(0, 5).Draw(t, "records") {
				if rapid.Bool().Draw(t, "fee") {
					line("é ", "f")
					continue
				}
				line("04", "m")
				rows := make([]string, rapid.IntRange(0, 3).Draw(t, "details"))
				for i := range rows {
					line("05", "")
					x := []rune(file[len(file)-1])
					for k := 1; string(x[:min(2, len(x))]) != "05"; k++ {
						x = []rune(file[len(file)-1-k])
					}
					rows[i] = fmt.Sprintf("%q %q", string(x[2:4]), string(x[4:]))
				}
				if len(rows) == 0 {
					want[len(want)-1] += " ∅"
				} else {
					want[len(want)-1] += " [" + strings.Join(rows, " | ") + "]"
				}
			}
			line("07", "block.trailer")
		}
		x := text.Draw(t, "trailer")
		file, want = append(file, x), append(want, fmt.Sprintf("trailer %q", x))
		whole := strings.Join(file, rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "ends"))
		got, err := readParts(d, parts, Blob{Reader: drip{strings.NewReader(whole), rapid.IntRange(1, 9).Draw(t, "at a time")}, Size: 0})
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%q\n%s\n%v\nwant\n%s", whole, strings.Join(got, "\n"), err, strings.Join(want, "\n"))
		}
	})
}
