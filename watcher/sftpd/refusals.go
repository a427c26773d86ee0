package sftpd

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"waybill/ledger"
)

// turnedAway notes that an upload was refused for what is the case here at the moment, and not for what it is: nothing is rejected, it is to be sent again.
func (h *handler) turnedAway(ctx context.Context, path string, why error) {
	reason := passing(why)
	if reason == "" {
		return
	}
	h.did(ctx, "refused", "path", "/"+path, "reason", reason)
}

// passing is the reason of a refusal that will be over by itself; "" of any other.
func passing(err error) string {
	var r *refused
	switch {
	case errors.As(err, &r):
		if r.passing {
			return r.text
		}
		return ""
	case errors.Is(err, ledger.ErrFull), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return noRoom
	}
	return ""
}

// noRoom is what is said when there is none on the disk.
const noRoom = "the server has no room at the moment: send it again later"

// paused is the refusal of an upload into a folder whose source an operator has paused.
func paused() error {
	return &refused{code: wireFailure, passing: true, text: "nothing is taken into this folder at the moment, it is paused: send it again later"}
}
