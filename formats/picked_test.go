package formats

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// picked writes the second record of a text, with a reason.
func picked(t *testing.T, o Options, parts []Part, text string, pick ...int64) string {
	t.Helper()
	reasons := map[int64]string{}
	for _, n := range pick {
		reasons[n] = fmt.Sprintf("reason %d; is \"bad\"", n)
	}
	open := func() (Blob, func()) {
		r := strings.NewReader(text)
		return Blob{Reader: r, ReaderAt: strings.NewReader(text), Size: int64(len(text))}, func() {}
	}
	var b bytes.Buffer
	n, err := Picked(open, o, parts, Pick{Reasons: reasons}, &b)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(len(pick)) {
		t.Errorf("%d records were written, not %d", n, len(pick))
	}
	return b.String()
}

func TestPickedRecordsAreWrittenAsTheyCame(t *testing.T) {
	t.Parallel()
	two := 2
	none := 0
	for _, test := range []struct {
		name string
		o    Options
		text string
		want string
	}{
		{"csv", Options{Format: "csv", Delimiter: ";"}, "a;b\r\n1;2\r\n3;\"4\r\n5\"\r\n6;7\r\n", "a;b;reject_reason\r\n3;\"4\r\n5\";\"reason 2; is \"\"bad\"\"\"\r\n"},
		{"csv, a preamble and a byte order mark", Options{Format: "csv", Titles: &two}, "\ufeffReport\na,b\n1,2\n3,4\n", "\ufeffReport\na,b,reject_reason\n3,4,\"reason 2; is \"\"bad\"\"\"\n"},
		{"csv, no titles, no line end", Options{Format: "csv", Titles: &none, Quote: "none"}, "1,2\n3,4", "3,4,reason 2; is \"bad\""},
		{"csv, a row that cannot be read", Options{Format: "csv"}, "a,b\n1,2\n3\n5,6\n", "a,b,reject_reason\n3,\"reason 2; is \"\"bad\"\"\"\n"},
		{"csv, windows-1252", Options{Format: "csv", Encoding: "windows-1252"}, "\xe9,b\n1,2\n\xe9\xe0,4\n", "\xe9,b,reject_reason\n\xe9\xe0,4,\"reason 2; is \"\"bad\"\"\"\n"},
		{"csv, the reason's title is taken", Options{Format: "csv"}, "a,reject_reason\n1,2\n3,4\n", "a,reject_reason,reject_reason_2\n3,4,\"reason 2; is \"\"bad\"\"\"\n"},
		{"utf-16", Options{Format: "csv"}, "\xff\xfea\x00\n\x001\x00\n\x002\x00\n\x00", "\xff\xfe" + wide("a,reject_reason\n2,\"reason 2; is \"\"bad\"\"\"\n")},
		{"fixed", Options{Format: "fixed"}, "aa11\nbb22\ncc33\n", "bb22  reason 2; is \"bad\"\n"},
		{"fixed, of one length", Options{Format: "fixed", Length: 4}, "aa11\nbb22\ncc33\n", "bb22\n"},
		{"ndjson", Options{Format: "ndjson"}, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", "{\"a\":2, \"reject_reason\": \"reason 2; is \\\"bad\\\"\"}\n"},
		{"json", Options{Format: "json", Records: "x.y"}, `{"h":1,"x":{"y":[{"a":1}, {"a":{}} , {}]},"t":2}`, `{"h":1,"x":{"y":[{"a":{}, "reject_reason": "reason 2; is \"bad\""}]},"t":2}`},
		{"xml", Options{Format: "xml", Records: "/Os/O"}, "<?xml version=\"1.0\"?>\n<Os v='1'><H/><O>1</O>\n<O n=\"2\">x</O>\n<O/><T/></Os>", "<?xml version=\"1.0\"?>\n<Os v='1'><H/><!-- reason 2; is \"bad\" -->\n<O n=\"2\">x</O><T/></Os>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			wants := []Want{{Name: "a", From: []string{"1"}}}
			if test.o.Format != "fixed" {
				wants = nil
			}
			if got := picked(t, test.o, []Part{{Wants: wants}}, test.text, 2); got != test.want {
				t.Errorf("\n%q, not\n%q", got, test.want)
			}
		})
	}
}

// TestPickedMessagesOfAnInterchangeMakeAnInterchange: what is written is read again whole, for UNZ counts what is in it.
func TestPickedMessagesOfAnInterchangeMakeAnInterchange(t *testing.T) {
	t.Parallel()
	const head, tail = "UNA:+.? 'UNB+UNOC:3+S+R+260101:0900+1'\r\n", "\r\nUNZ+3+1'\r\n"
	message := func(no string) string {
		return "UNH+" + no + "+ORDERS:D:96A:UN'BGM+220+A-" + no + "+9'UNT+3+" + no + "'"
	}
	wrong := strings.Replace(message("2"), "UNT+3", "UNT+4", 1) // its count is
	o := Options{Format: "edifact", Records: "ORDERS"}
	parts := []Part{{Wants: []Want{{Name: "no", From: []string{"BGM.2"}}}}}
	for _, c := range []struct {
		text, want string
		pick       []int64
	}{
		{head + message("1") + "\r\n" + message("2") + "\r\n" + message("3") + tail, head + message("1") + strings.Replace(tail, "3", "1", 1), []int64{1}},
		{head + message("1") + message("2") + message("3") + tail, head + message("2") + message("3") + strings.Replace(tail, "3", "2", 1), []int64{2, 3}},
		{head + message("1") + wrong + message("3") + tail, head + wrong + strings.Replace(tail, "3", "1", 1), []int64{2}},
		{head + message("1") + message("3") + wrong + tail, head + wrong + strings.Replace(tail, "3", "1", 1), []int64{3}},
	} {
		if got := picked(t, o, parts, c.text, c.pick...); got != c.want {
			t.Errorf("\n%q, not\n%q", got, c.want)
		}
	}
	open := func(text string) func() (Blob, func()) {
		return func() (Blob, func()) { return blobOf(text), func() {} }
	}
	one := head + message("1") + "UNZ+1+1'"
	for _, text := range []string{one + strings.Replace(one, "UNA:+.? '", "", 1), head + message("1") + "UNH+9+INVOIC:D:96A:UN'BGM+380+X'UNT+3+9'" + message("2") + tail} {
		var b bytes.Buffer
		if _, err := Picked(open(text), o, parts, Pick{Reasons: map[int64]string{2: "x"}}, &b); err == nil || !strings.Contains(err.Error(), "several interchanges") {
			t.Errorf("%q: %q, %v", text, b.String(), err)
		}
		b.Reset()
		if n, err := Picked(open(text), o, parts, Pick{Reasons: map[int64]string{2: "x"}, All: true}, &b); err != nil || n != 2 || b.String() != text {
			t.Errorf("all of it: %d, %v, %q", n, err, b.String())
		}
	}
}

func wide(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteString(string(r) + "\x00")
	}
	return b.String()
}

func TestSeveralPickedRecordsOfADocument(t *testing.T) {
	t.Parallel()
	got := picked(t, Options{Format: "json"}, []Part{{}}, ` [{"a":1},{"a":2},{"a":3}] `, 1, 3)
	if want := " [{\"a\":1, \"reject_reason\": \"reason 1; is \\\"bad\\\"\"},\n{\"a\":3, \"reject_reason\": \"reason 3; is \\\"bad\\\"\"}] "; got != want {
		t.Errorf("%q", got)
	}
	got = picked(t, Options{Format: "xml", Records: "/Os/O"}, []Part{{}}, `<Os><O>1</O><X/><O>2</O><O>3</O></Os>`, 1, 3)
	if want := "<Os><!-- reason 1; is \"bad\" -->\n<O>1</O>\n<!-- reason 3; is \"bad\" -->\n<O>3</O></Os>"; got != want {
		t.Errorf("%q", got)
	}
	if got = picked(t, Options{Format: "csv"}, []Part{{}}, "a\n1\n2\n"); got != "a,reject_reason\n" {
		t.Errorf("%q", got)
	}
}

func TestPickedRowsOfAWorkbook(t *testing.T) {
	t.Parallel()
	e, problems := NewEncoder(Writing{Format: "xlsx"}, []Column{{Title: "No"}, {Title: "On"}, {Title: "Qty"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var b bytes.Buffer
	err := e.Encode(&b, func(yield func([]Value, error) bool) {
		for _, no := range []string{"007", "008", "009"} {
			if !yield([]Value{{Text, []byte(no)}, {Date, []byte("2026-11-21")}, {Number, []byte("2.5")}}, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	out := picked(t, Options{Format: "xlsx"}, []Part{{Wants: []Want{{Name: "no", From: []string{"No"}}}}}, b.String(), 2)
	d, _ := New(Options{Format: "xlsx"}, nil)
	var got []string
	for rec, err := range d.Decode(Blob{Reader: strings.NewReader(out), ReaderAt: strings.NewReader(out), Size: int64(len(out))}) {
		if err != nil {
			t.Fatal(err)
		}
		row := strings.Join(rec.Names, ",") + ":"
		for _, c := range rec.Cells {
			row += " " + string(c.Bytes)
		}
		got = append(got, row)
	}
	if want := `No,On,Qty,reject_reason: 008 2026-11-21 2.5 reason 2; is "bad"`; len(got) != 1 || got[0] != want {
		t.Errorf("%q", got)
	}
}

// A record that is bad because of a line that follows it begins with its own line.
func TestAPickedRecordBeginsWithItsFirstLine(t *testing.T) {
	t.Parallel()
	parts := []Part{{Kind: "R", Wants: []Want{
		{Name: "n", Column: "2"},
		{Name: "lines", List: true, Kind: "L", Fields: []Want{{Name: "x", Column: "3", Must: true}}},
	}}}
	const text = "R,1,\nL,a,b\nR,2,\nL,c,d\nL,bad\nL,e,f\nR,3,\n"
	o := Options{Format: "csv", Kind: "1", Titles: new(0)}
	for _, test := range []struct {
		pick []int64
		want string
	}{
		{[]int64{2}, "R,2,\nL,c,d\nL,bad\nL,e,f\n"},
		{[]int64{1}, "R,1,\nL,a,b\n"},
	} {
		got := picked(t, o, parts, text, test.pick...)
		if got = strings.NewReplacer(`,"reason 1; is ""bad"""`, "", `,"reason 2; is ""bad"""`, "").Replace(got); got != test.want {
			t.Errorf("%v: %q, not %q", test.pick, got, test.want)
		}
	}
}

// A reason that stands within a field would be taken for its value when the mended file comes back.
func TestAReasonBehindALineIsInNoField(t *testing.T) {
	t.Parallel()
	const text = "aa11\nbb22\ncc33\n"
	for from, want := range map[string]string{
		"3-4": "bb22  reason 2; is \"bad\"\n",
		"3-":  "bb22\n",
		"3-9": "bb22\n", // the line is too short, which is what is wrong with it
		"3+2": "bb22  reason 2; is \"bad\"\n",
		"5":   "bb22\n",
	} {
		if got := picked(t, Options{Format: "fixed"}, []Part{{Wants: []Want{{Name: "a", From: []string{"1"}}, {Name: "b", From: []string{from}}}}}, text, 2); got != want {
			t.Errorf("%s: %q, not %q", from, got, want)
		}
	}
}

func TestPickedRowsStandWhereTheJobLooksForThem(t *testing.T) {
	t.Parallel()
	e, problems := NewEncoder(Writing{Format: "xlsx", Sheet: "Orders", Titles: skip}, []Column{{Title: "a"}, {Title: "b"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var b bytes.Buffer
	err := e.Encode(&b, func(yield func([]Value, error) bool) {
		for _, row := range [][2]string{{"orders of november", ""}, {"", ""}, {"No", "Qty"}, {"", ""}, {"7", "x"}, {"8", "2"}} {
			if !yield([]Value{{Text, []byte(row[0])}, {Text, []byte(row[1])}}, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	three, none := 3, 0
	for name, c := range map[string]struct {
		o    Options
		pick int64
		want string
	}{
		"titles in line 3":  {Options{Format: "xlsx", Titles: &three, Sheet: "Orders"}, 1, `No,Qty,reject_reason: 7 x reason 1; is "bad"`},
		"titles are found":  {Options{Format: "xlsx"}, 1, `No,Qty,reject_reason: 7 x reason 1; is "bad"`},
		"there are none":    {Options{Format: "xlsx", Titles: &none, Sheet: "1"}, 1, `1,2: orders of november reason 1; is "bad"`},
		"sheet by its name": {Options{Format: "xlsx", Sheet: "Orders"}, 2, `No,Qty,reject_reason: 8 2 reason 2; is "bad"`},
	} {
		out := picked(t, c.o, []Part{{}}, b.String(), c.pick)
		d, _ := New(c.o, nil) // the job that the mended file goes through
		var got []string
		for rec, err := range d.Decode(Blob{Reader: strings.NewReader(out), ReaderAt: strings.NewReader(out), Size: int64(len(out))}) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			row := strings.Join(rec.Names, ",") + ":"
			for _, cell := range rec.Cells {
				row += " " + string(cell.Bytes)
			}
			got = append(got, row)
		}
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
