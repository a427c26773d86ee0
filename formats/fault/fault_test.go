package fault

import (
	"strings"
	"testing"
)

func TestSizesAreReadAndWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Bytes{"8MiB": 8 << 20, "1KB": 1000, "0B": 0, "2GiB": 2 << 30, "7B": 7, "3GB": 3e9} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%s: %d, %v", text, b, err)
		}
		var again Bytes
		if err := again.UnmarshalText([]byte(b.String())); err != nil || again != b {
			t.Errorf("%s is written as %s", text, b)
		}
	}
	for _, text := range []string{"", "8", "MiB", "-1B", "1.5MiB", "8 MiB", "8mib", "9999999999GiB"} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken as %d", text, b)
		}
	}
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"Article":  `, did you mean "article"?`,
		"artcile":  `, did you mean "article"?`,
		"Order-No": `, did you mean "order no"?`,
		"color":    "",
	} {
		if got := Meant(word, []string{"qty", "article", "order no"}); got != want {
			t.Errorf("%s%s, want %s", word, got, want)
		}
	}
}

func TestTextsAreCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"short", "short"},
		{strings.Repeat("x", 201), strings.Repeat("x", 200)},
		{strings.Repeat("x", 199) + "é", strings.Repeat("x", 199)},
		{strings.Repeat("x", 198) + "é!", strings.Repeat("x", 198) + "é"},
		{strings.Repeat("x", 198) + "€", strings.Repeat("x", 198)},
	} {
		if got := Cut(c.text); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if got := Cut([]byte(c.text)); got != c.want {
			t.Errorf("bytes: %q, want %q", got, c.want)
		}
	}
}
