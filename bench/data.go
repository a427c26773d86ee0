package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The CSV of P1: ten columns, about 67 bytes a row.
const csvHead = "order_no,ordered_on,site,sku,quantity,unit_price,currency,customer,city,note\n"

// sharedFile makes a file in the shared folder, once. Errors of w may be left to it: it remembers its first one.
func sharedFile(folder, name string, write func(w *bufio.Writer) error) (string, error) {
	path := filepath.Join(folder, "shared", name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	f, err := os.Create(path + ".part")
	if err != nil {
		return "", err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	return path, errors.Join(write(w), w.Flush(), f.Close(), os.Rename(path+".part", path))
}

// csvFile makes the CSV with so many rows in the shared folder, once.
func csvFile(folder string, rows int64) (string, error) {
	return sharedFile(folder, fmt.Sprintf("rows-%d.csv", rows), func(w *bufio.Writer) error {
		_, _ = w.WriteString(csvHead)
		for i := range rows {
			fmt.Fprintf(w, "A-%07d,2026-%02d-%02d,S%d,SKU-%05d,%d,%d.%02d,EUR,Customer %d,Lyon,ok\n",
				i, 1+i%12, 1+i%28, i%9, i%99991, 1+i%40, i%300, i%100, i%1000)
		}
		return nil
	})
}

// csvJob is a job that checks and maps the CSV, with what it sends left open.
func csvJob(send string) string {
	return `jobs:
  orders:
    receive: {source: drop, files: "*.csv"}
    read:
      format: csv
      fields:
        order_no:   {from: order_no, required: true, pattern: '^A-\d+$'}
        ordered_on: {from: ordered_on, type: date, format: "%Y-%m-%d", required: true}
        site:       {from: site, required: true}
        sku:        {from: sku, required: true}
        quantity:   {from: quantity, type: integer, min: 1, required: true}
        unit_price: {from: unit_price, type: decimal, required: true}
        currency:   {from: currency, one_of: [EUR, USD]}
        customer:   {from: customer}
        city:       {from: city}
        note:       {from: note}
    send:
` + send
}

const csvBody = `        body: {orderId: =order_no, orderedOn: =ordered_on, site: =site, sku: =sku, quantity: =quantity, unitPrice: =unit_price, customer: =customer, city: =city}
`
