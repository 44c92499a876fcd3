package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// freshest is how long customer_360 rests between two refreshes at least:
	// what the schema begins with.
	freshest = 20 * time.Second
	// restShare is how many times as long as it ran a refresh rests, so that
	// it takes a tenth of the engine at most.
	restShare = 9
	// paceEvery is how often KeepPace looks.
	paceEvery = 10 * time.Second
)

// KeepPace makes customer_360 rest after a refresh for as long as suits what
// the last one cost, until the context ends. It returns nil then. An error is
// that of ClickHouse, and nothing has changed.
func (c *Conn) KeepPace(ctx context.Context) error {
	// What it is set to by now is not known: the first look sets it.
	for rest := time.Duration(0); ; {
		next, err := c.pace(ctx, rest)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !IsUnavailable(err) {
			return err
		}
		if err == nil {
			rest = next
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(paceEvery):
		}
	}
}

// pace sets the rest between two refreshes, if it should be another than it
// is, and returns it.
func (c *Conn) pace(ctx context.Context, rest time.Duration) (time.Duration, error) {
	const doing = "set the pace of customer_360"
	var rows []struct {
		Took   *uint64 `ch:"took"`
		Status string  `ch:"status"`
	}
	query := "SELECT last_success_duration_ms AS took, CAST(status AS String) AS status FROM system.view_refreshes WHERE database = " + Quote(c.config.Database) + " AND view = 'customer_360_refresh'"
	if err := c.bare.Select(ctx, &rows, query); err != nil {
		return rest, failed(doing, err)
	}
	if len(rows) == 0 {
		return rest, errors.New("clickhouse: " + doing + ": there is no customer_360_refresh; run `oneid migrate`")
	}
	// A refresh under way would begin anew.
	if rows[0].Took == nil || rows[0].Status != "Scheduled" {
		return rest, nil
	}
	next := restAfter(time.Duration(*rows[0].Took) * time.Millisecond) // milliseconds of one statement
	if next == rest {
		return rest, nil
	}
	statement := fmt.Sprintf("ALTER TABLE %s.customer_360_refresh %s MODIFY REFRESH AFTER %d SECOND", c.config.Database, c.OnCluster(), int(next.Seconds()))
	if err := c.bare.Exec(ctx, statement); err != nil {
		return rest, failed(doing, err)
	}
	return next, nil
}

// restAfter is freshest, doubled until it is long enough for a refresh that
// took so long, an hour at most.
func restAfter(took time.Duration) time.Duration {
	rest := freshest
	for rest < restShare*took && rest < time.Hour {
		rest *= 2
	}
	return min(rest, time.Hour)
}
