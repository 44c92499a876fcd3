package flowcheck

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"oneid/schemas/events"
)

// CustomerOf is the customer of each account, as identity_map says.
func (f Flow) CustomerOf(ctx context.Context) (map[string]string, error) {
	rows, err := f.rows(ctx, "SELECT account, customer_id FROM identity_map_current")
	if err != nil {
		return nil, err
	}
	customer := map[string]string{}
	for _, row := range rows {
		if _, ok := customer[row[0]]; ok {
			return nil, fmt.Errorf("flowcheck: identity_map_current has %s twice", row[0])
		}
		customer[row[0]] = row[1]
	}
	return customer, nil
}

// Partition is who is with whom, whatever the ids.
func Partition(customerOf map[string]string) [][]string {
	groups := sets{}
	for account, customer := range customerOf {
		groups.add(customer, account)
	}
	var out [][]string
	for _, group := range groups {
		out = append(out, slices.Sorted(maps.Keys(group)))
	}
	slices.SortFunc(out, slices.Compare)
	return out
}

// Customers are the accounts of each customer, sorted.
func (o *Oracle) Customers() [][]string { return o.customers }

// checkCustomers wants the oracle's customers, each with the birth id of one
// of its accounts, the same in the map, the views and the identity topic.
func (f Flow) checkCustomers(ctx context.Context, o *Oracle, d *differences) error {
	customerOf, err := f.CustomerOf(ctx)
	if err != nil {
		return err
	}
	got := map[string]bool{}
	for _, accounts := range Partition(customerOf) {
		got[strings.Join(accounts, " ")] = true
	}
	for _, accounts := range o.customers {
		if want := strings.Join(accounts, " "); !got[want] {
			d.say("customers", "%s are one customer, and are not in identity_map: %s", want, idsOf(customerOf, accounts))
		} else if id := customerOf[accounts[0]]; !slices.ContainsFunc(accounts, func(a string) bool { return birthID(a) == id }) {
			d.say("customers", "the id %s of %s is the birth id of none of them", id, want)
		}
	}
	if len(got) != len(o.customers) {
		d.say("customers", "%d in identity_map, want %d", len(got), len(o.customers))
	}
	for _, view := range []string{"customer_orders", "customer_refunds", "customer_tickets"} {
		rows, err := f.rows(ctx, "SELECT DISTINCT account, customer_id FROM "+view)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if customerOf[row[0]] != row[1] {
				d.say(view, "%s is of customer %s, in identity_map of %s", row[0], row[1], customerOf[row[0]])
			}
		}
	}
	if err := f.check360(ctx, o, customerOf, d); err != nil {
		return err
	}
	last := map[string]*events.IdentityChange{}
	err = f.Read(ctx, f.Topics.Identity, func(_ int, _ int64, value []byte) error {
		change := new(events.IdentityChange)
		if err := proto.Unmarshal(value, change); err != nil {
			return err
		}
		// Compaction keeps the last: it must not be older than what came before.
		if before, ok := last[change.GetAccount()]; ok && before.GetVersion() > change.GetVersion() {
			d.say("identity topic", "%s goes back from version %d to %d", change.GetAccount(), before.GetVersion(), change.GetVersion())
		}
		last[change.GetAccount()] = change
		return nil
	})
	if err != nil {
		return err
	}
	for account, customer := range customerOf {
		if said := last[account].GetCustomerId(); said != customer {
			d.say("identity topic", "%s is of customer %q, in identity_map of %s", account, said, customer)
		}
		delete(last, account)
	}
	for account := range last {
		d.say("identity topic", "%s is not in identity_map", account)
	}
	return nil
}

func idsOf(customerOf map[string]string, accounts []string) string {
	var out []string
	for _, a := range accounts {
		out = append(out, a+" "+customerOf[a])
	}
	return strings.Join(out, ", ")
}

// check360 wants one row for each customer, with its accounts, orders and
// what was paid.
func (f Flow) check360(ctx context.Context, o *Oracle, customerOf map[string]string, d *differences) error {
	type sums struct{ accounts, orders, minor int64 }
	want := map[string]sums{}
	for _, customer := range customerOf {
		s := want[customer]
		s.accounts++
		want[customer] = s
	}
	for e, fact := range o.newest {
		if e.kind == Order {
			s := want[customerOf[fact.Account]]
			s.orders++
			s.minor += fact.Minor
			want[customerOf[fact.Account]] = s
		}
	}
	rows, err := f.rows(ctx, "SELECT customer_id, arraySum(mapValues(accounts)), orders, toInt64(paid_amount * 100) FROM customer_360")
	if err != nil {
		return err
	}
	for _, row := range rows {
		var n [3]int64
		for i := range n {
			if n[i], err = strconv.ParseInt(row[1+i], 10, 64); err != nil {
				return fmt.Errorf("flowcheck: customer_360 answers %q", row)
			}
		}
		if got, w := (sums{n[0], n[1], n[2]}), want[row[0]]; got != w {
			d.say("customer_360", "%s has (accounts, orders, 分) %v, want %v", row[0], got, w)
		}
		delete(want, row[0])
	}
	for customer := range want {
		d.say("customer_360", "%s has no row", customer)
	}
	return nil
}

// checkHistory wants an unbroken chain of customers for each account, from its
// birth to identity_map, and that each id that was ever handed out lives or
// leads to one that does.
func (f Flow) checkHistory(ctx context.Context, d *differences) error {
	customerOf, err := f.CustomerOf(ctx)
	if err != nil {
		return err
	}
	rows, err := f.rows(ctx, "SELECT concat(platform, '/', shop, '/', account) AS a, previous_customer_id, customer_id FROM identity_history FINAL ORDER BY a, version")
	if err != nil {
		return err
	}
	const nobody = "00000000-0000-0000-0000-000000000000"
	now, handedOut := map[string]string{}, map[string]string{}
	for _, row := range rows {
		before, ok := now[row[0]]
		if !ok {
			before = nobody
		}
		if row[1] != before {
			d.say("history", "%s comes from customer %s, but was of %s", row[0], row[1], before)
		}
		now[row[0]], handedOut[row[2]] = row[2], row[0]
	}
	for account, customer := range customerOf {
		if now[account] != customer {
			d.say("history", "%s ends at customer %s, in identity_map it is of %s", account, now[account], customer)
		}
	}
	living := set{}
	for _, customer := range customerOf {
		living[customer] = true
	}
	rows, err = f.rows(ctx, "SELECT from_customer_id, to_customer_id FROM redirects FINAL")
	if err != nil {
		return err
	}
	leads := map[string]string{}
	for _, row := range rows {
		leads[row[0]] = row[1]
	}
	for id, account := range handedOut {
		end := id
		for hops := 0; !living[end] && hops < 100; hops++ {
			end = leads[end]
		}
		if !living[end] {
			d.say("redirects", "%s, once the customer of %s, leads to nobody who lives", id, account)
		}
	}
	return nil
}
