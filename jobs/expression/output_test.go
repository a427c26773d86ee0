package expression

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestJSONIsExact(t *testing.T) {
	t.Parallel()
	moscow := time.FixedZone("", 3*3600)
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, `null`}, {"a\"\\\n\t\r\b\f\x00\x1f é<>&\u2028", `"a\"\\\n\t\r\b\f\u0000\u001f é<>&` + "\u2028" + `"`},
		{int64(math.MinInt64), `-9223372036854775808`}, {dec(t, "24.910"), `24.910`}, {1e21, `1e+21`}, {0.1, `0.1`}, {true, `true`},
		{Date{2024, 2, 29}, `"2024-02-29"`}, {TimeOfDay{9, 5, 0, 500}, `"09:05:00.0000005"`}, {time.Date(2024, 7, 1, 8, 0, 0, 0, moscow), `"2024-07-01T08:00:00+03:00"`},
		{[]byte{0, 255}, `"AP8="`}, {[]any{}, `[]`}, {map[string]any{"b": []any{1}, "a": map[string]string{"x": "y"}}, `{"a":{"x":"y"},"b":[1]}`},
		{math.Inf(1), `error`}, {"\xff", `error`}, {map[string]any{"\xff": 1}, `error`}, {func() {}, `error`},
	} {
		b, err := AppendJSON(nil, c.v)
		got := string(b)
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%v:\n got  %s\n want %s", c.v, got, c.want)
		}
	}
}

func TestJSONTextReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		b, err := AppendJSON(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(b, &back); err != nil || back != text {
			t.Fatalf("%q is written %s and read %q, %v", text, b, back, err)
		}
	})
}

func TestNestingIsLimited(t *testing.T) {
	t.Parallel()
	v := any(int64(1))
	for range 1000 {
		v = []any{v}
	}
	if _, err := AppendJSON(nil, v); err == nil {
		t.Error("a thousand lists in each other are written")
	}
}

func TestWhatHasNoTextSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		"an absent value has no text: write ?? and a default": nil,
		`a list has no text: write join(…, ", ")`:             []any{},
		"an object has no text":                               map[string]any{},
		"NaN is not a finite number":                          math.NaN(),
	} {
		if _, err := Text(v); err == nil || err.Error() != want {
			t.Errorf("%v: %v", v, err)
		}
	}
}
