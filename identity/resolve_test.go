package identity

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const day = 86400

func member(account string, typ IdentifierType, value byte, at int64) Evidence {
	a, err := ParseAccount(account)
	if err != nil {
		panic(err)
	}
	return Evidence{Account: a, Identifier: Identifier{typ, Hash{value}}, Role: RoleMember, Source: a.Platform, First: at, Last: at}
}

func in(role Role, e Evidence) Evidence { e.Role = role; return e }

func customers(evidence []Evidence, decisions ...Decision) string {
	var out []string
	for _, c := range Resolve(evidence, decisions, DefaultRules()).Customers {
		var keys []string
		for _, a := range c {
			keys = append(keys, a.String())
		}
		out = append(out, strings.Join(keys, " "))
	}
	return strings.Join(out, " | ")
}

func TestResolve(t *testing.T) {
	t.Parallel()
	a, _ := ParseAccount("douyin/s/a")
	b, _ := ParseAccount("tmall/s/b")
	var warehouse []Evidence
	for _, id := range "abcdefghi" {
		warehouse = append(warehouse, member("file/"+string(id)+"/1", Phone, 1, 0))
	}
	for name, c := range map[string]struct {
		evidence  []Evidence
		decisions []Decision
		want      string
	}{
		"member phone": {[]Evidence{member("douyin/s/a", Phone, 1, 0), member("tmall/s/b", Phone, 1, 0)}, nil, "douyin/s/a tmall/s/b"},
		"gift": {[]Evidence{member("douyin/s/a", Phone, 1, 0), in(RoleReceiver, member("tmall/s/b", Phone, 1, 0))}, nil,
			"douyin/s/a | tmall/s/b"},
		"an agent's typing slip": {[]Evidence{member("douyin/s/a", Phone, 1, 0), in(RoleAgent, member("tmall/s/b", Phone, 1, 0)), in(RoleAgent, member("weidian/s/c", Phone, 1, 0))}, nil,
			"douyin/s/a | tmall/s/b | weidian/s/c"},
		"family in one shop": {[]Evidence{member("douyin/s/a", Phone, 1, 0), member("tmall/s/b", Phone, 1, 0), member("tmall/s/c", Phone, 1, 0)}, nil,
			"douyin/s/a | tmall/s/b | tmall/s/c"},
		"one person twice in a shop is no family": {[]Evidence{
			member("douyin/s/a", Phone, 1, 0), member("tmall/s/b", Phone, 1, 0), member("tmall/s/b", UnionID, 2, 0), member("tmall/s/c", Phone, 1, 0), member("tmall/s/c", UnionID, 2, 0)}, nil,
			"douyin/s/a tmall/s/b tmall/s/c"},
		"orders without a buyer are no family": {[]Evidence{member("file/s/order:1", Phone, 1, 0), member("file/s/order:2", Phone, 1, 0)}, nil,
			"file/s/order:1 file/s/order:2"},
		"recycled": {[]Evidence{member("douyin/s/a", Phone, 1, 0), member("tmall/s/b", Phone, 1, 366*day)}, nil,
			"douyin/s/a | tmall/s/b"},
		"as far apart as may be": {[]Evidence{member("douyin/s/a", Phone, 1, 0), member("tmall/s/b", Phone, 1, 365*day)}, nil,
			"douyin/s/a tmall/s/b"},
		"a second more": {[]Evidence{member("douyin/s/a", Phone, 1, 0), member("tmall/s/b", Phone, 1, 365*day+1)}, nil,
			"douyin/s/a | tmall/s/b"},
		"a sighting between keeps it one owner's": {[]Evidence{member("douyin/s/a", Phone, 1, 0), member("douyin/s/a", Phone, 1, 200*day), member("tmall/s/b", Phone, 1, 366*day)}, nil,
			"douyin/s/a tmall/s/b"},
		"one seen within another's time ends nothing": {[]Evidence{member("douyin/s/a", Phone, 1, 0), member("douyin/s/a", Phone, 1, 700*day), member("tmall/s/b", Phone, 1, 100*day), member("weidian/s/c", Phone, 1, 900*day)}, nil,
			"douyin/s/a tmall/s/b weidian/s/c"},
		"warehouse": {warehouse, nil, "file/a/1 | file/b/1 | file/c/1 | file/d/1 | file/e/1 | file/f/1 | file/g/1 | file/h/1 | file/i/1"},
		"two unionids are two persons": {[]Evidence{
			member("douyin/s/a", Phone, 1, 0), member("douyin/s/a", UnionID, 2, 0), member("tmall/s/b", Phone, 1, 0), member("tmall/s/b", UnionID, 3, 0)}, nil,
			"douyin/s/a | tmall/s/b"},
		"same is stronger than unionids": {[]Evidence{member("douyin/s/a", UnionID, 2, 0), member("tmall/s/b", UnionID, 3, 0)},
			[]Decision{{ID: "1", Kind: Same, A: b, B: a}}, "douyin/s/a tmall/s/b"},
		"different is stronger than a unionid": {[]Evidence{member("douyin/s/a", UnionID, 2, 0), member("tmall/s/b", UnionID, 2, 0)},
			[]Decision{{ID: "1", Kind: Different, A: b, B: a}}, "douyin/s/a | tmall/s/b"},
		"a different stands before a same": {[]Evidence{member("douyin/s/a", UnionID, 2, 0), member("tmall/s/b", UnionID, 2, 0)},
			[]Decision{{ID: "1", Kind: Same, A: b, B: a, At: 9}, {ID: "2", Kind: Different, A: a, B: b, At: 8}}, "douyin/s/a | tmall/s/b"},
		"an undo is undone": {[]Evidence{member("douyin/s/a", UnionID, 2, 0), member("tmall/s/b", UnionID, 2, 0)},
			[]Decision{{ID: "3", Kind: Undo, Undoes: "2", At: 3}, {ID: "2", Kind: Undo, Undoes: "1", At: 2}, {ID: "1", Kind: Different, A: b, B: a}}, "douyin/s/a | tmall/s/b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, customers(c.evidence, c.decisions...)); d != "" {
				t.Errorf("customers (-want +got):\n%s", d)
			}
		})
	}
}

// By the rules that ship nothing that staff typed, and nothing of a receiver's,
// joins anybody, whatever its type.
func TestNeitherAgentsNorReceiversJoin(t *testing.T) {
	t.Parallel()
	rules := DefaultRules()
	for typ := range rules.Types {
		evidence := []Evidence{member("douyin/s/a", typ, 1, 0)}
		for i, role := range []Role{RoleAgent, RoleReceiver, RoleAgent, RoleReceiver} {
			evidence = append(evidence, in(role, member("tmall/"+strings.Repeat("s", i+1)+"/b", typ, 1, 0)))
		}
		if got := Resolve(evidence, nil, rules).Customers; len(got) != len(evidence) {
			t.Errorf("%s joins %v", typ, got)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	evidence := []Evidence{
		member("douyin/s/a", Phone, 1, 0), member("tmall/s/b", Phone, 1, 0), member("tmall/s/b", MemberCard, 2, 0), member("weidian/s/c", MemberCard, 2, 0),
	}
	path := Explain(evidence, nil, DefaultRules(), evidence[0].Account, evidence[3].Account)
	if len(path) != 2 || path[0].Identifier.Type != Phone || path[1].Identifier.Type != MemberCard || path[1].To != evidence[3].Account {
		t.Errorf("Explain = %+v, want a phone and then a card", path)
	}
}

func TestRulesFaultsNameTheLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ source, want string }{
		"unknown key":  {"largest_customer: 5\nlargest: 3\n", "2:1"},
		"wrong type":   {"largest_customer: many\n", "1:19"},
		"role":         {"largest_customer: 5\ntypes:\n  phone: {join: {owner: 5}}\n", "3:"},
		"strength":     {"largest_customer: 5\ntypes:\n  phone:\n    join: {member: 101}\n", "4:"},
		"pattern":      {"largest_customer: 5\ntypes:\n  phone:\n    never: ['(']\n", "4:"},
		"bound":        {"largest_customer: 5\ntypes:\n  phone:\n    accounts: -1\n", "4:"},
		"missing size": {"types: {}\n", "largest_customer"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseRules([]byte(c.source)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParseRules = %v, want an error with %q", err, c.want)
			}
		})
	}
	if r := DefaultRules(); !r.Never(Phone, "13800138000") || !r.Never(Phone, "13800000000") || r.Never(Phone, "13812345670") {
		t.Error("the shipped rules do not know a test number, or know too many")
	}
}

// A number that never joins stands in the rules, and in no fault of them: these
// go to logs and to the dead letter.
func TestRulesFaultsRepeatNothing(t *testing.T) {
	t.Parallel()
	const number = "13812345670"
	for name, source := range map[string]string{
		"a fault beside it": "largest_customer: 5\ntypes:\n  phone:\n    never: ['^" + number + "$']\n    priorty: 1\n",
		"a broken pattern":  "largest_customer: 5\ntypes:\n  phone:\n    never: ['(" + number + "']\n",
		"a wrong type":      "largest_customer: 5\ntypes:\n  phone:\n    never: {'" + number + "': 1}\n",
		"no YAML":           "largest_customer: 5\ntypes: [ '^" + number + "$'\n  x: }\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseRules([]byte(source)); err == nil || strings.Contains(err.Error(), number) {
				t.Errorf("ParseRules = %v, want an error without the number", err)
			}
		})
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add(DefaultRulesYAML())
	f.Add([]byte("largest_customer: 3\ntypes:\n  phone: {join: {member: 9}}\n"))
	f.Fuzz(func(t *testing.T, source []byte) {
		if rules, err := ParseRules(source); err == nil && rules.LargestCustomer < 1 {
			t.Errorf("rules with largest_customer %d were taken", rules.LargestCustomer)
		}
	})
}
