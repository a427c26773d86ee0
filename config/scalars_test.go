package config

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0s": 0, "500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "90d": 90 * 24 * time.Hour, "2w": 14 * 24 * time.Hour,
		"1m1ms": time.Minute + time.Millisecond, "9223372036s": 9223372036 * time.Second,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"5": "has no unit, write 5s, 5m, 5h or 5d", "": "is not a duration", "-5s": "is not a duration", "1.5h": "is not a duration",
		"5 s": "is not a duration", "1y": "is not a duration", "5S": "is not a duration", "9223372037s": "is too long", "15250w15250w": "is too long",
		"99999999999999999999s": "is too long",
	} {
		if got, err := parseDuration(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0B": 0, "64KiB": 65536, "10MiB": 10 << 20, "1GiB": 1 << 30, "3KB": 3000, "2MB": 2e6, "1GB": 1e9, "8589934591GiB": 8589934591 << 30} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"64": "has no unit, write 64B", "1.5GiB": "is not a size", "1 KiB": "is not a size", "1kb": "is not a size", "8589934592GiB": "is too large", "99999999999999999999B": "is too large"} {
		if got, err := parseSize(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
}

func TestRatesAndShares(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		as, text string
		want     float64
	}{{"rate", "50/s", 50}, {"rate", "90/m", 1.5}, {"rate", "3600/h", 1}, {"share", "50%", 0.5}, {"share", "0.5%", 0.005}, {"", "2", 2}, {"", "-1.25", -1.25}} {
		if got, err := parseFloat(test.as, test.text); err != nil || math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%s %s: %v, %v", test.as, test.text, got, err)
		}
	}
	for _, test := range [][2]string{{"rate", "50"}, {"rate", "-1/s"}, {"rate", "1/d"}, {"share", "0.5"}, {"share", "%"}, {"", "1e3"}, {"", "NaN"}, {"", "01"}, {"", "inf"}} {
		if got, err := parseFloat(test[0], test[1]); err == nil {
			t.Errorf("%s %q: %v", test[0], test[1], got)
		}
	}
}

func TestDurationsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		days, hours, ms := rapid.IntRange(0, 50000).Draw(t, "d"), rapid.IntRange(0, 1e6).Draw(t, "h"), rapid.IntRange(0, 1e9).Draw(t, "ms")
		got, err := parseDuration(fmt.Sprintf("%dd%dh%dms", days, hours, ms))
		if want := time.Duration(days*24+hours)*time.Hour + time.Duration(ms)*time.Millisecond; err != nil || got != want {
			t.Fatalf("%v, %v, want %v", got, err, want)
		}
	})
}

func TestSuggestionsAreNear(t *testing.T) {
	t.Parallel()
	known := []string{"delimiter", "decimal", "encoding", "one_of", "to", "from"}
	for word, want := range map[string]string{
		"delimeter": "delimiter", "Delimiter": "delimiter", "delmiiter": "delimiter", "one-of": "one_of", "form": "from", "ot": "to",
		"purple": "", "": "", "x": "", "decimals": "decimal", strings.Repeat("delimiter", 100): "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func TestDistanceIsOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := []rune(rapid.StringMatching(`[a-e]{2,12}`).Draw(t, "word"))
		i := rapid.IntRange(0, len(word)-2).Draw(t, "i")
		swapped := append([]rune(nil), word...)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		shorter := append(append([]rune(nil), word[:i]...), word[i+1:]...)
		if d := distance(word, swapped); d > 1 {
			t.Fatalf("swap: %d", d)
		}
		if a, b := distance(word, shorter), distance(shorter, word); a != 1 || b != 1 {
			t.Fatalf("deletion: %d, insertion: %d", a, b)
		}
		if d := distance(word, word); d != 0 {
			t.Fatalf("same: %d", d)
		}
	})
}
