package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLookingForTheExecutorIsInNobodysWay(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db := open(t, folder)
	looking, end := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer end()
	for range 500 {
		all.Go(func() {
			for looking.Err() == nil {
				if _, _, err := ExecutorOf(folder); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 200 {
		x, err := db.tryExecutor("waybill serve")
		if err != nil {
			t.Fatalf("nobody executes, but: %v", err)
		}
		x.Release()
	}
}

func TestLookingForTheExecutorTellsWhoItIs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, busy, err := ExecutorOf(folder); busy || err != nil {
		t.Fatalf("an empty folder has an executor: %v, %v", busy, err)
	}
	x, err := open(t, folder).TryExecutor("waybill serve")
	if err != nil {
		t.Fatal(err)
	}
	if h, busy, err := ExecutorOf(folder); !busy || err != nil || h.Command != "waybill serve" {
		t.Errorf("got %+v, %v, %v", h, busy, err)
	}
	x.Release()
	if h, busy, err := ExecutorOf(folder); busy || err != nil {
		t.Errorf("released, but there is still %+v, %v", h, err)
	}
}

func TestAHolderWithoutANameIsWaitedForAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		db := open(t, folder)
		migrating, err := lockExecutor(folder)
		if err != nil {
			t.Fatal(err)
		}
		var held *HeldError
		if _, err := db.TryExecutor("waybill serve"); !errors.As(err, &held) {
			t.Fatalf("while another migrates: %v", err)
		}
		over := time.AfterFunc(namePatience/2, func() { _ = migrating.Close() })
		defer over.Stop()
		if _, err := db.TryExecutor("waybill serve"); err != nil {
			t.Errorf("after it has migrated: %v", err)
		}
	})
}
