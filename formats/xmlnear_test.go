package formats

import "testing"

// Of several elements of one name a field takes the first, and of an attribute the first that there is.
func TestXMLFieldsTakeTheFirstOfTheirName(t *testing.T) {
	t.Parallel()
	d := decoder(t, Options{Format: "xml", Records: "/r/o"}, Want{Name: "a", From: []string{"a"}}, Want{Name: "x", From: []string{"a/@x"}}, Want{Name: "b", From: []string{"b"}},
		Want{Name: "deep", From: []string{"c/a"}}, Want{Name: "any", From: []string{"*"}}, Want{Name: "second", From: []string{"a[2]"}})
	got, err := read(d, blobOf(`<r><o><z/><c><a>deep</a></c><a>1</a><a x="2">3</a></o><o><b/><b>4</b></o><o x="5"/></r>`))
	want := []string{`"1" "2" ∅ "deep" "" "3"`, `∅ ∅ "" ∅ "" ∅`, `∅ ∅ ∅ ∅ ∅ ∅`}
	if err != nil || len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%q, %v\nwant %q", got, err, want)
	}
}
