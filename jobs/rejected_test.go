package jobs

import (
	"bytes"
	"strings"
	"testing"

	"waybill/formats"
	"waybill/ledger"
)

func TestRejectsOfAJobWithASchemaAndOfABlock(t *testing.T) {
	t.Parallel()
	open := func(text string) func() (formats.Blob, func()) {
		return func() (formats.Blob, func()) {
			return formats.Blob{Name: "f", Reader: strings.NewReader(text), Size: int64(len(text))}, func() {}
		}
	}
	o := parseOptions(t, "receive: {source: in}\nread: {format: ndjson, schema: s.json}\nsend: [{to: erp}]\n")
	plan, problems := Compile("orders", o, Environment{Files: func(string) ([]byte, error) { return []byte(`{"required":["id"]}`), nil }})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var b bytes.Buffer
	in := Input{Entry: ledger.Entry{State: ledger.Accepted}}
	n, err := plan.Rejected(t.Context(), in, open("{\"id\":1}\n{}\n"), []ledger.Reject{{Record: 2, Reason: "bad"}}, &b)
	if err != nil || n != 1 || b.String() != "{\"reject_reason\": \"bad\"}\n" {
		t.Errorf("%d %q %v", n, b.String(), err)
	}
	_, err = compile(t, statements("9")).Rejected(t.Context(), in, open(twoStatements), []ledger.Reject{{Line: 4, Reason: "the block that begins here: no"}}, &b)
	if err == nil || !strings.HasPrefix(err.Error(), "its records stand in blocks") {
		t.Error(err)
	}
	_, err = plan.Rejected(t.Context(), in, open(""), []ledger.Reject{{Reason: "no"}}, &b)
	if err == nil || err.Error() != "the file was rejected as a whole: no; what to mend is the file itself" {
		t.Error(err)
	}
}
