package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"waybill/formats"
	"waybill/jobs"
	"waybill/jobs/cases"
	"waybill/ledger"
)

// besideMost bounds a file that belongs to another one and is read into memory.
const besideMost = 64 << 20

// A besideFile is a file that belongs to another one.
type besideFile struct {
	name  string
	bytes []byte
}

// lyingBeside finds what belongs to the file called name in a folder, by role.
func lyingBeside(p *jobs.Plan, folder, name string) (map[string]os.FileInfo, error) {
	if len(p.Beside()) == 0 {
		return nil, nil
	}
	found := map[string]os.FileInfo{}
	list, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("look for what belongs to %s: %w", ledger.Shown(name), err)
	}
	for _, d := range list {
		role, ok := p.Belongs(name, d.Name())
		if !ok || d.Name() == name {
			continue
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
		case info.Size() > besideMost:
			return nil, fmt.Errorf("%s, the %s of %s, has more than 64 MiB", ledger.Shown(d.Name()), role, ledger.Shown(name))
		default:
			found[role] = info
		}
	}
	return found, nil
}

// beside gives the trial what lies beside its file and belongs to it.
func (t *trial) beside(folder string, in *jobs.Input) error {
	list, err := lyingBeside(t.plan, folder, filepath.Base(in.File.Path))
	if err != nil {
		return err
	}
	files := map[string]besideFile{}
	for role, info := range list {
		text, err := os.ReadFile(filepath.Join(folder, info.Name()))
		if err != nil {
			return err
		}
		files[role] = besideFile{info.Name(), text}
	}
	t.give(files, in)
	return nil
}

// give gives the trial what belongs to its file.
func (t *trial) give(files map[string]besideFile, in *jobs.Input) {
	in.Beside = map[string]jobs.Beside{}
	for role, f := range files {
		r := bytes.NewReader(f.bytes)
		in.Beside[role] = jobs.Beside{Name: ledger.Shown(f.name), Blob: formats.Blob{Name: f.name, Reader: r, ReaderAt: r, Size: int64(len(f.bytes))}}
	}
	for _, role := range t.plan.Beside() {
		if _, ok := files[role]; !ok {
			t.find("its %s does not lie beside it", role)
		}
	}
}

// companionsOf are the files in a folder that belong to an arrival, to be landed with it.
func companionsOf(p *jobs.Plan, folder string, a ledger.Arrival) (all []ledger.Companion, err error) {
	list, err := lyingBeside(p, folder, a.Path)
	if err != nil {
		return nil, err
	}
	for role, info := range list {
		all = append(all, ledger.Companion{Role: role, Path: info.Name(), Version: a.Version, ModTime: info.ModTime(),
			Open: func(context.Context) (io.ReadCloser, error) { return os.Open(filepath.Join(folder, info.Name())) }})
	}
	return all, nil
}

// bringBeside reads what belongs to the input of a case.
func (c *caseFile) bringBeside(wrong func(path, format string, args ...any)) {
	roles := c.plan.Beside()
	c.beside = map[string]besideFile{}
	for i := range c.Beside {
		a := &c.Beside[i]
		if !slices.Contains(roles, a.Role) {
			wrong("beside."+a.Role, "to a file of job %s belongs no %s that it reads", c.job, a.Role)
			continue
		}
		c.beside[a.Role] = besideFile{cmp.Or(a.Name, filepath.Base(cmp.Or(a.File, a.Role))), c.bring(a.Input(), "beside."+a.Role, wrong)}
	}
	if c.Input.File == "" {
		return
	}
	name := c.Input.File
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(c.path), name)
	}
	list, err := lyingBeside(c.plan, filepath.Dir(name), filepath.Base(name))
	if err != nil {
		wrong("input", "%v", err)
	}
	for role, info := range list {
		if _, given := c.beside[role]; !given {
			c.beside[role] = besideFile{info.Name(), c.bring(&cases.Input{File: filepath.Join(filepath.Dir(c.Input.File), info.Name())}, "input", wrong)}
		}
	}
}
