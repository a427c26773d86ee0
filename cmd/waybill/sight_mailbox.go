package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/sftpd"
)

// uploading finds uploads of a name that are not finished: they lie in mailboxes, and the ledger knows nothing of them yet.
func (i *instance) uploading(l *landscape, source string, m *sftpd.Mailboxes, name string) (list []sighting) {
	name = path.Base(filepath.ToSlash(name))
	for _, item := range l.config.Partners {
		if !m.Takes(item.Name, item.Options.(*sftpd.Partner)) {
			continue
		}
		for _, folder := range []string{m.Folder, m.Test} {
			info, err := os.Lstat(filepath.Join(i.db.Folder(), "mailboxes", item.Name, filepath.FromSlash(folder), name))
			if folder == "" || err != nil || !info.Mode().IsRegular() {
				continue // what cannot be looked at is not known of; a partner has no other kind of file
			}
			list = append(list, sighting{Source: source, Path: ledger.Shown(item.Name + "/" + name), Rule: ofUpload(item.Name, folder, info)})
		}
	}
	return list
}

// ofUpload is the rule that keeps an upload from being taken.
func ofUpload(partner, folder string, info fs.FileInfo) string {
	if watcher.Ignored(info.Name()) {
		return fmt.Sprintf("%s keeps it in %s/ under a name that says that it is temporary: it is taken when he renames it", partner, folder)
	}
	return fmt.Sprintf("its upload to %s/ by %s is under way or broke off, %s came until %s: it is taken when he goes on with it or sends it anew (waybill partner history %s)",
		folder, partner, count(info.Size(), "byte"), clock(info.ModTime()), partner)
}
