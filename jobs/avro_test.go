package jobs

import (
	"encoding/binary"
	"strings"
	"testing"
)

const lakeJob = `
receive: {source: in, files: "*.avro"}
read:
  format: avro
  fields: {id: {required: true}, total: {type: decimal, required: true}, day: {type: date, required: true}, dishes: {type: list, required: true, fields: {sku: {required: true}, count: {type: integer, min: 1, required: true}}}}
check: {allow_rejects: 1}
send:
  - {to: erp, key: =id, body: {id: =id, total: '=total * 2', day: =day, dishes: '=sum(dishes, .count)'}}
`

// lakeFile has an order a of two dishes, and b with a count that must not be.
func lakeFile() string {
	number := func(n int64) string { return string(binary.AppendVarint(nil, n)) }
	text := func(s string) string { return number(int64(len(s))) + s }
	schema := `{"type":"record","name":"Order","fields":[{"name":"id","type":["null","string"]},{"name":"total","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}},{"name":"day","type":{"type":"int","logicalType":"date"}},
		{"name":"dishes","type":{"type":"array","items":{"type":"record","name":"Dish","fields":[{"name":"sku","type":"string"},{"name":"count","type":"int"}]}}}]}`
	const sync = "0123456789abcdef"
	order := func(id string, count int64) string {
		return number(1) + text(id) + text("\x01\x8a\x92\x54\x7a\x2b\x3c\x15") + number(20778) + number(2) + text("x") + number(count) + text("y") + number(3) + number(0)
	}
	return "Obj\x01" + number(1) + text("avro.schema") + text(schema) + number(0) + sync + number(2) + text(order("a", 2)+order("b", 0)) + sync
}

func TestJobsReadAvro(t *testing.T) {
	t.Parallel()
	p, problems := Compile("orders", parseOptions(t, lakeJob), Environment{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s := &Set{Plans: []*Plan{p}}
	if got := s.door("o.avro", lakeFile()); got != "" {
		t.Error(got)
	}
	if got := s.door("o.avro", "id;total\n"); got != "offset 0: the file does not begin as an Avro container file does, with Obj and the byte 1; expected is an Avro container file" {
		t.Error(got)
	}
	if got := s.door("o.avro", strings.Replace(lakeFile(), `"bytes"`, `"bites"`, 1)); !strings.Contains(got, `the schema in its header: total: there is no type "bites"`) {
		t.Error(got)
	}
	var got []string
	o, err := p.Run(t.Context(), input("o.avro", lakeFile()), func(r *Rendered) error {
		got = append(got, string(r.Message.Body))
		return nil
	})
	if want := `{"id":"a","total":2221240646971208.10,"day":"2026-11-21","dishes":5}`; err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("%s: %v\n got %q\nwant %q", o.Reason, err, got, want)
	}
	if len(o.Rejects) != 1 || o.Rejects[0].Record != 2 || !strings.Contains(o.Rejects[0].Field, "count") {
		t.Errorf("%+v", o.Rejects)
	}
}
