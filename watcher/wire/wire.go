// Package wire is the SFTP protocol, version 3 (draft-ietf-secsh-filexfer-02): packets in, packets out. It knows nothing of files.
//
// A server takes requests from a [Reader] and answers by a [Writer]; a client writes requests as a [Draft] and takes answers
// with [ReadAnswer]. What comes in was written by a stranger: one packet is held, of at most [MaxPacket] or [MaxAnswer] bytes, and anything
// that is not a packet of the protocol is a [*ProtocolError], after which the stream cannot be trusted and is to be closed. What a
// server sends is gathered and goes out in one piece, so that the answers to many small requests share a packet of the layer below.
package wire

import "fmt"

// MaxPacket is the longest request that is taken, without the four bytes of its length: that of OpenSSH.
const MaxPacket = 256 << 10

// MaxAnswer is the longest answer that is taken. OpenSSH sends no more than [MaxPacket]; others are not held to that.
const MaxAnswer = 1 << 20

// MaxData is how many bytes one packet may carry to be written or read, which leaves room for what stands before them.
const MaxData = MaxPacket - 1024

// A Type says what a packet is.
type Type byte

// Types of packets that clients send.
const (
	Init     Type = 1
	Open     Type = 3
	Close    Type = 4
	Read     Type = 5
	Write    Type = 6
	Lstat    Type = 7
	Fstat    Type = 8
	Setstat  Type = 9
	Fsetstat Type = 10
	Opendir  Type = 11
	Readdir  Type = 12
	Remove   Type = 13
	Mkdir    Type = 14
	Rmdir    Type = 15
	Realpath Type = 16
	Stat     Type = 17
	Rename   Type = 18
	Readlink Type = 19
	Symlink  Type = 20
	Extended Type = 200
)

// Types of packets that servers send.
const (
	AnswerVersion  Type = 2
	AnswerStatus   Type = 101
	AnswerHandle   Type = 102
	AnswerData     Type = 103
	AnswerNames    Type = 104
	AnswerAttrs    Type = 105
	AnswerExtended Type = 201
)

// Flags of Open.
const (
	FlagRead   = 0x01
	FlagWrite  = 0x02
	FlagAppend = 0x04
	FlagCreate = 0x08
	FlagTrunc  = 0x10
	FlagExcl   = 0x20
)

// A Code is the outcome in a status.
type Code uint32

// Codes of version 3. A server sends no others: what does not fit is Failure, and its text says what it was.
const (
	OK               Code = 0
	EOF              Code = 1
	NoSuchFile       Code = 2
	PermissionDenied Code = 3
	Failure          Code = 4
	BadMessage       Code = 5
	Unsupported      Code = 8
)

// Codes of later versions, which some servers send all the same.
const (
	NoSuchPath    Code = 10
	AlreadyExists Code = 11
	WriteProtect  Code = 12
)

// Extensions. A server announces all but Fsync, for what is closed is on the disk.
const (
	PosixRename = "posix-rename@openssh.com" // Path, Target
	StatVFS     = "statvfs@openssh.com"      // Path
	Limits      = "limits@openssh.com"
	Fsync       = "fsync@openssh.com" // Handle
)

// A Packet is one request. Only the fields of its type are set.
type Packet struct {
	Type      Type
	ID        uint32
	Path      string
	Target    string // of Rename, Symlink and PosixRename
	Handle    uint32 // 0 for one that no server of ours gave
	Offset    uint64
	Length    uint32 // asked for by Read
	Flags     uint32 // of Open
	Data      []byte // to be written; valid until the next packet is read
	Attrs     Attrs
	Extension string
}

// Bits of Attrs.Has.
const (
	HasSize  = 0x01
	HasOwner = 0x02
	HasMode  = 0x04
	HasTimes = 0x08

	HasMore = 0x80000000 // pairs of names and values, which are passed over
)

// What a file is, in Attrs.Mode, as in stat(2).
const (
	ModeType   = 0o170000
	ModeSocket = 0o140000
	ModeLink   = 0o120000
	ModeFile   = 0o100000
	ModeFolder = 0o040000
	ModePipe   = 0o010000
)

// Attrs are the attributes of a file.
type Attrs struct {
	Has          uint32
	Size         uint64
	UID, GID     uint32
	Mode         uint32 // type and permissions as in POSIX
	Atime, Mtime uint32 // Unix seconds
}

// A Name is one line of a listing.
type Name struct {
	Name  string
	Long  string // as ls -l prints it
	Attrs Attrs
}

// A Volume answers StatVFS.
type Volume struct {
	BlockSize                uint64
	Blocks, Free             uint64
	Files, FilesFree, MaxLen uint64
}

// A ProtocolError says that what came is not SFTP.
type ProtocolError struct{ Reason string }

// Error implements error.
func (e *ProtocolError) Error() string {
	return "this is not SFTP version 3: " + e.Reason
}

// Broken is a [*ProtocolError] with a reason.
func Broken(format string, args ...any) error {
	return &ProtocolError{fmt.Sprintf(format, args...)}
}
