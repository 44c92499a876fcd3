package receivers_test

import (
	"fmt"
	"strings"
	"testing"

	"oneid/identity"
	"oneid/identity/match/receivers"
	"oneid/identity/normalize"
)

// Who has something sent to somebody else now and then is not joined with him, however
// far apart the days are and whether either has an account in the other's shop; a
// person is asked. Who has moved is himself in both places.
func TestGiftsOfManyDays(t *testing.T) {
	t.Parallel()
	s, err := receivers.Scorer()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := identity.ParseRules(append(append(identity.DefaultRulesYAML(), '\n'), receivers.RulesYAML()...))
	if err != nil {
		t.Fatal(err)
	}
	at := func(name, phone, district, detail string) identity.Appearance {
		return normalize.AsSeen(name, phone, "浙江省", "杭州市", district, "", detail)
	}
	mother := at("欧阳桂英", "13812345678", "余杭区", "良渚街道文一西路1288号3幢2单元501室")
	son := at("王小明", "15987654321", "西湖区", "文三路90号7幢1单元302室")
	moved := at("王小明", "15987654321", "滨江区", "江南大道588号2幢1单元1101室")
	type order struct {
		to          identity.Appearance
		first, last int64 // days
	}
	own := order{son, 0, 900}
	for name, c := range map[string]struct {
		weidian, tmall []order
		customers      int
		asked          bool
	}{
		"a gift on one day":                 {[]order{own, {mother, 100, 100}}, []order{{mother, 0, 700}}, 2, false},
		"gifts on two days":                 {[]order{own, {mother, 100, 101}}, []order{{mother, 0, 700}}, 2, true},
		"gifts months apart":                {[]order{own, {mother, 100, 220}}, []order{{mother, 0, 700}}, 2, true},
		"gifts for half of the time":        {[]order{own, {mother, 100, 551}}, []order{{mother, 0, 700}}, 2, true},
		"himself, beside his gifts":         {[]order{own, {mother, 100, 550}}, []order{{son, 0, 700}}, 1, false},
		"gifts for more than half as long":  {[]order{own, {mother, 100, 551}}, []order{{son, 0, 700}}, 2, true},
		"he sends to both for as long":      {[]order{own, {mother, 0, 900}}, []order{{son, 0, 700}}, 2, true},
		"she is sent gifts and sends some":  {[]order{own, {mother, 100, 220}}, []order{{mother, 0, 700}, {son, 10, 90}}, 2, true},
		"he has moved, and buys elsewhere":  {[]order{{son, 0, 500}, {moved, 510, 900}}, []order{{moved, 520, 880}}, 1, false},
		"he has moved, and bought there":    {[]order{{son, 0, 500}, {moved, 510, 900}}, []order{{son, 20, 480}}, 1, false},
		"nothing but one's own on two days": {[]order{{son, 0, 1}}, []order{{son, 3, 5}}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := identity.Model{Scorers: identity.Scorers{receivers.Name: s}, Appearances: map[identity.Hash]identity.Appearance{}}
			var evidence []identity.Evidence
			for account, orders := range map[identity.Account][]order{{Platform: "weidian", Shop: "1", ID: "a"}: c.weidian, {Platform: "tmall", Shop: "1", ID: "b"}: c.tmall} {
				for _, o := range orders {
					var h identity.Hash
					copy(h[:], o.to.Phone+o.to.Detail)
					m.Appearances[h] = o.to
					evidence = append(evidence, identity.Evidence{Account: account, Role: identity.RoleReceiver, Source: account.Platform,
						Identifier: identity.Identifier{Type: identity.AppearanceType, Hash: h}, First: o.first * 86400, Last: o.last * 86400})
				}
			}
			got := m.Resolve(evidence, nil, rules)
			if len(got.Customers) != c.customers || len(got.Reviews) > 0 != c.asked {
				t.Errorf("%d customers, reviews %v; want %d, and somebody asked: %v", len(got.Customers), got.Reviews, c.customers, c.asked)
			}
			for _, v := range got.Reviews {
				if v.Reason != identity.ReviewModel || len(v.Accounts) != 2 {
					t.Errorf("review %+v, want the question about two", v)
				}
				if text := fmt.Sprint(v); strings.Contains(text, "桂") {
					t.Errorf("a review shows a value")
				}
			}
		})
	}
}
