package expression

import (
	"errors"
	"strings"
	"testing"
)

func TestLookupFindsWhatATableHas(t *testing.T) {
	t.Parallel()
	asked := 0
	gone := errors.New("there is none")
	s := orderScope().With(Tables{
		"sites": func() Table {
			asked++
			return Table{Type: obj(Field{"name", Of(KindString)}, Field{"margin", opt(Of(KindDecimal))}), Find: func(_ map[string]any, key string) (any, error) {
				if key != "7" {
					return nil, gone
				}
				return map[string]any{"name": "Paris", "margin": nil}, nil
			}}
		},
		"units": func() Table {
			return Table{Type: opt(Of(KindString)), Find: func(map[string]any, string) (any, error) { return nil, nil }}
		},
	})
	env := map[string]any{"quantity": int64(7), "order_no": "A-1", "lines": []any{map[string]any{"sku": "7", "quantity": int64(1), "unit_price": dec(t, "1"), "note": nil}}}
	for src, want := range map[string]any{
		`=lookup("sites", quantity).name`:                        "Paris",
		`=(lookup("sites", "7").margin ?? 1) + 1`:                int64(2),
		`=lookup("units", order_no) ?? "none"`:                   "none",
		`=map(lines, lookup("sites", .sku).name)[0]`:             "Paris",
		`=join(map(lines, lookup("units", .sku) ?? .sku), ", ")`: "7",
	} {
		p, err := s.Expr(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		got, err := p.Eval(env)
		if d, ok := got.(Decimal); ok {
			got, _ = d.Int64()
		}
		if err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", src, got, err, want)
		}
	}
	if asked == 0 {
		t.Error("no expression asked for its table")
	}
	p, err := s.Open().Expr(`=lookup("sites", order_no).name`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Eval(env); !errors.Is(err, gone) || !strings.Contains(err.Error(), "column 2") {
		t.Errorf("%v", err)
	}
	p, err = s.Open().Expr(`=lookup("sites", whatever).name`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Eval(env); err == nil || !strings.Contains(err.Error(), "a key of a table is a text or a number") {
		t.Errorf("%v", err)
	}
	for src, want := range map[string]string{
		`=lookup("sitse", order_no)`:          "there is no table sitse, did you mean sites?",
		`=lookup("sites")`:                    `lookup takes 2 arguments, not 1: write lookup("table", key)`,
		`=lookup(order_no, order_no)`:         "the name of a table is written out",
		`=lookup("sites", lines)`:             "a key of a table is a text or a number, and lines is a list",
		`=lookup("sites", uuid).name`:         "uuid may be absent",
		`=lookup("sites", order_no).nam`:      "has no field nam, did you mean name?",
		`=lookup("units", order_no) + "x"`:    "may be absent",
		`=lookup("sites", order_no).name + 1`: "",
	} {
		_, err := s.Expr(src)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
}
