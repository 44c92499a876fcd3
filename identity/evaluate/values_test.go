package evaluate_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"

	"oneid/identity"
)

// Of the demo's people the bound of values parts nobody. Where resellers are among
// them, who type their customers' phones within a year, it keeps all customers apart
// from each other, and who has had a new phone every other year stays with himself.
func TestResellersAmongTheDemosPeople(t *testing.T) {
	t.Parallel()
	rules := identity.DefaultRules()
	without, err := identity.ParseRules(regexp.MustCompile(`values: \d+`).ReplaceAll(identity.DefaultRulesYAML(), []byte("values: 0")))
	if err != nil {
		t.Fatal(err)
	}
	evidence, truth, _ := demo(t, 4000)
	alone := scored(evidence, truth, rules)
	if before := scored(evidence, truth, without); alone.FoundPairs != before.FoundPairs || alone.RightPairs != before.RightPairs || alone.Precision < 1 {
		t.Errorf("the demo: with a bound %+v, without %+v", alone, before)
	}
	r := rand.New(rand.NewPCG(4, 4))
	var phones []identity.Evidence
	for _, e := range evidence {
		if e.Identifier.Type == identity.Phone {
			phones = append(phones, e)
		}
	}
	person := 1_000_000 // beyond the demo's
	for reseller := range 100 {
		person++
		account := identity.Account{Platform: "weidian", Shop: "market", ID: fmt.Sprint(reseller)}
		truth[account] = person
		for range 5 + r.IntN(40) {
			order := phones[r.IntN(len(phones))]
			order.Account, order.Source, order.Role = account, "weidian", identity.RoleBuyer
			evidence = append(evidence, order)
		}
	}
	for mover := range 300 {
		person++
		account := identity.Account{Platform: "weidian", Shop: "market", ID: fmt.Sprint("mover-", mover)}
		truth[account] = person
		for n := range 6 {
			phone := hash(identity.Phone, fmt.Sprint(mover, "-", n))
			at := int64(n*600+r.IntN(60)) * day
			other := identity.Account{Platform: "tmall", Shop: fmt.Sprint("shop-", n), ID: fmt.Sprint("mover-", mover)}
			truth[other] = person
			evidence = append(evidence, identity.Evidence{Account: account, Identifier: phone, Role: identity.RoleBuyer, Source: "weidian", First: at, Last: at + 200*day},
				identity.Evidence{Account: other, Identifier: phone, Role: identity.RoleMember, Source: "tmall", First: at, Last: at})
		}
	}
	before, after := scored(evidence, truth, without), scored(evidence, truth, rules)
	t.Logf("without a bound precision %.4f, recall %.4f; with it %.4f and %.4f", before.Precision, before.Recall, after.Precision, after.Recall)
	if after.Precision < 1 || after.Recall < before.Recall || before.Precision == 1 {
		t.Errorf("with a bound precision %.4f, recall %.4f; without %.4f and %.4f", after.Precision, after.Recall, before.Precision, before.Recall)
	}
}
