package formats

import (
	"bytes"

	"waybill/formats/jsonvalue"
)

// whole makes the message as JSON: its segments as lists, whose first item is the name, of elements, which are lists of components.
func (m *ediMaker) whole(id [][]byte) []Cell {
	b := append(m.room[:0], `{"reference":`...)
	quote := func(text []byte) {
		plain, _ := m.service.plain(nil, text)
		b = jsonvalue.AppendString(b, plain)
	}
	quote(m.service.component(m.data[m.segments[0].from:m.segments[0].to], messageReference, 1))
	b = append(b, `,"type":`...)
	quote(bytes.Join(id[:min(1, len(id))], nil))
	b = append(b, `,"version":`...)
	quote(bytes.Join(id[min(1, len(id)):], []byte{':'}))
	b = append(b, `,"segments":[`...)
	for i, s := range m.segments {
		if i > 0 {
			b = append(b, ',')
		}
		b = m.segment(b, m.data[s.from:s.to])
	}
	b = append(b, ']', '}')
	m.room = b
	cells := m.cells.take(1)
	cells[0] = Cell{Kind: Tree, Bytes: b}
	return cells
}

func (m *ediMaker) segment(b, text []byte) []byte {
	quote := func(text []byte) {
		plain, _ := m.service.plain(nil, text)
		b = jsonvalue.AppendString(b, plain)
	}
	cutAt := func(text []byte, separator byte) (piece, rest []byte, more bool) {
		if i := m.service.index(text, separator, 0); separator != 0 && i >= 0 {
			return text[:i], text[i+1:], true
		}
		return text, nil, false
	}
	name, rest, more := cutAt(text, m.service.element)
	b = append(b, '[')
	quote(name)
	for more {
		var element []byte
		element, rest, more = cutAt(rest, m.service.element)
		for again := true; again; {
			var one []byte
			one, element, again = cutAt(element, m.service.repeat)
			b = append(b, ',', '[')
			for first, parts := true, true; parts; first = false {
				var part []byte
				part, one, parts = cutAt(one, m.service.part)
				if !first {
					b = append(b, ',')
				}
				quote(part)
			}
			b = append(b, ']')
		}
	}
	return append(b, ']')
}
