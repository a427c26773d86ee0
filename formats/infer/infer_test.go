package infer_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"waybill/formats"
	"waybill/formats/infer"
)

func sample(text string) infer.Sample {
	return infer.Sample{Name: "sample", Open: func() (formats.Blob, func(), error) {
		r := strings.NewReader(text)
		return formats.Blob{Name: "sample", Reader: io.NewSectionReader(r, 0, r.Size()), ReaderAt: r, Size: r.Size()}, func() {}, nil
	}}
}

func none(string) bool { return false }

// look is the proposal for a text, in one line a field.
func look(t *testing.T, o formats.Options, text string) string {
	t.Helper()
	p, err := infer.Look(o, []infer.Sample{sample(text)}, none)
	if err != nil {
		t.Fatal(err)
	}
	return string(p.YAML(0))
}

// column is the proposal for a CSV of one column called x, a second one keeping empty cells from being empty lines.
func column(t *testing.T, values ...string) string {
	t.Helper()
	out := look(t, formats.Options{Format: "csv", Delimiter: ";"}, "x;y\n"+strings.Join(values, ";1\n")+";1\n")
	_, line, _ := strings.Cut(out, "    x: ")
	line, _, _ = strings.Cut(line, "\n")
	return strings.Join(strings.Fields(line), " ")
}

func TestTypesAreThoseOfAllValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values string
		want   string
	}{
		{"1 2 -30", "{type: integer, required: true} # 3 of 3"},
		{"1 2.50", "{type: decimal, required: true} # 2 of 2"},
		{"1,5 2", `{type: decimal, required: true} # 2 of 2`},
		{"1 x", "{required: true} # 2 of 2"},
		{"007 8", "{required: true} # 2 of 2; text: leading zeros"},
		{"0 8", "{type: integer, required: true} # 2 of 2"},
		{"0.5 8", "{type: decimal, required: true} # 2 of 2"},
		{"4006381333931 1", "{required: true} # 2 of 2; text: up to 13 digits"},
		{"1. 2", "{required: true} # 2 of 2"},
		{"+33123 +1", "{required: true} # 2 of 2"},
		{"1e5 2", "{required: true} # 2 of 2"},
		{"1.234,50 12", `{type: decimal, thousands: ".", required: true} # 2 of 2; numbers with marks between thousands`},
		{"2026-11-21 2026-02-28", "{type: date, required: true} # 2 of 2"},
		{"2026-11-21 2026-02-29", "{required: true} # 2 of 2"},
		{"21/11/2026 01/02/2026", `{type: date, format: "%d/%m/%Y", required: true} # 2 of 2`},
		{"01/02/2026", `{type: date, format: "%d/%m/%Y", required: true} # 1 of 1; might also be %m/%d/%Y`},
		{"11/21/2026", `{type: date, format: "%m/%d/%Y", required: true} # 1 of 1`},
		{"20261121 20261301", "{type: integer, required: true} # 2 of 2"},
		{"20261121", `{type: date, format: "%Y%m%d", required: true} # 1 of 1`},
		{"12345678", "{type: integer, required: true} # 1 of 1"},
		{"2026-11-21T09:00:00Z", "{type: datetime, required: true} # 1 of 1"},
		{"2026-11-21T09:00:00+01:00", "{type: datetime, required: true} # 1 of 1"},
		{"09:30 23:59", `{type: time, format: "%H:%M", required: true} # 2 of 2`},
		{"09:30 24:30", "{required: true} # 2 of 2"},
		{"true false", "{type: boolean, required: true} # 2 of 2"},
		{"TRUE", `{type: boolean, true_is: "TRUE", false_is: "FALSE", required: true} # 1 of 1`},
		{"Oui", `{type: boolean, true_is: Oui, false_is: Non, required: true} # 1 of 1`},
		{"Y", "{required: true} # 1 of 1"},
		{"Y N", `{type: boolean, true_is: "Y", false_is: "N", required: true} # 2 of 2`},
		{"a a a a a b b b b b", "{required: true} # 10 of 10; one of a, b"},
	} {
		if got := column(t, strings.Fields(test.values)...); got != test.want {
			t.Errorf("%s: %s, not %s", test.values, got, test.want)
		}
	}
	if got, want := column(t, "1", "", "3", ""), "{type: integer} # 2 of 4, 2 without"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if got, want := column(t, "", " "), "{} # 0 of 2, 2 without; nothing in it"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

func TestDigitsThatNameSomethingStayText(t *testing.T) {
	t.Parallel()
	out := look(t, formats.Options{Format: "csv"}, "Customer Id,zip_code,Version,Quantity\n12,75001,2.1,3\n")
	for name, typed := range map[string]bool{"customer_id": false, "zip_code": false, "version": false, "quantity": true} {
		_, line, _ := strings.Cut(out, name+": {")
		line, _, _ = strings.Cut(line, "}")
		if strings.Contains(line, "type:") != typed {
			t.Errorf("%s: {%s}", name, line)
		}
	}
}

func TestRecordsOfDocumentsAreFound(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ format, text, want string }{
		{"json", `{"count": 2, "value": [{"a": 1}, {"a": 2}]}`, "value"},
		{"json", `{"data": {"rows": [{"a": 1}]}}`, "data.rows"},
		{"json", `{"orderNo": "A-1", "lines": [{"a": 1}, {"a": 2}]}`, ""},
		{"json", `[{"a": 1}, {"a": 2}]`, ""},
		{"json", `{"@odata.context": "x", "odd.name": [{"a": 1}]}`, `"[\"odd.name\"]"`},
		{"xml", `<Orders><Order><No>1</No></Order><Order><No>2</No></Order></Orders>`, "/Orders/Order"},
		{"xml", `<Orders><Order><No>1</No></Order></Orders>`, "/Orders/Order"},
		{"xml", `<x:Doc xmlns:x="urn:x"><Head><A>1</A></Head><Items><Item><No>1</No><B>2</B></Item><Item><No>2</No><B>2</B></Item></Items></x:Doc>`, "/Doc/Items/Item"},
		{"xml", `<Order><No>1</No><Date>x</Date><Buyer><A>1</A><B>2</B><C>3</C></Buyer><Lines><Line><A>1</A></Line><Line><A>1</A></Line></Lines></Order>`, ""},
		{"xml", `<Orders><Sent>x</Sent><Order><No>1</No><B>2</B></Order><Order><No>2</No><B>2</B></Order></Orders>`, "/Orders/Order"},
		{"xml", `<Feed><At>x</At><Article><No>1</No><Size>1</Size><Size>2</Size><P><A>1</A></P><P><A>1</A></P></Article><Article><No>2</No><B>2</B></Article></Feed>`, "/Feed/Article"},
		{"xml", `<Feed><At>x</At><Article><No>1</No></Article><Article><No>2</No></Article></Feed>`, ""},
		{"xml", `<Order><No>1</No>` + strings.Repeat(`<OrderLine><A>1</A><B>1</B></OrderLine>`, 40) + `</Order>`, ""},
		{"xml", `<Feed><At>x</At>` + strings.Repeat(`<Article><A>1</A><B>1</B></Article>`, 40) + `</Feed>`, "/Feed/Article"},
		{"xml", `<Заказы><Заказ><Номер>1</Номер></Заказ><Заказ><Номер>2</Номер></Заказ></Заказы>`, "/Заказы/Заказ"},
	} {
		out := look(t, formats.Options{Format: test.format}, test.text)
		got := ""
		if _, line, ok := strings.Cut(out, "records: "); ok {
			got, _, _ = strings.Cut(line, "  #")
			got, _, _ = strings.Cut(got, "\n")
		}
		if strings.TrimSpace(got) != test.want {
			t.Errorf("%s: records %s, not %s", test.text, got, test.want)
		}
	}
}

// What stands once around the records of a document is a header, with what is not in every sample left open.
func TestWhatStandsAroundRecordsIsAHeader(t *testing.T) {
	t.Parallel()
	p, err := infer.Look(formats.Options{Format: "xml"}, []infer.Sample{
		sample(`<Orders v="2" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="x y"><Head><Sent>2026-11-21</Sent></Head><Order><No>1</No><B>2</B></Order><Order><No>2</No><B>2</B></Order><Foot><Sum>3</Sum></Foot></Orders>`),
		sample(`<Orders v="3"><Head><Sent>2026-11-22</Sent></Head><Order><No>1</No><B>2</B></Order><Order><No>2</No><B>2</B></Order></Orders>`),
	}, none)
	if err != nil {
		t.Fatal(err)
	}
	out := strings.Join(strings.Fields(string(p.YAML(0))), " ")
	for _, want := range []string{`v: {from: "/Orders/@v", type: integer} # 2 of 2`, "sent: {from: /Orders/Head/Sent, type: date} # 2 of 2", "sum: {from: /Orders/Foot/Sum, type: integer, required: false} # 1 of 2"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	if len(p.Header) != 3 {
		t.Errorf("%d fields in %s", len(p.Header), out)
	}
	if json := look(t, formats.Options{Format: "json"}, `{"data": {"rows": [{"a": 1}]}, "count": 1}`); strings.Contains(json, "header") {
		t.Errorf("counts are no header:\n%s", json)
	}
}

// Lines of several kinds are told by how they begin; numbers that only count up, and names, are no kinds.
func TestKindsOfLinesAreToldByHowTheyBegin(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, lines, want string }{
		{"header and trailer", "HDR20261121NORTH\nDTLBR-10   00012\nDTLPM-40   00003\nTRL00002", "1-3 HDR TRL DTL"},
		{"header alone", "0 NORTH 2026-11-21\n1 00012 00004711 A\n1 00013 00004712 B\n2 00013 XX       B\n2 00014 XX       B", "1 0  1 2"},
		{"parts of things", "01 0001 x\n04 0001 a\n05 0001 b\n04 0001 c\n07 0001 y", "1-2 01 07 04 05"},
		{"blocks", "01 0001 x\n04 0001 a\n05 0001 b\n04 0001 c\n07 0001 y\n01 0002 x\n04 0002 a\n05 0002 b\n04 0002 c\n07 0002 y", "1-2 01 07 04 05 blocks"},
		{"numbers", "1000 bolt  12\n2000 nut    3\n2001 nut    4\n3000 screw  1", ""},
		{"names", "anna  1\nbert  2\nberta 3\ncarl  4", ""},
		{"one kind", "DTL 1\nDTL 2\nDTL 3", ""},
		{"lines of any length", "HDR20261121NORTH\nDTLBR-10\nDTLPM-40   00003\nTRL00002", ""},
	} {
		p := infer.LookKinds(formats.Options{}, []infer.Sample{sample(test.lines + "\n")}, none)
		got := ""
		if p != nil {
			words := []string{p.Options.Kind, p.HeaderKind, p.TrailerKind}
			for _, k := range p.Kinds {
				words = append(words, k.Text)
			}
			if p.Blocks {
				words = append(words, "blocks")
			}
			got = strings.Join(words, " ")
		}
		if got != test.want {
			t.Errorf("%s: %q, not %q", test.name, got, test.want)
		}
	}
}

// Of EDIFACT messages what their qualified segments say is proposed, the lines as a list.
func TestFieldsOfMessagesAreProposed(t *testing.T) {
	t.Parallel()
	message := func(ref, body string, n int) string {
		return fmt.Sprintf("UNH+%s+ORDERS:D:96A:UN'%sUNT+%d+%s'", ref, body, n, ref)
	}
	out := strings.Join(strings.Fields(look(t, formats.Options{Format: "edifact"}, "UNB+UNOA:1+S+R+261121:1000+7'"+
		message("1", "BGM+220+A-1+9'DTM+137:20261121:102'NAD+BY+471'LIN+1++4006381333931:EN'QTY+21:2'LIN+2'PIA+5+X1:SA'QTY+21:3.5'UNS+S'CNT+2:2'", 12)+
		message("2", "BGM+220+A-2+9'DTM+137:20261122:102'LIN+1++4006381333948:EN'QTY+21:2'UNS+S'", 7)+"UNZ+2+7'")), " ")
	for _, want := range []string{"records: ORDERS # 2 of 2", "sender: {from: UNB.2.1, required: true}", "document_no: {from: BGM.2, required: true} # 2 of 2",
		`document_date: {from: "DTM[137].1.2", type: date, format: "%Y%m%d", required: true}`, `buyer: {from: "NAD[BY].2.1"} # 1 of 2, 1 without; text: what the segment says names something`, `line_count: {from: "CNT[2].1.2", type: integer}`,
		"lines: # 3 below 2 from: LIN type: list", "item: {from: LIN.3.1} # 2 of 3", `product_id: {from: "PIA[5].2.1"} # 1 of 3`, `quantity_ordered: {from: "QTY[21].1.2", type: decimal, required: true} # 3 of 3`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
}

// Lines of several kinds in one file are noted: a job takes one kind.
func TestKindsOfJSONLinesAreNoted(t *testing.T) {
	t.Parallel()
	p, err := infer.Look(formats.Options{Format: "ndjson"}, []infer.Sample{sample(strings.Repeat(`{"type": "order", "no": 1}`+"\n"+`{"type": "stock", "sku": "A"}`+"\n", 3))}, none)
	if want := `lines are of 2 kinds by "type": order (3), stock (3); make a job of each, with only: '=type == "order"'`; err != nil || !slices.Contains(p.Notes, want) {
		t.Errorf("%v %q", err, p.Notes)
	}
}

// Rows of kinds are those whose first cell tells how many cells they have. Whatever else differs is a table, or a mistake in one.
func TestRowsOfSeveralKindsAreTold(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"H;1;2\nL;a\nL;b\nT;2;x;y\n":                      "H [L] T",
		"01;1;2\n05;a\n05;b\n09;2\n":                      "01 [05] 09",
		"HEAD;1;2\nPOS;\"a;b\"\nPOS;c\n":                  "HEAD [POS] ",
		"O;1;2\nL;a\nL;b\nO;2;3\nL;c\n":                   " [O L] ",
		"B;1\nL;1;2\nL;1;2\nE;1\nB;2\nL;3;4\nE;1\n":       "B [L] E blocks",
		"A;\"a\nb\";3\nB;1\nA;1;2\n":                      " [A B] ",
		"no;qty\n1;2\n3;4\n":                              "",
		"no;qty;note\n1;2\n1;4\n2;4;x\n":                  "", // rows that lack a cell
		"H;1\nL;2\nL;3\nT;4\n":                            "", // all alike: nothing tells them from names
		"A;1;2\nA;1\nB;1\nA;2;3\n":                        "",
		"H;ACME;Riga\nL;a;3\nL;b;4\nT;2\n":                "H [L] T",
		"land;city\nDE;Bonn;\nFR;Nice;\nDE;Ulm;\n":        "", // rows that end with a delimiter
		"sku;name;qty\nA;x;1\nB;y;2\nA;z;3\nSum;6\n":      "", // a table with a sum below it
		"side;qty;at\nbuy;1;9\nsell;3\nbuy;2;8\n":         "", // and one whose first column tells what rows have in the others
		"Rates;May\nday;a;b\nMon;1;2\nSun;3;4\nMon;5;6\n": "",
		"H;1;2\nL;a\nL;\"b\nT;2\n":                        "", // a quote that is never closed
		"H;1;2\nL;a\nT;1\n":                               "", // one of each shows nothing
		"":                                                "",
	} {
		o := formats.Options{Format: "csv", Delimiter: ";"}
		got := ""
		if p := infer.LookRows(o, []infer.Sample{sample(text)}, none); p != nil {
			var kinds []string
			for _, k := range p.Kinds {
				kinds = append(kinds, k.Text)
			}
			if got = fmt.Sprintf("%s %v %s", p.HeaderKind, kinds, p.TrailerKind); p.Blocks {
				got += " blocks"
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// What a file holds stays within its line, and is shown.
func TestWhatCannotBePrintedIsNotWritten(t *testing.T) {
	t.Parallel()
	out := look(t, formats.Options{Format: "ndjson"}, strings.Repeat(`{"a\u202eb": "x\nevil: 1", "c\udb40\udc41d": 1}`+"\n", 3))
	for _, want := range []string{`from: "a\u202eb"`, `from: "c\U000e0041d"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	var back map[string]any
	if err := yaml.Unmarshal([]byte(out), &back); err != nil || strings.Contains(out, "\nevil") || len(back) != 1 {
		t.Errorf("%v %s", err, out)
	}
	if got := infer.Comment("a\nb\x1b[31m\u202ec\u200bd"); got != "a b [31m c d" {
		t.Errorf("%q", got)
	}
}

func TestKindsOfJSONLinesWithLongNamesAreNone(t *testing.T) {
	t.Parallel()
	for name, noted := range map[string]bool{strings.Repeat("x", 60): true, strings.Repeat("x", 61): false} {
		p, err := infer.Look(formats.Options{Format: "ndjson"}, []infer.Sample{sample(strings.Repeat(`{"type": "it's \"1\""}`+"\n"+`{"type": "`+name+`"}`+"\n", 3))}, none)
		if err != nil || noted != slices.ContainsFunc(p.Notes, func(n string) bool {
			return strings.HasSuffix(n, `only: '=type == "it''s \"1\""'`)
		}) {
			t.Errorf("%v %q", err, p.Notes)
		}
	}
}

// What is taken back makes a field wider until there is nothing left to take back.
func TestAFieldGetsWider(t *testing.T) {
	t.Parallel()
	p := &infer.Proposal{Fields: []*infer.Field{{Name: "lines", Type: "list", Fields: []*infer.Field{{Name: "qty", Type: "integer", Required: true}}}}}
	qty := p.Fields[0].Fields[0]
	for _, step := range []struct {
		reason string
		want   string
		more   bool
	}{
		{"is missing", "integer false", true}, {"is not an integer", " false", true}, {"is a list", "raw false", true}, {"is a list", "raw false", false},
	} {
		if more := p.Relax(map[string]string{"lines[3].qty": step.reason}); more != step.more || fmt.Sprint(qty.Type, " ", qty.Required) != step.want {
			t.Errorf("%s: %v, %q %v", step.reason, more, qty.Type, qty.Required)
		}
	}
}

// Whatever the samples hold, looking ends, and what is written is YAML.
func FuzzLook(f *testing.F) {
	for _, seed := range []string{"a;b\n1;2\n", `{"a": [{"b": 1}, 2, null], "": {"c.d": []}}`, `<a x="1"><b>1</b><b c="2"/>t</a>`, "a\ta\t\n1\t2\t3\n", "12 ab\n34 cd\n", "UNH+1+ORDERS:D:96A:UN'BGM+220+A+9'LIN+1'QTY+21:3'UNT+5+1'", "01 1 x\n04 1 a\n05 1 b\n04 1 c\n07 1 y\n", "<a><t>1</t><ab><c>1</c></ab><ab/></a>", "{\"a\":1}\n{\"a\":[]}\n", "H,1\nL,1,2\nL,\"3\",4\nT,2\n"} {
		for i := range 7 {
			f.Add(byte(i), []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, text []byte) {
		o := formats.Options{Format: []string{"csv", "tsv", "json", "ndjson", "xml", "fixed", "edifact"}[kind%7]}
		o.Limits.MaxRecord = 1 << 16
		s := sample(string(text))
		var p *infer.Proposal
		var err error
		if o.Format == "fixed" {
			p, err = infer.LookFixed(o, []infer.Sample{s}, none)
		} else if p = infer.LookRows(o, []infer.Sample{s}, none); p == nil || kind%7 > 1 {
			p, err = infer.Look(o, []infer.Sample{s}, none)
		}
		if err != nil {
			return
		}
		out := p.YAML(0)
		var v any
		if err := yaml.Unmarshal(out, &v); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if bytes.Count(out, []byte("\n")) < 2 {
			t.Fatalf("%s", out)
		}
	})
}
