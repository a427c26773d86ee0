package jobs

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

func TestPlainPatternsMatchAsRegexpDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{"a", "b", "-", `\d`, "[ab]", "[^a]", ".", "é", "(?i:a)", "(ab)", "a|b", ""})
		repeat := rapid.SampledFrom([]string{"", "", "+", "*", "?", "{2}", "{1,3}", "{2,}", "+?"})
		pattern := rapid.SampledFrom([]string{"^", "^", "", `\A`, "(?m)^"}).Draw(t, "head")
		for range rapid.IntRange(0, 4).Draw(t, "pieces") {
			p := piece.Draw(t, "piece")
			if p != "" {
				p += repeat.Draw(t, "repeat")
			}
			pattern += p
		}
		pattern += rapid.SampledFrom([]string{"$", "$", "", `\z`}).Draw(t, "tail")
		m, err := newMatcher(pattern)
		if err != nil {
			t.Skip()
		}
		text := rapid.StringMatching(`[ab\-0-9é\n]{0,6}`).Draw(t, "text")
		if got, want := m.matches([]byte(text)), regexp.MustCompile(pattern).MatchString(text); got != want {
			t.Fatalf("%s on %q: got %t", pattern, text, got)
		}
	})
	m, err := newMatcher(`^A-\d+$`)
	if err != nil || m.steps == nil {
		t.Error("the plainest pattern is not taken for one")
	}
}
