package jobs

import (
	"strings"
	"testing"

	"waybill/ledger"
)

// A trial shows what the receiver reads. Were a byte that is no UTF-8 shown as any other, a test case would hold whatever is in the message.
func TestATrialShowsMessagesOfAnyEncodingAsText(t *testing.T) {
	t.Parallel()
	const read = "receive: {source: s}\nread: {format: csv, fields: {no: {required: true}}}\nsend:\n  - "
	shows := func(t *testing.T, send, no string) string {
		trial, err := compile(t, read+send).Try(t.Context(), input("f.csv", "no\n"+no+"\n"), 10)
		if err != nil || trial.State != ledger.Accepted || len(trial.Shown) != 1 {
			t.Fatalf("%v %+v", err, trial)
		}
		return trial.Shown[0].Text
	}
	for _, encoding := range []string{"windows-1252", "cp037", "utf-16", "utf-32be", "gb18030"} {
		for _, each := range []string{"", ", each: file"} {
			if got := shows(t, `{to: f, as: csv, lines: lf, encoding: `+encoding+each+`, columns: [{title: no, value: =no}]}`, "é"); got != "no\né\n" {
				t.Errorf("%s%s: %q", encoding, each, got)
			}
		}
	}
	for _, each := range []string{"", ", each: file"} {
		one, other := shows(t, `{to: f, as: xlsx`+each+`, columns: [{title: no, value: =no}]}`, "1"), shows(t, `{to: f, as: xlsx`+each+`, columns: [{title: no, value: =no}]}`, "2")
		if one == other || !strings.Contains(one, " bytes that are no text; SHA-256 ") {
			t.Errorf("%s\n%s", one, other)
		}
	}
	if got := Readable("text/csv", []byte("a\xff"), 9); !strings.HasPrefix(got, "(9 bytes that are no text; SHA-256 of the first 2 ") {
		t.Error(got)
	}
}
