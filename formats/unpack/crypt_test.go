package unpack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"filippo.io/age"
	agearmor "filippo.io/age/armor"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"waybill/formats"
	"waybill/formats/formatstest"
)

// landedAt is when the files of these tests land; the keys were made an hour before.
func landedAt() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func pgpConfig(at time.Time) *packet.Config {
	return &packet.Config{Time: func() time.Time { return at }, Algorithm: packet.PubKeyAlgoEdDSA}
}

// pgpKey makes a key; change may change how.
func pgpKey(t testing.TB, name string, change ...func(*packet.Config)) *openpgp.Entity {
	t.Helper()
	c := pgpConfig(landedAt().Add(-time.Hour))
	for _, f := range change {
		f(c)
	}
	e, err := openpgp.NewEntity(name, "", name+"@example.org", c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// exported is a key as it stands in a configuration.
func exported(t testing.TB, e *openpgp.Entity, private bool) string {
	t.Helper()
	var b bytes.Buffer
	kind, write := "PGP PUBLIC KEY BLOCK", e.Serialize
	if private {
		kind, write = "PGP PRIVATE KEY BLOCK", func(w io.Writer) error { return e.SerializePrivateWithoutSigning(w, nil) }
	}
	w, err := armor.Encode(&b, kind, nil)
	if err == nil {
		err = errors.Join(write(w), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// pgpMade encrypts text for to, none for a message that is only signed, and signs it.
func pgpMade(t testing.TB, text []byte, to, by *openpgp.Entity, change ...func(*packet.Config)) []byte {
	t.Helper()
	c := pgpConfig(landedAt().Add(-time.Minute))
	for _, f := range change {
		f(c)
	}
	var b bytes.Buffer
	var signers []*openpgp.Entity
	if by != nil {
		signers = append(signers, by)
	}
	var w io.WriteCloser
	var err error
	if to != nil {
		w, err = openpgp.Encrypt(&b, []*openpgp.Entity{to}, nil, signers, nil, c)
	} else {
		w, err = openpgp.Sign(&b, signers, nil, c)
	}
	if err == nil {
		_, err = w.Write(text)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func armored(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, "PGP MESSAGE", nil)
	if err == nil {
		_, err = w.Write(data)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// opened is what comes out of one file, with the time at which it landed.
func opened(t testing.TB, data []byte, kinds string, k Keys, l formats.Limits) (string, error) {
	t.Helper()
	u, ps := New(strings.Fields(kinds), l, k)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	left := 0
	staging := Staging{At: landedAt(), Temp: func() (*os.File, error) {
		left++
		return formats.TempFile()
	}}
	inner, end, err := u.Open(formats.Blob{Name: "x", Reader: bytes.NewReader(data), ReaderAt: bytes.NewReader(data), Size: int64(len(data))}, staging)
	defer end()
	if err != nil {
		return "", err
	}
	out, err := io.ReadAll(inner.Reader)
	return string(out), err
}

func compressed(c *packet.Config) { c.DefaultCompressionAlgo = packet.CompressionZLIB }

func TestPGPIsOpenedAndVerified(t *testing.T) {
	t.Parallel()
	us, them, old := pgpKey(t, "us", compressed), pgpKey(t, "them"), pgpKey(t, "old")
	k := Keys{PGP: &PGP{Decrypt: []string{exported(t, old, true), exported(t, us, true)}}}
	signed := Keys{PGP: &PGP{Decrypt: k.PGP.Decrypt, Verify: []string{exported(t, old, false), exported(t, them, false)}}}
	only := Keys{PGP: &PGP{Verify: signed.PGP.Verify}}
	locked := pgpKey(t, "locked")
	text := strings.Repeat("a,b\n1,2\n", 300_000)
	small := "a,b\n1,2\n"
	aead := func(c *packet.Config) { c.AEADConfig = &packet.AEADConfig{DefaultMode: packet.AEADModeOCB} }
	secret := func() Keys {
		if err := locked.EncryptPrivateKeys([]byte("open sesame"), nil); err != nil {
			t.Fatal(err)
		}
		return Keys{PGP: &PGP{Decrypt: []string{exported(t, locked, true)}, Passphrase: "open sesame"}}
	}
	for name, c := range map[string]struct {
		data []byte
		k    Keys
		want string
	}{
		"plain":           {pgpMade(t, []byte(small), us, nil), k, small},
		"large":           {pgpMade(t, []byte(text), us, nil), k, text},
		"compressed":      {pgpMade(t, []byte(small), us, them, compressed), signed, small},
		"armored":         {armored(t, pgpMade(t, []byte(text), us, them)), signed, text},
		"and a line":      {append(armored(t, pgpMade(t, []byte(small), us, nil)), '\n', '\n'), k, small},
		"AEAD":            {pgpMade(t, []byte(text), us, them, aead), signed, text},
		"not looked at":   {pgpMade(t, []byte(small), us, pgpKey(t, "stranger")), k, small},
		"only signed":     {pgpMade(t, []byte(small), nil, them), only, small},
		"with passphrase": {pgpMade(t, []byte(small), locked, nil), secret(), small},
		"empty":           {pgpMade(t, nil, us, them), signed, ""},
	} {
		if got, err := opened(t, c.data, "pgp", c.k, formats.Limits{}); err != nil || got != c.want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// Hostile input 38: not one byte of a message comes out unless all of it is authentic.
func TestHostilePGPIsRefusedBeforeAnyByteIsUsed(t *testing.T) {
	t.Parallel()
	us, them, stranger := pgpKey(t, "us", compressed), pgpKey(t, "them"), pgpKey(t, "stranger")
	expired := pgpKey(t, "expired", func(c *packet.Config) { c.KeyLifetimeSecs = 60 * 59 }) // signs before, lands after
	k := Keys{PGP: &PGP{Decrypt: []string{exported(t, us, true)}, Verify: []string{exported(t, them, false), exported(t, expired, false)}}}
	loose := Keys{PGP: &PGP{Decrypt: k.PGP.Decrypt}}
	only := Keys{PGP: &PGP{Verify: k.PGP.Verify}}
	text := []byte(strings.Repeat("a,b\n1,2\n", 1000))
	good := pgpMade(t, text, us, them)
	flip := func(data []byte, at int) []byte {
		data = bytes.Clone(data)
		data[(at+len(data))%len(data)] ^= 1
		return data
	}
	plain := pgpMade(t, text, us, nil)
	for name, c := range map[string]struct {
		data []byte
		k    Keys
		l    formats.Limits
		want string
	}{
		"wrong recipient":       {pgpMade(t, text, stranger, them), k, formats.Limits{}, "not encrypted for a key of this job"},
		"not encrypted":         {pgpMade(t, text, nil, them), k, formats.Limits{}, "the message is not encrypted"},
		"encrypted, only keys":  {good, only, formats.Limits{}, "not encrypted for a key of this job"},
		"not signed":            {plain, k, formats.Limits{}, "the message is not signed"},
		"signed by a stranger":  {pgpMade(t, text, us, stranger), k, formats.Limits{}, "by a key that the job does not know"},
		"signed by ourselves":   {pgpMade(t, text, us, us), k, formats.Limits{}, "by a key that the job does not know"},
		"expired key":           {pgpMade(t, text, us, expired, func(c *packet.Config) { c.Time = func() time.Time { return landedAt().Add(-30 * time.Minute) } }), k, formats.Limits{}, "its key has expired"},
		"expired signature":     {pgpMade(t, text, us, them, func(c *packet.Config) { c.SigLifetimeSecs = 5 }), k, formats.Limits{}, "it has expired"},
		"of tomorrow":           {pgpMade(t, text, us, them, func(c *packet.Config) { c.Time = func() time.Time { return landedAt().Add(24 * time.Hour) } }), k, formats.Limits{}, "of a time to come"},
		"changed at the end":    {flip(plain, -3), loose, formats.Limits{}, "was changed"},
		"changed in the middle": {flip(plain, -4000), loose, formats.Limits{}, "was changed"},
		"changed and signed":    {flip(good, -2000), k, formats.Limits{}, "was changed"},
		"truncated":             {plain[:len(plain)-100], loose, formats.Limits{}, "pgp: "},
		"cut after its head":    {plain[:20], loose, formats.Limits{}, "pgp: "},
		"junk behind":           {append(bytes.Clone(plain), "junk"...), loose, formats.Limits{}, "pgp: "},
		"twice":                 {append(bytes.Clone(plain), plain...), loose, formats.Limits{}, "pgp: "},
		"junk behind armor":     {append(armored(t, plain), "junk"...), loose, formats.Limits{}, "something follows the end"},
		"no MDC":                {withoutMDC(t, plain), loose, formats.Limits{}, "not protected against being changed"},
		"no message":            {[]byte("a,b\n1,2\n"), loose, formats.Limits{}, "not an OpenPGP message"},
		"empty":                 {nil, loose, formats.Limits{}, "the file is empty"},
		"a key":                 {[]byte(exported(t, us, false)), loose, formats.Limits{}, "PGP PUBLIC KEY BLOCK, not a message"},
		"clear-signed":          {[]byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\na,b\n"), only, formats.Limits{}, "pgp: "},
		"bomb":                  {pgpMade(t, make([]byte, 32<<20), us, nil, compressed), loose, formats.Limits{}, "max_ratio"},
		"bomb by size":          {pgpMade(t, make([]byte, 4<<20), us, nil, compressed), loose, formats.Limits{MaxUnpacked: 2 << 20, MaxRatio: 100_000}, "max_unpacked"},
		"bomb in a bomb":        {nested(t, us, 3), loose, formats.Limits{}, "pgp: "},
		"quine-like":            {nested(t, us, 40), loose, formats.Limits{}, "pgp: "},
	} {
		begun := time.Now()
		got, err := opened(t, c.data, "pgp", c.k, c.l)
		var f *formats.FileError
		if !errors.As(err, &f) || f.Offset < 0 || !strings.Contains(err.Error()+f.Limit, c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if got != "" {
			t.Errorf("%s: %d bytes came out", name, len(got))
		}
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("%s took %s", name, took)
		}
	}
}

// withoutMDC makes of a message one of the kind that nothing protects, as programs of the last century did.
func withoutMDC(t *testing.T, data []byte) []byte {
	t.Helper()
	at := 2 + int(data[1]) // behind the packet of the session key
	if data[0] != 0xC0|1 || data[1] >= 192 || data[at] != 0xC0|18 {
		t.Fatalf("the message begins otherwise: %x", data[:4])
	}
	return append(append(bytes.Clone(data[:at]), 0xC0|9, 100), make([]byte, 100)...)
}

// nested is a message of 4 MiB of zeros in so many compressed packets.
func nested(t *testing.T, to *openpgp.Entity, depth int) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.Write(append([]byte{0xC0 | 11, 0xFF, 0, 0x40, 0, 6, 'b', 0, 0, 0, 0, 0}, make([]byte, 4<<20)...)); err != nil {
		t.Fatal(err)
	}
	for range depth {
		inner := bytes.Clone(b.Bytes())
		b.Reset()
		w, err := packet.SerializeCompressed(nopCloser{&b}, packet.CompressionZIP, nil)
		if err == nil {
			_, err = w.Write(inner)
			err = errors.Join(err, w.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	key, ok := to.EncryptionKey(landedAt(), nil)
	if !ok {
		t.Fatal("no key to encrypt for")
	}
	var out bytes.Buffer
	session := bytes.Repeat([]byte{7}, 32)
	if err := packet.SerializeEncryptedKey(&out, key.PublicKey, packet.CipherAES256, session, nil); err != nil {
		t.Fatal(err)
	}
	w, err := packet.SerializeSymmetricallyEncrypted(&out, packet.CipherAES256, false, packet.CipherSuite{}, session, nil)
	if err == nil {
		_, err = w.Write(b.Bytes())
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func TestWrongKeysAreToldWithoutAWordOfThem(t *testing.T) {
	t.Parallel()
	us := pgpKey(t, "us")
	open, public := exported(t, us, true), exported(t, us, false)
	if err := us.EncryptPrivateKeys([]byte("open sesame"), nil); err != nil {
		t.Fatal(err)
	}
	locked := exported(t, us, true)
	for want, k := range map[string]Keys{
		"[pgp: is missing: unpack says pgp, so say with which keys]":                                                                {},
		"[pgp: has no keys: say decrypt, verify or both]":                                                                           {PGP: &PGP{}},
		"[pgp.decrypt[0]: is no armored private key (-----BEGIN PGP PRIVATE KEY BLOCK-----)]":                                       {PGP: &PGP{Decrypt: []string{"s3cret"}}},
		"[pgp.decrypt[1]: holds a public key only: a private key is needed to decrypt]":                                             {PGP: &PGP{Decrypt: []string{open, public}}},
		"[pgp.decrypt[0]: is encrypted: say pgp.passphrase]":                                                                        {PGP: &PGP{Decrypt: []string{locked}}},
		"[pgp.decrypt[0]: cannot be opened with pgp.passphrase]":                                                                    {PGP: &PGP{Decrypt: []string{locked}, Passphrase: "wr0ng"}},
		"[age: goes with unpack: age]":                                                                                              {PGP: &PGP{Decrypt: []string{open}}, Age: &Age{}},
		"[pgp.verify[0]: is no armored public key (-----BEGIN PGP PUBLIC KEY BLOCK-----): invalid argument: no armored data found]": {PGP: &PGP{Verify: []string{"x"}}},
		"[]": {PGP: &PGP{Decrypt: []string{locked}, Passphrase: "open sesame", Verify: []string{public}}},
	} {
		if _, ps := New([]string{"pgp"}, formats.Limits{}, k); fmt.Sprint(ps) != want {
			t.Errorf("%v, want %s", ps, want)
		}
	}
	for want, k := range map[string]Keys{
		"[age.identities[0]: is no identity of age: a line AGE-SECRET-KEY-1… is expected]": {Age: &Age{Identities: []string{"AGE-SECRET-KEY-1s3cret"}}},
		"[age: has no keys: say identities, passphrase or both]":                           {Age: &Age{}},
		"[]": {Age: &Age{Identities: []string{"what cannot be read here"}}, Unknown: true},
	} {
		if _, ps := New([]string{"age"}, formats.Limits{}, k); fmt.Sprint(ps) != want {
			t.Errorf("%v, want %s", ps, want)
		}
	}
}

// aged encrypts with age.
func aged(t testing.TB, text []byte, armored bool, to ...age.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	var out io.WriteCloser = nopCloser{&b}
	if armored {
		out = agearmor.NewWriter(&b)
	}
	w, err := age.Encrypt(out, to...)
	if err == nil {
		_, err = w.Write(text)
		err = errors.Join(err, w.Close(), out.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAgeIsOpened(t *testing.T) {
	t.Parallel()
	us, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	pass, err := age.NewScryptRecipient("open sesame")
	if err != nil {
		t.Fatal(err)
	}
	pass.SetWorkFactor(10)
	dear := bytes.Replace(aged(t, []byte("a,b\n"), false, pass), []byte(" 10\n"), []byte(" 19\n"), 1) // costs nothing to make: it is refused before it is worked
	k := Keys{Age: &Age{Identities: []string{"# created: today\n" + us.String() + "\n"}, Passphrase: "open sesame"}}
	text := []byte(strings.Repeat("a,b\n1,2\n", 50_000))
	good := aged(t, text, false, us.Recipient())
	changed := bytes.Clone(good)
	changed[len(changed)-10] ^= 1
	for name, data := range map[string][]byte{
		"plain": good, "armored": aged(t, text, true, stranger.Recipient(), us.Recipient()), "passphrase": aged(t, text, false, pass),
	} {
		if got, err := opened(t, data, "age", k, formats.Limits{}); err != nil || got != string(text) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for name, c := range map[string]struct {
		data []byte
		l    formats.Limits
		want string
	}{
		"wrong recipient":  {aged(t, text, false, stranger.Recipient()), formats.Limits{}, "not encrypted for a key of this job"},
		"costly":           {dear, formats.Limits{}, "work factor too large"},
		"changed":          {changed, formats.Limits{}, "was changed"},
		"cut between":      {good[:len(good)-len(good)%65552], formats.Limits{}, "age: "},
		"cut":              {good[:len(good)-5], formats.Limits{}, "age: "},
		"cut in its head":  {good[:50], formats.Limits{}, "truncated"},
		"junk behind":      {append(bytes.Clone(good), 'x'), formats.Limits{}, "age: "},
		"no age":           {[]byte("a,b\n"), formats.Limits{}, "not encrypted with age"},
		"empty":            {nil, formats.Limits{}, "the file is empty"},
		"larger than said": {good, formats.Limits{MaxUnpacked: 100_000}, "max_unpacked"},
	} {
		_, err := opened(t, c.data, "age", k, c.l)
		var f *formats.FileError
		if !errors.As(err, &f) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestWhatIsPackedInWhatIsEncrypted(t *testing.T) {
	t.Parallel()
	us := pgpKey(t, "us")
	k := Keys{PGP: &PGP{Decrypt: []string{exported(t, us, true)}}}
	zip := zipWith(t, file("a.csv", []byte("1")), file("b.csv", bytes.Repeat([]byte("2"), 5000)))
	u, ps := New([]string{"pgp", "gzip", "zip"}, formats.Limits{}, k)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	data := armored(t, pgpMade(t, packAs(t, "gzip", zip), us, nil))
	var names []string
	for b, err := range u.Members(formats.Blob{Reader: bytes.NewReader(data), Size: int64(len(data))}, Staging{At: landedAt()}) {
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(b.Reader)
		names = append(names, fmt.Sprintf("%s %d %v", b.Name, len(text), err))
	}
	if s := strings.Join(names, ", "); s != "a.csv 1 <nil>, b.csv 5000 <nil>" {
		t.Error(s)
	}
	each := zipWith(t, file("a.csv.pgp", pgpMade(t, []byte("1"), us, nil)), file("b.csv.gpg", pgpMade(t, []byte("2"), us, nil)))
	if u, ps = New([]string{"zip", "pgp"}, formats.Limits{}, k); len(ps) > 0 {
		t.Fatal(ps)
	}
	names = nil
	for b, err := range u.Members(seekable(string(each)), Staging{At: landedAt()}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, b.Name)
	}
	if s := strings.Join(names, ", "); s != "a.csv, b.csv" {
		t.Error(s)
	}
}

func TestWithoutATimeNothingIsDecrypted(t *testing.T) {
	t.Parallel()
	us := pgpKey(t, "us")
	u, ps := New([]string{"pgp"}, formats.Limits{}, Keys{PGP: &PGP{Decrypt: []string{exported(t, us, true)}}})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	inner, end, err := u.Open(seekable(string(pgpMade(t, []byte("1"), us, nil))), Staging{})
	defer end()
	if err != nil {
		t.Fatal(err)
	}
	var f *formats.FileError
	if _, err := io.ReadAll(inner.Reader); err == nil || errors.As(err, &f) {
		t.Errorf("%v says something about the file", err)
	}
	_, end2, err := u.Open(seekable("a,b\n"), Staging{})
	defer end2()
	if !errors.As(err, &f) {
		t.Errorf("%v says nothing about the file", err)
	}
}

// TestMessagesOfGnuPG opens what the real gpg makes.
func TestMessagesOfGnuPG(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not installed (Debian: gpg)")
	}
	home, err := os.MkdirTemp("", "gpg") // its socket has a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	us, them := pgpKey(t, "us", real), pgpKey(t, "them", real)
	gpg := func(in []byte, args ...string) []byte {
		t.Helper()
		c := exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--yes", "--quiet", "--no-autostart", "--trust-model", "always"}, args...)...)
		c.Stdin = bytes.NewReader(in)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("gpg %v: %v: %s", args, err, stderr.Bytes())
		}
		return out
	}
	gpg([]byte(exported(t, us, false)), "--import")
	k := Keys{PGP: &PGP{Decrypt: []string{exported(t, us, true)}}}
	text := strings.Repeat("a,b\n1,2\n", 100_000)
	name := filepath.Join(home, "orders.csv")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for how, args := range map[string][]string{
		"as it does":     nil,
		"armored":        {"--armor"},
		"bzip2":          {"--compress-algo", "bzip2"},
		"not compressed": {"--compress-algo", "none", "--cipher-algo", "AES256"},
		"a file":         {name},
	} {
		made := gpg([]byte(text), append([]string{"--recipient", "us@example.org", "--output", "-", "--encrypt"}, args...)...)
		u, ps := New([]string{"pgp"}, formats.Limits{MaxRatio: 10_000}, k)
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		inner, end, err := u.Open(seekable(string(made)), Staging{At: time.Now()})
		var got []byte
		if err == nil {
			got, err = io.ReadAll(inner.Reader)
		}
		end()
		if err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", how, len(got), err)
		}
	}
	_ = them
}

func real(c *packet.Config) { c.Time = nil }

// TestFilesOfAge opens what the real age makes.
func TestFilesOfAge(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("age"); err != nil {
		t.Skip("age is not installed (Debian: age)")
	}
	us, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("a,b\n1,2\n", 100_000)
	for _, args := range [][]string{nil, {"--armor"}} {
		c := exec.Command("age", append([]string{"--recipient", us.Recipient().String()}, args...)...)
		c.Stdin = strings.NewReader(text)
		made, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := opened(t, made, "age", Keys{Age: &Age{Identities: []string{us.String()}}}, formats.Limits{}); err != nil || got != text {
			t.Errorf("%v: %d bytes, %v", args, len(got), err)
		}
	}
}

func FuzzPGP(f *testing.F) {
	us := pgpKey(f, "us")
	text := []byte("a,b\n1,2\n")
	f.Add(pgpMade(f, text, us, nil))
	f.Add(armored(f, pgpMade(f, text, us, us, compressed)))
	f.Add(pgpMade(f, text, nil, us))
	u, ps := New([]string{"pgp"}, fuzzLimits(), Keys{PGP: &PGP{Decrypt: []string{exported(f, us, true)}}})
	if len(ps) > 0 {
		f.Fatal(ps)
	}
	fuzzOpen(f, u)
}

func FuzzAge(f *testing.F) {
	us, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(aged(f, []byte("a,b\n"), false, us.Recipient()))
	f.Add(aged(f, []byte("a,b\n"), true, us.Recipient()))
	u, ps := New([]string{"age"}, fuzzLimits(), Keys{Age: &Age{Identities: []string{us.String()}}})
	if len(ps) > 0 {
		f.Fatal(ps)
	}
	fuzzOpen(f, u)
}

// fuzzOpen holds what any encryption must: no panic, limits, and words for each mistake.
func fuzzOpen(f *testing.F, u *Unpacker) {
	f.Fuzz(func(t *testing.T, data []byte) {
		inner, end, err := u.Open(formats.Blob{Reader: bytes.NewReader(data), Size: int64(len(data))}, Staging{At: landedAt()})
		defer end()
		n := int64(0)
		if err == nil {
			n, err = io.Copy(io.Discard, inner.Reader)
		}
		var fe *formats.FileError
		if err != nil && !errors.As(err, &fe) || n > int64(fuzzLimits().MaxUnpacked) {
			t.Fatalf("%d bytes, %v", n, err)
		}
	})
}

// What the libraries would gather in memory before anything of it is used.
func TestArmorWithoutEndTakesNoMemory(t *testing.T) {
	us, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		kind, head, more string
		k                Keys
		want             string
	}{
		"line of a PGP head": {"pgp", "-----BEGIN PGP MESSAGE-----\nComment: ", "x", Keys{PGP: &PGP{Decrypt: []string{exported(t, pgpKey(t, "us"), true)}}}, "a line of more than 1024 bytes"},
		"PGP head":           {"pgp", "-----BEGIN PGP MESSAGE-----\n", "Comment: x\n", Keys{PGP: &PGP{Decrypt: []string{exported(t, pgpKey(t, "us"), true)}}}, "the head of the armor is longer than"},
		"line of age":        {"age", ageArmor + "\n", "x", Keys{Age: &Age{Identities: []string{us.String()}}}, "a line of more than 1024 bytes"},
	} {
		u, ps := New([]string{c.kind}, formats.Limits{}, c.k)
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		long := &formatstest.Endless{Text: []byte(c.more), Left: 64 << 20}
		_, end, err := u.Open(formats.Blob{Reader: io.MultiReader(strings.NewReader(c.head), long), Size: -1}, Staging{At: landedAt()})
		end()
		var f *formats.FileError
		if !errors.As(err, &f) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if long.Taken > 1<<20 {
			t.Errorf("%s: %d bytes were taken", name, long.Taken)
		}
	}
}

func TestArmorThatCannotBeReadIsNoFaultOfTheFile(t *testing.T) {
	t.Parallel()
	k := Keys{PGP: &PGP{Decrypt: []string{exported(t, pgpKey(t, "us"), true)}}}
	u, ps := New([]string{"pgp"}, formats.Limits{}, k)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	_, end, err := u.Open(formats.Blob{Reader: io.MultiReader(strings.NewReader("-----BEGIN PGP MESSAGE-----\n"), iotest.ErrReader(errGone)), Size: -1}, Staging{At: landedAt()})
	end()
	var f *formats.FileError
	if err == nil || errors.As(err, &f) || !strings.Contains(err.Error(), "the disk is gone") {
		t.Error(err)
	}
}
