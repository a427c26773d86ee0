package main

import (
	"bufio"
	varint "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// layoutFloor parses the same file and encodes each record as JSON with the standard library, on one core.
func layoutFloor(l layout, folder string, records int64) (measurement, error) {
	path, err := l.file(folder, records)
	if err != nil {
		return measurement{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return measurement{}, err
	}
	defer func() { _ = f.Close() }()
	start := time.Now()
	var n, size int64
	err = l.floor(bufio.NewReaderSize(f, 1<<20), func(o *order) error {
		if o.Quantity < 1 {
			return errors.New("no quantity")
		}
		text, err := json.Marshal(o)
		size += int64(len(text))
		n++
		return err
	})
	if err == nil && n != records {
		err = fmt.Errorf("%d records of %d", n, records)
	}
	return measurement{Units: n, Bytes: size, Seconds: time.Since(start).Seconds()}, err
}

// A readOrder is a record as its file has it.
type readOrder struct {
	OrderNo   string      `json:"order_no"`
	OrderedOn string      `json:"ordered_on"`
	Site      string      `json:"site"`
	SKU       string      `json:"sku"`
	Quantity  int64       `json:"quantity"`
	UnitPrice json.Number `json:"unit_price"`
	Currency  string      `json:"currency"`
	Customer  string      `json:"customer"`
	City      string      `json:"city"`
	Note      string      `json:"note"`
}

func (r *readOrder) order() *order {
	return &order{r.OrderNo, r.OrderedOn, r.Site, r.SKU, r.Quantity, r.UnitPrice, r.Customer, r.City}
}

func ndjsonFloor(r *bufio.Reader, each func(*order) error) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var o readOrder
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		if err := each(o.order()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func jsonFloor(r *bufio.Reader, each func(*order) error) error {
	d := json.NewDecoder(r)
	for range 3 { // { "orders" [
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	for d.More() {
		var o readOrder
		if err := d.Decode(&o); err != nil {
			return err
		}
		if err := each(o.order()); err != nil {
			return err
		}
	}
	return nil
}

func fixedFloor(r *bufio.Reader, each func(*order) error) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		l := lines.Text()
		q, err := strconv.ParseInt(l[30:34], 10, 64)
		if err != nil {
			return err
		}
		price := strings.TrimLeft(l[34:43], "0")
		if price[0] == '.' {
			price = "0" + price
		}
		o := order{l[:9], l[9:19], l[19:21], l[21:30], q, json.Number(price), strings.TrimRight(l[46:60], " "), strings.TrimRight(l[60:70], " ")}
		if err := each(&o); err != nil {
			return err
		}
	}
	return lines.Err()
}

func protoFloor(r *bufio.Reader, each func(*order) error) error {
	var message []byte
	for {
		n, err := varint.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if n > 8<<20 {
			return fmt.Errorf("a record of %d bytes", n)
		}
		message = slices.Grow(message[:0], int(n))[:n]
		if _, err := io.ReadFull(r, message); err != nil {
			return err
		}
		var o order
		if err := parseProto(message, &o); err != nil {
			return err
		}
		if err := each(&o); err != nil {
			return err
		}
	}
}

// parseProto does what generated code does.
func parseProto(b []byte, o *order) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if kind == protowire.VarintType {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			o.Quantity, b = int64(v), b[n:]
			continue
		}
		text, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if !utf8.Valid(text) {
			return errors.New("a text is not UTF-8")
		}
		switch s := string(text); number {
		case 1:
			o.OrderID = s
		case 2:
			o.OrderedOn = s
		case 3:
			o.Site = s
		case 4:
			o.SKU = s
		case 6:
			o.UnitPrice = json.Number(s)
		case 8:
			o.Customer = s
		case 9:
			o.City = s
		}
	}
	return nil
}
