package profile

import (
	"context"
	"slices"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/state"
)

// State is the Source in the resolver's state, for where one runs beside the
// reader.
type State struct {
	Engine *engine.Engine
	Values *state.Store
}

// FindIdentifier implements Identity.
func (s *State) FindIdentifier(_ context.Context, id identity.Identifier) ([]identity.Account, error) {
	return s.Engine.Find(id), nil
}

// CustomerOf implements Identity.
func (s *State) CustomerOf(_ context.Context, account identity.Account) (identity.CustomerID, bool, error) {
	id, ok := s.Engine.CustomerOf(account)
	return id, ok, nil
}

// Customer implements Identity.
func (s *State) Customer(_ context.Context, id identity.CustomerID) (Customer, bool, error) {
	found, redirect, ok := s.Engine.Customer(id)
	c := Customer{ID: found.ID, Accounts: found.Accounts}
	c.order(func(a identity.Account) uint64 {
		placement, _ := s.Engine.PlacementOf(a)
		return placement.BornSequence
	})
	if redirect != nil {
		c.RedirectedFrom = redirect.From
	}
	return c, ok, nil
}

// Evidence implements Identity.
func (s *State) Evidence(_ context.Context, accounts []identity.Account) ([]identity.Evidence, error) {
	var all []identity.Evidence
	for _, a := range accounts {
		all = append(all, s.Engine.EvidenceOf(a)...)
	}
	slices.SortFunc(all, identity.Evidence.Compare)
	return all, nil
}

// Known implements Source.
func (s *State) Known(_ context.Context, accounts []identity.Account) ([]identity.Account, error) {
	var known []identity.Account
	for _, a := range accounts {
		if _, ok := s.Engine.CustomerOf(a); ok {
			known = append(known, a)
		}
	}
	return known, nil
}

// Decisions implements Source.
func (s *State) Decisions(_ context.Context, accounts []identity.Account, _ *identity.Rules) ([]identity.Decision, *identity.Rules, error) {
	var decisions []identity.Decision
	asked := make(map[identity.CustomerID]bool)
	for _, a := range accounts {
		id, ok := s.Engine.CustomerOf(a)
		if !ok || asked[id] {
			continue
		}
		asked[id] = true
		if component, ok := s.Engine.Component(id); ok {
			for _, v := range component.Decisions {
				decisions = append(decisions, identity.Decision{ID: v.ID, Kind: v.Kind, A: v.Pair.A, B: v.Pair.B})
			}
		}
	}
	_, rules := s.Engine.Rules()
	return decisions, rules, nil
}

// SealedValues implements Source.
func (s *State) SealedValues(_ context.Context, ids []identity.Identifier) (map[identity.Identifier][]byte, error) {
	values := make(map[identity.Identifier][]byte, len(ids))
	for _, id := range ids {
		value, ok, err := s.Values.Value(id)
		if err != nil {
			return nil, err
		}
		if ok {
			values[id] = value
		}
	}
	return values, nil
}
