package store

import (
	"context"
	"sync"
	"time"
)

// topics wakes those who wait for a change. A wake-up says only "look again": it may be spurious, and several may be one.
type topics struct {
	mu   sync.Mutex
	subs map[string]map[chan struct{}]bool
}

// Watch returns a channel that gets a value after a commit that notified topic, and after any commit of another
// process while this one executes. The function ends it.
func (db *DB) Watch(topic string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	t := &db.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.subs == nil {
		t.subs = map[string]map[chan struct{}]bool{}
	}
	if t.subs[topic] == nil {
		t.subs[topic] = map[chan struct{}]bool{}
	}
	t.subs[topic][ch] = true
	return ch, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.subs[topic], ch)
	}
}

// Wake wakes those who watch topic.
func (db *DB) Wake(topic string) {
	t := &db.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	for ch := range t.subs[topic] {
		ring(ch)
	}
}

func (db *DB) wakeAll() {
	t := &db.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, subs := range t.subs {
		for ch := range subs {
			ring(ch)
		}
	}
}

func ring(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// FollowOthers wakes every watcher when another process has written, looking every 50 ms, until ctx ends.
func (db *DB) FollowOthers(ctx context.Context) error {
	conn, err := db.readers.pool.Conn(ctx)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = conn.Close() }()
	// data_version changes with the commits of every other connection, our own writer's among them: a spurious
	// wake-up costs an indexed look, while asking the writer would cost a turn in its queue.
	st, err := conn.PrepareContext(ctx, "PRAGMA data_version")
	if err != nil {
		return translate(err)
	}
	defer func() { _ = st.Close() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last int64 = -1
	for {
		var v int64
		if err := st.QueryRowContext(ctx).Scan(&v); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return translate(err)
		}
		if last != -1 && v != last {
			db.wakeAll()
		}
		last = v
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
