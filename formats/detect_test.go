package formats

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waybill/formats/avro"
)

// brief is a finding in one line.
func brief(f Finding) string {
	var b strings.Builder
	for _, p := range []struct{ key, value string }{
		{"", f.Format}, {"encoding", strings.Replace(f.Encoding, UTF8, "", 1)}, {"delimiter", f.Delimiter}, {"quote", f.Quote},
		{"decimal", f.Decimal}, {"records", f.Records}, {"columns", strings.Join(f.Columns, "·")},
	} {
		if p.key == "" {
			b.WriteString(p.value)
		} else if p.value != "" {
			fmt.Fprintf(&b, " %s=%s", p.key, p.value)
		}
	}
	for _, p := range []struct {
		key   string
		value int
	}{{"titles", f.Titles}, {"skip", f.Skip}, {"length", f.Length}} {
		if p.value != 0 {
			fmt.Fprintf(&b, " %s=%d", p.key, p.value)
		}
	}
	return b.String()
}

// findingOf looks at the beginning of a file.
func findingOf(b Blob) (Finding, error) {
	head, all, err := b.Head()
	if err != nil {
		return Finding{}, err
	}
	return Detect(head, all)
}

func encoded(name, text string) string { return string(newRecoder(name, false).recode([]byte(text))) }

func TestAFileIsKnownByItsBeginning(t *testing.T) {
	t.Parallel()
	french := "N° commande;Article;Qté;Prix HT\nA-1;Déjà vu;3;1,50\nA-2;Forêt;4;12,25\n"
	for _, c := range []struct{ text, want string }{
		{french, "csv delimiter=; decimal=, columns=N° commande·Article·Qté·Prix HT titles=1"},
		{"\ufeff" + french, "csv delimiter=; decimal=, columns=N° commande·Article·Qté·Prix HT titles=1"},
		{encoded("windows-1252", french), "csv encoding=windows-1252 delimiter=; decimal=, columns=N° commande·Article·Qté·Prix HT titles=1"},
		{encoded("windows-1252", "No commande;Qté;Prix HT;Livré le;Réf\nA-1;1;100,01 €;2026-02-02;000001\nA-2;2;200,02 €;2026-03-03;000002\n"), "csv encoding=windows-1252 delimiter=; decimal=, columns=No commande·Qté·Prix HT·Livré le·Réf titles=1"},
		{encoded("windows-1252", "Ref;Größe;Straße\n1;3;Hauptstraße 4\n2;4;Nebenweg 5\n"), "csv encoding=windows-1252 delimiter=; columns=Ref·Größe·Straße titles=1"},
		{encoded("cp866", "Код;Наименование\n1;Кабель USB-C 2 м\n2;Плата ATmega328 с чипом\n"), "csv encoding=cp866 delimiter=; columns=Код·Наименование titles=1"},
		{encoded("utf-16le", french), "csv encoding=utf-16le delimiter=; decimal=, columns=N° commande·Article·Qté·Prix HT titles=1"},
		{encoded("utf-32", french), "csv encoding=utf-32le delimiter=; decimal=, columns=N° commande·Article·Qté·Prix HT titles=1"},
		{encoded("utf-32be", french), "csv encoding=utf-32be delimiter=; decimal=, columns=N° commande·Article·Qté·Prix HT titles=1"},
		{encoded("utf-32le", `<?xml version="1.0" encoding="UTF-32"?><A><B>1</B><B>2</B></A>`), "xml encoding=utf-32le records=/A/B"},
		{encoded("utf-32be", `<?xml version="1.0"?><A><B>1</B><B>2</B></A>`), "xml encoding=utf-32be records=/A/B"},
		{encoded("cp850", "Stück;Größe\n1;groß\n2;ähnlich übrig für München\n"), "csv encoding=cp850 delimiter=; columns=Stück·Größe titles=1"},
		{encoded("windows-1251", "Номер;Наименование;Сумма\n1;Молоко коровье;10,5\n2;Хлеб ржаной;3,25\n"), "csv encoding=windows-1251 delimiter=; decimal=, columns=Номер·Наименование·Сумма titles=1"},
		{encoded("koi8-r", "Номер;Наименование;Сумма\n1;Молоко коровье;10,5\n2;Хлеб ржаной;3,25\n"), "csv encoding=koi8-r delimiter=; decimal=, columns=Номер·Наименование·Сумма titles=1"},
		{encoded("cp866", "Номер;Наименование;Сумма\n1;Молоко коровье;10,5\n2;Хлеб ржаной;3,25\n"), "csv encoding=cp866 delimiter=; decimal=, columns=Номер·Наименование·Сумма titles=1"},
		{"id,name,price\n1,\"a, b\",1.50\n2,\"c \"\"d\"\"\",2.25\n", `csv delimiter=, quote=" decimal=. columns=id·name·price titles=1`},
		{"1;2,5;x\n2;3,5;y\n", "csv delimiter=; decimal=, columns=1·2·3"},
		{"Report of today\nprinted by Bob\n\nsku;qty;at\na;1;2026-01-02\nb;2;2026-01-03\nc;3;2026-01-04\n", "csv delimiter=; columns=sku·qty·at titles=4"},
		{"Report;;\nof;2026-01-01;\n;;\nOrder;Qty;Price\nA-1;2;3,50\nA-2;3;4,50\nTotal;5;8,00\n", "csv delimiter=; decimal=, columns=Order·Qty·Price titles=4"},
		{"name;;qty\nBob;x;1\nAl;y;2\n", "csv delimiter=; columns=name·2·qty titles=1"},
		{"Report\n\n1;2;3\n4;5;6\n7;8;9\n", "csv delimiter=; columns=1·2·3 skip=2"},
		{"sku;land;qty\na;DE;1;\nb;FR;2;\nc;IT;3;\n", "csv delimiter=; columns=1·2·3·4 skip=1"},
		{"Report\nsku;land\na;DE;\nb;FR;\nc;IT;\n", "csv delimiter=; columns=1·2·3 skip=2"},
		{"sku;land;qty;\na;DE;1;\nb;FR;2;\n", "csv delimiter=; columns=sku·land·qty·4 titles=1"},
		{"a\tb\n1\t2\n", "tsv columns=a·b titles=1"},
		{"a|b|c\nx, y|1|2.5\nz, w|2|3.5\n", "csv delimiter=| decimal=. columns=a·b·c titles=1"},
		{"a;b\n1.234,50;x\n2.000,25;y\n", "csv delimiter=; decimal=, columns=a·b titles=1"},
		{"day;hour\n01.02.2026;12:30\n02.02.2026;13:45\n", "csv delimiter=; columns=day·hour titles=1"},
		{`{"orders":{"list":[{"a":1}]}}`, "json records=orders.list"},
		{`{"tags":["x"],"the orders":[{"a":1}]}`, `json records=["the orders"]`},
		{`[{"a":1}]`, "json"},
		{"{\"a\":1}\n{\"a\":2}\n", "ndjson"},
		{`<?xml version="1.0" encoding="windows-1251"?><A><H/><B>1</B><B>2</B></A>`, "xml encoding=windows-1251 records=/A/B"},
		{`<?xml version="1.0" encoding="windows-1251"?><A><B>Жук</B><B>Ёж</B></A>`, "xml records=/A/B"}, // a stale declaration
		{"<!DOCTYPE html><html>", ""},
		{"UNA:+.? 'UNB+UNOC:3+A+B'", "edifact"},
		{"UNB+UNOA:1+A+B'", "edifact"},
		{"ISA*00*  *00*", ""},
		{"PK\x03\x04" + strings.Repeat("\x00", 22) + "\x0f\x00\x00\x00xl/workbook.xmlPK", "xlsx"},
		{"\n \r\nUNA:+,? '\nUNB+UNOC:3+A+B'", "edifact"},
		{"\r\nUNB+IATA:1+A+B'", "edifact"},
		{"\x0a\x03A-1\x10\x03", ""},
		{"01ABC  123\n04XY   456\n07ABC  789\n", "fixed length=10"},
		{avro.Magic + "\x00", "avro"},
		{encoded("cp037", strings.Repeat("ABC 123 XY  ", 99)), "fixed encoding=cp037 length=12"},
		{encoded("cp037", strings.Repeat("ABC 123 XY  ", 99)+"AB "), "fixed encoding=cp037"},
		{"A-1       000001KG   A-2       000002KG   A-12      000003PCE  A-103     000014KG   ", "fixed length=21"},
		{"just some words and more of them none of which is a record of anything so that it stays what it is which is all there is to it", ""},
		{"PAR1\x15\x00", ""},
		{"", ""},
		{"  \n", ""},
		{"just some words\nand more of them\n", ""},
	} {
		f, err := findingOf(blobOf(c.text))
		if got := brief(f); got != c.want || err != nil || len(f.Evidence) == 0 {
			t.Errorf("%q: %q, %v\nwant %q\n%v", c.text[:min(60, len(c.text))], got, err, c.want, f.Evidence)
		}
	}
	if _, err := findingOf(blobOf("%PDF-1.7")); err == nil || !strings.Contains(err.Error(), "PDF") {
		t.Errorf("a PDF document: %v", err)
	}
}

// TestTheSamplesAreKnown looks at every file of the samples.
func TestTheSamplesAreKnown(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{"*/*.xml": "xml", "*/*.json": "json", "csv/*.csv": "csv", "*/*.edi": "edifact"} {
		files, err := filepath.Glob("../../shared/samples/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := want
			if strings.Contains(name, "proprietary") { // a format of its own
				want = ""
			}
			f, err := findingOf(Blob{Name: name, Reader: bytes.NewReader(data), Size: int64(len(data))})
			if f.Format != want && (want != "csv" || f.Format != "tsv") || err != nil {
				t.Errorf("%s: %q, %v: %v", name, brief(f), err, f.Evidence)
			}
		}
	}
}

// FuzzDetect sees that whatever the file, it ends, and says why.
func FuzzDetect(f *testing.F) {
	for _, s := range []string{"a;b\n1;2\n", `{"a":[{"b":1}]}`, "<a><b/><b/></a>", "PK\x03\x04", "UNA:+.? '", "\x1f\x8b", "ab\xe9\n", "\xff\xfea\x00", "\xff\xfe\x00\x00a\x00\x00\x00;\x00\x00\x00", "<\x00\x00\x00?\x00\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := findingOf(Blob{Reader: bytes.NewReader(data), Size: int64(len(data))})
		if err == nil && len(found.Evidence) == 0 {
			t.Fatalf("%q: %+v", data, found)
		}
		o := Options{Format: found.Format, Encoding: found.Encoding, Delimiter: found.Delimiter, Quote: found.Quote, Records: found.Records}
		if found.Format == "csv" || found.Format == "tsv" {
			o.Titles = &found.Titles
		}
		if found.Format == "" || found.Format == "edifact" || found.Format == "xlsx" || found.Format == "fixed" {
			return
		}
		if ps := o.Validate(); len(ps) > 0 {
			t.Fatalf("%q: %+v: %v", data, found, ps)
		}
	})
}
