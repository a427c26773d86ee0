package jobs

import (
	"errors"
	"slices"
	"strings"

	"waybill/formats"
)

// Columns are those of a table, as the fields of a job see them.
type Columns struct {
	TitlesIn int      // line of the titles; 0 where there are none, or where that is not known
	Unnamed  []string // titles that no field names
}

// looksMost is how many records are looked at for the first that can be read.
const looksMost = 20

// Columns reads the beginning of a file and tells which of its columns the fields name; ok is false where it has none, or where that cannot be told.
func (p *Plan) Columns(b formats.Blob) (c Columns, ok bool) {
	r := &p.reader
	o := p.options.Read
	if r.decoder == nil || r.open || len(r.parts) != 1 {
		return c, false
	}
	var names []string
	looks := 0
	for rec, err := range r.decoder.Decode(b) {
		var bad *formats.RecordError
		if looks++; looks > looksMost || err != nil && !errors.As(err, &bad) {
			break
		}
		if err == nil {
			names = slices.Clone(rec.Names)
			c.TitlesIn = int(rec.Titles)
			break
		}
	}
	if names == nil {
		return c, false
	}
	switch {
	case o.Titles != nil:
		c.TitlesIn = *o.Titles
	case o.Format != "xlsx": // whose row of titles is looked for
		c.TitlesIn = 1
	}
	if c.TitlesIn == 0 {
		return c, true
	}
	taken := map[string]bool{}
	for _, w := range r.parts[0].wants {
		if w.Column != "" {
			if n, err := formats.ColumnNumber(w.Column); err == nil && n <= len(names) {
				taken[names[n-1]] = true
			}
		}
		for _, title := range w.From {
			taken[strings.TrimSpace(title)] = true
		}
	}
	for _, name := range names {
		if name != "" && !taken[name] {
			c.Unnamed = append(c.Unnamed, name)
		}
	}
	return c, true
}
