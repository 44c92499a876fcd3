package rebuild

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/customer"
	"oneid/internal/customer/profile"
)

// Side is one of the customers that would come together, or one of the parts
// into which a customer would come apart, with what a person needs to judge it.
type Side struct {
	CustomerID identity.CustomerID `json:"customer_id"`
	// Accounts, platform/shop/id; at most MostAccounts, of which Seen tells.
	Accounts []string `json:"accounts"`
	Size     int      `json:"size"`
	customer.Seen

	evidence []identity.Evidence
}

// mostSides bounds the sides that a Shift shows, the biggest first.
const mostSides = 10

// show gives the samples of a plan their sides. Values are read and opened for
// what is shown alone.
func (r *Rebuild) show(ctx context.Context, e *engine.Engine, p *Plan, moved []engine.Move) error {
	before := make(map[identity.Account]identity.CustomerID, len(moved))
	for _, m := range moved {
		before[m.Account] = m.From
	}
	for i := range p.Joins {
		if err := r.sides(ctx, e, &p.Joins[i], before, func(from, _ identity.CustomerID) identity.CustomerID { return from }); err != nil {
			return err
		}
	}
	for i := range p.Splits {
		if err := r.sides(ctx, e, &p.Splits[i], before, func(_, to identity.CustomerID) identity.CustomerID { return to }); err != nil {
			return err
		}
	}
	return nil
}

// sides puts the accounts of a shift on their sides, by the customers from which
// and to which each goes.
func (r *Rebuild) sides(ctx context.Context, e *engine.Engine, s *Shift, before map[identity.Account]identity.CustomerID, of func(from, to identity.CustomerID) identity.CustomerID) error {
	at := map[identity.CustomerID]int{}
	for _, to := range s.To {
		c, _, _ := e.Customer(to)
		for _, a := range c.Accounts {
			from, ok := before[a]
			if !ok {
				from = to
			}
			if !slices.Contains(s.Customers, from) {
				continue
			}
			id := of(from, to)
			i, ok := at[id]
			if !ok {
				i = len(s.Sides)
				at[id] = i
				s.Sides = append(s.Sides, Side{CustomerID: id})
			}
			side := &s.Sides[i]
			if side.Size++; len(side.Accounts) < MostAccounts {
				side.Accounts = append(side.Accounts, a.String())
				side.evidence = append(side.evidence, e.EvidenceOf(a)...)
			}
		}
	}
	slices.SortFunc(s.Sides, func(a, b Side) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), bytes.Compare(a.CustomerID[:], b.CustomerID[:]))
	})
	s.Sides = s.Sides[:min(len(s.Sides), mostSides)]
	evidence := make([][]identity.Evidence, len(s.Sides))
	for i := range s.Sides {
		evidence[i], s.Sides[i].evidence = s.Sides[i].evidence, nil
	}
	seen, err := profile.NewStored(r.ClickHouse).Seen(ctx, r.Keys, evidence...)
	for i := range seen {
		s.Sides[i].Seen = seen[i]
	}
	return err
}
