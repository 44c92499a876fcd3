package engine_test

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"runtime"
	"testing"

	"oneid/identity"
	"oneid/identity/engine"
)

// forgetful takes rows and keeps none, so that the engine alone is measured.
type forgetful struct{}

func (forgetful) Commit([]engine.Row) error                              { return nil }
func (forgetful) Scan(engine.Table, func(key, value []byte) error) error { return nil }

func person(i int) engine.Update {
	var own, phone identity.Hash
	binary.BigEndian.PutUint64(own[:], uint64(i)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(phone[:], uint64(i/2)*0x9e3779b97f4a7c15+1)
	platform := []string{"tmall", "douyin"}[i%2]
	id := [16]byte{'u'}
	copy(id[1:], binary.AppendUvarint(nil, uint64(i)+1<<40))
	return engine.Update{Account: identity.Account{Platform: platform, Shop: "1", ID: string(id[:])}, Evidence: []identity.Evidence{
		{Identifier: identity.Identifier{Type: identity.TmallOUID, Hash: own}, Role: identity.RoleBuyer, Source: platform, First: 1, Last: 2},
		{Identifier: identity.Identifier{Type: identity.Phone, Hash: phone}, Role: identity.RoleMember, Source: platform, First: 1, Last: 2},
	}}
}

// BenchmarkApply takes batches of 10,000 new accounts, two a person, onto a
// state of a million.
func BenchmarkApply(b *testing.B) {
	e, err := engine.New(forgetful{}, identity.DefaultRules())
	if err != nil {
		b.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	sequence, next := uint64(0), 0
	apply := func() {
		updates := make([]engine.Update, 10_000)
		for i := range updates {
			updates[i] = person(next)
			next++
		}
		if _, err := e.Apply(sequence, updates, nil); err != nil {
			b.Fatal(err)
		}
		e.Delivered(sequence)
		sequence++
	}
	for next < 1_000_000 {
		apply()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ResetTimer()
	for b.Loop() {
		apply()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1_000_000, "bytes/account")
	b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "updates/s")
}

// BenchmarkHub takes single updates of an account that bears the phones of many others,
// as a reseller's does who types a customer's phone with each order, and ids of its own,
// which are seen with each order later: by the rules that ship, and by rules that let one
// bear as many as he likes; with a phone that is new, and with one of before.
func BenchmarkHub(b *testing.B) {
	for _, n := range []int{100, 1000, 3000} {
		hub(b, fmt.Sprint(n), n, false, identity.DefaultRules())
		hub(b, fmt.Sprint(n, " again"), n, true, identity.DefaultRules())
		hub(b, fmt.Sprint(n, " of any"), n, false, parsed(b, regexp.MustCompile(`values: \d+`).ReplaceAllString(string(identity.DefaultRulesYAML()), "values: 0")))
	}
}

func hub(b *testing.B, name string, n int, again bool, rules *identity.Rules) {
	b.Run(name, func(b *testing.B) {
		e, err := engine.New(forgetful{}, rules)
		if err != nil {
			b.Fatal(err)
		}
		bears := func(a identity.Account, role identity.Role, phone int) engine.Update {
			id := identity.Identifier{Type: identity.Phone}
			binary.BigEndian.PutUint64(id.Hash[:], uint64(phone)*0x9e3779b97f4a7c15)
			return engine.Update{Account: a, Evidence: []identity.Evidence{{Identifier: id, Role: role, Source: a.Platform, First: 1, Last: 2}}}
		}
		hub := identity.Account{Platform: "tmall", Shop: "hub", ID: "hub"}
		order := func(phone int, at int64) engine.Update {
			u := bears(hub, identity.RoleBuyer, phone)
			for _, typ := range []identity.IdentifierType{identity.UnionID, identity.TmallOUID, identity.TmallMixMobile} {
				u.Evidence = append(u.Evidence, identity.Evidence{Identifier: identity.Identifier{Type: typ, Hash: identity.Hash{1}}, Role: identity.RoleMember, Source: "tmall", First: at, Last: at})
			}
			return u
		}
		var updates []engine.Update
		for i := range n {
			updates = append(updates, bears(identity.Account{Platform: "tmall", Shop: fmt.Sprint(i % 7), ID: fmt.Sprint(i)}, identity.RoleMember, i), order(i, 1))
		}
		if _, err := e.Apply(1, updates, nil); err != nil {
			b.Fatal(err)
		}
		sequence := uint64(1)
		for b.Loop() {
			sequence++
			phone := n + int(sequence)
			if again {
				phone = int(sequence) % n
			}
			if _, err := e.Apply(sequence, []engine.Update{order(phone, int64(sequence))}, nil); err != nil {
				b.Fatal(err)
			}
			e.Delivered(sequence)
		}
	})
}
