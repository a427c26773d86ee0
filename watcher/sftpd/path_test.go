package sftpd

import (
	"path"
	"strings"
	"testing"
)

// FuzzClean compares clean with what path.Clean makes of the same path below a root.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "/", "in/a.csv", "../x", "/in/../../etc/passwd", "a//b/./c/", "in/%2e%2e/x", "in\x00/x", `..\..\x`, "/in/" + strings.Repeat("n", 300),
		strings.Repeat("d/", 40), "\xff\xfe", "in/...", "/../in", "a/b/../../../c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, above, err := clean(raw)
		if err != nil {
			return
		}
		if want := strings.TrimPrefix(path.Clean("/"+raw), "/"); got != want {
			t.Fatalf("%q: %q, not %q", raw, got, want)
		}
		depth, below := 0, false
		for _, n := range strings.Split(raw, "/") {
			switch n {
			case "", ".":
			case "..":
				if depth--; depth < 0 {
					below, depth = true, 0
				}
			default:
				depth++
			}
		}
		if above != below {
			t.Fatalf("%q: above %t, not %t", raw, above, below)
		}
		for _, n := range strings.Split(got, "/") {
			if got != "" && (n == "" || n == "." || n == ".." || len(n) > maxName || strings.ContainsRune(n, 0)) {
				t.Fatalf("%q: %q has the name %q", raw, got, n)
			}
		}
		if again, above, err := clean(got); again != got || above || err != nil {
			t.Fatalf("%q: cleaned twice it is %q, %t, %v", raw, again, above, err)
		}
	})
}

func TestPathsLeadIntoFoldersOfTheAccountOnly(t *testing.T) {
	t.Parallel()
	a := Account{Name: "acme", Folders: []Folder{{Path: "in", Right: Drop}, {Path: "orders/in", Right: Drop}, {Path: "orders/in/deep", Right: PickUp}}}
	for raw, want := range map[string]string{
		"/": "-", "": "-", ".": "-", "/in": "in:", "in/x": "in:x", "/in/a/../b": "in:b", "/orders": "-", "/orders/in/x/y": "orders/in:x/y",
		"/orders/in/deep/z": "orders/in/deep:z", "/orders/in/deeper": "orders/in:deeper", "/in2": "no", "/inx/y": "no", "/etc/passwd": "no", "/orders/x": "no",
		"../in": "denied", "/in/../../in/x": "denied", "/in/\x00": "bad",
	} {
		p, err := a.locate(raw)
		got := "-"
		var r *refused
		switch {
		case err != nil:
			r = err.(*refused)
			got = map[string]string{"2": "no", "3": "denied", "4": "bad"}[string('0'+rune(r.code))]
		case p.folder != nil:
			got = p.folder.Path + ":" + p.rest
		}
		if got != want {
			t.Errorf("%q leads to %s, not %s", raw, got, want)
		}
	}
}
