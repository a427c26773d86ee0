package ledger

import (
	"errors"

	"waybill/store"
)

const priorQuery = `SELECT id, 1 FROM files WHERE source = ` + ofSource + ` AND path = ? AND version = ?
	UNION ALL SELECT * FROM (SELECT id, 0 FROM files WHERE source = ` + ofSource + ` AND path = ? LIMIT 1) LIMIT 1`

// prior looks for the file: its row when this version is known, and whether any version of its name is.
func (g *landing) prior(tx *store.Tx) (id int64, known bool, err error) {
	path := []byte(g.arrival.Path)
	var same bool
	err = tx.QueryRow(priorQuery, g.arrival.Source, path, g.arrival.Version, g.arrival.Source, path).Scan(&id, &same)
	if errors.Is(err, store.ErrNotFound) {
		return 0, false, nil
	}
	if !same {
		id = 0
	}
	return id, true, err
}

// repeated answers for a version that has a row. It is not done when that version was only seen, or when jobs take
// now what none took when it landed, or when it is a member whose entry is gone.
func (g *landing) repeated(tx *store.Tx, id int64, taken bool) (done bool, err error) {
	if g.file, err = fileByID(tx, id); err != nil {
		return false, err
	}
	if g.file.State == FileSeen {
		return false, nil
	}
	if g.file.Reason == NoJob && taken {
		return false, g.ledger.spool.Remove(tx, g.file.Object)
	}
	g.entries, err = entriesWith(tx, id, ` AND e.run = 1`)
	if err != nil || g.archive == nil || len(g.entries) > 0 {
		return true, err
	}
	// Retention has removed the entry of a member and left its row. Without one the archive would never come to its end.
	if g.file.Object != 0 {
		err = g.ledger.spool.Remove(tx, g.file.Object)
	}
	return false, err
}
