package rebuild

import (
	"fmt"
	"testing"
	"time"

	"oneid/identity"
	"oneid/pipelines/flowtest"
	"oneid/schemas/tables"
)

// An account that bears a third phone when the first still counts, to the second, is a
// bridge, on ClickHouse as in memory; a second later it is none, and all of them are
// one customer. Of a type without gap_days it is one however much later.
func TestBulkOfBridges(t *testing.T) {
	t.Parallel()
	const gap = 10 * 86400
	for _, c := range []struct {
		third int64
		days  string
		want  int
	}{{gap, ", gap_days: 10", 4}, {gap + 1, ", gap_days: 10", 1}, {100 * gap, "", 4}} {
		third := c.third
		f := flowtest.New(t)
		history, evidence := tables.NewIdentityHistory(), tables.NewEvidence()
		var all []identity.Evidence
		bears := func(account tables.Account, phone byte, at int64) {
			all = append(all, identity.Evidence{Account: identity.Account{Platform: account.Platform, Shop: account.Shop, ID: account.ID}, Identifier: identity.Identifier{Type: identity.Phone, Hash: identity.Hash{phone}}, Role: identity.RoleBuyer, First: at, Last: at})
			evidence.Append(account, string(identity.Phone), [16]byte{phone}, "buyer", "test", 1_700_000_000+at, 1_700_000_000+at)
		}
		accounts := []tables.Account{{Platform: "weidian", Shop: "w", ID: "hub"}}
		for phone, at := range []int64{0, gap / 2, third} {
			stranger := tables.Account{Platform: "tmall", Shop: fmt.Sprint(phone), ID: "a"}
			accounts = append(accounts, stranger)
			bears(accounts[0], byte(phone), at)
			bears(stranger, byte(phone), at)
		}
		for _, of := range accounts {
			history.Append(of, [16]byte{}, identity.Account{Platform: of.Platform, Shop: of.Shop, ID: of.ID}.BirthID(), time.UnixMilli(0), "born", 1<<40|1)
		}
		for _, block := range []tables.Block{history, evidence} {
			if err := f.ClickHouse.Insert(t.Context(), block, "bridges"); err != nil {
				t.Fatal(err)
			}
		}
		rules, err := identity.ParseRules([]byte("largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {buyer: 80}, values: 2" + c.days + "}\n"))
		if err != nil {
			t.Fatal(err)
		}
		bulk, err := rebuildOf(f).Bulk(t.Context(), rules)
		if err != nil {
			t.Fatal(err)
		}
		got := len(identity.Resolve(all, nil, rules).Customers)
		if bulk.Customers != c.want || got != c.want {
			t.Errorf("with a third phone after %d seconds%s: %d customers as SQL and %d in memory, want %d", third, c.days, bulk.Customers, got, c.want)
		}
	}
}
