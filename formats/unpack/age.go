package unpack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"filippo.io/age"
	agearmor "filippo.io/age/armor"

	"waybill/formats"
)

// Age says with which keys files that age has encrypted are opened.
type Age struct {
	Identities []string `yaml:"identities" one:"true" as:"secret" doc:"AGE-SECRET-KEY-…, or whole files that age-keygen has made: ${credential:…} or ${file:…}; several may overlap while one is rotated"`
	Passphrase string   `yaml:"passphrase" as:"secret" doc:"for files that are encrypted with a passphrase"`
}

// ageWork bounds what it may cost to try a passphrase: 2^18 is what age itself takes, about a second and 256 MiB.
const ageWork = 18

// inTurn tries passphrases one after the other in the whole process: each try takes 256 MiB.
type inTurn struct{ age.Identity }

var passphrases = make(chan struct{}, 1)

func (i inTurn) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	passphrases <- struct{}{}
	defer func() { <-passphrases }()
	return i.Identity.Unwrap(stanzas)
}

// keys reads the identities.
func (o *Age) keys() (list []age.Identity, problems []formats.Problem) {
	for i, text := range o.Identities {
		some, err := age.ParseIdentities(strings.NewReader(text))
		if err != nil || len(some) == 0 {
			problems = append(problems, problem(fmt.Sprintf("age.identities[%d]", i), "is no identity of age: a line AGE-SECRET-KEY-1… is expected"))
		}
		list = append(list, some...)
	}
	if o.Passphrase != "" {
		p, err := age.NewScryptIdentity(o.Passphrase)
		if err != nil {
			return list, append(problems, problem("age.passphrase", "is no passphrase: "+err.Error()))
		}
		p.SetMaxWorkFactor(ageWork)
		list = append(list, inTurn{p})
	}
	if len(o.Identities) == 0 && o.Passphrase == "" {
		problems = append(problems, problem("age", "has no keys: say identities, passphrase or both"))
	}
	return list, problems
}

const (
	ageMagic = "age-encryption.org/"
	ageArmor = "-----BEGIN AGE ENCRYPTED FILE-----"
)

// decryptAge opens a file of age. Each 64 KiB of it are authentic by themselves, and that it is whole shows at the end.
func decryptAge(u *unpacking, f packed) iter.Seq2[packed, error] {
	return func(yield func(packed, error) bool) {
		s := newStream("age", f, u.limits)
		m := &ageFile{stream: s}
		head, err := s.buffer.Peek(len(ageArmor))
		var from io.Reader = s.buffer
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			err = s.refuse(err)
		case bytes.HasPrefix(head, []byte(ageMagic)):
			err = nil
		case string(head) == ageArmor:
			from, err = agearmor.NewReader(newArmorReader(s, 0)), nil
		case len(head) == 0:
			err = s.fail("", "the file is empty, not encrypted with age", nil)
		default:
			err = s.fail("", "the file is not encrypted with age", nil)
		}
		if err != nil {
			yield(packed{}, err)
			return
		}
		inner := packed{formats.Blob{Name: f.Name, Reader: unopened{}, Size: -1, Unpacked: true, ModTime: f.ModTime}, s.used, f.member}
		if len(u.keys.age) > 0 && !u.staging.At.IsZero() {
			body, err := age.Decrypt(from, u.keys.age...)
			if err != nil {
				yield(packed{}, m.refuse(err))
				return
			}
			inner.Reader = &limitedReader{r: body, kind: "age", name: "the file", u: u, used: s.used, at: s.offset, tells: m.refuse}
		}
		yield(inner, nil)
	}
}

// An ageFile is one being opened.
type ageFile struct{ *stream }

// refuse says in words what is wrong with the file; trouble in reading it stays what it is.
func (m *ageFile) refuse(err error) error {
	var file *formats.FileError
	var foreign *age.NoIdentityMatchError
	switch {
	case errors.As(err, &file):
		return err
	case m.packed.err != nil:
		return m.stream.refuse(m.packed.err)
	case errors.As(err, &foreign):
		return m.fail("", "the file is not encrypted for a key of this job (age.identities), or with another passphrase", nil)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return m.fail("", "truncated: the file ends inside the encrypted data", err)
	}
	return m.fail("", "the file is damaged, was changed, or something follows its end: "+err.Error(), err)
}
