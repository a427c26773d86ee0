package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

func corpusFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/load", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestValuesArriveAsWritten(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, corpusFile(t, "valid.yaml"), nil)

	if c.Data != "/var/lib/waybill" || c.Zone != "Europe/Paris" || c.Log != (Log{"debug", "json"}) {
		t.Errorf("data %q, zone %q, log %v", c.Data, c.Zone, c.Log)
	}
	day := 24 * time.Hour
	if want := (Retain{30 * day, 14 * day, 400 * day, Span{Duration: 14 * day}}); c.Retain != want {
		t.Errorf("retain %v, want %v", c.Retain, want)
	}
	if diff := cmp.Diff(map[string]string{"gateway": "https://gateway.example", "host": "shop.example"}, c.Vars); diff != "" {
		t.Error(diff)
	}

	drop := Find(c.Sources, "drop")
	if diff := cmp.Diff(&folderOptions{Path: "/srv/drop", Smallest: 1024}, drop.Options, cmp.AllowUnexported(folderOptions{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&sourceCommon{Done: "delete", Poll: 30 * time.Second}, drop.Common); diff != "" {
		t.Error(diff)
	}
	if q := Find(c.Sources, "requests"); q.Kind != "amqp" || q.Common.(*sourceCommon).Poll != 90*time.Minute {
		t.Errorf("requests: %+v", q)
	}

	shop := Find(c.Destinations, "shop")
	common := shop.Common.(*destinationCommon)
	if common.Timeout != 5*time.Second || common.Rate != 50 || common.Open != 0.5 || common.Factor != 1.5 || common.Concurrency != 8 || common.Unknown.Ask.Get != "/orders/{key}" {
		t.Errorf("shop: %+v", common)
	}
	rest := shop.Options.(*restOptions)
	if rest.URL != "https://gateway.example/shop" || rest.Auth.APIKey.Value != canary || rest.Headers["X-Host"] != "shop.example" {
		t.Errorf("shop: %+v", rest)
	}
	if mode := Find(c.Destinations, "copies").Common.(*destinationCommon).Unknown.Mode; mode != "hold" {
		t.Errorf("unknown: %q", mode)
	}
}

func TestJobsArriveAsWritten(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, corpusFile(t, "valid.yaml"), nil)
	orders := Find(c.Jobs, "orders").Options.(*jobOptions)
	var fields []string
	for _, f := range orders.Read.Fields {
		fields = append(fields, f.Name+"<"+strings.Join(f.From, "|")+":"+f.Type)
	}
	want := []string{"order_no<N° commande:string", "sku<Article|SKU:string", "note<:string", "no<0010:string", "lines<:list"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
	if missing := orders.Read.Fields[2].Missing; missing != "null" {
		t.Errorf("missing %q: the word null is text", missing)
	}
	s := orders.Send[0]
	if diff := cmp.Diff([]header{{"X-Site", "=site"}, {"X-Version", "1.10"}, {"X-Plain", "yes"}}, s.Headers); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"=order_no"}, s.Key); diff != "" {
		t.Error(diff)
	}
	body := outline(&s.Body)
	wantBody := `{orderId:=order_no site:shop.example lines:{=each:lines no:=position quantity:=quantity} empty:null total:=sum(lines, .quantity * .unit_price)}`
	if body != wantBody {
		t.Errorf("body\n got %s\nwant %s", body, wantBody)
	}
	if none := Find(c.Jobs, "scans").Options.(*jobOptions).Read.None; none != "none" {
		t.Errorf("read: %q", none)
	}
	if orders.Check.AllowRejects.text != "1%" || Find(c.Jobs, "scans").Options.(*jobOptions).Check.AllowRejects.text != "0" {
		t.Error("allow_rejects")
	}
}

// outline writes a tree in one line.
func outline(n *yaml.Node) string {
	var parts []string
	switch n.Kind {
	case yaml.MappingNode:
		for k, v := range pairs(n) {
			parts = append(parts, k.Value+":"+outline(v))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case yaml.SequenceNode:
		for _, e := range n.Content {
			parts = append(parts, outline(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return n.Value
}

func TestWhatIsLeftOutHasItsDefault(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "jobs: {}\n", nil)
	day := 24 * time.Hour
	if want := (Retain{90 * day, 14 * day, 400 * day, Span{Forever: true}}); c.Retain != want || c.Log.Level != "info" || c.Zone != "UTC" || c.Data != "./waybill-data" {
		t.Errorf("%+v", c)
	}
}

func TestDataFolderComesFromSystemd(t *testing.T) {
	t.Parallel()
	env := world(map[string]string{mainFile: "jobs: {}\n"})
	env.LookupEnv = func(name string) (string, bool) { return "/var/lib/waybill:/var/lib/other", name == "STATE_DIRECTORY" }
	c, err := Load(context.Background(), mainFile, language(), env)
	if err != nil || c.Data != "/var/lib/waybill" {
		t.Errorf("data %v, %v", c, err)
	}
}

func TestReferencesYieldTextNeverExpressionsOrHoles(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
vars: {brace: "${env:BRACE}", equals: "${env:EQUALS}"}
destinations:
  api: {http: {url: "https://x.example/${env:BRACE}/{hole}", headers: {A: "${env:EQUALS}", B: "${credential:equals}", C: "==${env:HOST}", D: "$${env:HOST}", E: "$$${env:HOST}"}}}
  out: {file: {folder: "${env:BRACE}${env:EQUALS}${env:EMPTY}"}}
jobs:
  a: {send: [{to: api, body: {a: "${var:equals}", b: '=a + "${env:HOST}"', "${env:HOST}": x}}]}
`, nil)
	api := Find(c.Destinations, "api").Options.(*restOptions)
	if api.URL != "https://x.example/{{x}}/{hole}" {
		t.Errorf("url %q", api.URL)
	}
	want := map[string]string{"A": "==a", "B": "==" + canary, "C": "==shop.example", "D": "${env:HOST}", "E": "$${env:HOST}"}
	if diff := cmp.Diff(want, api.Headers); diff != "" {
		t.Error(diff)
	}
	if folder := Find(c.Destinations, "out").Options.(*fileOptions).Folder; folder != "{x}=a" {
		t.Errorf("folder %q: a literal is taken as it is", folder)
	}
	body := Find(c.Jobs, "a").Options.(*jobOptions).Send[0].Body
	if got := outline(&body); got != `{a:==a b:=a + "shop.example" ${env:HOST}:x}` {
		t.Errorf("body %s", got)
	}
}

func TestIncludedFilesMergeBySection(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "include: [jobs.d/*.yaml, extra.yaml]\nsources:\n  a: {folder: {path: /a}}\n", map[string]string{
		"/conf/jobs.d/20.yaml": "jobs:\n  two: {send: [{to: out}], receive: {source: a}}\n",
		"/conf/jobs.d/10.yaml": "jobs:\n  one: {use: two}\nvars: {x: y}\n",
		"/conf/extra.yaml":     "destinations:\n  out: {file: {folder: '${var:x}'}}\nsources:\n  b: {folder: {path: '${file:beside}'}}\n",
	})
	var got []string
	for _, items := range [][]Item{c.Sources, c.Destinations, c.Jobs} {
		for _, it := range items {
			got = append(got, it.Name)
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "out", "one", "two"}, got); diff != "" {
		t.Error(diff)
	}
	if folder := Find(c.Destinations, "out").Options.(*fileOptions).Folder; folder != "y" {
		t.Errorf("folder %q", folder)
	}
}

func TestMistakesOfIncludedFilesNameTheirFile(t *testing.T) {
	t.Parallel()
	_, problems, _ := load("include: '*.d/*'\nsources:\n  a: {folder: {path: /a}}\n", map[string]string{
		"/conf/jobs.d/1.yaml": "sources:\n  a: {folder: {path: /b}}\n  b: {folder: {pth: /b}}\n",
		"/conf/jobs.d/2.yaml": "zone: UTC\ninclude: x\nsorces: {}\njobs: []\ncalendars: {}\n",
		"/conf/jobs.d/3.yaml": "jobs: [",
		"/conf/jobs.d/4.yaml": "",
	})
	var got []string
	for _, p := range problems {
		got = append(got, p.Error())
	}
	want := []string{
		`/conf/jobs.d/1.yaml:2:3: duplicate name "a" in sources, the first stands at /conf/waybill.yaml:3:3`,
		`/conf/jobs.d/1.yaml:3:16: unknown key "pth", did you mean "path"?`,
		`/conf/jobs.d/2.yaml:1:1: key "zone" in an included file, it may stand in the main file only`,
		`/conf/jobs.d/2.yaml:2:1: an included file cannot include others, name them in the main file`,
		`/conf/jobs.d/2.yaml:3:1: unknown key "sorces", did you mean "sources"?`,
		`/conf/jobs.d/2.yaml:4:7: jobs is a list, not a mapping, write one key per item`,
		`/conf/jobs.d/2.yaml:5:1: calendars: not yet in this version`,
		`/conf/jobs.d/3.yaml:1:8: the file ends inside a [ or {`,
		`/conf/jobs.d/4.yaml:1:1: the file is empty`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUseCopiesAndMerges(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
sources: {a: {folder: {path: /a}}, b: {folder: {path: /b}}}
destinations: {x: {file: {folder: /x}}, y: {file: {folder: /y}}}
jobs:
  derived: {use: middle, read: {titles: 3}, send: [{to: y}]}
  middle: {use: base, receive: {source: b}, drain: true, formerly: old}
  base:
    receive: {source: a, files: "*.csv"}
    read: {format: csv, delimiter: ";", fields: {no: {from: No}}}
    send: [{to: x}, {to: y}]
  other: {use: base, read: none}
`, nil)
	derived := Find(c.Jobs, "derived").Options.(*jobOptions)
	if derived.Receive.Source != "b" || derived.Receive.Files[0] != "*.csv" || derived.Read.Delimiter != ";" || derived.Read.Titles != 3 || len(derived.Read.Fields) != 1 {
		t.Errorf("mappings merge: %+v %+v", derived.Receive, derived.Read)
	}
	if len(derived.Send) != 1 || derived.Send[0].To != "y" {
		t.Errorf("lists replace: %+v", derived.Send)
	}
	if derived.Drain || derived.Formerly != "" || !Find(c.Jobs, "middle").Options.(*jobOptions).Drain {
		t.Error("drain and formerly are a job's own")
	}
	if other := Find(c.Jobs, "other").Options.(*jobOptions); other.Read.None != "none" || len(other.Read.Fields) != 0 {
		t.Errorf("a text replaces a mapping: %+v", other.Read)
	}
	if p := c.Locate("jobs.derived.receive.files", "x"); p.Line != 8 {
		t.Errorf("what is taken over keeps its place: %v", p)
	}
	if p := c.Locate("jobs.derived.receive.source", "x"); p.Line != 6 {
		t.Errorf("what is replaced has the new place: %v", p)
	}
}

func TestFilesThatAreNoText(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"utf-8":   {"zone: UTC\nlog: {level: \xff}\n", `2:14: byte 0xFF is not UTF-8, save the file as UTF-8 text`},
		"utf-16":  {"\xff\xfez\x00", `1:1: byte 0xFF is not UTF-8, save the file as UTF-8 text`},
		"control": {"zone: \"é\x01\"\n", `1:9: character U+0001 is not allowed, save the file as UTF-8 text`},
		"empty":   {"", `1:1: the file is empty`},
		"large":   {strings.Repeat("# x\n", 1<<18) + "#", `1:1: the file has more than 1 MiB, split it with include`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems, _ := load(test.text, nil)
			if len(problems) != 1 || strings.TrimPrefix(problems[0].Error(), mainFile+":") != test.want {
				t.Errorf("got %v", problems)
			}
		})
	}
	if c := mustLoad(t, "\ufeffzone: Europe/Paris\r\njobs: {}\r\n", nil); c.Zone != "Europe/Paris" {
		t.Error("a byte order mark and CRLF are taken")
	}
}

func TestLoadReadsRealFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, text := range map[string]string{"waybill.yaml": "include: '*.inc'\n", "b.inc": "sources:\n  a: {folder: {path: '${file:secret}'}}\n", "secret": canary + "\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(context.Background(), filepath.Join(folder, "waybill.yaml"), language(), System())
	if err != nil {
		t.Fatal(err)
	}
	if path := c.Sources[0].Options.(*folderOptions).Path; path != canary {
		t.Errorf("path %q", path)
	}
	if _, err := Load(context.Background(), filepath.Join(folder, "none.yaml"), language(), System()); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Load(ctx, filepath.Join(folder, "waybill.yaml"), language(), System()); err == nil {
		t.Error("a cancelled load yields nothing")
	}
}
