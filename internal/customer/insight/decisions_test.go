package insight

import (
	"testing"

	"oneid/identity"
)

// Who an account was before a decision does not depend on whether the clock of who
// decided went before or after the resolver's, nor on whether it was told twice.
func TestBeforeADecision(t *testing.T) {
	t.Parallel()
	born, joined, parted := identity.CustomerID{1}, identity.CustomerID{2}, identity.CustomerID{3}
	moves := []move{{1000, 10, born}, {2000, 20, joined}, {9000, 30, parted}} // the last by the decision
	for name, c := range map[string]struct {
		at      int64
		version uint64
		want    identity.CustomerID
	}{
		"one clock":                         {8990, 30, joined},
		"the decider's clock is ahead":      {9500, 30, joined},
		"the resolver's clock is ahead":     {8000, 30, joined},
		"told again, in a later batch":      {8990, 35, joined},
		"of an account that had just moved": {1500, 20, born},
		"before it was known":               {900, 10, identity.CustomerID{}},
	} {
		got, ok := before(moves, c.at, c.version)
		if got != c.want || ok != (c.want != identity.CustomerID{}) {
			t.Errorf("%s: customer %v, %t; want %v", name, got, ok, c.want)
		}
	}
}
