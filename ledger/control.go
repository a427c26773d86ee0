package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"waybill/store"
)

// States of a command.
const (
	CommandWaiting = "waiting"
	CommandDone    = "done"
	CommandFailed  = "failed"
)

// A Command is something a person asks of the stage it is for: pause, resume, run, resend.
type Command struct {
	ID      int64
	Kind    string
	Subject string          // what it is about: a job, a destination, an entry
	Args    json.RawMessage // an object
	By      string
	At      time.Time
	State   string
	Result  string // or the error
}

// Err returns why the command failed, nil when it did not.
func (c Command) Err() error {
	if c.State != CommandFailed {
		return nil
	}
	return fmt.Errorf("%s %s: %s", c.Kind, c.Subject, c.Result)
}

// Command leaves a command for the process that executes, with args as a JSON object (nil: none), and returns its number.
func (l *Ledger) Command(ctx context.Context, kind, subject string, args any, by string) (id int64, err error) {
	text := []byte("{}")
	if args != nil {
		if text, err = json.Marshal(args); err != nil {
			return 0, fmt.Errorf("command %s: %w", kind, err)
		}
	}
	err = l.db.Tx(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(`INSERT INTO controls (kind, subject, args, by, at) VALUES (?, ?, ?, ?, ?) RETURNING id`,
			kind, subject, string(text), by, store.Millis(l.clock())).Scan(&id)
		if err != nil {
			return err
		}
		tx.Notify(TopicControls)
		return l.Record(tx, Event{Kind: kind, Detail: map[string]any{"by": by, "subject": subject, "args": json.RawMessage(text), "command": id}})
	})
	if err != nil {
		return 0, fmt.Errorf("command %s %s: %w", kind, subject, err)
	}
	return id, nil
}

const commandColumns = `id, kind, subject, args, by, at, state, result`

func scanCommand(scan func(...any) error) (Command, error) {
	var c Command
	var args string
	var at int64
	err := scan(&c.ID, &c.Kind, &c.Subject, &args, &c.By, &at, &c.State, &c.Result)
	c.Args, c.At = json.RawMessage(args), store.Time(at)
	return c, err
}

// Commands returns the waiting commands of the given kinds, all kinds when none is given, the oldest first, at most 200.
func (l *Ledger) Commands(ctx context.Context, kinds ...string) ([]Command, error) {
	in, args := store.In(1), []any{""}
	if len(kinds) > 0 {
		in, args = store.In(len(kinds)), nil
		for _, k := range kinds {
			args = append(args, k)
		}
	}
	args = append(append([]any{len(kinds) == 0}, args...), setSize)
	list, err := collect(l.db.Reader(ctx), scanCommand, `SELECT `+commandColumns+` FROM controls
		WHERE state = 'waiting' AND (? OR kind IN `+in+`) ORDER BY id LIMIT ?`, args...)
	if err != nil {
		return nil, fmt.Errorf("look for commands: %w", err)
	}
	return list, nil
}

// Done notes what came of a command: its result, or failure when that is not nil. A second call changes nothing.
func (l *Ledger) Done(ctx context.Context, id int64, result string, failure error) error {
	state := CommandDone
	if failure != nil {
		state, result = CommandFailed, failure.Error()
	}
	err := l.db.Tx(ctx, func(tx *store.Tx) error {
		tx.Notify(TopicControls)
		_, err := tx.Exec(`UPDATE controls SET state = ?, result = ? WHERE id = ? AND state = 'waiting'`, state, result, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("answer command %d: %w", id, err)
	}
	return nil
}

// awaitPause is how long Await waits for a wake-up before it looks by itself: a process that does not execute hears
// nothing of what others write.
const awaitPause = 100 * time.Millisecond

// Await waits until a command was carried out and returns it. Whether it failed is for Command.Err to say.
func (l *Ledger) Await(ctx context.Context, id int64) (Command, error) {
	woken, stop := l.db.Watch(TopicControls)
	defer stop()
	pause := time.NewTicker(awaitPause)
	defer pause.Stop()
	for {
		c, err := scanCommand(l.db.Reader(ctx).QueryRow(`SELECT `+commandColumns+` FROM controls WHERE id = ?`, id).Scan)
		if err != nil {
			return c, fmt.Errorf("await command %d: %w", id, err)
		}
		if c.State != CommandWaiting {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return c, fmt.Errorf("await command %d (%s %s): nobody has carried it out yet: %w", id, c.Kind, c.Subject, context.Cause(ctx))
		case <-l.db.Failed():
			return c, l.db.Err()
		case <-woken:
		case <-pause.C:
		}
	}
}

// A Status is what a part of the running process tells of itself.
type Status struct {
	Part string          `json:"part"` // "node", "source/NAME", "destination/NAME", "job/NAME"
	Text json.RawMessage `json:"text"`
	At   time.Time       `json:"at"`
}

// SetStatus replaces the status of a part; v is written as JSON. It writes nothing when nothing changed within a minute.
func (l *Ledger) SetStatus(ctx context.Context, part string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("status of %s: %w", part, err)
	}
	now := l.clock()
	var old string
	var at int64
	err = l.db.Reader(ctx).QueryRow(`SELECT text, at FROM status WHERE part = ?`, part).Scan(&old, &at)
	if err == nil && old == string(text) && now.Sub(store.Time(at)).Abs() < time.Minute {
		return nil
	}
	if err == nil || errors.Is(err, store.ErrNotFound) {
		err = l.db.Tx(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO status (part, text, at) VALUES (?, ?, ?) ON CONFLICT (part) DO UPDATE SET text = excluded.text, at = excluded.at`,
				part, string(text), store.Millis(now))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("status of %s: %w", part, err)
	}
	return nil
}

// Statuses returns what all parts tell, by part.
func (l *Ledger) Statuses(ctx context.Context) ([]Status, error) {
	list, err := collect(l.db.Reader(ctx), func(scan func(...any) error) (Status, error) {
		var s Status
		var text string
		var at int64
		err := scan(&s.Part, &text, &at)
		s.Text, s.At = json.RawMessage(text), store.Time(at)
		return s, err
	}, `SELECT part, text, at FROM status ORDER BY part`)
	if err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	return list, nil
}
