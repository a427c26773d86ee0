package formats

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestDuplicatesAmongManyMembersAreFound(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "json"})
	for _, n := range []int{1, 23, 24, 25, 100, 5_000} {
		var text strings.Builder
		text.WriteString(`{"x":{"deep":1},`)
		for i := range n {
			fmt.Fprintf(&text, `"m%d":{"m%d":0},`, i, i)
		}
		at := text.Len()
		if _, err := read(d, blobOf(text.String()+`"m":0}`)); err != nil {
			t.Errorf("%d members: %v", n, err)
		}
		_, err := read(d, blobOf(text.String()+`"m\u0030":0}`))
		var f *FileError
		if !errors.As(err, &f) || !strings.Contains(f.Reason, `"m0" stands twice`) || f.Offset != int64(at) {
			t.Errorf("%d members: %v, want offset %d", n, err, at)
		}
	}
}

func TestManyMembersAreReadInLinearTime(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	text.WriteString("{")
	for i := range 100_000 {
		fmt.Fprintf(&text, `"%d":1,`, i)
	}
	text.WriteString(`"x":2}`)
	begun := time.Now()
	got, err := read(decoder(t, Options{Format: "json"}, columns("x")...), blobOf(text.String()))
	if err != nil || fmt.Sprint(got) != "[2]" {
		t.Fatalf("%q, %v", got, err)
	}
	if took := time.Since(begun); took > time.Minute { // each with each would take minutes
		t.Errorf("took %s", took)
	}
}

func TestListsOfTheDocumentStayValid(t *testing.T) {
	t.Parallel()
	text := `{"sites":[{"id":"a\n","x":[{"y":1}]},{"id":"b"}],"items":[{"k":"\u0041"},{"k":"\u0042"}]}`
	d := decoder(t, Options{Format: "json", Records: "items"},
		Want{Name: "s", From: []string{"$.sites"}, List: true, Fields: append(columns("id"), Want{Name: "x", From: []string{"x"}, List: true, Fields: columns("y")})},
		Want{Name: "k", From: []string{"k"}})
	got, err := read(d, blobOf(text))
	want := `[["a\n" [1] | "b" ∅] "A" ["a\n" [1] | "b" ∅] "B"]`
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
}

func TestOneListTakenTwice(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "json"},
		Want{Name: "a", From: []string{"l"}, List: true, Fields: columns("x")},
		Want{Name: "b", From: []string{"l"}, List: true, Fields: columns("y")},
		Want{Name: "c", From: []string{"l[1].x"}}, Want{Name: "d", From: []string{"l"}},
		Want{Name: "e", From: []string{"l"}, Object: true, Fields: columns("x")})
	got, err := read(d, blobOf(`{"l": [{"x":1,"y":2},{"x":3}]}`))
	want := `[[1 | 3] [2 | ∅] 3 [{"x":1,"y":2},{"x":3}] [{"x":1,"y":2},{"x":3}]]`
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
}

func TestEndsOfRowsWithQuotes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\"x\"\r":              `["x"] <nil>`,
		"\"x\"":                `["x"] <nil>`,
		"\"x\"\r\n":            `["x"] <nil>`,
		"\"x\"\r\r\n":          "[] line 1: a carriage return without a line feed outside quotes: lines must end with LF or CRLF",
		"\"x\"\xff":            "[] offset 3: byte 0xff is not valid UTF-8; if the file is in windows-1252, say encoding: windows-1252",
		"\"x\"\r\xff":          "[] offset 4: byte 0xff is not valid UTF-8; if the file is in windows-1252, say encoding: windows-1252",
		"\"x\xff":              "[] offset 2: byte 0xff is not valid UTF-8; if the file is in windows-1252, say encoding: windows-1252",
		"x,\"y":                "[] line 1: a quote is opened here and never closed",
		"x\"y,1\n2,3\n":        `[reject line 1: cell 1 holds a quote but does not start with one: put the cell in quotes and double those inside "2" "3"] <nil>`,
		"1,2\n\"a\n\nb\"\n3,4": `["1" "2" reject line 2: the row has 1 cell, there should be 2 "3" "4"] <nil>`,
	} {
		got, err := read(decoder(t, Options{Format: "csv", Titles: ptr(0)}), blobOf(text))
		if s := fmt.Sprintf("%s %v", got, err); s != want {
			t.Errorf("%q: %s\nwant %s", text, s, want)
		}
	}
}

func TestTheSameDecoderReadsManyFilesAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    Options
		text string
	}{
		{Options{Format: "csv"}, "a,b\n%d,\"x\"\"\"\n"}, {Options{Format: "json"}, `[{"a":%d,"b":"\n"}]`}, {Options{Format: "ndjson"}, `{"a":%d,"b":[{"a": 1}]}`},
	} {
		d := decoder(t, c.o, columns("a")...)
		done := make(chan string)
		for i := range 8 {
			go func() {
				text := fmt.Sprintf(c.text, i)
				for range 100 {
					if got, err := read(d, blobOf(text)); err != nil || len(got) != 1 || strings.Trim(got[0], `"`) != fmt.Sprint(i) {
						done <- fmt.Sprintf("%s: %q, %v", text, got, err)
						return
					}
				}
				done <- ""
			}()
		}
		for range 8 {
			if s := <-done; s != "" {
				t.Error(s)
			}
		}
	}
}
