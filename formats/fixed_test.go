package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"waybill/formats/formatstest"
)

func places(pairs ...string) []Want {
	var ws []Want
	for i := 0; i < len(pairs); i += 2 {
		ws = append(ws, Want{Name: pairs[i], From: []string{pairs[i+1]}})
	}
	return ws
}

// TestFixedColumnsAreThoseOfTheText compares with cutting each line by its characters, in the plainest way.
func TestFixedColumnsAreThoseOfTheText(t *testing.T) {
	t.Parallel()
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("ab 1éЖ€😀")), 6, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		d, ps := New(Options{Format: "fixed"}, places("a", "1-3", "b", "4", "c", "5+2", "d", "6-"))
		if ps != nil {
			t.Fatal(ps)
		}
		list := rapid.SliceOfN(letters, 0, 20).Draw(t, "lines")
		r := drip{strings.NewReader(strings.Join(list, "\r\n")), rapid.IntRange(1, 9).Draw(t, "at a time")}
		n := 0
		for rec, err := range d.Decode(Blob{Reader: r, Size: 0}) {
			if err != nil {
				t.Fatal(err)
			}
			c := []rune(list[n])
			want := []string{string(c[:3]), string(c[3:4]), string(c[4:6]), string(c[5:])}
			for i, w := range want {
				if string(rec.Cells[i].Bytes) != w {
					t.Fatalf("%q: %s, want %q", list[n], show(rec.Cells), want)
				}
			}
			n++
		}
		if n != len(list) {
			t.Fatalf("%d records of %d", n, len(list))
		}
	})
}

// TestRecordsWithoutLineEnds writes records of one length in one encoding after the other and reads them back.
func TestRecordsWithoutLineEnds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"utf-8", "cp037", "cp500", "cp1047", "windows-1251", "utf-16le", "shift_jis"} {
		rapid.Check(t, func(t *rapid.T) {
			letters := []rune("AB 19.-")
			switch name {
			case "utf-8", "utf-16le":
				letters = append(letters, []rune("é€😀")...)
			case "shift_jis":
				letters = append(letters, []rune("日本")...)
			case "windows-1251":
				letters = append(letters, []rune("ЖЯ№")...)
			}
			list := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom(letters), 8, 8, -1), 0, 30).Draw(t, "records")
			data := bytes.Clone(newRecoder(name, false).recode([]byte(strings.Join(list, ""))))
			d, ps := New(Options{Format: "fixed", Encoding: name, Ends: "none", Length: 8}, places("a", "1-5", "b", "6-"))
			if ps != nil {
				t.Fatal(ps)
			}
			n := 0
			for rec, err := range d.Decode(Blob{Reader: drip{bytes.NewReader(data), rapid.IntRange(1, 99).Draw(t, "at a time")}, Size: 0}) {
				if err != nil {
					t.Fatal(err)
				}
				if got := string(rec.Cells[0].Bytes) + string(rec.Cells[1].Bytes); got != list[n] {
					t.Fatalf("%s: %q, want %q", name, got, list[n])
				}
				n++
			}
			if n != len(list) {
				t.Fatalf("%s: %d records of %d", name, n, len(list))
			}
		})
	}
}

func TestWhatIsWrongWithFixedRecordsIsToldByColumn(t *testing.T) { // hostile input 35
	t.Parallel()
	for _, c := range []struct {
		o          Options
		text, want string
	}{
		{Options{}, "AAAABB\nAAAAB\n", `["AAAA" "BB" reject line 2: field b: stands in columns 5 to 6, but the record ends with column 5; if blanks at the end were cut off, say short: pad] <nil>`},
		{Options{TooShort: "pad"}, "AAAAB\nAA\n", `["AAAA" "B" "AA" ∅] <nil>`},
		{Options{}, "AAAABBB\n", `["AAAA" "BB"] <nil>`},
		{Options{Length: 7}, "AAAABBBB\nAAAABB\n", "[reject line 1: the record has 8 columns, there should be 7 reject line 2: the record has 6 columns, there should be 7; if blanks at the end were cut off, say short: pad] <nil>"},
		{Options{Unit: "bytes"}, "AAAéBB\n", `[reject line 1: field a: stands in columns 1 to 4, but column 4 lies inside a character of several bytes: is unit: characters meant?] <nil>`},
		{Options{Unit: "bytes"}, "ééBB\n", `["éé" "BB"] <nil>`},
		{Options{Unit: "characters"}, "AAAéBB\n", `["AAAé" "BB"] <nil>`},
		{Options{Unit: "bytes", Encoding: "windows-1252"}, "AAA\xe9BB\n", `["AAAé" "BB"] <nil>`},
		{Options{Unit: "bytes", Encoding: "shift_jis"}, "\x93\xfa\x96\x7bBB\n", `["日本" "BB"] <nil>`},
		{Options{Unit: "bytes", Encoding: "shift_jis"}, "A\x93\xfa\x96\x7bBB\n", `[reject line 1: field a: stands in columns 1 to 4, but column 4 lies inside a character`},
		{Options{Ends: "none", Length: 6}, "AAAABBCCCCDD", `["AAAA" "BB" "CCCC" "DD"] <nil>`},
		{Options{Ends: "none", Length: 6}, "AAAABBCCCCDD\r\n\x1a", `["AAAA" "BB" "CCCC" "DD"] <nil>`},
		{Options{Ends: "none", Length: 6}, "AAAABBCCCC", `["AAAA" "BB"] offset 6: the file ends in column 4 of record 2, each of which has 6: truncated?`},
		{Options{Ends: "none", Length: 6, Unit: "bytes"}, "AAAAB\u00e9CC", `[] offset 0: record 1 ends in the middle of a character: is unit: characters meant?`},
		{Options{Ends: "none", Length: 6, Encoding: "cp037"}, "\xc1\xc1\xc1\xc1\xc2\xc2\x15\x25\xc1\xc1\xc2\xc2", `["AAAA" "BB" "\n\nAA" "BB"] <nil>`},
		{Options{Encoding: "cp037"}, "\xc1\xc1\xc1\xc1\xc2\xc2\x15\xc3\xc3\xc3\xc3\xc2\xc2\x25", `["AAAA" "BB" "CCCC" "BB"] <nil>`},
		{Options{}, "", "[] <nil>"}, // hostile input 39
		{Options{}, "\n\r\n\n", "[] <nil>"},
		{Options{Ends: "none", Length: 6}, "", "[] <nil>"},
		{Options{}, "AAAA\x00B\n", "[] offset 4: a NUL byte"},
		{Options{}, "AAAA\xff\n", "[] offset 4: byte 0xff is not valid UTF-8"},
	} {
		c.o.Format = "fixed"
		d := decoder(t, c.o, places("a", "1-4", "b", "5+2")...)
		for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
			got, err := read(d, Blob{Reader: r, Size: -1})
			if s := fmt.Sprint(got, " ", err); !strings.HasPrefix(s, c.want) {
				t.Errorf("%q:\n got %s\nwant %s", c.text, s, c.want)
			}
		}
	}
}

func TestAFixedLineWithoutFieldsIsItsText(t *testing.T) {
	t.Parallel()
	for rec, err := range decoder(t, Options{Format: "fixed", Raw: true}).Decode(blobOf("a é\n")) {
		if err != nil || rec.Names[0] != "line" || string(rec.Cells[0].Bytes) != "a é" || string(rec.Raw) != "a é" || rec.Line != 1 {
			t.Errorf("%+v, %v", rec, err)
		}
	}
}

func TestAFixedRecordWithoutEndIsRefusedWithoutBuffering(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Format: "fixed"}, {Format: "fixed", Ends: "none", Length: 1 << 30}} {
		rest := &formatstest.Endless{Text: bytes.Repeat([]byte("x"), 64<<10), Left: 1 << 30}
		f := fileError(t, decoder(t, o, places("a", "1-4")...), Blob{Reader: rest, Size: -1})
		wantLimit(t, f, "max_record")
		if rest.Taken > 20<<20 {
			t.Errorf("%d bytes read", rest.Taken)
		}
	}
}

func TestPlacesOfFixedFields(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"7": "column 7", "7-12": "columns 7 to 12", "7-": "columns 7 to the end", "7+6": "columns 7 to 12", "7+1": "column 7", "7-7": "column 7"} {
		if p, err := parsePlace(text); err != nil || p.String() != want {
			t.Errorf("%s: %s, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "0", "-3", "0-3", "5-3", "x", "3-x", "3+", "3+0", "+3", "3-4-5", "3 - 4", "99999999999", "2147483647+2147483647", "-"} {
		if p, err := parsePlace(text); err == nil {
			t.Errorf("%q is taken as %s", text, p)
		}
	}
}

func FuzzFixed(f *testing.F) {
	for _, s := range []string{"AAAABB\n", "é\n", "\xff", "AAAAB", "AAAABB\r\n\x1a"} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, how uint8) {
		o := Options{Format: "fixed", Limits: fuzzLimits}
		o.Encoding = []string{"", "cp500", "shift_jis", "utf-8"}[how%4]
		if how&4 != 0 {
			o.Ends, o.Length = "none", 6
		}
		if how&8 != 0 {
			o.Unit = "bytes"
		}
		d := decoder(t, o, places("a", "1-4", "b", "5+2", "c", "2-")...)
		got, end := read(d, Blob{Reader: bytes.NewReader(data), Size: int64(len(data))})
		again, err := read(d, Blob{Reader: iotest.OneByteReader(bytes.NewReader(data)), Size: -1})
		if fmt.Sprint(got, end) != fmt.Sprint(again, err) {
			t.Fatalf("%q\nat once: %q, %v\nbyte by byte: %q, %v", data, got, end, again, err)
		}
		var fe *FileError
		if end != nil && (!errors.As(end, &fe) || fe.Offset < 0 || fe.Reason == "") {
			t.Fatalf("not a file's error with its place: %v", end)
		}
	})
}

func BenchmarkFixed(b *testing.B) {
	const row = "1000017AB-4711     12   199.902026-11-21W1Clermont-Ferrand    63000O  ok        \n"
	data := lines(benchRows, "", row)
	wants := places("id", "1-7", "sku", "8-17", "qty", "18+4", "price", "22-30", "day", "31-40", "site", "41-42", "city", "43-62", "zip", "63-67", "flag", "68", "note", "71-")
	b.Run("decode", func(b *testing.B) { benchDecode(b, decoder(b, Options{Format: "fixed"}, wants...), data, benchRows) })
	b.Run("ebcdic without line ends", func(b *testing.B) {
		packed := bytes.Clone(newRecoder("cp037", false).recode(bytes.ReplaceAll(data, []byte("\n"), nil)))
		benchDecode(b, decoder(b, Options{Format: "fixed", Encoding: "cp037", Ends: "none", Length: len(row) - 1}, wants...), packed, benchRows)
	})
	b.Run("floor=cut lines", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			sum := 0
			for line := range bytes.Lines(data) {
				for _, p := range [][2]int{{0, 7}, {7, 17}, {17, 21}, {21, 30}, {30, 40}, {40, 42}, {42, 62}, {62, 67}, {67, 68}, {70, 80}} {
					sum += len(bytes.TrimSpace(line[p[0]:min(p[1], len(line))]))
				}
			}
			if sum == 0 {
				b.Fatal("nothing")
			}
		}
	})
}
