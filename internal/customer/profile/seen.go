package profile

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"oneid/identity"
	"oneid/identity/normalize"
	"oneid/internal/customer"
	"oneid/internal/keyring"
	"oneid/schemas/events"
)

// Bounds on what Seen names of a side.
const (
	mostIdentifiers = 5
	mostReceivers   = 5
)

// borne is an identifier of one side.
type borne struct {
	id       identity.Identifier
	roles    []identity.Role
	accounts int
	shared   bool
}

// Seen says what each of several sides was seen with, masked, by the evidence of
// its accounts; values that were erased are shown as ***.
func (s *Stored) Seen(ctx context.Context, keys events.Sealer, sides ...[]identity.Evidence) ([]customer.Seen, error) {
	on := map[identity.Identifier]int{}
	all := make([][]borne, len(sides))
	for i, evidence := range sides {
		all[i] = borneBy(evidence)
		for _, b := range all[i] {
			on[b.id]++
		}
	}
	var wanted []identity.Identifier
	for i, side := range all {
		for j := range side {
			side[j].shared = on[side[j].id] > 1
		}
		all[i] = some(side)
		for _, b := range all[i] {
			if !slices.Contains(wanted, b.id) {
				wanted = append(wanted, b.id)
			}
		}
	}
	sealed, err := s.SealedValues(ctx, wanted)
	if err != nil {
		return nil, err
	}
	out := make([]customer.Seen, len(sides))
	for i, side := range all {
		out[i] = customer.Seen{Identifiers: []customer.SeenIdentifier{}, Receivers: []customer.SeenReceiver{}}
		for _, b := range side {
			if err := b.show(&out[i], sealed[b.id], keys); err != nil {
				return nil, fmt.Errorf("profile: show %s: %w", b.id, err)
			}
		}
	}
	return out, nil
}

// borneBy gathers evidence by identifier. A membership says the account once more.
func borneBy(evidence []identity.Evidence) (list []borne) {
	at := map[identity.Identifier]int{}
	last := map[identity.Identifier]identity.Account{}
	evidence = slices.SortedFunc(slices.Values(evidence), identity.Evidence.Compare)
	for _, e := range evidence {
		if e.Identifier.Type == identity.Membership {
			continue
		}
		i, ok := at[e.Identifier]
		if !ok {
			i = len(list)
			at[e.Identifier] = i
			list = append(list, borne{id: e.Identifier})
		}
		if last[e.Identifier] != e.Account {
			last[e.Identifier] = e.Account
			list[i].accounts++
		}
		if !slices.Contains(list[i].roles, e.Role) {
			list[i].roles = append(list[i].roles, e.Role)
		}
	}
	return list
}

// some are those of a side that are named.
func some(side []borne) []borne {
	slices.SortFunc(side, func(a, b borne) int {
		if a.shared != b.shared {
			if a.shared {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.accounts, a.accounts), a.id.Compare(b.id))
	})
	identifiers, receivers := 0, 0
	return slices.DeleteFunc(side, func(b borne) bool {
		if b.id.Type == identity.AppearanceType {
			receivers++
			return receivers > mostReceivers
		}
		identifiers++
		return identifiers > mostIdentifiers
	})
}

// show adds one identifier, whose sealed value is nil if it was erased.
func (b *borne) show(to *customer.Seen, sealed []byte, keys events.Sealer) error {
	value := ""
	if sealed != nil {
		plain, err := keys.Open(nil, sealed, keyring.IdentifierContext(string(b.id.Type), b.id.Hash))
		if err != nil {
			return err
		}
		value = string(plain)
	}
	if b.id.Type != identity.AppearanceType {
		shown := customer.SeenIdentifier{Type: string(b.id.Type), Masked: cmp.Or(events.Mask(value), "***"), Shared: b.shared}
		slices.Sort(b.roles)
		for _, role := range b.roles {
			shown.Roles = append(shown.Roles, role.String())
		}
		to.Identifiers = append(to.Identifiers, shown)
		return nil
	}
	if value == "" {
		return nil
	}
	a, err := normalize.ParseAppearance(value)
	if err != nil {
		return err
	}
	to.Receivers = append(to.Receivers, customer.SeenReceiver{
		Name: a.Name, Phone: a.Phone, Region: strings.Join([]string{a.Province, a.City, a.District, a.Town}, ""), Detail: a.Detail, Shared: b.shared,
	})
	return nil
}
