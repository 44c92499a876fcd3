package identity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func different(id, a, b string) Decision { return between(Different, id, a, b) }

func between(kind DecisionKind, id, a, b string) Decision {
	return Decision{ID: id, Kind: kind, A: member(a, Phone, 0, 0).Account, B: member(b, Phone, 0, 0).Account}
}

// flipped are the same pieces of evidence with the order of the hashes the other way
// round.
func flipped(evidence []Evidence) []Evidence {
	out := slices.Clone(evidence)
	for i := range out {
		out[i].Identifier.Hash[0] ^= 0xff
	}
	return out
}

// Who is not one of two persons, by somebody's word or by a value of which one person
// has one, is the other; and who may be either of two who contradict each other is
// joined to none of them, whichever hash is the lower.
func TestWhoIsNotTheOneMayBeTheOther(t *testing.T) {
	t.Parallel()
	buyer := func(account string, value byte) Evidence { return in(RoleBuyer, member(account, Phone, value, 0)) }
	union := func(account string, value byte) Evidence { return member(account, UnionID, value, 0) }
	couple := []Evidence{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), buyer("tmall/f/w", 1), buyer("tmall/f/h", 2)}
	overOne := []Evidence{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), buyer("douyin/1/x", 2), buyer("douyin/1/x", 3), buyer("tmall/f/w", 1), buyer("tmall/f/h", 3)}
	and := func(evidence []Evidence, more ...Evidence) []Evidence { return slices.Concat(evidence, more) }
	for name, c := range map[string]struct {
		evidence  []Evidence
		decisions []Decision
		want      string
		refused   string // the reasons, each with how often
	}{
		"either of two of a shop": {couple, nil, "tmall/f/h | tmall/f/w | weidian/1/w", "per_shop 4"},
		"not the husband, by a word": {couple, []Decision{different("1", "weidian/1/w", "tmall/f/h")},
			"tmall/f/h | tmall/f/w weidian/1/w", "different 2"},
		"neither, by two words": {couple, []Decision{different("1", "weidian/1/w", "tmall/f/h"), different("2", "tmall/f/w", "weidian/1/w")},
			"tmall/f/h | tmall/f/w | weidian/1/w", "different 4"},
		"the word is taken back": {couple, []Decision{different("1", "weidian/1/w", "tmall/f/h"), {ID: "2", Kind: Undo, Undoes: "1", At: 1}},
			"tmall/f/h | tmall/f/w | weidian/1/w", "per_shop 4"},
		"not the husband, by a unionid": {and(couple, union("weidian/1/w", 7), union("tmall/f/h", 8)), nil,
			"tmall/f/h | tmall/f/w weidian/1/w", "exclusive 2"},
		"over one between, by a word": {overOne, []Decision{different("1", "weidian/1/w", "tmall/f/h")},
			"douyin/1/x | tmall/f/h | tmall/f/w weidian/1/w", "different 4"},
		"over one between, by a unionid": {and(overOne, union("weidian/1/w", 7), union("tmall/f/h", 8)), nil,
			"douyin/1/x | tmall/f/h | tmall/f/w weidian/1/w", "exclusive 4"},
		"between two whom a word keeps apart": {[]Evidence{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), buyer("tmall/f/a", 1), buyer("tmall/g/b", 2)}, []Decision{different("1", "tmall/f/a", "tmall/g/b")},
			"tmall/f/a | tmall/g/b | weidian/1/w", "different 4"},
		"between two unionids": {[]Evidence{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), buyer("tmall/f/a", 1), buyer("tmall/g/b", 2), union("tmall/f/a", 7), union("tmall/g/b", 8)}, nil,
			"tmall/f/a | tmall/g/b | weidian/1/w", "exclusive 4"},
		"three with one phone, two of whom have a unionid": {[]Evidence{buyer("tmall/f/a", 1), buyer("tmall/g/b", 1), buyer("weidian/1/w", 1), union("tmall/f/a", 7), union("tmall/g/b", 8)}, nil,
			"tmall/f/a | tmall/g/b | weidian/1/w", "exclusive 3"},
		"four with one phone, two of whom a word keeps apart": {[]Evidence{buyer("tmall/f/a", 1), buyer("tmall/g/b", 1), buyer("weidian/1/w", 1), buyer("douyin/1/d", 1)}, []Decision{different("1", "tmall/f/a", "tmall/g/b")},
			"douyin/1/d | tmall/f/a | tmall/g/b | weidian/1/w", "different 4"},
		"two who bind it are two persons, and two more only buy with it": {[]Evidence{member("tmall/f/a", Phone, 1, 0), member("tmall/g/b", Phone, 1, 0), buyer("weidian/1/w", 1), buyer("douyin/1/d", 1), union("tmall/f/a", 7), union("tmall/g/b", 8)}, nil,
			"douyin/1/d | tmall/f/a | tmall/g/b | weidian/1/w", "exclusive 4"},
		"the phone is the stronger word of one": {[]Evidence{member("tmall/f/a", Phone, 1, 0), buyer("tmall/g/b", 1), buyer("weidian/1/w", 1), union("tmall/f/a", 7), union("tmall/g/b", 8)}, nil,
			"tmall/f/a weidian/1/w | tmall/g/b", "exclusive 1"},
		"who hangs on stays": {[]Evidence{buyer("weidian/1/w", 1), buyer("weidian/1/w", 2), buyer("tmall/f/a", 1), buyer("tmall/g/b", 2), buyer("douyin/1/c", 1), buyer("douyin/2/d", 1), union("tmall/f/a", 7), union("tmall/g/b", 8)}, nil,
			"douyin/1/c douyin/2/d | tmall/f/a | tmall/g/b | weidian/1/w", "exclusive 4"},
		"two unionids of one account are one person's": {[]Evidence{union("tmall/f/a", 7), union("tmall/g/b", 7), union("tmall/g/b", 8), union("weidian/1/w", 8)}, nil,
			"tmall/f/a tmall/g/b weidian/1/w", ""},
		"two who share one of their unionids": {[]Evidence{union("tmall/e/a", 6), union("tmall/f/a", 6), union("tmall/f/a", 7), union("tmall/g/b", 7), union("tmall/g/b", 8), union("tmall/h/b", 8), union("weidian/1/w", 7), union("weidian/2/w", 7)}, nil,
			"tmall/e/a tmall/f/a | tmall/g/b tmall/h/b | weidian/1/w weidian/2/w", "exclusive 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, evidence := range [][]Evidence{c.evidence, flipped(c.evidence)} {
				if d := cmp.Diff(c.want, customers(evidence, c.decisions...)); d != "" {
					t.Errorf("customers (-want +got):\n%s", d)
				}
				counts := map[ReviewReason]int{}
				var refused []string
				for _, v := range Resolve(evidence, c.decisions, DefaultRules()).Reviews {
					if len(v.Accounts) != 2 || v.Accounts[0] == v.Accounts[1] {
						t.Errorf("%s asks about %v, want two accounts", v.Reason, v.Accounts)
					}
					if counts[v.Reason]++; counts[v.Reason] == 1 {
						refused = append(refused, string(v.Reason))
					}
				}
				for i, reason := range refused {
					refused[i] = fmt.Sprint(reason, " ", counts[ReviewReason(reason)])
				}
				if got := strings.Join(refused, ", "); got != c.refused {
					t.Errorf("refused: %s, want %s", got, c.refused)
				}
			}
		})
	}
}

// anything is evidence of a few accounts and what people said of them.
func anything(r *rand.Rand) (evidence []Evidence, decisions []Decision) {
	account := func() string {
		return fmt.Sprintf("%s/%d/%d", []string{"tmall", "douyin", "weidian"}[r.IntN(3)], r.IntN(2), r.IntN(3))
	}
	for range 4 + r.IntN(20) {
		typ := []IdentifierType{Phone, Phone, Email, UnionID, TmallOMID, MemberCard}[r.IntN(6)]
		evidence = append(evidence, in([]Role{RoleMember, RoleBuyer}[r.IntN(2)], member(account(), typ, byte(r.IntN(5)), 0)))
	}
	for i := range r.IntN(5) {
		a, b := account(), account()
		if a != b {
			decisions = append(decisions, between([]DecisionKind{Same, Different, Different}[r.IntN(3)], fmt.Sprint(i), a, b))
		}
	}
	return evidence, decisions
}

// Rules of which the types contradict each other often.
const tiedRules = `
largest_customer: 99
types:
  unionid:     {priority: 1, join: {member: 96, buyer: 80}, exclusive: 1}
  tmall_omid:  {priority: 2, join: {member: 80}, exclusive: 2}
  member_card: {priority: 2, join: {member: 90, buyer: 70}}
  phone:       {priority: 2, join: {member: 90, buyer: 80}, per_shop: 1}
  email:       {priority: 2, join: {member: 80, buyer: 80}, per_shop: 2}
`

// Whatever people bear and say, which of two hashes is the lower decides nothing, and
// nobody is one person whom a word keeps apart.
func TestHashesDecideNothingOfContradictions(t *testing.T) {
	t.Parallel()
	rules, err := ParseRules([]byte(tiedRules))
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[ReviewReason]int{}
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 99))
		evidence, decisions := anything(r)
		want := Resolve(evidence, decisions, rules)
		for range 3 {
			other := r.Perm(256)
			renamed := slices.Clone(evidence)
			for i := range renamed {
				renamed[i].Identifier.Hash[0] = byte(other[renamed[i].Identifier.Hash[0]])
			}
			r.Shuffle(len(renamed), func(i, j int) { renamed[i], renamed[j] = renamed[j], renamed[i] })
			got := Resolve(renamed, decisions, rules)
			if d := cmp.Diff(want.Customers, got.Customers); d != "" {
				t.Fatalf("seed %d: by other hashes (-want +got):\n%s", seed, d)
			}
			if len(got.Links) != len(want.Links) || len(got.Reviews) != len(want.Reviews) {
				t.Fatalf("seed %d: by other hashes there are %d links and %d reviews, want %d and %d", seed, len(got.Links), len(got.Reviews), len(want.Links), len(want.Reviews))
			}
		}
		for _, v := range want.Reviews {
			reasons[v.Reason]++
		}
		var words Decisions
		for _, d := range decisions {
			words.Add(d)
		}
		for _, customer := range want.Customers {
			if words.Apart(customer, customer) {
				t.Fatalf("seed %d: %v are one customer, whom a word keeps apart", seed, customer)
			}
		}
	}
	for _, reason := range []ReviewReason{ReviewDifferent, ReviewExclusive, ReviewPerShop} {
		if reasons[reason] < 100 {
			t.Errorf("%d links were refused by %s: the property tests little of it", reasons[reason], reason)
		}
	}
}

// What is cut brings out what it had covered: one who has both of two unionids makes those
// who have one of them no contradiction, until he is cut off by another of his shop.
func TestWhatIsCutBringsOutAnother(t *testing.T) {
	t.Parallel()
	rules, err := ParseRules([]byte("largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {member: 90}, per_shop: 1}\n  unionid: {priority: 2, join: {buyer: 60}, exclusive: 1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	union := func(account string, value byte) Evidence { return in(RoleBuyer, member(account, UnionID, value, 0)) }
	evidence := []Evidence{
		member("weidian/1/x", Phone, 1, 0), member("weidian/1/x", Phone, 2, 0), member("weidian/1/x", Phone, 3, 0), member("weidian/1/x", Phone, 4, 0),
		member("douyin/1/b", Phone, 1, 0), member("douyin/2/c", Phone, 2, 0), member("tmall/f/m", Phone, 3, 0), member("tmall/f/n", Phone, 4, 0),
		union("douyin/1/b", 7), union("douyin/2/c", 8), union("tmall/f/m", 7), union("tmall/f/m", 8),
	}
	for _, evidence := range [][]Evidence{evidence, flipped(evidence)} {
		got := fmt.Sprint(Resolve(evidence, nil, rules).Customers)
		if want := "[[douyin/1/b douyin/2/c tmall/f/m] [tmall/f/n] [weidian/1/x]]"; got != want {
			t.Errorf("customers %s, want %s", got, want)
		}
	}
}

// Of types of equal strength and priority that one comes first whose name does: an
// e-mail leads her to the one, so the phone cannot lead her to the other.
func TestOfEqualTypesTheNameComesFirst(t *testing.T) {
	t.Parallel()
	const text = "largest_customer: 9\ntypes:\n  %s: {priority: 1, join: {member: 90}, per_shop: 1}\n  %s: {priority: 1, join: {member: 90}, per_shop: 1}\n  unionid: {priority: 1, join: {member: 96}, exclusive: 1}\n"
	evidence := []Evidence{
		member("weidian/1/w", Phone, 1, 0), member("weidian/1/w", Email, 1, 0), member("tmall/f/h", Phone, 1, 0), member("tmall/g/w", Email, 1, 0),
		member("tmall/f/h", UnionID, 7, 0), member("tmall/g/w", UnionID, 8, 0),
	}
	for _, order := range [][2]IdentifierType{{Phone, Email}, {Email, Phone}} {
		rules, err := ParseRules(fmt.Appendf(nil, text, order[0], order[1]))
		if err != nil {
			t.Fatal(err)
		}
		for _, evidence := range [][]Evidence{evidence, flipped(evidence)} {
			got := fmt.Sprint(Resolve(evidence, nil, rules).Customers)
			if want := "[[tmall/f/h] [tmall/g/w weidian/1/w]]"; got != want {
				t.Errorf("rules in the order %v: customers %s, want %s", order, got, want)
			}
		}
	}
}
