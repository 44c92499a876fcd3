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
	// oldest is what a view shows at most, where a refresh is short enough: the
	// rest before it and the refresh itself.
	oldest = time.Minute
	// longest is how long it rests at most, and while nothing changes.
	longest = time.Hour
	// settled is after how many seconds a change is in everything that a
	// refresh reads: the dictionary of overrides follows in two.
	settled = 5
	// paceEvery is how often KeepPace looks.
	paceEvery = 10 * time.Second
)

// sources are the tables that customer_360 is made of.
var sources = []string{"orders", "refunds", "tickets", "identity_map", "identity_overrides", "memberships"}

// KeepPace makes customer_360 rest after a refresh for as long as suits what
// the last one cost, and while nothing changes, until the context ends. It
// returns nil then. An error is that of ClickHouse, and nothing has changed.
func (c *Conn) KeepPace(ctx context.Context) error {
	for p := (&pacer{}); ; {
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
	}
	// A part's highest block grows with each insert, its data version with each
	// mutation, and neither with a merge.
	query := "SELECT last_success_duration_ms AS took, CAST(status AS String) AS status, toInt64(toUnixTimestamp(ifNull(last_success_time, toDateTime(0)))) AS ended, toInt64(toUnixTimestamp(now())) AS now," +
		" (SELECT toString(groupArray(part)) FROM (SELECT (table, partition_id, max(max_block_number), max(data_version)) AS part FROM system.parts" +
		" WHERE active AND database = " + Quote(c.config.Database) + " AND table IN (" + quoted(sources) + ") GROUP BY table, partition_id ORDER BY table, partition_id)) AS mark" +
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
	// A refresh under way would begin anew.
	if row.Took == nil || row.Status != "Scheduled" {
		return nil
	}
	took := time.Duration(*row.Took) * time.Millisecond // milliseconds of one statement
	next := restAfter(took)
	if began := row.Ended - int64(took.Seconds()) - 1; began > p.since+settled && c.OnCluster() == "" {
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

// restAfter is how long customer_360 rests after a refresh that took so long:
// freshest, doubled until the refresh takes a tenth of the engine, as far as
// the view is no older than a minute by it; but for as long as the refresh took
// at least, so that it never takes more than half.
func restAfter(took time.Duration) time.Duration {
	rest := freshest
	for rest < restShare*took && rest < oldest {
		rest *= 2
	}
	return min(max(min(rest, oldest-took), took), longest)
}
