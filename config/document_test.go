package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"waybill/config"
)

type document struct {
	Name string    `yaml:"name" required:"true"`
	List *[]int    `yaml:"list" one:"true"`
	Tree yaml.Node `yaml:"tree" as:"node"`
}

func readDocument(t *testing.T, text string) (document, *config.Document, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var v document
	d, err := config.ReadDocument(path, &v, config.System())
	return v, d, err
}

func TestADocumentsTextsAreWhatTheyAre(t *testing.T) {
	t.Parallel()
	v, d, err := readDocument(t, "# first\nname: ${env:HOME} =a\nlist: []\n# of the tree\ntree: {a: =b + 1, c: [\"${var:x}\"]}\n")
	if err != nil {
		t.Fatal(err)
	}
	if v.Name != "${env:HOME} =a" || v.List == nil || len(*v.List) != 0 || v.Tree.Content[1].Value != "=b + 1" || v.Tree.Content[3].Content[0].Value != "${var:x}" {
		t.Errorf("%+v", v)
	}
	if p := d.Locate("tree.d.e", "is missing: name one"); p.Text != `key "d.e" is missing: name one` {
		t.Errorf("what is missing is not named: %v", p)
	}
	if p := d.Locate("tree.c[0]", "is missing"); p.Text != "is missing" {
		t.Errorf("what is shown is named as well: %v", p)
	}
	if p := d.Locate("tree.c[0]", "bad"); p.Line != 5 || p.Column != 23 || p.Text != "bad" {
		t.Errorf("located at %+v", p)
	}
	if from, to := d.Span("list"); from != 3 || to != 5 {
		t.Errorf("list stands in lines %d to %d", from, to)
	}
	if from, to := d.Span("tree"); from != 5 || to != 7 {
		t.Errorf("tree stands in lines %d to %d", from, to)
	}
	if from, _ := d.Span("nothing"); from != 0 {
		t.Errorf("what is not there stands in line %d", from)
	}
}

func TestADocumentIsDecodedStrictly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"nam: a\n":                    `:1:1: unknown key "nam", did you mean "name"?`,
		"name: a\nname: b\n":          `:2:1: duplicate key "name"`,
		"name: &x a\n":                `:1:7: anchor "&x" is not allowed`,
		"name: a\nlist: x\n":          `:2:7: "x" is not an integer`,
		"- a\n":                       `:1:1: the file is a list, not a mapping`,
		"name: [a\n":                  "a [, opened in line 1, is not closed",
		"name: a\n---\nname: b\n":     "a second document begins here",
		"name: a\ntree: {a: 1, a: 2}": `:2:14: duplicate key "a"`,
	} {
		_, d, err := readDocument(t, text)
		var mistakes config.Problems
		if !errors.As(err, &mistakes) || d != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, not %s", text, err, want)
		}
	}
}
