package sftpd

import (
	"slices"
	"strings"
)

// A place is where a path of a client leads.
type place struct {
	path   string  // within the mailbox, clean
	folder *Folder // nil above the folders, where there is nothing but them
	rest   string  // path within folder, "" for the folder itself
}

// locate tells where a client's path leads. What is neither a folder of the account, nor in one, nor on the way to one is missing.
func (a *Account) locate(raw string) (place, error) {
	path, above, err := clean(raw)
	if err != nil {
		return place{}, err
	}
	if above {
		return place{}, refusal(wireDenied, "permission denied: the path leads out of the mailbox")
	}
	p := place{path: path}
	for i := range a.Folders { // the longest that fits: a folder may lie in another
		if rest, ok := within(a.Folders[i].Path, path); ok && (p.folder == nil || len(a.Folders[i].Path) > len(p.folder.Path)) {
			p.folder, p.rest = &a.Folders[i], rest
		}
	}
	if p.folder == nil && path != "" && len(a.below(path)) == 0 {
		return place{}, missing()
	}
	return p, nil
}

// below returns the names of the folders of the account, and of those on the way to them, that lie directly in path.
func (a *Account) below(path string) []string {
	var names []string
	for _, f := range a.Folders {
		if rest, ok := within(path, f.Path); ok && rest != "" {
			name, _, _ := strings.Cut(rest, "/")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// file returns the place of a file that a client may name where he has the right.
func (a *Account) file(raw string, right Right) (place, error) {
	p, err := a.locate(raw)
	switch {
	case err != nil:
		return p, err
	case p.folder == nil || p.rest == "":
		return p, refusal(wireDenied, "permission denied: %s is a folder of the mailbox itself", shownPath("/"+p.path))
	case p.folder.Right != right:
		return p, refusal(wireDenied, "permission denied: /%s is %s", p.folder.Path, p.folder.Right.says())
	}
	return p, nil
}

func (r Right) says() string {
	if r == PickUp {
		return "to pick up from, nothing can be put there"
	}
	return "to drop into"
}
