package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"time"
)

// xmlFile makes the XML of P10 with so many records, about 240 bytes each, in the shared folder, once.
func xmlFile(folder string, records int64) (string, error) {
	return sharedFile(folder, fmt.Sprintf("records-%d.xml", records), func(w *bufio.Writer) error {
		_, _ = w.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<orders xmlns=\"urn:example:orders\">\n")
		for i := range records {
			fmt.Fprintf(w, "  <order no=\"A-%07d\" site=\"S%d\">\n    <day>2026-%02d-%02d</day><sku>SKU-%05d</sku><qty>%d</qty>\n"+
				"    <price currency=\"EUR\">%d.%02d</price><customer>Customer %d</customer><city>Lyon</city>\n    <note>C&#226;ble &amp; prise, 2 m</note>\n  </order>\n",
				i, i%9, 1+i%12, 1+i%28, i%99991, 1+i%40, i%300, i%100, i%1000)
		}
		_, _ = w.WriteString("</orders>\n")
		return nil
	})
}

const xmlJob = `jobs:
  orders:
    receive: {source: drop, files: "*.xml"}
    read:
      format: xml
      records: /orders/order
      fields:
        order_no:   {from: "@no", required: true, pattern: '^A-\d+$'}
        ordered_on: {from: day, type: date, required: true}
        site:       {from: "@site", required: true}
        sku:        {from: sku, required: true}
        quantity:   {from: qty, type: integer, min: 1, required: true}
        unit_price: {from: price, type: decimal, required: true}
        currency:   {from: price/@currency, one_of: [EUR, USD]}
        customer:   {from: customer}
        city:       {from: city}
        note:       {from: note}
    send:
      - to: erp
        path: /orders
        key: =order_no
`

// acceptXML runs an XML file up to the outbox; its destination is not there.
func acceptXML(folder string, records int64) (measurement, error) {
	file, err := xmlFile(folder, records)
	if err != nil {
		return measurement{}, err
	}
	config, err := landscape(folder, "  erp: {http: {url: \"http://127.0.0.1:1/\"}}\n", xmlJob+csvBody)
	if err != nil {
		return measurement{}, err
	}
	const accepted = 5
	took, err := once(config, file, accepted, "--wait", "1ms")
	return measurement{Units: records, Seconds: took}, err
}

// xmllint reads the same file as a stream, and makes nothing of it.
func xmllint(folder string, records int64) (measurement, error) {
	file, err := xmlFile(folder, records)
	if err != nil {
		return measurement{}, err
	}
	start := time.Now()
	if out, err := exec.Command("xmllint", "--stream", "--noout", file).CombinedOutput(); err != nil {
		return measurement{}, fmt.Errorf("xmllint (scripts/test-deps.sh installs it): %w: %s", err, out)
	}
	return measurement{Units: records, Seconds: time.Since(start).Seconds()}, nil
}
