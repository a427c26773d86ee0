package watcher

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"
	"time"

	"waybill/ledger"
)

// A Companion is the file that a sender lays beside each file to say that it is complete, or what its digest is.
// Files wait for theirs; companions are never landed themselves and leave together with their file.
type Companion struct {
	// Name is its name, where * stands for the name of the file ("*.done": orders.csv.done) and {stem} for that name
	// without its ending ("{stem}.ok": orders.ok). One that ends in .md5 or .sha256 holds this digest of the file, as
	// md5sum writes it, and the file is taken only if it is right.
	Name string
	// Files tells which files wait for one; nil: all.
	Files func(path string) bool
	// Keep: what it says is kept with the file, as ledger.RoleCompanion.
	Keep bool
}

// A vouch is what the companion of a file came to.
type vouch struct {
	companion Companion
	file      File   // the companion
	text      []byte // what it says, when that is needed
	digest    []byte // of the file, nil where it tells none
	reason    string // it is not there, or not yet what it must be
	wait      time.Duration
}

// errMismatch is what a file whose digest is wrong ends with instead of io.EOF.
var errMismatch = errors.New("its digest is not the one its companion gives")

// check reports what is wrong with c.
func (c Companion) check() error {
	if _, _, ok := c.suffix(); !ok {
		return fmt.Errorf("companion %q: is neither * nor {stem} followed by an ending: write \"*.done\" or \"{stem}.ok\"", c.Name)
	}
	return nil
}

// suffix takes the name apart: what ends a companion's name, and whether it replaces the ending of the file's name.
func (c Companion) suffix() (end string, replaces, ok bool) {
	if end, ok = strings.CutPrefix(c.Name, "*"); !ok {
		end, ok = strings.CutPrefix(c.Name, "{stem}")
		replaces = ok
	}
	return end, replaces, ok && strings.HasPrefix(end, ".") && len(end) > 1 && !strings.ContainsAny(end, "/*{}")
}

// isCompanion reports whether path is the companion of some file.
func (w *Watcher) isCompanion(path string) bool {
	for _, c := range w.opts.Companions {
		if end, _, _ := c.suffix(); strings.HasSuffix(path, end) {
			return true
		}
	}
	return false
}

// companion returns what the file at path waits for.
func (w *Watcher) companion(path string) (c Companion, found bool) {
	for _, c := range w.opts.Companions {
		if c.Files == nil || c.Files(path) {
			return c, true
		}
	}
	return Companion{}, false
}

// of returns the path of the companion of path.
func (c Companion) of(path string) string {
	end, replaces, _ := c.suffix()
	if dot := strings.LastIndexByte(path, '.'); replaces && dot > strings.LastIndexByte(path, '/')+1 {
		path = path[:dot]
	}
	return path + end
}

// sum returns the digest that companion text gives for the file called base. Accepted are the digest alone, lines as
// md5sum and sha256sum write them ("digest  name"), and the BSD form ("MD5 (name) = digest").
func (c Companion) sum(text []byte, base string) ([]byte, error) {
	kind, _ := strings.CutPrefix(c.Name[strings.LastIndexByte(c.Name, '.'):], ".")
	size := c.hash().Size()
	var only []byte
	found := 0
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		line = strings.TrimSpace(line)
		for word := range strings.FieldsSeq(line) {
			digest, err := hex.DecodeString(strings.TrimPrefix(word, "\\"))
			if err != nil || len(digest) != size {
				continue
			}
			if strings.HasSuffix(line, base) || strings.Contains(line, "("+base+")") {
				return digest, nil
			}
			only, found = digest, found+1
		}
	}
	if found != 1 {
		return nil, fmt.Errorf("holds no %s digest for %s", kind, ledger.Shown(base))
	}
	return only, nil
}

// hash returns a new hash of the kind the companion holds, nil when it holds none.
func (c Companion) hash() hash.Hash {
	switch {
	case strings.HasSuffix(c.Name, ".md5"):
		return md5.New() // what partners send; it guards against accidents, not against forgery
	case strings.HasSuffix(c.Name, ".sha256"):
		return sha256.New()
	}
	return nil
}

// accompanied looks for the companion of f. The reason is empty when it is there and says what it must.
func (w *Watcher) accompanied(ctx context.Context, f File, c Companion) (v vouch, err error) {
	path := c.of(f.Path)
	v.companion = c
	v.file, err = w.stater.Stat(ctx, path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && v.file.Skip != "" {
		v.reason = "waits for its companion " + ledger.Shown(path)
		return v, nil
	}
	if err != nil || c.hash() == nil && !c.Keep {
		return v, err
	}
	if c.Keep {
		if v.file.Size > ledger.CompanionMost {
			v.reason = fmt.Sprintf("its companion %s has more than %d KiB: waits for one that is smaller", ledger.Shown(path), ledger.CompanionMost>>10)
			return v, nil
		}
		ok, reason, wait, err := w.src.Ready(ctx, v.file)
		if err != nil {
			return v, fmt.Errorf("look at its companion: %w", err)
		}
		if !ok {
			v.reason, v.wait = "waits for its companion "+ledger.Shown(path)+": "+reason, wait
			return v, nil
		}
	}
	r, err := w.src.Open(ctx, v.file)
	if err != nil {
		return v, fmt.Errorf("read its companion: %w", err)
	}
	defer r.Close() // only read from; what matters was told by its last Read
	if v.text, err = io.ReadAll(io.LimitReader(r, ledger.CompanionMost+1)); err != nil {
		return v, fmt.Errorf("read its companion %s: %w", ledger.Shown(path), err)
	}
	if c.hash() == nil {
		return v, nil
	}
	v.digest, err = c.sum(v.text, base(f.Path))
	if err != nil {
		v.reason = fmt.Sprintf("its companion %s %s; waits for one that does", ledger.Shown(path), err)
	}
	return v, nil
}

// beside is what is kept with a file that lands.
func (v vouch) beside() []ledger.Companion {
	if !v.companion.Keep {
		return nil
	}
	return []ledger.Companion{{Role: ledger.RoleCompanion, Path: v.file.Path, Version: v.file.Version, ModTime: v.file.ModTime,
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(v.text)), nil }}}
}

// A verifier reads a file and ends with errMismatch instead of io.EOF when its digest is not want.
type verifier struct {
	r    io.Reader
	hash hash.Hash
	want []byte
}

// Read implements io.Reader.
func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	if err == io.EOF && !bytes.Equal(v.hash.Sum(nil), v.want) {
		err = errMismatch
	}
	return n, err
}

// base returns the last element of path.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
