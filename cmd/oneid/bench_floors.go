package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/kafka"
	"oneid/pipelines/resolve"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// flowFloors are the floors, in the order of the flow.
var flowFloors = []string{"read", "decode", "insert"}

// knownFloors are what the leanest code known took on a machine of two cores,
// in CPU seconds per million, and why ours may take more.
var knownFloors = map[string]struct {
	seconds float64
	why     string
}{
	"read":   {0.5, "values are longer here (about 700 bytes, sealed, which no compression shortens), and an embedded broker, whose share is in it, costs more than a real one"},
	"decode": {0.96, "an event has a header, a version and lines of its own, some 40 fields in five nested messages, where 20 flat fields were measured"},
	"insert": {2.7, "each event is two rows, the fact with up to 46 columns of which 11 are arrays, and the sealed payload, which no codec shortens; one row of 20 columns was measured. Parts are synced to disk"},
}

func explainFloors(floors map[string]float64) (notes []string) {
	for _, name := range flowFloors {
		if known := knownFloors[name]; floors[name] > 1.5*known.seconds {
			notes = append(notes, fmt.Sprintf("the floor of %s is %.2f s/M, where %.2f were reached elsewhere: %s", name, floors[name], known.seconds, known.why))
		}
	}
	return notes
}

// flowRange is a part of the event topics: by topic, the offsets of each
// partition.
type flowRange struct{ from, to map[string][]int64 }

// floors measures what each stage costs when nothing else is done, on the
// events of the last phase.
func (b *flowBench) floors(ctx context.Context, over flowRange) (map[string]float64, error) {
	floors := map[string]float64{}
	b.show.start("measuring the floors", int64(len(flowFloors)))
	perMillion := 1e6 / float64(b.Events)

	b.meter.start()
	if err := b.readAll(ctx, over, func(kafka.Fetched) error { return nil }); err != nil {
		return nil, err
	}
	read := b.meter.stop()
	floors["read"] = (read.by["oneid"] + read.by["broker"]) * perMillion
	b.show.set(1, 3)

	// The rest works on what lies in memory, a block at a time.
	floor, err := b.newInsertFloor(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = floor.conn.Close() }() // it holds nothing that is not inserted
	var decoding time.Duration
	values := make([][]byte, 0, floorBlock)
	flush := func() error {
		began := ownCPU()
		var slab events.Slab
		for _, value := range values {
			if _, err := slab.Decode(value); err != nil {
				return err
			}
		}
		decoding += ownCPU() - began
		err := floor.insert(ctx, values)
		values = values[:0]
		return err
	}
	for topic, next := range over.to {
		for partition := range next {
			err := b.node.kafka.ReadRange(ctx, topic, partition, over.from[topic][partition], next[partition], false, func(m kafka.Fetched) error {
				if values = append(values, m.Value); len(values) < floorBlock {
					return nil
				}
				return flush()
			})
			if err != nil {
				return nil, err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	floors["decode"] = decoding.Seconds() * perMillion
	floors["insert"] = floor.spent * perMillion
	b.show.set(3, 3)
	b.show.finish()
	return floors, nil
}

// floorBlock is how many events a block of the floor has: as many as there
// may be, for few large inserts cost the least.
const floorBlock = 100_000

// readAll reads all partitions of a range at the same time.
func (b *flowBench) readAll(ctx context.Context, over flowRange, each func(kafka.Fetched) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for topic, next := range over.to {
		for partition := range next {
			group.Go(func() error {
				return b.node.kafka.ReadRange(ctx, topic, partition, over.from[topic][partition], next[partition], false, each)
			})
		}
	}
	return group.Wait()
}

// insertFloor inserts the facts of events into tables of their own, and counts
// the CPU time of the inserts alone: the blocks are filled before.
type insertFloor struct {
	bench  *flowBench
	conn   *clickhouse.Conn
	blocks *resolve.Blocks
	batch  uint64

	mu    sync.Mutex // guards all below
	under int        // inserts under way
	spent float64    // seconds, of this process and ClickHouse
}

// newInsertFloor makes a database of its own, with the same tables.
func (b *flowBench) newInsertFloor(ctx context.Context) (*insertFloor, error) {
	app := b.node.app
	conn, err := clickhouse.Open(ctx, clickhouse.Config{URL: app.url, Database: app.database + "_floor", User: app.user, Password: app.password})
	if err != nil {
		return nil, err
	}
	if _, err := conn.Migrate(ctx); err != nil {
		return nil, err
	}
	f := &insertFloor{bench: b, conn: conn}
	f.blocks = resolve.NewBlocks(f, clickhouse.IsUnavailable)
	return f, nil
}

func (f *insertFloor) insert(ctx context.Context, values [][]byte) error {
	f.batch++
	rows := resolve.Rows{Batch: &resolve.Batch{Sequence: f.batch, Epoch: 1}}
	for _, value := range values {
		e := new(events.Event)
		if err := events.Decode(value, e); err != nil {
			return err
		}
		rows.Events = append(rows.Events, e)
	}
	rows.Customers = func(yield func(*events.Event, identity.CustomerID) bool) {
		for _, e := range rows.Events {
			h := e.GetHeader()
			customer, _ := f.bench.node.engine.CustomerOf(identity.Account{Platform: h.GetPlatform(), Shop: h.GetShop(), ID: h.GetAccount()})
			if !yield(e, customer) {
				return
			}
		}
	}
	_, err := f.blocks.Write(ctx, rows)
	return err
}

// Insert implements resolve.ClickHouse. What several inserts under way at once
// take counts once: from the start of the first to the end of the last.
func (f *insertFloor) Insert(ctx context.Context, block tables.Block, token string) error {
	f.mu.Lock()
	if f.under == 0 {
		f.bench.meter.start()
	}
	f.under++
	f.mu.Unlock()
	err := f.conn.Insert(ctx, block, token)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.under--; f.under == 0 {
		used := f.bench.meter.stop()
		f.spent += used.by["oneid"] + used.by["clickhouse"]
	}
	return err
}

// InsertAgain implements resolve.ClickHouse.
func (f *insertFloor) InsertAgain(ctx context.Context, block tables.Block, token string) (int, error) {
	return 0, f.Insert(ctx, block, token)
}

// RefreshViews implements resolve.ClickHouse.
func (f *insertFloor) RefreshViews(context.Context) error { return nil }
