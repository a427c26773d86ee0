package formats

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
)

// A jsonParser reads one JSON value that stands whole in memory (RFC 8259, strictly: exact numbers,
// no duplicate members, no lone surrogates) and takes what is wanted out of it on the way. When the
// bytes end before the value does it says so (short) and is asked again with more. Its functions take
// the place to read at and return the place behind, or -1 with fail or short set.
type jsonParser struct {
	buf      []byte
	final    bool // no more bytes will come
	limits   Limits
	maxDepth int
	seed     maphash.Seed

	short  bool
	fail   failure
	odd    string // what is wrong with the record, though it is good JSON
	blanks int    // bytes of white space passed

	keys   []jsonKey // of the objects being read, the innermost last
	sorted []jsonKey
	text   arena[byte]
	cells  arena[Cell]
	lists  arena[[]Cell]
	stack  [][]Cell // rows of the lists being read
	taken  int      // cells of lists
}

// A failure tells where the text stops being JSON, or passes a limit.
type failure struct {
	at     int
	limit  string
	reason string
}

type jsonKey struct {
	hash uint64
	text []byte
	at   int
}

func newJSONParser(l Limits) *jsonParser {
	return &jsonParser{limits: l, maxDepth: l.MaxDepth, seed: maphash.MakeSeed()}
}

// reset forgets the value before; what was taken out of it is no longer valid.
func (p *jsonParser) reset(buf []byte, final bool) {
	p.buf, p.final = buf, final
	p.short, p.fail, p.odd, p.blanks, p.taken = false, failure{}, "", 0, 0
	p.keys, p.stack = p.keys[:0], p.stack[:0]
	p.text.reset()
	p.cells.reset()
	p.lists.reset()
}

func (p *jsonParser) failAt(i int, reason string) int {
	p.fail = failure{at: i, reason: reason}
	return -1
}

// end is called where the bytes end inside the value.
func (p *jsonParser) end() int {
	if p.final {
		return p.failAt(len(p.buf), "the text ends inside a JSON value: truncated?")
	}
	p.short = true
	return -1
}

// unexpected tells what stands at i instead of what should.
func (p *jsonParser) unexpected(i int, wanted string) int {
	if i >= len(p.buf) {
		return p.end()
	}
	return p.failAt(i, fmt.Sprintf("unexpected %s, there should be %s", shown(p.buf[i:]), wanted))
}

// space passes white space.
func (p *jsonParser) space(i int) int {
	from := i
	for i < len(p.buf) && isSpace(p.buf[i]) {
		i++
	}
	p.blanks += i - from
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// value reads the value at i. What n wants of it goes to cells.
func (p *jsonParser) value(i int, n *node, cells []Cell, depth int) int {
	i = p.space(i)
	if i >= len(p.buf) {
		return p.end()
	}
	c := Cell{}
	from, escaped := i, false
	switch b := p.buf[i]; {
	case b == '{' || b == '[':
		return p.composite(i, n, cells, depth)
	case b == '"':
		if i, escaped = p.str(i); i < 0 {
			return -1
		}
		c.Kind = Text
		from++
		if n != nil && len(n.leaves) > 0 {
			c.Bytes = p.unescape(p.buf[from:i-1:i-1], escaped)
		}
	case b == '-' || b >= '0' && b <= '9':
		i = p.number(i)
		c.Kind = Number
	case b == 't':
		i = p.word(i, "true")
		c.Kind = Bool
	case b == 'f':
		i = p.word(i, "false")
		c.Kind = Bool
	case b == 'n':
		i = p.word(i, "null")
		c.Kind = Null
	default:
		return p.unexpected(i, "a value")
	}
	if i < 0 || n == nil {
		return i
	}
	if c.Kind != Text {
		c.Bytes = p.buf[from:i:i]
	}
	for _, l := range n.leaves {
		cells[l.cell] = c
	}
	return i
}

// composite reads an object or a list.
func (p *jsonParser) composite(i int, n *node, cells []Cell, depth int) int {
	if depth > p.maxDepth {
		p.fail = failure{i, "max_depth", fmt.Sprintf("lists and objects are nested deeper than %d (max_depth)", p.maxDepth)}
		return -1
	}
	if n == nil || len(n.leaves) == 0 {
		return p.inside(i, n, cells, depth)
	}
	blanks := p.blanks
	var end int
	direct := n.leaves[0].apart(p.buf[i]) && !n.inner() // the usual list: no need to read it twice
	if direct {
		end = p.rows(i, n.leaves[0], cells, depth)
	} else {
		end = p.inside(i, n, cells, depth)
	}
	if end < 0 {
		return -1
	}
	blanks = p.blanks - blanks
	for k, l := range n.leaves {
		switch {
		case k == 0 && direct:
		case !l.apart(p.buf[i]):
			cells[l.cell] = Cell{Kind: Tree, Bytes: p.compact(p.buf[i:end:end], blanks)}
		case p.rows(i, l, cells, depth) < 0:
			return -1
		}
	}
	return end
}

func (p *jsonParser) inside(i int, n *node, cells []Cell, depth int) int {
	if p.buf[i] == '{' {
		return p.object(i, n, cells, depth)
	}
	return p.list(i, n, cells, depth)
}

func (p *jsonParser) object(i int, n *node, cells []Cell, depth int) int {
	base := len(p.keys)
	if i = p.space(i + 1); i < len(p.buf) && p.buf[i] == '}' {
		return i + 1
	}
	for {
		at := i
		if i >= len(p.buf) || p.buf[i] != '"' {
			return p.unexpected(i, "the name of a member, in quotes")
		}
		var escaped bool
		if i, escaped = p.str(i); i < 0 {
			return -1
		}
		key := p.unescape(p.buf[at+1:i-1:i-1], escaped)
		p.keys = append(p.keys, jsonKey{maphash.Bytes(p.seed, key), key, at})
		if i = p.space(i); i >= len(p.buf) || p.buf[i] != ':' {
			return p.unexpected(i, `":"`)
		}
		if i = p.value(i+1, n.member(key), cells, depth+1); i < 0 {
			return -1
		}
		if i = p.space(i); i >= len(p.buf) {
			return p.end()
		}
		switch p.buf[i] {
		case ',':
			i = p.space(i + 1)
		case '}':
			if !p.unique(p.keys[base:]) {
				return -1
			}
			p.keys = p.keys[:base]
			return i + 1
		default:
			return p.unexpected(i, `"," or "}"`)
		}
	}
}

func (p *jsonParser) list(i int, n *node, cells []Cell, depth int) int {
	if i = p.space(i + 1); i < len(p.buf) && p.buf[i] == ']' {
		return i + 1
	}
	for at := 0; ; at++ {
		if i = p.value(i, n.item(at), cells, depth+1); i < 0 {
			return -1
		}
		if i = p.space(i); i >= len(p.buf) {
			return p.end()
		}
		switch p.buf[i] {
		case ',':
			i++
		case ']':
			return i + 1
		default:
			return p.unexpected(i, `"," or "]"`)
		}
	}
}

// rows takes the elements of a list apart, or the one object that stands for a list of one.
func (p *jsonParser) rows(i int, l leaf, cells []Cell, depth int) int {
	base := len(p.stack)
	if p.buf[i] == '{' {
		if i = p.element(i, l.rows, depth); i < 0 {
			return -1
		}
	} else if i = p.space(i + 1); i < len(p.buf) && p.buf[i] == ']' {
		i++
	} else {
		for at := 0; ; at++ {
			if i = p.space(i); i < len(p.buf) && p.buf[i] != '{' && p.odd == "" {
				p.odd = fmt.Sprintf("element %d of the list is not an object", at+1)
			}
			if i = p.element(i, l.rows, depth+1); i < 0 {
				return -1
			}
			if i = p.space(i); i >= len(p.buf) {
				return p.end()
			}
			if c := p.buf[i]; c == ']' {
				i++
				break
			} else if c != ',' {
				return p.unexpected(i, `"," or "]"`)
			}
			i++
		}
	}
	rows := p.lists.take(len(p.stack) - base)
	copy(rows, p.stack[base:])
	p.stack = p.stack[:base]
	cells[l.cell] = Cell{Kind: Nested, Rows: rows}
	return i
}

// element reads one element into a row of its own.
func (p *jsonParser) element(i int, rows *plan, depth int) int {
	p.taken += max(1, rows.slots)
	if p.taken > p.limits.MaxCells {
		p.fail = failure{i, "max_cells", fmt.Sprintf("the lists of one record give more than %d fields (max_cells)", p.limits.MaxCells)}
		return -1
	}
	row := p.cells.take(rows.slots)
	clear(row)
	if i = p.value(i, rows.top, row, depth); i >= 0 {
		rows.settle(row)
		p.stack = append(p.stack, row[:rows.width:rows.width])
	}
	return i
}

// unique sees that no two members of an object have the same name.
func (p *jsonParser) unique(keys []jsonKey) bool {
	const pairwise = 24 // members up to which comparing each with each is faster
	if len(keys) <= pairwise {
		for i := range keys {
			for j := range i {
				if keys[i].hash == keys[j].hash && bytes.Equal(keys[i].text, keys[j].text) {
					return p.twice(keys[i])
				}
			}
		}
		return true
	}
	p.sorted = append(p.sorted[:0], keys...)
	slices.SortFunc(p.sorted, func(a, b jsonKey) int {
		switch {
		case a.hash != b.hash && a.hash < b.hash:
			return -1
		case a.hash != b.hash:
			return 1
		}
		if c := bytes.Compare(a.text, b.text); c != 0 {
			return c
		}
		return a.at - b.at
	})
	for i := 1; i < len(p.sorted); i++ {
		if bytes.Equal(p.sorted[i].text, p.sorted[i-1].text) {
			return p.twice(p.sorted[i])
		}
	}
	return true
}

func (p *jsonParser) twice(k jsonKey) bool {
	p.failAt(k.at, twiceReason(k.text))
	return false
}

func twiceReason(key []byte) string {
	return fmt.Sprintf("the member %q stands twice in one object", cut(key))
}
