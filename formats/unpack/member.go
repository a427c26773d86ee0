package unpack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"waybill/formats"
	"waybill/formats/fault"
)

// An entry is what an archive says of one of its entries.
type entry struct {
	name   string
	mode   fs.FileMode
	folder bool
}

// enter looks at the next entry of an archive before anything of it is read, and returns the path under which it is a file of its own, "" for what is none.
func (u *unpacking) enter(f packed, kind string, e entry) (string, error) {
	if u.entries++; u.entries > maxEntries {
		return "", &formats.FileError{Offset: -1, Limit: "archive_entries", Reason: fmt.Sprintf("%s: there are more than %d entries", kind, maxEntries)}
	}
	shown := fault.Cut(e.name)
	if !inside(e.name) {
		return "", &formats.FileError{Offset: -1, Reason: fmt.Sprintf("%s: the entry %q has a name that leads out of the archive", kind, shown)}
	}
	switch {
	case e.folder:
		return "", nil
	case !e.mode.IsRegular():
		return "", &formats.FileError{Offset: -1, Reason: fmt.Sprintf("%s: the entry %q is no ordinary file (a link, a device, a file with holes): only files and folders are taken", kind, shown)}
	case strings.HasSuffix(e.name, "/"):
		return "", &formats.FileError{Offset: -1, Reason: fmt.Sprintf("%s: the entry %q is a file with the name of a folder", kind, shown)}
	}
	name := path.Clean(e.name)
	if f.member { // an archive in an archive: its name is that of a folder
		name = f.Name + "/" + name
	}
	if len(name) > maxName {
		return "", &formats.FileError{Offset: -1, Reason: fmt.Sprintf("%s: the entry %q has a name of more than %d bytes", kind, shown, maxName)}
	}
	return name, nil
}

// maxName bounds the path of a member, in bytes.
const maxName = 1024

// inside reports whether a name can only be that of something inside the archive, on any system.
func inside(name string) bool {
	switch {
	case name == "", strings.HasPrefix(name, "/"), strings.ContainsAny(name, "\\\x00"):
		return false
	case len(name) > 1 && name[1] == ':' && (name[0]|0x20) >= 'a' && (name[0]|0x20) <= 'z': // C:
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return false
		}
	}
	return path.Clean(name) != "." || strings.HasSuffix(name, "/")
}

// folded is a name as file systems see it that do not tell upper from lower case.
func folded(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// asText is a name as UTF-8: archives of old have no other than that of the first PC.
func asText(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	text, err := charmap.CodePage437.NewDecoder().String(name)
	if err != nil {
		return name
	}
	return text
}

// A limitedReader reads one entry of an archive within its limits. Tells, if set, says in words what is wrong.
type limitedReader struct {
	r     io.Reader
	kind  string
	name  string
	u     *unpacking
	used  func() int64 // bytes that it takes
	at    func() int64 // where it is in what is packed
	tells func(err error) error
	out   int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.out += int64(n)
	most, ratio := l.u.limits.MaxUnpacked, int64(l.u.limits.MaxRatio)
	switch {
	case l.out > int64(most):
		return 0, &formats.FileError{Offset: l.at(), Limit: "max_unpacked", Reason: fmt.Sprintf("%s: %s unpacks to more than max_unpacked, %s", l.kind, fault.Cut(l.name), most)}
	case l.out > fault.RatioFrom && l.out/ratio > l.used():
		return 0, &formats.FileError{Offset: l.at(), Limit: "max_ratio", Reason: fmt.Sprintf("%s: %s unpacks to more than %d times its size (max_ratio)", l.kind, fault.Cut(l.name), ratio)}
	case err != nil && !errors.Is(err, io.EOF):
		return n, l.tells(err)
	}
	return n, err
}

// A memberReader is what one reads of a file that came out of an archive. It knows how much came out of all, and says which one is bad.
type memberReader struct {
	r    io.Reader
	u    *unpacking
	name string
}

func (m *memberReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.u.out += int64(n)
	if most := m.u.limits.MaxUnpacked; m.u.out > int64(most) {
		return 0, &formats.FileError{Offset: -1, Limit: "max_unpacked", Reason: fmt.Sprintf("the files of the archive unpack to more than max_unpacked, %s", most)}
	}
	// Of all together, too: each may be smaller than what the ratio of one is looked at from.
	if ratio := int64(m.u.limits.MaxRatio); m.u.size >= 0 && m.u.out > fault.RatioFrom && m.u.out/ratio > m.u.size {
		return 0, &formats.FileError{Offset: -1, Limit: "max_ratio", Reason: fmt.Sprintf("the files of the archive unpack to more than %d times its size (max_ratio)", ratio)}
	}
	var bad *formats.FileError
	if errors.As(err, &bad) && !strings.Contains(bad.Reason, m.name) {
		named := *bad
		named.Reason = fault.Cut(m.name) + ": " + bad.Reason
		return n, &named
	}
	return n, err
}
