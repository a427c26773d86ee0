package jobs

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"time"

	"waybill/jobs/expression"
)

// total is a figure over records.
type total struct {
	name  string
	does  totalling
	field int // of the part that it is made of; -1: its records are counted
	kind  expression.Kind
	bad   bool   // a count of all records: those that cannot be read count too
	over  uint64 // a hash total is its remainder by this; 0: it is whole
}

// totalling is what a total is.
type totalling uint8

const (
	counts totalling = iota
	sums
	least
	greatest
	hashes
)

// tally is a total as far as the run has come.
type tally struct {
	n    int64
	sum  expression.Decimal
	text []byte // least, greatest; nil: no record has had a value
	hash uint64
	much bool // hash is more than 64 bits hold
}

// add adds a record to the totals.
func (r *run) add(k *segment) {
	if len(k.totals) == 0 {
		return
	}
	a := &r.around
	r.tally(&a.totals, k)
	if a.block.open {
		r.tally(&a.block.totals, k)
	}
}

func (r *run) tally(list *[]tally, k *segment) {
	if len(*list) == 0 {
		*list = make([]tally, len(r.p.reader.totals))
	}
	for _, i := range k.totals {
		t, of := &(*list)[i], &r.p.reader.totals[i]
		t.n++
		if of.does == counts || !r.row[of.field].set {
			continue
		}
		text := r.row[of.field].text
		if err := t.take(of, text); err != nil {
			r.faults = append(r.faults, fault{k.fields[of.field].name, text, err.Error()})
		}
	}
}

// take takes the value of one record in.
func (t *tally) take(of *total, text []byte) error {
	switch of.does {
	case sums:
		d, err := expression.ParseDecimal(text)
		if err == nil {
			d, err = t.sum.Add(d)
		}
		if err != nil {
			return fmt.Errorf("cannot be added up: %w", err)
		}
		t.sum = d
	case least, greatest:
		if t.text == nil || of.order(text, t.text) < 0 == (of.does == least) {
			t.text = append(t.text[:0], text...)
		}
	case hashes:
		t.digits(of, text)
	}
	return nil
}

// digits adds up what the digits of a text are as one number, whatever stands between them: a hash total goes by the digits alone, as X12 (data
// element 347) and banks have it.
func (t *tally) digits(of *total, text []byte) {
	var v uint64
	for _, c := range text {
		if c -= '0'; c > 9 {
			continue
		}
		if of.over > 0 {
			v = (10*v + uint64(c)) % of.over // over is at most 10^18, so that this fits
			continue
		}
		high, low := bits.Mul64(v, 10)
		sum, carry := bits.Add64(low, uint64(c), 0)
		t.much = t.much || high+carry > 0
		v = sum
	}
	sum, carry := bits.Add64(t.hash, v, 0)
	t.much = t.much || carry > 0
	if t.hash = sum; of.over > 0 {
		t.hash %= of.over
	}
}

// order compares two values of a field as the field writes them.
func (t *total) order(a, b []byte) int {
	switch t.kind {
	case expression.KindInteger, expression.KindDecimal:
		return compare(a, b)
	case expression.KindDateTime: // whose zones may differ
		x, bad := time.Parse(isoForm(t.kind), string(a))
		y, worse := time.Parse(isoForm(t.kind), string(b))
		if bad == nil && worse == nil {
			return x.Compare(y)
		}
	}
	return bytes.Compare(a, b)
}

// unreadable counts a record that cannot be read among all records.
func (r *run) unreadable() {
	for i := range r.p.reader.totals {
		if !r.p.reader.totals[i].bad {
			continue
		}
		a := &r.around
		if len(a.totals) == 0 {
			a.totals = make([]tally, len(r.p.reader.totals))
		}
		a.totals[i].n++
		if a.block.open && len(a.block.totals) == 0 {
			a.block.totals = make([]tally, len(r.p.reader.totals))
		}
		if a.block.open {
			a.block.totals[i].n++
		}
	}
}

// figures are the totals of what is read as expressions see them.
func (r *run) figures(list []tally) (map[string]any, error) { return figures(r.p.reader.totals, list) }

// figures are totals as expressions see them, as far as they have come.
func figures(totals []total, list []tally) (map[string]any, error) {
	all := make(map[string]any, len(totals))
	for i := range totals {
		t := &totals[i]
		var now tally
		if len(list) > 0 {
			now = list[i]
		}
		v, err := t.figure(&now)
		if err != nil {
			return nil, fmt.Errorf("totals.%s: %w", t.name, err)
		}
		all[t.name] = v
	}
	return all, nil
}

// figure is a total as expressions see it; nil when there is none.
func (t *total) figure(now *tally) (any, error) {
	switch t.does {
	case counts:
		return now.n, nil
	case least, greatest:
		return value{set: now.text != nil, text: now.text}.any(&field{kind: t.kind})
	case hashes:
		if now.much || now.hash > math.MaxInt64 {
			return nil, fmt.Errorf("the hash total is more than an integer holds: say with digits how many of its last digits count")
		}
		return int64(now.hash), nil
	}
	if t.kind != expression.KindInteger {
		return now.sum, nil
	}
	n, ok := now.sum.Int64()
	if !ok {
		return nil, fmt.Errorf("the sum %s is more than an integer holds: make the field a decimal", now.sum)
	}
	return n, nil
}
