package ledger

import (
	"context"
	"fmt"
)

// Same returns the entries of files with the same bytes, by their SHA-256, the newest first, at most 20.
func (l *Ledger) Same(ctx context.Context, digest []byte) ([]Entry, error) {
	list, err := entries(l.db.Reader(ctx), `SELECT `+entryColumns+` FROM entries e JOIN files f ON f.id = e.file WHERE f.digest = ? ORDER BY e.id DESC LIMIT ?`,
		digest, whyLimit)
	if err != nil {
		return nil, fmt.Errorf("entries of the same bytes: %w", err)
	}
	return list, nil
}
