package sftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
	"time"
)

// Packet types of SFTP version 3 (draft-ietf-secsh-filexfer-02).
const (
	fxInit     = 1
	fxVersion  = 2
	fxOpen     = 3
	fxClose    = 4
	fxRead     = 5
	fxWrite    = 6
	fxLstat    = 7
	fxFstat    = 8
	fxOpendir  = 11
	fxReaddir  = 12
	fxRemove   = 13
	fxMkdir    = 14
	fxRealpath = 16
	fxRename   = 18
	fxStatus   = 101
	fxHandle   = 102
	fxData     = 103
	fxName     = 104
	fxAttrs    = 105
	fxExtended = 200
)

// Flags of OPEN.
const (
	openRead   = 0x01
	openWrite  = 0x02
	openCreate = 0x08
	openTrunc  = 0x10
	openNew    = 0x20 // refuse what is there
)

// Which attributes are there.
const (
	hasSize  = 0x01
	hasOwner = 0x02
	hasMode  = 0x04
	hasTimes = 0x08
	hasMore  = 0x80000000
)

// File types in the mode, as in stat(2).
const (
	typeBits   = 0o170000
	typeSocket = 0o140000
	typeLink   = 0o120000
	typeFile   = 0o100000
	typeFolder = 0o040000
	typePipe   = 0o010000
)

const (
	extPosixRename = "posix-rename@openssh.com"
	extFsync       = "fsync@openssh.com"
)

// longestPacket bounds what a server may send at once; OpenSSH sends up to 256 KiB.
const longestPacket = 1 << 20

// errProtocol says that the server does not speak SFTP as it should.
var errProtocol = errors.New("the server broke the protocol")

// A packet is a request being written: length, type and id come first.
type packet []byte

// newPacket begins a request; its id is set when it is sent.
func newPacket(kind byte) packet { return append(make(packet, 0, 96), 0, 0, 0, 0, kind, 0, 0, 0, 0) }

func (p packet) number(v uint32) packet { return binary.BigEndian.AppendUint32(p, v) }
func (p packet) long(v uint64) packet   { return binary.BigEndian.AppendUint64(p, v) }
func (p packet) text(s string) packet   { return append(p.number(uint32(len(s))), s...) }

// seal writes the id and the length.
func (p packet) seal(id uint32) {
	binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	binary.BigEndian.PutUint32(p[5:], id)
}

// An answer is what came for a request.
type answer struct {
	kind byte
	body []byte // after the id
}

// A parser takes an answer apart. Once something is missing, everything is empty and bad is set.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) take(n int) []byte {
	if p.bad || n < 0 || n > len(p.b) {
		p.bad = true
		return nil
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

func (p *parser) number() uint32 {
	if b := p.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (p *parser) long() uint64 {
	if b := p.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (p *parser) bytes() []byte {
	n := p.number()
	if n > longestPacket {
		p.bad = true
	}
	return p.take(int(n))
}

func (p *parser) text() string { return string(p.bytes()) }

// attributes are what a server tells of a file.
type attributes struct {
	has   uint32
	size  uint64
	mode  uint32
	mtime uint32 // seconds since 1970 on the server's clock, which is never compared with ours
}

func (p *parser) attributes() (a attributes) {
	a.has = p.number()
	if a.has&hasSize != 0 {
		a.size = p.long()
	}
	if a.has&hasOwner != 0 {
		p.take(8)
	}
	if a.has&hasMode != 0 {
		a.mode = p.number()
	}
	if a.has&hasTimes != 0 {
		p.number()
		a.mtime = p.number()
	}
	if a.has&hasMore != 0 {
		for n := p.number(); n > 0 && !p.bad; n-- {
			p.bytes()
			p.bytes()
		}
	}
	return a
}

// kindFrom fills the type of the file from the line that `ls -l` would print, for servers that leave it out.
func (a *attributes) kindFrom(line string) {
	if a.has&hasMode != 0 && a.mode&typeBits != 0 || line == "" {
		return
	}
	if i := strings.IndexByte("-dlps", line[0]); i >= 0 {
		a.mode = a.mode&^typeBits | [...]uint32{typeFile, typeFolder, typeLink, typePipe, typeSocket}[i]
	}
}

func (a attributes) isFolder() bool { return a.mode&typeBits == typeFolder }

func (a attributes) isFile() bool { return a.mode&typeBits == typeFile || a.mode&typeBits == 0 }

// skip is why the file is not to be taken, "" for an ordinary one.
func (a attributes) skip() string {
	switch a.mode & typeBits {
	case typeFile, 0: // 0: the server does not say
	case typeLink:
		return "symbolic link"
	case typeFolder:
		return "folder"
	case typePipe:
		return "named pipe"
	case typeSocket:
		return "socket"
	default:
		return "device"
	}
	if a.has&hasSize == 0 {
		return "the server does not tell its size"
	}
	if a.size > math.MaxInt64 {
		return "the server tells an impossible size"
	}
	return ""
}

// version differs whenever the server shows that the content may differ. SFTP version 3 has no more than size and a time
// in whole seconds.
func (a attributes) version() string {
	if a.has&hasTimes == 0 {
		return fmt.Sprintf("%d", a.size)
	}
	return fmt.Sprintf("%d %d", a.size, a.mtime)
}

func (a attributes) modTime() time.Time {
	if a.has&hasTimes == 0 {
		return time.Time{}
	}
	return time.Unix(int64(a.mtime), 0).UTC()
}

// A statusError is what a server refuses a request with.
type statusError struct {
	code uint32
	text string
}

// Status codes. The last are of later versions, which some servers use all the same.
const (
	statusOK          = 0
	statusEOF         = 1
	statusNoFile      = 2
	statusDenied      = 3
	statusFailure     = 4
	statusUnsupported = 8
	statusNoPath      = 10
	statusExists      = 11
	statusReadOnly    = 12
)

// Error implements error.
func (e *statusError) Error() string {
	words := map[uint32]string{
		statusNoFile: "no such file", statusDenied: "permission denied", statusFailure: "the server says no more than \"failure\"",
		statusUnsupported: "the server cannot do that", statusNoPath: "no such folder", statusExists: "is there already", statusReadOnly: "read-only",
	}[e.code]
	switch {
	case words == "":
		return fmt.Sprintf("status %d: %q", e.code, e.text)
	case e.text == "" || strings.EqualFold(e.text, words) || e.code == statusFailure && strings.EqualFold(e.text, "failure"):
		return words
	}
	return fmt.Sprintf("%s (%q)", words, e.text)
}

// Is has errors.Is find the errors of io/fs.
func (e *statusError) Is(target error) bool {
	switch e.code {
	case statusNoFile, statusNoPath:
		return target == fs.ErrNotExist
	case statusDenied, statusReadOnly:
		return target == fs.ErrPermission
	case statusExists:
		return target == fs.ErrExist
	case statusEOF:
		return target == io.EOF
	}
	return false
}

// status is the error of an answer that is only a status.
func (a answer) status() error {
	if a.kind != fxStatus {
		return fmt.Errorf("%w: packet of type %d where a status belongs", errProtocol, a.kind)
	}
	p := parser{b: a.body}
	code := p.number()
	if p.bad {
		return fmt.Errorf("%w: a status without a code", errProtocol)
	}
	switch code {
	case statusOK:
		return nil
	case statusEOF:
		return io.EOF
	}
	text := p.text() // some servers leave it out
	return &statusError{code, cut(text)}
}

// cut shortens what a server says.
func cut(text string) string {
	const most = 200
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

// expect returns a parser for an answer of a kind.
func (a answer) expect(kind byte) (*parser, error) {
	if a.kind == kind {
		return &parser{b: a.body}, nil
	}
	err := a.status()
	if err == nil {
		err = fmt.Errorf("%w: an OK where more belongs", errProtocol)
	}
	return nil, err
}
