package engine_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"oneid/identity"
	"oneid/identity/engine"
)

// What is looked up before a batch changes nothing of what the batch does, nor does the memory
// of the changes before it: neither what it says, nor a row of the state. Much of each batch was told before, the half of it with no
// other time.
func TestWhatIsLookedUpIsWhatApplyFinds(t *testing.T) {
	for seed := range *seedCount {
		r := rand.New(rand.NewPCG(uint64(seed), 9))
		h, ruled := randomHistory(r), rulesOf(t, seed)
		stores := []*engine.Memory{engine.NewMemory(), engine.NewMemory()}
		plain, asked := open(t, stores[0], ruled), open(t, stores[1], ruled)
		told, numbers := []engine.Update{}, map[identity.Identifier]uint32{} // in the order in which they came
		for sequence := uint64(1); len(h.updates) > 0; sequence++ {
			n := 1 + r.IntN(len(h.updates))
			batch := append([]engine.Update{}, h.updates[:n]...)
			h.updates = h.updates[n:]
			for range min(len(told), 1) * r.IntN(70) {
				again := told[r.IntN(len(told))]
				again.Evidence = append([]identity.Evidence{}, again.Evidence...)
				for i := range again.Evidence {
					again.Evidence[i].Last += 86400 * int64(r.IntN(2)*r.IntN(2))
				}
				batch = append(batch, again)
			}
			told = append(told, batch...)
			for i := range batch {
				if r.IntN(4) == 0 { // what it is that was seen comes later
					batch[i].Appearance = nil
				}
			}
			want, err := plain.Apply(sequence, batch, nil)
			if err != nil {
				t.Fatal(err)
			}
			found := append([]engine.Update{}, batch...)
			asked.LookUp(found)
			for i, u := range found {
				if cmp.Diff(batch[i].Evidence, u.Evidence) != "" || len(u.Numbers) != len(u.Evidence) {
					t.Fatalf("seed %d, sequence %d: to look it up makes of\n%+v\n%+v", seed, sequence, batch[i], u)
				}
				for j, ev := range u.Evidence {
					if number := numbers[ev.Identifier]; number != u.Numbers[j] {
						t.Fatalf("seed %d, sequence %d: of update %d evidence %d has number %d, want %d", seed, sequence, i, j, u.Numbers[j], number)
					}
				}
			}
			for _, u := range batch {
				for _, ev := range u.Evidence {
					if numbers[ev.Identifier] == 0 {
						numbers[ev.Identifier] = uint32(len(numbers) + 1)
					}
				}
			}
			got, err := asked.Apply(sequence, found, nil)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("seed %d, sequence %d: looked up before, a batch changes something else:\n%s", seed, sequence, d)
			}
		}
		if d := cmp.Diff(rowsOf(t, stores[0]), rowsOf(t, stores[1])); d != "" {
			t.Fatalf("seed %d: looked up before, batches leave another state:\n%s", seed, d)
		}
	}
}

// What was not there when it was looked up, and came with a batch since, is there once.
func TestLookedUpBeforeABatchThatBringsIt(t *testing.T) {
	const a, b = "tmall/1/a", "tmall/1/b"
	first, second := []engine.Update{shared(a, 1)}, []engine.Update{shared(b, 1), shared(a, 1), shared(a, 2), shared(b, 2)}
	stores := []*engine.Memory{engine.NewMemory(), engine.NewMemory()}
	early, late := open(t, stores[0], rules(t)), open(t, stores[1], rules(t))
	early.LookUp(first)
	early.LookUp(second)
	for i, batch := range [][]engine.Update{first, second} {
		got, err := early.Apply(uint64(i), batch, nil)
		if err != nil {
			t.Fatal(err)
		}
		late.LookUp(batch)
		want, err := late.Apply(uint64(i), batch, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("sequence %d, looked up before the batch before it (-looked up now +then):\n%s", i, d)
		}
	}
	if got := early.Size(); got.Accounts != 2 || got.Identifiers != 2 || got.Sightings != 4 {
		t.Errorf("there are %+v, want two accounts with two phones each", got)
	}
	if d := cmp.Diff(rowsOf(t, stores[1]), rowsOf(t, stores[0])); d != "" {
		t.Errorf("another state:\n%s", d)
	}
}

// rowsOf are all rows of a state.
func rowsOf(t *testing.T, store *engine.Memory) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, table := range "npaismtdoqrvuw" {
		err := store.Scan(engine.Table(table), func(key, value []byte) error {
			rows[string(table)+string(key)] = string(value)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

// Accounts and identifiers of which an index keeps the same are told apart.
func TestLookUpTellsApart(t *testing.T) {
	var updates []engine.Update
	kept := map[uint32]identity.Account{}
	for i := 0; len(updates) < 6; i++ {
		a := identity.Account{Platform: "tmall", Shop: "1", ID: fmt.Sprint("u", i)}
		id := a.BirthID()
		tag := binary.LittleEndian.Uint32(id[:]) >> 4
		other, ok := kept[tag]
		kept[tag] = a
		if !ok {
			continue
		}
		for _, a := range []identity.Account{other, a} {
			h := identity.Hash{1, 2, 3, 4, byte(len(updates))}
			updates = append(updates, engine.Update{Account: a, Evidence: []identity.Evidence{
				{Identifier: identity.Identifier{Type: identity.Phone, Hash: h}, Role: identity.RoleMember, Source: "tmall", First: 1, Last: 2}}})
		}
	}
	e := open(t, engine.NewMemory(), rules(t))
	for sequence, u := range updates { // the other half is unknown, and like a known one
		list := append([]engine.Update{}, updates...)
		e.LookUp(list)
		for i := range list {
			want := uint32(i + 1)
			if i >= sequence {
				want = 0
			}
			if got := list[i].Numbers[0]; got != want {
				t.Errorf("after %d updates the identifier of update %d has number %d, want %d", sequence, i, got, want)
			}
		}
		if _, err := e.Apply(uint64(sequence), list[sequence:sequence+1], nil); err != nil {
			t.Fatal(err)
		}
		if id, ok := e.CustomerOf(u.Account); !ok || id != u.Account.BirthID() {
			t.Errorf("account %d is of customer %v (%t), want its own", sequence, id, ok)
		}
	}
	list := append([]engine.Update{}, updates...)
	e.LookUp(list)
	changes, err := e.Apply(uint64(len(updates)), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes.Born)+len(changes.Evidence) > 0 {
		t.Errorf("all is known, and changed %+v", changes)
	}
	customers, _ := e.CustomersOf(uint64(len(updates)), nil)
	for i, id := range customers {
		if id != updates[i].Account.BirthID() {
			t.Errorf("update %d is of customer %v, want its own", i, id)
		}
	}
}
