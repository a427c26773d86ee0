package jobs

import (
	"os"
	"strings"
	"testing"
)

const kitchenProto = `syntax = "proto3";
package kitchen;
enum State { NEW = 0; PAID = 1; }
message Dish { string sku = 1; uint32 count = 2; }
message Order { string id = 1; State state = 2; repeated Dish dishes = 3; int64 big = 4; }
`

const kitchenJob = `
receive: {source: in, files: "*.pb"}
read:
  format: protobuf
  schema: kitchen.proto
  records: kitchen.Order
  fields: {id: {required: true}, state: {one_of: [NEW, PAID]}, big: {type: integer}, dishes: {type: list, required: true, fields: {sku: {}, count: {type: integer, min: 1, required: true}}}}
send:
  - {to: erp, key: =id, body: {id: =id, state: =state, big: =big, dishes: '=sum(dishes, .count)'}}
  - {to: erp, each: file, name: all.pb, as: protobuf, schema: kitchen.proto, message: Order, body: {id: =id, big: =big, dishes: {=each: dishes, sku: =sku, count: =count}}}
  - {to: erp, name: one, key: =id, as: protobuf, schema: kitchen.proto, message: Order, body: {id: =id}}
`

func kitchenFiles(path string) ([]byte, error) {
	if path != "kitchen.proto" {
		return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	}
	return []byte(kitchenProto), nil
}

func kitchenPlan(t *testing.T) *Plan {
	t.Helper()
	p, problems := Compile("orders", parseOptions(t, kitchenJob), Environment{Files: kitchenFiles})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// kitchenFile has two orders: a, with two dishes and a large number, and b, in the state that its argument says.
func kitchenFile(state byte) string {
	return "\x1b\x0a\x01a\x1a\x05\x0a\x01x\x10\x02\x1a\x05\x0a\x01y\x10\x03\x20\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + "\x05\x0a\x01b\x10" + string(rune(state))
}

func TestJobsReadAndWriteProtobuf(t *testing.T) {
	t.Parallel()
	p := kitchenPlan(t)
	var got []string
	heads := &heads{}
	in := input("o.pb", kitchenFile(1))
	in.Files = heads
	o, err := p.Run(t.Context(), in, func(r *Rendered) error {
		text := string(r.Message.Body)
		if r.Object != 0 {
			text = string(heads.list[r.Object-1].head)
		}
		got = append(got, r.Message.Header(":content-type")+" "+text)
		return nil
	})
	want := []string{
		`application/json {"id":"a","state":"NEW","big":9223372036854775807,"dishes":5}`, "application/x-protobuf \x0a\x01a",
		`application/json {"id":"b","state":"PAID","big":0,"dishes":0}`, "application/x-protobuf \x0a\x01b",
		"application/x-protobuf " + strings.Replace(kitchenFile(1), "\x05\x0a\x01b\x10\x01", "\x03\x0a\x01b", 1),
	}
	if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%s: %v\n got %q\nwant %q", o.Reason, err, got, want)
	}
	if o, err = p.Run(t.Context(), input("o.pb", kitchenFile(7)), func(*Rendered) error { return nil }); err != nil || len(o.Rejects) != 1 || o.Rejects[0].Reason != "is none of NEW, PAID (in the record at offset 28)" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestProtobufIsTurnedAwayAtTheDoorOnlyWhenItIsNone(t *testing.T) {
	t.Parallel()
	s := &Set{Plans: []*Plan{kitchenPlan(t)}}
	if got := s.door("o.pb", kitchenFile(1)); got != "" {
		t.Error(got)
	}
	if got := s.door("o.pb", "\xff\xff\xff\xff\xff\xff\xff"); got != "offset 0: the file ends inside the length of message 1: truncated?; expected is Protobuf, each message behind its length" {
		t.Error(got)
	}
}

func TestASchemaIsLookedForWhenTheJobIsCompiled(t *testing.T) {
	t.Parallel()
	var problems []string
	_, ps := Compile("job", parseOptions(t, kitchenJob), Environment{Files: func(string) ([]byte, error) { return nil, os.ErrNotExist }})
	for _, p := range ps {
		problems = append(problems, p.Path)
	}
	if strings.Join(problems, " ") != "read.schema send[1].schema send[2].schema" {
		t.Error(ps)
	}
}
