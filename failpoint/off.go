//go:build !failpoint

// Package failpoint marks the places where a crash must be survivable.
//
// A build with the tag failpoint kills the process (SIGKILL, as kill -9 or a
// power cut would) when it reaches the point named in WAYBILL_FAILPOINT, and
// appends each point it passes to the file named in WAYBILL_FAILPOINT_LOG, so that a
// test can prove that every point is reached. Without the tag Hit is empty and
// costs nothing. The package is exempt from the house rules on package state.
package failpoint

// Hit marks the place name, written "package/step", for example "ledger/landed".
func Hit(name string) {}
