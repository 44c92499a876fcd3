package resolve

import (
	"slices"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/extract"
	"oneid/internal/keyring"
	"oneid/internal/state"
	"oneid/schemas/events"
)

// Identity is the half of the Work that is about who is who.
type Identity struct {
	Engine *engine.Engine
	// Values keeps the sealed values of identifiers, for profiles to show
	// them masked; nil keeps none.
	Values  *state.Store
	Extract *extract.Extractor
	Keys    events.Sealer

	// tried is the sequence of the batch that was applied last, or failed to be.
	tried uint64
	// Kept from batch to batch.
	found    extract.Result
	updates  []engine.Update
	evidence []identity.Evidence
}

// resolved is what a batch means for who is who.
type resolved struct {
	changes engine.Changes
	// values are sealed, of each identifier that was not seen before; when the
	// batch was applied before, of each of which it brought evidence.
	values []state.SealedValue
}

// Version orders what resolvers say of one account: by epoch, then by
// sequence.
func Version(epoch, sequence uint64) uint64 { return epoch<<40 | sequence }

// maxEpoch is the highest epoch that a Version has room for, below those of
// tables.WatchVersion.
const maxEpoch = 1<<23 - 1

// apply brings a batch into the state. A batch that the state contains gives
// what it changed then.
func (i *Identity) apply(b *Batch) (resolved, error) {
	// What the state had not seen before the batch it has seen afterwards: only
	// at the first time does it tell which values are new.
	last, _ := i.Engine.Sequence()
	again := b.Sequence <= last || b.Sequence == i.tried
	i.tried = b.Sequence
	updates, evidence := i.updates[:0], i.evidence[:0]
	values := make(map[identity.Identifier]string)
	for _, e := range b.Events {
		found := &i.found
		i.Extract.Into(e, found)
		if found.Account.ID == "" {
			continue
		}
		from := len(evidence)
		evidence = append(evidence, found.Evidence...)
		updates = append(updates, engine.Update{Account: found.Account, Evidence: evidence[from:len(evidence):len(evidence)]})
		for _, v := range found.Values {
			if again || !i.Engine.Seen(v.Identifier) {
				values[v.Identifier] = v.Value
			}
		}
	}
	decisions := make([]identity.Decision, 0, len(b.Decisions))
	for _, d := range b.Decisions {
		if decision, ok := decisionOf(d); ok {
			decisions = append(decisions, decision)
		}
	}
	// Values before the batch: what makes the batch durable makes them so.
	sealed := i.seal(values)
	if i.Values != nil {
		if err := i.Values.PutValues(sealed); err != nil {
			return resolved{}, err
		}
	}
	changes, err := i.Engine.Apply(b.Sequence, updates, decisions)
	// The memory is kept for the next batch, the texts of this one are not.
	clear(updates)
	clear(evidence)
	i.updates, i.evidence = updates, evidence
	if err != nil {
		return resolved{}, err
	}
	if again {
		fresh := make(map[identity.Identifier]bool, len(changes.Evidence))
		for _, e := range changes.Evidence {
			fresh[e.Identifier] = true
		}
		sealed = slices.DeleteFunc(sealed, func(v state.SealedValue) bool { return !fresh[v.Identifier] })
	}
	return resolved{changes, sealed}, nil
}

// seal seals values in the order of their identifiers.
func (i *Identity) seal(values map[identity.Identifier]string) []state.SealedValue {
	sealed := make([]state.SealedValue, 0, len(values))
	for id, value := range values {
		sealed = append(sealed, state.SealedValue{Identifier: id, Sealed: i.Keys.Seal([]byte(value), keyring.IdentifierContext(string(id.Type), id.Hash))})
	}
	slices.SortFunc(sealed, func(a, b state.SealedValue) int { return a.Identifier.Compare(b.Identifier) })
	return sealed
}

// decisionOf reads what a decision says about who is who; false for one of
// another kind, or one that names its accounts wrongly.
func decisionOf(d *events.Decision) (identity.Decision, bool) {
	out := identity.Decision{ID: d.GetDecisionId(), Undoes: d.GetUndoes(), At: d.GetDecidedMs()}
	switch d.GetKind() {
	case events.DecisionKind_DECISION_KIND_SAME:
		out.Kind = identity.Same
	case events.DecisionKind_DECISION_KIND_DIFFERENT:
		out.Kind = identity.Different
	case events.DecisionKind_DECISION_KIND_UNDO:
		out.Kind = identity.Undo
		return out, true
	default:
		return out, false
	}
	accounts := d.GetAccounts()
	var err error
	if out.A, err = identity.ParseAccount(accounts[0]); err != nil {
		return out, false
	}
	out.B, err = identity.ParseAccount(accounts[1])
	return out, err == nil
}

// identityChanges says of each account that was born or moved where it is.
func identityChanges(b *Batch, c engine.Changes) []*events.IdentityChange {
	version, at := Version(b.Epoch, b.Sequence), b.Written.UnixMilli()
	out := make([]*events.IdentityChange, 0, len(c.Born)+len(c.Moved))
	for _, birth := range c.Born {
		out = append(out, &events.IdentityChange{Account: birth.Account.String(), CustomerId: birth.CustomerID.String(), Version: version, Reason: birth.Reason, ChangedMs: at})
	}
	for _, move := range c.Moved {
		out = append(out, &events.IdentityChange{Account: move.Account.String(), CustomerId: move.To.String(), PreviousCustomerId: move.From.String(), Version: version, Reason: move.Reason, ChangedMs: at})
	}
	return out
}
