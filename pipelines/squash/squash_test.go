package squash

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"oneid/internal/clickhouse"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/fault"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

// world is a database with two accounts of two customers, an order and a
// ticket each.
type world struct {
	t      testing.TB
	c      *clickhouse.Conn
	d      chdbtest.Database
	tokens int
}

var (
	a = tables.Account{Platform: "tmall", Shop: "s", ID: "a"}
	b = tables.Account{Platform: "douyin", Shop: "s", ID: "b"}
)

func newWorld(t testing.TB) *world {
	d := chdbtest.Start(t)
	c, err := clickhouse.Open(t.Context(), clickhouse.Config{URL: d.URL, Database: d.Name, User: d.User, Password: d.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, c: c, d: d}
	w.belongs(a, 0, 1, 1)
	w.belongs(b, 0, 2, 2)
	w.order(a, "1", 1)
	w.order(b, "2", 2)
	return w
}

func (w *world) insert(blocks ...tables.Block) {
	w.t.Helper()
	for _, block := range blocks {
		w.tokens++
		if err := w.c.Insert(w.t.Context(), block, fmt.Sprint(w.tokens)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) belongs(of tables.Account, from, to byte, version uint64) {
	w.t.Helper()
	members, history, overrides := tables.NewIdentityMap(), tables.NewIdentityHistory(), tables.NewOverrides()
	at := time.Unix(1_700_000_000, 0).UTC()
	members.Append(of, [16]byte{to}, at, "", version, version)
	history.Append(of, [16]byte{from}, [16]byte{to}, at, "", version)
	w.insert(members, history)
	if from != 0 {
		overrides.Append(of, [16]byte{to}, version)
		w.insert(overrides)
		if err := w.c.ReloadOverrides(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) order(of tables.Account, id string, stamp byte) {
	w.t.Helper()
	h := &events.Header{Platform: of.Platform, Shop: of.Shop, EntityId: id, Account: of.ID, Version: &events.Version{ModifiedMs: 1}}
	orders, tickets := tables.NewOrders(), tables.NewTickets()
	orders.Append(h, &events.Order{PaidMs: 1_700_000_000_000, PaidMinor: 100, Currency: "CNY"}, tables.Stamp{CustomerID: [16]byte{stamp}})
	tickets.Append(h, &events.Ticket{}, tables.Stamp{CustomerID: [16]byte{stamp}})
	w.insert(orders, tickets)
}

func (w *world) run(upTo uint64) (Report, error) {
	return (&Squash{ClickHouse: w.c, Log: slog.New(slog.DiscardHandler)}).Run(w.t.Context(), upTo)
}

func (w *world) want(query, want string) {
	w.t.Helper()
	got, err := w.d.Query(w.t.Context(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	if got = strings.ReplaceAll(strings.TrimSuffix(got, "\n"), "\n", " "); got != want {
		w.t.Errorf("%s = %q, want %q", query, got, want)
	}
}

const (
	shown     = "SELECT order_id, substring(toString(customer_id), 1, 2) FROM customer_orders ORDER BY order_id FORMAT CSV"
	stamps    = "SELECT order_id, substring(toString(customer_id), 1, 2) FROM orders FINAL ORDER BY order_id FORMAT CSV"
	overrides = "SELECT account, version FROM identity_overrides FINAL ORDER BY account FORMAT CSV"
)

func TestFoldsAndDrops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.belongs(b, 2, 1, 3)
	w.belongs(b, 1, 3, 4)
	w.belongs(b, 3, 1, 5)
	r, err := w.run(5)
	if err != nil || r.Accounts != 1 || r.Partitions != 2 {
		t.Fatalf("Run = %+v, %v; want one account, a partition of orders and one of tickets", r, err)
	}
	w.want(shown, `"1","01" "2","01"`)
	w.want(stamps, `"1","01" "2","01"`)
	w.want("SELECT substring(toString(customer_id), 1, 2) FROM tickets FINAL", "01 01")
	w.want(overrides, "")
	w.want("SELECT count() FROM squash_snapshot", "0")
	if r, err = w.run(5); err != nil || r != (Report{}) {
		t.Errorf("a second Run = %+v, %v; want nothing to do", r, err)
	}
}

func TestWhatMovesLaterStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.belongs(a, 1, 2, 3)
	w.belongs(b, 2, 4, 9) // above the snapshot
	if _, err := w.run(5); err != nil {
		t.Fatal(err)
	}
	w.want(overrides, `"b",9`)
	w.want(stamps, `"1","02" "2","02"`)
	w.want(shown, `"1","02" "2","04"`)
}

// A batch that comes when its account's override is gone, with a stamp of
// before the move: the account's mapping puts it right.
func TestLateBatchWithAStaleStamp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.belongs(b, 2, 1, 3)
	if _, err := w.run(3); err != nil {
		t.Fatal(err)
	}
	w.order(b, "3", 2)
	w.want(shown, `"1","01" "2","01" "3","02"`)
	if _, err := w.run(3); err != nil {
		t.Fatal(err)
	}
	w.want(shown, `"1","01" "2","01" "3","01"`)
}

// Stopped between any two steps, the views show what they showed; inserts that
// are retried then are dropped by their tokens; and the next run ends what was
// begun, with what came late with a stale stamp.
func TestStoppedAtEachStep(t *testing.T) {
	points := fault.Points("squash")
	if len(points) != 6 {
		t.Fatalf("points = %v", points)
	}
	for _, point := range points {
		times := 1
		if point == afterTableName {
			times = 2
		}
		for n := 1; n <= times; n++ {
			t.Run(fmt.Sprint(point, " ", n), func(t *testing.T) {
				w := newWorld(t)
				retried := w.retried()
				retried()
				w.belongs(b, 2, 1, 3)
				disarm, stopped := fault.StopAt(point, n)
				_, err := w.run(3)
				disarm()
				if !stopped() || !errors.Is(err, fault.ErrStop) {
					t.Fatalf("not stopped at %s: %v", point, err)
				}
				w.want(shown, `"1","01" "2","01" "9","01"`)
				retried()
				w.want(shown, `"1","01" "2","01" "9","01"`)
				w.belongs(a, 1, 5, 7) // life goes on
				w.order(a, "4", 5)
				w.order(b, "5", 2) // a batch that was made before the move comes late
				if _, err := w.run(7); err != nil {
					t.Fatal(err)
				}
				retried()
				w.want(shown, `"1","05" "2","01" "4","05" "5","01" "9","01"`)
				w.want(stamps, `"1","05" "2","01" "4","05" "5","01" "9","01"`)
				w.want(overrides, "")
				w.want("SELECT count() FROM orders WHERE order_id = '9'", "1")
			})
		}
	}
}

// An account that moves again while it is squashed, at any step, is shown where it has
// gone, and stays with an override until the next squash.
func TestMovesMeanwhile(t *testing.T) {
	for _, point := range []string{"squash/snapshot", afterTableName, "squash/rewritten"} {
		t.Run(point, func(t *testing.T) {
			w := newWorld(t)
			w.belongs(b, 2, 1, 3)
			moved := false
			disarm := fault.Arm(func(hit string) error {
				if hit == point && !moved {
					moved = true
					w.belongs(b, 1, 5, 7)
				}
				return nil
			})
			_, err := w.run(3)
			disarm()
			if err != nil || !moved {
				t.Fatalf("Run = %v; moved meanwhile: %v", err, moved)
			}
			w.want(shown, `"1","01" "2","05"`)
			w.want(overrides, `"b",7`)
			if _, err := w.run(7); err != nil {
				t.Fatal(err)
			}
			w.want(stamps, `"1","01" "2","05"`)
			w.want(overrides, "")
		})
	}
}

const afterTableName = "squash/table rewritten"

// retried gives an insert of an order of b, always with one token and with the
// stamp of before the move.
func (w *world) retried() func() {
	orders := tables.NewOrders()
	orders.Append(&events.Header{Platform: b.Platform, Shop: b.Shop, EntityId: "9", Account: b.ID, Version: &events.Version{ModifiedMs: 1}},
		&events.Order{PaidMs: 1_700_000_000_000, PaidMinor: 100, Currency: "CNY"}, tables.Stamp{CustomerID: [16]byte{2}})
	return func() {
		w.t.Helper()
		if err := w.c.Insert(w.t.Context(), orders, "kept"); err != nil {
			w.t.Fatal(err)
		}
	}
}

// A squash dies while a mutation of it is still under way: the next one waits
// for that before it takes a snapshot, which the mutation would read.
func TestWaitsForTheMutationsOfOneThatDied(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"orders", "identity_overrides"} {
		t.Run(table, func(t *testing.T) {
			w := newWorld(t)
			w.belongs(b, 2, 1, 3)
			merges := func(what string) {
				t.Helper()
				if err := w.c.Exec(t.Context(), what, "SYSTEM "+what+" MERGES "+w.c.Database()+"."+table); err != nil {
					t.Fatal(err)
				}
			}
			merges("STOP")
			// On a busy machine the limit may pass before the mutation is given.
			dying := &Squash{ClickHouse: w.c, Limit: 300 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
			for under := uint64(0); under == 0; {
				if _, err := dying.Run(t.Context(), 3); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("Run = %v, want its limit passed", err)
				}
				var err error
				if under, err = w.c.Number(t.Context(), "count the mutations under way", "SELECT count() FROM system.mutations WHERE database = '"+w.c.Database()+"' AND table = '"+table+"' AND NOT is_done"); err != nil {
					t.Fatal(err)
				}
			}
			w.belongs(a, 1, 5, 7)
			if _, err := dying.Run(t.Context(), 7); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Run = %v, want that it waits", err)
			}
			w.want("SELECT account FROM squash_snapshot FINAL", "b") // that of the first
			w.want(shown, `"1","05" "2","01"`)
			merges("START")
			if _, err := w.run(7); err != nil {
				t.Fatal(err)
			}
			w.want(shown, `"1","05" "2","01"`)
			w.want(stamps, `"1","05" "2","01"`)
			w.want(overrides, "")
		})
	}
}

// The rewrite keeps the table's memory of tokens.
func TestTokensOutliveTheSquash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	orders := tables.NewOrders()
	orders.Append(&events.Header{Platform: b.Platform, Shop: b.Shop, EntityId: "9", Account: b.ID, Version: &events.Version{ModifiedMs: 1}}, &events.Order{}, tables.Stamp{CustomerID: [16]byte{2}})
	if err := w.c.Insert(t.Context(), orders, "kept"); err != nil {
		t.Fatal(err)
	}
	w.belongs(b, 2, 1, 3)
	if _, err := w.run(3); err != nil {
		t.Fatal(err)
	}
	if err := w.c.Insert(t.Context(), orders, "kept"); err != nil {
		t.Fatal(err)
	}
	w.want("SELECT count() FROM orders WHERE order_id = '9'", "1")
	w.want("SELECT substring(toString(customer_id), 1, 2) FROM orders WHERE order_id = '9'", "01")
}

// An account is watched for a month: what comes late with an older customer is
// shown right meanwhile, and folded in after it.
func TestWatchedForAMonth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watch := tables.NewOverrides()
	watch.Append(a, [16]byte{}, tables.WatchVersion(time.Now().Add(-31*24*time.Hour)))
	watch.Append(b, [16]byte{}, tables.WatchVersion(time.Now().Add(-29*24*time.Hour)))
	w.insert(watch)
	w.belongs(b, 2, 1, 3)
	if _, err := w.run(3); err != nil {
		t.Fatal(err)
	}
	w.order(b, "3", 2)
	w.want(shown, `"1","01" "2","01" "3","01"`)
	w.want("SELECT DISTINCT account FROM identity_overrides FINAL", "b")
	w.want("SELECT account FROM identity_overrides FINAL WHERE version >= bitShiftLeft(toUInt64(1), 63)", "b") // it is watched still
}

// An override that comes late, after a newer one was folded in, moves nothing.
func TestLateOverride(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.belongs(b, 2, 1, 3)
	w.belongs(b, 1, 4, 4)
	if _, err := w.run(4); err != nil {
		t.Fatal(err)
	}
	late := tables.NewOverrides()
	late.Append(b, [16]byte{1}, 3)
	w.insert(late)
	if err := w.c.ReloadOverrides(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.want(shown, `"1","01" "2","04"`)
		if _, err := w.run(4); err != nil {
			t.Fatal(err)
		}
	}
	w.want(stamps, `"1","01" "2","04"`)
}
