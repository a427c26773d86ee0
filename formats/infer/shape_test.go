package infer

import (
	"fmt"
	"testing"
)

// An object whose members are named by what they are about has as many names as things: each is found at once, and not by a look at all of them.
func TestMembersThatAreManyAreFoundByName(t *testing.T) {
	t.Parallel()
	s := &shape{}
	for round := range 2 {
		for i := range 1000 {
			m := s.member(fmt.Sprint(i))
			if m.seen++; m.seen != round+1 || s.members[i] != m {
				t.Fatalf("member %d is another one", i)
			}
		}
	}
	if len(s.members) != 1000 || len(s.byName) != 1000 {
		t.Errorf("%d members, %d of them by name", len(s.members), len(s.byName))
	}
}
