package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever the file holds, Load ends without panic; each problem has its place; what loads can be printed, and what is
// printed loads as the same; what references yield is never shown.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/load/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add(shown)
	f.Add("jobs: {a: {use: a}, b: {use: a, send: []}}\ninclude: [x, '*']")
	f.Fuzz(func(t *testing.T, text string) {
		c, problems, err := load(text, nil)
		if err != nil {
			checkProblems(t, text, problems, err)
			return
		}
		printed, err := c.Print()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(printed), "***") || strings.Contains(text, "include") {
			return
		}
		again, _, err := load(string(printed), nil)
		if err != nil {
			t.Fatalf("what was printed does not load: %v\n%s", err, printed)
		}
		if changes := Diff(c, again); len(changes) != 0 {
			t.Fatalf("what was printed is another: %v\n%s", changes, printed)
		}
	})
}

func checkProblems(t *testing.T, text string, problems Problems, err error) {
	t.Helper()
	if len(problems) == 0 {
		t.Fatalf("an error without problems: %v", err)
	}
	for _, p := range problems {
		if p.File == "" || p.Line < 1 || p.Column < 1 || p.Text == "" || p.Line > strings.Count(text, "\n")+strings.Count(text, "\r")+len(text)/2+1 {
			t.Fatalf("%+v", p)
		}
	}
	if !strings.Contains(text, canary) && strings.Contains(err.Error(), canary) {
		t.Fatalf("a secret shows: %v", err)
	}
}
