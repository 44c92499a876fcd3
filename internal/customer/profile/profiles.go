package profile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"oneid/identity"
	"oneid/identity/normalize"
	"oneid/internal/clickhouse"
	"oneid/internal/customer"
	"oneid/internal/keyring"
	"oneid/schemas/events"
)

// Source is where the first half of a profile comes from: Stored, or State
// where a resolver runs beside the reader. Both give the same answers.
type Source interface {
	Identity
	// Known returns those of the accounts that were ever seen.
	Known(ctx context.Context, accounts []identity.Account) ([]identity.Account, error)
	// Decisions returns what people decided about accounts, and the rules in
	// force: given ones where none were adopted.
	Decisions(ctx context.Context, accounts []identity.Account, given *identity.Rules) ([]identity.Decision, *identity.Rules, error)
	// SealedValues returns the sealed values of identifiers that are kept.
	SealedValues(ctx context.Context, ids []identity.Identifier) (map[identity.Identifier][]byte, error)
}

// Profiles finds customers and puts their profiles together. It may be used
// concurrently.
type Profiles struct {
	Source  Source
	History *History
	// Buyers spare asking History whose an order is; may be nil.
	Buyers *Buyers
	Keys   *keyring.Ring
	// Rules hold where no decision has adopted others.
	Rules *identity.Rules
	// Models are those that rules may use.
	Models identity.Scorers
}

// Lookup finds the customer of a key and reads the profile; whoOnly leaves
// the history out. Errors are customer.ErrNotFound, ErrBadKey and
// ErrUnavailable, wrapped; none repeats the key.
func (p *Profiles) Lookup(ctx context.Context, key customer.Key, whoOnly bool) (customer.Profile, error) {
	found, others, err := p.find(ctx, key)
	if err != nil {
		return customer.Profile{}, unavailable(err)
	}
	var profile customer.Profile
	var left []string
	if profile.Who, left, err = p.who(ctx, found); err != nil {
		return customer.Profile{}, unavailable(err)
	}
	profile.Others = others
	if whoOnly {
		return profile, nil
	}
	past, err := p.History.Of(ctx, found.Accounts)
	if err != nil {
		return customer.Profile{}, unavailable(err)
	}
	profile.History = past.History()
	// What ClickHouse lists are the shops whose member an account ever was.
	profile.Memberships = without(merged(profile.Memberships, past.Memberships), left)
	return profile, nil
}

// Orders lists a customer's orders, newest first.
func (p *Profiles) Orders(ctx context.Context, id string, limit int) ([]customer.Order, error) {
	past, err := p.past(ctx, id)
	if err != nil {
		return nil, err
	}
	return past.Orders[:min(len(past.Orders), limit)], nil
}

// Tickets lists a customer's tickets, newest first.
func (p *Profiles) Tickets(ctx context.Context, id string, limit int) ([]customer.Ticket, error) {
	past, err := p.past(ctx, id)
	if err != nil {
		return nil, err
	}
	return past.Tickets[:min(len(past.Tickets), limit)], nil
}

func (p *Profiles) past(ctx context.Context, id string) (*Past, error) {
	found, _, err := p.find(ctx, customer.Key{Customer: id})
	if err != nil {
		return nil, unavailable(err)
	}
	past, err := p.History.Of(ctx, found.Accounts)
	return past, unavailable(err)
}

// unavailable marks the errors that mean that a store is away.
func unavailable(err error) error {
	if err != nil && clickhouse.IsUnavailable(err) {
		return fmt.Errorf("%w: %w", customer.ErrUnavailable, err)
	}
	return err
}

// find is the customer of a key, and the others that were seen with it.
func (p *Profiles) find(ctx context.Context, key customer.Key) (Customer, []string, error) {
	given := 0
	for _, value := range []string{key.Phone, key.UnionID, key.MemberCard, key.Order, key.Account, key.Customer} {
		if value != "" {
			given++
		}
	}
	if given != 1 {
		return Customer{}, nil, fmt.Errorf("%w: give exactly one of phone, unionid, member_card, order, account, customer", customer.ErrBadKey)
	}
	switch {
	case key.Customer != "":
		id, err := identity.ParseCustomerID(key.Customer)
		if err != nil {
			return Customer{}, nil, fmt.Errorf("%w: a customer_id is a UUID", customer.ErrBadKey)
		}
		found, ok, err := p.Source.Customer(ctx, id)
		if err == nil && !ok {
			err = customer.ErrNotFound
		}
		return found, nil, err
	case key.Account != "":
		account, err := identity.ParseAccount(key.Account)
		if err != nil {
			return Customer{}, nil, fmt.Errorf("%w: an account is written platform/shop/id", customer.ErrBadKey)
		}
		return p.ofAccounts(ctx, []identity.Account{account})
	case key.Order != "":
		order, err := identity.ParseAccount(key.Order)
		if err != nil {
			return Customer{}, nil, fmt.Errorf("%w: an order is written platform/shop/number", customer.ErrBadKey)
		}
		account, ok := p.Buyers.Of(order.Platform, order.Shop, order.ID)
		if !ok {
			if account, ok, err = p.History.AccountOfOrder(ctx, order.Platform, order.Shop, order.ID); err != nil {
				return Customer{}, nil, err
			}
		}
		if !ok {
			return Customer{}, nil, customer.ErrNotFound
		}
		return p.ofAccounts(ctx, []identity.Account{account})
	}
	kind, raw := identity.Phone, key.Phone
	switch {
	case key.UnionID != "":
		kind, raw = identity.UnionID, key.UnionID
	case key.MemberCard != "":
		kind, raw = identity.MemberCard, key.MemberCard
	}
	value, ok := normalize.Normalize(kind, raw)
	if !ok {
		return Customer{}, nil, fmt.Errorf("%w: that is no %s that could point at a person", customer.ErrBadKey, kind)
	}
	accounts, err := p.Source.FindIdentifier(ctx, identity.Identifier{Type: kind, Hash: p.Keys.Hash(string(kind), "", value)})
	if err != nil {
		return Customer{}, nil, err
	}
	return p.ofAccounts(ctx, accounts)
}

// mostCandidates bounds the accounts of one identifier that are looked at.
const mostCandidates = 50

// ofAccounts is the customer of the first account, and the ids of the other
// customers of the rest.
func (p *Profiles) ofAccounts(ctx context.Context, accounts []identity.Account) (Customer, []string, error) {
	var ids []identity.CustomerID
	for _, account := range accounts[:min(len(accounts), mostCandidates)] {
		id, ok, err := p.Source.CustomerOf(ctx, account)
		if err != nil {
			return Customer{}, nil, err
		}
		if ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return Customer{}, nil, customer.ErrNotFound
	}
	found, ok, err := p.Source.Customer(ctx, ids[0])
	if err == nil && !ok {
		err = customer.ErrNotFound
	}
	var others []string
	for _, id := range ids[1:] {
		others = append(others, id.String())
	}
	return found, others, err
}

// who puts the first half of a profile together.
func (p *Profiles) who(ctx context.Context, c Customer) (_ customer.Who, left []string, err error) {
	accounts, err := p.History.Living(ctx, c.Accounts)
	if err != nil {
		return customer.Who{}, nil, err
	}
	evidence, err := p.Source.Evidence(ctx, accounts)
	if err != nil {
		return customer.Who{}, nil, err
	}
	who := customer.Who{CustomerID: c.ID.String(), Memberships: []string{}, Accounts: []customer.Account{}}
	if c.RedirectedFrom != (identity.CustomerID{}) {
		who.RedirectedFrom = c.RedirectedFrom.String()
	}
	for _, a := range accounts {
		who.Identified = who.Identified || a.Identified()
		who.Accounts = append(who.Accounts, customer.Account{Account: a.String(), Platform: a.Platform, Shop: a.Shop})
	}
	masked, err := p.masked(ctx, evidence)
	if err != nil {
		return customer.Who{}, nil, err
	}
	who.Identifiers = identifiersOf(evidence, masked)
	for _, e := range evidence {
		if shop := e.Account.Platform + "/" + e.Account.Shop; e.Role == identity.RoleMember && !slices.Contains(who.Memberships, shop) {
			who.Memberships = append(who.Memberships, shop)
		}
	}
	slices.Sort(who.Memberships)
	left = leftShops(evidence)
	who.Memberships = without(who.Memberships, left)
	who.Reasons, err = p.reasons(ctx, accounts, evidence, masked)
	return who, left, err
}

// leftShops are the shops whose membership the customer has left, with every
// account that was a member of it.
func leftShops(evidence []identity.Evidence) []string {
	of := make(map[identity.Account][]identity.Evidence)
	for _, e := range evidence {
		of[e.Account] = append(of[e.Account], e)
	}
	var left, bound []string
	for account, evidence := range of {
		shop := account.Platform + "/" + account.Shop
		if identity.Bound(evidence) {
			bound = append(bound, shop)
		} else if _, at := identity.MembershipOf(evidence); at > 0 {
			left = append(left, shop)
		}
	}
	return without(left, bound)
}

// without are the texts of a list that are not among others.
func without(list, others []string) []string {
	return slices.DeleteFunc(list, func(text string) bool { return slices.Contains(others, text) })
}

// masked are the identifiers of evidence as they may be shown.
func (p *Profiles) masked(ctx context.Context, evidence []identity.Evidence) (map[identity.Identifier]string, error) {
	var ids []identity.Identifier
	for _, e := range evidence {
		if !slices.Contains(ids, e.Identifier) {
			ids = append(ids, e.Identifier)
		}
	}
	sealed, err := p.Source.SealedValues(ctx, ids)
	if err != nil {
		return nil, err
	}
	masked := make(map[identity.Identifier]string, len(ids))
	for _, id := range ids {
		masked[id] = "***"
		if value, ok := sealed[id]; ok {
			plain, err := p.Keys.Open(nil, value, keyring.IdentifierContext(string(id.Type), id.Hash))
			if err != nil {
				return nil, fmt.Errorf("profile: show an identifier: %w", err)
			}
			masked[id] = events.Mask(string(plain))
		}
	}
	return masked, nil
}

// identifiersOf gathers the evidence by identifier.
func identifiersOf(evidence []identity.Evidence, masked map[identity.Identifier]string) []customer.Identifier {
	list := []customer.Identifier{}
	at := make(map[identity.Identifier]int)
	for _, e := range evidence {
		if e.Identifier.Type == identity.Membership || e.Identifier.Type == identity.AppearanceType {
			continue // it says the account once more; it is the model's alone
		}
		i, ok := at[e.Identifier]
		if !ok {
			i = len(list)
			at[e.Identifier] = i
			list = append(list, customer.Identifier{Type: string(e.Identifier.Type), Masked: masked[e.Identifier]})
		}
		if role := e.Role.String(); !slices.Contains(list[i].Roles, role) {
			list[i].Roles = append(list[i].Roles, role)
		}
		if account := e.Account.String(); !slices.Contains(list[i].Accounts, account) {
			list[i].Accounts = append(list[i].Accounts, account)
		}
	}
	for i := range list {
		slices.Sort(list[i].Roles)
		slices.Sort(list[i].Accounts)
	}
	slices.SortStableFunc(list, func(a, b customer.Identifier) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Masked, b.Masked), slices.Compare(a.Accounts, b.Accounts))
	})
	return list
}

// reasons says by what the accounts hang together: the paths from the first
// to each other. What an identifier joins depends on all who bear it, so
// their evidence is read too.
func (p *Profiles) reasons(ctx context.Context, accounts []identity.Account, evidence []identity.Evidence, masked map[identity.Identifier]string) ([]customer.Reason, error) {
	reasons := []customer.Reason{}
	if len(accounts) < 2 {
		return reasons, nil
	}
	decisions, rules, err := p.Source.Decisions(ctx, accounts, p.Rules)
	if err != nil {
		return nil, err
	}
	around, asked := slices.Clone(accounts), make(map[identity.Identifier]bool)
	for _, e := range evidence {
		if asked[e.Identifier] || rules.Strength(e.Identifier.Type, e.Role) == 0 {
			continue
		}
		asked[e.Identifier] = true
		bearers, err := p.Source.FindIdentifier(ctx, e.Identifier)
		if err != nil {
			return nil, err
		}
		for _, a := range bearers[:min(len(bearers), mostCandidates)] {
			if !slices.Contains(around, a) {
				around = append(around, a)
			}
		}
	}
	all, err := p.Source.Evidence(ctx, around)
	if err != nil {
		return nil, err
	}
	model, err := p.model(ctx, rules, all)
	if err != nil {
		return nil, err
	}
	links := model.Resolve(all, decisions, rules).Links
	seen := make(map[customer.Reason]bool)
	for _, to := range accounts[1:] {
		for _, step := range identity.Path(links, accounts[0], to) {
			reason := customer.Reason{From: step.From.String(), To: step.To.String(), Rule: string(step.Identifier.Type), Masked: masked[step.Identifier]}
			if step.Decision != "" {
				reason.Rule, reason.Masked = "decision "+step.Decision, ""
			}
			if step.Weight > 0 {
				parts := model.Scorers[rules.Model.Use].Explain(model.Appearances[step.Identifier.Hash], model.Appearances[step.Other])
				reason.Rule, reason.Masked, reason.Bits, reason.Parts = "model", "", math.Round(float64(step.Weight)*100)/100, strings.Join(parts, "; ")
			}
			if !seen[reason] {
				seen[reason] = true
				reasons = append(reasons, reason)
			}
		}
	}
	return reasons, nil
}

// model is what the rules' model needs to look at evidence.
func (p *Profiles) model(ctx context.Context, rules *identity.Rules, evidence []identity.Evidence) (identity.Model, error) {
	model := identity.Model{Scorers: p.Models}
	if rules.Model == nil {
		return model, nil
	}
	var ids []identity.Identifier
	for _, e := range evidence {
		if e.Identifier.Type == identity.AppearanceType && !slices.Contains(ids, e.Identifier) {
			ids = append(ids, e.Identifier)
		}
	}
	sealed, err := p.Source.SealedValues(ctx, ids)
	if err != nil {
		return model, err
	}
	model.Appearances = make(map[identity.Hash]identity.Appearance, len(sealed))
	for id, value := range sealed {
		plain, err := p.Keys.Open(nil, value, keyring.IdentifierContext(string(id.Type), id.Hash))
		if err != nil {
			return model, fmt.Errorf("profile: open an appearance: %w", err)
		}
		if model.Appearances[id.Hash], err = normalize.ParseAppearance(string(plain)); err != nil {
			return model, err
		}
	}
	return model, nil
}

// merged are the texts of both lists, sorted, each once.
func merged(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// IsNotFound says whether an error means that there is no such customer.
func IsNotFound(err error) bool { return errors.Is(err, customer.ErrNotFound) }
