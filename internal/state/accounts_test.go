//go:build unix

package state_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/state"
)

// buyer is a numbered account as `oneid bench flow` invents them: one of three on each
// platform, and of ten such triples four are one person, known by a phone everywhere; of
// three more, Tmall's and Weidian's are.
type buyer int

func (b buyer) mixed() uint64 {
	x := uint64(b) * 0x9e3779b97f4a7c15
	return x ^ x>>29
}

func (b buyer) account() identity.Account {
	a := identity.Account{Platform: [...]string{"tmall", "douyin", "weidian"}[b%3], Shop: "1"}
	switch a.Platform {
	case "tmall":
		a.ID = fmt.Sprintf("AAG%016xOuid%07d", b.mixed(), int(b))
	case "douyin":
		a.ID = fmt.Sprintf("1@#%016x%010d", b.mixed(), int(b))
	default:
		a.ID = fmt.Sprint(1_800_000_000 + int(b))
	}
	return a
}

// person is the number that the account's phone is made of.
func (b buyer) person() buyer {
	triple := b / 3
	if kind := triple.mixed() >> 40 % 10; kind < 4 || kind < 7 && b%3 != 1 {
		return 3 * triple
	}
	return b
}

// seen are what the account is known by once a user and an order of it were read: one
// update each.
func (b buyer) seen() []engine.Update {
	of, begun, member := b.account(), int64(b%(80*24*60)), identity.RoleMember
	own := []identity.IdentifierType{[...]identity.IdentifierType{identity.TmallOUID, identity.DouyinOpenID, identity.WeidianBuyerID}[b%3]}
	if of.Platform == "tmall" {
		own = append(own, identity.TmallOpenUID)
	}
	if of.Platform == "weidian" {
		member = identity.RoleBuyer
	}
	user, order := engine.Update{Account: of}, engine.Update{Account: of}
	see := func(u *engine.Update, typ identity.IdentifierType, no buyer, role identity.Role, days int64) {
		kind := byte(0)
		for _, c := range []byte(typ) {
			kind += c
		}
		h := hashed(kind, uint64(no))
		u.Evidence = append(u.Evidence, identity.Evidence{Identifier: identity.Identifier{Type: typ, Hash: h}, Role: role, Source: of.Platform,
			First: beginning - begun*60, Last: beginning - begun*60 + days*day})
	}
	for _, typ := range own {
		see(&user, typ, b, identity.RoleBuyer, 0)
		see(&order, typ, b, identity.RoleBuyer, 4)
	}
	see(&user, [...]identity.IdentifierType{identity.TmallOMID, identity.DouyinUnionID, identity.UnionID}[b%3], b, member, 0)
	if of.Platform == "weidian" {
		see(&order, identity.Phone, b.person(), member, 4)
	}
	if of.Platform == "weidian" || b.mixed()>>50%10 < 6 {
		see(&user, identity.Phone, b.person(), member, 0)
	}
	updates := []engine.Update{user, order}
	for _, u := range updates {
		slices.SortFunc(u.Evidence, identity.Evidence.Compare)
	}
	return updates
}

// buyers are what is seen of some.
func buyers(from, to int) (updates []engine.Update) {
	for b := from; b < to; b++ {
		updates = append(updates, buyer(b).seen()...)
	}
	return updates
}

// take does with a batch what the flow does: what nobody has seen before is kept sealed,
// then the batch is applied.
func take(tb testing.TB, folder *state.Store, e *engine.Engine, sequence uint64, updates []engine.Update) {
	tb.Helper()
	e.LookUp(updates)
	var values []state.SealedValue
	random := rand.NewChaCha8([32]byte{byte(sequence), byte(sequence >> 8), byte(sequence >> 16)})
	for _, u := range updates {
		for i, ev := range u.Evidence {
			if u.Numbers[i] == 0 {
				value := make([]byte, 40) // as long as a sealed phone
				_, _ = random.Read(value) // which never fails
				values = append(values, state.SealedValue{Identifier: ev.Identifier, Sealed: value})
			}
		}
	}
	slices.SortFunc(values, func(a, b state.SealedValue) int { return a.Identifier.Compare(b.Identifier) })
	values = slices.CompactFunc(values, func(a, b state.SealedValue) bool { return a.Identifier == b.Identifier })
	if err := folder.PutValues(values); err != nil {
		tb.Fatal(err)
	}
	if _, err := e.Apply(sequence, updates, nil); err != nil {
		tb.Fatal(err)
	}
	e.Delivered(sequence)
}

// lives is how many bytes of the heap are no garbage.
func lives() float64 {
	runtime.GC()
	runtime.GC() // what a pool holds goes with the second
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return float64(now.HeapAlloc)
}

// A further account takes no more of the memory than the state may, with Pebble behind it.
func TestFurtherAccountsTakeFewBytes(t *testing.T) {
	const first, further, batch, most = 150_000, 150_000, 25_000, 200
	folder, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(folder, identity.DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	var before float64
	for n := 0; n < first+further; n += batch {
		if n == first {
			before = lives()
		}
		take(t, folder, e, uint64(n), buyers(n, n+batch))
	}
	each := (lives() - before) / further
	customers := 0
	for range e.Customers {
		customers++
	}
	if size := e.Size(); size.Accounts != first+further || size.Sightings < 3*size.Accounts || customers > size.Accounts*4/5 {
		t.Errorf("the state is %+v with %d customers, not one of %d accounts and all that they were seen with", size, customers, first+further)
	}
	t.Logf("a further account takes %.0f bytes", each)
	if each > most {
		t.Errorf("a further account takes %.0f bytes, want %d at most", each, most)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
}
