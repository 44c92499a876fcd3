package clickhouse

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/internal/embedded/chdb"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// batch is a shop's block of a table with views on it, over two partitions.
func batch(shop, table string) tables.Block {
	header := func(platform, account, id string, version int) *events.Header {
		return &events.Header{Platform: platform, Shop: shop, EntityId: id, Account: account,
			Version: &events.Version{ModifiedMs: day(version), Source: events.Source_SOURCE_API, ObservedMs: day(version)}}
	}
	switch table {
	case "refunds":
		block := tables.NewRefunds()
		for version := 1; version <= 2; version++ { // two versions of one refund are two rows
			block.Append(header("tmall", "t1", "r1", version), &events.Refund{OrderId: "o1", Currency: "CNY", RefundMinor: 100}, tables.Stamp{})
		}
		block.Append(header("douyin", "d1", "r2", 1), &events.Refund{OrderId: "o2", Currency: "CNY", RefundMinor: 200}, tables.Stamp{})
		return block
	case "users":
		block := tables.NewUsers()
		block.Append(header("tmall", "t1", "t1", 1), &events.User{Member: true}, tables.Stamp{})
		block.Append(header("douyin", "d1", "d1", 1), &events.User{Member: true}, tables.Stamp{})
		return block
	default:
		block := tables.NewEvidence()
		block.Append(tables.Account{Platform: "tmall", Shop: shop, ID: "t1"}, "phone", [16]byte{1}, "buyer", "order", day(1), day(2))
		block.Append(tables.Account{Platform: "douyin", Shop: shop, ID: "d1"}, "phone", [16]byte{1}, "buyer", "order", day(1), day(3))
		return block
	}
}

// A server that was killed after it noted a token and before its part appeared
// takes a repeated insert for one that it has. InsertAgain does not believe it.
func TestInsertAgainPutsBackWhatAKillLost(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "clickhouse")
	// Each case inserts into one table, and loses the parts of another, in all
	// its partitions or in one.
	cases := map[string]struct{ into, lose, partition string }{
		"nothing":                              {into: "refunds"},
		"all of the table":                     {into: "refunds", lose: "refunds"},
		"a partition of the table":             {into: "refunds", lose: "refunds", partition: "tmall"},
		"what a view fills":                    {into: "refunds", lose: "history_by_account", partition: "tmall"},
		"what two views fill":                  {into: "refunds", lose: "history_by_account entities_by_order"},
		"the table and what its view fills":    {into: "refunds", lose: "refunds history_by_account"},
		"what a view of a view's table fills":  {into: "users", lose: "history_by_account"},
		"a view's table, not what hangs on it": {into: "users", lose: "memberships"},
		"rows without a version":               {into: "evidence", lose: "evidence evidence_by_identifier", partition: "tmall"},
	}
	counted := []string{"refunds", "users", "evidence", "memberships", "history_by_account", "entities_by_order", "evidence_by_identifier"}
	of := make(map[string]string) // a row's shop
	for _, table := range counted {
		of[table] = "shop"
	}
	of["history_by_account"] = "splitByChar('/', account)[2]"
	engine := func() *chdb.Server {
		t.Helper()
		s, err := chdb.Start(t.Context(), chdb.Config{Library: chdbtest.Library(t), Folder: folder, MemoryBytes: 2 << 30, NoSync: true,
			Command: chdbtest.Command(), Environment: chdbtest.Environment()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	open := func(s *chdb.Server) *Conn {
		t.Helper()
		c, err := Open(t.Context(), Config{URL: s.URL(), Database: s.Database(), User: s.User(), Password: s.Password()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	counts := func(t *testing.T, c *Conn, shop string) map[string]uint64 {
		t.Helper()
		n := make(map[string]uint64)
		for _, table := range counted {
			var err error
			if n[table], err = c.Number(t.Context(), "count", "SELECT count() FROM "+table+" WHERE "+of[table]+" = "+Quote(shop)); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}

	partsOf := func(c *Conn, table, partition string) (paths []string) {
		t.Helper()
		query := "SELECT groupArray(path) FROM system.parts WHERE active AND database = currentDatabase() AND table = " + Quote(table) +
			" AND (" + Quote(partition) + " IN ('', partition) OR partition = 'tuple()')"
		if err := c.db.QueryRow(t.Context(), query).Scan(&paths); err != nil {
			t.Fatal(err)
		}
		return paths
	}

	s := engine()
	c := open(s)
	if _, err := c.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, table := range counted {
		if err := c.Exec(t.Context(), "keep parts apart", "ALTER TABLE "+table+" MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1"); err != nil {
			t.Fatal(err)
		}
	}
	want := make(map[string]map[string]uint64)
	var lose []string
	for shop, test := range cases {
		var before []string
		for _, table := range strings.Fields(test.lose) {
			before = append(before, partsOf(c, table, test.partition)...)
		}
		if err := c.Insert(t.Context(), batch(shop, test.into), shop); err != nil {
			t.Fatal(err)
		}
		want[shop] = counts(t, c, shop)
		for _, table := range strings.Fields(test.lose) {
			for _, path := range partsOf(c, table, test.partition) {
				if !slices.Contains(before, path) {
					lose = append(lose, path)
				}
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range lose {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	c = open(engine())
	for shop, test := range cases {
		t.Run(shop, func(t *testing.T) {
			if err := c.Insert(t.Context(), batch(shop, test.into), shop); err != nil {
				t.Fatal(err)
			}
			lost := uint64(0)
			for table, n := range counts(t, c, shop) {
				lost += want[shop][table] - n
			}
			if (lost > 0) != (test.lose != "") {
				t.Fatalf("%d rows are lost; this engine no longer does what the test stands on", lost)
			}
			restored, err := c.InsertAgain(t.Context(), batch(shop, test.into), shop)
			if err != nil || uint64(restored) != lost {
				t.Errorf("InsertAgain restored %d (%v), want the %d that were lost", restored, err, lost)
			}
			if diff := cmp.Diff(want[shop], counts(t, c, shop)); diff != "" {
				t.Errorf("the rows of each table, want (-) and got (+):\n%s", diff)
			}
			if restored, err := c.InsertAgain(t.Context(), batch(shop, test.into), shop); err != nil || restored != 0 {
				t.Errorf("once more, InsertAgain restored %d (%v), want none", restored, err)
			}
		})
	}
	if left, err := c.Number(t.Context(), "count", "SELECT count() FROM system.tables WHERE database = currentDatabase() AND startsWith(name, "+Quote(besidePrefix)+")"); err != nil || left != 0 {
		t.Errorf("%d tables are left behind (%v)", left, err)
	}
}
