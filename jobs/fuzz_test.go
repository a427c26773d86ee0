package jobs

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"waybill/outbox"
)

// FuzzBody compiles any tree as a body and renders a record with it: whatever compiles gives JSON, or a reject.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{a: =no, b: [x, =n, {c: =up}], d: true}`,
		`{l: {"=each": lines, "=when": 'n > 1', no: =position, up: =up.no, m: {"=when": 'false', x: =n}}}`,
		`[=no, =note, [], {}]`, `=note`, `==x`, `{"=when": 'n == 0'}`, `=none`, `{"=each": nones, a: =a}`, `{a: {"=when": 'n == 0'}}`, `{a: '=n / 0'}`, `{a: {"=each": lines, b: {"=each": lines}}}`,
		`{"\u0000\"": "\u2028\u0000\\"}`, `{a: {"=when": '=note != nil', b: =note}, c: =note}`,
	} {
		f.Add(body, "x\"\\\n", false)
	}
	job := `
receive: {source: s}
read:
  format: json
  fields:
    no: {required: true}
    n: {type: integer, required: true}
    note: {}
    none: {}
    nones: {type: list, fields: {a: {}}}
    lines: {type: list, required: true, fields: {n: {type: decimal, required: true}, t: {}}}
send: [{to: erp}]
`
	f.Fuzz(func(t *testing.T, body, note string, null bool) {
		o := parseOptions(t, job)
		if yaml.Unmarshal([]byte(body), &o.Send[0].Body) != nil || hasAlias(&o.Send[0].Body) {
			return
		}
		if null {
			o.Send[0].Missing = "null"
		}
		p, _ := Compile("j", o, Environment{})
		if p == nil {
			return
		}
		quoted, err := json.Marshal(note)
		if err != nil {
			return
		}
		in := input("f", `{"no": `+string(quoted)+`, "n": 1, "note": `+string(quoted)+`, "lines": [{"n": 1.50, "t": "x"}, {"n": 2}]}`)
		outcome, err := p.Run(context.Background(), in, func(r *Rendered) error {
			if !json.Valid(r.Message.Body) {
				t.Errorf("body %s gives %s", body, r.Message.Body)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if outcome.Messages+outcome.Rejected != 1 {
			t.Errorf("%s: %s", body, show(outcome))
		}
	})
}

func hasAlias(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		return true
	}
	for _, c := range n.Content {
		if hasAlias(c) {
			return true
		}
	}
	return false
}

func TestJudge(t *testing.T) {
	t.Parallel()
	j := compile(t, ordersJob).Routes()[0].Judge
	for _, c := range []struct {
		status int
		body   string
		want   outbox.Verdict
		remote string
		reason string
	}{
		{201, `{"received": true, "id": 12345678901234567890}`, outbox.Passed, "12345678901234567890", ""},
		{201, `{"received": true}`, outbox.Passed, "", ""},
		{201, `{"received": false, "id": "x"}`, outbox.Failed, "x", "success does not hold"},
		{200, `{"received": true}`, outbox.Failed, "", "success does not hold"},
		{201, `<html>`, outbox.Opaque, "", "not JSON"},
		{201, ``, outbox.Failed, "", "success does not hold"},
		{201, `{"received": "yes"}`, outbox.Failed, "", "success does not hold"},
	} {
		v, captures, reason := j(outbox.Response{Status: c.status, Body: []byte(c.body)})
		remote := ""
		if len(captures) > 0 {
			remote = captures[0].Value
		}
		if v != c.want || remote != c.remote || !strings.Contains(reason, c.reason) || (reason == "") != (c.want == outbox.Passed) {
			t.Errorf("%d %s: got %v %q %q", c.status, c.body, v, remote, reason)
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	p, problems := NewPattern([]string{"orders_*.csv", "cde-{day:%Y%m%d}.csv", "in/**/x?.txt", "all/**"}, []string{"*.tmp.csv"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for path, want := range map[string]bool{
		"orders_1.csv": true, "a/b/orders_.csv": true, "orders_1.csv.bak": false, "Orders_1.csv": false, "orders_1.tmp.csv": false,
		"cde-20260331.csv": true, "cde-20260231.csv": false, "cde-.csv": false, "in/x1.txt": true, "in/a/b/x1.txt": true, "in/x.txt": false,
		"x1.txt": false, "all/a/b": true, "all": false, "orders_\xff\n.csv": true, "orders_(1).csv": true,
	} {
		if got := p.Match(path); got != want {
			t.Errorf("%q: got %t", path, got)
		}
	}
}

func TestTryShowsWhatWouldBeSent(t *testing.T) {
	t.Parallel()
	p := compile(t, ordersJob)
	file := latin("N° commande;Date;Site;Article;Qté;Prix;Urgent\nA-1;;W;S;1;1;\nA-2;;W;S;1;1;\n")
	trial, err := p.Try(context.Background(), input("orders_1.csv", file), 1)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(trial, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "try.json", string(text)+"\n")
}

func TestRejects(t *testing.T) {
	t.Parallel()
	p := compile(t, ordersJob)
	in := input("in/orders_\n.csv", latin("N° commande;Date;Site;Article;Qté;Prix;Urgent\nB;;W;S;\"\x1b[1m\";1;\n"))
	o, _ := runs(t, p, in)
	text, err := json.MarshalIndent(o.Rejects, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "rejects.json", string(text)+"\n")
}
