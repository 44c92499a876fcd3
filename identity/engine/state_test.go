package engine_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/identity/engine"
)

// shapes are what rows that lie in packs are made of: numbers, texts, hashes.
var shapes = map[engine.Table]string{'a': "ntnnnn", 'i': "nh", 's': "nnnnnn", 'v': "nttttttt"}

// unpacked takes a pack apart into rows, as a version wrote them that had no packs.
func unpacked(t *testing.T, table engine.Table, key, value []byte) (rows []engine.Row) {
	t.Helper()
	if shapes[table] == "" {
		return []engine.Row{{Table: table, Key: slices.Clone(key), Value: slices.Clone(value)}}
	}
	if len(key) != 6 {
		t.Fatalf("table %c: the key %x is not a pack's", table, key)
	}
	first, value := binary.BigEndian.Uint32(key), slices.Clone(value)
	for i := range uint32(binary.BigEndian.Uint16(key[4:])) {
		end := 0
		for _, part := range shapes[table] {
			if part == 'h' {
				end += len(identity.Hash{})
				continue
			}
			v, n := binary.Uvarint(value[end:])
			if end += n; part == 't' {
				end += int(v)
			}
		}
		rows = append(rows, engine.Row{Table: table, Key: binary.BigEndian.AppendUint32(nil, first+i), Value: value[:end:end]})
		value = value[end:]
	}
	if len(value) > 0 {
		t.Fatalf("table %c: the pack %x has %d bytes too many", table, key, len(value))
	}
	return rows
}

// earlier writes a state's rows each by itself, and its identifiers under other numbers,
// as a version did that numbered some of them before they were seen.
func earlier(t *testing.T, from *engine.Memory, r *rand.Rand) *engine.Memory {
	t.Helper()
	var order []int
	number := func(n uint64) []byte { return binary.BigEndian.AppendUint32(nil, uint32(order[n])) }
	rows := map[engine.Table][]engine.Row{}
	for _, table := range []engine.Table{'m', 't'} {
		err := from.Scan(table, func(key, _ []byte) error {
			return fmt.Errorf("table %c, row %x: an earlier version has no such table", table, key)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range []engine.Table{'n', 'p', 'a', 'i', 's', 'd', 'o', 'q', 'r', 'v', 'u', 'w'} {
		err := from.Scan(table, func(key, value []byte) error {
			rows[table] = append(rows[table], unpacked(t, table, key, value)...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, row := range rows['q'] { // sequence, format
		_, n := binary.Uvarint(row.Value)
		rows['q'][i].Value = row.Value[:n]
	}
	order = r.Perm(len(rows['i']))
	for i, row := range rows['i'] {
		rows['i'][i].Key = number(uint64(binary.BigEndian.Uint32(row.Key)))
	}
	for i, row := range rows['s'] { // account, identifier, …
		account, n := binary.Uvarint(row.Value)
		identifier, m := binary.Uvarint(row.Value[n:])
		value := binary.AppendUvarint(binary.AppendUvarint(nil, account), uint64(order[identifier]))
		rows['s'][i].Value = append(value, row.Value[n+m:]...)
	}
	for i, row := range rows['v'] { // identifier, …
		identifier, n := binary.Uvarint(row.Value)
		rows['v'][i].Value = append(binary.AppendUvarint(nil, uint64(order[identifier])), row.Value[n:]...)
	}
	to := engine.NewMemory()
	for _, some := range rows {
		if err := to.Commit(some); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// A state whose identifiers have numbers in another order than they were seen is
// the same state, goes on like it, and is read again.
func TestStateOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	for seed := range *seedCount / 2 {
		r := rand.New(rand.NewPCG(uint64(seed), 11))
		h, rules := randomHistory(r), rulesOf(t, seed)
		half := len(h.updates) / 2
		store := engine.NewMemory()
		e := open(t, store, rules)
		if _, err := e.Apply(1, h.updates[:half], nil); err != nil {
			t.Fatal(err)
		}
		old := earlier(t, store, r)
		again := open(t, old, rules)
		for d := range e.Compare(again) {
			t.Fatalf("seed %d: %s", seed, d.What)
		}
		want, err := e.Apply(2, h.updates[half:], h.decisions)
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Apply(2, h.updates[half:], h.decisions)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d: it goes on otherwise (-want +got):\n%s", seed, d)
		}
		for d := range e.Compare(open(t, old, rules)) {
			t.Fatalf("seed %d: read again: %s", seed, d.What)
		}
	}
}

// What an earlier version would read wrongly it takes for damage: behind the sequence
// stands a format, after batches that add no row to its tables too. A state of a later
// format is refused, and one without is of an earlier version.
func TestFormatOfTheState(t *testing.T) {
	t.Parallel()
	store := engine.NewMemory()
	a, b := shared("tmall/1/a", 1), shared("douyin/1/b", 2)
	if _, err := open(t, store, rules(t)).Apply(1, []engine.Update{a, b}, nil); err != nil {
		t.Fatal(err)
	}
	if err := store.Commit([]engine.Row{{Table: 'q', Key: []byte{}, Value: []byte{1}}}); err != nil {
		t.Fatal(err)
	}
	e := open(t, store, rules(t))
	if _, err := e.Apply(2, nil, []identity.Decision{{ID: "1", Kind: identity.Same, A: a.Account, B: b.Account}}); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, store)["q"]; got != "\x02\x01" {
		t.Errorf("the sequence's row is %x, want sequence and format", got)
	}
	for value, want := range map[string]string{
		"\x02": "", "\x02\x00": "", "\x02\x01": "", "\x02\x02": "a later version of OneID", "\x02\x02\x07": "a later version of OneID", "\x02\x01\x01": "damaged", "\x02\x80": "damaged",
	} {
		if err := store.Commit([]engine.Row{{Table: 'q', Key: []byte{}, Value: []byte(value)}}); err != nil {
			t.Fatal(err)
		}
		_, err := engine.New(store, rules(t))
		if got := fmt.Sprint(err); (err == nil) != (want == "") || !strings.Contains(got, want) && want != "" {
			t.Errorf("a sequence's row of %x: %v, want %q", value, err, want)
		}
	}
	if err := store.Commit([]engine.Row{{Table: 'q', Key: []byte{}, Value: []byte{2, 2}}, {Table: 'n', Key: []byte{0}, Value: []byte{}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.New(store, rules(t)); err == nil || !strings.Contains(err.Error(), "a later version of OneID") {
		t.Errorf("with rows of another kind: %v, want that a later version has written it", err)
	}
}

// Sequences have 40 bits.
func TestHighestSequence(t *testing.T) {
	t.Parallel()
	const low, high = 5, 5 + 1<<32
	store := engine.NewMemory()
	e := open(t, store, rules(t))
	a, b := shared("tmall/1/a", 1), shared("douyin/1/b", 1)
	for _, step := range []struct {
		sequence uint64
		update   engine.Update
	}{{low, a}, {high, shared("tmall/2/c", 2)}, {engine.MaxSequence, b}} {
		if _, err := e.Apply(step.sequence, []engine.Update{step.update}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []*engine.Engine{e, open(t, store, rules(t))} {
		first, _ := e.PlacementOf(a.Account)
		second, _ := e.PlacementOf(b.Account)
		if first.BornSequence != low || second.BornSequence != engine.MaxSequence || max(first.Since, second.Since) != engine.MaxSequence || first.CustomerID != second.CustomerID {
			t.Errorf("the accounts stand at %+v and %+v", first, second)
		}
		if _, err := e.Apply(engine.MaxSequence+1, nil, nil); err == nil {
			t.Error("a sequence of 41 bits is taken")
		}
	}
}

// shared is an account that bears a phone.
func shared(account string, phone byte) engine.Update {
	of, err := identity.ParseAccount(account)
	if err != nil {
		panic(err)
	}
	return engine.Update{Account: of, Evidence: []identity.Evidence{{Identifier: identity.Identifier{Type: identity.Phone, Hash: identity.Hash{phone}}, Role: identity.RoleMember, Source: of.Platform}}}
}

// An identifier joins as many accounts as its rule allows, however many that are,
// and none with one more; so it is after a restart.
func TestManyAccountsOfOneIdentifier(t *testing.T) {
	t.Parallel()
	for _, bound := range []int{3, 254, 255, 256, 700} {
		rules := parsed(t, fmt.Sprintf("\nlargest_customer: 5000\ntypes:\n  phone: {priority: 1, join: {member: 90}, accounts: %d}\n", bound))
		store := engine.NewMemory()
		var updates []engine.Update
		for i := range bound - 1 {
			updates = append(updates, shared(fmt.Sprint("tmall/1/", i), 1))
		}
		for i, step := range [][]engine.Update{updates, {shared("douyin/1/x", 1)}, {shared("douyin/1/y", 1)}} {
			e := open(t, store, rules)
			if _, err := e.Apply(uint64(i), step, nil); err != nil {
				t.Fatal(err)
			}
			if got, want := len(customersOf(e)), []int{1, 1, bound + 1}[i]; got != want {
				t.Errorf("bound %d, step %d: %d customers, want %d", bound, i, got, want)
			}
		}
	}
}

// A state of a version whose largest customer refused single links comes to the
// customers of this one with its next batch, and with that batch alone.
func TestStateOfAnotherWay(t *testing.T) {
	t.Parallel()
	moved := 0
	for seed := range *seedCount {
		r := rand.New(rand.NewPCG(uint64(seed), 31))
		h, rules := randomHistory(r), rulesOf(t, seed)
		h.decisions = nil
		// Customers that no bound has kept small stand for those of the other way.
		text, err := rules.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		store := engine.NewMemory()
		made := open(t, store, parsed(t, strings.Replace(string(text), "largest_customer: 4", "largest_customer: 1000", 1)))
		changes, err := made.Apply(1, h.updates, nil)
		if err != nil {
			t.Fatal(err)
		}
		born := map[identity.Account]uint64{}
		for _, b := range changes.Born {
			born[b.Account] = b.Sequence
		}
		if err := store.Commit([]engine.Row{{Table: 'r', Key: []byte{}, Value: text}, {Table: 'w', Key: []byte{}}}); err != nil {
			t.Fatal(err)
		}
		e := open(t, store, rules)
		changes, err = e.Apply(2, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(h.oracle(rules, born), held(e)); d != "" {
			t.Fatalf("seed %d: not the customers of Resolve (-want +got):\n%s", seed, d)
		}
		moved += len(changes.Moved)
		if changes, err = open(t, store, rules).Apply(3, nil, nil); err != nil || len(changes.Moved) > 0 {
			t.Fatalf("seed %d: after that %d accounts moved (%v)", seed, len(changes.Moved), err)
		}
	}
	if moved == 0 {
		t.Error("nobody moved: the test shows less than it says")
	}
}

// A state of a version that joined who was torn between two of a shop to one of them
// comes to the customers of this one with its next batch.
func TestStateOfTheWayThatTossed(t *testing.T) {
	t.Parallel()
	buyer := func(account string, phone byte) engine.Update {
		u := shared(account, phone)
		u.Evidence[0].Role = identity.RoleBuyer
		return u
	}
	text := []byte("largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {member: 90, buyer: 80}, per_shop: 1}\n")
	store := engine.NewMemory()
	// Rules without the bound stand for the toss.
	made := open(t, store, parsed(t, strings.Replace(string(text), "per_shop: 1", "per_shop: 0", 1)))
	if _, err := made.Apply(1, []engine.Update{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), shared("tmall/f/w", 1), shared("tmall/f/h", 2)}, nil); err != nil {
		t.Fatal(err)
	}
	if got := customersOf(made); len(got) != 1 {
		t.Fatalf("customers %v: the state is not as it was", got)
	}
	if err := store.Commit([]engine.Row{{Table: 'r', Key: []byte{}, Value: text}, {Table: 'w', Key: []byte{}, Value: []byte{2}}}); err != nil {
		t.Fatal(err)
	}
	e := open(t, store, parsed(t, string(text)))
	if _, err := e.Apply(2, nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := customersOf(e); len(got) != 3 {
		t.Errorf("customers %v, want each alone", got)
	}
}

// One shared phone tears, too, where what is stronger has made the persons of a shop:
// such a customer of the former way is looked at again as well.
func TestOnePhoneThatWasTossed(t *testing.T) {
	t.Parallel()
	carded := func(account string, phone, card byte) engine.Update {
		u := shared(account, phone)
		if phone == 0 {
			u.Evidence = u.Evidence[:0]
		}
		if card > 0 {
			u.Evidence = append(u.Evidence, identity.Evidence{Identifier: identity.Identifier{Type: identity.MemberCard, Hash: identity.Hash{card}}, Role: identity.RoleMember, Source: u.Account.Platform})
		}
		return u
	}
	text := []byte("largest_customer: 99\ntypes:\n  member_card: {priority: 1, join: {member: 95}}\n  phone: {priority: 2, join: {member: 90, buyer: 90}, per_shop: 1}\n")
	store := engine.NewMemory()
	// A weaker link of who came too late stands for the toss.
	made := open(t, store, parsed(t, strings.NewReplacer(", per_shop: 1", "", "buyer: 90", "buyer: 80").Replace(string(text))))
	apart := identity.Decision{ID: "not", Kind: identity.Different}
	apart.A, apart.B = shared("tmall/f/a", 0).Account, shared("tmall/f/b", 0).Account
	late := carded("tmall/h/b", 9, 2)
	late.Evidence[0].Role = identity.RoleBuyer
	updates := []engine.Update{carded("tmall/f/a", 0, 1), carded("tmall/g/a", 9, 1), carded("tmall/f/b", 0, 2), late, carded("weidian/1/c", 9, 0)}
	if _, err := made.Apply(1, updates, []identity.Decision{apart}); err != nil {
		t.Fatal(err)
	}
	if got := customersOf(made); len(got) != 2 {
		t.Fatalf("customers %v: the state is not as it was", got)
	}
	if err := store.Commit([]engine.Row{{Table: 'r', Key: []byte{}, Value: text}, {Table: 'w', Key: []byte{}, Value: []byte{2}}}); err != nil {
		t.Fatal(err)
	}
	e := open(t, store, parsed(t, string(text)))
	if _, err := e.Apply(2, nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := customersOf(e); len(got) != 3 {
		t.Errorf("customers %v, want who was tossed alone", got)
	}
}

// A state of a version that took the first of equal links where they led to persons who
// contradict each other comes to the customers of this one with its next batch: who was
// joined to one of two is alone, who was joined to both is too, and who may be the other
// of two is he.
func TestStateOfTheWayThatTossedBetweenContradictions(t *testing.T) {
	t.Parallel()
	bears := func(account string, typ identity.IdentifierType, value byte, role identity.Role) engine.Update {
		u := shared(account, value)
		u.Evidence[0].Identifier.Type, u.Evidence[0].Role = typ, role
		return u
	}
	const text = "largest_customer: 9\ntypes:\n  unionid: {priority: 1, join: {member: 96}, exclusive: 1}\n  phone: {priority: 2, join: {member: 90, buyer: 90}, per_shop: 1}\n  email: {priority: 3, join: {member: 80, buyer: 80}}\n"
	two := []engine.Update{bears("tmall/f/a", identity.UnionID, 7, identity.RoleMember), bears("tmall/g/b", identity.UnionID, 8, identity.RoleMember),
		bears("tmall/f/a", identity.Email, 1, identity.RoleMember), bears("tmall/g/b", identity.Email, 2, identity.RoleBuyer),
		bears("weidian/1/w", identity.Email, 1, identity.RoleMember), bears("weidian/1/w", identity.Email, 2, identity.RoleMember)}
	couple := []engine.Update{bears("weidian/1/w", identity.Phone, 1, identity.RoleBuyer), bears("weidian/1/w", identity.Phone, 2, identity.RoleBuyer),
		bears("tmall/f/w", identity.Phone, 1, identity.RoleMember), bears("tmall/f/h", identity.Phone, 2, identity.RoleMember)}
	word := identity.Decision{ID: "1", Kind: identity.Different, A: couple[0].Account, B: couple[3].Account}
	for name, c := range map[string]struct {
		updates   []engine.Update
		decisions []identity.Decision
		// Other rules stand for the former way.
		was, wasInstead string
		before, after   string
	}{
		"joined to one": {two, nil, "email: {priority: 3, join: {member: 80, buyer: 80}}", "email: {priority: 3, join: {member: 80, buyer: 70}}",
			"[tmall/f/a weidian/1/w] [tmall/g/b]", "[tmall/f/a] [tmall/g/b] [weidian/1/w]"},
		"joined to both": {two, nil, ", exclusive: 1", "",
			"[tmall/f/a tmall/g/b weidian/1/w]", "[tmall/f/a] [tmall/g/b] [weidian/1/w]"},
		"may be the other": {couple, []identity.Decision{word}, "buyer: 90", "agent: 90",
			"[tmall/f/h] [tmall/f/w] [weidian/1/w]", "[tmall/f/h] [tmall/f/w weidian/1/w]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := engine.NewMemory()
			made := open(t, store, parsed(t, strings.Replace(text, c.was, c.wasInstead, 1)))
			if _, err := made.Apply(1, c.updates, c.decisions); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(customersOf(made), " "); got != c.before {
				t.Fatalf("customers %s: the state is not as it was, %s", got, c.before)
			}
			if err := store.Commit([]engine.Row{{Table: 'r', Key: []byte{}, Value: []byte(text)}, {Table: 'w', Key: []byte{}, Value: []byte{3}}}); err != nil {
				t.Fatal(err)
			}
			e := open(t, store, parsed(t, text))
			if _, err := e.Apply(2, nil, nil); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(customersOf(e), " "); got != c.after {
				t.Errorf("customers %s, want %s", got, c.after)
			}
		})
	}
}

// A state of a version that took the first of equal pairs of the model looks again at whom
// the model has joined.
func TestStateOfTheWayThatTossedBetweenTheAlike(t *testing.T) {
	t.Parallel()
	store := engine.NewMemory()
	was := strings.Replace(modelRules, "per_shop: 1", "per_shop: 2", 1) // stands for the former way
	made := open(t, store, parsed(t, was))
	h := identity.Appearance{Name: "w", Phone: "1", District: "z"}
	if _, err := made.Apply(1, []engine.Update{received("tmall/1/a", wang, 5), received("tmall/1/b", wangAgain, 5), received("douyin/1/h", h, 5)}, nil); err != nil {
		t.Fatal(err)
	}
	if got := customersOf(made); len(got) != 1 {
		t.Fatalf("customers %v: the state is not as it was", got)
	}
	if err := store.Commit([]engine.Row{{Table: 'r', Key: []byte{}, Value: []byte(modelRules)}, {Table: 'w', Key: []byte{}, Value: []byte{4}}}); err != nil {
		t.Fatal(err)
	}
	e := open(t, store, parsed(t, modelRules))
	if _, err := e.Apply(2, nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := customersOf(e); len(got) != 3 {
		t.Errorf("customers %v, want each alone: he resembles two of a shop", got)
	}
}

// An account that somebody is with now who was not before has moved because of what
// holds them together, whoever it left; one that only others are without was split off.
func TestWhyAnAccountMoved(t *testing.T) {
	t.Parallel()
	union := func(account string, value byte) engine.Update {
		u := shared(account, value)
		u.Evidence[0].Identifier.Type = identity.UnionID
		return u
	}
	said := func(id string, kind identity.DecisionKind, a, b string) identity.Decision {
		return identity.Decision{ID: id, Kind: kind, A: shared(a, 0).Account, B: shared(b, 0).Account}
	}
	const x, y, z, m, n = "tmall/f/x", "tmall/g/y", "douyin/1/z", "weidian/1/m", "weidian/2/n"
	for name, c := range map[string]struct {
		before    [][]engine.Update // a batch each
		batch     []engine.Update
		decisions []identity.Decision
		want      map[string]string
	}{
		"from one customer to an elder": {
			before: [][]engine.Update{{union(x, 1), shared(x, 9)}, {union(y, 2)}, {shared(m, 9)}},
			batch:  []engine.Update{union(m, 2)}, want: map[string]string{m: "merged: unionid"},
		},
		"from one customer to a younger, whom it leads": {
			before: [][]engine.Update{{union(x, 1), shared(x, 9)}, {shared(m, 9)}, {union(y, 2)}},
			batch:  []engine.Update{union(m, 2)}, want: map[string]string{m: "merged: unionid", y: "merged: unionid"},
		},
		"from one customer to who is born then": {
			before: [][]engine.Update{{union(x, 1), shared(x, 9)}, {shared(m, 9)}},
			batch:  []engine.Update{union(m, 2), union(y, 2)}, want: map[string]string{m: "merged: unionid"},
		},
		"with another of its customer": {
			before: [][]engine.Update{{union(x, 1), shared(x, 9)}, {union(y, 2)}, {shared(m, 9), shared(m, 8)}, {shared(n, 8)}},
			batch:  []engine.Update{union(m, 2)}, want: map[string]string{m: "merged: phone, unionid", n: "merged: phone, unionid"},
		},
		"two leave, and stay together": {
			before:    [][]engine.Update{{shared(x, 9)}, {shared(m, 9), shared(m, 8)}, {shared(n, 8)}},
			decisions: []identity.Decision{said("1", identity.Different, x, m), said("2", identity.Different, x, n)}, want: map[string]string{m: "split", n: "split"},
		},
		"one is left": {
			before:    [][]engine.Update{{shared(x, 9)}, {shared(m, 9)}},
			decisions: []identity.Decision{said("1", identity.Different, x, m)}, want: map[string]string{m: "split"},
		},
		"by two words": {
			before:    [][]engine.Update{{shared(x, 9)}, {shared(y, 9)}, {shared(z, 8)}},
			decisions: []identity.Decision{said("1", identity.Different, x, y), said("2", identity.Same, y, z)}, want: map[string]string{y: "merged: decision", z: "merged: decision"},
		},
		"its leader comes along": {
			before: [][]engine.Update{{shared(z, 7)}, {shared(x, 9)}, {shared(m, 9)}},
			batch:  []engine.Update{shared(x, 7)}, want: map[string]string{x: "merged: phone", m: "merged: phone"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := open(t, engine.NewMemory(), rules(t))
			for i, updates := range c.before {
				if _, err := e.Apply(uint64(i), updates, nil); err != nil {
					t.Fatal(err)
				}
			}
			changes, err := e.Apply(uint64(len(c.before)), c.batch, c.decisions)
			if err != nil {
				t.Fatal(err)
			}
			reasons := map[string]string{}
			for _, m := range changes.Moved {
				reasons[m.Account.String()] = m.Reason
				if p, _ := e.PlacementOf(m.Account); p.Reason != m.Reason {
					t.Errorf("%v moved because it was %s, and is placed because %s", m.Account, m.Reason, p.Reason)
				}
			}
			if d := cmp.Diff(c.want, reasons); d != "" {
				t.Errorf("moved (-want +got):\n%s", d)
			}
		})
	}
}

// Who looks at customers while a batch parts them sees each as it was before or as it is
// after: never one of whom some have left.
func TestReadersBesideASplit(t *testing.T) {
	t.Parallel()
	const groups, each = 1000, 3
	e := open(t, engine.NewMemory(), parsed(t, "largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {member: 90}, accounts: 3}\n"))
	bears := func(group, n int) engine.Update {
		u := shared(fmt.Sprintf("tmall/%d/%d", n, group), 0)
		u.Evidence[0].Identifier.Hash = identity.Hash{byte(group >> 8), byte(group)}
		u.Evidence[0].First, u.Evidence[0].Last = int64(n), int64(n) // who is the eldest is resolved first, or not
		return u
	}
	var first []engine.Update
	for group := range groups {
		for n := range each {
			first = append(first, bears(group, n))
		}
	}
	if _, err := e.Apply(1, first, nil); err != nil {
		t.Fatal(err)
	}
	var group atomic.Int64 // that is parted now
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for i := 0; ; i++ {
				now := int(group.Load())
				if now == groups {
					return
				}
				a := first[now*each+i%each].Account
				id, _ := e.CustomerOf(a)
				c, _, ok := e.Customer(id)
				if again, _ := e.CustomerOf(a); !ok || len(c.Accounts) != 1 && len(c.Accounts) != each || again == id && !slices.Contains(c.Accounts, a) {
					t.Errorf("the customer of %v has the accounts %v", a, c.Accounts)
					return
				}
			}
		})
	}
	for group.Load() < groups {
		now := int(group.Load())
		if _, err := e.Apply(uint64(2+now), []engine.Update{bears(now, each)}, nil); err != nil {
			t.Error(err)
		}
		group.Add(1)
	}
	reading.Wait()
	if got := customersOf(e); len(got) != groups*(each+1) {
		t.Errorf("%d customers are left, want everybody alone", len(got))
	}
}
