package unpack

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"waybill/formats"
)

// Who reads an archive from its beginning, as gateways do that look for what is harmful, must see the files that we see.
func TestAnEntryThatIsAnotherOneByItsOwnHeaderIsRefused(t *testing.T) {
	t.Parallel()
	number := binary.LittleEndian
	for name, c := range map[string]struct {
		change func(header []byte)
		want   string
	}{
		"name":         {func(h []byte) { copy(h[30:], "x.exe") }, `zip: the entry "a.csv" does not agree with its own header, where its name is "x.exe": pack it again`},
		"shorter name": {func(h []byte) { h[26] = 3 }, `its name is "a.c"`},
		"method":       {func(h []byte) { h[8] = 8 }, "its method is 8, not 0"},
		"encrypted":    {func(h []byte) { h[6] |= 1 }, "its flags are 0x1, not 0x0"},
		"size":         {func(h []byte) { h[22]++ }, "its size is 9, not 8"},
		"packed size":  {func(h []byte) { h[18]-- }, "its packed size is 7, not 8"},
		"no sizes":     {func(h []byte) { clear(h[18:26]) }, "its size is 0, not 8"},
		"checksum":     {func(h []byte) { number.PutUint32(h[14:], 0xbad) }, "its checksum is 00000bad, not "},
	} {
		for _, kind := range []string{"first", "last"} {
			data := zipWith(t, stored("b.csv", "1,2\n3,4\n"), stored("a.csv", "a,b\n1,2\n"), stored("c.csv", "1,2\n3,4\n"))
			if kind == "first" {
				data = zipWith(t, stored("a.csv", "a,b\n1,2\n"), stored("b.csv", "1,2\n3,4\n"))
			}
			c.change(data[bytes.Index(data, []byte("a.csv"))-30:])
			got, err := takenApart(data, []string{"zip"}, formats.Limits{})
			if err == nil || !strings.Contains(err.Error(), c.want) || len(got) > 0 {
				t.Errorf("%s, %s: %q, %v", name, kind, got, err)
			}
		}
	}
}

func TestWhatStandsBehindTheBytesOfAnEntryNeedNotStandInItsHeader(t *testing.T) {
	t.Parallel()
	data := zipWith(t, file("a.csv", []byte("a,b\n1,2\n"))) // streamed: with a descriptor, and no sizes
	if data[6]&8 == 0 || binary.LittleEndian.Uint32(data[18:]) != 0 {
		t.Fatal("the archive has no descriptors")
	}
	if got, err := takenApart(data, []string{"zip"}, formats.Limits{}); len(got) != 1 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	data[22] = 7 // a size, and not the one behind the bytes
	if _, err := takenApart(data, []string{"zip"}, formats.Limits{}); err == nil || !strings.Contains(err.Error(), "its size is 7, not 8") {
		t.Errorf("another size: %v", err)
	}
}
