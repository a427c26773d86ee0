package sftpd

import (
	"strings"
)

const (
	maxPath = 1024 // bytes of a path within a mailbox
	maxName = 255  // bytes of one name, as file systems have it
	maxDeep = 32   // names in a path
)

// clean is the one place where what a client calls a path becomes one: any bytes in, a path within the mailbox out, "" for the mailbox
// itself, else names joined by "/", without "." and "..", none of them empty. above says that the path led above the mailbox, of which
// nothing is seen: it is to be refused, except where only a name is asked for, which stays at the top as in any root folder.
func clean(raw string) (path string, above bool, err error) {
	if len(raw) > 2*maxPath {
		return "", false, refusal(wireFailure, "the path is longer than %d bytes", maxPath)
	}
	var names []string
	for name := range strings.SplitSeq(raw, "/") {
		switch {
		case name == "" || name == ".":
		case name == "..":
			if len(names) == 0 {
				above = true
			} else {
				names = names[:len(names)-1]
			}
		case strings.IndexByte(name, 0) >= 0:
			return "", false, refusal(wireFailure, "the path has a NUL in it")
		case len(name) > maxName:
			return "", false, refusal(wireFailure, "a name is longer than %d bytes", maxName)
		default:
			names = append(names, name)
		}
	}
	if len(names) > maxDeep {
		return "", false, refusal(wireFailure, "the path is deeper than %d folders", maxDeep)
	}
	path = strings.Join(names, "/")
	if len(path) > maxPath {
		return "", false, refusal(wireFailure, "the path is longer than %d bytes", maxPath)
	}
	return path, above, nil
}

// badName says what is wrong with a name that is to be made, "" for nothing. What exists already may have any name.
func badName(path string) string {
	for _, c := range []byte(path) {
		if c < 0x20 || c == 0x7f {
			return "a control character stands in the name"
		}
	}
	return ""
}

// within returns the part of path below folder; ok is false when it does not lie there. The folder itself is "".
func within(folder, path string) (rest string, ok bool) {
	if path == folder {
		return "", true
	}
	if folder == "" {
		return path, true
	}
	rest, ok = strings.CutPrefix(path, folder)
	if !ok || rest[0] != '/' {
		return "", false
	}
	return rest[1:], true
}

// split returns the folder that path lies in and its last name.
func split(path string) (folder, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

func folderOf(path string) string {
	folder, _ := split(path)
	return folder
}
