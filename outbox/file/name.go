package file

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
)

// longestName is what common file systems allow a name, less what numbering may add.
const longestName = 255 - len(".9999")

// checkName refuses names that could leave the folder, hide in it, or confuse who reads them. The templates of jobs
// cannot make such names; this is the second wall.
func checkName(name string) error {
	if name == "" {
		return fmt.Errorf("the message names no file: write name in the job")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r == 0 || unicode.IsControl(r) }) {
		return fmt.Errorf("name %q holds control characters", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return fmt.Errorf("name %q is absolute or has an empty part", name)
		case strings.HasPrefix(part, "."):
			return fmt.Errorf("name %q has a part that begins with a dot", name)
		case len(part) > longestName:
			return fmt.Errorf("name %.40q… is longer than %d bytes", name, longestName)
		}
	}
	return nil
}

// numbered is the name to try when name is taken for the n-th time: orders.csv, orders.1.csv, orders.2.csv.
func numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	stem, ext := split(name)
	return stem + "." + strconv.Itoa(n) + ext
}

// split parts a name before its last extension; a compressed one keeps both: orders, .csv.gz.
func split(name string) (stem, ext string) {
	ext = path.Ext(name)
	stem = strings.TrimSuffix(name, ext)
	switch ext {
	case ".gz", ".zst", ".bz2", ".xz", ".pgp", ".gpg", ".age":
		inner := path.Ext(stem)
		stem, ext = strings.TrimSuffix(stem, inner), inner+ext
	}
	if path.Base(stem) == "." || strings.HasSuffix(stem, "/") || stem == "" {
		return name, ""
	}
	return stem, ext
}

// markerOf is the marker for the file that got the name actual instead of name: what the marker has of name is
// exchanged, so that orders.csv.ok becomes orders.1.csv.ok, and orders.ok becomes orders.1.ok.
func markerOf(marker, name, actual string) string {
	if rest, ok := strings.CutPrefix(marker, name); ok {
		return actual + rest
	}
	stem, ext := split(name)
	if rest, ok := strings.CutPrefix(marker, stem); ok && name != actual {
		return strings.TrimSuffix(actual, ext) + rest
	}
	return marker
}
