package main

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"waybill/jobs"
	"waybill/ledger"
)

// A fileView is a file as --json shows it.
type fileView struct {
	File     int64     `json:"file"`
	Source   string    `json:"source"`
	Path     string    `json:"path"` // escaped
	Partner  string    `json:"partner,omitempty"`
	Test     bool      `json:"test,omitempty"`
	Size     int64     `json:"size"`
	SHA256   string    `json:"sha256,omitempty"`
	State    string    `json:"state"`
	Where    string    `json:"where"`
	Spooled  bool      `json:"spooled"` // its bytes are kept
	Modified time.Time `json:"modified"`
	Seen     time.Time `json:"seen"`
	Landed   time.Time `json:"landed,omitzero"`
	Closed   time.Time `json:"closed,omitzero"`
}

// viewOfFile shows a file; folder is that of its source, "" where it is not known.
func viewOfFile(f ledger.File, folder string) *fileView {
	return &fileView{File: f.ID, Source: f.Source, Path: ledger.Shown(f.Path), Partner: f.Partner, Test: f.Trial, Size: f.Size, SHA256: hex.EncodeToString(f.Digest), State: f.State,
		Where: whereOf(f, folder), Spooled: f.Object != 0, Modified: f.ModTime, Seen: f.Seen, Landed: f.Landed, Closed: f.Closed}
}

// leftWhere is how the reason of a closed file begins that could not be taken away.
const leftWhere = "left where it was: "

// whereOf says where a file is now, in full when the folder of its source is known.
func whereOf(f ledger.File, folder string) string {
	in := func(path string) string {
		if folder == "" {
			return ledger.Shown(path)
		}
		return ledger.Shown(filepath.Join(folder, path))
	}
	why, left := strings.CutPrefix(f.Reason, leftWhere)
	switch {
	case f.Parent != 0:
		return fmt.Sprintf("in %s, which #%d unpacked", ledger.Shown(f.Archive()), f.Parent)
	case strings.HasPrefix(f.Source, jobs.ManualSource):
		return "where it was: waybill run takes no file away"
	case f.State == ledger.FileSeen:
		return "at its source, not taken yet: " + f.Reason
	case f.State == ledger.FileClosed && left:
		return "left where it is, " + in(f.Path) + " (could not be moved: " + ledger.Shown(why) + ")"
	case f.State == ledger.FileClosed && f.Reason == "":
		return "deleted at its source"
	case f.State == ledger.FileClosed && f.Reason == ledger.NoJob:
		return "at its source: " + f.Reason
	case f.State == ledger.FileClosed:
		return in(f.Reason)
	case f.State == ledger.FileClosable:
		return "at its source, about to be moved to " + f.Reason + barred(folder, f.Path)
	}
	return "at its source, until its entries have come to an end"
}

// barred says what keeps a file from being moved, as far as this process can tell: the folder that it lies in cannot be written.
func barred(folder, path string) string {
	if folder == "" {
		return ""
	}
	in := filepath.Dir(filepath.Join(folder, path))
	if err := unix.Access(in, unix.W_OK); err != nil {
		return fmt.Sprintf(" (cannot be moved yet: %s cannot be written: %v)", ledger.Shown(in), err)
	}
	return ""
}
