package unpack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"waybill/formats"
	"waybill/formats/fault"
)

// PGP says with which keys OpenPGP messages (RFC 9580, RFC 4880) are opened.
type PGP struct {
	Decrypt    []string `yaml:"decrypt" one:"true" as:"secret" doc:"private keys, armored: ${credential:…} or ${file:…}; several may overlap while one is rotated. Left out: messages are only signed"`
	Passphrase string   `yaml:"passphrase" as:"secret" doc:"what the private keys are encrypted with"`
	Verify     []string `yaml:"verify" one:"true" doc:"public keys, armored; what none of them has signed is rejected. Left out: signatures are not looked at"`
}

// pgpRing is what PGP comes to.
type pgpRing struct {
	decrypt bool
	verify  openpgp.EntityList
	all     openpgp.EntityList // both, for the library looks for both in one
}

// ring reads the keys.
func (o *PGP) ring() (*pgpRing, []formats.Problem) {
	r, problems := &pgpRing{decrypt: len(o.Decrypt) > 0}, []formats.Problem(nil)
	for i, text := range o.Decrypt {
		if reason := r.private(text, o.Passphrase); reason != "" {
			problems = append(problems, problem(fmt.Sprintf("pgp.decrypt[%d]", i), reason))
		}
	}
	for i, text := range o.Verify {
		list, err := openpgp.ReadArmoredKeyRing(strings.NewReader(text))
		if err != nil || len(list) == 0 {
			problems = append(problems, problem(fmt.Sprintf("pgp.verify[%d]", i), "is no armored public key (-----BEGIN PGP PUBLIC KEY BLOCK-----): "+said(err)))
		}
		r.verify = append(r.verify, list...)
	}
	if len(o.Decrypt)+len(o.Verify) == 0 {
		problems = append(problems, problem("pgp", "has no keys: say decrypt, verify or both"))
	}
	r.all = append(r.all, r.verify...)
	return r, problems
}

func said(err error) string {
	if err == nil {
		return "there is none in it"
	}
	return strings.TrimPrefix(err.Error(), "openpgp: ")
}

// private adds private keys to the ring. What is wrong with one is said without a word of it.
func (r *pgpRing) private(text, passphrase string) (reason string) {
	list, err := openpgp.ReadArmoredKeyRing(strings.NewReader(text))
	if err != nil || len(list) == 0 {
		return "is no armored private key (-----BEGIN PGP PRIVATE KEY BLOCK-----)"
	}
	for _, e := range list {
		if e.PrivateKey == nil {
			return "holds a public key only: a private key is needed to decrypt"
		}
		if err := e.DecryptPrivateKeys([]byte(passphrase)); err != nil {
			if passphrase == "" {
				return "is encrypted: say pgp.passphrase"
			}
			return "cannot be opened with pgp.passphrase"
		}
	}
	r.all = append(r.all, list...)
	return ""
}

// pgpSkew is how far the clock of who signs may be ahead of ours.
const pgpSkew = 10 * time.Minute

// decryptPGP opens an OpenPGP message. What comes out is kept apart until all of it is there, whole and authentic: nobody sees a byte of it before.
func decryptPGP(u *unpacking, f packed) iter.Seq2[packed, error] {
	return func(yield func(packed, error) bool) {
		m := &pgpMessage{stream: newStream("pgp", f, u.limits), u: u, ring: u.keys.pgp}
		from, err := m.begin()
		switch {
		case err != nil:
			yield(packed{}, err)
			return
		case m.ring == nil || u.staging.At.IsZero():
			yield(packed{Blob: formats.Blob{Name: f.Name, Reader: unopened{}, Size: -1, Unpacked: true}}, nil)
			return
		}
		body, err := m.read(from, f.Size)
		if err != nil {
			yield(packed{}, m.refuse(err))
			return
		}
		limited := &limitedReader{r: body.UnverifiedBody, kind: "pgp", name: "the message", u: u, used: m.used, at: m.offset, tells: m.refuse}
		at, size, drop, err := formats.Blob{Reader: limited, Size: -1, Unpacked: true}.Anywhere(u.limits, u.staging.Create)
		if err != nil {
			yield(packed{}, err)
			return
		}
		defer drop()
		if err := m.check(body); err != nil {
			yield(packed{}, err)
			return
		}
		yield(packed{formats.Blob{Name: f.Name, Reader: io.NewSectionReader(at, 0, size), ReaderAt: at, Size: size, Unpacked: true, ModTime: f.ModTime}, m.used, f.member}, nil)
	}
}

// errUnopened says nothing about the file: it is looked at where there are no keys, or no time to judge them by.
var errUnopened = errors.New("it is not decrypted here")

// unopened is what is seen of a message where it is not decrypted.
type unopened struct{}

func (unopened) Read([]byte) (int, error) { return 0, errUnopened }

// A pgpMessage is a message being opened.
type pgpMessage struct {
	*stream
	u     *unpacking
	ring  *pgpRing
	armor *bufio.Reader // the text of one in armor, nil for any other
}

const pgpArmor = "-----BEGIN PGP "

// begin tells a message from what is none, and takes its armor off.
func (m *pgpMessage) begin() (io.Reader, error) {
	head, err := m.buffer.Peek(len(pgpArmor))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, m.stream.refuse(err)
	case len(head) == 0:
		return nil, m.fail("", "the file is empty, not an OpenPGP message", nil)
	case head[0]&0x80 != 0:
		return m.buffer, nil
	case string(head) != pgpArmor:
		return nil, m.fail("", "the file is not an OpenPGP message", nil)
	}
	bound := newArmorReader(m.stream, armorHead)
	text := bufio.NewReaderSize(bound, armorLine)
	block, err := armor.Decode(text) // which reads from the buffer itself, and no further than it must
	switch {
	case m.packed.err != nil: // no fault of the file's
		return nil, m.stream.refuse(m.packed.err)
	case bound.err != nil:
		return nil, bound.err
	case err != nil:
		return nil, m.fail("", "the armor of the message is damaged", err)
	case block.Type != "PGP MESSAGE":
		return nil, m.fail("", fmt.Sprintf("the file is a %s, not a message", fault.Cut(block.Type)), nil)
	}
	m.armor, bound.head = text, 0
	return block.Body, nil
}

// read begins to read the message.
func (m *pgpMessage) read(from io.Reader, size int64) (*openpgp.MessageDetails, error) {
	// What is compressed in what is compressed is held by the library, for our own count does not see it; what is compressed once, by ours, which says so.
	most, ratio := int64(m.limits.MaxUnpacked), int64(m.limits.MaxRatio)
	if size >= 0 {
		most = min(most, max(fault.RatioFrom, (size+1)*ratio))
	}
	most += fault.RatioFrom
	at := m.u.staging.At
	keys := &sessionKeys{m: m, r: asBuffered(from)}
	body, err := openpgp.ReadMessage(keys, m.ring.all, nil, &packet.Config{Time: func() time.Time { return at.Add(pgpSkew) }, MaxDecompressedMessageSize: &most})
	switch {
	case keys.err != nil:
		return nil, keys.err
	case err != nil:
		return nil, err
	case !body.IsEncrypted && m.ring.decrypt:
		return nil, m.fail("", "the message is not encrypted, as this job asks it to be", nil)
	case !body.IsSigned && len(m.ring.verify) > 0:
		return nil, m.fail("", "the message is not signed, as this job asks it to be (pgp.verify)", nil)
	}
	return body, nil
}

// check judges the signature once all of the message was read, and that nothing follows.
func (m *pgpMessage) check(body *openpgp.MessageDetails) error {
	if m.armor != nil {
		rest, err := io.ReadAll(io.LimitReader(m.armor, 1<<10))
		if err != nil {
			return m.stream.refuse(err)
		}
		text := strings.TrimPrefix(strings.TrimSpace(string(rest)), "-----END PGP MESSAGE-----")
		if text != "" || len(rest) == 1<<10 {
			return m.fail("", "something follows the end of the message", nil)
		}
	}
	if len(m.ring.verify) == 0 {
		return nil
	}
	if body.SignatureError != nil || body.SignedBy == nil || body.Signature == nil {
		return m.fail("", "the signature does not hold: "+m.signature(body.SignatureError), body.SignatureError)
	}
	for _, e := range m.ring.verify { // of the keys that may decrypt none may sign
		if e != body.SignedBy.Entity {
			continue
		}
		if _, good := e.SigningKeyById(m.u.staging.At, body.SignedBy.PublicKey.KeyId, nil); !good {
			return m.fail("", "the signature does not hold: its key has expired, or was revoked", nil)
		}
		return nil
	}
	return m.fail("", "the signature does not hold: "+m.signature(pgperrors.ErrUnknownIssuer), nil)
}

// signature says why a signature is none.
func (m *pgpMessage) signature(err error) string {
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return "it is by a key that the job does not know (pgp.verify)"
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return "its key has expired"
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return "its key was revoked"
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return "it has expired, or is of a time to come"
	case err == nil:
		return "there is none"
	}
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "openpgp: "), "invalid signature: ")
}

// refuse says in words what is wrong with the message; trouble in reading it stays what it is.
func (m *pgpMessage) refuse(err error) error {
	var file *formats.FileError
	var unsupported pgperrors.UnsupportedError
	switch {
	case errors.As(err, &file):
		return err
	case m.packed.err != nil:
		return m.stream.refuse(m.packed.err)
	case errors.Is(err, pgperrors.ErrKeyIncorrect):
		return m.fail("", "the message is not encrypted for a key of this job (pgp.decrypt)", err)
	case errors.Is(err, pgperrors.ErrMessageTooLarge):
		return m.fail("max_ratio", fmt.Sprintf("the message unpacks to more than %d times its size (max_ratio)", m.limits.MaxRatio), err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return m.fail("", "truncated: the file ends inside the message", err)
	case errors.As(err, &unsupported) && strings.Contains(string(unsupported), "integrity"):
		return m.fail("", "the message is not protected against being changed (no MDC): encrypt it with a program of this century", err)
	}
	return m.fail("", "the message is damaged, was changed, or is made in a way that is not read: "+strings.TrimPrefix(err.Error(), "openpgp: "), err)
}
