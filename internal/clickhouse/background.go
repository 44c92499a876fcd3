package clickhouse

import (
	"context"
	"fmt"
	"time"
)

// Background runs a BACKUP or RESTORE and returns once it is done: it may take
// hours, longer than a connection lives. name is the backup's, as in the
// statement. When ctx ends, it is told to stop.
func (c *Conn) Background(ctx context.Context, doing, statement, name string) error {
	var id, status string
	if err := c.bare.QueryRow(ctx, statement+" ASYNC").Scan(&id, &status); err != nil {
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
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			_ = c.bare.Exec(stopping, "KILL QUERY WHERE query_id IN (SELECT query_id FROM system.backups WHERE id = "+Quote(id)+") ASYNC") // it ends by itself else
			return failed(doing, ctx.Err())
		case <-time.After(wait):
		}
	}
}
