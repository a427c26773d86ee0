package formats

import (
	"fmt"
	"strings"
	"testing"
)

func TestLinesOfJSONAreToldApartByKind(t *testing.T) {
	t.Parallel()
	parts := []Part{
		{Role: Header, Kind: "H", Wants: paths("day", "day")},
		{Role: Trailer, Kind: "T", Wants: paths("count", "$.sums.count")},
		{Name: "order", Kind: "1", Wants: []Want{{Name: "no", From: []string{"no", "id"}}, {Name: "to", From: []string{"to"}, List: true, Fields: paths("at", "at")},
			{Name: "lines", List: true, Kind: "L", Fields: append(paths("sku", "sku"), Want{Name: "lots", From: []string{"lots"}, List: true, Fields: paths("n", "n")})}}},
		{Name: "note", Kind: "N", Wants: paths("text", "text")},
	}
	o := Options{Format: "ndjson", Kind: "meta.kind", Ignore: []string{"X"}}
	line := func(kind, rest string) string { return `{"meta":{"kind":` + kind + `}` + rest + "}\n" }
	head, tail := line(`"H"`, `,"day":"d"`), line(`"T"`, `,"sums":{"count":2}`)
	checkParts(t, o, parts, []partsCase{
		{head + line("1", `,"id":"A","to":[{"at":1},{"at":2}]`) + line(`"L"`, `,"sku":"x","lots":[{"n":5},{}]`) + "\n" + line(`"X"`, "") + line(`"L"`, `,"sku":"y"`) + line(`"N"`, `,"text":"é"`) + tail,
			`header "d"; order "A" [1 | 2] ["x" [5 | ∅] | "y" ∅]; note "é"; trailer 2`},
		{head + line("2", "") + tail, `header "d"; reject line 2: the line is of kind "2", which is none of 1 (order), H (header), L (details), N (note), T (trailer), X (ignored); ignore: passes kinds over; trailer 2`},
		{head + `{"no":1}` + "\n" + tail, `header "d"; reject line 2: the line has no member meta.kind, which tells its kind; trailer 2`},
		{head + line("[]", "") + tail, `header "d"; reject line 2: the member meta.kind, which tells the kind of the line, is a list or an object; trailer 2`},
		{head + "[1]\n" + tail, `header "d"; reject line 2: the record is not an object; trailer 2`},
		{head + line(`"N"`, `,"text":`) + tail, `header "d"; reject line 2: unexpected "}", there should be a value; trailer 2`},
		{head + line(`"L"`, "") + tail, `header "d"; reject line 2: the line is of kind "L", which follows a record, but stands behind none that it could belong to; trailer 2`},
		{head, `header "d" ! line 1: the file ends without its trailer (kind T): cut?`},
		{tail, ` ! line 1: the file begins with trailer (kind T), its header (kind H) should stand first: is the beginning cut off?`},
		{head + tail + head, `header "d"; trailer 2 ! line 3: header (kind H) stands behind the trailer of the file: two files in one?`},
		{"", ""},
	})
	around := []Part{{Role: Header, Wants: paths("a", "a")}, {Wants: paths("b", "b")}, {Role: Trailer, Wants: paths("c", "c")}}
	checkParts(t, Options{Format: "ndjson"}, around, []partsCase{
		{`{"a":1}` + "\n\n" + `{"b":2}` + "\n" + `{"b":3}` + "\n" + `{"c":4}` + "\n \n", `header 1; 2; 3; trailer 4`},
		{`{"a":1}` + "\n" + `{"c":4}`, `header 1; trailer 4`},
	})
}

func TestWhatIsWrongWithPartsOfLinesOfJSONIsToldByPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o     Options
		parts []Part
		want  string
	}{
		{Options{Kind: "a..b"}, []Part{{Kind: "x", Wants: paths("a", "a")}}, `[kind: "a..b" is no path: write names joined by dots, with [0] for an element and ["any key"] for an odd name]`},
		{Options{}, []Part{{Kind: "x", Wants: paths("a", "a")}}, "[kind: missing: it says where the kind of a line stands]"},
		{Options{Kind: "k"}, []Part{{Wants: paths("a", "a")}, {Role: Trailer, Wants: paths("b", "b")}}, "[kind: nothing goes by it: name the kind of header, trailer, block or records, or what to ignore]"},
		{Options{Kind: "k"}, []Part{{Kind: "x", Wants: []Want{{Name: "l", List: true, Kind: "y", From: []string{"c"}, Fields: paths("a", "a")}}}},
			"[fields.l.from: does not go with kind: the list is made of the lines that follow]"},
	} {
		c.o.Format = "ndjson"
		if _, ps := NewParts(c.o, c.parts); fmt.Sprint(ps) != c.want {
			t.Errorf("%v\nwant %s", ps, c.want)
		}
	}
}

// Lines that follow a record are bounded together: their bytes, and the fields in them however deep.
func TestLinesOfJSONThatFollowARecordAreLimited(t *testing.T) {
	t.Parallel()
	parts := []Part{{Name: "m", Kind: "m", Wants: []Want{{Name: "d", List: true, Kind: "d", Fields: []Want{{Name: "x", From: []string{"x"}, List: true, Fields: paths("y", "y")}}}}}}
	text := `{"k":"m"}` + "\n" + strings.Repeat(`{"k":"d","x":[{},{},{},{}]}`+"\n", 50)
	for limit, o := range map[string]Limits{"max_cells": {MaxCells: 100}, "max_record": {MaxRecord: 1000}} {
		d := partsDecoder(t, Options{Format: "ndjson", Kind: "k", Limits: o}, parts...)
		if _, err := readParts(d, parts, blobOf(text)); err == nil || !strings.Contains(err.Error(), limit) {
			t.Errorf("%s: %v", limit, err)
		}
	}
}
