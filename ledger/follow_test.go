package ledger

import (
	"slices"
	"testing"

	"waybill/store"
)

func TestEventsAreReadForwardsAndBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.db.Tx(t.Context(), func(tx *store.Tx) error {
		for _, kind := range []string{"a", "b", "c"} {
			if err := r.Record(tx, Event{Kind: kind}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	kinds := func(list []Event) (all []string) {
		for _, e := range list {
			all = append(all, e.Kind)
		}
		return all
	}
	back, err := r.EventsBack(t.Context(), 0, 2)
	if got := kinds(back); err != nil || !slices.Equal(got, []string{"c", "b"}) {
		t.Fatalf("the last two: %v, %v", got, err)
	}
	before, err := r.EventsBack(t.Context(), back[1].ID, 2)
	if got := kinds(before); err != nil || !slices.Equal(got, []string{"a"}) {
		t.Errorf("what came before: %v, %v", got, err)
	}
	after, err := r.Events(t.Context(), back[1].ID, 2)
	if got := kinds(after); err != nil || !slices.Equal(got, []string{"c"}) {
		t.Errorf("what came after: %v, %v", got, err)
	}
}
