package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"waybill/config"
	"waybill/watcher/sftpd"
)

// partnerFlags are what waybill partner add is told.
type partnerFlags struct {
	group, expires, email, language string
	keys, networks                  []string
	password                        bool
}

func (p *program) partnerAdd() *cobra.Command {
	var o partnerFlags
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a partner: writes partners.d/NAME.yaml beside the configuration",
		Long: `Adds a partner: writes partners.d/NAME.yaml beside the configuration, if that is right with it. A key is the line of a file that ends in .pub, or
the path of one. Without a key and a password the partner is disabled at first.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, list []string) error { return p.addPartner(c.Context(), list[0], o) },
	}
	f := c.Flags()
	f.StringVar(&o.group, "group", "", "group that sources name")
	f.StringArrayVar(&o.keys, "key", nil, "public key, or the path of a file that ends in .pub; may be repeated")
	f.StringArrayVar(&o.networks, "network", nil, "address or network he connects from; may be repeated; left out: all")
	f.StringVar(&o.expires, "expires", "", "last day of his access, such as 2027-06-30")
	f.StringVar(&o.email, "email", "", "address of a person")
	f.StringVar(&o.language, "language", "", "language of what is written to that person")
	f.BoolVar(&o.password, "password", false, "ask for a password as well; from a script it is the first line of the input")
	return c
}

// partnerName is what can stand in a configuration, and in a file's name, as it is.
var partnerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

func (p *program) addPartner(ctx context.Context, name string, o partnerFlags) error {
	if !partnerName.MatchString(name) {
		return usage("%q cannot be the name of a partner: up to 63 letters, digits, _ and -, beginning with a letter or digit", name)
	}
	l, err := p.load(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = l.close() }() // nothing was used
	if l.roster.Find(name) != nil {
		at := l.config.Locate("partners."+name, "")
		return usage("partner %s is there already: %s:%d", name, at.File, at.Line)
	}
	keys, texts, err := readKeys(o.keys)
	if err != nil {
		return err
	}
	hash := ""
	if o.password {
		if hash, err = p.askPassword(name); err != nil {
			return err
		}
	}
	file, text := p.partnerFile(name), newPartner(name, keys, texts, o, hash)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already and has another content: add the partner by hand, or move it away", file)
	}
	c, err := p.imagine(ctx, file, text)
	if err != nil {
		return err
	}
	if config.Find(c.Partners, name) == nil {
		shown := strings.ReplaceAll(text, hash, "…")
		if hash == "" {
			shown = text
		}
		return fmt.Errorf("%s does not include partners.d/*.yaml, so nothing was written. Write include: [partners.d/*.yaml] there and try again, or add by hand:\n%s", p.file, indent(shown, "  "))
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	if err := replaceFile(file, []byte(text)); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "%s stands in %s\n", name, file)
	for i := range keys {
		fmt.Fprintf(p.out, "  key %s: have him compare it\n", keys[i].Fingerprint())
	}
	if len(keys) == 0 && hash == "" {
		fmt.Fprintln(p.out, "  he is disabled, for he has neither key nor password: write keys there, then waybill partner enable "+name)
	}
	_, err = fmt.Fprintf(p.out, "waybill reload puts it in force; waybill partner check %s tells what he would meet\n", name)
	return err
}

// readKeys reads keys given as text or as files.
func readKeys(given []string) (keys []sftpd.Key, texts []string, err error) {
	for _, text := range given {
		line := strings.TrimSpace(text)
		if !strings.Contains(line, " ") {
			content, err := os.ReadFile(line)
			if err != nil {
				return nil, nil, usage("--key: %w: give the line of a public key, or the path of a file that ends in .pub", err)
			}
			line = strings.TrimSpace(string(content))
		}
		var k sftpd.Key
		if err := k.UnmarshalText([]byte(line)); err != nil {
			return nil, nil, usage("--key: %w", err)
		}
		keys, texts = append(keys, k), append(texts, line)
	}
	return keys, texts, nil
}

// askPassword reads a password, twice and unseen from a person, once from a script, and returns its hash.
func (p *program) askPassword(name string) (string, error) {
	read := func(question string) ([]byte, error) {
		f, ok := p.in.(*os.File)
		if !ok || !term.IsTerminal(int(f.Fd())) {
			line, err := bufio.NewReader(io.LimitReader(p.in, 4*sftpd.MostPassword)).ReadString('\n')
			if err != nil && !(errors.Is(err, io.EOF) && line != "") {
				return nil, usage("there is no password on the input")
			}
			return []byte(strings.TrimRight(line, "\r\n")), nil
		}
		fmt.Fprint(p.diag, question)
		defer fmt.Fprintln(p.diag)
		return term.ReadPassword(int(f.Fd()))
	}
	password, err := read("password for " + name + ": ")
	if err != nil {
		return "", err
	}
	if f, ok := p.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		again, err := read("again: ")
		if err != nil {
			return "", err
		}
		if string(again) != string(password) {
			return "", usage("the two are not the same: nothing was changed")
		}
	}
	hash, err := sftpd.HashPassword(password, rand.Reader)
	if err != nil {
		return "", usage("%w: nothing was changed", err)
	}
	return hash, nil
}

func (p *program) partnerPassword() *cobra.Command {
	return &cobra.Command{
		Use:   "password NAME",
		Short: "Give a partner a password: writes its hash where he stands",
		Long: `Gives a partner a password: asks for it twice, unseen, and writes its argon2id hash where the partner stands; the rest of the file stays as it is.
From a script the password is the first line of the input. Keys are better.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			hash, err := p.askPassword(list[0])
			if err != nil {
				return err
			}
			file, err := p.change(c.Context(), list[0], "password", quoted(hash))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.out, "%s has another password, in %s; waybill reload puts it in force and ends sessions with the old one\n", list[0], file)
			return err
		},
	}
}

// partnerAble is disable and enable.
func (p *program) partnerAble(word, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use:   word + " NAME",
		Short: short,
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, list []string) error {
			file, err := p.change(c.Context(), list[0], "disabled", fmt.Sprint(disabled))
			if err != nil {
				return err
			}
			after := "lets him log in"
			if disabled {
				after = "keeps him out and ends his sessions"
			}
			_, err = fmt.Fprintf(p.out, "%s is %sd, in %s; waybill reload %s\n", list[0], word, file, after)
			return err
		},
	}
}
