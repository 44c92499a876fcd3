package main

import (
	"strings"
	"testing"
	"time"

	"oneid/identity"
	"oneid/internal/customer"
	"oneid/internal/customer/insight"
	"oneid/pipelines/decide"
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

// Who adopts rules at the moment when somebody else does is told whose hold.
func TestRulesAdoptedBesideOthersAsText(t *testing.T) {
	t.Parallel()
	adopted := func(who string, minute int, standing identity.Standing) decide.Decision {
		return decide.Decision{ID: "of-" + who, Kind: "adopt", Who: who, Why: "phones", At: time.Date(2026, 11, 11, 0, minute, 0, 0, time.UTC), Standing: standing, Resolved: true}
	}
	before := decide.List{Decisions: []decide.Decision{adopted("eve", 0, identity.Stands)}}
	after := decide.List{Decisions: []decide.Decision{adopted("bob", 2, identity.Stands), adopted("ada", 1, identity.Overruled), adopted("eve", 0, identity.Overruled)}}
	for who, want := range map[string]string{
		"ada": `decided: adopt 
bob adopted rules at the same moment (of-bob, 2026-11-11T00:02:00Z: phones), stands
this decision does not hold, it is overruled; talk to each other, then plan and apply anew
to take it back: oneid decide undo of-ada --reason TEXT
`,
		"bob": `decided: adopt 
ada adopted rules at the same moment (of-ada, 2026-11-11T00:01:00Z: phones), overruled by these
to take it back: oneid decide undo of-bob --reason TEXT
`,
	} {
		made := decided{Decision: adopted(who, 1, identity.Stands)}
		made.beside(before, after)
		var out strings.Builder
		if err := made.print(&out); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%s reads\n%s\nwant\n%s", who, out.String(), want)
		}
		if overruled := made.Standing == identity.Overruled; overruled != (who == "ada") {
			t.Errorf("%s is overruled: %v", who, overruled)
		}
	}
	if code := (&overruledError{}).ExitCode(); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
}
