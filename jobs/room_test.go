package jobs

import (
	"fmt"
	"strings"
	"testing"

	"waybill/ledger"
)

// A short file of a long text and a long list would become some GiB, were the text to stand beside each element: the record is rejected before that, whatever is
// made of it, and a record that has little of both is as welcome as ever.
func TestATextThatIsRepeatedForEachElementOfAListTakesNoRoomWithoutEnd(t *testing.T) {
	t.Parallel()
	const read = "receive: {source: s}\ncheck: {allow_rejects: 1}\nread: {format: json, limits: {max_record: 1MiB}, fields: {no: {required: true}, n: {type: integer}, lines: {type: list, fields: {a: {}}}}}\n"
	hostile := fmt.Sprintf(`[{"no":"1","lines":[{"a":"x"}]},{"no":%q,"n":1,"lines":[%s]},{"no":"3","lines":[]}]`, strings.Repeat("x", 30_000), strings.TrimSuffix(strings.Repeat(`{"a":"y"},`, 20_000), ","))
	const rows = `records: {l: {each: =lines, columns: [{title: no, value: =up.no}]}}`
	for name, send := range map[string]string{
		"json":          `{to: f, body: {l: {=each: =lines, no: =up.no}}}`,
		"xml":           `{to: f, as: xml, root: R, body: {l: {=each: =lines, no: =up.no}}}`,
		"nested":        `{to: f, body: {l: {=each: =lines, m: {=each: =up.lines, a: =a}}}}`,
		"rows":          `{to: f, as: csv, ` + rows + `}`,
		"rows of blank": `{to: f, as: fixed, when: '=record.number == 2', records: {l: {each: =lines, columns: [{title: a, value: =a, width: 1000}]}}}`,
		"cells of none": `{to: f, as: csv, when: '=record.number == 2', records: {l: {each: =lines, columns: [` + strings.TrimSuffix(strings.Repeat(`{title: a, value: =up.n},`, 10), ",") + `]}}}`,
		"file":          `{to: f, each: file, as: csv, ` + rows + `}`,
		"file of json":  `{to: f, each: file, as: ndjson, body: {l: {=each: =lines, no: =up.no}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input("f.json", hostile)
			in.Files = &files{}
			o, err := compile(t, read+"send:\n  - "+send).Run(t.Context(), in, func(*Rendered) error { return nil })
			if err != nil || o.State == ledger.Rejected || len(o.Rejects) != 1 {
				t.Fatalf("%v\n%s", err, show(o))
			}
			if r := o.Rejects[0]; r.Record != 2 || !strings.HasPrefix(r.Reason, "what is made of it takes more than 4MiB, 4 times max_record: ") {
				t.Errorf("%+v", r)
			}
		})
	}
}
