package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// order is what P1 sends of a row.
type order struct {
	OrderID   string      `json:"orderId"`
	OrderedOn string      `json:"orderedOn"`
	Site      string      `json:"site"`
	SKU       string      `json:"sku"`
	Quantity  int64       `json:"quantity"`
	UnitPrice json.Number `json:"unitPrice"`
	Customer  string      `json:"customer"`
	City      string      `json:"city"`
}

// standard encodes a row with encoding/json: what a program that parses and encodes does unless it takes trouble.
func standard(_ []byte, row []string, quantity int64) ([]byte, error) {
	return json.Marshal(order{row[0], row[1], row[2], row[3], quantity, json.Number(row[5]), row[7], row[8]})
}

// byHand appends the JSON of a row piece by piece: the least that can be done.
func byHand(buf []byte, row []string, quantity int64) ([]byte, error) {
	for _, c := range []struct{ name, value string }{
		{`{"orderId":`, row[0]}, {`,"orderedOn":`, row[1]}, {`,"site":`, row[2]}, {`,"sku":`, row[3]},
	} {
		buf = strconv.AppendQuote(append(buf, c.name...), c.value)
	}
	buf = strconv.AppendInt(append(buf, `,"quantity":`...), quantity, 10)
	buf = append(append(buf, `,"unitPrice":`...), row[5]...)
	buf = strconv.AppendQuote(append(buf, `,"customer":`...), row[7])
	return append(strconv.AppendQuote(append(buf, `,"city":`...), row[8]), '}'), nil
}

// encodeFloor parses the CSV with the standard library and encodes each row as JSON, on one core.
func encodeFloor(folder string, rows int64, encode func(buf []byte, row []string, quantity int64) ([]byte, error)) (measurement, error) {
	path, err := csvFile(folder, rows)
	if err != nil {
		return measurement{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return measurement{}, err
	}
	defer func() { _ = f.Close() }()
	start := time.Now()
	r := csv.NewReader(f)
	r.ReuseRecord = true
	if _, err := r.Read(); err != nil {
		return measurement{}, err
	}
	var buf []byte
	var n, bytes int64
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return measurement{}, err
		}
		q, err := strconv.ParseInt(row[4], 10, 64)
		if err != nil {
			return measurement{}, err
		}
		if buf, err = encode(buf[:0], row, q); err != nil {
			return measurement{}, err
		}
		bytes += int64(len(buf))
		n++
	}
	if n != rows {
		return measurement{}, fmt.Errorf("%d rows of %d", n, rows)
	}
	return measurement{Units: n, Bytes: bytes, Seconds: time.Since(start).Seconds()}, nil
}

// connections is the concurrency of HTTP measurements.
const connections = 64

// httpFloor posts the same bodies with net/http alone.
func httpFloor(folder string, n int64) (measurement, error) {
	sink, err := startSink()
	if err != nil {
		return measurement{}, err
	}
	defer sink.stop()
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}}
	work := make(chan int64, connections)
	var wg sync.WaitGroup
	failed := make(chan error, connections)
	start := time.Now()
	for range connections {
		wg.Go(func() {
			for i := range work {
				if err := post(client, sink.url+"/orders", i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	for i := range n {
		select {
		case work <- i:
		case err := <-failed:
			return measurement{}, err
		}
	}
	close(work)
	wg.Wait()
	return measurement{Units: n, Seconds: time.Since(start).Seconds()}, nil
}

func post(client *http.Client, url string, i int64) error {
	body := fmt.Appendf(nil, `{"orderId":"A-%07d","orderedOn":"2026-01-01","site":"S1","sku":"SKU-00001","quantity":1,"unitPrice":0.00,"customer":"Customer 0","city":"Lyon"}`, i)
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", strconv.FormatInt(i, 10))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// dropFiles writes n small JSON files into a folder.
func dropFiles(folder string, n int64) error {
	pad := bytes.Repeat([]byte("x"), 850)
	for i := range n {
		text := fmt.Appendf(nil, `{"order_no":"A-%07d","customer":"Customer %d","quantity":%d,"unit_price":12.50,"note":"%s"}`, i, i%1000, 1+i%40, pad)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("order_%07d.json", i)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
