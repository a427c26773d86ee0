package formats

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"waybill/formats/formatstest"
)

// small limits are reached by small inputs.
var fuzzLimits = Limits{MaxFile: 64 << 10, MaxUnpacked: 64 << 10, MaxRecord: 200, MaxField: 60, MaxColumns: 8, MaxDepth: 6, MaxCells: 20}

// held reads a file and sees that limits hold and errors have positions. It returns what the records hold.
func held(t *testing.T, d Decoder, b Blob) (rows [][]string, bad int, end error) {
	t.Helper()
	number := int64(0)
	for rec, err := range d.Decode(b) {
		var r *RecordError
		var f *FileError
		switch {
		case errors.As(err, &r):
			number++
			if r.Record != number || r.Line < 1 || r.Offset < 0 || r.Reason == "" {
				t.Fatalf("no position: %+v", r)
			}
			bad++
			continue
		case errors.As(err, &f):
			if f.Line < 1 && f.Offset < 0 || f.Reason == "" {
				t.Fatalf("no position: %+v", f)
			}
			return rows, bad, err
		case err != nil:
			t.Fatalf("neither a file's nor a record's error: %v", err)
		}
		number++
		if rec.Number != number || len(rec.Raw) > int(fuzzLimits.MaxRecord) || len(rec.Cells) > 8 {
			t.Fatalf("record %d of %d: %d bytes, %d cells", rec.Number, number, len(rec.Raw), len(rec.Cells))
		}
		var row []string
		for _, c := range rec.Cells {
			if len(c.Bytes) > int(fuzzLimits.MaxField) && c.Kind != Tree {
				t.Fatalf("a field of %d bytes", len(c.Bytes))
			}
			row = append(row, string(c.Bytes))
		}
		rows = append(rows, row)
	}
	return rows, bad, nil
}

// same sees that the file gives the same byte by byte.
func same(t *testing.T, d Decoder, data []byte, rows [][]string, end error) {
	t.Helper()
	again, _, err := held(t, d, Blob{Reader: iotest.OneByteReader(bytes.NewReader(data)), Size: -1})
	if !slices.EqualFunc(again, rows, slices.Equal) || (err == nil) != (end == nil) || err != nil && err.Error() != end.Error() {
		t.Fatalf("%q\nat once: %q, %v\nbyte by byte: %q, %v", data, rows, end, again, err)
	}
}

func FuzzCSV(f *testing.F) {
	formatstest.Seeds(f, "testdata/csv/*.csv")
	d := decoder(f, Options{Format: "csv", Raw: true, Limits: fuzzLimits})
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, _, end := held(t, d, Blob{Reader: bytes.NewReader(data), Size: int64(len(data))})
		same(t, d, data, rows, end)
		if len(rows) == 0 {
			return
		}
		e, ps := NewEncoder(Writing{Format: "csv", Formulas: "keep"}, titled(numbered(len(rows[0]))...))
		if ps != nil {
			t.Fatal(ps)
		}
		var text bytes.Buffer
		if err := e.Encode(&text, valuesOf(rows)); err != nil {
			t.Fatal(err)
		}
		again, err := texts(decoder(t, Options{Format: "csv"}), blobOf(text.String()))
		if err != nil || !slices.EqualFunc(again, rows, slices.Equal) {
			t.Fatalf("%q\nwritten: %q\nread: %q, %v", rows, text.String(), again, err)
		}
	})
}

var fuzzWants = []Want{{Name: "a", From: []string{"a", "b.c"}}, {Name: "l", List: true, From: []string{"lines"}, Fields: columns("no", "a")}, {Name: "h", From: []string{"$.h"}}}

func FuzzJSON(f *testing.F) {
	formatstest.Seeds(f, "testdata/json/*.json")
	whole := decoder(f, Options{Format: "json", Raw: true, Limits: fuzzLimits})
	fields := decoder(f, Options{Format: "json", Records: "items", Limits: fuzzLimits}, fuzzWants...)
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, _, end := heldJSON(t, whole, data)
		same(t, whole, data, rows, end)
		heldJSON(t, fields, data)
		restated(t, whole, "json", data)
	})
}

// heldJSON is held for a format without lines.
func heldJSON(t *testing.T, d Decoder, data []byte) (rows [][]string, bad int, end error) {
	t.Helper()
	for rec, err := range d.Decode(Blob{Reader: bytes.NewReader(data), ReaderAt: bytes.NewReader(data), Size: int64(len(data))}) {
		var r *RecordError
		var f *FileError
		switch {
		case errors.As(err, &r):
			bad++
		case errors.As(err, &f):
			return rows, bad, err
		case err != nil:
			t.Fatalf("neither a file's nor a record's error: %v", err)
		default:
			if len(rec.Raw) > int(fuzzLimits.MaxRecord) {
				t.Fatalf("a record of %d bytes", len(rec.Raw))
			}
			var row []string
			for _, c := range rec.Cells {
				row = append(row, string(c.Bytes))
			}
			rows = append(rows, row)
		}
	}
	return rows, bad, nil
}

// restated writes what a file holds and reads it again.
func restated(t *testing.T, d Decoder, format string, data []byte) {
	t.Helper()
	var once []Value
	for rec, err := range d.Decode(Blob{Reader: bytes.NewReader(data), Size: -1}) {
		if err == nil {
			once = append(once, Value{Kind: rec.Cells[0].Kind, Bytes: bytes.Clone(rec.Cells[0].Bytes)})
		}
	}
	e, ps := NewEncoder(Writing{Format: format}, nil)
	if ps != nil {
		t.Fatal(ps)
	}
	var text bytes.Buffer
	err := e.Encode(&text, func(yield func([]Value, error) bool) {
		for _, v := range once {
			if !yield([]Value{v}, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for rec, err := range decoder(t, Options{Format: format}).Decode(blobOf(text.String())) {
		if err != nil || rec.Cells[0].Kind != once[i].Kind || !bytes.Equal(rec.Cells[0].Bytes, once[i].Bytes) {
			t.Fatalf("%q\nwritten: %q\nread: %v, %v", once[i].Bytes, text.String(), rec, err)
		}
		i++
	}
	if i != len(once) {
		t.Fatalf("%d records of %d: %q", i, len(once), text.String())
	}
}

func FuzzNDJSON(f *testing.F) {
	formatstest.Seeds(f, "testdata/json/*.ndjson")
	formatstest.Seeds(f, "testdata/json/*.json")
	whole := decoder(f, Options{Format: "ndjson", Raw: true, Limits: fuzzLimits})
	fields := decoder(f, Options{Format: "ndjson", Raw: true, Limits: fuzzLimits}, fuzzWants...)
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, _, end := held(t, whole, Blob{Reader: bytes.NewReader(data), Size: int64(len(data))})
		same(t, whole, data, rows, end)
		held(t, fields, Blob{Reader: bytes.NewReader(data), Size: -1})
		restated(t, whole, "ndjson", data)
	})
}

// FuzzLines reads files of lines of several kinds: what is given is in order, and the same however the bytes arrive.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"00a\n01bb\n04cc\n05dd\n05ee\n08\n07ff\n99\n", "00a\n04b\n", "00a\n01b\n07c\n09\nz", "00\n99\n99\n"} {
		f.Add([]byte(s))
	}
	parts := linesParts()
	d := partsDecoder(f, Options{Format: "fixed", Kind: "1-2", Ignore: []string{"08"}, Raw: true, Limits: fuzzLimits}, parts...)
	f.Fuzz(func(t *testing.T, data []byte) { inOrder(t, d, parts, data) })
}

// FuzzLinesOfJSON is FuzzLines for NDJSON.
func FuzzLinesOfJSON(f *testing.F) {
	for _, s := range []string{`{"k":"H","x":1}` + "\n" + `{"k":"B"}` + "\n" + `{"k":4,"x":[{"a":1},{"b":[{}]}]}` + "\n" + `{"k":"L","y":{"z":[1]}}` + "\n" + `{"k":"E"}` + "\n" + `{"n":9}`, `{"k":null}`, `{"k":"H"`, "[]\n1"} {
		f.Add([]byte(s))
	}
	parts := []Part{
		{Role: Header, Kind: "H", Wants: paths("x", "x")},
		{Role: BlockHeader, Kind: "B", Wants: paths("x", "$.x")},
		{Name: "m", Kind: "4", Wants: []Want{{Name: "x", From: []string{"x"}, List: true, Fields: paths("a", "a", "b", "b")}, {Name: "d", List: true, Kind: "L", Fields: paths("y", "y", "z", "y.z")}}},
		{Role: BlockTrailer, Kind: "E", Wants: paths("x", "x")},
		{Role: Trailer, Wants: paths("n", "n")},
	}
	d := partsDecoder(f, Options{Format: "ndjson", Kind: "k", Ignore: []string{"I"}, Raw: true, Limits: fuzzLimits}, parts...)
	f.Fuzz(func(t *testing.T, data []byte) { inOrder(t, d, parts, data) })
}

func linesParts() []Part {
	return []Part{
		{Role: Header, Kind: "00", Wants: places("x", "3-")},
		{Role: BlockHeader, Kind: "01", Wants: places("x", "3-")},
		{Name: "m", Kind: "04", Wants: append(places("x", "3-4"), Want{Name: "d", List: true, Kind: "05", Fields: places("y", "3-4")})},
		{Role: BlockTrailer, Kind: "07", Wants: places("x", "3-")},
		{Role: Trailer, Wants: places("x", "1-")},
	}
}

// inOrder sees that parts stand in order, that records are counted, that errors have places, and that all is the same byte by byte.
func inOrder(t *testing.T, d Decoder, parts []Part, data []byte) {
	t.Helper()
	var before []string
	for i, r := range []io.Reader{bytes.NewReader(data), iotest.OneByteReader(bytes.NewReader(data))} {
		var seen []string
		number, begun, ended, block := int64(0), false, false, false
		for rec, err := range d.Decode(Blob{Reader: r, ReaderAt: bytes.NewReader(data), Size: -1}) {
			var bad *RecordError
			var file *FileError
			switch {
			case ended && !errors.As(err, &file):
				t.Fatalf("%q: behind the trailer", data)
			case errors.As(err, &bad):
				number++
				if bad.Record != number || bad.Reason == "" || bad.Line < 1 && bad.Offset < 0 {
					t.Fatalf("%q: no position: %+v", data, bad)
				}
			case err != nil && (!errors.As(err, &file) || file.Reason == ""):
				t.Fatalf("%q: %v", data, err)
			case err == nil:
				role := parts[rec.Part].Role
				if !begun && role != Header || begun && role == Header {
					t.Fatalf("%q: %s, header %t", data, role, begun)
				}
				if role == BlockHeader && block || role == BlockTrailer && !block || role == Body && parts[rec.Part].Name == "m" && !block {
					t.Fatalf("%q: %s in a block %t", data, role, block)
				}
				if number += map[Role]int64{Body: 1}[role]; role == Body && rec.Number != number || role != Body && rec.Number != 0 {
					t.Fatalf("%q: record %d of %d", data, rec.Number, number)
				}
				begun, ended = true, role == Trailer
				block = role == BlockHeader || block && role != BlockTrailer
			}
			if rec != nil {
				seen = append(seen, parts[rec.Part].path()+show(rec.Cells)+string(rec.Raw))
			}
			if err != nil {
				seen = append(seen, err.Error())
			}
		}
		if i > 0 && !slices.Equal(before, seen) {
			t.Fatalf("%q\nat once: %q\nbyte by byte: %q", data, before, seen)
		}
		before = seen
	}
}
