package jsonvalue

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTextsAreReadBackAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.RuneFrom([]rune("\x00\b\t\n\f\r\x1f\x7f\"\\/é\u2028")))).Draw(t, "text")
		before := rapid.String().Draw(t, "before")
		out := AppendString([]byte(before), []byte(text))
		var back string
		if err := json.Unmarshal(out[len(before):], &back); err != nil || back != text || string(out[:len(before)]) != before {
			t.Fatalf("%q is %q, %v", text, out, err)
		}
	})
}

func TestOnlyWhatMustBeEscapedIs(t *testing.T) {
	t.Parallel()
	const text = "/<>&'\x7f\u2028é\"\\\b\f\n\r\t\x00\x1f"
	if got, want := string(AppendString(nil, []byte(text))), "\"/<>&'\x7f\u2028é"+`\"\\\b\f\n\r\t\u0000\u001f"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNumbersAreWrittenAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1e-5, 1e-5), rapid.SampledFrom([]float64{0, 1e21, 1e-7, 123456789, math.MaxFloat64})).Draw(t, "v")
		for bits, v := range map[int]any{64: v, 32: float32(math.Max(-math.MaxFloat32, math.Min(math.MaxFloat32, v)))} {
			want, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			f, _ := v.(float64)
			if bits == 32 {
				f = float64(v.(float32))
			}
			if got := string(AppendFloat(nil, f, bits)); got != string(want) {
				t.Fatalf("%s, want %s", got, want)
			}
		}
	})
	for v, want := range map[float64]string{math.Inf(1): "Infinity", math.Inf(-1): "-Infinity"} {
		if got := string(AppendFloat(nil, v, 64)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := string(AppendFloat(nil, math.NaN(), 64)); got != "NaN" {
		t.Errorf("%s, want NaN", got)
	}
}

func TestMomentsHaveAsManyDigitsAsTheyNeed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		seconds, nanos int64
		want           string
		ok             bool
	}{
		{0, 0, "1970-01-01T00:00:00", true},
		{-1, 120_000_000, "1969-12-31T23:59:59.120", true},
		{0, 1000, "1970-01-01T00:00:00.000001", true},
		{0, 1, "1970-01-01T00:00:00.000000001", true},
		{First, 0, "0001-01-01T00:00:00", true},
		{Last, 999_999_999, "9999-12-31T23:59:59.999999999", true},
		{First - 1, 0, "x", false},
		{Last + 1, 0, "x", false},
		{0, 1_000_000_000, "x", false},
		{0, -1, "x", false},
	} {
		got, ok := AppendMoment(nil, c.seconds, c.nanos, "2006-01-02T15:04:05")
		if !ok {
			got = append(got, 'x')
		}
		if string(got) != c.want || ok != c.ok {
			t.Errorf("%d, %d: %s, %t, want %s", c.seconds, c.nanos, got, ok, c.want)
		}
	}
	if got, _ := AppendMoment(nil, 1, 5e8, time.TimeOnly); string(got) != "00:00:01.500" {
		t.Errorf("%s", got)
	}
}
