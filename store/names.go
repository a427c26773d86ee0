package store

import "errors"

// A named is what has a number in the table names: what the kinds are is the callers' matter.
type named struct{ kind, name string }

// Number returns the number of a name, by which other rows know it; it gets one if it has none.
func (tx *Tx) Number(kind, name string) (int64, error) {
	k := named{kind, name}
	known := tx.w.known()
	if id, ok := known[k]; ok {
		return id, nil
	}
	var id int64
	err := tx.QueryRow(`SELECT id FROM names WHERE kind = ? AND name = ?`, kind, name).Scan(&id)
	if errors.Is(err, ErrNotFound) {
		id, err = tx.Insert(`INSERT INTO names (kind, name) VALUES (?, ?)`, kind, name)
	}
	if err == nil && known != nil {
		tx.After(func() { known[k] = id })
	}
	return id, err
}

// Rename has the rows of one name follow to another, by changing one row; only the holder of the executor's lock may. Where both had a number it returns them, else 0:
// then the smaller is that of the new name from here on, and the caller moves the rows of the greater to it, as far as they can be; what stays is the old name's. The name that came
// first has the more rows in all likelihood.
func (tx *Tx) Rename(kind, from, to string) (was, is int64, err error) {
	tx.w.numbers, tx.w.numbersOf = nil, nil // what those before in the same group learnt goes into the map that was
	err = tx.QueryRow(`SELECT COALESCE(MAX(CASE name WHEN ? THEN id END), 0), COALESCE(MAX(CASE name WHEN ? THEN id END), 0)
		FROM names WHERE kind = ? AND name IN (?, ?)`, from, to, kind, from, to).Scan(&was, &is)
	switch {
	case err != nil || was == 0:
		return 0, 0, err
	case is == 0:
		_, err = tx.Exec(`UPDATE names SET name = ? WHERE id = ?`, to, was)
		return 0, 0, err
	case is < was: // each has its name already
		return was, is, nil
	}
	for _, n := range []struct {
		id   int64
		name string
	}{{is, ""}, {was, to}, {is, from}} { // "" is nobody's name
		if _, err := tx.Exec(`UPDATE names SET name = ? WHERE id = ?`, n.name, n.id); err != nil {
			return 0, 0, err
		}
	}
	return was, is, nil
}

// known are numbers that are sure to be those of their names still: only the executor renames, so only it may keep them. They are nil for any other process.
// The writer's goroutine alone uses them.
func (w *writer) known() map[named]int64 {
	w.db.mu.Lock()
	x := w.db.executor
	w.db.mu.Unlock()
	if x == nil {
		w.numbers, w.numbersOf = nil, nil
	} else if x != w.numbersOf {
		w.numbers, w.numbersOf = map[named]int64{}, x
	}
	return w.numbers
}
