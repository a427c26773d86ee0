package cases_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"waybill/config"
	"waybill/jobs"
	"waybill/jobs/cases"
	"waybill/ledger"
)

// decode reads a case as the program does.
func decode(t interface{ Fatal(...any) }, folder, text string) (*cases.Case, *config.Document) {
	path := filepath.Join(folder, "case.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := new(cases.Case)
	d, err := config.ReadDocument(path, c, config.System())
	if err != nil {
		t.Fatal(err, "\n"+text)
	}
	return c, d
}

// Whatever comes out: what is written down of it is decoded again, and then all is as expected.
func TestAnExpectationThatIsWrittenHolds(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		trial := trials().Draw(rt, "trial")
		text := "input: {text: x}\n" + string(cases.Expectation(&trial))
		c, _ := decode(rt, folder, text)
		if ds := c.Expect.Check(&trial); len(ds) > 0 {
			rt.Fatalf("%s\ndiffers: %s", text, shown(ds))
		}
	})
}

// And anything else that comes out is found.
func TestWhatDiffersIsFound(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		trial := trials().Draw(rt, "trial")
		if len(trial.Shown) == 0 {
			return
		}
		c, _ := decode(rt, folder, "input: {text: x}\n"+string(cases.Expectation(&trial)))
		i := rapid.IntRange(0, len(trial.Shown)-1).Draw(rt, "which")
		m := &trial.Shown[i]
		switch rapid.IntRange(0, 2).Draw(rt, "how") {
		case 0:
			m.Destination += "x"
		case 1:
			m.Body, m.Text, m.Original = json.RawMessage(`{"quite": "other"}`), "", false
		default:
			trial.Shown = append(trial.Shown[:i], trial.Shown[i+1:]...)
		}
		if ds := c.Expect.Check(&trial); len(ds) == 0 {
			rt.Fatal("nothing was found")
		}
	})
}

func trials() *rapid.Generator[jobs.Trial] {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "null", "true", "0010", "1e5", "=x", "${env:A}", " a", "a: b", "a\nb", "a\nb\n", "\na\n", "a\r\nb\r\n", "- a", "~", "|", "é #1", "yes", "<<", "x\n\n"})).
		Filter(func(s string) bool { return strings.ToValidUTF8(s, "") == s })
	word := rapid.StringMatching(`[a-z]{1,8}`)
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		return rapid.Custom(func(t *rapid.T) any {
			switch n := rapid.IntRange(0, 6).Draw(t, "kind"); {
			case n == 0 && depth > 0:
				return rapid.MapOfN(text, value(depth-1), 0, 3).Draw(t, "object")
			case n == 1 && depth > 0:
				return rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "list")
			case n == 2:
				return json.RawMessage(rapid.SampledFrom([]string{"1", "24.910", "-0", "1e3", "0", "true", "false", "null"}).Draw(t, "number"))
			}
			return text.Draw(t, "text")
		})
	}
	message := rapid.Custom(func(t *rapid.T) jobs.TrialMessage {
		m := jobs.TrialMessage{Destination: word.Draw(t, "to"), Ref: word.Draw(t, "key"), Headers: map[string]string{}}
		for _, name := range []string{":path", ":name", ":content-type", "x-one", "X two"} {
			if rapid.Bool().Draw(t, "has") {
				m.Headers[name] = text.Filter(func(s string) bool { return s != "" }).Draw(t, "header")
			}
		}
		switch rapid.IntRange(0, 4).Draw(t, "body") {
		case 0:
			m.Text = text.Draw(t, "text")
		case 1:
			m.Original, m.Text = true, "(the file's own bytes)"
		default:
			body, err := json.Marshal(rapid.MapOfN(text, value(2), 0, 4).Draw(t, "json"))
			if err != nil {
				t.Fatal(err)
			}
			m.Body = body
		}
		return m
	})
	return rapid.Custom(func(t *rapid.T) jobs.Trial {
		trial := jobs.Trial{State: ledger.Accepted, Reason: text.Draw(t, "reason"), Records: rapid.Int64Range(0, 5).Draw(t, "records")}
		trial.Shown = rapid.SliceOfN(message, 0, 4).Draw(t, "messages")
		for range rapid.IntRange(0, 2).Draw(t, "rejects") {
			trial.Rejects = append(trial.Rejects, ledger.Reject{Record: rapid.Int64Range(0, 3).Draw(t, "record"), Field: text.Draw(t, "field"), Value: text.Draw(t, "value"), Reason: word.Draw(t, "why")})
		}
		if rapid.Bool().Draw(t, "told") {
			trial.Told = []jobs.TrialNotice{{Name: "out/" + word.Draw(t, "name"), Body: json.RawMessage(`{"acknowledgement": 1, "state": "accepted", "time": "now", "counts": {"records": 2}}`)}}
			if rapid.Bool().Draw(t, "told in text") {
				trial.Told[0].Body, trial.Told[0].Text = nil, text.Draw(t, "told text")
			}
		}
		return trial
	})
}

func shown(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestDifferencesAreToldByPath(t *testing.T) {
	t.Parallel()
	c, d := decode(t, t.TempDir(), `input: {text: x}
expect:
  state: accepted
  messages:
    - to: shop
      key: A-1
      path: /orders
      headers: {x-site: W1}
      body:
        id: A-1
        lines:
          - {sku: "0010", quantity: 3}
          - {sku: B, quantity: 24.910}
        gone: true
    - {to: shop, key: A-2, body: {id: A-2}}
    - {to: archive, body: "a;b\n1;2\n3;4\n"}
  acknowledgement: {name: out/x.json, body: {counts: {records: 2}}}
`)
	trial := jobs.Trial{State: ledger.Rejected, Reason: "too bad",
		Rejects: []ledger.Reject{{Record: 2, Line: 3, Field: "qty", Value: "1O", Reason: "is not an integer"}},
		Shown: []jobs.TrialMessage{
			{Destination: "shop", Ref: "A-0", Body: json.RawMessage(`{"id":"A-0"}`)},
			{Destination: "shop", Ref: "A-1", Headers: map[string]string{":path": "/order", "other": "x"}, Body: json.RawMessage(`{"id":"A-1","lines":[{"sku":"0010","quantity":2},{"sku":"B","quantity":24.91}],"more":null}`)},
			{Destination: "shop", Ref: "A-2", Body: json.RawMessage(`{"id":"A-2"}`)},
			{Destination: "archive", Text: "a;b\r\n1;2\r\n3;5\r\n"},
		},
		Told: []jobs.TrialNotice{{Name: "out/x.json", Body: json.RawMessage(`{"counts":{"records":3,"rejects":0},"other":1}`)}},
	}
	var got []string
	for _, x := range c.Expect.Check(&trial) {
		at := d.Locate("expect."+x.Place(), "")
		got = append(got, strings.Join([]string{shown([]int{at.Line, at.Column}), x.Path, shown(x.Want), shown(x.Got), x.Note}, " "))
	}
	want := []string{
		`[3,10] state "accepted" "rejected" too bad`,
		`[2,1] rejects[0] null "line 3: qty: 1O is not an integer" `,
		`[7,13] messages[0].path "/orders" "/order" `,
		`[8,25] messages[0].headers.x-site "W1" null `,
		`[12,37] messages[0].body.lines[0].quantity "3" "2" `,
		`[13,32] messages[0].body.lines[1].quantity "24.910" "24.91" `,
		`[14,15] messages[0].body.gone "true" null `,
		`[9,7] messages[0].body.more null "null" `,
		`[16,27] messages[2].body, line 3 "3;4\n" "3;5\n" `,
		`[4,3] message 1 null "to shop, key A-0: {\"id\": \"A-0\"}" `,
		`[17,64] acknowledgement[0].body.counts.records "2" "3" `,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOrderCounts(t *testing.T) {
	t.Parallel()
	c, _ := decode(t, t.TempDir(), "input: {text: x}\nexpect: {messages: [{to: shop, key: A}, {to: shop, key: B}]}\n")
	ds := c.Expect.Check(&jobs.Trial{Shown: []jobs.TrialMessage{{Destination: "shop", Ref: "B"}, {Destination: "shop", Ref: "A"}}})
	if len(ds) != 1 || ds[0].Note == "" {
		t.Errorf("%+v", ds)
	}
}

func TestTrialsAreComparedMessageByMessage(t *testing.T) {
	t.Parallel()
	message := func(key, body string) jobs.TrialMessage {
		return jobs.TrialMessage{Destination: "shop", Ref: key, Key: "k-" + key, Body: json.RawMessage(body)}
	}
	before := jobs.Trial{State: ledger.Accepted, Messages: 2, Shown: []jobs.TrialMessage{message("A", `{"n":1,"m":{"x":[1,2]}}`), message("B", `{"n":1}`)}}
	now := jobs.Trial{State: ledger.Accepted, Messages: 2, Shown: []jobs.TrialMessage{message("C", `{"n":9}`), message("A", `{"n":1,"m":{"x":[1,3]}}`)}}
	text := func(s string) *string { return &s }
	want := []cases.Change{
		{Subject: "message to shop, key C", New: true, Differences: []cases.Difference{{Path: "body", Got: text(`{"n": 9}`)}}},
		{Subject: "message to shop, key A", Differences: []cases.Difference{{Path: "body.m.x[1]", Want: text("2"), Got: text("3")}}},
		{Subject: "message to shop, key B", Gone: true, Differences: []cases.Difference{{Path: "body", Want: text(`{"n": 1}`)}}},
	}
	if diff := cmp.Diff(want, cases.Compare(&before, &now), cmpopts.IgnoreUnexported(cases.Difference{})); diff != "" {
		t.Error(diff)
	}
	if same := cases.Compare(&before, &before); len(same) > 0 {
		t.Errorf("the same trial differs from itself: %+v", same)
	}
}

func TestAnExpectationIsReplacedAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"at the end", "# why\ninput: a.csv # here\nexpect:\n  state: held\n", "# why\ninput: a.csv # here\nNEW\n"},
		{"in the middle", "expect:\n  state: held\n  # of it\n\n# of the input\ninput: a.csv", "NEW\n\n# of the input\ninput: a.csv\n"},
		{"none yet", "input: a.csv", "input: a.csv\nNEW\n"},
		{"in one line", "input: a.csv\nexpect: {state: held}\nsay: x\n", "input: a.csv\nNEW\nsay: x\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, d := decode(t, t.TempDir(), test.text)
			from, to := d.Span("expect")
			if diff := cmp.Diff(test.want, string(cases.Replace([]byte(test.text), []byte("NEW\n"), from, to))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
