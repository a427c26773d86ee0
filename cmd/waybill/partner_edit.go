package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"waybill/config"
	"waybill/watcher/sftpd"
)

// errByHand says that the place where something would be written is not one that this program can change without touching
// what a person wrote there.
var errByHand = errors.New("write it by hand")

// A pencil changes one line of a partner's YAML and leaves all others as they are.
type pencil struct {
	lines []string
	first int // index of the partner's own line
	inner int // how deep his keys stand
	end   int // index behind the last line of his
}

var (
	plainKey    = regexp.MustCompile(`^( *)("[^"]*"|'[^']*'|[^\s"'#:{\[]+):\s*(#.*)?$`)
	plainScalar = regexp.MustCompile(`^( *[a-z_]+: *)("[^"]*"|'[^']*'|[^\s"'#\[{|>&*!]+)?(\s*(?:#.*)?)$`)
)

// take points a pencil at the partner whose key stands in a line, counted from 1.
func take(text string, line int) (*pencil, error) {
	p := &pencil{lines: strings.SplitAfter(text, "\n"), first: line - 1}
	if line < 1 || line > len(p.lines) {
		return nil, errByHand
	}
	own := plainKey.FindStringSubmatch(bare(p.lines[p.first]))
	if own == nil {
		return nil, errByHand // {…} on one line, or the like
	}
	p.end = len(p.lines)
	for i := p.first + 1; i < len(p.lines); i++ {
		text := bare(p.lines[i])
		if strings.TrimSpace(text) == "" || strings.HasPrefix(strings.TrimSpace(text), "#") {
			continue
		}
		depth := len(text) - len(strings.TrimLeft(text, " "))
		if depth <= len(own[1]) {
			p.end = i
			break
		}
		if p.inner == 0 {
			p.inner = depth
		}
	}
	if p.inner == 0 {
		return nil, errByHand
	}
	return p, nil
}

func bare(line string) string { return strings.TrimRight(line, "\r\n") }

// set gives a key of the partner a value, in its place if it is there, else as his first key.
func (p *pencil) set(key, value string) (string, error) {
	prefix := strings.Repeat(" ", p.inner) + key + ":"
	for i := p.first + 1; i < p.end; i++ {
		if !strings.HasPrefix(p.lines[i], prefix) {
			continue
		}
		m := plainScalar.FindStringSubmatch(bare(p.lines[i]))
		if m == nil || m[2] == "" {
			return "", errByHand
		}
		lines := slices.Clone(p.lines)
		lines[i] = m[1] + value + m[3] + p.lines[i][len(bare(p.lines[i])):]
		return strings.Join(lines, ""), nil
	}
	own := p.lines[p.first]
	end := own[len(bare(own)):]
	return strings.Join(slices.Insert(slices.Clone(p.lines), p.first+1, prefix+" "+value+end), ""), nil
}

// change gives a key of a partner a value in the file where he stands, if the configuration is right with it and nothing else is changed.
func (p *program) change(ctx context.Context, name, key, value string) (file string, err error) {
	l, err := p.load(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = l.close() }() // nothing was used
	if _, err := l.member(name); err != nil {
		return "", err
	}
	place := l.config.Locate("partners."+name, "")
	text, err := os.ReadFile(place.File)
	if err != nil {
		return "", err
	}
	byHand := fmt.Errorf("%s:%d: partner %s is written in a way that this command does not change: write %s: %s there yourself, then waybill check", place.File, place.Line, name, key, value)
	pen, err := take(string(text), place.Line)
	if err != nil {
		return "", byHand
	}
	changed, err := pen.set(key, value)
	if err != nil {
		return "", byHand
	}
	was, err := p.imagine(ctx, place.File, changed)
	if err != nil {
		return "", err
	}
	for _, d := range config.Diff(l.config, was) {
		ours := d.Section == "partners" && d.Name == name
		if !ours || slices.ContainsFunc(d.Edits, func(e config.Edit) bool { return e.Path != key }) {
			return "", byHand
		}
	}
	return place.File, replaceFile(place.File, []byte(changed))
}

// imagine loads the configuration as it would be with another text in one of its files.
func (p *program) imagine(ctx context.Context, file, text string) (*config.Config, error) {
	env := config.System()
	read, glob := env.ReadFile, env.Glob
	same := func(path string) bool {
		a, errA := filepath.Abs(path)
		b, errB := filepath.Abs(file)
		return errA == nil && errB == nil && a == b
	}
	env.ReadFile = func(path string) ([]byte, error) {
		if same(path) {
			return []byte(text), nil
		}
		return read(path)
	}
	env.Glob = func(pattern string) ([]string, error) {
		found, err := glob(pattern)
		if ok, _ := filepath.Match(pattern, file); ok && !slices.ContainsFunc(found, same) {
			found = append(found, file)
		}
		return found, err
	}
	c, mistakes, err := p.read(ctx, env)
	if err != nil {
		return nil, err
	}
	if c != nil {
		l, more := build(c, p.now)
		mistakes = append(mistakes, more...)
		_ = l.close() // nothing has used it
	}
	if len(mistakes) > 0 {
		return nil, p.mistakes(mistakes.Sort())
	}
	return c, nil
}

// replaceFile writes a file whole or not at all, with the owner and the mode of the one before; a new one belongs to the group of
// its folder, who may read it.
func replaceFile(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".waybill-*")
	if err != nil {
		return err
	}
	temporary := f.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary))
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = likeBefore(f, path)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func likeBefore(f *os.File, path string) error {
	mode, uid, gid := fs.FileMode(0o640), -1, -1
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = os.Stat(filepath.Dir(path))
	} else if err == nil {
		mode = info.Mode().Perm()
	}
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		uid, gid = int(st.Uid), int(st.Gid)
	}
	own, err := f.Stat()
	if err != nil {
		return err
	}
	if st, ok := own.Sys().(*syscall.Stat_t); ok && (int(st.Uid) != uid || int(st.Gid) != gid) {
		if err := f.Chown(uid, gid); err != nil {
			return fmt.Errorf("give %s the owner it has: %w: run this as root, or as that user", path, err)
		}
	}
	return f.Chmod(mode)
}

// text of YAML that means exactly s.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", "$${").Replace(s) + `"`
}

// yaml writes a partner as a file of its own.
func newPartner(name string, keys []sftpd.Key, texts []string, o partnerFlags, hash string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "partners:\n  %s:\n", name)
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "    %s: %s\n", key, quoted(value))
		}
	}
	line("group", o.group)
	if len(keys) > 0 {
		b.WriteString("    keys:\n")
		for i, k := range keys {
			fmt.Fprintf(&b, "      - %s # %s\n", quoted(texts[i]), k.Fingerprint())
		}
	}
	line("password", hash)
	if len(o.networks) > 0 {
		b.WriteString("    networks:\n")
		for _, n := range o.networks {
			fmt.Fprintf(&b, "      - %s\n", quoted(n))
		}
	}
	line("expires", o.expires)
	if o.email != "" || o.language != "" {
		b.WriteString("    contact:\n")
		for _, f := range [][2]string{{"email", o.email}, {"language", o.language}} {
			if f[1] != "" {
				fmt.Fprintf(&b, "      %s: %s\n", f[0], quoted(f[1]))
			}
		}
	}
	if len(keys) == 0 && hash == "" {
		b.WriteString("    disabled: true # until there is a key: then waybill partner enable\n")
	}
	return b.String()
}
