package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// golden compares with a file of testdata/golden; UPDATE=1 writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata/golden", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestProblemsAreShownWithTheirLine(t *testing.T) {
	t.Parallel()
	_, _, err := load(corpusFile(t, "secrets.yaml")+`
sources:
  long: {folder: {path: /`+strings.Repeat("a", 300)+`, pth: x}}
  Поле: {folder: {path: "é", pth: "`+"\u202e"+`"}}   # right to left
  "tab	tab": {folder: {path: x}}
`, nil)
	golden(t, "problems.txt", []byte(err.Error()+"\n"))
	if strings.Contains(err.Error(), canary) {
		t.Error("a secret shows")
	}
}

func TestSecretsStayHiddenWhereTheFileDoesNotParse(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"same line":       "connections:\n  a: {url: " + canary + ", : : x\n",
		"quoted":          "connections:\n  a: {zone: x, \"url\": '" + canary + "', [ : }\n",
		"list":            "connections:\n  a: {url: [\"" + canary + "," + canary + "\", : : x\n",
		"block":           "connections:\n  a:\n    url: |\n      x\n\t" + canary + "\n",
		"block continued": "connections:\n  a:\n    url: >-\n      x\n      " + canary + "\n     \t: [" + canary + "\n",
		"userinfo":        "data: https://u:" + canary + "@host: x\n",
		"reference":       "data: ${credential:key}: x\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems, err := load(text, nil)
			if len(problems) == 0 || strings.Contains(err.Error(), canary) {
				t.Errorf("problems:\n%v", err)
			}
		})
	}
}

const shown = `
include: more.yaml   # ` + canary + `
zone: Europe/Paris
vars: {gateway: https://gateway.example}
connections:
  plain: {url: ` + canary + `}
  mixed: {url: "amqp://u:${credential:key}@` + canary + `"}
  reference: {url: "${credential:key}"}
sources:
  a: {folder: {path: 0010}}
  no: {folder: {path: "1.10"}}
destinations:
  x:
    http:
      url: https://waybill:` + canary + `@api.example
      auth: {basic: {user: u, password: ` + canary + `}}
      headers: {A: "true", B: true, C: "https://u:${credential:key}@host", D: '=x + 1', E: "null", F: "~", G: "a: b #c"}
jobs:
  derived: {use: base, read: {format: json}}
  base:
    receive: {source: a, files: "*.json"}
    send:
      - to: x
        body:
          =when: 'a > 1'
          text: |
            two
            lines
          Имя: "yes"
`

func TestPrintShowsTheEffectiveConfigurationWithoutSecrets(t *testing.T) {
	t.Parallel()
	more := map[string]string{"/conf/more.yaml": "jobs:\n  included: {send: []}\n"}
	c := mustLoad(t, shown, more)
	text, err := c.Print()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "print.yaml", text)
	if bytes.Contains(text, []byte(canary)) {
		t.Error("a secret shows")
	}
	again := mustLoad(t, string(text), nil)
	for i, job := range c.Jobs {
		if again.Jobs[i].Name != job.Name || again.Jobs[i].Digest != job.Digest {
			t.Errorf("job %s: printed and loaded again it is another", job.Name)
		}
	}
	twice, err := again.Print()
	if err != nil || string(twice) != string(text) {
		t.Errorf("print of what was printed: %v\n%s", err, cmp.Diff(string(text), string(twice)))
	}
}

func TestDigestsTellMeaningNotForm(t *testing.T) {
	t.Parallel()
	of := func(job string) string { return mustLoad(t, "jobs:\n  a: "+job+"\n", nil).Jobs[0].Digest }
	same := of(`{send: [], read: {format: csv, delimiter: ";"}}`)
	for _, job := range []string{`{"send": [], 'read': {format: "csv", delimiter: ';'}}  # comment`, "\n    send: []\n    read:\n      format: csv\n      delimiter: ';'", `{send: [], read: {format: csv, delimiter: ";"}, drain: true}`} {
		if of(job) != same {
			t.Errorf("%s has another digest", job)
		}
	}
	for _, job := range []string{`{send: [], read: {format: csv, delimiter: ","}}`, `{read: {format: csv, delimiter: ";"}, send: []}`, `{send: [], read: {format: csv}}`} {
		if of(job) == same {
			t.Errorf("%s has the same digest", job)
		}
	}
}

func TestDiffTellsWhatChanged(t *testing.T) {
	t.Parallel()
	old := mustLoad(t, shown, map[string]string{"/conf/more.yaml": "jobs:\n  gone: {send: []}\n"})
	changed := strings.NewReplacer(
		"Europe/Paris", "UTC", "password: "+canary, "password: other-"+canary, "derived:", "renamed: {use: base, formerly: derived, read: {format: csv}}\n  fresh:",
		"gateway.example", "gate.example", "no:", "yes:", "=when: 'a > 1'\n          text:", "text:",
	).Replace(shown)
	new := mustLoad(t, "log: {level: warn}\n"+changed, map[string]string{"/conf/more.yaml": "vars: {more: x}\n"})
	var b strings.Builder
	for _, c := range Diff(old, new) {
		fmt.Fprintf(&b, "%s %s %s %s\n", c.Section, c.Name, c.What, c.From)
		for _, e := range c.Edits {
			fmt.Fprintf(&b, "  %s: %s -> %s\n", e.Path, e.Old, e.New)
		}
	}
	golden(t, "diff.txt", []byte(b.String()))
	if strings.Contains(b.String(), canary) {
		t.Error("a secret shows")
	}
	if changes := Diff(old, old); len(changes) != 0 {
		t.Errorf("no difference: %v", changes)
	}
}

func TestLocateFindsThePlaceOfAPath(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, corpusFile(t, "valid.yaml"), nil)
	for path, want := range map[string]string{
		"jobs.orders.send[0].body.total":          "47:18",
		"jobs.orders.send[0].body.lines.=each":    "45:26",
		"jobs.orders.send[0].key[0]":              "39:14",
		"jobs.orders.send[0].missing.deeper":      "37:9",
		"jobs.orders.send[9]":                     "36:5",
		"jobs.orders.read.fields.no.from":         "31:20",
		`jobs.orders.read.fields["no"].from`:      "31:20",
		"destinations.shop.http.headers.X-Host":   "14:120",
		"destinations.shop":                       "13:3",
		"nowhere":                                 "2:1",
		"":                                        "2:1",
		"jobs.orders.send[0].headers.X-Plain.x[0": "41:53",
	} {
		p := c.Locate(path, "text")
		if got := fmt.Sprintf("%d:%d", p.Line, p.Column); got != want || p.Excerpt == "" || p.File != mainFile {
			t.Errorf("%s: %s, want %s\n%s", path, got, want, p.Excerpt)
		}
	}
}

func TestLocateAtCountsCharactersOfTheText(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
sources: {a: {folder: {path: /a}}}
destinations: {x: {file: {folder: /x}}}
jobs:
  a:
    send:
      - to: x
        when: '=Поле == b'
        path: "/\u00e9/{hole}"
        body:
          plain: =a.b
          block: |
            =one +
              two
`, nil)
	for _, test := range []struct {
		path   string
		offset int
		want   string
	}{
		{"jobs.a.send[0].when", len("=Поле "), "8:22"},
		{"jobs.a.send[0].path", 3, "9:15"}, // escapes: where the text begins
		{"jobs.a.send[0].body.plain", 3, "11:21"},
		{"jobs.a.send[0].body.block", len("=one +\n  t"), "14:16"},
		{"jobs.a.send[0].body.block", 1000, "12:18"},
	} {
		p := c.LocateAt(test.path, test.offset, "text")
		if got := fmt.Sprintf("%d:%d", p.Line, p.Column); got != test.want {
			t.Errorf("%s at %d: %s, want %s\n%s", test.path, test.offset, got, test.want, p.Excerpt)
		}
	}
}

func TestSecretsStayOutOfLocatedProblems(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, corpusFile(t, "valid.yaml"), nil)
	if p := c.Locate("destinations.shop", `parse "https://u:x@h" and `+canary); strings.Contains(p.Error(), canary) || strings.Contains(p.Error(), "u:x") {
		t.Error(p)
	}
}

func TestSchemaIsTheSameEveryTime(t *testing.T) {
	t.Parallel()
	first := Schema(language())
	golden(t, "schema.json", first)
	for range 5 {
		if !bytes.Equal(first, Schema(language())) {
			t.Fatal("another schema")
		}
	}
}

// What Load takes the schema must take, and it should see what an editor can see.
func TestSchemaAgreesWithLoad(t *testing.T) {
	t.Parallel()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema(language())))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("waybill.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("waybill.json")
	if err != nil {
		t.Fatal(err)
	}
	valid := map[string]string{"valid.yaml": corpusFile(t, "valid.yaml"), "shown": shown, "empty": "jobs: {}\n"}
	for name, text := range valid {
		if err := schema.Validate(generic(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"keys.yaml", "shapes.yaml", "units.yaml", "true-keys.yaml"} {
		if schema.Validate(generic(t, corpusFile(t, name))) == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
	}
	for _, text := range []string{
		"sources: {a: {folder: {path: x}, amqp: {connection: c, queue: q}}}", "sources: {a: {}}", "sources: {a.b: {folder: {path: x}}}",
		"jobs: {a: {}}", "jobs: {a: {send: [{to: x, key: order_no}]}}", "log: {level: loud}", "retain: {files: 5}",
	} {
		if schema.Validate(generic(t, text)) == nil {
			t.Errorf("%s: nothing is wrong", text)
		}
	}
}

// generic reads YAML as an editor would, into JSON's types.
func generic(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(textKeys(v))
	if err != nil {
		t.Fatal(err)
	}
	v, err = jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func textKeys(v any) any {
	switch v := v.(type) {
	case map[any]any:
		m := map[string]any{}
		for k, e := range v {
			m[fmt.Sprint(k)] = textKeys(e)
		}
		return m
	case map[string]any:
		for k, e := range v {
			v[k] = textKeys(e)
		}
	case []any:
		for i, e := range v {
			v[i] = textKeys(e)
		}
	}
	return v
}
