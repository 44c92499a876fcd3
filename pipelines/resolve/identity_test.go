package resolve

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/extract"
	"oneid/internal/keyring"
	"oneid/internal/state"
	"oneid/schemas/events"
)

// event invents one of an account: of ten seven are orders, two users and one a
// ticket, which has no evidence. Two accounts of different platforms share a phone.
func event(no, draw int) *events.Event {
	platform := [...]string{"tmall", "douyin", "weidian"}[no%3]
	id := fmt.Sprintf("AAG%016xOuid%07d", uint64(no)*0x9e3779b97f4a7c15, no)
	seen := func(kind, value, scope string, role events.Role) *events.Sighting {
		return &events.Sighting{Type: kind, Value: value, Scope: scope, Role: role}
	}
	own := []*events.Sighting{seen([...]string{"tmall_ouid", "douyin_open_id", "weidian_buyer_id"}[no%3], id, "1", events.Role_ROLE_BUYER)}
	if platform == "tmall" {
		own = append(own, seen("tmall_open_uid", "H"+id, "12345678", events.Role_ROLE_BUYER))
	}
	e := &events.Event{Header: &events.Header{Platform: platform, Shop: "1", Account: id, Version: &events.Version{ModifiedMs: 1_700_000_000_000}}}
	switch {
	case draw%10 < 7:
		e.Header.Person = &events.Person{Sightings: own}
		e.Body = &events.Event_Order{Order: &events.Order{CreatedMs: 1_600_000_000_000, PaidMs: 1_600_000_900_000}}
	case draw%10 < 9:
		own = append(own, seen([...]string{"tmall_omid", "douyin_union_id", "unionid"}[no%3], "un"+id, "", events.Role_ROLE_MEMBER))
		if no%5 < 4 {
			own = append(own, seen("phone", fmt.Sprintf("1%010d", 3_000_000_000+no/2), "", events.Role_ROLE_MEMBER))
		}
		e.Header.Person = &events.Person{Sightings: own}
		e.Body = &events.Event_User{User: &events.User{CreatedMs: 1_600_000_000_000}}
	default:
		e.Body = &events.Event_Ticket{Ticket: &events.Ticket{CreatedMs: 1_600_000_000_000}}
	}
	return e
}

// A batch that is read in parts means what its events mean one by one: some have no account,
// some say what is known, some have more evidence than usual.
func TestPartsOfABatch(t *testing.T) {
	keys, err := keyring.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	work := func() *Identity {
		e, err := engine.New(engine.NewMemory(), identity.DefaultRules())
		if err != nil {
			t.Fatal(err)
		}
		hash := func(typ identity.IdentifierType, scope, value string) identity.Hash {
			return keys.Hash(string(typ), scope, value)
		}
		return &Identity{Engine: e, Extract: &extract.Extractor{Hash: hash, Rules: identity.DefaultRules()}, Keys: keys}
	}
	whole, single := work(), work()
	r := rand.New(rand.NewPCG(1, 1))
	one, told := uint64(0), 0
	for sequence := range uint64(3) {
		batch := &Batch{Sequence: sequence}
		for no := range 2*extractEvents + 100 {
			e := event(r.IntN(9000), r.IntN(9))
			switch {
			case r.IntN(9) == 0 || sequence == 1 && no < 100:
				e.Header.Account = ""
			case r.IntN(99) == 0:
				for k := range 3 * usualEvidence {
					e.Header.Person.Sightings = append(e.Header.Person.Sightings, &events.Sighting{Type: "external_customer", Value: fmt.Sprint("c", no, "-", k), Role: events.Role_ROLE_BUYER})
				}
			}
			batch.Events = append(batch.Events, e)
		}
		got, err := whole.apply(batch)
		if err != nil {
			t.Fatal(err)
		}
		values := map[identity.Identifier]bool{}
		for _, v := range got.values {
			if values[v.Identifier] {
				t.Errorf("batch %d: the value of %v comes twice", sequence, v.Identifier)
			}
			values[v.Identifier] = true
		}
		if !slices.IsSortedFunc(got.values, func(a, b state.SealedValue) int { return a.Identifier.Compare(b.Identifier) }) {
			t.Errorf("batch %d: the values are not in the order of their identifiers", sequence)
		}
		want := map[identity.Identifier]bool{}
		n := 0
		for _, e := range batch.Events {
			h := e.GetHeader()
			if h.GetAccount() != "" {
				account := identity.Account{Platform: h.GetPlatform(), Shop: h.GetShop(), ID: h.GetAccount()}
				if id, _ := whole.Engine.CustomerOf(account); n >= len(got.customers) || got.customers[n] != id {
					t.Fatalf("batch %d: event %d, of %v, is not stamped with %v", sequence, n, account, id)
				}
				n++
			}
			alone, err := single.apply(&Batch{Sequence: one, Events: []*events.Event{e}})
			if err != nil {
				t.Fatal(err)
			}
			one++
			for _, v := range alone.values {
				want[v.Identifier] = true
			}
		}
		if n != len(got.customers) {
			t.Errorf("batch %d: %d events have an account, and there are %d customers", sequence, n, len(got.customers))
		}
		told += len(values)
		if told != whole.Engine.Size().Identifiers {
			t.Errorf("batch %d: %d values were told, and the state holds %d identifiers", sequence, told, whole.Engine.Size().Identifiers)
		}
		if !maps.Equal(values, want) {
			t.Errorf("batch %d: %d values are new, want the %d that are one by one", sequence, len(values), len(want))
		}
	}
	if a, b := whole.Engine.Size(), single.Engine.Size(); a != b {
		t.Errorf("in batches the state holds %+v, one by one %+v", a, b)
	}
	for c := range single.Engine.Customers {
		first, _ := whole.Engine.CustomerOf(c.Accounts[0])
		for _, a := range c.Accounts {
			if id, _ := whole.Engine.CustomerOf(a); id != first {
				t.Errorf("%v and %v are two customers in batches, and one alone", c.Accounts[0], a)
			}
			if got, want := whole.Engine.EvidenceOf(a), single.Engine.EvidenceOf(a); !slices.Equal(got, want) {
				t.Errorf("of %v there is other evidence in batches:\n%v\n%v", a, got, want)
			}
		}
	}
}

// Values are sealed into one piece of memory, in the order of their identifiers and each
// once: what each is opens alone, and what is appended to one leaves the next as it is.
func TestSealedTogetherEachOpensAlone(t *testing.T) {
	t.Parallel()
	keys, err := keyring.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 5))
	want := map[identity.Identifier]string{}
	var values []extract.Value
	for no := range 300 {
		v := extract.Value{Value: fmt.Sprintf("%0*d", 1+no%70, no)}
		v.Identifier.Type = []identity.IdentifierType{identity.Phone, identity.Email, identity.TmallOUID}[no%3]
		v.Identifier.Hash = keys.Hash(string(v.Identifier.Type), "", v.Value)
		want[v.Identifier] = v.Value
		values = append(values, v, v)
	}
	r.Shuffle(len(values), func(a, b int) { values[a], values[b] = values[b], values[a] })
	sealed := (&Identity{Keys: keys}).seal(values)
	if len(sealed) != len(want) || !slices.IsSortedFunc(sealed, func(a, b state.SealedValue) int { return a.Identifier.Compare(b.Identifier) }) {
		t.Fatalf("%d are sealed, want %d, in their order", len(sealed), len(want))
	}
	for _, v := range sealed {
		_ = append(v.Sealed, 'x')
	}
	for _, v := range sealed {
		plain, err := keys.Open(nil, v.Sealed, keyring.IdentifierContext(string(v.Identifier.Type), v.Identifier.Hash))
		if err != nil || string(plain) != want[v.Identifier] {
			t.Errorf("%s opens as %q, want %q: %v", v.Identifier, plain, want[v.Identifier], err)
		}
	}
}
