package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A file of any content is answered soon: nothing here may take more than linear time, or nearly.
func TestLargeFilesAreAnsweredSoon(t *testing.T) {
	t.Parallel()
	const size = maxFile / 4
	repeat := func(part string) string { return strings.Repeat(part, size/len(part)) }
	numbered := func(head, format string) string {
		var b strings.Builder
		b.WriteString(head)
		for i := 0; b.Len() < size-100; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"brackets":        repeat("["),
		"braces":          repeat("{a: "),
		"dashes":          repeat("- "),
		"indentation":     repeat("a:\n "),
		"one line":        "zone: " + repeat("x"),
		"unknown keys":    numbered("", "k%d: {a: b}\n"),
		"duplicates":      repeat("zone: x\n"),
		"items":           numbered("sources:\n", "  s%d: {folder: {path: /a}}\n"),
		"jobs that use":   numbered("jobs:\n  j: {send: []}\n", "  j%d: {use: j}\n"),
		"chain of use":    numbered("jobs:\n  j: {send: []}\n", "  k%[1]d: {use: k%[1]d1}\n"),
		"mentions":        numbered("jobs:\n", "  j%d: {receive: {source: nothing}, send: []}\n"),
		"vars":            numbered("vars:\n", "  v%d: \"${env:HOST}\"\n"),
		"references":      "zone: \"" + repeat("${var:x}") + "\"\n",
		"secrets":         numbered("connections:\n", "  c%d: {url: secret%[1]d}\n"),
		"secrets, wrong":  numbered("connections:\n", "  c%d: {url: secret%[1]d, x: y}\n"),
		"aliases":         "a: &a x\n" + repeat("- *a\n"),
		"flow list":       "sources: [" + repeat("a, ") + "]",
		"keys of a var":   "vars: {" + numbered("", "v%d: x, ") + "}",
		"long unknown":    repeat("x") + ": y",
		"userinfo":        "zone: " + repeat("a://b:c@"),
		"userinfo, wrong": "zone: " + repeat("a://b:c"),
		"block scalar":    "zone: |\n" + repeat("  x\n"),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, problems, err := load(text, nil)
			took := time.Since(start)
			t.Logf("%s: %v, %d problems, %d bytes of text", name, took, len(problems), len(fmt.Sprint(err)))
			if limit := 10 * time.Second; took > limit { // the machine may be busy; quadratic time takes minutes
				t.Errorf("took %v", took)
			}
		})
	}
}
