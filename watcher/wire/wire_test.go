package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
)

func packet(body ...any) []byte {
	var b []byte
	for _, x := range body {
		switch x := x.(type) {
		case Type:
			b = append(b, byte(x))
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(x))
		case uint64:
			b = binary.BigEndian.AppendUint64(b, x)
		case string:
			b = appendText(b, x)
		case []byte:
			b = append(b, x...)
		}
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func TestPacketsAreRead(t *testing.T) {
	t.Parallel()
	size := Attrs{Has: HasSize | HasTimes, Size: 7, Atime: 1, Mtime: 2}
	stream := slices.Concat(
		packet(Init, 3), packet(Open, 1, "/in/a", FlagWrite|FlagCreate, 0),
		packet(Write, 2, string([]byte{0, 0, 0, 9}), uint64(5), "hello"), packet(Setstat, 3, "/x", size.append(nil)),
		packet(Extended, 4, PosixRename, "a", "b"), packet(Extended, 5, "unknown@x", "whatever"), packet(Close, 6, "odd handle"),
		packet(Stat, 7, "/later", []byte("and more")),
		packet(Mkdir, 8, "/d", hasMore32, 2, "k", "v", "k2", "v2"),
	)
	want := []Packet{
		{Type: Init, ID: 3}, {Type: Open, ID: 1, Path: "/in/a", Flags: FlagWrite | FlagCreate}, {Type: Write, ID: 2, Handle: 9, Offset: 5, Data: []byte("hello")},
		{Type: Setstat, ID: 3, Path: "/x", Attrs: size}, {Type: Extended, ID: 4, Extension: PosixRename, Path: "a", Target: "b"},
		{Type: Extended, ID: 5, Extension: "unknown@x"}, {Type: Close, ID: 6}, {Type: Stat, ID: 7, Path: "/later"},
		{Type: Mkdir, ID: 8, Path: "/d", Attrs: Attrs{Has: HasMore}},
	}
	r := NewReader(bytes.NewReader(stream))
	for i, w := range want {
		var p Packet
		if err := r.Next(&p); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		data := p.Data
		p.Data, w.Data = nil, append([]byte(nil), w.Data...)
		if !bytes.Equal(data, w.Data) {
			t.Errorf("packet %d carries %q", i, data)
		}
		w.Data = nil
		if !equal(p, w) {
			t.Errorf("packet %d is %+v, not %+v", i, p, w)
		}
	}
	if err := r.Next(new(Packet)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

const hasMore32 = -1 << 31

func equal(a, b Packet) bool {
	a.Data, b.Data = nil, nil
	return a.Type == b.Type && a.ID == b.ID && a.Path == b.Path && a.Target == b.Target && a.Handle == b.Handle && a.Offset == b.Offset &&
		a.Length == b.Length && a.Flags == b.Flags && a.Attrs == b.Attrs && a.Extension == b.Extension
}

// 54 of the hostile inputs.
func TestWhatIsNoPacketEndsTheStream(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"empty":         {0, 0, 0, 0},
		"no id":         {0, 0, 0, 1, byte(Stat)},
		"too long":      {0, 4, 0, 1, byte(Stat)},
		"negative":      {0xff, 0xff, 0xff, 0xff, byte(Stat)},
		"unknown type":  packet(Type(99), 1),
		"answer":        packet(AnswerStatus, 1, 0),
		"short string":  packet(Stat, 1, []byte{0, 0, 0, 200, 'x'}),
		"huge string":   packet(Stat, 1, []byte{0xff, 0xff, 0xff, 0xff, 'x'}),
		"write beyond":  packet(Write, 1, "abcd", uint64(0), []byte{0, 0, 1, 0, 'x'}),
		"extended bomb": packet(Setstat, 1, "/x", hasMore32, -1),
		"no attributes": packet(Mkdir, 1, "/x"),
		"half a rename": packet(Rename, 1, "/x"),
	} {
		var no *ProtocolError
		if err := NewReader(bytes.NewReader(b)).Next(new(Packet)); !errors.As(err, &no) {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole := packet(Stat, 1, "/path")
	for n := range len(whole) {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if err := NewReader(bytes.NewReader(whole[:n])).Next(new(Packet)); err != want {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

// FuzzNext reads whatever comes: no panic, no more memory than a packet's, and always an end.
func FuzzNext(f *testing.F) {
	f.Add(packet(Init, 3))
	f.Add(slices.Concat(packet(Open, 1, "/in/a", 26, 0), packet(Write, 2, "abcd", uint64(1<<62), "x"), packet(Setstat, 1, "/x", hasMore32, -1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		read := 0
		for {
			var p Packet
			err := r.Next(&p)
			if cap(r.buf) > 2*MaxPacket {
				t.Fatalf("%d bytes are held", cap(r.buf))
			}
			if err != nil {
				return
			}
			if read += 9 + len(p.Path) + len(p.Target) + len(p.Data) + len(p.Extension); read > len(b) {
				t.Fatalf("more was read than came")
			}
		}
	})
}

func TestAnswersAreGatheredUntilTheyAreFlushed(t *testing.T) {
	t.Parallel()
	var out counter
	w := NewWriter(&out)
	for i := range uint32(100) {
		if err := w.Status(i, OK, ""); err != nil {
			t.Fatal(err)
		}
	}
	if out.writes != 0 {
		t.Errorf("%d writes before the flush", out.writes)
	}
	if err := w.Flush(); err != nil || out.writes != 1 || out.bytes != 100*(4+1+4+4+4+4+2) {
		t.Errorf("%d writes of %d bytes, %v", out.writes, out.bytes, err)
	}
	if err := w.Data(1, make([]byte, MaxData)); err != nil || out.writes != 2 {
		t.Errorf("much is not sent by itself: %d writes, %v", out.writes, err)
	}
}

type counter struct{ writes, bytes int }

func (c *counter) Write(p []byte) (int, error) {
	c.writes++
	c.bytes += len(p)
	return len(p), nil
}
