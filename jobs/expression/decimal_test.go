package expression

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// decimals are written as people and programs write them.
func decimals(t *rapid.T, name string) (string, *big.Rat) {
	s := rapid.StringMatching(`-?[0-9]{1,25}(\.[0-9]{1,25})?`).Draw(t, name)
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return s, r
}

func rat(t interface{ Fatalf(string, ...any) }, v any) *big.Rat {
	text, err := Text(v)
	r, ok := new(big.Rat).SetString(text)
	if err != nil || !ok {
		t.Fatalf("%v (%T) is no number: %v", v, v, err)
	}
	return r
}

func TestArithmeticIsExact(t *testing.T) {
	t.Parallel()
	scope := NewScope([]Field{{"a", Of(KindDecimal)}, {"b", Of(KindDecimal)}, {"list", ListOf(Of(KindDecimal))}})
	programs := map[string]*Program{}
	for _, src := range []string{"=a + b", "=a - b", "=a * b", "=a < b", "=a == b", "=a >= b", "=sum(list)", "=sum(list, # * 2)", "=min(a, b)", "=max(list)", "=-a", "=abs(a)", "=round(a, 3)", "=a / b"} {
		p, err := scope.Expr(src)
		if err != nil {
			t.Fatal(err)
		}
		programs[src] = p
	}
	rapid.Check(t, func(t *rapid.T) {
		textA, a := decimals(t, "a")
		textB, b := decimals(t, "b")
		da, errA := ParseDecimal(textA)
		db, errB := ParseDecimal([]byte(textB))
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		env := map[string]any{"a": da, "b": db, "list": []any{da, db, da}}
		eval := func(src string) any {
			v, err := programs[src].Eval(env)
			if err != nil {
				t.Fatalf("%s with %s and %s: %v", src, textA, textB, err)
			}
			return v
		}
		number := func(src string, want *big.Rat) {
			if got := rat(t, eval(src)); got.Cmp(want) != 0 {
				t.Fatalf("%s with %s and %s gives %s, want %s", src, textA, textB, got.RatString(), want.RatString())
			}
		}
		truth := func(src string, want bool) {
			if got := eval(src); got != want {
				t.Fatalf("%s with %s and %s gives %v", src, textA, textB, got)
			}
		}
		two := big.NewRat(2, 1)
		sum := new(big.Rat).Add(new(big.Rat).Add(a, b), a)
		number("=a + b", new(big.Rat).Add(a, b))
		number("=a - b", new(big.Rat).Sub(a, b))
		number("=a * b", new(big.Rat).Mul(a, b))
		number("=sum(list)", sum)
		number("=sum(list, # * 2)", new(big.Rat).Mul(sum, two))
		number("=-a", new(big.Rat).Neg(a))
		number("=abs(a)", new(big.Rat).Abs(a))
		truth("=a < b", a.Cmp(b) < 0)
		truth("=a == b", a.Cmp(b) == 0)
		truth("=a >= b", a.Cmp(b) >= 0)
		least, greatest := a, b
		if a.Cmp(b) > 0 {
			least, greatest = b, a
		}
		number("=min(a, b)", least)
		number("=max(list)", greatest)
		number("=round(a, 3)", rounded(a, 3))
		if b.Sign() != 0 {
			quotient(t, new(big.Rat).Quo(a, b), rat(t, eval("=a / b")))
		}
	})
}

// rounded is r to places digits, half away from zero, by another way than the
// code takes.
func rounded(r *big.Rat, places int) *big.Rat {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
	x := new(big.Rat).Mul(new(big.Rat).Abs(r), new(big.Rat).SetInt(scale))
	x.Add(x, big.NewRat(1, 2))
	whole := new(big.Int).Quo(x.Num(), x.Denom())
	y := new(big.Rat).SetFrac(whole, scale)
	if r.Sign() < 0 {
		y.Neg(y)
	}
	return y
}

// quotient checks that got is want, or as near to it as 34 digits can be.
func quotient(t *rapid.T, want, got *big.Rat) {
	off := new(big.Rat).Abs(new(big.Rat).Sub(want, got))
	if off.Sign() == 0 {
		return
	}
	// |off| ≤ |want| × ½ × 10^-33
	bound := new(big.Rat).SetFrac(big.NewInt(5), new(big.Int).Exp(big.NewInt(10), big.NewInt(34), nil))
	if off.Cmp(bound.Mul(bound, new(big.Rat).Abs(want))) > 0 {
		t.Fatalf("the quotient is off by %s of %s", off.FloatString(60), want.FloatString(60))
	}
}

func TestDecimalsKeepTheirDigits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"24.910": "24.910", "0": "0", "0.00": "0.00", "-0.10": "-0.10", "+7": "7", ".5": "0.5", "5.": "5", "007": "7", "1e3": "1000", "1.50E-2": "0.0150", "12e-1": "1.2",
		"123456789012345678901234567890.123456789": "123456789012345678901234567890.123456789",
	} {
		d, err := ParseDecimal(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if d.String() != want {
			t.Errorf("%s is written %s", text, d)
		}
	}
}

func TestWhatIsNoDecimalIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "-", "+", ".", "1,5", "1 000", "1_000", "0x1F", "NaN", "Inf", "1e", "e5", "1e1e1", "--1", "1.2.3", "1e99999", "1e2000", "1e-2000", " 1", "1 ", "١",
		strings.Repeat("9", 3000), "1e1000000000"} {
		if d, err := ParseDecimal(text); err == nil {
			t.Errorf("%q is read as %.40s", text, d)
		}
	}
}

func TestDecimalsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?`).Draw(t, "text")
		if strings.Trim(text, "-0.") == "" {
			text = strings.TrimPrefix(text, "-") // there is no negative zero
		}
		d, err := ParseDecimal(text)
		if err != nil || d.String() != text {
			t.Fatalf("%s is read as %s, %v", text, d, err)
		}
		b, err := json.Marshal(map[string]any{"d": d})
		if err != nil || string(b) != `{"d":`+text+`}` {
			t.Fatalf("JSON of %s is %s, %v", text, b, err)
		}
	})
}

func TestIntegersNeverWrapAround(t *testing.T) {
	t.Parallel()
	interesting := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, -2, -1, 0, 1, 2, math.MaxInt64, math.MaxInt64 - 1, 1 << 32, -1 << 32}))
	exact := map[string]func(z, x, y *big.Int) *big.Int{"+": (*big.Int).Add, "-": (*big.Int).Sub, "*": (*big.Int).Mul}
	rapid.Check(t, func(t *rapid.T) {
		a, b := interesting.Draw(t, "a"), interesting.Draw(t, "b")
		for op, f := range exact {
			want := f(new(big.Int), big.NewInt(a), big.NewInt(b))
			got, err := operations[op].apply(a, b)
			if want.IsInt64() != (err == nil) || err == nil && got != want.Int64() {
				t.Fatalf("%d %s %d gives %v, %v; exactly it is %s", a, op, b, got, err, want)
			}
		}
	})
}

func TestCoerceLosesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    any
		kind Kind
		want string
	}{
		{int64(3), KindDecimal, "3"}, {3, KindDecimal, "3"}, {dec(t, "3.00"), KindInteger, "3"}, {dec(t, "3.5"), KindInteger, "error"},
		{0.1, KindDecimal, "0.1"}, {math.NaN(), KindDecimal, "error"}, {uint64(math.MaxUint64), KindInteger, "error"}, {uint64(math.MaxUint64), KindDecimal, "18446744073709551615"},
		{"3", KindInteger, "error"}, {int64(3), KindString, "error"}, {nil, KindString, "null"}, {json.Number("1.50"), KindDecimal, "1.50"},
		{json.Number("9007199254740993"), KindInteger, "9007199254740993"}, {dec(t, "0.5"), KindNumber, "0.5"}, {true, KindBoolean, "true"}, {float32(0.5), KindDecimal, "0.5"},
	} {
		v, err := Coerce(c.v, Of(c.kind))
		got := "error"
		if err == nil {
			b, _ := AppendJSON(nil, v)
			got = string(b)
			if v != nil && kindOf(v) != c.kind {
				t.Errorf("%v as %s is %s", c.v, c.kind, noun(v))
			}
		}
		if got != c.want {
			t.Errorf("%v as %s is %s, %v", c.v, c.kind, got, err)
		}
	}
}
