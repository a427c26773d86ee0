package ledger

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waybill/store"
)

func TestWhatHasJustLandedIsClaimedAsTheRowsSay(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders"}, Policy{Job: "audit", Identity: ByName})
	odd := arrival("old/ü\n\xff.csv", "1")
	odd.Partner, odd.ModTime = "acme", time.Time{}
	at := arrival("b.csv", "2")
	at.ModTime = time.Date(2026, 3, 4, 5, 6, 7, 8, time.FixedZone("", 3600))
	of := func(a Arrival, text string) Parcel {
		p := parcel("", "", text)
		p.Arrival = a
		return p
	}
	for _, err := range r.LandSet(t.Context(), []Parcel{of(odd, "one"), of(at, "two")}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, job := range []string{"orders", "audit"} {
		claimed, err := r.Claim(t.Context(), job, 10)
		if err != nil || len(claimed) != 2 {
			t.Fatalf("claimed %d, %v", len(claimed), err)
		}
		for i, e := range claimed {
			row, err := r.Entry(t.Context(), e.ID)
			if err != nil {
				t.Fatal(err)
			}
			row.Token = e.Token
			if diff := cmp.Diff(row, e); diff != "" {
				t.Errorf("the claimed entry is not as its row (-row +claimed):\n%s", diff)
			}
			f, content, ok := r.Fresh(e.ID)
			if !ok || string(content) != []string{"one", "two"}[i] {
				t.Errorf("%q, %t", content, ok)
			}
			file, err := r.FileOf(t.Context(), e.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(file, f); diff != "" {
				t.Errorf("the file is not as its row (-row +held):\n%s", diff)
			}
			r.Release(e)
			if _, _, ok := r.Fresh(e.ID); ok {
				t.Error("it is kept after its claim")
			}
		}
	}
}

func TestWhatWasCancelledOrPutBackIsNotClaimedAsItLanded(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders"})
	first, second := r.one("a.csv", "a"), r.one("b.csv", "b")
	if err := r.Cancel(t.Context(), first.ID, "test"); err != nil {
		t.Fatal(err)
	}
	claimed, err := r.Claim(t.Context(), "orders", 10)
	if err != nil || len(claimed) != 1 || claimed[0].ID != second.ID {
		t.Fatalf("claimed %v, %v", claimed, err)
	}
	if err := r.Retry(t.Context(), claimed[0], r.clock.now(), "no memory"); err != nil {
		t.Fatal(err)
	}
	r.Release(claimed[0])
	claimed, err = r.Claim(t.Context(), "orders", 10)
	if err != nil || len(claimed) != 1 || claimed[0].Attempts != 1 || claimed[0].Reason == "" {
		t.Fatalf("claimed %v, %v", claimed, err)
	}
}

func TestWhatLandedBeforeARenameIsClaimedUnderTheNewName(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders"})
	e := r.one("a.csv", "a")
	items := []Named{{Kind: Job, Name: "purchases", Formerly: "orders"}, {Kind: Source, Name: "inbox", Formerly: "drop"}}
	if err := r.Adopt(t.Context(), items, func(*store.Tx, Named) error { return nil }, func(Origins) {}); err != nil {
		t.Fatal(err)
	}
	claimed, err := r.Claim(t.Context(), "purchases", 10)
	if err != nil || len(claimed) != 1 || claimed[0].ID != e.ID || claimed[0].Job != "purchases" || claimed[0].Source != "inbox" {
		t.Fatalf("claimed %v, %v", claimed, err)
	}
}

func TestWhatNobodyClaimsMakesRoomInMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders"})
	content := strings.Repeat("x", 60<<10)
	for i := range 200 {
		r.one(strings.Repeat("f", i+1), content+strings.Repeat("y", i))
		if r.fresh.bytes > freshMost {
			t.Fatalf("%d bytes are held", r.fresh.bytes)
		}
	}
	claimed, err := r.Claim(t.Context(), "orders", 200)
	if err != nil || len(claimed) != 200 || !slices.IsSortedFunc(claimed, func(a, b Entry) int { return int(a.ID - b.ID) }) {
		t.Fatalf("claimed %d, %v", len(claimed), err)
	}
	held := 0
	for _, e := range claimed {
		if _, _, ok := r.Fresh(e.ID); ok {
			held++
		}
		r.Release(e)
	}
	if held == 0 || held == 200 || r.fresh.bytes != 0 || len(r.fresh.files) != 0 {
		t.Errorf("%d of 200 were held; %d bytes of %d are left", held, r.fresh.bytes, len(r.fresh.files))
	}
}

func TestWhatAFailedTransactionLandedIsNotHeld(t *testing.T) {
	t.Parallel()
	r := newRig(t, Policy{Job: "orders"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Land(ctx, arrival("a.csv", "1"), strings.NewReader("a")); err == nil {
		t.Fatal("it has landed")
	}
	if len(r.fresh.files) != 0 {
		t.Errorf("%d are held", len(r.fresh.files))
	}
}
