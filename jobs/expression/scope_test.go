package expression

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-strftime"
	"pgregory.net/rapid"
)

func TestValuesAreLiteralsUnlessTheyBeginWithASign(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{"": "", "no": "no", "a = b": "a = b", "==": "=", "==x": "=x", "===": "==", " =x": " =x", "{x}": "{x}"} {
		v, err := orderScope().Value(src)
		if err != nil {
			t.Errorf("%q: %v", src, err)
		} else if got, ok := v.Literal(); !ok || got != want || v.Program() != nil {
			t.Errorf("%q gives the literal %q, %v", src, got, ok)
		}
	}
	v, err := orderScope().Value("=order_no")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := v.Literal(); ok || v.Program() == nil || v.Program().Source() != "order_no" {
		t.Errorf("=order_no is no program")
	}
	if _, err := orderScope().Value("=ordr_no"); err == nil {
		t.Error("a wrong name is not refused")
	}
}

func TestOnlyPathsMayStandUnquoted(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]bool{
		"=a": true, "=a.b.c": true, "=a[0].b": true, "=a[10]": true, "=Номер.x_1": true, "text": true, "": true, "==x y": true, "=_": true,
		"=": false, "=a ": false, "=a+b": false, "=a.": false, "=.a": false, "=a..b": false, "=a[": false, "=a[]": false, "=a[b]": false, "=a[0": false,
		"=1": false, "=a b": false, "=f(x)": false, "=a[0]b": false, "= a": false, "=a.1": false,
	} {
		if got := Plain(src); got != want {
			t.Errorf("Plain(%q) = %v", src, got)
		}
	}
}

func TestEachNamesTheElementAndTheOutside(t *testing.T) {
	t.Parallel()
	outer := NewScope([]Field{{"order_no", Of(KindString)}, {"lines", listOf(Field{"sku", Of(KindString)})}}, Field{"file", obj(Field{"name", Of(KindString)})})
	line := outer.Each([]Field{{"sku", Of(KindString)}, {"parts", ListOf(obj(Field{"no", Of(KindInteger)}))}})
	part := line.Each([]Field{{"no", Of(KindInteger)}})
	env := map[string]any{"no": int64(4), "position": int64(2), "file": map[string]any{"name": "f"}, "up": map[string]any{
		"sku": "S", "position": int64(9), "up": map[string]any{"order_no": "A-1"}}}
	for src, want := range map[string]any{
		"=no": int64(4), "=position": int64(2), "=up.sku": "S", "=up.position": int64(9), "=up.up.order_no": "A-1", "=file.name": "f",
	} {
		p, err := part.Expr(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got, err := p.Eval(env); err != nil || got != want {
			t.Errorf("%s gives %v, %v", src, got, err)
		}
	}
	for _, c := range []struct {
		scope     *Scope
		src, want string
	}{
		{line, "=order_no", "1:2: unknown name order_no, outside of the element it is up.order_no"},
		{line, "=up.sk", "1:5: up has no field sk"},
		{line, "=up.up.x", "1:5: up has no field up"},
		{part, "=sku", "1:2: unknown name sku, outside of the element it is up.sku"},
		{outer, "=sku", "1:2: unknown name sku"},
	} {
		if _, err := c.scope.Expr(c.src); err == nil {
			t.Errorf("%s is not refused", c.src)
		} else if got := said(t, err); got != c.want {
			t.Errorf("%s:\n got  %s\n want %s", c.src, got, c.want)
		}
	}
}

func TestAnOpenScopeLooksWhenItRuns(t *testing.T) {
	t.Parallel()
	open := NewScope(nil, Field{"file", obj(Field{"name", Of(KindString)})}).Open()
	env := map[string]any{"a": map[string]any{"b": 2}, "list": []any{map[string]any{"q": 2.5}, map[string]any{"q": 1}}}
	for src, want := range map[string]string{
		"=a.b + 1":             "3",
		"=sum(list, .q)":       "3.5",
		"=missing":             "null",
		"=missing ?? 1":        "1",
		"=upper(missing)":      "1:8: upper needs text, not an absent value",
		"=missing + 1":         "1:10: a number is absent here",
		"=a + 1":               "1:4: a number is needed here, not an object",
		"=any(a, true)":        "1:2: a list is needed here, not an object",
		"=missing > 1":         "1:10: an absent value and an integer have no order",
		"=missing == 1":        "false",
		"=list[0].q":           "2.5",
		"=a ? 1 : 2":           "1:2: true or false is needed here, not an object",
		"=missing[0]":          "null",
		"=list[9]":             "1:6: the list has 2 elements, and none at 9",
		"=a.b.c":               "1:6: an integer has no member c",
		"=a[list]":             "1:3: what stands in [ ] is text or an integer, not a list",
		`=a.b + "x"`:           "1:6: + joins text with text, not with an integer: write text(…)",
		"=1..missing":          "1:3: a range goes from integer to integer, not from an integer to an absent value",
		"=all(list, .q)":       "1:13: true or false is needed here, not a number",
		`=missing matches "x"`: "1:10: matches needs text and text, not an absent value and text",
	} {
		p, err := open.Expr(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		got := ""
		if v, err := p.Eval(env); err != nil {
			got = said(t, err)
		} else {
			b, _ := AppendJSON(nil, v)
			got = string(b)
		}
		if got != want {
			t.Errorf("%s:\n got  %s\n want %s", src, got, want)
		}
	}
	inside, err := open.Each(nil).Expr("=up.order_no + sku + text(position)")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := inside.Eval(map[string]any{"up": map[string]any{"order_no": "A"}, "sku": "b", "position": int64(1)}); err != nil || v != "Ab1" {
		t.Errorf("inside an open =each: %v, %v", v, err)
	}
}

func TestProgramsSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"=order_no":                           "[order_no] [order_no] string",
		"= order_no ":                         "[order_no] [order_no] string",
		"=header.account":                     "[header account] [header] string",
		"=buyer?.vat":                         "[buyer vat] [buyer] optional string",
		"=lines[0].sku":                       "[] [lines] string",
		"=quantity + quantity * count":        "[] [quantity count] integer",
		"=any(lines, .quantity > count)":      "[] [lines count] boolean",
		"=let a = order_no; a + a + len":      "[] [order_no len] string",
		"=urgent ? nil : order_no":            "[] [urgent order_no] optional string",
		"=uuid ?? order_no":                   "[] [uuid order_no] string",
		`=record.text("a") ?? header.account`: "[] [record header] string",
	} {
		p, err := orderScope().Expr(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		path, _ := p.Path()
		if got := fmt.Sprint(path, " ", p.Names(), " ", p.Type()); got != want {
			t.Errorf("%s is %s, want %s", src, got, want)
		}
	}
}

func TestBoolNeedsTrueOrFalse(t *testing.T) {
	t.Parallel()
	env := orderEnv(t)
	for src, want := range map[string]string{
		"=urgent":                 "true <nil>",
		"=quantity > 5":           "false <nil>",
		"=confirmed":              "false =confirmed: column 2: true or false is needed here, and the value is absent",
		"=response.body.received": "true <nil>",
		"=response.body.id":       "false =response.body.id: column 16: true or false is needed here, not text",
	} {
		p, err := orderScope().Expr(src)
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.Bool(env)
		if got := fmt.Sprint(b, " ", err); got != want {
			t.Errorf("%s:\n got  %s\n want %s", src, got, want)
		}
	}
}

func TestARunIsLimitedInSteps(t *testing.T) {
	t.Parallel()
	list := make([]any, 20_000)
	for i := range list {
		list[i] = map[string]any{"q": int64(i)}
	}
	p, err := NewScope([]Field{{"list", listOf(Field{"q", Of(KindInteger)})}}).Expr("=all(list, let q = .q; all(list, .q + q >= 0))")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Eval(map[string]any{"list": list})
	if !errors.Is(err, errSteps) {
		t.Errorf("20,000 × 20,000 elements: %v", err)
	}
}

func TestLargeExpressionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{
		"long":    "=" + strings.Repeat("1 + ", 10_000) + "1",
		"many":    "=" + strings.Repeat("1+", 6000) + "1",
		"deep":    "=" + strings.Repeat("(", 16_000),
		"minus":   "=" + strings.Repeat("-", 16_000) + "1",
		"members": "=file" + strings.Repeat(".a", 8000),
		"shared":  "=" + strings.Repeat("1 < (1 < (", 400) + "1" + strings.Repeat(" < 1) < 1)", 400),
		"chain":   "=" + strings.Repeat("1<", 6000) + "1",
	} {
		if _, err := orderScope().Expr(src); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}

func TestProgramsRunConcurrently(t *testing.T) {
	t.Parallel()
	p, err := orderScope().Expr("=quantity + sum(lines, .quantity * quantity)")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for n := range int64(8) {
		group.Go(func() {
			env := orderEnv(t)
			env["quantity"] = n
			for range 200 {
				if got, err := p.Eval(env); err != nil || got != 14*n {
					t.Errorf("with %d: %v, %v", n, got, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestARunLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	p, err := orderScope().Expr(`=map(lines, .sku + "x")`)
	if err != nil {
		t.Fatal(err)
	}
	first, err := p.Eval(orderEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	kept := fmt.Sprint(first)
	env := orderEnv(t)
	env["lines"] = []any{map[string]any{"sku": "Z"}}
	if _, err := p.Eval(env); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(first) != kept {
		t.Errorf("the second run changed the result of the first to %v", first)
	}
	r, _ := p.runs.Get().(*run)
	if !reflect.DeepEqual(r.slots, make([]any, p.slots)) || r.env != nil {
		t.Errorf("a pooled run holds %v", r.slots)
	}
}

// The expressions of the worked examples, on fields as those declare them.
func TestTheWorkedExamplesCompile(t *testing.T) {
	t.Parallel()
	str, decimal, integer := Of(KindString), Of(KindDecimal), Of(KindInteger)
	scope := NewScope([]Field{
		{"id", str}, {"uuid", opt(str)}, {"kind", str}, {"day", Of(KindDate)}, {"time", Of(KindTime)}, {"name", str}, {"email", opt(str)},
		{"payable", decimal}, {"quantity", integer}, {"unit_price", decimal}, {"amount", decimal}, {"urgent", Of(KindBoolean)}, {"at", Of(KindDateTime)},
		{"lines", listOf(Field{"net", decimal}, Field{"amount", decimal}, Field{"quantity", integer})},
		{"items", listOf(Field{"id", opt(str)}, Field{"sum", decimal})}, {"details", listOf(Field{"text", str})},
	},
		Field{"header", obj(Field{"at", Of(KindDateTime)}, Field{"opening", decimal})}, Field{"totals", obj(Field{"moved", decimal})},
		Field{"trailer", obj(Field{"closing", decimal})}, Field{"file", obj(Field{"name", str})}, Field{"record", obj(Field{"number", integer}, Field{"line", integer})},
		Field{"response", obj(Field{"status", integer}, Field{"body", Type{}})}, Field{"answer", Type{}}, Field{"outcome", obj(Field{"state", str})},
		Field{"key", obj(Field{"uuid", str})}, Field{"step", Of(KindObject)}, Field{"failure", obj(Field{"step", str}, Field{"reason", str})})
	inside := scope.Each([]Field{{"id", str}, {"quantity", decimal}})
	for src, want := range map[string]string{
		"=quantity * unit_price": "decimal", "=len(lines) <= 200": "boolean", `=urgent ? "HIGH" : "NORMAL"`: "string", "=sum(lines, .amount)": "decimal",
		"=response.status == 201 && response.body.received == true": "boolean", "=response.body.id": "any", "=uuid ?? id": "string",
		"=sum(lines, .net) == payable": "boolean", `=outcome.state == "delivered"`: "boolean", `=kind == "Заказ товара"`: "boolean",
		`=datetime(day, time, "Europe/Moscow")`: "datetime", "=round(sum(items, .sum), 2)": "decimal", `=local(header.at, "Europe/Moscow")`: "datetime",
		`="waybill: " + file.name + " #" + text(record.number)`: "string", "=slug(name)": "string", "=key.uuid": "string", "=step.hotel.id": "any",
		"=email != nil": "boolean", "=failure.reason": "string", "=header.opening + totals.moved == trailer.closing": "boolean",
		`=join(map(details, .text), " ")`: "string", `=answer.status in ["created", "exists"]`: "boolean", `=record.text("N° commande")`: "optional string",
		"=any(lines, .quantity > 0)": "boolean",
	} {
		if p, err := scope.Expr(src); err != nil {
			t.Error(err)
		} else if got := p.Type().String(); got != want {
			t.Errorf("%s is %s, want %s", src, got, want)
		}
	}
	for src, want := range map[string]string{`=id != "ORDER_DELIVERY"`: "boolean", "=text(position)": "string", "=round(quantity, 3)": "decimal", "=up.id": "string"} {
		if p, err := inside.Expr(src); err != nil {
			t.Error(err)
		} else if got := p.Type().String(); got != want {
			t.Errorf("inside =each: %s is %s, want %s", src, got, want)
		}
	}
}

func TestReservedNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"file": true, "up": true, "nil": true, "in": true, "lines": false, "": false, "ile": false, "file entry": false, "count": false} {
		if Reserved(name) != want {
			t.Errorf("Reserved(%q) = %v", name, !want)
		}
	}
}

func TestFunctionsAreListedOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, use := range Functions() {
		name, _, _ := strings.Cut(use, "(")
		if seen[name] {
			t.Errorf("%s is listed twice", name)
		}
		seen[name] = true
		if elsewhere[name] != "" {
			t.Errorf("%s is there, and hinted at as if it were not", name)
		}
	}
	if len(seen) < 60 {
		t.Errorf("%d functions only", len(seen))
	}
}

// The short way of reading times and the general one say the same.
func TestDigitsAreReadAsTheGeneralWayReadsThem(t *testing.T) {
	t.Parallel()
	formats := []string{"%d.%m.%Y", "%Y-%m-%dT%H:%M:%S", "%Y%m%d%H%M%S", "%H:%M", "%Y"}
	rapid.Check(t, func(t *rapid.T) {
		format := rapid.SampledFrom(formats).Draw(t, "format")
		pattern := strings.NewReplacer("%Y", "[0-9]{4}", "%m", "[01][0-9]", "%d", "[0-3][0-9]", "%H", "[0-2][0-9]", "%M", "[0-6][0-9]", "%S", "[0-6][0-9]", ".", `\.`).Replace(format)
		text := rapid.StringMatching(pattern).Draw(t, "text")
		want, err := strftime.Parse(format, text)
		got, ok := parseDigits(format, text)
		if ok != (err == nil) || ok && !got.Equal(want) {
			t.Fatalf("%q by %s is %s, %v; the general way says %s, %v", text, format, got, ok, want, err)
		}
	})
}

func TestParsedTimes(t *testing.T) {
	t.Parallel()
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Skip("no time zones here:", err)
	}
	for _, c := range []struct {
		format, text string
		zone         *time.Location
		want         string
	}{
		{"%d.%m.%Y", "29.02.2024", nil, "2024-02-29T00:00:00Z"},
		{"%d.%m.%Y", "30.02.2024", nil, `"30.02.2024" does not fit %d.%m.%Y, as 25.11.2026 would`},
		{"%d%m%y", "010268", nil, "2068-02-01T00:00:00Z"},
		{"%Y%m%d%H%M%S", "20240701143005", paris, "2024-07-01T14:30:05+02:00"},
		{"%Y-%m-%dT%H:%M:%S%z", "2024-07-01T14:30:05+0300", paris, "2024-07-01T14:30:05+03:00"},
		{"%Y-%m-%d %H:%M", "2024-03-31 02:30", paris, "2024-03-31T02:30:00 does not exist in Europe/Paris"},
		{"%Y-%m-%d %H:%M", "2024-10-27 02:30", paris, "2024-10-27T02:30:00+02:00"},
		{"%H:%M:%S", "14:30:05.5", nil, `"14:30:05.5" has a fraction of a second that %H:%M:%S has no place for, add .%f`},
		{"%H:%M:%S.%f", "14:30:05.500000", nil, "0000-01-01T14:30:05.5Z"},
		{"%d.%m.%Y", "29.02.2024x", nil, `"29.02.2024x" does not fit %d.%m.%Y, as 25.11.2026 would`},
		{"%d.%m.%Y", "", nil, `"" does not fit %d.%m.%Y, as 25.11.2026 would`},
	} {
		at, err := ParseTime(c.format, c.text, c.zone)
		got := at.Format(time.RFC3339Nano)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s by %s:\n got  %s\n want %s", c.text, c.format, got, c.want)
		}
	}
}
