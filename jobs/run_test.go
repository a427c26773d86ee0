package jobs

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/formats"
	"waybill/ledger"
)

var update = flag.Bool("update", false, "write the golden files anew")

const ordersJob = `
receive: {source: suppliers, files: ["orders_*.csv", "cde-{day:%Y%m%d}.csv"]}
identity: {by: content, redelivery: skip, correction: hold, suspect: process}
read:
  format: csv
  delimiter: ";"
  encoding: windows-1252
  decimal: ","
  thousands: [" ", "\u00A0", "\u202F"]
  titles: 1
  columns: {extra: ignore, missing: reject}
  fields:
    order_no:   {from: "N° commande", required: true, pattern: '^A-\d+$'}
    ordered_on: {from: [Date, "Date commande"], type: date, format: "%d.%m.%Y"}
    site:       {from: Site, required: true}
    sku:        {from: Article}
    quantity:   {from: Qté, type: integer, min: 1, required: true}
    unit_price: {column: F, type: decimal, required: true}
    urgent:     {from: Urgent, type: boolean, default: false, true_is: [O, oui, 1], false_is: [N, non, 0]}
    amount:     {value: '=quantity * unit_price', type: decimal}
  group: {by: order_no, into: lines, take: [sku, quantity, unit_price, amount], apart: reject}
check:
  allow_rejects: 0
  record:
    - {that: '=len(lines) <= 200', say: "an order has at most 200 lines"}
send:
  - to: erp
    method: POST
    path: /sites/{partner.vars.site}/orders
    query: {dry: "no"}
    key: =order_no
    body:
      orderId: =order_no
      orderedOn: =ordered_on
      priority: '=urgent ? "HIGH" : "NORMAL"'
      lines:
        =each: lines
        no: =position
        sku: =sku
        orderId: =up.order_no
        quantity: =quantity
        unitPrice: =unit_price
      total: '=sum(lines, .amount)'
    success: '=response.status == 201 && response.body.received == true'
    capture: {remote_id: =response.body.id}
`

func compile(t testing.TB, job string) *Plan {
	t.Helper()
	p, problems := Compile("orders", parseOptions(t, job), Environment{Config: "cfg"})
	for _, problem := range problems {
		t.Error(problem)
	}
	if len(problems) > 0 {
		t.FailNow()
	}
	return p
}

// latin writes text as windows-1252 has it.
func latin(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteByte(byte(r))
	}
	return b.String()
}

func input(path, text string) Input {
	at := time.Date(2026, 3, 31, 8, 0, 0, 0, time.UTC)
	return Input{
		Entry:   ledger.Entry{ID: 17, Run: 1, Job: "orders", Name: path, Identity: "content:abc", Received: at},
		File:    ledger.File{ID: 3, Source: "suppliers", Path: path, Size: int64(len(text)), Object: 9, Digest: []byte{1, 2}, Landed: at},
		Partner: Partner{Name: "acme", Vars: map[string]string{"site": "W 1"}},
		Blob:    formats.Blob{Name: path, Reader: strings.NewReader(text), Size: int64(len(text))},
	}
}

// runs returns the outcome and the messages as text.
func runs(t testing.TB, p *Plan, in Input) (ledger.Outcome, string) {
	t.Helper()
	var b strings.Builder
	o, err := p.Run(context.Background(), in, func(r *Rendered) error {
		fmt.Fprintf(&b, "%s %s %s record %d", r.Name, r.Message.Key, r.Message.Ref, r.Message.Record)
		for _, h := range r.Message.Headers {
			fmt.Fprintf(&b, " %s=%s", h.Name, h.Value)
		}
		if r.Object != 0 {
			fmt.Fprintf(&b, " object %d of %d bytes, original %t", r.Object, r.Message.Size, r.Original)
		}
		fmt.Fprintf(&b, "\n%s\n", r.Message.Body)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return o, b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n got %s\nwant %s", path, got, want)
	}
}

func show(o ledger.Outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d records, %d messages, %d rejected", o.State, o.Records, o.Messages, o.Rejected)
	if o.Reason != "" {
		fmt.Fprintf(&b, ": %s", o.Reason)
	}
	for _, r := range o.Rejects {
		fmt.Fprintf(&b, "\n%d/%d %s %q %s", r.Record, r.Line, r.Field, r.Value, r.Reason)
	}
	return b.String()
}

func TestOrdersOfACSVFileBecomeMessages(t *testing.T) {
	t.Parallel()
	o, got := runs(t, compile(t, ordersJob), input("in/orders_1.csv", latin(
		"N° commande;Date;Site;Article;Qté;Prix;Urgent\r\n"+
			"A-1;31.03.2026;W1;\"S \"\"1\"\"\";2;1 234,500;O\r\n"+
			"A-1;31.03.2026;W1;S2;3;24,910;O\r\n"+
			"A-2;;W1;;1;0,10;\r\n")))
	golden(t, "orders_csv.txt", show(o)+"\n"+got)
}

func TestOrdersOfAJSONFileBecomeMessages(t *testing.T) {
	t.Parallel()
	p := compile(t, `
receive: {source: suppliers, files: "*.json"}
read:
  format: json
  records: $.orders
  fields:
    no: {from: id, required: true}
    buyer: {type: object, required: true, fields: {name: {required: true}, vat: {}}}
    at: {type: datetime}
    price: {type: decimal}
    tags: {type: list}
    any: {type: raw}
    items:
      type: list
      required: true
      fields: {sku: {required: true}, qty: {type: decimal, required: true}}
send:
  - to: erp
    path: /orders/{no}
    headers: {X-File: =file.name, X-Fixed: "yes"}
    missing: "null"
    body:
      no: =no
      buyer: =buyer.name
      vat: =buyer.vat
      at: =at
      price: =price
      tags: =tags
      any: =any
      whole: =items
      express: true
      kind: "true"
      n: 5
      list: [=no, x, {a: =no}]
      items: {=each: items, =when: qty > 1, n: =position, qty: =qty, of: =up.no}
  - {to: bus, routing_key: "orders.{no}"}
`)
	o, got := runs(t, p, input("orders.json", `{"orders": [
 {"id": "A/1", "buyer": {"name": "É\n", "vat": "1"}, "at": "2026-03-31T08:00:00+02:00", "price": 24.910, "tags": ["a", 1.0], "any": {"x": 1.50}, "items": [{"sku": "S", "qty": 1}, {"sku": "T", "qty": 2.50}]},
 {"id": 7, "buyer": {"name": "B"}, "any": null, "price": 1e3, "items": []}]}`))
	golden(t, "orders_json.txt", show(o)+"\n"+got)
}

func TestRejectsNameLineFieldValueAndReason(t *testing.T) {
	t.Parallel()
	o, got := runs(t, compile(t, ordersJob), input("in/orders_1.csv", latin(
		"N° commande;Date;Site;Article;Qté;Prix;Urgent\r\n"+
			"A-1;31.02.2026;W1;S;1O;1,5;x\r\n"+
			"B-1;;W1;S;0;1.5;\r\n"+
			"A-2;;W1;S;1;1\r\n"+
			"A-3;;;S;99999999999999999999;1;\r\n")))
	golden(t, "rejects.txt", show(o)+"\n"+got)
}

func TestRunReturnsWhatEmitSays(t *testing.T) {
	t.Parallel()
	p := compile(t, ordersJob)
	stop := errors.New("full")
	_, err := p.Run(context.Background(), input("orders_1.csv", latin("N° commande;Date;Site;Article;Qté;Prix;Urgent\nA-1;;W;S;1;1;\n")),
		func(*Rendered) error { return stop })
	if !errors.Is(err, stop) {
		t.Fatalf("got %v", err)
	}
}
