package jobs

import (
	"context"
	"testing"
)

func TestLineIsWhereARecordStarts(t *testing.T) {
	t.Parallel()
	p := compile(t, `
receive: {source: drop}
read: {format: csv, fields: {no: {required: true}, text: {}}}
send: [{to: shop, key: =no}]
`)
	const file = "no,text\n1,one\n2,\"two\nlines\"\n3,three\n"
	for record, want := range map[int64]int64{0: 0, 1: 2, 2: 3, 3: 5, 4: 0} {
		got, err := p.Line(context.Background(), input("a.csv", file).Blob, record)
		if err != nil || got != want {
			t.Errorf("record %d: line %d, %v, want %d", record, got, err, want)
		}
	}
}

func TestACorrectedMessageHasAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	const old = "999cdfc3-49e6-852b-91ee-92269a698eec"
	key := CorrectedKey(old, 1, []byte("a"))
	if key == old || len(key) != len(old) {
		t.Errorf("%s is no key of its own", key)
	}
	if again := CorrectedKey(old, 1, []byte("a")); again != key {
		t.Errorf("the same correction has another key: %s, %s", key, again)
	}
	for _, other := range []string{CorrectedKey(old, 1, []byte("b")), CorrectedKey(old, 2, []byte("a")), CorrectedKey(key, 1, []byte("a"))} {
		if other == key {
			t.Errorf("another correction has the same key %s", key)
		}
	}
}
