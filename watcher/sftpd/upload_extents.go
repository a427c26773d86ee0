package sftpd

import "slices"

// maxExtents is how many runs of bytes beyond a gap one upload may have: clients that write out of order have a few requests under way.
const maxExtents = 4096

// Extents are the bytes of an upload that were written: all up to front, and some runs after gaps.
type extents struct {
	front int64
	later []extent // in order, none touching another or front
}

type extent struct{ from, to int64 }

// add notes that the bytes from, up to but not including to, were written. It returns false when there are too many gaps.
func (x *extents) add(from, to int64) bool {
	if from >= to {
		return true
	}
	if from <= x.front {
		x.front = max(x.front, to)
		x.join()
		return true
	}
	i, _ := slices.BinarySearchFunc(x.later, from, func(e extent, from int64) int {
		if e.to < from {
			return -1
		}
		return 1
	})
	j := i
	for j < len(x.later) && x.later[j].from <= to {
		from, to = min(from, x.later[j].from), max(to, x.later[j].to)
		j++
	}
	if i == j && len(x.later) >= maxExtents {
		return false
	}
	x.later = slices.Replace(x.later, i, j, extent{from, to})
	return true
}

// join lets front swallow the runs that it has reached.
func (x *extents) join() {
	n := 0
	for n < len(x.later) && x.later[n].from <= x.front {
		x.front = max(x.front, x.later[n].to)
		n++
	}
	x.later = slices.Delete(x.later, 0, n)
}

// cut forgets what lies at size and beyond.
func (x *extents) cut(size int64) {
	x.front = min(x.front, size)
	n := 0
	for n < len(x.later) && x.later[n].from < size {
		x.later[n].to = min(x.later[n].to, size)
		n++
	}
	x.later = x.later[:n]
}

// gap returns the end of the first gap, which begins at front; ok is false when there is none below size.
func (x *extents) gap(size int64) (end int64, ok bool) {
	if x.front >= size {
		return 0, false
	}
	if len(x.later) > 0 {
		return x.later[0].from, true
	}
	return size, true
}
