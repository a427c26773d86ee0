package outbox

import (
	"testing"

	"waybill/store"
)

// What is under way when a destination is renamed is not sent twice, and what is stored for the old name afterwards reaches the new.
func TestARenamedDestinationGetsWhatWaitsOnce(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	r := newReceiver(func(m Message, _ int) error {
		if m.Key == "k1-0" {
			close(entered)
			<-leave
		}
		return nil
	})
	b := openBox(t, r, quick)
	b.put(1, 2)
	<-entered
	err := b.db.Tx(t.Context(), func(tx *store.Tx) error {
		if err := b.Rename(tx, "erp", "crm"); err != nil {
			return err
		}
		b.Renamed("erp", "crm")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.SetDestinations([]Destination{{Name: "crm", Target: r, Options: quick}})
	b.put(2, 2) // made for erp
	close(leave)
	b.settled(1)
	b.settled(2)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range []string{"k1-0", "k1-1", "k2-0", "k2-1"} {
		if r.try[key] != 1 {
			t.Errorf("%s was sent %d times", key, r.try[key])
		}
	}
	waiting, err := b.Waiting(t.Context())
	if err != nil || len(waiting) != 0 {
		t.Errorf("%v, %v", waiting, err)
	}
	if h := b.Healths(); len(h) != 1 || h["crm"].State != "healthy" {
		t.Errorf("%+v", h)
	}
}
