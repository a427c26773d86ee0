package jobs

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"go.yaml.in/yaml/v4"

	"waybill/ledger"
)

// pgpPair makes a key: its two halves, armored, and itself.
func pgpPair(t *testing.T, name string) (private, public string, e *openpgp.Entity) {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	export := func(kind string, write func(io.Writer) error) string {
		var b bytes.Buffer
		w, err := armor.Encode(&b, kind, nil)
		if err == nil {
			err = write(w)
		}
		if err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	return export("PGP PRIVATE KEY BLOCK", func(w io.Writer) error { return e.SerializePrivateWithoutSigning(w, nil) }), export("PGP PUBLIC KEY BLOCK", e.Serialize), e
}

func sealed(t *testing.T, text string, to, by *openpgp.Entity) string {
	t.Helper()
	var b bytes.Buffer
	w, err := openpgp.Encrypt(&b, []*openpgp.Entity{to}, nil, []*openpgp.Entity{by}, nil, nil)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

// inYAML is a text as YAML.
func inYAML(t *testing.T, text string) string {
	t.Helper()
	b, err := yaml.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(string(b), "|") {
		return fmt.Sprintf("%q", text)
	}
	return strings.TrimSpace(string(b))
}

func TestEncryptedFilesAreWorkedOnceTheyAreVerified(t *testing.T) {
	t.Parallel()
	private, _, us := pgpPair(t, "us")
	_, public, them := pgpPair(t, "them")
	_, _, stranger := pgpPair(t, "stranger")
	job := strings.Replace(lines, "read:", fmt.Sprintf("unpack: pgp\npgp: {decrypt: %s, verify: %s}\nread:", inYAML(t, private), inYAML(t, public)), 1)
	zipped := strings.Replace(job, "unpack: pgp", "unpack: [pgp, zip]", 1)
	p := newPlant(t, "orders", job, "days", strings.Replace(zipped, `"*.csv"`, `"*.zip.pgp"`, 1))
	p.run()
	good := p.land1("a.csv", sealed(t, orderLines(1, 3), us, them))
	p.await(good, ledger.Delivered)
	day := p.land1("day.zip.pgp", sealed(t, zipOf(t, "a.csv", orderLines(4, 5)), us, them))
	p.await(day, ledger.Delivered)
	if n := len(p.erp.bodies()); n != 5 {
		t.Errorf("%d messages", n)
	}
	changed := []byte(sealed(t, orderLines(6, 6000), us, them))
	changed[len(changed)-3000] ^= 1
	for want, text := range map[string]string{
		"signature does not hold: it is by a key that the job does not know": sealed(t, orderLines(7, 7), us, stranger),
		"not encrypted for a key of this job":                                sealed(t, orderLines(8, 8), stranger, them),
		"was changed":                                                        string(changed),
	} {
		e := p.await(p.land1(fmt.Sprintf("%.5s.csv", want), text), ledger.Rejected)
		if !strings.Contains(e.Reason, want) || e.Records != 0 {
			t.Errorf("%q, %d records, want %q", e.Reason, e.Records, want)
		}
	}
	if n := len(p.erp.bodies()); n != 5 {
		t.Errorf("%d messages", n)
	}
	if reason := p.worker.Jobs().door("x.csv", "no;qty\n1;2\n"); !strings.Contains(reason, "not an OpenPGP message; expected is CSV in utf-8, encrypted with pgp") {
		t.Errorf("at the door: %q", reason)
	}
	if reason := p.worker.Jobs().door("x.csv", sealed(t, orderLines(1, 1), us, them)); reason != "" {
		t.Errorf("at the door: %q", reason)
	}
	if reason := p.worker.Jobs().door("x.zip.pgp", sealed(t, "no zip", us, them)); reason != "" {
		t.Errorf("at the door: %q", reason)
	}
}

func TestFilesOfAgePassThrough(t *testing.T) {
	t.Parallel()
	us, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	p := newPlant(t, "files", fmt.Sprintf("receive: {source: in, files: '*.age'}\nunpack: age\nage: {identities: %s}\nread: none\nsend: [{to: files, each: file, name: '{file.stem}'}]", us))
	p.run()
	var b bytes.Buffer
	w, err := age.Encrypt(&b, us.Recipient())
	p.must(err)
	text := strings.Repeat("a scan\x00", 100_000)
	_, err = io.WriteString(w, text)
	p.must(err)
	p.must(w.Close())
	p.await(p.land1("scan.pdf.age", b.String()), ledger.Delivered)
	if got := p.erp.bodies(); len(got) != 1 || got[0] != text {
		t.Errorf("%d files", len(got))
	}
	if e := p.await(p.land1("cut.age", b.String()[:b.Len()-10]), ledger.Rejected); !strings.Contains(e.Reason, "age: ") {
		t.Error(e.Reason)
	}
}

func TestKeysThatWereNotReadDecryptNothing(t *testing.T) {
	t.Parallel()
	o := parseOptions(t, strings.Replace(lines, "read:", "unpack: pgp\npgp: {decrypt: not-known-here}\nread:", 1))
	if _, problems := Compile("orders", o, Environment{Blind: true}); len(problems) > 0 {
		t.Error(problems)
	}
	if _, problems := Compile("orders", o, Environment{}); len(problems) != 1 || problems[0].Path != "pgp.decrypt[0]" {
		t.Error(problems)
	}
}
