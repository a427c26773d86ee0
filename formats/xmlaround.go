package formats

import (
	"errors"
	"fmt"
)

// begin gives the header, before anything else, when the first record begins or (all) the document has been read. Where not all that is needed stands
// before the records, and the file can be read again, a second reading finds it; it ends as soon as it has.
func (k *xmlWalk) begin(all bool) error {
	if k.late || k.yield == nil {
		return nil
	}
	k.late, k.known = true, true
	k.taker.reset()
	early := k.outer[:k.d.plan.early]
	for slot := range early {
		early[slot] = cloneCell(k.around(slot))
		k.known = k.known && early[slot].Kind != Absent
	}
	k.known = k.known || all
	if !k.known && k.blob.ReaderAt != nil {
		on := k.d.shop.borrow()
		second := k.d.reading(k.blob.again(), on)
		defer k.d.shop.back(on, second.w)
		if err := second.document(); err != nil && !errors.Is(err, errStopped) {
			return err
		}
		for slot := range early {
			early[slot] = second.around(slot)
		}
		k.known = true
	}
	return k.beside(k.d.header)
}

// beside gives a header or a trailer, if there is one.
func (k *xmlWalk) beside(part int) error {
	if part < 0 {
		return nil
	}
	if k.taker.full {
		return k.refuse(0, "max_cells", fmt.Sprintf("the lists around the records give more than %d fields (max_cells)", k.taker.most))
	}
	k.fields(k.d.sides[part])
	k.side.Part, k.side.Cells = part, k.cells
	if k.side.Line, k.side.Offset = 1, 0; part == k.d.tail {
		k.side.Offset = k.w.offset(0)
		k.side.Line = k.w.lineAt(k.rec.Line, k.rec.Offset)
	}
	if !k.yield(&k.side, nil) {
		return errStopped
	}
	return nil
}

// end gives what comes when all has been read.
func (k *xmlWalk) end() error {
	if err := k.begin(true); err != nil {
		return err
	}
	k.taker.reset()
	for slot := k.d.plan.early; slot < len(k.outer); slot++ {
		k.outer[slot] = k.around(slot)
	}
	return k.beside(k.d.tail)
}

// enough tells whether a reading that only looks for what stands around the records has found it: where no text that is wanted is open, what there is will stay.
func (k *xmlWalk) enough() bool {
	if k.yield != nil || !k.d.simple || len(k.p.takers) > 0 || k.header.size() == k.seen {
		return false
	}
	k.seen = k.header.size()
	for slot := range k.d.plan.early {
		if k.around(slot).Kind == Absent {
			return false
		}
	}
	return true
}
