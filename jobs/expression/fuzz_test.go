package expression

import (
	"os"
	"strings"
	"testing"
	"time"
)

// FuzzExpression compiles anything, and runs what compiles: no panic, no run
// away, and a result that is of the kind it was declared.
func FuzzExpression(f *testing.F) {
	for _, name := range []string{"testdata/wrong.txt", "testdata/right.txt"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if strings.HasPrefix(line, "# limits") {
				break // slow ones, which leave the fuzzer no time
			}
			if strings.HasPrefix(line, "=") {
				f.Add(strings.TrimSpace(line))
			}
		}
	}
	scope, env := orderScope(), orderEnv(f)
	f.Fuzz(func(t *testing.T, src string) {
		started := time.Now()
		p, err := scope.Expr(src)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		v, err := p.Eval(env)
		if took := time.Since(started); took > time.Minute {
			t.Errorf("took %s", took)
		}
		if err != nil {
			return
		}
		if typ := p.Type(); typ.Kind != KindAny && v != nil && kindOf(v) != typ.Kind {
			t.Errorf("%s is declared %s and gives %s", src, typ, noun(v))
		} else if v == nil && typ.Kind != KindAny && !typ.Optional {
			t.Errorf("%s is declared %s and gives nothing", src, typ)
		}
		_, _ = AppendJSON(nil, v)
		again, err := p.Eval(env)
		if err != nil {
			t.Errorf("%s gives an error the second time: %v", src, err)
		}
		a, errA := AppendJSON(nil, v)
		b, errB := AppendJSON(nil, again)
		if string(a) != string(b) || (errA == nil) != (errB == nil) {
			t.Errorf("%s gives %s, then %s", src, a, b)
		}
	})
}

// FuzzTemplate compiles anything and fills it with values that are no good for
// names: what comes out stays in its place.
func FuzzTemplate(f *testing.F) {
	for _, src := range []string{"{a}", "/x/{a}/{b}", "https://h/{a}?q={b}", "{{{a}}}", "{a:06}", "{d:%Y/%m}", "{file.folder}/{a}", "{a}{b}", "a{", "}", "//{a}", "{a[0]}"} {
		for _, value := range []string{"..", "", "a/b", ".x", "\x00", "%2e", "?#"} {
			f.Add(src, value, value)
		}
	}
	scope := NewScope([]Field{{"a", Of(KindString)}, {"b", Of(KindString)}, {"d", Of(KindDate)}}, Field{"file", obj(Field{"folder", Of(KindString)})})
	f.Fuzz(func(t *testing.T, src, a, b string) {
		env := map[string]any{"a": a, "b": b, "d": Date{2024, 2, 29}, "file": map[string]any{"folder": b}}
		for mode := ModeText; mode <= ModeFileName; mode++ {
			tmpl, err := scope.Template(src, mode)
			if err != nil {
				continue
			}
			out, err := tmpl.Append(nil, env)
			if err != nil {
				continue
			}
			text := string(out)
			if _, constant := tmpl.Literal(); constant || mode == ModeText {
				continue
			}
			path, _, _ := strings.Cut(text, "?")
			for segment := range strings.SplitSeq(path, "/") {
				if segment == ".." && mode != ModeURLQuery {
					t.Errorf("%q in mode %d with %q and %q gives %q", src, mode, a, b, text)
				}
			}
			if mode == ModeURLPath && strings.Count(text, "/") > strings.Count(src, "/") {
				t.Errorf("%q with %q and %q gives %q, with more segments", src, a, b, text)
			}
		}
	})
}
