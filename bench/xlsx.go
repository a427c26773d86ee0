package main

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// xlsxFile makes the workbook of P10 in the shared folder, once: ten columns, half of them texts that stand in their cells, as programs
// write them that stream, or apart from them, as spreadsheets do.
func xlsxFile(folder string, rows int64, sharedTexts bool) (string, error) {
	return sharedFile(folder, fmt.Sprintf("rows-%d-%t.xlsx", rows, sharedTexts), func(w *bufio.Writer) error {
		z := zip.NewWriter(w)
		return errors.Join(xlsxParts(z, rows, sharedTexts), z.Close())
	})
}

const (
	sheetPart = "xl/worksheets/sheet1.xml"
	bookSpace = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"`
	relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
)

func xlsxParts(z *zip.Writer, rows int64, sharedTexts bool) error {
	part := func(name string, write func(w *bufio.Writer)) error {
		p, err := z.Create(name)
		if err != nil {
			return err
		}
		w := bufio.NewWriterSize(p, 1<<20)
		write(w)
		return w.Flush()
	}
	text := func(s string) func(w *bufio.Writer) { return func(w *bufio.Writer) { _, _ = w.WriteString(s) } }
	const packages = `xmlns="http://schemas.openxmlformats.org/package/2006/`
	err := errors.Join(
		part("[Content_Types].xml", text(`<Types `+packages+`content-types"><Default Extension="xml" ContentType="application/xml"/></Types>`)),
		part("_rels/.rels", text(`<Relationships `+packages+`relationships"><Relationship Id="r" Type="`+relations+`/officeDocument" Target="xl/workbook.xml"/></Relationships>`)),
		part("xl/workbook.xml", text(`<workbook `+bookSpace+` xmlns:r="`+relations+`"><sheets><sheet name="Orders" sheetId="1" r:id="r1"/></sheets></workbook>`)),
		part("xl/_rels/workbook.xml.rels", text(`<Relationships `+packages+`relationships"><Relationship Id="r1" Type="`+relations+`/worksheet" Target="worksheets/sheet1.xml"/>`+
			`<Relationship Id="r2" Type="`+relations+`/sharedStrings" Target="sharedStrings.xml"/></Relationships>`)),
		part(sheetPart, func(w *bufio.Writer) { xlsxSheet(w, rows, sharedTexts) }))
	if !sharedTexts {
		return err
	}
	return errors.Join(err, part("xl/sharedStrings.xml", func(w *bufio.Writer) {
		_, _ = w.WriteString(`<sst ` + bookSpace + `>`)
		for _, t := range xlsxTitles {
			fmt.Fprintf(w, "<si><t>%s</t></si>", t)
		}
		for i := range rows {
			for _, t := range xlsxTexts(i) {
				fmt.Fprintf(w, "<si><t>%s</t></si>", t)
			}
		}
		_, _ = w.WriteString(`</sst>`)
	}))
}

var xlsxTitles = []string{"order_no", "sku", "customer", "city", "note", "quantity", "unit_price", "site", "zip", "weight"}

// xlsxTexts are the texts of a row, in its first columns; numbers stand in the others.
func xlsxTexts(i int64) [5]string {
	return [5]string{fmt.Sprintf("A-%07d", i), fmt.Sprintf("SKU-%05d", i%99991), fmt.Sprintf("Customer %d", i%1000), "Clermont-Ferrand", fmt.Sprintf("C&#226;ble &amp; prise %d", i)}
}

// xlsxSheet writes the rows; the writer remembers its first error until Flush.
func xlsxSheet(w *bufio.Writer, rows int64, sharedTexts bool) {
	_, _ = w.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<worksheet " + bookSpace + "><sheetData>")
	texts, number := 0, int64(1)
	cell := func(column int, text string) {
		if sharedTexts {
			fmt.Fprintf(w, `<c r="%c%d" t="s"><v>%d</v></c>`, 'A'+column, number, texts)
			texts++
			return
		}
		fmt.Fprintf(w, `<c r="%c%d" t="inlineStr"><is><t>%s</t></is></c>`, 'A'+column, number, text)
	}
	_, _ = w.WriteString(`<row r="1">`)
	for i, t := range xlsxTitles {
		cell(i, t)
	}
	for i := range rows {
		number++
		fmt.Fprintf(w, `</row><row r="%d">`, number)
		for c, t := range xlsxTexts(i) {
			cell(c, t)
		}
		fmt.Fprintf(w, `<c r="F%d"><v>%d</v></c><c r="G%d"><v>%d.%02d</v></c><c r="H%d"><v>%d</v></c><c r="I%d"><v>63000</v></c><c r="J%d"><v>%d.5</v></c>`,
			number, 1+i%40, number, i%300, i%100, number, i%9, number, number, i%50)
	}
	_, _ = w.WriteString(`</row></sheetData></worksheet>`)
}

const xlsxJob = `jobs:
  orders:
    receive: {source: drop, files: "*.xlsx"}
    read:
      format: xlsx
      fields:
        order_no:   {required: true, pattern: '^A-\d+$'}
        sku:        {required: true}
        customer:   {}
        city:       {}
        note:       {}
        quantity:   {type: integer, min: 1, required: true}
        unit_price: {type: decimal, required: true}
        site:       {required: true}
        zip:        {}
        weight:     {type: decimal}
    send:
      - to: erp
        path: /orders
        key: =order_no
        body: {orderId: =order_no, site: =site, sku: =sku, quantity: =quantity, unitPrice: =unit_price, customer: =customer, city: =city, note: =note, zip: =zip, weight: =weight}
`

// acceptXLSX runs a workbook up to the outbox; its destination is not there.
func acceptXLSX(folder string, rows int64, sharedTexts bool) (measurement, error) {
	file, err := xlsxFile(folder, rows, sharedTexts)
	if err != nil {
		return measurement{}, err
	}
	config, err := landscape(folder, "  erp: {http: {url: \"http://127.0.0.1:1/\"}}\n", xlsxJob)
	if err != nil {
		return measurement{}, err
	}
	const accepted = 5
	took, err := once(config, file, accepted, "--wait", "1ms")
	return measurement{Units: rows, Seconds: took}, err
}

// inflate unpacks the sheet of a workbook, and the texts of its cells where they stand apart, and looks at every byte.
func inflate(folder string, rows int64, sharedTexts bool) (measurement, error) {
	file, err := xlsxFile(folder, rows, sharedTexts)
	if err != nil {
		return measurement{}, err
	}
	start := time.Now()
	z, err := zip.OpenReader(file)
	if err != nil {
		return measurement{}, err
	}
	defer func() { _ = z.Close() }()
	m := measurement{Units: rows}
	tags := int64(0)
	buf := make([]byte, 64<<10)
	for _, f := range z.File {
		if f.Name != sheetPart && !strings.HasSuffix(f.Name, "sharedStrings.xml") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return m, err
		}
		for {
			n, err := r.Read(buf)
			m.Bytes += int64(n)
			for _, c := range buf[:n] {
				if c == '<' {
					tags++
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return m, err
			}
		}
	}
	if m.Seconds = time.Since(start).Seconds(); tags < rows {
		return m, fmt.Errorf("only %d tags", tags)
	}
	return m, nil
}
