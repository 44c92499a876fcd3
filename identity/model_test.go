package identity

import (
	"slices"
	"strings"
	"testing"
)

func TestModelRulesFaults(t *testing.T) {
	t.Parallel()
	const types = "largest_customer: 5\ntypes:\n  phone: {join: {member: 40}}\n"
	for name, c := range map[string]struct{ source, want string }{
		"no name":                    {types + "model: {accept: 9, review: 4, strength: 5}\n", "model.use"},
		"review above accept":        {types + "model: {use: m, accept: 4, review: 9, strength: 5}\n", "4:"},
		"no threshold":               {types + "model: {use: m, strength: 5}\n", "bits above 0"},
		"not a number":               {types + "model: {use: m, accept: .nan, review: .nan, strength: 5}\n", "bits above 0"},
		"as strong as an identifier": {types + "model: {use: m, accept: 9, review: 4, strength: 40}\n", "less than every type's, 40"},
		"a bound below nothing":      {types + "model: {use: m, accept: 9, review: 4, strength: 5, block: -1}\n", "model.block"},
		"unknown key":                {types + "model: {used: m}\n", "4:"},
		"appearances as identifiers": {"largest_customer: 5\ntypes:\n  appearance: {join: {receiver: 5}}\n", "joins nobody by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParseRules([]byte(c.source)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParseRules = %v, want an error with %q", err, c.want)
			}
		})
	}
	with, err := ParseRules([]byte(types + "model: {use: m, accept: 9, review: 4, strength: 5}\n"))
	if err != nil {
		t.Fatal(err)
	}
	without, err := ParseRules([]byte(types))
	if err != nil {
		t.Fatal(err)
	}
	if with.Alike(without) || without.Alike(with) || !with.Alike(with) {
		t.Error("rules with and without a model rule alike")
	}
}

// The name alone changes: bounds and comments of the rules stay as they are
// written, and rules without a model get the part that is given.
func TestRulesWithModel(t *testing.T) {
	t.Parallel()
	const types = "# 规则\nlargest_customer: 5\ntypes:\n  phone: {join: {member: 40}, never: ['m']}\n"
	const part = "# how\nmodel:\n  use: shipped # which\n  accept: 8\n  review: 3\n  strength: 5\n"
	for name, c := range map[string]struct{ source, want string }{
		"in a line":          {types + "model: {use: m, accept: 9, review: 4, strength: 5} # m\n", types + "model: {use: other, accept: 9, review: 4, strength: 5} # m\n"},
		"in lines":           {types + part, types + strings.Replace(part, "shipped", "other", 1)},
		"in quotes":          {types + "model: {accept: 9, use: \"m\", review: 4, strength: 5}\n", types + "model: {accept: 9, use: other, review: 4, strength: 5}\n"},
		"behind other words": {types + "model: {accept: 9, # 规则\n  review: 4, use: '规则', strength: 5}\n", types + "model: {accept: 9, # 规则\n  review: 4, use: other, strength: 5}\n"},
		"the same name":      {types + strings.Replace(part, "shipped", "other", 1), types + strings.Replace(part, "shipped", "other", 1)},
		"none":               {types, types + "\n" + strings.Replace(part, "shipped", "other", 1)},
		"no last line's end": {strings.TrimSpace(types), strings.TrimSpace(types) + "\n" + strings.Replace(part, "shipped", "other", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := ParseRules([]byte(c.source))
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.WithModel("other", []byte(part))
			if err != nil {
				t.Fatal(err)
			}
			if text, _ := got.MarshalText(); string(text) != c.want {
				t.Errorf("WithModel =\n%s\nwant\n%s", text, c.want)
			}
			if got.Model.Use != "other" {
				t.Errorf("use = %q", got.Model.Use)
			}
		})
	}
	taken, err := ParseRules([]byte("{largest_customer: 5, types: {phone: {join: {member: 40}}}}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := taken.WithModel("other", []byte(part)); err == nil {
		t.Error("a part was added below braces")
	}
}

// The bounds of a model hold to the second, the account and the bit.
func TestBoundsOfTheModel(t *testing.T) {
	t.Parallel()
	m := &ModelRule{LeastDays: 2, Block: 3}
	if !m.Counts(100, 100+2*86400) || m.Counts(100, 99+2*86400) {
		t.Error("two days are not two days")
	}
	if m.Inert(3) || !m.Inert(4) || (&ModelRule{}).Inert(1<<30) {
		t.Error("of three that may share a key three do not, or four do")
	}
}

// Who resembles two of one shop is neither, whichever side of the pairs he is on and
// however much more one of them weighs; who resembles one of them is.
func TestRivalsOnEitherSide(t *testing.T) {
	t.Parallel()
	rules := &Rules{LargestCustomer: 9, Model: &ModelRule{PerShop: 1}}
	for name, c := range map[string]struct {
		accounts []Account
		pairs    []Resemblance
		want     []int
	}{
		"he comes first":         {[]Account{{"douyin", "s", "he"}, {"tmall", "s", "x"}, {"tmall", "s", "y"}}, []Resemblance{{A: 0, B: 1, Weight: 9}, {A: 0, B: 2, Weight: 5}}, []int{0, 1, 2}},
		"he comes last":          {[]Account{{"tmall", "s", "x"}, {"tmall", "s", "y"}, {"weidian", "s", "he"}}, []Resemblance{{A: 0, B: 2, Weight: 9}, {A: 1, B: 2, Weight: 5}}, []int{0, 1, 2}},
		"he comes between them":  {[]Account{{"tmall", "s", "x"}, {"tmall", "t", "he"}, {"weidian", "s", "y"}}, []Resemblance{{A: 0, B: 1, Weight: 9}, {A: 1, B: 2, Weight: 5}}, []int{0, 0, 0}},
		"nobody knows who buys":  {[]Account{{"douyin", "s", "he"}, {"file", "s", "order:1"}, {"file", "s", "order:2"}}, []Resemblance{{A: 0, B: 1, Weight: 9}, {A: 0, B: 2, Weight: 5}}, []int{0, 0, 0}},
		"one of them is another": {[]Account{{"douyin", "s", "he"}, {"tmall", "s", "x"}, {"tmall", "t", "y"}}, []Resemblance{{A: 0, B: 1, Weight: 9}, {A: 0, B: 2, Weight: 5}}, []int{0, 0, 0}},
	} {
		p := rules.Partition(Component{Accounts: c.accounts, Pairs: c.pairs})
		if !slices.Equal(p.Customer, c.want) {
			t.Errorf("%s: customers %v, want %v", name, p.Customer, c.want)
		}
	}
}

// Two customers that are each as large as may be, or less, are one if both together are
// no larger.
func TestResemblancesUpToTheLargest(t *testing.T) {
	t.Parallel()
	c := Component{Pairs: []Resemblance{{A: 0, B: 1, Weight: 9}, {A: 2, B: 3, Weight: 8}, {A: 1, B: 2, Weight: 5}}}
	for i := range 4 {
		c.Accounts = append(c.Accounts, Account{"file", string(rune('a' + i)), "1"})
	}
	for largest, want := range map[int][]int{1: {0, 1, 2, 3}, 2: {0, 0, 2, 2}, 3: {0, 0, 2, 2}, 4: {0, 0, 0, 0}} {
		rules := &Rules{LargestCustomer: largest, Model: &ModelRule{}}
		p := rules.Partition(c)
		if !slices.Equal(p.Customer, want) {
			t.Errorf("of %d at most: customers %v, want %v", largest, p.Customer, want)
		}
		for _, v := range p.Reviews {
			if v.Reason != ReviewLargest {
				t.Errorf("of %d at most: a review of %s", largest, v.Reason)
			}
		}
	}
	// Of equal ones none is taken that makes it too large together with the others.
	c.Pairs = []Resemblance{{A: 0, B: 1, Weight: 5}, {A: 1, B: 2, Weight: 5}}
	for largest, want := range map[int][]int{2: {0, 1, 2, 3}, 3: {0, 0, 0, 3}} {
		p := (&Rules{LargestCustomer: largest, Model: &ModelRule{}}).Partition(c)
		if !slices.Equal(p.Customer, want) {
			t.Errorf("of %d at most, by equals: customers %v, want %v", largest, p.Customer, want)
		}
	}
}
