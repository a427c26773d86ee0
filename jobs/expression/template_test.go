package expression

import (
	"strings"
	"testing"
	"time"
)

func templateScope() *Scope {
	return NewScope([]Field{
		{"order_no", Of(KindString)}, {"price", Of(KindDecimal)}, {"n", Of(KindInteger)}, {"day", Of(KindDate)},
		{"uuid", opt(Of(KindString))}, {"lines", listOf(Field{"sku", Of(KindString)})}, {"Номер", Of(KindString)},
	},
		Field{"file", obj(Field{"name", Of(KindString)}, Field{"folder", Of(KindString)}, Field{"received", Of(KindDateTime)}, Field{"part", Of(KindObject)})},
		Field{"name", Of(KindString)})
}

func TestTemplatesGiveTheirText(t *testing.T) {
	t.Parallel()
	env := func(change ...string) map[string]any {
		env := map[string]any{
			"order_no": "A/1 ü?", "price": dec(t, "24.910"), "n": int64(7), "day": Date{2024, time.February, 29}, "Номер": "№1",
			"lines": []any{map[string]any{"sku": "s1"}}, "name": "x.csv",
			"file": map[string]any{"name": "a b.csv", "folder": "in/x", "received": time.Date(2024, 7, 1, 8, 5, 0, 0, time.UTC), "part": map[string]any{"day": "07"}},
		}
		for i := 0; i+1 < len(change); i += 2 {
			env[change[i]] = change[i+1]
		}
		return env
	}
	folder := func(name string) map[string]any {
		e := env()
		e["file"] = map[string]any{"name": "f", "folder": name}
		return e
	}
	for _, c := range []struct {
		mode Mode
		src  string
		env  map[string]any
		want string
	}{
		{ModeText, "", env(), ""},
		{ModeText, "plain = text", env(), "plain = text"},
		{ModeText, "{{{n}}} }}", env(), "{7} }"},
		{ModeText, "{order_no}|{price}|{n:06}|{day}|{day:%d.%m.%Y}|{lines[0].sku}|{Номер}", env(), "A/1 ü?|24.910|000007|2024-02-29|29.02.2024|s1|№1"},
		{ModeText, "{file.received:%Y-%m-%dT%H%z}", env(), "2024-07-01T08+0000"},
		{ModeURLPath, "/orders/{order_no}/x", env(), "/orders/A%2F1%20%C3%BC%3F/x"},
		{ModeURLPath, "https://h.example/a/{order_no}?q={order_no}&n={n}", env(), "https://h.example/a/A%2F1%20%C3%BC%3F?q=A%2F1%20%C3%BC%3F&n=7"},
		{ModeURLPath, "{n}/x", env(), "7/x"},
		{ModeURLPath, "/x/v{n}.{n}", env(), "/x/v7.7"},
		{ModeURLQuery, "{order_no}&", env(), "A%2F1%20%C3%BC%3F&"},
		{ModeFileName, "{file.folder}/{file.name}", env(), "in/x/a b.csv"},
		{ModeFileName, "{file.folder}/{file.name}", folder(""), "f"},
		{ModeFileName, "out/{file.folder}/{file.name}", folder(""), "out/f"},
		{ModeFileName, "{file.received:%Y/%m/%d}/{name}.ok", env(), "2024/07/01/x.csv.ok"},
		{ModeFileName, ".hidden-{n}", env(), ".hidden-7"},
		{ModeFileName, "v{name}", env("name", ".x"), "v.x"},
		{ModeFileName, "{file.part.day}", env(), "07"},
		// what must not be
		{ModeFileName, "{order_no}.json", env(), `ERROR 1:2: order_no: "A/1 ü?" has a /, which a file name cannot`},
		{ModeFileName, "{name}", env("name", ".ssh"), `ERROR 1:2: name: ".ssh" begins with a dot: the file would be hidden, or lie elsewhere`},
		{ModeFileName, "a/{name}", env("name", ".."), `ERROR 1:4: name: ".." begins with a dot: the file would be hidden, or lie elsewhere`},
		{ModeFileName, "{name}", env("name", ""), "ERROR 1:2: name: is empty, and a part of the name would be missing"},
		{ModeFileName, "{name}", env("name", "a\x00b"), `ERROR 1:2: name: "a\x00b" has a control character, which a file name should not`},
		{ModeFileName, "{file.folder}/x", folder("a/../b"), `ERROR 1:2: file.folder: "a/../b" begins with a dot: the file would be hidden, or lie elsewhere`},
		{ModeFileName, ".{name}", env("name", "."), `ERROR 1:1: the result ".." has a part "..", which leads elsewhere`},
		{ModeURLPath, "/orders/{name}", env("name", ".."), `ERROR 1:1: the result "/orders/.." has a part "..", which leads elsewhere`},
		{ModeURLPath, "/orders/{name}", env("name", ""), "ERROR 1:10: name: is empty, and a part of the name would be missing"},
		{ModeURLPath, "/orders/{name}?x=1", env("name", ""), "ERROR 1:10: name: is empty, and a part of the name would be missing"},
		{ModeText, "{file.part.hour}", env(), "ERROR 1:2: file.part.hour: is absent"},
		{ModeText, "{file.part.day:03}", env(), "ERROR 1:2: file.part.day: an integer is needed for the format, not text"},
	} {
		tmpl, err := templateScope().Template(c.src, c.mode)
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		got := ""
		if b, err := tmpl.Append([]byte("kept"), c.env); err != nil {
			got = "ERROR " + said(t, err)
			if string(b) != "kept" {
				t.Errorf("%s: an error left %q", c.src, b)
			}
		} else {
			got = strings.TrimPrefix(string(b), "kept")
		}
		if got != c.want {
			t.Errorf("%s:\n got  %s\n want %s", c.src, got, c.want)
		}
	}
}

func TestWrongTemplatesSayWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode      Mode
		src, want string
	}{
		{ModeText, "a{", "1:2: the } that closes this is missing: write {{ for the character"},
		{ModeText, "a{n", "1:2: the } that closes this is missing: write {{ for the character"},
		{ModeText, "a{n{n}", "1:2: the } that closes this is missing: write {{ for the character"},
		{ModeText, "n}", "1:2: this } closes nothing: write }} for the character"},
		{ModeFileName, `="/z/" + name`, "1:1: a template takes {name}, not an expression: compute a field and name it here, or begin with == for a text that starts with ="},
		{ModeText, "=", "1:1: a template takes {name}, not an expression: compute a field and name it here, or begin with == for a text that starts with ="},
		{ModeText, "a {{name}}", "1:3: {{name}} is the text {name}: write {name} for its value"},
		{ModeText, "{{ file.name }}", "1:1: {{file.name}} is the text {file.name}: write {file.name} for its value"},
		{ModeText, "{}", `1:2: a hole holds a name and perhaps a format, not "": compute a field instead, or write {{ for the character`},
		{ModeText, "{n + 1}", `1:2: a hole holds a name and perhaps a format, not "n + 1": compute a field instead, or write {{ for the character`},
		{ModeText, "é{ordr_no}", "1:3: unknown name ordr_no, did you mean order_no?"},
		{ModeText, "{file.nam}", "1:7: file has no field nam, did you mean name?"},
		{ModeText, "{uuid}", "1:2: uuid may be absent: compute a field with ?? and name it here, or make the field required"},
		{ModeText, "{lines}", "1:2: lines is a list, which has no text: compute a field instead"},
		{ModeText, "{n:6}", `1:2: "6" is no format: write one of dates such as %Y-%m-%d, or 06 for an integer of six digits`},
		{ModeText, "{n:}", `1:2: "" is no format: write one of dates such as %Y-%m-%d, or 06 for an integer of six digits`},
		{ModeText, "{n:%Y}", "1:2: n is an integer, and %Y is the format of a date"},
		{ModeText, "{name:06}", "1:2: name is text, and 06 is the format of an integer"},
		{ModeText, "{day:%K}", `1:2: format "%K": %K is no directive; %Y is the year, %m the month, %d the day, %H:%M:%S the time`},
		{ModeText, "{true}", "1:2: true is a word of the language, not a name"},
		{ModeURLPath, "https://{name}/x", "1:10: the scheme and host of an address are constant: a hole can stand behind them only"},
		{ModeURLPath, "https://h.{name}.example/x", "1:12: the scheme and host of an address are constant: a hole can stand behind them only"},
		{ModeURLPath, "{name}://h/x", "1:2: the scheme and host of an address are constant: a hole can stand behind them only"},
		{ModeURLPath, "//{name}/x", "1:4: the scheme and host of an address are constant: a hole can stand behind them only"},
	} {
		_, err := templateScope().Template(c.src, c.mode)
		if err == nil {
			t.Errorf("%s is not refused", c.src)
		} else if got := said(t, err); got != c.want {
			t.Errorf("%s:\n got  %s\n want %s", c.src, got, c.want)
		}
	}
}

func TestTemplatesNameWhatTheyUse(t *testing.T) {
	t.Parallel()
	tmpl, err := templateScope().Template("{file.name}-{n}-{file.folder}", ModeText)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(tmpl.Names(), " "); got != "file n" {
		t.Errorf("names %q", got)
	}
	if _, ok := tmpl.Literal(); ok {
		t.Error("a template with holes is no literal")
	}
	for src, want := range map[string]string{"a{{b}}": "a{b}", "==a": "=a", "{{file.nam}}": "{file.nam}", "a=b": "a=b", "{{name": "{name"} {
		constant, err := templateScope().Template(src, ModeFileName)
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := constant.Literal(); !ok || text != want {
			t.Errorf("%s is the literal %q, %v", src, text, ok)
		}
	}
}
