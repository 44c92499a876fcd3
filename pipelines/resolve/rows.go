package resolve

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"golang.org/x/sync/errgroup"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// ClickHouse is what the rows need of internal/clickhouse.
type ClickHouse interface {
	// Insert writes a block; one whose token was seen before is dropped. It is
	// called for several blocks at once.
	Insert(ctx context.Context, block tables.Block, token string) error
	// InsertAgain is Insert of what may have been inserted before, and puts
	// back what is missing of it: so many rows.
	InsertAgain(ctx context.Context, block tables.Block, token string) (restored int, err error)
	RefreshViews(ctx context.Context) error
}

// Blocks are Tables over ClickHouse: a batch becomes one block for each table
// that it touches. It is for one goroutine, RefreshViews excepted.
type Blocks struct {
	ClickHouse
	// Away says whether an error means that ClickHouse cannot be reached.
	Away func(error) bool
	// Restored, if set, is told of rows that ClickHouse had taken and lost.
	Restored func(table string, rows int)

	orders    *tables.Orders
	refunds   *tables.Refunds
	users     *tables.Users
	tickets   *tables.Tickets
	spend     *tables.Spend
	raw       *tables.RawEvents
	members   *tables.IdentityMap
	history   *tables.IdentityHistory
	overrides *tables.Overrides
	redirects *tables.Redirects
	evidence  *tables.Evidence
	values    *tables.IdentifierValues
	decisions *tables.Decisions
	alike     *tables.Resemblances
	who       []tables.Block
	facts     []tables.Block
	// kinds are, of each event, the number in facts of the table of its fact, or
	// noFact.
	kinds []uint8

	// cut is when a block was last cut in vain, by the name of a table at fault.
	cut sync.Map
}

// NewBlocks makes the buffers, which are kept from batch to batch.
func NewBlocks(clickhouse ClickHouse, away func(error) bool) *Blocks {
	b := &Blocks{
		ClickHouse: clickhouse, Away: away,
		orders: tables.NewOrders(), refunds: tables.NewRefunds(), users: tables.NewUsers(), tickets: tables.NewTickets(),
		spend: tables.NewSpend(), raw: tables.NewRawEvents(), members: tables.NewIdentityMap(), history: tables.NewIdentityHistory(),
		overrides: tables.NewOverrides(), redirects: tables.NewRedirects(), evidence: tables.NewEvidence(),
		values: tables.NewIdentifierValues(), decisions: tables.NewDecisions(), alike: tables.NewResemblances(),
	}
	b.who = []tables.Block{b.values, b.evidence, b.members, b.history, b.redirects, b.decisions, b.alike}
	b.facts = []tables.Block{rawFact: b.raw, orderFact: b.orders, refundFact: b.refunds, userFact: b.users, ticketFact: b.tickets, spendFact: b.spend} // the largest first
	return b
}

// IsAway implements Tables. A table at fault is away until it is mended.
func (b *Blocks) IsAway(err error) bool { return errors.Is(err, errTableAtFault) || b.Away(err) }

// Write implements Tables.
func (b *Blocks) Write(ctx context.Context, rows Rows) (int, error) {
	rows.forgive()
	defer b.reset()
	b.identity(rows)
	// Who is who first: a fact never points at a customer that is not there.
	// Facts become columns while that is on its way.
	who, whoCtx := errgroup.WithContext(ctx)
	b.insert(whoCtx, who, rows.Batch, b.who)
	b.fill(rows)
	rows.Let()
	if err := who.Wait(); err != nil {
		return 0, err
	}
	facts, factsCtx := errgroup.WithContext(ctx)
	// ClickHouse loads the map of those with an override when that comes: not before the map.
	b.insert(factsCtx, facts, rows.Batch, append([]tables.Block{b.overrides}, b.facts...))
	if err := facts.Wait(); err != nil {
		return 0, err
	}
	n := b.overrides.Rows()
	for _, block := range b.who {
		n += block.Rows()
	}
	for _, block := range b.facts {
		n += block.Rows()
	}
	return n, nil
}

func (b *Blocks) reset() {
	b.overrides.Reset()
	for _, block := range b.who {
		block.Reset()
	}
	for _, block := range b.facts {
		block.Reset()
	}
}

// fill makes the facts of the batch's events columns.
func (b *Blocks) fill(rows Rows) {
	var raw sync.WaitGroup
	raw.Go(func() {
		// Each version that was read, one without a payload too: reconciliation
		// counts Kafka's side by them.
		for _, e := range rows.Events {
			b.raw.Append(e)
		}
	})
	defer raw.Wait()
	b.kinds = b.kinds[:0]
	for e, customer := range rows.Customers {
		b.kinds = append(b.kinds, b.fact(e, customer))
	}
}

// The numbers of facts' tables in Blocks.facts.
const (
	rawFact = iota
	orderFact
	refundFact
	userFact
	ticketFact
	spendFact
	noFact
)

// rowsOf is each event's row in a table of facts, in their order; negative for one
// that has none there.
func (b *Blocks) rowsOf(fact int) iter.Seq[int] {
	return func(yield func(int) bool) {
		next := 0
		for _, kind := range b.kinds {
			row := -1
			if fact == rawFact || int(kind) == fact {
				row = next
				next++
			}
			if !yield(row) {
				return
			}
		}
	}
}

// insertsAtOnce is how many blocks are under way: while one is synced to disk
// another is sent.
const insertsAtOnce = 4

// insert starts the inserts of blocks, each with a token of its own: one block
// a table, for a batch is bounded, and so is the block.
func (b *Blocks) insert(ctx context.Context, group *errgroup.Group, batch *Batch, blocks []tables.Block) {
	group.SetLimit(insertsAtOnce)
	for _, block := range blocks {
		if block.Rows() == 0 {
			continue
		}
		group.Go(func() error {
			token := strconv.FormatUint(batch.Sequence, 10) + "/" + block.Table()
			err := within(ctx, "insert "+block.Table(), func(ctx context.Context) error {
				refused, err := b.writeRows(ctx, block, token, batch.Again)
				fact := slices.Index(b.facts, block)
				if fact < 0 {
					return errors.Join(err, batch.refuseRows(block, refused))
				}
				batch.refuse(block.Table(), refused, b.rowsOf(fact))
				return err
			},
				attribute.String("db.collection.name", block.Table()), attribute.Int("oneid.rows", block.Rows()))
			if err != nil && clickhouse.Refuses(err) {
				err = fmt.Errorf("%w; see its log", clickhouse.RefusedBy(block.Table(), err))
			}
			if err != nil {
				return fmt.Errorf("%s, %d rows: %w", block.Table(), block.Rows(), err)
			}
			return nil
		})
	}
}

func (b *Blocks) write(ctx context.Context, block tables.Block, token string, again bool) error {
	if !again {
		return b.Insert(ctx, block, token)
	}
	restored, err := b.InsertAgain(ctx, block, token)
	if restored > 0 && b.Restored != nil {
		b.Restored(block.Table(), restored)
	}
	return err
}

// fact adds one event's fact, and says of which table it is.
func (b *Blocks) fact(e *events.Event, customer identity.CustomerID) uint8 {
	h := e.GetHeader()
	stamp := tables.Stamp{CustomerID: customer}
	switch body := e.GetBody().(type) {
	case *events.Event_Order:
		b.orders.Append(h, body.Order, stamp)
		return orderFact
	case *events.Event_Refund:
		b.refunds.Append(h, body.Refund, stamp)
		return refundFact
	case *events.Event_User:
		b.users.Append(h, body.User, stamp)
		return userFact
	case *events.Event_Ticket:
		b.tickets.Append(h, body.Ticket, stamp)
		return ticketFact
	case *events.Event_Spend:
		b.spend.Append(h, body.Spend)
		return spendFact
	}
	return noFact
}

// identity adds what the batch changed about who is who.
func (b *Blocks) identity(rows Rows) {
	version, at := Version(rows.Epoch, rows.Sequence), rows.Written
	account := func(a identity.Account) tables.Account { return tables.Account(a) }
	for _, birth := range rows.Changes.Born {
		b.members.Append(account(birth.Account), birth.CustomerID, at, birth.Reason, birth.Sequence, version)
		b.history.Append(account(birth.Account), [16]byte{}, birth.CustomerID, at, birth.Reason, version)
	}
	for _, move := range rows.Changes.Moved {
		b.members.Append(account(move.Account), move.To, at, move.Reason, rows.BornOf(move.Account), version)
		b.history.Append(account(move.Account), move.From, move.To, at, move.Reason, version)
		b.overrides.Append(account(move.Account), move.To, version)
	}
	for _, r := range rows.Changes.Redirects {
		b.redirects.Append(r.From, r.To, at, version)
	}
	for _, e := range rows.Changes.Evidence {
		b.evidence.Append(account(e.Account), string(e.Identifier.Type), e.Identifier.Hash, e.Role.String(), e.Source, e.First, e.Last)
	}
	for _, v := range rows.Values {
		b.values.Append(string(v.Identifier.Type), v.Identifier.Hash, v.Sealed)
	}
	for _, v := range rows.Changes.Reviews {
		if v.Weight > 0 || v.Reason == identity.ReviewWithdrawn { // of no weight: nobody is asked any more
			b.alike.Append(account(v.Accounts[0]), account(v.Accounts[1]), string(v.Reason), v.Weight, v.Why, at, version)
		}
	}
	for _, d := range rows.Decisions {
		b.decisions.Append(d, version)
	}
}
