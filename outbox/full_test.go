package outbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"waybill/store"
)

// telling is a log that rings when a line has a text.
type telling struct {
	text string
	mu   sync.Mutex
	rung chan struct{}
}

func (l *telling) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Contains(p, []byte(l.text)) {
		select {
		case l.rung <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

// limit bounds the database to its present size, or to none.
func limit(t *testing.T, db *store.DB, bounded bool) {
	t.Helper()
	err := db.Tx(context.Background(), func(tx *store.Tx) error {
		var n int64
		if bounded {
			return tx.QueryRow("PRAGMA max_page_count = 1").Scan(&n) // it is never less than the present size
		}
		return tx.QueryRow("PRAGMA max_page_count = 1073741823").Scan(&n)
	})
	if err != nil {
		t.Error(err)
	}
}

// noisy answers with bytes that no compression makes small.
type noisy struct{ *receiver }

func (n noisy) Deliver(ctx context.Context, ms []Message, done func(int, Receipt, error)) error {
	return n.receiver.Deliver(ctx, ms, func(i int, r Receipt, err error) {
		r.Text = rand.Text() + rand.Text() + rand.Text() + rand.Text()
		done(i, r, err)
	})
}

func TestWhatCannotBeStoredForWantOfSpaceIsNotSentAgain(t *testing.T) {
	t.Parallel()
	for _, unknown := range []string{"repeat", "hold"} {
		t.Run(unknown, func(t *testing.T) {
			t.Parallel()
			var b *box
			var once sync.Once
			target := newReceiver(func(m Message, _ int) error {
				if unknown == "repeat" { // with hold, what is about to be sent could not be stored either
					once.Do(func() { limit(t, b.db, true) })
				} else if strings.HasSuffix(m.Key, "-7") {
					once.Do(func() { limit(t, b.db, true) })
				}
				if strings.HasSuffix(m.Key, "-9") {
					return Refused(errors.New("no such article"))
				}
				return nil
			})
			log := &telling{text: "cannot store what", rung: make(chan struct{}, 1)}
			b = openTelling(t, noisy{target}, Options{Concurrency: 100, Unknown: IfUnknown{Mode: unknown}}, slog.New(slog.NewTextHandler(log, nil)))
			b.put(1, 300)
			<-log.rung
			limit(t, b.db, false)
			if dead := b.settled(1); dead != 1 {
				t.Errorf("%d dead letters, want the refused one", dead)
			}
			target.mu.Lock()
			defer target.mu.Unlock()
			for key, n := range target.try {
				if n != 1 {
					t.Errorf("%s was sent %d times", key, n)
				}
			}
			if len(target.try) != 300 {
				t.Errorf("%d of 300 were sent", len(target.try))
			}
		})
	}
}
