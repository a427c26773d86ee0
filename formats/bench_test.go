package formats

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"testing"
)

// The files of the benchmarks: 10 columns, 67 bytes a row, and the same as JSON.
const (
	benchHead = "id,sku,qty,price,day,site,city,zip,flag,note\n"
	benchRow  = "1000017,AB-4711,12,199.90,2026-11-21,W1,Clermont-Ferrand,63000,O,ok\n"
	benchJSON = `{"id":"1000017","sku":"AB-4711","qty":12,"price":199.90,"day":"2026-11-21","site":"W1","city":"Clermont-Ferrand","zip":"63000","flag":true,"lines":[{"no":1,"sku":"x"},{"no":2,"sku":"y"}]}`
	benchRows = 50_000
)

func benchDecode(b *testing.B, d Decoder, data []byte, records int) {
	b.Helper()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range d.Decode(Blob{Reader: bytes.NewReader(data), Size: int64(len(data))}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != records {
			b.Fatalf("%d records, want %d", n, records)
		}
	}
}

func BenchmarkCSV(b *testing.B) {
	data := lines(benchRows, benchHead, benchRow)
	quoted := lines(benchRows, benchHead, `1000017,"AB-4711",12,"199.90",2026-11-21,W1,"Clermont ""Ferrand""",63000,O,ok`+"\n")
	wants := columns("id", "sku", "qty", "price", "day", "site", "city", "zip", "flag", "note")
	b.Run("decode", func(b *testing.B) {
		benchDecode(b, decoder(b, Options{Format: "csv"}, wants...), data, benchRows)
	})
	b.Run("quoted", func(b *testing.B) {
		benchDecode(b, decoder(b, Options{Format: "csv"}, wants...), quoted, benchRows)
	})
	b.Run("windows-1252", func(b *testing.B) {
		accents := bytes.ReplaceAll(data, []byte("Clermont-Ferrand"), []byte("Clermont-Ferr\xe9nd"))
		benchDecode(b, decoder(b, Options{Format: "csv", Encoding: "windows-1252"}, wants...), accents, benchRows)
	})
	b.Run("floor=encoding/csv", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			r := csv.NewReader(bytes.NewReader(data))
			r.ReuseRecord = true
			for {
				if _, err := r.Read(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

var benchWants = append(columns("id", "sku", "qty", "price", "day", "site", "city", "zip", "flag"),
	Want{Name: "lines", From: []string{"lines"}, List: true, Fields: columns("no", "sku")})

func BenchmarkJSON(b *testing.B) {
	data := append(lines(benchRows-1, `{"head":1,"items":[`, benchJSON+",\n"), benchJSON+"]}"...)
	b.Run("decode", func(b *testing.B) {
		benchDecode(b, decoder(b, Options{Format: "json", Records: "items"}, benchWants...), data, benchRows)
	})
	b.Run("small file", func(b *testing.B) {
		benchDecode(b, decoder(b, Options{Format: "json"}, benchWants...), lines(1, "", benchJSON), 1)
	})
	b.Run("tree", func(b *testing.B) {
		benchDecode(b, decoder(b, Options{Format: "json", Records: "items"}), data, benchRows)
	})
}

func BenchmarkNDJSON(b *testing.B) {
	data := lines(benchRows, "", benchJSON+"\n")
	b.Run("decode", func(b *testing.B) {
		benchDecode(b, decoder(b, Options{Format: "ndjson"}, benchWants...), data, benchRows)
	})
	b.Run("floor=encoding/json", func(b *testing.B) {
		type line struct {
			No  json.Number `json:"no"`
			SKU string      `json:"sku"`
		}
		type order struct {
			ID, SKU, Day, Site, City, Zip string
			Qty, Price                    json.Number
			Flag                          bool
			Lines                         []line
		}
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			s := bufio.NewScanner(bytes.NewReader(data))
			for s.Scan() {
				var o order
				if err := json.Unmarshal(s.Bytes(), &o); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
