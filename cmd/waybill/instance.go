package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/term"

	"waybill/config"
	"waybill/jobs"
	"waybill/ledger"
	"waybill/outbox"
	"waybill/spool"
	"waybill/store"
)

// An instance is one process's hold on a data folder.
type instance struct {
	p      *program
	log    *slog.Logger
	db     *store.DB
	spool  *spool.Spool
	ledger *ledger.Ledger
	outbox *outbox.Outbox
	room   *reserve
}

// bodies is the spool as the outbox sees it.
type bodies struct{ *spool.Spool }

func (b bodies) Open(ctx context.Context, object int64) (io.ReadCloser, error) {
	return b.Reader(ctx, object)
}

// open opens the data folder. Commands that only look need no configuration beside it.
func (p *program) open(ctx context.Context, folder string, log *slog.Logger) (*instance, error) {
	db, err := store.Open(ctx, store.Options{Folder: folder, AcceptDataLoss: p.acceptLoss, Log: log, Now: p.now})
	if err != nil {
		return nil, err
	}
	i := &instance{p: p, log: log, db: db}
	i.spool, err = spool.Open(db, filepath.Join(folder, "spool"), spool.Options{Now: p.now, Log: log})
	if err == nil {
		i.outbox, err = outbox.New(db, outbox.Config{Bodies: bodies{i.spool}, Log: log, Now: p.now})
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	i.ledger = ledger.New(db, i.spool, ledger.Options{Node: node(), Now: p.now, Log: log})
	i.room = newReserve(folder, log)
	i.ledger.SetRoom(i.room.enough)
	return i, nil
}

func (i *instance) close() error { return i.db.Close() }

// node names the event chain of a ledger that is new.
func node() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "local"
	}
	return name
}

// worker makes the worker of the jobs of l.
func (i *instance) worker(l *swap) *jobs.Worker {
	return jobs.NewWorker(jobs.Config{
		DB: i.db, Ledger: i.ledger, Spool: i.spool, Outbox: i.outbox, Ask: l.ask, Log: i.log, Now: i.p.now,
		Scratch: filepath.Join(i.db.Folder(), "converting"),
	}, l.now().jobs)
}

// logger makes the log: text on a terminal, JSON elsewhere, unless the configuration says.
func (p *program) logger(c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "text" || c.Format == "" && p.terminal(p.diag) {
		return slog.New(slog.NewTextHandler(p.diag, o))
	}
	return slog.New(slog.NewJSONHandler(p.diag, o))
}

// terminal reports whether a person looks at w.
func (p *program) terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// reading opens the data folder for a command that only looks at it or leaves a short row, with the configuration if there is one:
// without it the folder must be given.
func (p *program) reading(ctx context.Context) (*instance, error) {
	folder := p.data
	if folder == "" {
		c, err := p.peek(ctx)
		if err != nil {
			return nil, p.lookAnyway(err)
		}
		folder = c.Data
	}
	if full, err := filepath.Abs(folder); err == nil {
		folder = full // what is said of it is to be true in other folders too
	}
	if _, err := os.Stat(filepath.Join(folder, "ledger.db")); err != nil {
		return nil, fmt.Errorf("there is no ledger in %s: start waybill serve first, or name the data folder with --data", folder)
	}
	i, err := p.open(ctx, folder, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if _, err := i.ledger.Origins(ctx); err != nil { // a replay may claim an identity
		return nil, errors.Join(err, i.close())
	}
	return i, nil
}

// by says who gives a command, for the ledger.
func by() string {
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if user := os.Getenv(name); user != "" {
			return user
		}
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

// A swap holds the landscape of now; a reload puts another in its place.
type swap struct {
	mu  sync.RWMutex
	cur *landscape
}

func (s *swap) now() *landscape {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cur
}

func (s *swap) set(l *landscape) (old *landscape) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, s.cur = s.cur, l
	return old
}

// Admit turns files away at the door by the jobs of the landscape of now (watcher.Admitter).
func (s *swap) Admit(ctx context.Context, a ledger.Arrival, head []byte) error {
	return s.now().jobs.Admit(ctx, a, head)
}

// ask runs a query of a job on a connection of the landscape of now.
func (s *swap) ask(ctx context.Context, connection, text string, from, to time.Time) (*jobs.Rows, func() error, error) {
	return s.now().ask(ctx, connection, text, from, to)
}
