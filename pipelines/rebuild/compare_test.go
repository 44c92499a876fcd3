package rebuild

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/state"
)

// A value that only one of two states keeps is told, whichever it is and wherever it
// stands among the others.
func TestCompareValues(t *testing.T) {
	t.Parallel()
	value := func(n byte) state.SealedValue {
		return state.SealedValue{Identifier: identity.Identifier{Type: identity.Phone, Hash: identity.Hash{n}}, Sealed: []byte{n}}
	}
	var stores [2]*state.Store
	var engines [2]*engine.Engine
	for i, numbers := range [][]byte{{1, 2, 4, 6, 8}, {2, 3, 4, 8, 9, 10}} {
		store, err := state.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		var values []state.SealedValue
		for _, n := range numbers {
			values = append(values, value(n))
		}
		if err := store.PutValues(values); err != nil {
			t.Fatal(err)
		}
		if stores[i] = store; err == nil {
			engines[i], err = engine.New(store, identity.DefaultRules())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	only := func(n byte, where string) string {
		return "the value of " + value(n).Identifier.String() + " is only " + where
	}
	c, err := new(Rebuild).Compare(engines[0], engines[1], stores[0], stores[1])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{only(1, "here"), only(3, "there"), only(6, "here"), only(9, "there"), only(10, "there")}
	slices.Sort(c.Some)
	slices.Sort(want)
	if d := cmp.Diff(want, c.Some); d != "" || c.Differences != len(want) {
		t.Errorf("%d differences (-want +got):\n%s", c.Differences, d)
	}
}
