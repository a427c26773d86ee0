package infer

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// paging is what stands beside a list that is all there is to a document.
var paging = regexp.MustCompile(`(?i)^(@odata\..*|odata\..*|count|total|total_?count|page|pages|page_?size|size|limit|offset|next|prev|previous|cursor|has_?more|status|ok|success|version|generated_?at|exported_?at|timestamp)$`)

// listIn finds the list of records of a JSON document that is one object: the only thing in it but counts and pages.
func (m *maker) listIn(v *value) (at []string, why string) {
	for len(at) < 4 && v.kind == object {
		var only *value
		name := ""
		for i := range v.items {
			item := &v.items[i]
			if item.kind != object && item.kind != list && paging.MatchString(v.keys[i]) {
				continue
			}
			if only != nil {
				return nil, ""
			}
			only, name = item, v.keys[i]
		}
		if only == nil {
			return nil, ""
		}
		at = append(at, name)
		if only.kind == list && len(only.items) > 0 && allObjects(only.items) {
			return at, fmt.Sprintf("a list of %d objects, and nothing but counts beside it", len(only.items))
		}
		v = only
	}
	return nil, ""
}

func allObjects(items []value) bool {
	for i := range items {
		if items[i].kind != object {
			return false
		}
	}
	return true
}

// A place is where elements of one name stand below one that holds nothing else.
type place struct {
	path   []string
	count  int
	weight int
}

// elementIn finds the element that is the record: the highest that stands several times in one that holds nothing else, or alone in one
// that is called as several of it are, and that has most of the document in it.
func elementIn(root string, v *value) (path []string, why string) {
	whole := weight(v)
	level := []within{{[]string{root}, v}}
	for depth := 0; depth < 5 && len(level) > 0; depth++ {
		var best place
		below := level[:0:0]
		for _, at := range level {
			if p, ok := holder(at.path, at.v); ok && p.weight > best.weight {
				best = p
			}
			for i, item := range at.v.items {
				if item.kind == object {
					below = append(below, within{append(slices.Clone(at.path), at.v.keys[i]), &at.v.items[i]})
				}
			}
		}
		if 2*best.weight > whole {
			return best.path, fmt.Sprintf("%d of it stand there, and nothing else", best.count)
		}
		level = below
	}
	return headedIn(root, v)
}

// holder reports whether an element holds elements of one name only.
func holder(path []string, v *value) (p place, ok bool) {
	child := -1
	for i, key := range v.keys {
		switch {
		case strings.HasPrefix(key, "@"):
		case child >= 0:
			return p, false
		default:
			child = i
		}
	}
	if v.kind != object || child < 0 {
		return p, false
	}
	name, inner := v.keys[child], &v.items[child]
	p = place{path: append(append([]string{}, path...), name), count: 1, weight: weight(inner)}
	own := path[len(path)-1]
	switch {
	case inner.kind == list && allObjects(inner.items):
		p.count = len(inner.items)
		return p, true
	case inner.kind == object:
		return p, len(own) > len(name) && strings.HasPrefix(strings.ToLower(own), strings.ToLower(name))
	}
	return p, false
}

// weight counts the values in a value.
func weight(v *value) int {
	n := 1
	for i := range v.items {
		n += weight(&v.items[i])
	}
	return n
}

// teller is what the member is called that tells what a line is.
var teller = regexp.MustCompile(`(?i)^(type|kind|event|event_?type|record_?type|topic|object)$`)

// kindLongest is how long the name of a kind is at most, in bytes.
const kindLongest = 60

// turns notes that lines of JSON are of several kinds, told by a member: each is one job, with only.
func (p *Proposal) turns(root *shape) {
	for _, s := range root.members {
		c := &s.column
		if !teller.MatchString(s.name) || c.kinds[text] != root.objects || len(c.few) < 2 || len(c.few) > fewMost || 2*len(c.few) > c.values ||
			slices.ContainsFunc(slices.Collect(maps.Keys(c.few)), func(k string) bool { return len(k) > kindLongest }) {
			continue
		}
		var kinds []string
		for _, k := range slices.Sorted(maps.Keys(c.few)) {
			kinds = append(kinds, fmt.Sprintf("%s (%d)", k, c.few[k]))
		}
		p.Notes = append(p.Notes, fmt.Sprintf("lines are of %d kinds by %q: %s; make a job of each, with only: '=%s == %s'",
			len(kinds), s.name, strings.Join(kinds, ", "), identifier(s.name), strings.ReplaceAll(strconv.Quote(slices.Sorted(maps.Keys(c.few))[0]), "'", "''")))
		return
	}
}
