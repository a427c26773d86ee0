package outbox

import "waybill/store"

// Rename has what waits for a destination, and its dead letters and answers, follow to another name. Renamed is to be called when
// nothing in the transaction can fail any more.
// A destination that had the new name before gets it together with what waited for that one: all rows are looked at then, and those of the younger one rewritten.
func (o *Outbox) Rename(tx *store.Tx, from, to string) error {
	was, is, err := tx.Rename(named, from, to)
	if err == nil && was != 0 {
		for _, statement := range []string{
			`UPDATE batches SET destination = ? WHERE destination = ?`,
			`UPDATE dead_letters SET destination = ? WHERE destination = ?`,
		} {
			if _, err := tx.Exec(statement, min(was, is), max(was, is)); err != nil {
				return err
			}
		}
	}
	tx.Notify(Topic)
	return err
}

// Renamed ends Rename, in its transaction. What is under way goes on: the courier is the same, and goes by the new name from here
// on. SetDestinations is to come next.
func (o *Outbox) Renamed(from, to string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for old, now := range o.names {
		if now == from {
			o.names[old] = to
		}
	}
	o.names[from] = to
	delete(o.names, to)
	if c := o.couriers[from]; c != nil && o.couriers[to] == nil {
		delete(o.couriers, from)
		c.call(to)
		o.couriers[to] = c
	}
}

// number is what rows have in place of the name of a destination, see store's Tx.Number.
func (o *Outbox) number(tx *store.Tx, destination string) (int64, error) {
	return tx.Number(named, o.nameOf(destination))
}

const (
	named         = "destination" // the kind of the names of destinations
	ofDestination = `(SELECT id FROM names WHERE kind = 'destination' AND name = ?)`
)

// nameOf is the name of now of a destination: messages may have been made for it before it was renamed. It is asked in the
// transaction that stores them.
func (o *Outbox) nameOf(destination string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now, renamed := o.names[destination]; renamed {
		return now
	}
	return destination
}
