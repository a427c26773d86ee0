package main

import (
	"context"
	"errors"
	"slices"
	"testing"

	"waybill/ledger"
)

func TestAllThatIsDueIsLookedAtBeforeTheNextPause(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for name, test := range map[string]struct {
		sets [][]ledger.Entry
		last error
	}{
		"nothing":         {nil, nil},
		"several sets":    {[][]ledger.Entry{{{ID: 1}, {ID: 2}}, {{ID: 3}}}, nil},
		"until it cannot": {[][]ledger.Entry{{{ID: 1}, {ID: 2}, {ID: 3}}}, full},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sets, told := test.sets, []int64{}
			err := whileAny(t.Context(), func(context.Context) ([]ledger.Entry, error) {
				if len(sets) == 0 {
					return nil, test.last
				}
				set := sets[0]
				sets = sets[1:]
				return set, nil
			}, func(e ledger.Entry) { told = append(told, e.ID) })
			if !errors.Is(err, test.last) || len(test.sets) > 0 && !slices.Equal(told, []int64{1, 2, 3}) {
				t.Errorf("%v: %v", told, err)
			}
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	err := whileAny(ended, func(context.Context) ([]ledger.Entry, error) {
		cancel()
		return []ledger.Entry{{ID: 1}}, nil
	}, func(ledger.Entry) {})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
