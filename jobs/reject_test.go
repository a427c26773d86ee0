package jobs

import (
	"context"
	"strings"
	"testing"

	"waybill/formats"
	"waybill/ledger"
)

func TestAFileThatCannotBeReadIsRejectedWithThePlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		read, text, want string
		line             int64
	}{
		"json": {"format: json", "[\n  {\"no\": 1}, ]", "line 2, column 14: a comma before the end", 2},
		"csv":  {"format: csv", "no\n1\n\"2\n", "line 3: a quote is opened here", 3},
		"deep": {"format: json", strings.Repeat("[", 101), "line 1, column 101: record 1: lists and objects are nested deeper than 100 (max_depth)", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := compile(t, "receive: {source: drop}\nread: {"+c.read+", fields: {no: {from: no, required: true}}}\nsend: [{to: erp, path: /orders, key: =no, body: {no: =no}}]\n")
			in := Input{Entry: ledger.Entry{ID: 1}, Blob: formats.Blob{Reader: strings.NewReader(c.text), Size: int64(len(c.text))}}
			o, err := p.Run(context.Background(), in, func(*Rendered) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if o.State != ledger.Rejected || !strings.HasPrefix(o.Reason, c.want) || o.Rejects[0].Reason != o.Reason || o.Rejects[0].Line != c.line || strings.Count(o.Reason, "(max_depth)") > 1 {
				t.Errorf("%+v, want %s", o, c.want)
			}
		})
	}
}
