package resolve

import (
	"cmp"
	"encoding/binary"
	"maps"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

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
	// Seen is told the events of each batch once it is in the state and before
	// it is in ClickHouse; may be nil.
	Seen func([]*events.Event)
	// Inert is told how many identifiers, and how many keys of the model, join nobody
	// since a batch in which they had too many accounts, or their customer had, and how
	// many accounts bear too many values of a type that others bear; may be nil.
	Inert func(identifiers, bridges, keys int)

	// large are the identifiers that were told of since they made a customer too large,
	// bridges the accounts since they bore too many values.
	large   map[identity.Identifier]bool
	bridges map[identity.Bearing]bool
	// tried is the sequence of the batch that was applied last, or failed to be.
	tried uint64
	// These are kept from batch to batch.
	parts   []extracted
	updates []engine.Update
	values  []extract.Value
	order   []place
}

// place is where a value stands in the order of its identifier, and in the list.
type place struct {
	typ, at uint32
	hash    uint64 // the beginning of it
}

// extracted is what was read in a part of a batch's events.
type extracted struct {
	found extract.Result // of one event
	// Of some events, used again and again: evidence, the numbers of its identifiers, and
	// their values.
	evidence []identity.Evidence
	numbers  []uint32
	texts    []extract.Value
	// Of all: updates, a part of the batch's; the evidence and the numbers of those that say
	// something new; and the values of identifiers that were not seen before.
	updates    []engine.Update
	news       []identity.Evidence
	newNumbers []uint32
	values     []extract.Value
}

// resolved is what a batch means for who is who. Its rows are on their way while the next
// batch is applied, so nothing of it lies in memory that is used again.
type resolved struct {
	changes engine.Changes
	// values are sealed, of each identifier that was not seen before; when the
	// batch was applied before, of each of which it brought evidence.
	values []state.SealedValue
	// customers are those of the batch's updates, in the order of its events that
	// have an account; nil when the batch was applied before.
	customers []identity.CustomerID
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
	defer i.forget()
	// What a batch adopts holds for its own evidence too, but not for which
	// values are none: that is said by the rules before it.
	_, i.Extract.Rules = i.Engine.Rules()
	updates, values := i.extract(b.Events, again)
	decisions := make([]identity.Decision, 0, len(b.Decisions))
	for _, d := range b.Decisions {
		if decision, ok := decisionOf(d); ok {
			decisions = append(decisions, decision)
		}
	}
	// Values before the batch: what makes the batch durable makes them so.
	sealed := i.seal(values)
	// A state that has the batch has its values: put again, at each attempt while
	// ClickHouse is away, they would be there as often.
	if i.Values != nil && b.Sequence > last {
		if err := i.Values.PutValues(sealed); err != nil {
			return resolved{}, err
		}
	}
	changes, err := i.Engine.Apply(b.Sequence, updates, decisions)
	if err != nil {
		return resolved{}, err
	}
	var customers []identity.CustomerID
	if of, ok := i.Engine.CustomersOf(b.Sequence, nil); ok && len(of) == len(updates) {
		customers = of
	}
	if i.Seen != nil {
		i.Seen(b.Events)
	}
	if i.Inert != nil && !again {
		if i.large == nil {
			i.large, i.bridges = map[identity.Identifier]bool{}, map[identity.Bearing]bool{}
		}
		identifiers, bridges, keys := 0, 0, 0
		for _, v := range changes.Reviews {
			switch v.Reason {
			case identity.ReviewAccounts:
				identifiers++
			case identity.ReviewBlock:
				keys++
			case identity.ReviewLargest: // again with each batch that touches the customer
				if !i.large[v.Identifier] {
					i.large[v.Identifier] = true
					identifiers++
				}
			case identity.ReviewValues: // for each of the values
				for _, a := range v.Accounts {
					of := identity.Bearing{Account: a, Type: v.Identifier.Type}
					if !i.bridges[of] {
						i.bridges[of] = true
						bridges++
					}
				}
			default: // it joins others
			}
		}
		if identifiers+bridges+keys > 0 {
			i.Inert(identifiers, bridges, keys)
		}
	}
	if again {
		fresh := make(map[identity.Identifier]bool, len(changes.Evidence))
		for _, e := range changes.Evidence {
			fresh[e.Identifier] = true
		}
		sealed = slices.DeleteFunc(sealed, func(v state.SealedValue) bool { return !fresh[v.Identifier] })
	}
	return resolved{changes, sealed, customers}, nil
}

// extractEvents is how many events make a part worth a goroutine.
const extractEvents = 2000

// extract reads the evidence in events, in their order, and the values of
// identifiers that were not seen before; of all, if the batch comes again.
func (i *Identity) extract(list []*events.Event, again bool) ([]engine.Update, []extract.Value) {
	n := min(runtime.GOMAXPROCS(0), len(list)/extractEvents+1)
	for len(i.parts) < n {
		i.parts = append(i.parts, extracted{})
	}
	i.updates = slices.Grow(i.updates, len(list))
	var group errgroup.Group
	for part := range n {
		group.Go(func() error {
			from, to := part*len(list)/n, (part+1)*len(list)/n
			i.parts[part].updates = i.updates[from:from:to] // one for each event that has an account
			i.extractPart(&i.parts[part], list[from:to], again)
			return nil
		})
	}
	_ = group.Wait() // a part does not fail
	for part := range n {
		p := &i.parts[part]
		if len(i.updates) == part*len(list)/n {
			i.updates = i.updates[:len(i.updates)+len(p.updates)] // where they lie
		} else {
			i.updates = append(i.updates, p.updates...)
		}
		i.values = append(i.values, p.values...)
	}
	return i.updates, i.values
}

// lookEvents is how many events are read before their identifiers are looked for: what
// was read lies in the processor's cache still.
const lookEvents = 32

// usualEvidence is more than an event usually has.
const usualEvidence = 16

func (i *Identity) extractPart(p *extracted, list []*events.Event, again bool) {
	for some := range slices.Chunk(list, lookEvents) {
		first := len(p.updates)
		for _, e := range some {
			p.evidence, p.texts = slices.Grow(p.evidence, usualEvidence), slices.Grow(p.texts, usualEvidence)
			// Straight behind those before it; one with more has memory of its own.
			p.found.Evidence, p.found.Values = p.evidence[len(p.evidence):], p.texts[len(p.texts):]
			i.Extract.Into(e, &p.found)
			if p.found.Account.ID == "" {
				continue
			}
			n := len(p.found.Evidence)
			p.evidence = p.evidence[:min(len(p.evidence)+n, cap(p.evidence))]
			p.texts = append(p.texts, p.found.Values...)
			from := len(p.numbers)
			p.numbers = append(p.numbers, make([]uint32, n)...)
			p.updates = append(p.updates, engine.Update{
				Account: p.found.Account, Evidence: p.found.Evidence[:n:n], Appearance: p.found.Appearance, Numbers: p.numbers[from:len(p.numbers):len(p.numbers)],
			})
		}
		looked := p.updates[first:]
		i.Engine.LookUp(looked)
		i.keepUnseen(p, looked, again)
		p.keepNews(looked)
	}
}

// keepUnseen keeps the values of identifiers that were not seen before; of all, if the batch
// comes again.
func (i *Identity) keepUnseen(p *extracted, looked []engine.Update, again bool) {
	texts := p.texts
	for _, u := range looked {
		for j := range u.Evidence { // an event's identifiers stand in the order of its values
			if len(texts) == 0 || texts[0].Identifier != u.Evidence[j].Identifier {
				continue
			}
			if again || u.Numbers[j] == 0 {
				p.values = append(p.values, texts[0])
			}
			texts = texts[1:]
		}
	}
	p.texts = p.texts[:0]
}

// keepNews keeps the evidence of those updates that say something new, and lets go of the
// rest, whose memory the next events use.
func (p *extracted) keepNews(looked []engine.Update) {
	for i := range looked {
		u := &looked[i]
		if u.Known() {
			u.Evidence, u.Numbers, u.Appearance = nil, nil, nil
			continue
		}
		from, numbered := len(p.news), len(p.newNumbers)
		p.news, p.newNumbers = append(p.news, u.Evidence...), append(p.newNumbers, u.Numbers...)
		u.Evidence, u.Numbers = p.news[from:len(p.news):len(p.news)], p.newNumbers[numbered:len(p.newNumbers):len(p.newNumbers)]
	}
	p.evidence, p.numbers = p.evidence[:0], p.numbers[:0]
}

// forget lets go of the batch's texts, and keeps the memory.
func (i *Identity) forget() {
	clear(i.updates[:cap(i.updates)])
	clear(i.values)
	i.updates, i.values = i.updates[:0], i.values[:0]
	for part := range i.parts {
		p := &i.parts[part]
		clear(p.evidence[:cap(p.evidence)])
		clear(p.texts[:cap(p.texts)])
		clear(p.news)
		clear(p.values)
		p.found, p.updates = extract.Result{}, nil
		p.evidence, p.numbers, p.texts = p.evidence[:0], p.numbers[:0], p.texts[:0]
		p.news, p.newNumbers, p.values = p.news[:0], p.newNumbers[:0], p.values[:0]
	}
}

// sealedAtOnce is how many bytes of sealed values lie in a piece of memory.
const sealedAtOnce = 32 << 10

// seal seals values in the order of their identifiers, each once.
func (i *Identity) seal(values []extract.Value) []state.SealedValue {
	if len(values) == 0 {
		return nil
	}
	i.arrange(values)
	sealed := make([]state.SealedValue, 0, len(values))
	var plain, context, room []byte
	for k, p := range i.order {
		id := values[p.at].Identifier
		if k > 0 && id == values[i.order[k-1].at].Identifier {
			continue
		}
		if k == 0 || p.typ != i.order[k-1].typ {
			context = keyring.IdentifierContext(string(id.Type), identity.Hash{})
		}
		copy(context[len(context)-len(id.Hash):], id.Hash[:]) // one for all of a type
		plain = append(plain[:0], values[p.at].Value...)
		// They are let go together, so many lie together.
		if need := len(plain) + keyring.SealedMore; cap(room)-len(room) < need {
			room = make([]byte, 0, max(need, sealedAtOnce))
		}
		from := len(room)
		room = i.Keys.Seal(room, plain, context)
		sealed = append(sealed, state.SealedValue{Identifier: id, Sealed: room[from:len(room):len(room)]})
	}
	clear(plain[:cap(plain)])
	return sealed
}

// arrange puts values into the order of their identifiers.
func (i *Identity) arrange(values []extract.Value) {
	ranks := make(map[identity.IdentifierType]uint32)
	for _, v := range values {
		ranks[v.Identifier.Type] = 0
	}
	for rank, typ := range slices.Sorted(maps.Keys(ranks)) {
		ranks[typ] = uint32(rank)
	}
	i.order = slices.Grow(i.order[:0], len(values))
	for at, v := range values {
		i.order = append(i.order, place{ranks[v.Identifier.Type], uint32(at), binary.BigEndian.Uint64(v.Identifier.Hash[:8])})
	}
	slices.SortFunc(i.order, func(a, b place) int {
		if a.typ != b.typ {
			return cmp.Compare(a.typ, b.typ)
		}
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		return values[a.at].Identifier.Compare(values[b.at].Identifier)
	})
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
	case events.DecisionKind_DECISION_KIND_ADOPT:
		out.Kind = identity.Adopt
		var err error
		out.Rules, err = identity.ParseRules(d.GetRules())
		return out, err == nil
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
	all := make([]events.IdentityChange, len(c.Born)+len(c.Moved)) // let go together
	out := make([]*events.IdentityChange, len(all))
	for i := range all {
		out[i] = &all[i]
		out[i].Version, out[i].ChangedMs = version, at
	}
	for i, birth := range c.Born {
		to := out[i]
		to.Account, to.CustomerId, to.Reason = birth.Account.String(), birth.CustomerID.String(), birth.Reason
	}
	for i, move := range c.Moved {
		to := out[len(c.Born)+i]
		to.Account, to.CustomerId, to.PreviousCustomerId, to.Reason = move.Account.String(), move.To.String(), move.From.String(), move.Reason
	}
	return out
}
