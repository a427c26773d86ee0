package expression

import (
	"strconv"
	"testing"
)

func benchmark(b *testing.B, src string, lines int) {
	scope, env := orderScope(), orderEnv(b)
	list := make([]any, lines)
	for i := range list {
		list[i] = map[string]any{"sku": "S" + strconv.Itoa(i), "quantity": int64(i % 9), "unit_price": NewDecimal(int64(100+i), 2), "note": nil}
	}
	env["lines"] = list
	p, err := scope.Expr(src)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Eval(env); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReference(b *testing.B)  { benchmark(b, "=order_no", 1) }
func BenchmarkPath(b *testing.B)       { benchmark(b, "=header.account", 1) }
func BenchmarkComparison(b *testing.B) { benchmark(b, "=quantity > 1", 1) }
func BenchmarkArithmetic(b *testing.B) { benchmark(b, "=quantity * unit_price", 1) }
func BenchmarkCall(b *testing.B)       { benchmark(b, `=upper(order_no) + "-" + text(quantity)`, 1) }
func BenchmarkSum10(b *testing.B)      { benchmark(b, "=sum(lines, .quantity * .unit_price)", 10) }
func BenchmarkSum1000(b *testing.B)    { benchmark(b, "=sum(lines, .quantity * .unit_price)", 1000) }

func BenchmarkTemplate(b *testing.B) {
	tmpl, err := orderScope().Template("/sites/{partner.name}/orders/{order_no}", ModeURLPath)
	if err != nil {
		b.Fatal(err)
	}
	env := orderEnv(b)
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		if dst, err = tmpl.Append(dst[:0], env); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseDecimal(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDecimal("1234.50"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseTime(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseTime("%d.%m.%Y", "29.02.2024", nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	scope := orderScope()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := scope.Expr("=sum(lines, .quantity * .unit_price)"); err != nil {
			b.Fatal(err)
		}
	}
}
