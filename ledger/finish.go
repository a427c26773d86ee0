package ledger

import (
	"fmt"
	"slices"
	"time"

	"waybill/failpoint"
	"waybill/store"
)

// Fates of a file, which stand in its reason while it is closable.
const (
	fateDone   = "done"
	fateFailed = "failed"
)

// A Finish says that all messages of an entry are confirmed or set aside.
type Finish struct {
	Entry int64
	Dead  int64 // dead letters that are open
}

// Finish ends accepted entries whose messages are all settled: delivered, or failed where dead letters are
// open. A failed entry with none left open becomes delivered. Entries in any other state are passed over, so that it may be
// repeated. Files whose entries are all terminal become closable. Any number of results is taken, in sets of 200.
func (l *Ledger) Finish(tx *store.Tx, results []Finish) error {
	failpoint.Hit("ledger/finishing")
	now := l.clock()
	var clean, files []int64
	for _, r := range results {
		if r.Dead == 0 {
			clean = append(clean, r.Entry)
			continue
		}
		file, err := l.fail(tx, now, r)
		if err != nil {
			return fmt.Errorf("finish #%d: %w", r.Entry, err)
		}
		files = append(files, file)
	}
	for chunk := range slices.Chunk(clean, setSize) {
		more, err := l.deliver(tx, now, chunk)
		if err != nil {
			return fmt.Errorf("finish %d entries: %w", len(chunk), err)
		}
		files = append(files, more...)
	}
	if err := l.settle(tx, now, files); err != nil {
		return fmt.Errorf("finish %d entries: %w", len(results), err)
	}
	failpoint.Hit("ledger/finished")
	return nil
}

// deliver ends entries without open dead letters and returns their files.
func (l *Ledger) deliver(tx *store.Tx, now time.Time, ids []int64) ([]int64, error) {
	places, args := store.Set(ids)
	type ended struct{ id, file int64 }
	list, err := collect(tx, func(scan func(...any) error) (e ended, err error) {
		err = scan(&e.id, &e.file)
		return e, err
	}, `UPDATE entries SET state = 'delivered', dead = 0, finished = ? WHERE id IN `+places+` AND state IN ('accepted', 'failed')
		RETURNING id, COALESCE(file, 0)`, append([]any{store.Millis(now)}, args...)...)
	if err != nil {
		return nil, err
	}
	var done, files []int64
	for _, e := range list {
		done, files = append(done, e.id), append(files, e.file)
	}
	return files, l.recordSet(tx, Event{At: now, Kind: "delivered"}, done)
}

// fail ends one entry with open dead letters and returns its file.
func (l *Ledger) fail(tx *store.Tx, now time.Time, r Finish) (int64, error) {
	files, err := collect(tx, scanID, `UPDATE entries SET state = 'failed', dead = ?, finished = ? WHERE id = ? AND state IN ('accepted', 'failed')
		RETURNING COALESCE(file, 0)`, r.Dead, store.Millis(now), r.Entry)
	if err != nil || len(files) == 0 {
		return 0, err
	}
	return files[0], l.Record(tx, Event{At: now, Kind: string(Failed), Entry: r.Entry, Detail: map[string]any{"dead": r.Dead}})
}

// settle makes files closable whose entries have all come to an end. Files that nothing closes (requests,
// manual runs) are closed at once. Zeros among the ids are passed over.
func (l *Ledger) settle(tx *store.Tx, now time.Time, files []int64) error {
	var ids []int64
	for _, id := range files {
		if id != 0 {
			ids = append(ids, id)
		}
	}
	ids, err := withCompanions(tx, ids)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(ids, setSize) {
		places, args := store.Set(chunk)
		n, err := tx.Exec(settleQuery(places), append([]any{store.Millis(now)}, args...)...)
		if err != nil {
			return err
		}
		if n > 0 {
			tx.Notify(TopicClosable)
		}
		archives, err := collect(tx, scanID, `SELECT DISTINCT parent FROM files WHERE id IN `+places+` AND parent IS NOT NULL`, args...)
		if err != nil {
			return err
		}
		for _, first := range archives {
			if err := l.settleArchive(tx, now, first); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleQuery sets state and fate of files. Only the last run of a job counts for the fate: a replay makes good what the
// runs before it did. An archive failed when one of its members did, a companion when an entry did to which it belongs. Members lie nowhere but here, so that
// nobody closes them.
func settleQuery(places string) string {
	const ended = `e.state IN ('rejected', 'failed', 'cancelled') AND NOT EXISTS (SELECT 1 FROM entries r WHERE r.file = e.file AND r.job = e.job AND r.run > e.run)`
	beside := accompanied("files.id")
	lies := `files.parent IS NULL AND (EXISTS (SELECT 1 FROM entries e WHERE e.file = files.id AND e.kind = 'file') OR EXISTS (SELECT 1 FROM ` + beside + ` AND e.kind = 'file'))`
	open := ` AND e.state NOT IN ('delivered', 'rejected', 'failed', 'duplicate', 'cancelled'))`
	return `UPDATE files SET
		reason = CASE WHEN EXISTS (SELECT 1 FROM entries e WHERE e.file = files.id AND ` + ended + `)
			OR EXISTS (SELECT 1 FROM entries a JOIN files m ON m.parent = a.id JOIN entries e ON e.file = m.id WHERE a.file = files.id AND ` + ended + `)
			OR EXISTS (SELECT 1 FROM ` + beside + ` AND ` + ended + `)
			THEN '` + fateFailed + `' ELSE '` + fateDone + `' END,
		state = CASE WHEN ` + lies + ` THEN 'closable' ELSE 'closed' END,
		closed = CASE WHEN ` + lies + ` THEN NULL ELSE ? END
		WHERE id IN ` + places + ` AND state IN ('landed', 'closable') AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.file = files.id` + open + `
		AND NOT EXISTS (SELECT 1 FROM ` + beside + open
}
