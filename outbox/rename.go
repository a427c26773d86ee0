package outbox

import "waybill/store"

// Rename has what waits for a destination, and its dead letters and answers, follow to another name. Renamed is to be called when
// nothing in the transaction can fail any more.
func (o *Outbox) Rename(tx *store.Tx, from, to string) error {
	for _, statement := range []string{
		`UPDATE batches SET destination = ? WHERE destination = ?`,
		`UPDATE dead_letters SET destination = ? WHERE destination = ?`,
		`UPDATE answers SET destination = ? WHERE destination = ?`,
	} {
		if _, err := tx.Exec(statement, to, from); err != nil {
			return err
		}
	}
	tx.Notify(Topic)
	return nil
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
