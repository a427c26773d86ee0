package formats

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"strconv"
	"strings"
)

// repeatedElement is the path of the first element that stands several times below the same one, as far down as holds elements; "" when none does.
func repeatedElement(text []byte) string {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // it is UTF-8 by now
	var path []string
	var before []map[string]bool // names of the children so far, by depth
	for {
		t, err := d.RawToken()
		if err != nil {
			return ""
		}
		switch t := t.(type) {
		case xml.StartElement:
			if n := len(before); n > 0 {
				if before[n-1][t.Name.Local] {
					return "/" + strings.Join(append(path, t.Name.Local), "/")
				}
				before[n-1][t.Name.Local] = true
			}
			path, before = append(path, t.Name.Local), append(before, map[string]bool{})
			if len(path) > 50 {
				return ""
			}
		case xml.EndElement:
			if len(path) == 0 {
				return ""
			}
			path, before = path[:len(path)-1], before[:len(before)-1]
		}
	}
}

// firstList is the path of the first list of objects of a document.
func firstList(text []byte) string {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var path []string
	var inList []bool
	key := ""
	for {
		t, err := d.Token()
		if err != nil {
			return ""
		}
		open, list := false, len(inList) > 0 && inList[len(inList)-1]
		switch t {
		case json.Delim('{'):
			if list {
				return pathTo(path[1:])
			}
			open = true
		case json.Delim('['):
			if list {
				return ""
			}
			open = true
		case json.Delim('}'), json.Delim(']'):
			if path, inList = path[:len(path)-1], inList[:len(inList)-1]; len(path) == 0 {
				return ""
			}
			key = ""
			continue
		}
		switch {
		case open:
			path, inList = append(path, key), append(inList, t == json.Delim('['))
			key = ""
		case list:
		case key == "":
			key, _ = t.(string)
			if key == "" {
				return ""
			}
		default:
			key = ""
		}
	}
}

// pathTo writes a path of member names.
func pathTo(names []string) string {
	out := ""
	for _, n := range names {
		switch {
		case n == "" || strings.ContainsAny(n, ".[]\"$ "):
			out += "[" + strconv.Quote(n) + "]"
		case out == "":
			out = n
		default:
			out += "." + n
		}
	}
	return out
}
