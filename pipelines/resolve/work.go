package resolve

import (
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/state"
	"oneid/schemas/events"
)

// Rows are what a batch leaves in ClickHouse.
type Rows struct {
	*Batch
	// Changes are what the batch changed about who is who.
	Changes engine.Changes
	// Values are the sealed values of identifiers that are new with the batch.
	Values []state.SealedValue
	// Customers yields the customer of each of Events, as of now; the zero one for
	// an event that has no account.
	Customers iter.Seq2[*events.Event, identity.CustomerID]
	// BornOf is the sequence of an account's birth.
	BornOf func(identity.Account) uint64
}

// Tables is where rows go: ClickHouse.
type Tables interface {
	// Write inserts the rows of a batch, each block with a token made of the
	// batch's sequence, and says how many rows there were. It calls the batch's Let
	// as soon as it needs no event any more.
	Write(ctx context.Context, rows Rows) (int, error)
	// Watch makes the views look at the mapping of accounts, not at what their
	// facts were stamped with, whenever those come. Repeating it is harmless.
	Watch(ctx context.Context, accounts []identity.Account, from time.Time) error
	RefreshViews(ctx context.Context) error
	IsAway(err error) bool
}

// Instance is the Work of an instance: the state and ClickHouse.
type Instance struct {
	Identity *Identity
	Tables   Tables
}

// Sequence implements Work.
func (w *Instance) Sequence(context.Context) (uint64, error) {
	sequence, _ := w.Identity.Engine.Sequence()
	return sequence, nil
}

// Undelivered implements Work.
func (w *Instance) Undelivered(context.Context) ([]uint64, error) {
	var pending []uint64
	for sequence := range w.Identity.Engine.Pending() {
		pending = append(pending, sequence)
	}
	return pending, nil
}

// Apply implements Work.
func (w *Instance) Apply(_ context.Context, b *Batch) error {
	applied, err := w.Identity.apply(b)
	if err != nil {
		return err
	}
	b.applied = applied
	return nil
}

// Insert implements Work.
func (w *Instance) Insert(ctx context.Context, b *Batch) (int, error) {
	return w.Tables.Write(ctx, Rows{
		Batch: b, Changes: b.applied.changes, Values: b.applied.values,
		Customers: w.customers(b),
		BornOf: func(a identity.Account) uint64 {
			placement, _ := w.Identity.Engine.PlacementOf(a)
			return placement.BornSequence
		},
	})
}

// customers are those of the events of a batch that was applied.
func (w *Instance) customers(b *Batch) iter.Seq2[*events.Event, identity.CustomerID] {
	return func(yield func(*events.Event, identity.CustomerID) bool) {
		known := b.applied.customers
		for _, e := range b.Events {
			var id identity.CustomerID
			switch h := e.GetHeader(); {
			case h.GetAccount() == "":
			case b.applied.customers != nil:
				id, known = known[0], known[1:]
			default:
				id, _ = w.Identity.Engine.CustomerOf(identity.Account{Platform: h.GetPlatform(), Shop: h.GetShop(), ID: h.GetAccount()})
			}
			if !yield(e, id) {
				return
			}
		}
	}
}

// Watch implements Work.
func (w *Instance) Watch(ctx context.Context, b *Batch) error {
	seen := make(map[identity.Account]bool)
	for _, e := range b.Events {
		h := e.GetHeader()
		seen[identity.Account{Platform: h.GetPlatform(), Shop: h.GetShop(), ID: h.GetAccount()}] = true
	}
	return w.Tables.Watch(ctx, slices.SortedFunc(maps.Keys(seen), identity.Account.Compare), b.Written)
}

// Changes implements Work.
func (w *Instance) Changes(_ context.Context, b *Batch) ([]*events.IdentityChange, error) {
	return identityChanges(b, b.applied.changes), nil
}

// Delivered implements Work.
func (w *Instance) Delivered(_ context.Context, sequence uint64) error {
	w.Identity.Engine.Delivered(sequence)
	return nil
}

// Bookmark implements Work.
func (w *Instance) Bookmark(context.Context) ([]byte, error) {
	if w.Identity.Values == nil {
		return nil, nil
	}
	return w.Identity.Values.Bookmark()
}

// SetBookmark implements Work.
func (w *Instance) SetBookmark(_ context.Context, data []byte) error {
	if w.Identity.Values == nil {
		return nil
	}
	return w.Identity.Values.SetBookmark(data)
}

// RefreshViews implements Work.
func (w *Instance) RefreshViews(ctx context.Context) error { return w.Tables.RefreshViews(ctx) }

// IsAway implements Work.
func (w *Instance) IsAway(err error) bool { return w.Tables.IsAway(err) }

// Hindrance implements Work.
func (w *Instance) Hindrance() error {
	if w.Identity.Values == nil {
		return nil
	}
	return w.Identity.Values.Full()
}
