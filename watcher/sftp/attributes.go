package sftp

import (
	"fmt"
	"math"
	"strings"
	"time"

	"waybill/watcher/wire"
)

// attributes are what a server tells of a file. Its times are of the server's clock, which is never compared with ours.
type attributes wire.Attrs

func (a attributes) tells(bits uint32) bool { return a.Has&bits != 0 }

func (a attributes) kind() uint32 { return a.Mode & wire.ModeType }

// kindFrom fills the type of the file from the line that `ls -l` would print, for servers that leave it out.
func (a *attributes) kindFrom(line string) {
	if a.tells(wire.HasMode) && a.kind() != 0 || line == "" {
		return
	}
	if i := strings.IndexByte("-dlps", line[0]); i >= 0 {
		a.Mode = a.Mode&^wire.ModeType | [...]uint32{wire.ModeFile, wire.ModeFolder, wire.ModeLink, wire.ModePipe, wire.ModeSocket}[i]
	}
}

func (a attributes) isFolder() bool { return a.kind() == wire.ModeFolder }

func (a attributes) isFile() bool { return a.kind() == wire.ModeFile || a.kind() == 0 }

// skip is why the file is not to be taken, "" for an ordinary one.
func (a attributes) skip() string {
	switch a.kind() {
	case wire.ModeFile, 0: // 0: the server does not say
	case wire.ModeLink:
		return "symbolic link"
	case wire.ModeFolder:
		return "folder"
	case wire.ModePipe:
		return "named pipe"
	case wire.ModeSocket:
		return "socket"
	default:
		return "device"
	}
	if !a.tells(wire.HasSize) {
		return "the server does not tell its size"
	}
	if a.Size > math.MaxInt64 {
		return "the server tells an impossible size"
	}
	return ""
}

// version differs whenever the server shows that the content may differ. SFTP version 3 has no more than size and a time
// in whole seconds.
func (a attributes) version() string {
	if !a.tells(wire.HasTimes) {
		return fmt.Sprintf("%d", a.Size)
	}
	return fmt.Sprintf("%d %d", a.Size, a.Mtime)
}

func (a attributes) modTime() time.Time {
	if !a.tells(wire.HasTimes) {
		return time.Time{}
	}
	return time.Unix(int64(a.Mtime), 0).UTC()
}
