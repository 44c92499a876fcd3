// Package squash folds the overrides of moved accounts into the facts.
//
// A merge or split writes one row for each moved account, which the views
// apply through a dictionary; the facts keep the customer_id that they were
// stamped with. A squash of everything up to a version of identity
//
//  1. takes a snapshot: the mapping of each account with an override up to
//     that version, and of moved accounts that have facts with another stamp
//     and no override (a batch that came late with a stale stamp),
//  2. rewrites the stamps, one mutation for each partition that needs one,
//  3. drops the overrides that the snapshot holds, and
//  4. makes the views' dictionary follow.
//
// Every step may be cut off and begun anew: until the overrides are dropped
// the views apply them on top of the rewritten stamps, to the same end. An
// account that moves meanwhile writes an override of a higher version, which
// stays. The tables keep their deduplication logs. Mutations that a squash left
// behind when it was cut off end before the next snapshot is taken: they read
// it, and one that drops overrides must not drop those of a later snapshot.
package squash

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"oneid/internal/clickhouse"
	"oneid/internal/fault"
	"oneid/pipelines"
	"oneid/schemas/tables"
)

// The points between two steps.
var (
	afterEmpty    = fault.New("squash/emptied")
	afterSnapshot = fault.New("squash/snapshot")
	afterTable    = fault.New("squash/table rewritten")
	afterRewrite  = fault.New("squash/rewritten")
	afterDrop     = fault.New("squash/dropped")
	afterReload   = fault.New("squash/reloaded")
)

// watched is how long an account is watched for facts with an older customer,
// which a resolver that was declared dead may still insert.
const watched = 30 * 24 * time.Hour

// DefaultLimit bounds each mutation: on a full disk one would wait for ever.
const DefaultLimit = 30 * time.Minute

// Squash folds overrides. One Run at a time on a database.
type Squash struct {
	ClickHouse *clickhouse.Conn
	// Limit of each mutation; default DefaultLimit.
	Limit time.Duration
	Log   *slog.Logger
}

// Report is what a squash did.
type Report struct {
	// Accounts whose facts were looked through.
	Accounts uint64
	// Partitions that were rewritten, of all tables.
	Partitions int
}

// stamped are the tables whose rows bear a customer_id.
var stamped = []string{"orders", "refunds", "users", "tickets"}

const (
	account = "(platform, shop, account)"
	lookup  = "tuple(toString(platform), toString(shop), account)"
)

// Run folds what identity said up to a version (epoch and sequence as in the
// overrides): every batch up to it must be done, replays included.
func (s *Squash) Run(ctx context.Context, upTo uint64) (Report, error) {
	var r Report
	db := s.ClickHouse.Database()
	for _, table := range append([]string{"identity_overrides"}, stamped...) {
		if err := s.wait(ctx, table); err != nil {
			return r, err
		}
	}
	if err := s.snapshot(ctx, upTo); err != nil {
		return r, err
	}
	var err error
	if err := s.dropIf(ctx, "identity_overrides", fmt.Sprintf("version >= %d AND version < %d", tables.WatchVersion(time.Unix(0, 0)), tables.WatchVersion(time.Now().Add(-watched)))); err != nil {
		return r, err
	}
	if r.Accounts, err = s.ClickHouse.Number(ctx, "count the accounts to squash", "SELECT count() FROM "+db+".squash_snapshot FINAL"); err != nil || r.Accounts == 0 {
		return r, err
	}
	if err := afterSnapshot.Hit(); err != nil {
		return r, err
	}
	for _, table := range stamped {
		n, err := s.rewrite(ctx, table)
		r.Partitions += n
		if err != nil {
			return r, err
		}
		if err := afterTable.Hit(); err != nil {
			return r, err
		}
	}
	if err := afterRewrite.Hit(); err != nil {
		return r, err
	}
	folded := fmt.Sprintf("dictHas('%s.squash_dict', %s) AND version <= dictGet('%s.squash_dict', 'version', %s)", db, lookup, db, lookup)
	if err := s.mutate(ctx, "identity_overrides", "DELETE WHERE "+folded); err != nil {
		return r, err
	}
	if err := afterDrop.Hit(); err != nil {
		return r, err
	}
	if err := s.ClickHouse.ReloadOverrides(ctx); err != nil {
		return r, err
	}
	if err := afterReload.Hit(); err != nil {
		return r, err
	}
	if err := s.empty(ctx); err != nil {
		return r, err
	}
	s.Log.Info("overrides squashed", "up_to", upTo, "accounts", r.Accounts, "partitions", r.Partitions)
	return r, nil
}

// snapshot fills squash_snapshot and its dictionary anew.
func (s *Squash) snapshot(ctx context.Context, upTo uint64) error {
	db := s.ClickHouse.Database()
	if err := s.empty(ctx); err != nil {
		return err
	}
	if err := afterEmpty.Hit(); err != nil {
		return err
	}
	moved := "SELECT platform, shop, account FROM " + db + ".identity_history WHERE previous_customer_id != toUUID('00000000-0000-0000-0000-000000000000')"
	stamps := ""
	for i, table := range stamped {
		if i > 0 {
			stamps += " UNION DISTINCT "
		}
		stamps += "SELECT DISTINCT platform, shop, account, customer_id FROM " + db + "." + table + " WHERE " + account + " IN (" + moved + ")"
	}
	for _, from := range []string{
		// The customer is that of the mapping: an override may have come late.
		fmt.Sprintf("SELECT m.platform, m.shop, m.account, m.customer_id, o.version"+
			" FROM (SELECT platform, shop, account, customer_id FROM %s.identity_map FINAL WHERE %s IN (SELECT platform, shop, account FROM %s.identity_overrides)) AS m"+
			" INNER JOIN (SELECT platform, shop, account, version FROM %s.identity_overrides FINAL WHERE version <= %d) AS o"+
			" ON o.platform = m.platform AND o.shop = m.shop AND o.account = m.account", db, account, db, db, upTo),
		fmt.Sprintf("SELECT DISTINCT m.platform, m.shop, m.account, m.customer_id, m.version"+
			" FROM (SELECT platform, shop, account, customer_id, version FROM %s.identity_map FINAL WHERE version <= %d AND %s IN (%s)) AS m"+
			" INNER JOIN (%s) AS f ON f.platform = m.platform AND f.shop = m.shop AND f.account = m.account"+
			" WHERE f.customer_id != m.customer_id AND (m.platform, m.shop, m.account) NOT IN (SELECT platform, shop, account FROM %s.identity_overrides)", db, upTo, account, moved, stamps, db),
	} {
		if err := s.ClickHouse.Exec(ctx, "take the squash's snapshot", "INSERT INTO "+db+".squash_snapshot (platform, shop, account, customer_id, version) "+from,
			clickhouse.Setting{Name: "insert_deduplicate", Value: 0}, clickhouse.Setting{Name: "union_default_mode", Value: "DISTINCT"}); err != nil {
			return err
		}
	}
	return s.reload(ctx)
}

// empty forgets the snapshot.
func (s *Squash) empty(ctx context.Context) error {
	return s.ClickHouse.Exec(ctx, "empty the squash's snapshot", "TRUNCATE TABLE "+s.ClickHouse.Database()+".squash_snapshot "+s.ClickHouse.OnCluster())
}

func (s *Squash) reload(ctx context.Context) error {
	return s.ClickHouse.Exec(ctx, "load the squash's snapshot", "SYSTEM RELOAD DICTIONARY "+s.ClickHouse.OnCluster()+" "+s.ClickHouse.Database()+".squash_dict")
}

// rewrite corrects the stamps of a table, a partition at a time, and says how
// many partitions needed it.
func (s *Squash) rewrite(ctx context.Context, table string) (int, error) {
	db := s.ClickHouse.Database()
	stale := fmt.Sprintf("dictHas('%s.squash_dict', %s) AND customer_id != dictGet('%s.squash_dict', 'customer_id', %s)", db, lookup, db, lookup)
	var rows []struct {
		Partition string `ch:"partition_id"`
	}
	if err := s.ClickHouse.Select(ctx, "find the partitions of "+table+" to rewrite", &rows,
		"SELECT DISTINCT _partition_id AS partition_id FROM "+db+"."+table+" WHERE "+stale+" ORDER BY partition_id"); err != nil {
		return 0, err
	}
	for i, row := range rows {
		update := fmt.Sprintf("UPDATE customer_id = dictGet('%s.squash_dict', 'customer_id', %s) IN PARTITION ID %s WHERE %s", db, lookup, clickhouse.Quote(row.Partition), stale)
		if err := s.mutate(ctx, table, update); err != nil {
			return i, err
		}
	}
	return len(rows), nil
}

// dropIf drops the rows that match, if there are any.
func (s *Squash) dropIf(ctx context.Context, table, match string) error {
	n, err := s.ClickHouse.Number(ctx, "count the rows of "+table+" to drop", "SELECT count() FROM "+s.ClickHouse.Database()+"."+table+" WHERE "+match)
	if err != nil || n == 0 {
		return err
	}
	return s.mutate(ctx, table, "DELETE WHERE "+match)
}

// mutate rewrites parts of a table and returns once all of them are, or with
// an error at the limit: the mutation goes on then, and the next squash waits
// for it.
func (s *Squash) mutate(ctx context.Context, table, change string) error {
	if err := s.ClickHouse.Exec(ctx, "squash "+table, "ALTER TABLE "+s.ClickHouse.Database()+"."+table+" "+change,
		clickhouse.Setting{Name: "mutations_sync", Value: 0}, clickhouse.Setting{Name: "allow_nondeterministic_mutations", Value: 1}); err != nil {
		return err
	}
	return s.wait(ctx, table)
}

// wait returns once no mutation of a table is under way, or with an error at
// the limit.
func (s *Squash) wait(ctx context.Context, table string) error {
	limit := s.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	wait := pipelines.Backoff{Min: 20 * time.Millisecond, Max: time.Second}
	for {
		var rows []struct {
			Left   uint64 `ch:"parts"`
			Reason string `ch:"reason"`
		}
		if err := s.ClickHouse.Select(ctx, "wait for the squash of "+table, &rows,
			"SELECT toUInt64(count()) AS parts, max(latest_fail_reason) AS reason FROM system.mutations WHERE database = "+clickhouse.Quote(s.ClickHouse.Database())+" AND table = "+clickhouse.Quote(table)+" AND NOT is_done AND NOT is_killed"); err != nil {
			return err
		}
		if len(rows) == 0 || rows[0].Left == 0 {
			return nil
		}
		if err := wait.Wait(ctx); err != nil {
			return fmt.Errorf("squash: rewrite %s: not done in %s (%s); see ClickHouse's disk and its system.mutations: %w", table, limit, rows[0].Reason, err)
		}
	}
}
