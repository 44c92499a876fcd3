package clickhouse

import (
	"context"
	"fmt"
	"time"
)

// stopTakes bounds how long a BACKUP or RESTORE that is told to stop is waited for.
const stopTakes = 10 * time.Second

// Background runs a BACKUP or RESTORE and returns once it is done: it may take
// hours, longer than a connection lives. name is the backup's, as in the
// statement. When ctx ends, it is told to stop, and has stopped on return unless
// that takes longer than ten seconds.
func (c *Conn) Background(ctx context.Context, doing, statement, name string) error {
	var id, status string
	if err := c.bare.QueryRow(ctx, statement+" ASYNC").Scan(&id, &status); err != nil {
		// It may have begun, and nobody knows its id.
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTakes)
		defer cancel()
		_ = c.stop(stopping, "name = "+Quote(name)) // it ends by itself else
		return failed(doing, err)
	}
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		var reason string
		err := c.bare.QueryRow(ctx, "SELECT toString(status), error FROM system.backups WHERE id = "+Quote(id)).Scan(&status, &reason)
		if err != nil && ctx.Err() == nil {
			return failed(doing, err)
		}
		switch status {
		case "BACKUP_CREATED", "RESTORED":
			return nil
		case "BACKUP_FAILED", "RESTORE_FAILED", "BACKUP_CANCELLED", "RESTORE_CANCELLED":
			return &Error{Doing: doing, err: fmt.Errorf("%s of %s: %s", status, name, reason)}
		}
		select {
		case <-ctx.Done():
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTakes)
			defer cancel()
			_ = c.stop(stopping, "id = "+Quote(id)) // it ends by itself else
			return failed(doing, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// StopBackups ends each BACKUP whose name, as in its statement, begins so: of a
// process that was killed it goes on.
func (c *Conn) StopBackups(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, stopTakes)
	defer cancel()
	return failed("stop backups that nobody waits for", c.stop(ctx, "startsWith(name, "+Quote(name)+")"))
}

// stop ends the backups and restores of a condition and waits until they have ended.
func (c *Conn) stop(ctx context.Context, which string) error {
	which += " AND status IN ('CREATING_BACKUP', 'RESTORING')"
	for {
		var rows []struct {
			QueryID string `ch:"query_id"`
		}
		if err := c.bare.Select(ctx, &rows, "SELECT query_id FROM system.backups WHERE "+which); err != nil || len(rows) == 0 {
			return err
		}
		// One that has hardly begun is in no list of queries yet: so again and again.
		for _, row := range rows {
			if err := c.bare.Exec(ctx, "KILL QUERY WHERE query_id = "+Quote(row.QueryID)+" ASYNC"); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
