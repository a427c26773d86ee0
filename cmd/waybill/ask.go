package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"waybill/config"
	"waybill/jobs"
	"waybill/ledger"
	"waybill/store"
)

// numbers reads the numbers of entries or dead letters, as they are shown (#12) or bare.
func numbers(list []string) (ids []int64, err error) {
	for _, text := range list {
		id, err := strconv.ParseInt(strings.TrimPrefix(text, "#"), 10, 64)
		if err != nil || id < 1 {
			return nil, usage("%q is no number: write 12 or \"#12\" (waybill list and waybill dead list show the numbers)", text)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// numbered opens the data folder for a command whose arguments are numbers of entries or dead letters.
func (p *program) numbered(ctx context.Context, list []string, do func(i *instance, ids []int64) error) error {
	ids, err := numbers(list)
	if err != nil {
		return err
	}
	i, err := p.reading(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(i, ids), i.close())
}

// confirm asks the person before something is done to many; without a terminal only --yes is an answer to that.
func (p *program) confirm(question string, yes bool) error {
	if yes {
		return nil
	}
	f, ok := p.in.(*os.File)
	if !ok || !p.terminal(f) {
		return usage("%s: say --yes to go on", question)
	}
	fmt.Fprintf(p.diag, "%s? [y/N] ", question)
	line, _ := bufio.NewReader(p.in).ReadString('\n') // no answer is no
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return exit{exitError, errors.New("nothing was done")}
}

// entryError is the error of a command about an entry, with what to do.
func entryError(err error, id int64) error {
	var state *ledger.StateError
	switch {
	case errors.As(err, &state):
		return fmt.Errorf("%w (waybill show %d tells more)", state, id)
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("there is no entry #%d: see waybill list", id)
	}
	return err
}

// acting opens the data folder for a command that needs the configuration too. With --data it does without one that cannot be
// read: who repairs at night must not have to repair the configuration first.
func (p *program) acting(ctx context.Context) (*instance, *landscape, error) {
	l, err := p.looking(ctx)
	switch {
	case err == nil:
		p.data = l.data()
	case p.data != "":
		l = &landscape{config: &config.Config{}, jobs: &jobs.Set{}, unread: true}
	default:
		return nil, nil, p.lookAnyway(err)
	}
	i, err := p.reading(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, l.close())
	}
	i.ledger.SetRouter(l.jobs)
	return i, l, nil
}

// settle counts dead letters that were closed, when no other process is there to do it.
func (i *instance) settle(ctx context.Context) error {
	x, err := i.db.TryExecutor("waybill dead")
	var held *store.HeldError
	if errors.As(err, &held) {
		return nil
	}
	if err != nil {
		return err
	}
	defer x.Release()
	w := jobs.NewWorker(jobs.Config{DB: i.db, Ledger: i.ledger, Spool: i.spool, Outbox: i.outbox, Log: i.log, Now: i.p.now}, &jobs.Set{})
	for {
		n, err := w.Settle(ctx)
		if n == 0 || err != nil {
			return err
		}
	}
}

// idle tells, on the side, that nobody is at work who would do what was asked for.
func (i *instance) idle(what string) {
	if _, busy, err := store.ExecutorOf(i.db.Folder()); err == nil && !busy {
		fmt.Fprintf(i.p.diag, "waybill: no daemon is at work on %s: %s once waybill serve runs\n", i.db.Folder(), what)
	}
}

// each does the same to every number, tells what it came to, and goes on after a failure.
func (p *program) each(ids []int64, do func(id int64) (said string, err error)) error {
	failed := 0
	var first error
	for _, id := range ids {
		said, err := do(id)
		switch {
		case err != nil:
			failed++
			if first == nil {
				first = err
				continue
			}
			fmt.Fprintf(p.diag, "waybill: %v\n", err)
		case p.json:
			if err := p.print(map[string]any{"number": id, "said": said}); err != nil {
				return err
			}
		default:
			if _, err := fmt.Fprintln(p.out, said); err != nil {
				return err
			}
		}
	}
	if failed > 1 {
		return fmt.Errorf("%w (and %d more, see above)", first, failed-1)
	}
	return first
}
