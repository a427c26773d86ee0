package jobs

import (
	"regexp"
	"regexp/syntax"
)

// matcher is a regular expression; the plain sort that patterns of fields mostly are (^A-\d+$) is matched byte by byte.
type matcher struct {
	*regexp.Regexp
	steps []step // nil: not of the plain sort
}

// step is a run of bytes out of a set.
type step struct {
	set  [256]bool
	low  int
	high int // -1: no end
}

func newMatcher(pattern string) (*matcher, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	m := &matcher{Regexp: re}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || tree.Op != syntax.OpConcat {
		return m, nil
	}
	parts := tree.Sub
	if len(parts) < 3 || parts[0].Op != syntax.OpBeginText || parts[len(parts)-1].Op != syntax.OpEndText {
		return m, nil
	}
	var steps []step
	for _, p := range parts[1 : len(parts)-1] {
		more, ok := plainSteps(p)
		if !ok {
			return m, nil
		}
		steps = append(steps, more...)
	}
	if decided(steps) {
		m.steps = steps
	}
	return m, nil
}

// plainSteps are the steps of a literal, a class of ASCII characters, or a repetition of one.
func plainSteps(p *syntax.Regexp) (steps []step, ok bool) {
	switch p.Op {
	case syntax.OpLiteral:
		for _, r := range p.Rune {
			if r >= 0x80 || p.Flags&syntax.FoldCase != 0 {
				return nil, false
			}
			s := step{low: 1, high: 1}
			s.set[r] = true
			steps = append(steps, s)
		}
		return steps, true
	case syntax.OpCharClass:
		s := step{low: 1, high: 1}
		for i := 0; i < len(p.Rune); i += 2 {
			if p.Rune[i+1] >= 0x80 {
				return nil, false
			}
			for r := p.Rune[i]; r <= p.Rune[i+1]; r++ {
				s.set[r] = true
			}
		}
		return []step{s}, true
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		steps, ok = plainSteps(p.Sub[0])
		if !ok || len(steps) != 1 || steps[0].low != 1 || steps[0].high != 1 {
			return nil, false
		}
		s := &steps[0]
		switch p.Op {
		case syntax.OpStar:
			s.low, s.high = 0, -1
		case syntax.OpPlus:
			s.high = -1
		case syntax.OpQuest:
			s.low = 0
		default:
			s.low, s.high = p.Min, p.Max
		}
		return steps, true
	}
	return nil, false
}

// decided reports whether taking as much as possible at every step never has to be taken back.
func decided(steps []step) bool {
	for i := 0; i+1 < len(steps); i++ {
		if steps[i].low == steps[i].high {
			continue
		}
		next := &steps[i+1]
		if next.low == 0 {
			return false
		}
		for c := range steps[i].set {
			if steps[i].set[c] && next.set[c] {
				return false
			}
		}
	}
	return true
}

// matches reports whether text matches.
func (m *matcher) matches(text []byte) bool {
	if m.steps == nil {
		return m.Match(text)
	}
	for i := range m.steps {
		s := &m.steps[i]
		n := 0
		for n < len(text) && n != s.high && s.set[text[n]] {
			n++
		}
		if n < s.low {
			return false
		}
		text = text[n:]
	}
	return len(text) == 0
}
