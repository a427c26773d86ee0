package wire

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What one side writes the other reads.
func TestClientAndServerUnderstandEachOther(t *testing.T) {
	t.Parallel()
	all := Attrs{Has: HasSize | HasOwner | HasMode | HasTimes, Size: 1 << 40, UID: 1, GID: 2, Mode: ModeFile | 0o644, Atime: 3, Mtime: 4}
	handle := "\x00\x00\x00\x09" // as Writer.Handle writes 9
	for i, c := range []struct {
		sent Draft
		want Packet
	}{
		{Begin(Init), Packet{Type: Init}},
		{Begin(Open).Text("/in/ä").Uint32(FlagWrite | FlagExcl).Attrs(all), Packet{Type: Open, Path: "/in/ä", Flags: FlagWrite | FlagExcl, Attrs: all}},
		{Begin(Close).Text(handle), Packet{Type: Close, Handle: 9}},
		{Begin(Read).Text(handle).Uint64(1 << 40).Uint32(7), Packet{Type: Read, Handle: 9, Offset: 1 << 40, Length: 7}},
		{Begin(Write).Text(handle).Uint64(5).Bytes([]byte("hello")), Packet{Type: Write, Handle: 9, Offset: 5, Data: []byte("hello")}},
		{Begin(Fsetstat).Text(handle).Attrs(all), Packet{Type: Fsetstat, Handle: 9, Attrs: all}},
		{Begin(Lstat).Text(""), Packet{Type: Lstat}},
		{Begin(Rename).Text("a").Text("b"), Packet{Type: Rename, Path: "a", Target: "b"}},
		{Begin(Extended).Text(PosixRename).Text("a").Text("b"), Packet{Type: Extended, Extension: PosixRename, Path: "a", Target: "b"}},
		{Begin(Extended).Text(Fsync).Text(handle), Packet{Type: Extended, Extension: Fsync}},
	} {
		c.want.ID = uint32(i)
		var got Packet
		if err := NewReader(bytes.NewReader(c.sent.Seal(uint32(i)))).Next(&got); err != nil {
			t.Errorf("%d: %v", i, err)
		} else if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%d: %s", i, diff)
		}
	}
	var out bytes.Buffer
	w := NewWriter(&out)
	names := []Name{{"a", "-rw-r--r-- a", all}, {"", "", Attrs{}}}
	if err := errors.Join(w.Version(), w.Handle(1, 9), w.Data(2, []byte("text")), w.Attrs(3, all), w.Names(4, names...), w.Status(5, EOF, "end"), w.Status(6, OK, ""), w.Flush()); err != nil {
		t.Fatal(err)
	}
	next := func(want Type, id uint32) Answer {
		a, err := ReadAnswer(&out, Room)
		if err != nil || a.Type != want || a.ID != id {
			t.Fatalf("type %d, id %d, %v, want %d of %d", a.Type, a.ID, err, want, id)
		}
		return a
	}
	f := FieldsOf(next(AnswerVersion, 3).Body)
	if name, version := f.Text(), f.Text(); name != PosixRename || version != "1" || !f.More() {
		t.Errorf("announced %q %q", name, version)
	}
	if h, err := next(AnswerHandle, 1).Handle(); h != handle || err != nil {
		t.Errorf("handle %q, %v", h, err)
	}
	if b, err := next(AnswerData, 2).Data(); string(b) != "text" || err != nil {
		t.Errorf("data %q, %v", b, err)
	}
	if a, err := next(AnswerAttrs, 3).Attrs(); a != all || err != nil {
		t.Errorf("attributes %+v, %v", a, err)
	}
	var got []Name
	for n, err := range next(AnswerNames, 4).Names() {
		if err != nil {
			t.Error(err)
		}
		got = append(got, n)
	}
	if !slices.Equal(got, names) {
		t.Errorf("names %+v", got)
	}
	if err := next(AnswerStatus, 5).Status(); err != io.EOF {
		t.Errorf("status %v", err)
	}
	if err := next(AnswerStatus, 6).Status(); err != nil {
		t.Errorf("status %v", err)
	}
	if _, err := ReadAnswer(&out, Room); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// What is no answer, or not the one that belongs there, is an error and never a value.
func TestWhatIsNoAnswerIsTold(t *testing.T) {
	t.Parallel()
	read := func(b []byte) (Answer, error) { return ReadAnswer(bytes.NewReader(b), Room) }
	for name, b := range map[string][]byte{
		"empty": {0, 0, 0, 0, 0, 0, 0, 0, 0}, "no id": {0, 0, 0, 4, 101, 0, 0, 0, 0},
		"a gigabyte": {0x40, 0, 0, 0, 103, 0, 0, 0, 1}, "negative": {0xff, 0xff, 0xff, 0xff, 103, 0, 0, 0, 1},
	} {
		var no *ProtocolError
		if _, err := read(b); !errors.As(err, &no) {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole := Begin(AnswerData).Text("text").Seal(7)
	for n := range whole {
		if _, err := read(whole[:n]); err != io.ErrUnexpectedEOF && (n > 0 || err != io.EOF) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	for name, c := range map[string]struct {
		sent Draft
		ask  func(Answer) error
	}{
		"status of another type": {Begin(AnswerData).Text("x"), Answer.Status},
		"status without a code":  {Begin(AnswerStatus), Answer.Status},
		"ok for a handle":        {Begin(AnswerStatus).Uint32(0), func(a Answer) error { _, err := a.Handle(); return err }},
		"long handle":            {Begin(AnswerHandle).Text(strings.Repeat("x", 257)), func(a Answer) error { _, err := a.Handle(); return err }},
		"handle cut short":       {Begin(AnswerHandle).Uint32(4), func(a Answer) error { _, err := a.Handle(); return err }},
		"data cut short":         {Begin(AnswerData).Uint32(1 << 31), func(a Answer) error { _, err := a.Data(); return err }},
		"attributes cut short":   {Begin(AnswerAttrs).Uint32(HasSize).Uint32(1), func(a Answer) error { _, err := a.Attrs(); return err }},
		"more that never comes":  {Begin(AnswerAttrs).Uint32(HasMore).Uint32(1 << 31), func(a Answer) error { _, err := a.Attrs(); return err }},
		"a count that lies": {Begin(AnswerNames).Uint32(1 << 31).Text("a").Text("").Attrs(Attrs{}), func(a Answer) (err error) {
			n := 0
			for _, err = range a.Names() {
				n++
			}
			if n != 2 {
				t.Errorf("%d names", n)
			}
			return err
		}},
	} {
		a, err := read(c.sent.Seal(1))
		if err != nil {
			t.Fatal(err)
		}
		var no *ProtocolError
		if err := c.ask(a); !errors.As(err, &no) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h, err := (Answer{Type: AnswerHandle, Body: Begin(AnswerHandle).Text(strings.Repeat("h", 256))[9:]}).Handle(); len(h) != 256 || err != nil {
		t.Errorf("a handle of 256 bytes: %d, %v", len(h), err)
	}
}

func TestStatusSaysWhatItMeans(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		code Code
		text string
		is   error
	}{
		"no such file":                           {NoSuchFile, "No such file", fs.ErrNotExist},
		`permission denied ("not yours")`:        {PermissionDenied, "not yours", fs.ErrPermission},
		`the server says no more than "failure"`: {Failure, "Failure", nil},
		"no such folder":                         {NoSuchPath, "", fs.ErrNotExist},
		"is there already":                       {AlreadyExists, "", fs.ErrExist},
		"read-only":                              {WriteProtect, "", fs.ErrPermission},
		"the server cannot do that":              {Unsupported, "", nil},
		`status 77: "odd\x1b[2J"`:                {77, "odd\x1b[2J", nil},
		`no such file ("` + strings.Repeat("x", 200) + `…")`: {NoSuchFile, strings.Repeat("x", 5000), fs.ErrNotExist},
	} {
		a := Answer{Type: AnswerStatus, Body: Begin(AnswerStatus).Uint32(uint32(c.code)).Text(c.text)[9:]}
		err := a.Status()
		if err == nil || err.Error() != want || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// FuzzReadAnswer reads whatever a server sends: no panic, nothing that did not come, and always an end.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(Begin(AnswerVersion).Text("a").Text("b").Seal(3)))
	f.Add([]byte(Begin(AnswerNames).Uint32(2).Text("a").Text("-rw").Attrs(Attrs{Has: HasSize, Size: 1}).Text("b").Text("").Attrs(Attrs{}).Seal(1)))
	f.Add([]byte(Begin(AnswerAttrs).Uint32(HasMore).Uint32(1 << 31).Text("k").Text("v").Seal(2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		for {
			a, err := ReadAnswer(in, Room)
			if err != nil {
				return
			}
			read := 0
			for n, err := range a.Names() {
				if err == nil {
					read += len(n.Name) + len(n.Long) + 12
				}
			}
			if read > len(a.Body) {
				t.Fatalf("%d bytes of names in %d", read, len(a.Body))
			}
			d, _ := a.Data()
			h, _ := a.Handle()
			if len(d)+4 > len(a.Body) && len(d) > 0 || len(h) > maxHandle {
				t.Fatalf("%d bytes of data and %d of a handle in %d", len(d), len(h), len(a.Body))
			}
			_, _ = a.Attrs()
			_ = a.Status()
		}
	})
}
