package evaluate_test

import (
	"crypto/sha256"
	"maps"
	"strings"
	"testing"
	"time"

	"oneid/connectors/simulator"
	"oneid/identity"
	"oneid/identity/evaluate"
)

const day = 86400

// shared is a number that two accounts of one platform have bound, the first's owner
// first.
type shared struct {
	first, then simulator.Account
}

// demo is the demo's accounts as their evidence shows them, and whose they are.
func demo(t *testing.T, people int) (evidence []identity.Evidence, truth map[identity.Account]int, numbers []shared) {
	t.Helper()
	w, err := simulator.New(simulator.Config{People: people, Until: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	truth = map[identity.Account]int{}
	for _, platform := range simulator.Platforms {
		bound := map[string]simulator.Account{}
		for a := range w.Accounts(platform) {
			if !a.Member {
				truth[accountOf(a)] = a.Person
				continue
			}
			if other, ok := bound[a.Phone]; ok && other.Person != a.Person {
				if other.Joined.After(a.Joined) {
					other, a = a, other
				}
				numbers = append(numbers, shared{other, a})
			}
			bound[a.Phone] = a
			truth[accountOf(a)] = a.Person
			evidence = append(evidence, bind(a, a.Joined.Unix())...)
		}
	}
	return evidence, truth, numbers
}

func accountOf(a simulator.Account) identity.Account {
	return identity.Account{Platform: a.Platform, Shop: a.Shop, ID: a.ID}
}

func hash(typ identity.IdentifierType, value string) identity.Identifier {
	sum := sha256.Sum256([]byte(string(typ) + value))
	return identity.Identifier{Type: typ, Hash: identity.Hash(sum[:16])}
}

// bind is the evidence of a membership.
func bind(a simulator.Account, at int64) (evidence []identity.Evidence) {
	see := func(typ identity.IdentifierType, value string) {
		if value != "" {
			evidence = append(evidence, identity.Evidence{Account: accountOf(a), Identifier: hash(typ, value), Role: identity.RoleMember, Source: a.Platform, First: at, Last: at})
		}
	}
	see(identity.Phone, a.Phone)
	see(identity.TmallOMID, a.OMID)
	if a.Platform == simulator.PlatformDouyin {
		see(identity.DouyinUnionID, a.UnionID)
	} else {
		see(identity.UnionID, a.UnionID)
	}
	return evidence
}

func scored(evidence []identity.Evidence, truth map[identity.Account]int, rules *identity.Rules) evaluate.Score {
	of := map[identity.Account]int{}
	for i, customer := range identity.Resolve(evidence, nil, rules).Customers {
		for _, a := range customer {
			of[a] = i
		}
	}
	return evaluate.Compare(maps.All(truth), func(a identity.Account) (int, bool) { n, ok := of[a]; return n, ok })
}

// Of the demo's people reissue_days merges nobody and parts nobody. Where their
// numbers were given to somebody else within a year, in another shop, and each owner
// has a second shop know him by it, each is joined with himself; without, some
// are taken for the other.
func TestNumbersOfTheDemoThatChangeHands(t *testing.T) {
	t.Parallel()
	rules := identity.DefaultRules()
	without, err := identity.ParseRules([]byte(strings.ReplaceAll(string(identity.DefaultRulesYAML()), "reissue_days: 90", "reissue_days: 0")))
	if err != nil {
		t.Fatal(err)
	}
	evidence, truth, numbers := demo(t, 4000)
	if len(numbers) < 100 {
		t.Fatalf("%d numbers have two owners", len(numbers))
	}
	if before, after := scored(evidence, truth, without), scored(evidence, truth, rules); after.FoundPairs != before.FoundPairs || after.RightPairs != before.RightPairs || after.Precision < 1 {
		t.Errorf("the demo: with reissue_days %+v, without %+v", after, before)
	}
	second := func(a simulator.Account, days int) {
		at := int64(days) * day
		a.Shop += "-2" // not the shop of the other owner
		evidence = append(evidence, bind(a, at)...)
		truth[accountOf(a)] = a.Person
		other := a
		other.Platform, other.Shop, other.OMID, other.UnionID = "file", "till-"+a.Shop, "", ""
		evidence = append(evidence, bind(other, at+5*day)...)
		truth[accountOf(other)] = a.Person
	}
	for i, n := range numbers {
		phone := n.first.Phone + "-moved"
		n.first.Phone, n.then.Phone = phone, phone
		n.first.ID, n.then.ID = n.first.ID+"-1", n.then.ID+"-2"
		n.first.Shop += "-1"
		second(n.first, 1000)
		second(n.then, 1000+100+i%200)
	}
	before, after := scored(evidence, truth, without), scored(evidence, truth, rules)
	t.Logf("without reissue_days precision %.4f, recall %.4f; with them %.4f and %.4f; %d numbers changed hands", before.Precision, before.Recall, after.Precision, after.Recall, len(numbers))
	if after.Precision < 1 || after.Recall <= before.Recall {
		t.Errorf("with reissue_days precision %.4f, recall %.4f; without %.4f and %.4f", after.Precision, after.Recall, before.Precision, before.Recall)
	}
}
