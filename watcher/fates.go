package watcher

import (
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"
)

// Fates are what becomes of closed files: move, delete or leave.
type Fates map[Fate]string

// Fates fills in what is left out. bad is told what cannot be.
func (s Settings) Fates(bad func(fate Fate, text string)) Fates {
	all := Fates{Done: s.Done, Failed: s.Failed}
	for fate, what := range all {
		switch what {
		case "":
			all[fate] = "move"
		case "move", "delete", "leave":
		default:
			bad(fate, fmt.Sprintf("%q is unknown: write move, delete or leave", what))
		}
	}
	return all
}

// Folder is where a file of a fate is moved to when it lay at old: the folder of that name, below it the one it lay in.
func (f Fate) Folder(old string) string { return path.Join(string(f), path.Dir(old)) }

// Reserved reports whether the folder at path is one that closed files are moved to.
func (f Fates) Reserved(path string) bool { return f[Fate(path)] == "move" }

// Numbered returns name with n before its ending ("a.2.csv"), and name itself for 0. Names are cut to what a folder can hold.
func Numbered(name string, n int) string {
	const longest = 255
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || len(name)-dot > 64 {
		dot = len(name)
	}
	number := ""
	if n > 0 {
		number = "." + strconv.Itoa(n)
	}
	return name[:min(dot, longest-len(number)-len(name[dot:]))] + number + name[dot:]
}

// FreeNumber returns a number from least on that is not taken: the end of an unbroken row is found in few looks, however
// many files of one name were moved there before.
func FreeNumber(least int, taken func(n int) bool) int {
	const most = 1 << 20
	if !taken(least) {
		return least
	}
	step := 1
	for taken(least+step) && step < most {
		least, step = least+step, step*2
	}
	return least + 1 + sort.Search(step-1, func(i int) bool { return !taken(least + 1 + i) })
}
