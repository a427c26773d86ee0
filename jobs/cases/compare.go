package cases

import (
	"fmt"
	"regexp"
	"strings"
)

// A Difference is one thing that is not as expected. What is not there at all is nil.
type Difference struct {
	Path string  `json:"path"`           // of what is compared: messages[0].body.lines[1].quantity
	Want *string `json:"want,omitempty"` // as expected, or as it was before
	Got  *string `json:"got,omitempty"`  // as it is
	Note string  `json:"note,omitempty"` // what there is to say beside
	at   string  // path in the case, when it is not the same
}

// Place is the path of the case that the difference is about.
func (d Difference) Place() string {
	if d.at != "" {
		return d.at
	}
	return d.Path
}

// differences gathers what differs.
type differences []Difference

func (ds *differences) add(path string, want, got *string) {
	*ds = append(*ds, Difference{Path: path, Want: want, Got: got})
}

func some(s string) *string { return &s }

// text compares two texts that stand for one value.
func (ds *differences) text(path, want, got string) {
	if want != got {
		ds.add(path, some(want), some(got))
	}
}

// trees compares two values by path. With part, keys that want has not may be there.
func (ds *differences) trees(path string, want, got *tree, part bool) {
	switch {
	case want.kind != got.kind || want.kind == 0 && want.text != got.text:
		ds.add(path, some(want.String()), some(got.String()))
	case want.kind == '[':
		for i := range max(len(want.items), len(got.items)) {
			at := fmt.Sprintf("%s[%d]", path, i)
			switch {
			case i >= len(got.items):
				ds.add(at, some(want.items[i].String()), nil)
			case i >= len(want.items):
				ds.add(at, nil, some(got.items[i].String()))
			default:
				ds.trees(at, &want.items[i], &got.items[i], part)
			}
		}
	case want.kind == '{':
		for i, key := range want.keys {
			if other := got.get(key); other != nil {
				ds.trees(join(path, key), &want.items[i], other, part)
			} else {
				ds.add(join(path, key), some(want.items[i].String()), nil)
			}
		}
		for i, key := range got.keys {
			if want.get(key) == nil && !part {
				ds.add(join(path, key), nil, some(got.items[i].String()))
			}
		}
	}
}

var simpleKey = regexp.MustCompile(`^[\p{L}\p{N}_@#-]+$`)

// join appends a key to a path.
func join(path, key string) string {
	switch {
	case !simpleKey.MatchString(key):
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// lines compares texts of several lines, without regard to how they end: only lines that differ are told, with what stands
// around them left out.
func (ds *differences) lines(path, want, got string) {
	if !strings.Contains(want, "\r") {
		got = strings.ReplaceAll(got, "\r\n", "\n")
	}
	if want == got {
		return
	}
	old, now := strings.SplitAfter(want, "\n"), strings.SplitAfter(got, "\n")
	from := 0
	for from < len(old) && from < len(now) && old[from] == now[from] {
		from++
	}
	tail := 0
	for tail < len(old)-from && tail < len(now)-from && old[len(old)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	d := Difference{Path: fmt.Sprintf("%s, line %d", path, from+1), at: path}
	if part := strings.Join(old[from:len(old)-tail], ""); part != "" {
		d.Want = some(part)
	}
	if part := strings.Join(now[from:len(now)-tail], ""); part != "" {
		d.Got = some(part)
	}
	if d.Want == nil && d.Got == nil { // one ends with a line end and the other does not
		d.Want, d.Got = some(want), some(got)
	}
	*ds = append(*ds, d)
}
