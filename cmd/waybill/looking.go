package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"waybill/config"
	"waybill/jobs"
	"waybill/jobs/query"
	"waybill/watcher/local"
)

// notKnown stands for a secret or a variable of the service's surroundings in the configuration as other people's shells see it.
const notKnown = "not-known-here"

// forLooking is an environment for commands that need no secrets: what only the service itself can read is replaced.
func forLooking(e config.Environment) config.Environment {
	e = withoutSecrets(e)
	lookup, read := e.LookupEnv, e.ReadFile
	e.LookupEnv = func(name string) (string, bool) {
		value, ok := lookup(name)
		if !ok && name != "STATE_DIRECTORY" { // this one says where the data folder is
			return notKnown, true
		}
		return value, ok
	}
	e.ReadFile = func(path string) ([]byte, error) {
		text, err := read(path)
		ending := filepath.Ext(path)
		if errors.Is(err, fs.ErrPermission) && ending != ".yaml" && ending != ".yml" {
			return []byte(notKnown), nil
		}
		return text, err
	}
	return e
}

// peek reads the configuration for a command that needs no secrets.
func (p *program) peek(ctx context.Context) (*config.Config, error) {
	c, mistakes, err := p.glance(ctx)
	if len(mistakes) > 0 {
		return nil, p.mistakes(mistakes)
	}
	return c, err
}

// glance is peek for those that go on looking for mistakes.
func (p *program) glance(ctx context.Context) (*config.Config, config.Problems, error) {
	c, mistakes, err := p.read(ctx, forLooking(config.System()))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil, usage("%w; name the configuration with --config or the data folder with --data", err)
	case err != nil:
		return nil, nil, exit{exitUsage, err}
	}
	return c, mistakes, nil
}

// lookAnyway adds to the mistakes of a configuration how a command that needs nothing of it but the data folder goes on without it.
func (p *program) lookAnyway(err error) error {
	var mistakes config.Problems
	if p.data != "" || !errors.As(withoutCode(err), &mistakes) {
		return err
	}
	return usage("%w\nto look all the same: --data FOLDER", withoutCode(err))
}

// withoutCode is an error without the exit code that it carries.
func withoutCode(err error) error {
	var e exit
	if errors.As(err, &e) && e.err != nil {
		return e.err
	}
	return err
}

// configured is the configuration of a data folder, nil where that cannot be told: looking must work without it. With --data
// the file in the current folder may be that of another one.
func (p *program) configured(ctx context.Context, folder string) *config.Config {
	c, err := config.Load(ctx, p.file, registry(), forLooking(config.System()))
	if err != nil {
		return nil
	}
	full, err := filepath.Abs(c.Data)
	if err != nil || p.data != "" && full != folder {
		return nil
	}
	return c
}

// folderOf is the folder of a source, "" where that is not known.
func folderOf(c *config.Config, source string) string {
	if c == nil {
		return ""
	}
	item := config.Find(c.Sources, source)
	if item == nil {
		return ""
	}
	o, ok := item.Options.(*local.Options)
	if !ok {
		return ""
	}
	return absolute(c, o.Path)
}

// looking is the landscape as far as no secrets are needed: jobs and sources, but neither destinations nor connections.
func (p *program) looking(ctx context.Context) (*landscape, error) {
	c, mistakes, err := p.glance(ctx)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, p.mistakes(mistakes)
	}
	b := &builder{c: c, now: p.now, blind: true, out: &landscape{config: c, jobs: &jobs.Set{}, connections: map[string]*query.Connection{}}}
	b.tables()
	b.jobs()
	if mistakes = append(mistakes, b.mistakes...); len(mistakes) > 0 {
		return nil, p.mistakes(mistakes.Sort())
	}
	return b.out, nil
}
