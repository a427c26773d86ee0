package xlsx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"waybill/formats/fault"
)

// The format xlsx is tested in package formats, word for word and against excelize; here is what is known of cells and sheets alone.

func TestDatesAgreeWithExcelize(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		since04 := rnd.IntN(2) == 0
		serial := float64(61+rnd.IntN(2_900_000)) + float64(rnd.IntN(86_400))/86_400
		if since04 {
			serial = math.Min(serial, 2_900_000)
		}
		want, err := excelize.ExcelDateToTime(serial, since04)
		if err != nil {
			t.Fatal(err)
		}
		got, bad := appendMoment(nil, strconv.AppendFloat(nil, serial, 'g', 17, 64), shapeDate|shapeTime, since04)
		if s := want.Round(time.Second).Format("2006-01-02T15:04:05"); bad != "" || string(got) != s {
			t.Fatalf("%v, since 1904 %v: %s %s, want %s", serial, since04, got, bad, s)
		}
	}
}

func workbook(t testing.TB, make func(f *excelize.File) error) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	if err := make(f); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// limits are generous, but for one that a test is about.
func limits(change func(*Limits)) Limits {
	l := Limits{MaxRatio: 200, MaxRecord: 1 << 20, MaxField: 1 << 16, MaxSheet: 1 << 24, MaxPart: 1 << 20, MaxStrings: 1 << 20, MaxSheetCells: 1 << 20}
	change(&l)
	return l
}

// shown reads a sheet, one row a line.
func shown(data []byte, sheet string, l Limits) (string, error) {
	book, err := Open(bytes.NewReader(data), int64(len(data)), Options{Limits: l})
	if err != nil {
		return "", err
	}
	part, err := book.Sheet(sheet)
	if err != nil {
		return "", err
	}
	s, err := book.Rows(part)
	if err != nil {
		return "", err
	}
	defer s.Close()
	var out strings.Builder
	for {
		err := s.Next()
		if errors.Is(err, io.EOF) {
			return out.String(), s.Rest()
		}
		if err != nil {
			return out.String(), err
		}
		for i := range s.Cells {
			c := &s.Cells[i]
			fmt.Fprintf(&out, "%s=%d:%s%s ", CellName(c.Column, s.Row), c.Kind, s.Content(c), c.Bad)
		}
	}
}

func TestCellsComeAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	data := workbook(t, func(f *excelize.File) error {
		if _, err := f.NewSheet("Second"); err != nil {
			return err
		}
		return errors.Join(f.SetCellValue("Sheet1", "A1", "text"), f.SetCellValue("Sheet1", "C1", 0.1), f.SetCellValue("Sheet1", "B7", true),
			f.SetCellValue("Sheet1", "D7", time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)), f.SetCellValue("Second", "A1", "other"), f.MergeCell("Second", "A1", "B3"))
	})
	for sheet, want := range map[string]string{"": "A1=1:text C1=2:0.1 B7=3:true D7=4:2026-11-22T07:00:00 ", "2": "A1=1:other ", "Second": "A1=1:other "} {
		if got, err := shown(data, sheet, limits(func(*Limits) {})); got != want || err != nil {
			t.Errorf("sheet %q: %q, %v, want %q", sheet, got, err, want)
		}
	}
	book, err := Open(bytes.NewReader(data), int64(len(data)), Options{Limits: limits(func(*Limits) {})})
	if err != nil {
		t.Fatal(err)
	}
	part, err := book.Sheet("Second")
	if err != nil {
		t.Fatal(err)
	}
	merges, err := book.Merges(part, 10, func(Merge) bool { return true })
	if len(merges) != 1 || merges[0] != (Merge{column(t, "A"), column(t, "B"), 1, 3}) || err != nil {
		t.Errorf("merges %v, %v", merges, err)
	}
}

func column(t *testing.T, letters string) int {
	t.Helper()
	n, _, ok := SplitName([]byte(letters + "1"))
	if !ok || Letters(n) != letters {
		t.Fatalf("%s is column %d, which is %s", letters, n, Letters(n))
	}
	return n
}

func TestLimitsOfWorkbooksAreHeld(t *testing.T) {
	t.Parallel()
	data := workbook(t, func(f *excelize.File) error {
		for row := 1; row <= 20; row++ {
			if err := f.SetCellValue("Sheet1", CellName(3, int64(row)), strings.Repeat("long text ", 30)+strconv.Itoa(row)); err != nil {
				return err
			}
		}
		return nil
	})
	for limit, change := range map[string]func(*Limits){
		"max_field":       func(l *Limits) { l.MaxField = 100 },
		"max_sheet":       func(l *Limits) { l.MaxSheet = 500 },
		"max_part":        func(l *Limits) { l.MaxPart = 100 },
		"max_strings":     func(l *Limits) { l.MaxStrings = 1000 },
		"max_sheet_cells": func(l *Limits) { l.MaxSheetCells = 30 },
	} {
		_, err := shown(data, "", limits(change))
		var bad *fault.FileError
		if !errors.As(err, &bad) || bad.Limit != limit {
			t.Errorf("%s: %v", limit, err)
		}
	}
}

// FuzzSheet reads sheets that are anything: it ends, and says why.
func FuzzSheet(f *testing.F) {
	for _, s := range []string{"<worksheet><sheetData><row r='1'><c r='A1'><v>1</v></c></row></sheetData></worksheet>", "<worksheet>", "<a><b/></a>", "<worksheet><sheetData><row><c t='inlineStr'><is><t>_x0041_&amp;</t></is></c>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := limits(func(l *Limits) { l.MaxField, l.MaxRecord = 100, 200 })
		s := &Rows{partScan: newPartScan(bytes.NewReader(data), "sheet1.xml", int(l.MaxField)), book: &Book{o: Options{Limits: l}, table: &sharedStrings{}}}
		err := s.toRows()
		for row := int64(0); err == nil; {
			if err = s.Next(); err != nil {
				break
			}
			if s.Row <= row || s.Row > MaxRows || s.Size() > 300 {
				t.Fatalf("row %d with %d bytes behind row %d", s.Row, s.Size(), row)
			}
			row = s.Row
		}
		var bad *fault.FileError
		if !errors.Is(err, io.EOF) && !errors.As(err, &bad) {
			t.Fatalf("neither an end nor the file's fault: %v", err)
		}
	})
}
