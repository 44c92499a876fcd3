package state

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"

	"oneid/identity"
)

// few invents one of some identifiers, of which many lie in one drawer.
func few(r *rand.Rand) identity.Identifier {
	id := identity.Identifier{Type: []identity.IdentifierType{"phone", "phon", "email"}[r.IntN(3)]}
	id.Hash[0], id.Hash[1], id.Hash[15] = []byte{0, 0, 0x7f, 0xff}[r.IntN(4)], []byte{0, 0x0f, 0x10, 0xff}[r.IntN(4)], byte(r.IntN(3))
	return id
}

// Whatever is put, in whatever order and pieces, with whatever an earlier version left:
// what was put last of an identifier is its value, and each is told of once.
func TestValuesAreWhatWasPutLast(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 3))
		folder := t.TempDir()
		want := map[identity.Identifier]string{}
		for step := range 12 {
			store, err := Open(folder)
			if err != nil {
				t.Fatal(err)
			}
			for range r.IntN(3) {
				if step == 0 { // before there were packs
					id := few(r)
					want[id] = "of an earlier version"
					if err := store.db.Set(valueKey(id), []byte(want[id]), pebble.NoSync); err != nil {
						t.Fatal(err)
					}
				}
				var values []SealedValue
				for i := range r.IntN(20) {
					id := few(r)
					want[id] = fmt.Sprint(step, i, string(make([]byte, r.IntN(200))))
					values = append(values, SealedValue{id, []byte(want[id])})
				}
				if err := store.PutValues(values); err != nil {
					t.Fatal(err)
				}
			}
			var got []identity.Identifier
			for id, err := range store.Values() {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, id)
			}
			if d := cmp.Diff(slices.SortedFunc(maps.Keys(want), identity.Identifier.Compare), got); d != "" {
				t.Fatalf("seed %d: Values (-want +got):\n%s", seed, d)
			}
			for range store.Values() { // one that is enough ends it
				break
			}
			for range 100 {
				id := few(r)
				got, ok, err := store.Value(id)
				if value, put := want[id]; string(got) != value || ok != put || err != nil {
					t.Fatalf("seed %d: Value of %v = %q, %v, %v, want %q", seed, id, got, ok, err, value)
				}
			}
			if err := errors.Join(store.Commit(nil), store.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Values of the same identifiers that are put at each of many attempts take no more room
// than at one, and the last count; so do those that are put once others were.
func TestValuesPutAgainLieWhereTheyLay(t *testing.T) {
	t.Parallel()
	store, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ids := []identity.Identifier{{Type: identity.Phone, Hash: identity.Hash{1}}, {Type: identity.Phone, Hash: identity.Hash{0xff}}, {Type: identity.Email}}
	put := func(ids []identity.Identifier, sealed string) {
		t.Helper()
		var values []SealedValue
		for i, id := range ids {
			values = append(values, SealedValue{id, fmt.Append(nil, sealed, i)})
		}
		if err := store.PutValues(values); err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			if got, _, err := store.Value(id); string(got) != fmt.Sprint(sealed, i) || err != nil {
				t.Errorf("Value of %v = %q, %v, want what was put last, %q", id, got, err, fmt.Sprint(sealed, i))
			}
		}
	}
	packs := func() (n int) {
		err := store.scan(readingValues, []byte{packPrefix}, []byte{packPrefix + 1}, func(_, _ []byte) error { n++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for attempt := range 20 {
		put(ids, fmt.Sprint("attempt ", attempt, ", "))
	}
	if got := packs(); got != len(ids) {
		t.Errorf("after 20 attempts there are %d packs, want %d", got, len(ids))
	}
	put(ids[:2], "of fewer ")
	put(ids, "once more ")
	if got, want := packs(), len(ids)+2+len(ids); got != want {
		t.Errorf("after others were put there are %d packs, want %d", got, want)
	}
}

// A pack that is not whole is said to be damaged, by whoever reads it.
func TestDamagedValues(t *testing.T) {
	t.Parallel()
	id := identity.Identifier{Type: identity.Phone, Hash: identity.Hash{1}}
	key := append(appendDrawer(nil, id.Type, drawerOf(id.Hash)), make([]byte, generationBytes)...)
	for name, pack := range map[string][]byte{
		"half a hash": make([]byte, hashBytes/2), "no length": make([]byte, hashBytes), "half a value": append(make([]byte, hashBytes), 3, 1, 2),
	} {
		store, err := Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := store.db.Set(key, pack, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		_, _, looked := store.Value(id)
		var last error // that Values ends with
		for _, last = range store.Values() {
		}
		for who, err := range map[string]error{"Value": looked, "Values": last} {
			var failed *Error
			if !errors.As(err, &failed) || failed.Code() != "state_damaged" {
				t.Errorf("%s, %s: %v, want state_damaged", name, who, err)
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
