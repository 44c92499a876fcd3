package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// freshest is how long customer_360 rests between two refreshes at least:
	// what the schema begins with.
	freshest = 20 * time.Second
	// restShare is how many times as long as it ran a refresh rests, where that
	// is not too long, so that it takes a tenth of the engine.
	restShare = 9
	// oldest is what a refresh shows at most, where it is short enough: the rest
	// before it and the refresh itself. The dictionary of moved accounts, which it
	// reads, is older by oldestMoves: together, and with a look, they are a minute.
	oldest      = 52 * time.Second
	oldestMoves = 6 * time.Second
	// freshestMoves is how long that dictionary rests between two reloads at least.
	freshestMoves = time.Second
	// longest is how long it rests at most, and while nothing changes.
	longest = time.Hour
	// settled is after how many seconds a change is in everything that a
	// refresh reads, the dictionary apart.
	settled = 5
	// paceEvery is how often KeepPace looks: a move waits for it before it is loaded.
	paceEvery = 2 * time.Second
)

// sources are the tables that customer_360 is made of.
var sources = []string{"orders", "refunds", "tickets", "identity_map", "identity_overrides", "memberships"}

// KeepPace makes customer_360 rest after a refresh for as long as suits what
// the last one cost, while behind says that events wait to be resolved as long
// as it may, and while nothing changes, until the context ends. So it
// does with the dictionary of accounts that have moved, as long as reloads says
// that this process is the one to do it: to load all of them again with every
// batch took as much as to insert the batch. It returns nil when the context
// ends. An error is that of ClickHouse, and nothing has changed.
func (c *Conn) KeepPace(ctx context.Context, reloads, behind func() bool) error {
	for p := (&pacer{reloads: reloads, behind: behind}); ; {
		err := p.look(ctx, c)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !IsUnavailable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(paceEvery):
		}
	}
}

// pacer is what is known of customer_360 from one look to the next.
type pacer struct {
	// rest is what its rest was set to; 0 while that is not known.
	rest time.Duration
	// mark changes with every row of the sources; it was first seen at since,
	// in seconds of the server's clock.
	mark  string
	since int64

	// asleep says that the last look found the view stopped, as the embedded engine
	// starts it: the next one starts it. A command that has ended by then has
	// asked for the one refresh that it needs.
	asleep bool

	// behind says whether more events wait than fit into a batch; may be nil.
	behind func() bool

	// reloads says whether to reload the dictionary of moved accounts, which
	// holds what moves was when it was loaded; that took so long, until loadedAt.
	reloads  func() bool
	moves    string
	loadedAt time.Time
	loading  time.Duration
}

// look sets the rest between two refreshes, if it should be another than it
// is. A view that shows everything need not be made anew: it rests for as long
// as it may, until a look finds that a source has changed. A cluster's replicas
// each have their own view and their own moment of having everything: there it
// is made anew all the time.
func (p *pacer) look(ctx context.Context, c *Conn) error {
	const doing = "set the pace of customer_360"
	var rows []struct {
		Took   *uint64 `ch:"took"`
		Status string  `ch:"status"`
		Ended  int64   `ch:"ended"`
		Now    int64   `ch:"now"`
		Mark   string  `ch:"mark"`
		Moves  string  `ch:"moves"`
	}
	// A part's highest block grows with each insert, its data version with each
	// mutation, and neither with a merge.
	marks := func(tables ...string) string {
		return "(SELECT toString(groupArray(part)) FROM (SELECT (table, partition_id, max(max_block_number), max(data_version)) AS part FROM system.parts" +
			" WHERE active AND database = " + Quote(c.config.Database) + " AND table IN (" + quoted(tables) + ") GROUP BY table, partition_id ORDER BY table, partition_id))"
	}
	query := "SELECT last_success_duration_ms AS took, CAST(status AS String) AS status, toInt64(toUnixTimestamp(ifNull(last_success_time, toDateTime(0)))) AS ended, toInt64(toUnixTimestamp(now())) AS now," +
		" " + marks(sources...) + " AS mark, " + marks("identity_overrides") + " AS moves" +
		" FROM system.view_refreshes WHERE database = " + Quote(c.config.Database) + " AND view = 'customer_360_refresh'"
	if err := c.bare.Select(ctx, &rows, query); err != nil {
		return failed(doing, err)
	}
	if len(rows) == 0 {
		return errors.New("clickhouse: " + doing + ": there is no customer_360_refresh; run `oneid migrate`")
	}
	row := rows[0]
	if row.Mark != p.mark {
		p.mark, p.since = row.Mark, row.Now
	}
	reloading, late := p.reloads != nil && p.reloads(), int64(settled)
	if !reloading {
		late += int64((2 * oldestMoves).Seconds()) // another process does it
	}
	settling := reloading && p.moves != row.Moves
	if settling && time.Since(p.loadedAt) >= restAfter(p.loading, freshestMoves, oldestMoves) {
		began := time.Now()
		if err := c.ReloadOverrides(ctx); err != nil {
			return err
		}
		p.moves, p.loadedAt = row.Moves, time.Now()
		p.loading = p.loadedAt.Sub(began)
		p.since, settling = row.Now+int64(p.loading.Seconds())+1, false
	}
	stopped := row.Status == "Disabled"
	if stopped && p.asleep {
		return c.StartViews(ctx)
	}
	p.asleep = stopped
	// A refresh under way would begin anew.
	if row.Took == nil || row.Status != "Scheduled" {
		return nil
	}
	took := time.Duration(*row.Took) * time.Millisecond // milliseconds of one statement
	least := freshest
	if p.behind != nil && p.behind() {
		least = oldest // what it would show sooner is old already, and the engine is the events'
	}
	next := restAfter(took, least, oldest)
	if began := row.Ended - int64(took.Seconds()) - 1; began > p.since+late && !settling && c.OnCluster() == "" {
		next = longest
	}
	if next == p.rest {
		return nil
	}
	statement := fmt.Sprintf("ALTER TABLE %s.customer_360_refresh %s MODIFY REFRESH AFTER %d SECOND", c.config.Database, c.OnCluster(), int(next.Seconds()))
	if err := c.bare.Exec(ctx, statement); err != nil {
		return failed(doing, err)
	}
	p.rest = next
	return nil
}

func quoted(names []string) string {
	var all []string
	for _, name := range names {
		all = append(all, Quote(name))
	}
	return strings.Join(all, ", ")
}

// restAfter is how long what took so long rests: least, doubled until it takes
// a tenth of the engine, as far as what it makes is no older than oldest by it;
// but for as long as it took at least, so that it never takes more than half.
func restAfter(took, least, oldest time.Duration) time.Duration {
	rest := least
	for rest < restShare*took && rest < oldest {
		rest *= 2
	}
	return min(max(min(rest, oldest-took), took), longest)
}
