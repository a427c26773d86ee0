package jobs

import (
	"fmt"
	"iter"
	"os"
	"testing"

	"waybill/formats"
)

// meddling is a decoder whose file somebody goes on writing.
type meddling struct {
	formats.Decoder
	path string
}

func (m meddling) Decode(b formats.Blob) iter.Seq2[*formats.Record, error] {
	return func(yield func(*formats.Record, error) bool) {
		for rec, err := range m.Decoder.Decode(b) {
			if !yield(rec, err) {
				return
			}
		}
		if err := os.WriteFile(m.path, []byte("code,name\nA,a\nB,b\nC,c\n"), 0o600); err != nil {
			yield(nil, err)
		}
	}
}

func TestATableThatChangesWhileItIsReadIsNotTaken(t *testing.T) {
	t.Parallel()
	tb, path := table(t, "u.csv", "code,name\nA,a\n", "by: code\nvalue: name")
	inner := tb.decoder
	tb.decoder = meddling{inner, path}
	if err := tb.Refresh(t.Context()); err == nil || err.Error() != "table units: u.csv: changed while it was read: write it beside and rename it" {
		t.Error(err)
	}
	tb.decoder = inner
	if err := tb.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	if v, err := tb.find(nil, "C"); fmt.Sprint(v) != "c" || err != nil {
		t.Error(v, err)
	}
}
