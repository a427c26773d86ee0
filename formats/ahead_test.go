package formats

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waybill/formats/formatstest"
)

func aheadRecordsOf(n int, broken func(i int)) func(yield func(*Record, error) bool) {
	return func(yield func(*Record, error) bool) {
		buf := make([]byte, 0, 40)
		rec := Record{Cells: make([]Cell, 3)}
		for i := range n {
			broken(i)
			if i%7 == 3 && !yield(nil, &RecordError{Record: int64(i), Reason: "odd"}) {
				return
			}
			buf = fmt.Appendf(buf[:0], "text %d", i) // what is given is overwritten by the next
			rec.Number, rec.Raw = int64(i), buf
			rec.Cells[0] = Cell{Kind: Text, Bytes: buf}
			rec.Cells[1] = Cell{Kind: Nested, Rows: [][]Cell{{{Kind: Number, Bytes: buf[5:]}}, {}}}
			rec.Cells[2] = Cell{Kind: Text, Bytes: buf[:0]}
			if !yield(&rec, nil) {
				return
			}
		}
	}
}

func aheadSeen(records func(yield func(*Record, error) bool), most int) (list []string) {
	for rec, err := range records {
		if err != nil {
			list = append(list, err.Error())
		} else {
			list = append(list, fmt.Sprintf("%d %s %q %t", rec.Number, show(rec.Cells), rec.Raw, rec.Cells[2].Bytes == nil))
		}
		if len(list) == most {
			break
		}
	}
	return list
}

func TestRecordsDecodedAheadAreThoseDecoded(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, aheadRecords, aheadRecords + 1, 5000} {
		for _, most := range []int{0, 1, n / 2, n} {
			want := aheadSeen(aheadRecordsOf(n, func(int) {}), most)
			if got := aheadSeen(ahead(aheadRecordsOf(n, func(int) {})), most); !reflect.DeepEqual(got, want) {
				t.Errorf("%d records, %d of them looked at: %d and %d", n, most, len(got), len(want))
			}
		}
	}
}

func TestADecoderThatPanicsAheadPanicsWhereItsRecordsAreRead(t *testing.T) {
	t.Parallel()
	seen := 0
	defer func() {
		if text, _ := recover().(string); !strings.HasPrefix(text, "broken\n") || !strings.Contains(text, "aheadRecordsOf") || seen < 4*aheadRecords { // and where
			t.Errorf("%v after %d", text, seen)
		}
	}()
	for range ahead(aheadRecordsOf(5000, func(i int) {
		if i == 4*aheadRecords+9 {
			panic("broken")
		}
	})) {
		seen++
	}
}

func TestAReaderThatStopsEndsWhoDecodesAhead(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	decode := func(yield func(*Record, error) bool) {
		defer close(ended)
		aheadRecordsOf(1<<30, func(int) {})(yield)
	}
	stopped := errors.New("stopped")
	func() {
		defer func() {
			if v := recover(); v != stopped {
				t.Error(v)
			}
		}()
		for range ahead(decode) {
			panic(stopped)
		}
	}()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Error("it goes on")
	}
}

// A large document gives what a small one does, whoever reads it.
func TestLargeXMLIsDecodedAhead(t *testing.T) {
	t.Parallel()
	const n = 9000
	text := string(benchXMLFile(n))
	if len(text) < aheadFrom {
		t.Fatal("too small")
	}
	d := decoder(t, Options{Format: "xml", Records: "/orders/order", Raw: true}, benchXMLWants...)
	want := aheadSeen(d.(*xmlDecoder).decode(blobOf(text)), 0)
	got := aheadSeen(d.Decode(blobOf(text)), 0)
	if len(got) != n || !reflect.DeepEqual(got, want) {
		t.Errorf("%d records, %d", len(got), len(want))
	}
	cut := text[:len(text)-20]
	if got := aheadSeen(d.Decode(blobOf(cut)), 0); len(got) != n || !strings.Contains(got[n-1], "truncated?") {
		t.Errorf("%d records, %s", len(got), got[len(got)-1])
	}
}

// Cells without texts take memory too, and so do texts of what is wrong.
func TestASetAheadIsAsSmallAsWhatItHolds(t *testing.T) {
	t.Parallel()
	rows := make([][]Cell, 100)
	for i := range rows {
		rows[i] = make([]Cell, 50)
	}
	wrong := &RecordError{Raw: make([]byte, aheadBytes)}
	for name, yields := range map[string]func(yield func(*Record, error) bool) bool{
		"empty cells": func(yield func(*Record, error) bool) bool {
			return yield(&Record{Cells: []Cell{{Kind: Nested, Rows: rows}}}, nil)
		},
		"errors": func(yield func(*Record, error) bool) bool { return yield(nil, wrong) },
	} {
		decoded, ended := 0, make(chan struct{})
		for range ahead(func(yield func(*Record, error) bool) {
			defer close(ended)
			for range 1000 {
				decoded++
				if !yields(yield) {
					return
				}
			}
		}) {
			break
		}
		<-ended
		if decoded > 5 {
			t.Errorf("%s: %d decoded ahead of the first", name, decoded)
		}
	}
}

func TestAReaderThatStopsDoesNotWaitForAFullSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		decoded, begun, stopped := 0, make(chan struct{}), make(chan struct{})
		for range ahead(func(yield func(*Record, error) bool) {
			for yield(&Record{}, nil) {
				if decoded++; decoded == aheadRecords+1 { // one set is there to be read, and the next has one
					close(begun)
					<-stopped
				}
			}
		}) {
			<-begun
			time.AfterFunc(time.Second, func() { close(stopped) }) // when nothing else goes on any more
			break
		}
		if decoded > aheadRecords+2 {
			t.Errorf("%d were decoded", decoded)
		}
	})
}

func TestDecodingAheadTakesFlatMemory(t *testing.T) { // not parallel: it measures memory
	const size = 4 << 20
	d := decoder(t, Options{Format: "xml", Records: "/orders/order"}, benchXMLWants...)
	rows := int64(size / len(benchXML))
	body := &formatstest.Endless{Text: []byte(benchXML), Left: rows * int64(len(benchXML))}
	n := int64(0)
	grown := peak(t, io.MultiReader(strings.NewReader(benchXMLHead), body, strings.NewReader(benchXMLTail)), func(r io.Reader) {
		for _, err := range d.Decode(Blob{Reader: r, Size: size}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	})
	if n != rows || grown > 1<<20 {
		t.Errorf("%d records of %d, the heap grew by %d KiB", n, rows, grown>>10)
	}
}
