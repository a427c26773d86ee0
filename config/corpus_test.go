package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each file of testdata/load begins with what it must lead to: "# want: ok", or one line "# want: line:column: text" for
// each problem, in order.
func TestCorpusOfMistakes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/load/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if text, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.TrimRight(text, "\n"))
				}
			}
			_, problems, err := load(string(data), nil)
			if err != nil && problems == nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range problems {
				got = append(got, strings.TrimPrefix(p.Error(), mainFile+":"))
			}
			if got == nil {
				got = []string{"ok"}
			}
			if os.Getenv("UPDATE") != "" { // once more when the number of problems has changed: they move the lines
				rewrite(t, name, string(data), got)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s\n%v", diff, problems)
			}
			if slices.ContainsFunc(problems, func(p Problem) bool { return p.Line < 1 || p.Column < 1 || p.Excerpt == "" && len(data) > 0 }) {
				t.Errorf("a problem without place or excerpt: %v", problems)
			}
			if strings.Contains(fmt.Sprint(problems), canary) {
				t.Errorf("a secret shows:\n%v", problems)
			}
		})
	}
}

// rewrite puts what came out in place of what was wanted.
func rewrite(t *testing.T, name, text string, got []string) {
	var b strings.Builder
	for _, p := range got {
		b.WriteString("# want: " + p + "\n")
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "# want: ") {
			b.WriteString(line)
		}
	}
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
