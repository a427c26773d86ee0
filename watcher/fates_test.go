package watcher_test

import (
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waybill/watcher"
)

func TestNumberedNames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOfN(rapid.Byte().Filter(func(b byte) bool { return b != '/' && b != 0 }), 1, 255).Draw(t, "name"))
		seen := map[string]bool{}
		for n := range 300 {
			as := watcher.Numbered(name, n)
			if len(as) > 255 || as == "" || seen[as] || path.Base(as) != as {
				t.Fatalf("name %d of %q is %q", n, name, as)
			}
			if n == 0 && as != name || path.Ext(as) != path.Ext(name) && len(path.Ext(name)) < 64 && strings.LastIndexByte(name, '.') > 0 {
				t.Fatalf("name %d of %q is %q", n, name, as)
			}
			seen[as] = true
		}
	})
}

func TestAFreeNumberIsFoundAfterAnUnbrokenRow(t *testing.T) {
	t.Parallel()
	for row := range 3000 {
		looks := 0
		taken := func(n int) bool { looks++; return n < 5+row }
		if got := watcher.FreeNumber(5, taken); got != 5+row || looks > 30 {
			t.Fatalf("%d after %d looks, want %d", got, looks, 5+row)
		}
	}
}
