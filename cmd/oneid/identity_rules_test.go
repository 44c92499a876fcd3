package main

import (
	"strings"
	"testing"

	"oneid/identity"
	"oneid/internal/customer"
	"oneid/internal/customer/insight"
	"oneid/pipelines/rebuild"
)

// A person reads each side of a sample, what both were seen with marked.
func TestPlanAsText(t *testing.T) {
	t.Parallel()
	side := func(account string, size int, name string) rebuild.Side {
		return rebuild.Side{Accounts: []string{account}, Size: size, Seen: customer.Seen{
			Identifiers: []customer.SeenIdentifier{{Type: "phone", Masked: "138****0900", Roles: []string{"member", "receiver"}, Shared: true}, {Type: "email", Masked: "a***m", Roles: []string{"member"}}},
			Receivers:   []customer.SeenReceiver{{Name: name, Region: "浙江省杭州市", Detail: "文*西*1*号"}},
		}}
	}
	shift := rebuild.Shift{Size: 5, Why: []string{"merged: phone"}, Sides: []rebuild.Side{side("tmall/s/1", 3, "林**"), side("douyin/s/2", 1, "")}}
	shift.Customers, shift.To = make([]identity.CustomerID, 3), make([]identity.CustomerID, 1)
	var out strings.Builder
	printPlan(&out, rebuild.Plan{Customers: 3, Accounts: 5, CustomersAfter: 1, JoinedFrom: 3, JoinedTo: 1, Moved: 2, Redirected: 2, Joins: []rebuild.Shift{shift}})
	const want = `3 customers with 5 accounts would be 1
  2 accounts would have another customer_id
  2 customers would have another customer_id, to which theirs leads
  3 customers would come together, as 1
  0 customers would come apart, as 0

the biggest that would come together
  3 → 1  5 accounts  (merged: phone)
    tmall/s/1 and 2 more
      = phone 138****0900 (member, receiver)
        email a***m (member)
        parcels to 林** 浙江省杭州市 文*西*1*号
    douyin/s/2
      = phone 138****0900 (member, receiver)
        email a***m (member)
        parcels to 浙江省杭州市 文*西*1*号
    sides not shown: 1
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}

// Who answers a question sees what both accounts were seen with, below the pair.
func TestQuestionsAsText(t *testing.T) {
	t.Parallel()
	phone := []customer.SeenIdentifier{{Type: "phone", Masked: "138****0900", Roles: []string{"member"}, Shared: true}}
	q := func(a, b string) reviewed {
		return reviewed{insight.Question{Accounts: [2]string{a, b}, Paid: [2]string{"8.00", "7.50"}, Currency: [2]string{"CNY", "CNY"}, Shares: []identity.IdentifierType{"phone"}, Reasons: []string{"per_shop"}},
			[]customer.Seen{{Identifiers: phone}, {Identifiers: phone, Receivers: []customer.SeenReceiver{{Name: "林**"}}}}}
	}
	var out strings.Builder
	if err := printQuestions(&out, []reviewed{q("tmall/s/1", "tmall/s/22"), q("tmall/s/3", "douyin/s/4")}, false); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{
		"ACCOUNT    PAID      ACCOUNT     PAID      SHARE  APART BECAUSE", "tmall/s/1  8.00 CNY  tmall/s/22  7.50 CNY  phone  ",
		"    tmall/s/1", "      = phone 138****0900 (member)", "    tmall/s/22", "      = phone 138****0900 (member)", "        parcels to 林**",
		"tmall/s/3  8.00 CNY  douyin/s/4  7.50 CNY  phone  ",
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is not %q:\n%s", i+1, want, out.String())
		}
	}
}
