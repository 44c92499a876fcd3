package rebuild

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	"oneid/identity"
	"oneid/identity/engine"
)

// Plan is what other rules would make of the customers that there are.
type Plan struct {
	Accounts int `json:"accounts"`
	// Customers before and after.
	Customers      int `json:"customers"`
	CustomersAfter int `json:"customers_after"`
	// Moved accounts would have another customer_id, and so would Redirected
	// customers: nobody would bear theirs any more, and it would lead to another.
	Moved      int `json:"moved_accounts"`
	Redirected int `json:"redirected_customers"`
	// Joins and Splits are some of the customers that would come together or
	// apart, those with most accounts first; the counts are of all. A customer
	// may be in both.
	JoinedFrom int     `json:"joined_from"` // customers that would be one with others
	JoinedTo   int     `json:"joined_to"`   // and how many they would be
	SplitFrom  int     `json:"split_from"`  // customers that would come apart
	SplitTo    int     `json:"split_to"`    // and into how many
	Joins      []Shift `json:"joins"`
	Splits     []Shift `json:"splits"`
	// Never are the types whose values that never join differ. That is said of
	// what comes: evidence that is there stays, and is not brought back.
	Never []identity.IdentifierType `json:"never_differs"`
	// Over is the id of the adoption whose rules are in force, with which the others are
	// compared; empty for those that the state began with.
	Over string `json:"-"`
}

// Shift is one customer that several would become, or several that one would.
type Shift struct {
	Customers []identity.CustomerID `json:"from"`
	To        []identity.CustomerID `json:"to"`
	// Accounts of all of them, platform/shop/id; at most MostAccounts.
	Accounts []string `json:"accounts"`
	Size     int      `json:"size"`
	// Why is by what accounts would come together.
	Why []string `json:"why"`
	// Sides are the customers that would come together, or those into which one
	// would come apart: the biggest, with what they were seen with.
	Sides []Side `json:"sides"`
}

// MostAccounts bounds the accounts that a Shift names.
const MostAccounts = 20

// forgetful is the Store of a state that nobody will need.
type forgetful struct{}

func (forgetful) Commit([]engine.Row) error                              { return nil }
func (forgetful) Scan(engine.Table, func(key, value []byte) error) error { return nil }

// Plan says what rules would change if they were adopted now. It makes the
// state anew in memory and adopts them there, by the code of the real adoption.
// samples bounds the shifts of each kind.
func (r *Rebuild) Plan(ctx context.Context, rules *identity.Rules, samples int) (Plan, error) {
	e, sequence, err := r.inMemory(ctx)
	if err != nil {
		return Plan{}, err
	}
	// What a batch that is under way has left is none of the plan's.
	if _, err := e.Apply(sequence+1, nil, nil); err != nil {
		return Plan{}, err
	}
	_, inForce := e.Rules()
	adopted, _ := e.Adopted()
	plan := Plan{Accounts: e.Size().Accounts, Never: inForce.NeverDiffers(rules), Over: adopted.ID}
	for range e.Customers {
		plan.Customers++
	}
	changes, err := e.Apply(sequence+2, nil, []identity.Decision{adoption(rules)})
	if err != nil {
		return Plan{}, err
	}
	for range e.Customers {
		plan.CustomersAfter++
	}
	plan.Moved = len(changes.Moved)
	plan.shifts(e, changes.Moved, samples)
	return plan, r.show(ctx, e, &plan, changes.Moved)
}

// inMemory makes the state anew where nobody keeps it, and says up to which batch.
func (r *Rebuild) inMemory(ctx context.Context) (*engine.Engine, uint64, error) {
	builder, err := engine.NewRebuilder(forgetful{}, r.Rules, engine.Models(r.Models))
	if err != nil {
		return nil, 0, err
	}
	report, err := r.read(ctx, builder)
	if err != nil {
		return nil, 0, err
	}
	_, err = builder.Finish(report.Sequence)
	return builder.Engine(), report.Sequence, err
}

// adoption is a decision that no other overrules.
func adoption(rules *identity.Rules) identity.Decision {
	return identity.Decision{ID: "plan", Kind: identity.Adopt, Rules: rules, At: 1<<63 - 1}
}

// shifts finds who comes together and who comes apart.
func (p *Plan) shifts(e *engine.Engine, moved []engine.Move, samples int) {
	before := make(map[identity.Account]engine.Move, len(moved))
	touched := map[identity.CustomerID]bool{}
	for _, m := range moved {
		before[m.Account] = m
		touched[m.From], touched[m.To] = true, true
	}
	joins, splits := map[identity.CustomerID]*Shift{}, map[identity.CustomerID]*Shift{}
	add := func(to map[identity.CustomerID]*Shift, key, other identity.CustomerID, a identity.Account, why string) {
		s := to[key]
		if s == nil {
			s = new(Shift)
			to[key] = s
		}
		if !slices.Contains(s.To, other) {
			s.To = append(s.To, other)
		}
		if s.Size++; len(s.Accounts) < MostAccounts {
			s.Accounts = append(s.Accounts, a.String())
		}
		if why != "" && !slices.Contains(s.Why, why) {
			s.Why = append(s.Why, why)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(touched), func(a, b identity.CustomerID) int { return bytes.Compare(a[:], b[:]) }) {
		c, redirect, ok := e.Customer(id)
		if !ok || redirect != nil { // nobody bears it any more
			p.Redirected++
			continue
		}
		for _, a := range c.Accounts {
			from, why := id, ""
			if m, ok := before[a]; ok {
				from, why = m.From, m.Reason
			}
			add(joins, id, from, a, why)
			add(splits, from, id, a, why)
		}
	}
	p.JoinedFrom, p.JoinedTo, p.Joins = several(joins, samples)
	p.SplitFrom, p.SplitTo, p.Splits = several(splits, samples)
	for i := range p.Joins { // gathered by the one that they would be
		s := &p.Joins[i]
		s.Customers, s.To = s.To, s.Customers
	}
	p.JoinedFrom, p.JoinedTo = p.JoinedTo, p.JoinedFrom
}

// several are the shifts with more than one customer on the other side: how
// many there are, how many customers are on that side, and the biggest of them.
func several(all map[identity.CustomerID]*Shift, samples int) (shifts, others int, some []Shift) {
	some = []Shift{}
	for key, s := range all {
		if len(s.To) < 2 {
			continue
		}
		shifts++
		others += len(s.To)
		s.Customers = []identity.CustomerID{key}
		slices.SortFunc(s.To, func(a, b identity.CustomerID) int { return bytes.Compare(a[:], b[:]) })
		slices.Sort(s.Why)
		some = append(some, *s)
	}
	slices.SortFunc(some, func(a, b Shift) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), bytes.Compare(a.Customers[0][:], b.Customers[0][:]))
	})
	return shifts, others, some[:min(samples, len(some))]
}
