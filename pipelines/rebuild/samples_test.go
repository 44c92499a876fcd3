package rebuild

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/internal/customer"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

// wantSides wants each account of a shift on the side of the customer that it
// leaves, or that it goes to where one comes apart.
func wantSides(t *testing.T, id string, s Shift, before, after map[identity.Account]identity.CustomerID) {
	t.Helper()
	size := 0
	for _, side := range s.Sides {
		of := before
		if len(s.To) > 1 {
			of = after
		}
		for _, text := range side.Accounts {
			a, err := identity.ParseAccount(text)
			if err != nil {
				t.Fatal(err)
			}
			if of[a] != side.CustomerID || !slices.Contains(s.Customers, before[a]) || !slices.Contains(s.To, after[a]) {
				t.Errorf("%s: %s is shown on the side of %s; it goes from %s to %s", id, a, side.CustomerID, before[a], after[a])
			}
		}
		if side.Size < len(side.Accounts) || len(side.Identifiers) == 0 {
			t.Errorf("%s: a side of %d accounts shows %+v", id, side.Size, side)
		}
		size += side.Size
	}
	if len(s.Sides) < mostSides && size != s.Size {
		t.Errorf("%s: the sides have %d accounts, the sample %d", id, size, s.Size)
	}
}

// Whoever decides about other rules sees of each side what speaks for one person
// and what against, and no value whole: not in the plan, not in an error.
func TestPlanShowsBothSidesMasked(t *testing.T) {
	t.Parallel()
	f := flowtest.New(t)
	f.Rules = rulesOf(t, string(identity.DefaultRulesYAML())+"\nmodel: {use: plain, accept: 1000, review: 1000, strength: 1}\n")
	phones := map[int]string{900: "13800000900", 901: "13800000901", 902: "13800000902", 903: "13800000902"}
	for no, phone := range phones {
		for day := range int64(2) {
			e := flowtest.User(no, phone, 1_700_000_000_000+day*50*86_400_000)
			if no < 902 { // one door, one name, two accounts
				e.Header.Person.Receiver = &events.Receiver{Name: "林一一", Phone: "13900009009", Province: "浙江省", City: "杭州市", District: "西湖区", Detail: "文三西路18号"}
			}
			f.Publish(t, f.Message(t, e))
		}
	}
	resolver, _ := f.Resolver(t, f.State(t), nil)
	if err := flowtest.Run(t, resolver); err != nil {
		t.Fatal(err)
	}
	other := rulesOf(t, "largest_customer: 9\ntypes:\n  email: {priority: 1, join: {member: 90}}\nmodel: {use: plain, accept: 8, review: 4, least_days: 30, block: 6, strength: 9, per_shop: 2}\n")
	phone := func(masked string, shared bool) []customer.SeenIdentifier {
		return []customer.SeenIdentifier{{Type: "phone", Masked: masked, Roles: []string{"member"}, Shared: shared}}
	}
	door := []customer.SeenReceiver{{Name: "林**", Phone: "*******9009", Region: "浙江省杭州市西湖区", Detail: "文*西*1*号", Shared: true}}
	seen := func(shifts []Shift) (all []customer.Seen) {
		if len(shifts) != 1 {
			t.Fatalf("%d samples, want one: %+v", len(shifts), shifts)
		}
		sides := shifts[0].Sides
		slices.SortFunc(sides, func(a, b Side) int { return strings.Compare(a.Accounts[0], b.Accounts[0]) })
		for _, side := range sides {
			all = append(all, side.Seen)
		}
		return all
	}
	plan, err := rebuildOf(f).Plan(t.Context(), other, 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]customer.Seen{{Identifiers: phone("138****0900", false), Receivers: door}, {Identifiers: phone("138****0901", false), Receivers: door}}, seen(plan.Joins)); diff != "" {
		t.Errorf("who would come together (-want +shown):\n%s", diff)
	}
	apart := customer.Seen{Identifiers: phone("138****0902", true), Receivers: []customer.SeenReceiver{}}
	if diff := cmp.Diff([]customer.Seen{apart, apart}, seen(plan.Splits)); diff != "" {
		t.Errorf("who would come apart (-want +shown):\n%s", diff)
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"林一一", "13900009009", "文三西路", "13800000900", "13800000901", "13800000902"} {
		if strings.Contains(string(text), value) {
			t.Errorf("the plan tells %q: %s", value, text)
		}
	}

	// What was erased since is not there to be shown.
	if _, err := f.Database.Query(t.Context(), "TRUNCATE TABLE identifier_values"); err != nil {
		t.Fatal(err)
	}
	if plan, err = rebuildOf(f).Plan(t.Context(), rulesOf(t, "largest_customer: 9\ntypes:\n  email: {priority: 1, join: {member: 90}}\n"), 10); err != nil {
		t.Fatal(err)
	}
	apart.Identifiers = phone("***", true)
	if diff := cmp.Diff([]customer.Seen{apart, apart}, seen(plan.Splits)); diff != "" {
		t.Errorf("erased (-want +shown):\n%s", diff)
	}
}

// A large side shows no more than a person reads, and first what tells most.
func TestSamplesAreShort(t *testing.T) {
	t.Parallel()
	f := flowtest.New(t)
	const accounts = 30
	for no := range accounts {
		// One phone of all, one of two each, and two of its own.
		e := flowtest.User(no, "13800000001", 1_700_000_000_000)
		for i, phone := range []int{100 + no/2, 200 + no, 300 + no} {
			e.Header.Person.Sightings = append(e.Header.Person.Sightings, &events.Sighting{Type: "phone", Value: fmt.Sprintf("139%08d", phone), Role: events.Role(1 + i%2)})
		}
		f.Publish(t, f.Message(t, e))
	}
	f.Rules = rulesOf(t, "largest_customer: 100\ntypes:\n  phone: {priority: 1, join: {member: 90}, accounts: 50}\n")
	resolver, _ := f.Resolver(t, f.State(t), nil)
	if err := flowtest.Run(t, resolver); err != nil {
		t.Fatal(err)
	}
	plan, err := rebuildOf(f).Plan(t.Context(), rulesOf(t, "largest_customer: 100\ntypes:\n  email: {priority: 1, join: {member: 90}}\n"), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Splits) != 1 || plan.Splits[0].Size != accounts || len(plan.Splits[0].Sides) != mostSides {
		t.Fatalf("the plan: %+v", plan)
	}
	for _, side := range plan.Splits[0].Sides {
		if len(side.Identifiers) != 4 || !side.Identifiers[0].Shared || !side.Identifiers[1].Shared && side.Identifiers[2].Shared {
			t.Errorf("what is shared does not come first: %+v", side)
		}
	}
}

func rulesOf(t *testing.T, text string) *identity.Rules {
	t.Helper()
	rules, err := identity.ParseRules([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}
