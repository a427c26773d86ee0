package formats

import "slices"

// mostKeyPath bounds what a validator keeps of each key besides its value: where in the document it stands.
const mostKeyPath = 2 << 10

// pathed looks whether the path to the element that was opened last is one that a validator may keep, namespaces and all.
func (p *xmlParser) pathed(at int) bool {
	longest := 0
	for _, s := range p.spaces {
		longest = max(longest, len(s.uri))
	}
	if len(p.names)+len(p.open)*(longest+3) <= mostKeyPath {
		return true
	}
	p.failAt(at, "the names and namespaces of the elements that are open take more than %s, and the schema has keys that are kept with them", Bytes(mostKeyPath))
	return false
}

// A validator holds the values of the fields of a key until the element ends that the key is of, and compares their length with mostKey only then. Elements that have keys may stand in
// each other, so that what is held for all that are open is counted here, by the names that fields have: with max_keys, as what is kept of them is.

// keyed counts the attributes of the element that was opened last.
func (p *xmlParser) keyed(at int, o *xmlOpen) bool {
	for i := range p.attrs {
		if a := &p.attrs[i]; len(a.value) > mostKey {
			p.hold(o, p.keys.of(string(a.local)), len(a.value))
		}
	}
	return p.holds(at)
}

// hold counts bytes of a field that a validator may hold until the element ends. There is one value of each field: of several that stand in the element the longest
// count, as many as there are places.
func (p *xmlParser) hold(o *xmlOpen, places []int, size int) {
	if len(places) == 0 {
		return
	}
	for len(o.most) < len(p.keys.names) {
		o.most = append(o.most, 0)
	}
	least := slices.MinFunc(places, func(a, b int) int { return o.most[a] - o.most[b] })
	if more := size - o.most[least]; more > 0 {
		o.most[least] = size
		o.held += more
		p.pending += more
	}
}

// said counts the text from i to end, which is of the innermost element, and passes on end.
func (p *xmlParser) said(i, end int) int {
	if n := len(p.open) - 1; p.keys != nil && end > i && n >= 0 {
		p.open[n].said += end - i
		if !p.holds(i) {
			return -1
		}
	}
	return end
}

// unkeyed ends an element: what was in it may be of a key of those around it.
func (p *xmlParser) unkeyed(n int) {
	o := &p.open[n]
	p.pending -= o.held
	if n == 0 {
		return
	}
	around := &p.open[n-1]
	for place, size := range o.most {
		if size > 0 {
			p.hold(around, p.keys.of(p.keys.names[place]), size)
		}
	}
	if o.said > mostKey {
		p.hold(around, p.keys.of(string(p.names[o.name+o.local:])), o.said)
	}
}

// holds looks whether what a validator may hold is within what it may.
func (p *xmlParser) holds(at int) bool {
	if p.pending <= p.limits.MaxKeys*(mostKey+mostKeyPath) {
		return true
	}
	p.fail = failure{at, "max_keys", "elements whose keys are long stand in each other: the comparison with the schema would have to hold " + Bytes(p.pending).String() + " until they end (max_keys)"}
	return false
}
