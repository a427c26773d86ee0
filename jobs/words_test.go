package jobs

import (
	"testing"

	"waybill/ledger"
)

func TestASenderIsNotToldToDoWhatOnlyTheOperatorCan(t *testing.T) {
	t.Parallel()
	a := Acknowledgement{State: ledger.Held, File: Subject{Name: "a.csv"}, Reason: "same bytes as #1 (b.csv) under another name"}
	if got, want := a.words(), "a.csv is held until somebody has looked at it; you need not send it again. Reason: same bytes as #1 (b.csv) under another name."; got != want {
		t.Errorf("held\ngot  %s\nwant %s", got, want)
	}
	a.Test = true
	if got, want := a.words(), "a.csv would be held until somebody has looked at it. Reason: same bytes as #1 (b.csv) under another name. This was a test: nothing was sent on."; got != want {
		t.Errorf("tried\ngot  %s\nwant %s", got, want)
	}
}
