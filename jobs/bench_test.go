package jobs

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"syscall"
	"testing"
	"time"

	"waybill/formats"
	"waybill/formats/jsonvalue"
	"waybill/ledger"
)

const benchJob = `
receive: {source: s}
read:
  format: csv
  delimiter: ","
  fields:
    order_no:   {required: true, pattern: '^A-\d+$'}
    customer:   {required: true}
    ordered_on: {}
    sku:        {required: true}
    name:       {}
    quantity:   {type: integer, min: 1, required: true}
    unit_price: {type: decimal, min: 0, required: true}
    currency:   {required: true}
    site:       {required: true}
    comment:    {}
send:
  - to: erp
    path: /orders
    key: =order_no
    body:
      orderId: =order_no
      customer: =customer
      orderedOn: =ordered_on
      sku: =sku
      name: =name
      quantity: =quantity
      unitPrice: =unit_price
      site: =site
`

// start and cpu report processor time per record: on a busy machine the clock says nothing.
func start(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	from := used()
	return func() { b.ReportMetric(float64(used()-from)/float64(b.N), "cpu-ns/op") }
}

func benchFile(rows int) []byte {
	var b bytes.Buffer
	b.WriteString("order_no,customer,ordered_on,sku,name,quantity,unit_price,currency,site,comment\n")
	for i := range rows {
		fmt.Fprintf(&b, "A-%d,C%05d,2026-03-31,SKU-%06d,Robinet,%d,%d.%02d,EUR,W1,none\n", 1000000+i, i%99999, i%54321, i%50+1, i%900, i%100)
	}
	return b.Bytes()
}

func BenchmarkPlan(b *testing.B) {
	const rows = 100_000
	file := benchFile(rows)
	p := compile(b, benchJob)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	end := start(b)
	for b.Loop() {
		n := 0
		o, err := p.Run(context.Background(), Input{Blob: formats.Blob{Reader: bytes.NewReader(file), Size: int64(len(file))}, Entry: ledger.Entry{ID: 1}},
			func(r *Rendered) error { n += len(r.Message.Body); return nil })
		if err != nil || o.Messages != rows {
			b.Fatal(err, o)
		}
	}
	end()
}

// BenchmarkDecode is the decoder's part alone.
func BenchmarkDecode(b *testing.B) {
	const rows = 100_000
	file := benchFile(rows)
	p := compile(b, benchJob)
	b.SetBytes(int64(len(file)))
	end := start(b)
	for b.Loop() {
		for _, err := range p.reader.decoder.Decode(formats.Blob{Reader: bytes.NewReader(file), Size: int64(len(file))}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	end()
}

// BenchmarkFloor is the shortest honest program: split the rows, write the objects.
func BenchmarkFloor(b *testing.B) {
	const rows = 100_000
	file := benchFile(rows)
	names := []string{"orderId", "customer", "orderedOn", "sku", "name", "quantity", "unitPrice", "site"}
	columns := []int{0, 1, 2, 3, 4, 5, 6, 8}
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	var body []byte
	end := start(b)
	for b.Loop() {
		r := csv.NewReader(bytes.NewReader(file))
		r.ReuseRecord = true
		if _, err := r.Read(); err != nil {
			b.Fatal(err)
		}
		for {
			row, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			body = append(body[:0], '{')
			for i, c := range columns {
				if i > 0 {
					body = append(body, ',')
				}
				body = append(strconv.AppendQuote(body, names[i]), ':')
				switch i {
				case 5:
					n, err := strconv.ParseInt(row[c], 10, 64)
					if err != nil {
						b.Fatal(err)
					}
					body = strconv.AppendInt(body, n, 10)
				case 6:
					body = append(body, row[c]...)
				default:
					body = jsonvalue.AppendString(body, []byte(row[c]))
				}
			}
			body = append(body, '}')
		}
	}
	end()
}
