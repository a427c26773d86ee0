package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// P10 for the formats whose floor is a loop of our own: parse each record, check its number, encode it as JSON, on one core.

// A layout is one of these formats.
type layout struct {
	name       string // of the file, behind its point
	read       string // of the job
	head, tail string
	between    string
	append     func(b []byte, i int64) []byte // one record
	floor      func(r *bufio.Reader, each func(*order) error) error
}

func layouts() []layout {
	return []layout{
		{"ndjson", "format: ndjson", "", "", "\n", jsonRecord, ndjsonFloor},
		{"json", "format: json\n      records: orders", `{"orders":[`, "]}\n", ",\n", jsonRecord, jsonFloor},
		{"dat", "format: fixed", "", "", "\n", fixedRecord, fixedFloor},
		{"pb", "format: protobuf\n      schema: orders.proto", "", "", "", protoRecord, protoFloor},
	}
}

// layoutPiece does one piece of work with a file of such a layout: "ndjson-accept", "ndjson-floor".
func layoutPiece(piece, folder string, records int64) (measurement, bool, error) {
	name, work, _ := strings.Cut(piece, "-")
	for _, l := range layouts() {
		switch {
		case l.name != name:
		case strings.HasPrefix(work, "accept"):
			m, err := acceptLayout(l, folder, records)
			return m, true, err
		case work == "floor":
			m, err := layoutFloor(l, folder, records)
			return m, true, err
		}
	}
	return measurement{}, false, nil
}

// layoutRecords is how many records a piece has: a million, or in P9 what comes to 2 GB and to 20 MB.
func layoutRecords(piece string) float64 {
	switch {
	case strings.HasSuffix(piece, "-large"):
		return 10e6
	case strings.HasSuffix(piece, "-small"):
		return 100e3
	}
	return 1e6
}

func jsonRecord(b []byte, i int64) []byte {
	return fmt.Appendf(b, `{"order_no":"A-%07d","ordered_on":"2026-%02d-%02d","site":"S%d","sku":"SKU-%05d","quantity":%d,"unit_price":%d.%02d,"currency":"EUR","customer":"Customer %d","city":"Lyon","note":"ok"}`,
		i, 1+i%12, 1+i%28, i%9, i%99991, 1+i%40, i%300, i%100, i%1000)
}

func fixedRecord(b []byte, i int64) []byte {
	return fmt.Appendf(b, "A-%07d2026-%02d-%02dS%dSKU-%05d%04d%06d.%02dEUR%-14sLyon      ok",
		i, 1+i%12, 1+i%28, i%9, i%99991, 1+i%40, i%300, i%100, "Customer "+strconv.FormatInt(i%1000, 10))
}

const ordersProto = `syntax = "proto3";
message Order { string order_no = 1; string ordered_on = 2; string site = 3; string sku = 4; int64 quantity = 5; string unit_price = 6; string currency = 7; string customer = 8; string city = 9; string note = 10; }
`

func protoRecord(b []byte, i int64) []byte {
	var m []byte
	text := func(number protowire.Number, format string, args ...any) {
		m = protowire.AppendString(protowire.AppendTag(m, number, protowire.BytesType), fmt.Sprintf(format, args...))
	}
	text(1, "A-%07d", i)
	text(2, "2026-%02d-%02d", 1+i%12, 1+i%28)
	text(3, "S%d", i%9)
	text(4, "SKU-%05d", i%99991)
	m = protowire.AppendVarint(protowire.AppendTag(m, 5, protowire.VarintType), uint64(1+i%40))
	text(6, "%d.%02d", i%300, i%100)
	text(7, "EUR")
	text(8, "Customer %d", i%1000)
	text(9, "Lyon")
	text(10, "ok")
	return append(protowire.AppendVarint(b, uint64(len(m))), m...)
}

// file makes the file with so many records in the shared folder, once.
func (l *layout) file(folder string, records int64) (string, error) {
	return sharedFile(folder, fmt.Sprintf("records-%d.%s", records, l.name), func(w *bufio.Writer) error {
		_, _ = w.WriteString(l.head)
		var record []byte
		for i := range records {
			if i > 0 {
				_, _ = w.WriteString(l.between)
			}
			record = l.append(record[:0], i)
			_, _ = w.Write(record)
		}
		_, _ = w.WriteString(l.tail)
		return nil
	})
}

// job is a job that checks and maps the records.
func (l *layout) job() string {
	from := map[string]string{}
	if l.name == "dat" {
		from = map[string]string{"order_no": "1-9", "ordered_on": "10-19", "site": "20-21", "sku": "22-30", "quantity": "31-34", "unit_price": "35-43",
			"currency": "44-46", "customer": "47-60", "city": "61-70", "note": "71-72"}
	}
	field := func(name, rest string) string {
		place := from[name]
		if place == "" {
			place = name
		}
		return "        " + name + ": {from: \"" + place + "\"" + rest + "}\n"
	}
	return "jobs:\n  orders:\n    receive: {source: drop, files: \"*." + l.name + "\"}\n    read:\n      " + l.read + "\n      fields:\n" +
		field("order_no", `, required: true, pattern: '^A-\d+$'`) + field("ordered_on", `, type: date, required: true`) + field("site", ", required: true") +
		field("sku", ", required: true") + field("quantity", ", type: integer, min: 1, required: true") + field("unit_price", ", type: decimal, required: true") +
		field("currency", ", one_of: [EUR, USD]") + field("customer", "") + field("city", "") + field("note", "") +
		"    send:\n      - to: erp\n        path: /orders\n        key: =order_no\n" + csvBody
}

// acceptLayout runs such a file up to the outbox; its destination is not there.
func acceptLayout(l layout, folder string, records int64) (measurement, error) {
	file, err := l.file(folder, records)
	if err != nil {
		return measurement{}, err
	}
	config, err := landscape(folder, "  erp: {http: {url: \"http://127.0.0.1:1/\"}}\n", l.job())
	if err != nil {
		return measurement{}, err
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(config), "orders.proto"), []byte(ordersProto), 0o600); err != nil {
		return measurement{}, err
	}
	const accepted = 5
	took, err := once(config, file, accepted, "--wait", "1ms")
	return measurement{Units: records, Seconds: took}, err
}
