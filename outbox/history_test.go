package outbox

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// The failure that is only reckoned in when the next one comes stands in the history too.
func TestTheHistoryOfADeadLetterBeginsWithItsFirstFailure(t *testing.T) {
	t.Parallel()
	r := newReceiver(func(m Message, try int) error {
		if m.Key == "k1-0" {
			return Unavailable(fmt.Errorf("failure %d", try))
		}
		return nil
	})
	o := quick
	o.Retry.Attempts, o.Retry.Pause = 3, time.Minute // no outage: what fails beside what is confirmed
	o.Retry.Longest = 20 * time.Millisecond
	b := openBox(t, r, o)
	b.put(1, 1)
	for i := int64(2); ; i++ {
		b.put(i, 1)
		b.settled(i)
		ds, err := b.DeadLetters(t.Context(), DeadFilter{Parent: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(ds) == 0 {
			if i > 5000 {
				t.Fatal(errors.New("it never gives up"))
			}
			continue
		}
		if ds[0].Kind != "exhausted" || len(ds[0].History) != 3 {
			t.Fatalf("%+v", ds[0])
		}
		last := 0
		for _, a := range ds[0].History { // one that no confirmation came after is not among them
			var n int
			if _, err := fmt.Sscanf(a.Error, "failure %d", &n); err != nil || n <= last || a.At.IsZero() {
				t.Errorf("attempt %+v after failure %d", a, last)
			}
			last = n
		}
		return
	}
}
