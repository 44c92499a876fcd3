// Package rebuild makes the resolver's state anew from ClickHouse, for a disk
// that was lost or damaged when Kafka no longer keeps what made it, and as the
// proof that the state is what ClickHouse says.
//
// ClickHouse holds each account's birth and moves with the sequence of the
// journal, the evidence, the decisions and the sealed values. The new state
// contains the batches up to the last one that is known to lie in ClickHouse
// whole; a batch after it that was cut off in the middle of its inserts has
// left evidence there too, which is marked and resolved with the batch when
// the resolver takes it again. Then it goes on from the journal.
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/clickhouse"
	"oneid/internal/customer/decided"
	"oneid/internal/kafka"
	"oneid/internal/state"
	"oneid/schemas/events"
)

// Rebuild makes states of one brand.
type Rebuild struct {
	Brand      string
	ClickHouse *clickhouse.Conn
	Kafka      *kafka.Client
	Topics     events.Topics
	Rules      *identity.Rules
	// Models are those that rules may use, and Keys open the appearances that
	// these are asked about.
	Models identity.Scorers
	Keys   events.Sealer
	// Position is how far the resolver had come when ClickHouse was copied,
	// whose tables are then of different moments after that. Nil: as it has
	// committed by now.
	Position kafka.Position
	// KeepResolved has Bulk leave what it found in ResolvedTable.
	KeepResolved bool
	Log          *slog.Logger
	// Progress, if set, is told what is read and how many rows of it so far.
	Progress func(what string, rows int)
}

// Report is what a rebuilt state holds.
type Report struct {
	engine.Rebuilt
	// Sequence of the last batch that it contains; Values are sealed ones.
	Sequence uint64
	Values   int
}

// Into fills an empty state. On an error the state is of no use.
func (r *Rebuild) Into(ctx context.Context, store *state.Store) (Report, error) {
	builder, err := engine.NewRebuilder(store, r.Rules, engine.Models(r.Models))
	if err != nil {
		return Report{}, err
	}
	report, err := r.read(ctx, builder)
	if err != nil {
		return report, err
	}
	if report.Values, err = r.values(ctx, store); err != nil {
		return report, err
	}
	report.Rebuilt, err = builder.Finish(report.Sequence)
	return report, err
}

// read gives a builder who is who, and reports up to which batch.
func (r *Rebuild) read(ctx context.Context, builder *engine.Rebuilder) (Report, error) {
	var report Report
	// How far it is comes first: what is inserted meanwhile lies behind it.
	position, err := r.position(ctx)
	if err != nil {
		return report, err
	}
	if r.Position != nil {
		position = r.Position
	}
	journal, err := readJournal(ctx, r.Kafka, r.Topics.Journal)
	if err != nil {
		return report, err
	}
	valid := journal.valid()
	newest, err := r.ClickHouse.Number(ctx, "ask for the newest birth or move",
		"SELECT max("+sequence("version")+") FROM "+r.table("identity_history")+" WHERE "+valid)
	if err != nil {
		return report, err
	}
	if newest >= journal.next && newest > 0 {
		return report, &LostJournalError{Newest: newest, Next: journal.next}
	}
	report.Sequence = journal.committed(position)
	if r.Position == nil {
		// A batch is inserted when the one before it is done. A copy of ClickHouse
		// may be older than what the journal says.
		report.Sequence = max(report.Sequence, journal.before(newest), journal.delivered)
	}

	for _, step := range []func() error{
		func() error { return r.accounts(ctx, builder, report.Sequence, valid) },
		func() error { return r.evidence(ctx, builder) },
		func() error { return r.appearances(ctx, builder.Appearance) },
		func() error { return r.decisions(ctx, builder) },
	} {
		if err := step(); err != nil {
			return report, err
		}
	}
	return report, nil
}

// LostJournalError says that the journal ends before what ClickHouse holds.
type LostJournalError struct{ Newest, Next uint64 }

func (e *LostJournalError) Error() string {
	return fmt.Sprintf("rebuild: ClickHouse holds what batch %d did, and the journal ends before %d: it is another's, or was lost", e.Newest, e.Next)
}

// Code names the kind of error.
func (e *LostJournalError) Code() string { return "journal_lost" }

// Hint says what to do.
func (e *LostJournalError) Hint() string {
	return "see that kafka.brokers names this brand's Kafka, or restore a backup: batches would be numbered twice"
}

func (r *Rebuild) table(name string) string { return r.ClickHouse.Database() + "." + name }

// sequence is the SQL of a version's sequence.
func sequence(version string) string {
	return "bitAnd(" + version + ", " + strconv.FormatUint(1<<sequenceBits-1, 10) + ")"
}

// valid is the SQL condition on a version that its writer was not superseded.
func (j *journal) valid() string {
	if len(j.void) == 0 {
		return "1"
	}
	texts := make([]string, len(j.void))
	for i, version := range j.void {
		texts[i] = strconv.FormatUint(version, 10)
	}
	return "version NOT IN (" + strings.Join(texts, ", ") + ")"
}

// accounts reads where each account stood at a sequence.
func (r *Rebuild) accounts(ctx context.Context, to *engine.Rebuilder, upTo uint64, valid string) error {
	query := "SELECT platform, shop, account, " + sequence("min(version)") + " AS born, " + sequence("max(version)") + ", argMax(customer_id, version), argMax(reason, version)" +
		" FROM " + r.table("identity_history") + " WHERE " + sequence("version") + " <= " + strconv.FormatUint(upTo, 10) + " AND " + valid +
		" GROUP BY platform, shop, account ORDER BY born"
	n := 0
	return r.ClickHouse.Rows(ctx, "read the accounts", query, func(scan func(...any) error) error {
		var p engine.Placed
		var customer uuid.UUID
		if err := scan(&p.Account.Platform, &p.Account.Shop, &p.Account.ID, &p.Born, &p.Since, &customer, &p.Reason); err != nil {
			return err
		}
		p.CustomerID = identity.CustomerID(customer)
		n++
		r.progress("accounts", n)
		return to.Account(p)
	}, spill...)
}

// spill lets what does not fit into memory go to ClickHouse's disk.
var spill = []clickhouse.Setting{
	{Name: "max_bytes_before_external_group_by", Value: 1 << 30},
	{Name: "max_bytes_before_external_sort", Value: 1 << 30},
}

func (r *Rebuild) evidence(ctx context.Context, to *engine.Rebuilder) error {
	key := "platform, shop, account, type, hash, role, source"
	query := "SELECT " + key + ", toUnixTimestamp(min(first_seen)), toUnixTimestamp(max(last_seen)) FROM " + r.table("evidence") + " GROUP BY " + key
	n, unknown := 0, 0
	err := r.ClickHouse.Rows(ctx, "read the evidence", query, func(scan func(...any) error) error {
		var ev identity.Evidence
		var typ, hash, role string
		var first, last uint32
		if err := scan(&ev.Account.Platform, &ev.Account.Shop, &ev.Account.ID, &typ, &hash, &role, &ev.Source, &first, &last); err != nil {
			return err
		}
		n++
		r.progress("evidence", n)
		parsed, ok := identity.ParseRole(role)
		if !ok || len(hash) != len(ev.Identifier.Hash) {
			unknown++
			return nil
		}
		ev.Identifier = identity.Identifier{Type: identity.IdentifierType(typ), Hash: identity.Hash([]byte(hash))}
		ev.Role, ev.First, ev.Last = parsed, int64(first), int64(last)
		to.Evidence(ev)
		return nil
	}, append(spill[:1:1], clickhouse.Setting{Name: "optimize_aggregation_in_order", Value: 1})...)
	if unknown > 0 {
		r.Log.Warn("evidence in roles that this version does not know was left out", "rows", unknown)
	}
	return err
}

// appearances reads the fields of the appearances that there is evidence of.
func (r *Rebuild) appearances(ctx context.Context, to func(identity.Hash, identity.Appearance)) error {
	n := 0
	return r.ClickHouse.Rows(ctx, "read the appearances", "SELECT hash, any(sealed) FROM "+r.table("identifier_values")+" WHERE type = '"+string(identity.AppearanceType)+"' GROUP BY hash", func(scan func(...any) error) error {
		var hash, sealed string
		if err := scan(&hash, &sealed); err != nil {
			return err
		}
		id, fields, err := r.open(hash, sealed)
		if err != nil {
			return err
		}
		to(id, fields)
		n++
		r.progress("appearances", n)
		return nil
	}, append(spill[:1:1], clickhouse.Setting{Name: "optimize_aggregation_in_order", Value: 1})...)
}

func (r *Rebuild) decisions(ctx context.Context, to *engine.Rebuilder) error {
	decisions, err := decided.Read(ctx, r.ClickHouse, nil)
	for _, d := range decisions {
		to.Decision(d)
	}
	return err
}

// valuesAtOnce bounds one write of values: about a megabyte.
const valuesAtOnce = 10_000

func (r *Rebuild) values(ctx context.Context, store *state.Store) (int, error) {
	var some []state.SealedValue
	n := 0
	put := func() error {
		err := store.PutValues(some)
		some = some[:0]
		return err
	}
	err := r.ClickHouse.Rows(ctx, "read the sealed values", "SELECT type, hash, sealed FROM "+r.table("identifier_values")+" FINAL", func(scan func(...any) error) error {
		var typ, hash, sealed string
		if err := scan(&typ, &hash, &sealed); err != nil {
			return err
		}
		if len(hash) != len(identity.Hash{}) {
			return fmt.Errorf("a hash has %d bytes", len(hash))
		}
		some = append(some, state.SealedValue{Identifier: identity.Identifier{Type: identity.IdentifierType(typ), Hash: identity.Hash([]byte(hash))}, Sealed: []byte(sealed)})
		n++
		r.progress("sealed values", n)
		if len(some) < valuesAtOnce {
			return nil
		}
		return put()
	})
	if err != nil {
		return n, err
	}
	return n, put()
}

func (r *Rebuild) progress(what string, rows int) {
	if r.Progress != nil && rows%10_000 == 0 {
		r.Progress(what, rows)
	}
}

// Comparison is what two states do not agree upon.
type Comparison struct {
	// Differences in all, and some of them in words.
	Differences int
	Some        []string
}

// someDifferences bounds what is said in words.
const someDifferences = 20

// Compare compares the present state ("here") with a rebuilt one ("there").
// Sealed values are compared by their identifiers: each sealing differs.
func (r *Rebuild) Compare(present, rebuilt *engine.Engine, presentStore, rebuiltStore *state.Store) (Comparison, error) {
	var c Comparison
	add := func(text string) {
		if c.Differences++; len(c.Some) < someDifferences {
			c.Some = append(c.Some, text)
		}
	}
	for d := range present.Compare(rebuilt) {
		if d.ID == (identity.CustomerID{}) {
			add(d.What)
		} else {
			add("the account born as " + d.ID.String() + ": " + d.What)
		}
	}
	here, stopHere := iter.Pull2(presentStore.Values())
	defer stopHere()
	there, stopThere := iter.Pull2(rebuiltStore.Values())
	defer stopThere()
	a, aErr, aMore := here()
	b, bErr, bMore := there()
	for aMore || bMore {
		if err := errors.Join(aErr, bErr); err != nil {
			return c, err
		}
		order := a.Compare(b)
		onlyHere, onlyThere := aMore && (!bMore || order < 0), bMore && (!aMore || order > 0)
		switch {
		case onlyHere:
			add("the value of " + a.String() + " is only here")
		case onlyThere:
			add("the value of " + b.String() + " is only there")
		}
		if !onlyThere {
			a, aErr, aMore = here()
		}
		if !onlyHere {
			b, bErr, bMore = there()
		}
	}
	return c, nil
}
