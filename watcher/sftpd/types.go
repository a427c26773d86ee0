package sftpd

import (
	"context"
	"net/netip"
	"time"
)

// An Account is what a partner may do, as the configuration says it.
type Account struct {
	Name    string
	Quota   Quota
	Folders []Folder // no two with the same path
}

// A Quota bounds what lies in a mailbox: unfinished uploads, what waits to be processed, what waits to be picked up.
type Quota struct {
	Bytes    int64 // in all; 0: no limit
	Files    int64 // in all; 0: no limit
	FileSize int64 // of one file, bytes; 0: no limit
}

// A Right is what a partner may do in a folder.
type Right string

// Rights.
const (
	Drop   Right = "drop"    // upload, look, withdraw
	PickUp Right = "pick-up" // look, download, delete
)

// A Folder is one folder of a mailbox.
type Folder struct {
	Path   string // relative to the mailbox, "/"-separated: "in", "out", "orders/in"
	Right  Right
	Source string   // the source that what is dropped here belongs to; "" for folders to pick up from
	Trial  bool     // dropped here is checked and acknowledged in full, and nothing of it is delivered
	Keep   bool     // what no job takes is kept; otherwise it is refused
	Names  []string // what names are like that jobs take, as far as this partner may know; for the refusal
}

// A Session is one partner's connection that has logged in.
type Session struct {
	ID      string // differs for every connection
	Account *Account
	Address netip.AddrPort
	Client  string // the version the client states, escaped
	Login   time.Time
}

// A Journal keeps what happens: logins, refusals, uploads, downloads, renames. Detail always has partner, address and client where they
// are known.
type Journal interface {
	Note(ctx context.Context, kind string, detail map[string]any) error
}
