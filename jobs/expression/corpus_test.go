package expression

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the expressions of testdata give now")

func obj(fields ...Field) Type    { return Type{Kind: KindObject, Fields: fields} }
func listOf(fields ...Field) Type { return Type{Kind: KindList, Fields: fields} }
func opt(t Type) Type             { t.Optional = true; return t }

func dec(t testing.TB, s string) Decimal {
	t.Helper()
	d, err := ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// orderScope is the scope of the corpora: an order with lines, and the names
// that stand beside its fields.
func orderScope() *Scope {
	return NewScope([]Field{
		{"order_no", Of(KindString)},
		{"quantity", Of(KindInteger)},
		{"unit_price", Of(KindDecimal)},
		{"weight", Of(KindNumber)},
		{"urgent", Of(KindBoolean)},
		{"ordered_on", Of(KindDate)},
		{"clock", Of(KindTime)},
		{"at", Of(KindDateTime)},
		{"drawing", Of(KindBytes)},
		{"uuid", opt(Of(KindString))},
		{"discount", opt(Of(KindDecimal))},
		{"confirmed", opt(Of(KindBoolean))},
		{"count", Of(KindInteger)},
		{"len", Of(KindString)},
		{"date", Of(KindDate)},
		{"sum", Of(KindDecimal)},
		{"Номенклатура", Of(KindString)},
		{"order-no", Of(KindString)},
		{"Batch no", Of(KindString)},
		{"site", obj(Field{"cost center", Of(KindString)}, Field{"x", Of(KindInteger)})},
		{"buyer", opt(obj(Field{"name", Of(KindString)}, Field{"vat", opt(Of(KindString))}))},
		{"lines", listOf(Field{"sku", Of(KindString)}, Field{"quantity", Of(KindInteger)}, Field{"unit_price", Of(KindDecimal)}, Field{"note", opt(Of(KindString))})},
		{"tags", ListOf(Of(KindString))},
	},
		Field{"file", obj(Field{"name", Of(KindString)}, Field{"stem", Of(KindString)}, Field{"folder", Of(KindString)},
			Field{"received", Of(KindDateTime)}, Field{"part", Of(KindObject)})},
		Field{"record", obj(Field{"number", Of(KindInteger)}, Field{"line", Of(KindInteger)})},
		Field{"header", obj(Field{"account", Of(KindString)}, Field{"opening", opt(Of(KindDecimal))})},
		Field{"partner", obj(Field{"name", Of(KindString)}, Field{"vars", Of(KindObject)})},
		Field{"response", obj(Field{"status", Of(KindInteger)}, Field{"body", Of(KindAny)})},
		Field{"answer", Of(KindAny)},
	)
}

func orderEnv(t testing.TB) map[string]any {
	t.Helper()
	line := func(sku string, quantity int64, price string) any {
		return map[string]any{"sku": sku, "quantity": quantity, "unit_price": dec(t, price), "note": nil}
	}
	return map[string]any{
		"order_no": "A-1001", "quantity": int64(3), "unit_price": dec(t, "24.910"), "weight": 0.1, "urgent": true,
		"ordered_on": Date{2024, time.February, 29}, "clock": TimeOfDay{Hour: 14, Minute: 5},
		"at": time.Date(2024, 7, 1, 22, 30, 0, 0, time.UTC), "drawing": []byte{0, 0xff, 'a'},
		"uuid": nil, "discount": nil, "confirmed": nil, "count": int64(7), "len": "seven", "date": Date{2024, time.March, 1},
		"sum": dec(t, "1.50"), "Номенклатура": "стул", "buyer": map[string]any{"name": "Élan SA", "vat": nil},
		"order-no": "A", "site": map[string]any{"cost center": "CC", "x": int64(1)},
		"lines":    []any{line("B-2", 2, "1.10"), line("A-1", 1, "0.05"), line("C-3", 10, "99.99")},
		"tags":     []any{"x", "y", "x"},
		"file":     map[string]any{"name": "orders.csv", "stem": "orders", "folder": "in/2024", "received": time.Date(2024, 7, 1, 8, 0, 0, 0, time.UTC), "part": map[string]any{"day": "07"}},
		"record":   map[string]any{"number": int64(12), "line": int64(14), "text": func(title string) any { return "«" + title + "»" }},
		"header":   map[string]any{"account": "00042", "opening": nil},
		"partner":  map[string]any{"name": "acme", "vars": map[string]string{"site": "W1"}},
		"response": map[string]any{"status": int64(201), "body": map[string]any{"received": true, "id": "r-9", "total": 12.5, "n": 3, "results": []any{map[string]any{"id": 1}}, "html": "<p>"}},
		"answer":   map[string]any{"status": "exists"},
	}
}

// corpus calls check for each entry of a file: a line of an expression, and an
// indented one of what it gives. Lines with # are comments, ⏎ stands for a line
// break.
func corpus(t *testing.T, name string, give func(src string) string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	var written strings.Builder
	entries := 0
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if line == "" || strings.HasPrefix(line, "#") {
			fmt.Fprintln(&written, line)
			continue
		}
		want := ""
		if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\t") {
			i++
			want = strings.TrimPrefix(lines[i], "\t")
		}
		entries++
		got := give(strings.ReplaceAll(line, "⏎", "\n"))
		fmt.Fprintf(&written, "%s\n\t%s\n", line, got)
		if !*update && got != want {
			t.Errorf("%s:%d: %s\n got  %s\n want %s", name, i+1, line, got, want)
		}
	}
	if entries < 50 {
		t.Errorf("%s has %d entries only", name, entries)
	}
	if *update {
		if err := os.WriteFile(name, []byte(written.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWrongExpressionsSayWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	scope := orderScope()
	corpus(t, "testdata/wrong.txt", func(src string) string {
		_, err := scope.Expr(src)
		if err == nil {
			return "IS NOT REFUSED"
		}
		return said(t, err)
	})
}

// said is an error without the expression it names.
func said(t *testing.T, err error) string {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Source == "" {
		t.Fatalf("%v (%T) is no Error", err, err)
	}
	line, column := e.Position()
	return fmt.Sprintf("%d:%d: %s", line, column, e.Text)
}

func TestWrongConditionsSayWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"=quantity":              "=quantity: column 2: a condition is true or false, and this is an integer: compare it with something",
		"=confirmed":             "=confirmed: column 2: this may be absent: write (… ?? false)",
		"quantity":               "quantity: column 1: this is plain text where an expression must stand: write =quantity",
		"==x":                    `==x: column 1: this is plain text where an expression must stand: write = and an expression, ="…" for text that is meant`,
		"=confirmed ?? false":    "",
		"=response.body.ok":      "",
		"=all(lines, .quantity)": "=all(lines, .quantity): column 14: all needs a boolean, and .quantity is an integer",
	} {
		_, err := orderScope().Condition(src)
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%s:\n got  %s\n want %s", src, got, want)
		}
	}
}

func TestExpressionsGiveTheirResults(t *testing.T) {
	t.Parallel()
	scope, env := orderScope(), orderEnv(t)
	corpus(t, "testdata/right.txt", func(src string) string {
		p, err := scope.Expr(src)
		if err != nil {
			return "LOAD: " + err.Error()
		}
		v, err := p.Eval(env)
		if err != nil {
			return "ERROR: " + said(t, err)
		}
		if v != nil && p.Type().Kind != KindAny && kindOf(v) != p.Type().Kind {
			t.Errorf("%s is declared %s and gives %s", src, p.Type(), noun(v))
		}
		if v == nil && !p.Type().Optional && p.Type().Kind != KindAny {
			t.Errorf("%s is declared %s and gives nothing", src, p.Type())
		}
		text, err := AppendJSON(nil, v)
		if err != nil {
			return "JSON: " + err.Error()
		}
		return p.Type().String() + " " + string(text)
	})
}
