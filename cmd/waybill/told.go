package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"waybill/ledger"
	"waybill/store"
	"waybill/watcher"
	"waybill/watcher/sftpd"
)

// statusOld is how old what a daemon tells of itself may be. It renews it every minute, and looks once a minute at the least.
const statusOld = 3 * time.Minute

// told is what the process at work tells of its parts, as far as it can still be believed, and what speaks against it.
type told struct {
	now          time.Time
	holder       store.Holder
	busy         bool // somebody is at work
	noted        time.Time
	version      string
	destinations map[string]destinationStatus
	sources      map[string]watcher.Status
	sftp         *sftpd.Status        // nil: it serves no SFTP
	parts        map[string]time.Time // when each part was last told of, however long ago
	troubles     []string             // why all this may not be so, and what to do
}

// told reads what the process at work tells, and looks for itself whether that one could tell anything.
func (i *instance) told(ctx context.Context) (*told, error) {
	folder := i.db.Folder()
	t := &told{now: i.p.now(), destinations: map[string]destinationStatus{}, sources: map[string]watcher.Status{}, parts: map[string]time.Time{}}
	var err error
	if t.holder, t.busy, err = store.ExecutorOf(folder); err != nil {
		return nil, err
	}
	rows, err := i.ledger.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if err := t.take(row); err != nil {
			return nil, fmt.Errorf("status of %s: %w", row.Part, err)
		}
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err == nil {
		size := uint64(max(fs.Bsize, 0)) //nolint:gosec // not negative
		if text := crowded(folder, fs.Bavail*size, fs.Blocks*size, fs.Ffree, fs.Files); text != "" {
			t.troubles = append(t.troubles, text)
		}
	}
	since := t.noted
	if since.Before(t.holder.Since) {
		since = t.holder.Since
	}
	if t.serves() && t.now.Sub(since) > statusOld {
		t.troubles = append(t.troubles, fmt.Sprintf("%s (process %d) has noted nothing since %s: it cannot write, or hangs; its log tells more",
			t.holder.Command, t.holder.PID, clock(since)))
	}
	return t, nil
}

// take adds one row.
func (t *told) take(row ledger.Status) error {
	t.parts[row.Part] = row.At
	if row.At.After(t.noted) {
		t.noted = row.At
	}
	if !t.busy || t.now.Sub(row.At) > statusOld {
		return nil
	}
	kind, name, _ := strings.Cut(row.Part, "/")
	switch kind {
	case "node":
		var node struct {
			Version string `json:"version"`
			Full    string `json:"full"`
		}
		err := json.Unmarshal(row.Text, &node)
		t.version = node.Version
		if node.Full != "" {
			t.troubles = append(t.troubles, node.Full+": what is taken in goes on, files wait where they are")
		}
		return err
	case "destination":
		var d destinationStatus
		err := json.Unmarshal(row.Text, &d)
		t.destinations[name] = d
		return err
	case "sftp":
		if row.At.Before(t.holder.Since) {
			return nil // of the process before
		}
		return json.Unmarshal(row.Text, &t.sftp)
	case "source":
		var w watcher.Status
		err := json.Unmarshal(row.Text, &w)
		w.Source = name
		t.sources[name] = w
		return err
	}
	return nil
}

// serves reports whether a daemon is at work, which takes files; a run does not.
func (t *told) serves() bool { return t.busy && t.holder.Command == serveCommand }

// has reports whether the daemon at work has told of a part itself, and lately.
func (t *told) has(part string) bool {
	at := t.parts[part]
	return t.serves() && !at.Before(t.holder.Since) && t.now.Sub(at) <= statusOld
}

// A disk is full when less than this is left.
const (
	roomLeast = 1 << 20
	roomMost  = 64 << 20 // of a large one a thousandth is room enough
)

// crowded says that there is no room in a file system for what a daemon writes, "" when there is.
func crowded(folder string, free, total, freeNodes, nodes uint64) string {
	switch {
	case total == 0: // it does not tell
		return ""
	case free < max(roomLeast, min(total/1000, roomMost)):
		return fmt.Sprintf("the disk of %s is full (%d KiB free): what is shown here may be old, for nothing can be noted; nothing new is taken or worked until there is room",
			folder, free>>10)
	case nodes > 0 && freeNodes == 0:
		return fmt.Sprintf("the disk of %s is full (no inodes free): no new file can be kept until some are removed", folder)
	}
	return ""
}

// text says why a destination is as it is, and when it is tried next.
func (d destinationStatus) text(now time.Time, most int) string {
	parts := []string{}
	if !d.Since.IsZero() {
		parts = append(parts, "since "+soon(d.Since, now))
	}
	if d.Reason != "" {
		parts = append(parts, shown(d.Reason, most))
	}
	if d.Next.After(now) {
		parts = append(parts, "next try "+soon(d.Next, now))
	}
	return strings.Join(parts, ", ")
}

// soon shows a time of today by its hour.
func soon(at, now time.Time) string {
	at, now = at.Local(), now.Local()
	if at.YearDay() == now.YearDay() && at.Year() == now.Year() {
		return at.Format(time.TimeOnly)
	}
	return clock(at)
}

// standing says, in a sentence, why messages for a destination wait.
func (i *instance) standing(ctx context.Context, t *told, name string) string {
	if why, err := i.outbox.Paused(ctx, name); err == nil && why != "" {
		return fmt.Sprintf("%s is paused: %s; waybill resume destination/%s", name, shown(why, 300), name)
	}
	d, known := t.destinations[name]
	switch {
	case !t.busy:
		return "nobody is at work: sent once waybill serve runs"
	case !known:
		return fmt.Sprintf("%q tells nothing of %s: see waybill status", t.holder.Command, name)
	}
	if text := d.text(t.now, 300); text != "" {
		return fmt.Sprintf("%s is %s: %s", name, d.State, text)
	}
	return fmt.Sprintf("%s is %s", name, d.State)
}

// awaits says what messages of an entry wait for, by destination.
func (i *instance) awaits(ctx context.Context, t *told, entry int64) (list []string, err error) {
	batches, err := i.outbox.Batches(ctx, entry)
	if err != nil {
		return nil, err
	}
	var order []string
	all, left := map[string]int{}, map[string]int{}
	for _, b := range batches {
		if all[b.Destination] == 0 {
			order = append(order, b.Destination)
		}
		all[b.Destination] += b.Count
		left[b.Destination] += b.Count - b.Done
	}
	for _, name := range order {
		if n := left[name]; n > 0 {
			list = append(list, fmt.Sprintf("%d of %s for %s; %s", n, count(all[name], "message"), name, i.standing(ctx, t, name)))
		}
	}
	return list, nil
}
