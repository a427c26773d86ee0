package formats

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"waybill/formats/xlsx"
)

func benchTitles() []string {
	return strings.Split("id,sku,qty,price,day,site,city,zip,flag,note", ",")
}

func benchXLSXRow(i int) []Value {
	return []Value{val(Text, fmt.Sprintf("%d", 1_000_000+i)), val(Text, fmt.Sprintf("AB-%d", i%5000)), val(Number, "12"), val(Number, "199.90"), val(Date, "2026-11-21"),
		val(Text, "W1"), val(Text, "Clermont-Ferrand"), val(Text, "63000"), val(Bool, "true"), val(Text, fmt.Sprintf("note %d", i))}
}

// benchBook is a workbook of the shape of P10: ten columns, written by excelize's stream, or with shared strings.
func benchBook(b testing.TB, rows int, shared bool) []byte {
	b.Helper()
	if !shared {
		f := excelize.NewFile()
		defer f.Close()
		s, err := f.NewStreamWriter("Sheet1")
		must(b, err)
		for i := range rows + 1 {
			row := make([]any, 10)
			for c := range row {
				switch {
				case i == 0:
					row[c] = benchTitles()[c]
				case c%2 == 0:
					row[c] = i*10 + c
				default:
					row[c] = fmt.Sprintf("text %d of %d", c, i)
				}
			}
			must(b, s.SetRow(fmt.Sprintf("A%d", i+1), row))
		}
		must(b, s.Flush())
		var out bytes.Buffer
		must(b, f.Write(&out))
		return out.Bytes()
	}
	var sheet, texts strings.Builder
	n := 0
	for i := range rows + 1 {
		fmt.Fprintf(&sheet, `<row r="%d" spans="1:10">`, i+1)
		for c := range 10 {
			if i > 0 && c%2 == 0 {
				fmt.Fprintf(&sheet, `<c r="%s" s="0"><v>%d</v></c>`, xlsx.CellName(c+1, int64(i+1)), i*10+c)
				continue
			}
			fmt.Fprintf(&sheet, `<c r="%s" t="s"><v>%d</v></c>`, xlsx.CellName(c+1, int64(i+1)), n)
			text := fmt.Sprintf("text %d of %d", c, i)
			if i == 0 {
				text = benchTitles()[c]
			}
			fmt.Fprintf(&texts, `<si><t>%s</t></si>`, text)
			n++
		}
		sheet.WriteString("</row>")
	}
	return bookOf{sheet: sheet.String(), strings: texts.String()}.bytes(b)
}

// BenchmarkXLSX is P10 beside its floor, which unpacks the sheet and looks at every byte, and beside excelize.
func BenchmarkXLSX(b *testing.B) {
	const rows = 200_000
	for _, shared := range []bool{false, true} {
		name := map[bool]string{false: "inline", true: "shared"}[shared]
		data := benchBook(b, rows, shared)
		b.Run(name+"/decode", func(b *testing.B) {
			d := decoder(b, Options{Format: "xlsx"}, columns(benchTitles()...)...)
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for _, err := range d.Decode(Blob{ReaderAt: bytes.NewReader(data), Size: int64(len(data))}) {
					must(b, err)
					n++
				}
				if n != rows {
					b.Fatalf("%d records", n)
				}
			}
		})
		b.Run(name+"/floor=inflate", func(b *testing.B) {
			for b.Loop() {
				z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
				must(b, err)
				lines := 0
				for _, f := range z.File {
					if !strings.HasSuffix(f.Name, "sheet1.xml") {
						continue
					}
					r, err := f.Open()
					must(b, err)
					buf := make([]byte, 64<<10)
					for {
						n, err := r.Read(buf)
						for _, c := range buf[:n] {
							if c == '<' {
								lines++
							}
						}
						if err == io.EOF {
							break
						}
						must(b, err)
					}
				}
				if lines < rows {
					b.Fatal(lines)
				}
			}
		})
	}
	data := benchBook(b, rows/10, false)
	b.Run("tenth/decode", func(b *testing.B) {
		d := decoder(b, Options{Format: "xlsx"}, columns(benchTitles()...)...)
		for b.Loop() {
			for _, err := range d.Decode(Blob{ReaderAt: bytes.NewReader(data), Size: int64(len(data))}) {
				must(b, err)
			}
		}
	})
	b.Run("tenth/peer=excelize", func(b *testing.B) {
		for b.Loop() {
			f, err := excelize.OpenReader(bytes.NewReader(data))
			must(b, err)
			rows, err := f.Rows("Sheet1")
			must(b, err)
			for rows.Next() {
				_, err := rows.Columns(excelize.Options{RawCellValue: true})
				must(b, err)
			}
			must(b, rows.Close())
			must(b, f.Close())
		}
	})
	b.Run("tenth/write/peer=excelize", func(b *testing.B) {
		for b.Loop() {
			f := excelize.NewFile()
			s, err := f.NewStreamWriter("Sheet1")
			must(b, err)
			for i := range rows / 10 {
				must(b, s.SetRow(fmt.Sprintf("A%d", i+1), []any{"1000001", "AB-1", 12, 199.90, 46347, "W1", "Clermont-Ferrand", "63000", true, "note 1"}))
			}
			must(b, s.Flush())
			must(b, f.Write(io.Discard))
			must(b, f.Close())
		}
	})
	b.Run("tenth/write", func(b *testing.B) {
		e, _ := NewEncoder(Writing{Format: "xlsx"}, titled(benchTitles()...))
		row := benchXLSXRow(1)
		b.ReportAllocs()
		for b.Loop() {
			must(b, e.Encode(io.Discard, func(yield func([]Value, error) bool) {
				for range rows / 10 {
					if !yield(row, nil) {
						return
					}
				}
			}))
		}
	})
}
