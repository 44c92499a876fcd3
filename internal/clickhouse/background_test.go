package clickhouse

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// A backup that is told to stop has stopped when that is said: nothing writes into its
// folder any more, which may be removed.
func TestBackupIsStopped(t *testing.T) {
	t.Parallel()
	c, d := migrated(t)
	answer(t, d, "CREATE TABLE large (n UInt64, text String) ENGINE = MergeTree ORDER BY n PARTITION BY n % 50 SETTINGS min_bytes_for_wide_part = 0")
	answer(t, d, "INSERT INTO large SELECT number, randomString(100) FROM numbers(500000)")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	name := "File('stopped-" + d.Name + "')"
	const slowly = " SETTINGS max_backup_bandwidth = 1000000" // of some 50 MB
	go func() { ended <- c.Background(ctx, "back up", "BACKUP TABLE "+d.Name+".large TO "+name+slowly, name) }()
	state := "SELECT toString(status) FROM system.backups WHERE name LIKE '%stopped-" + d.Name + "%'"
	for answer(t, d, state) == "" {
		select {
		case err := <-ended:
			t.Fatalf("before it is stopped it ends with %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("stopped, it ends with %v", err)
	}
	stopped := []string{"BACKUP_CANCELLED", "BACKUP_FAILED"}
	if got := answer(t, d, state); !slices.Contains(stopped, got) {
		t.Errorf("it is said to have been stopped, and is %s", got)
	}
	// One that nobody waits for.
	answer(t, d, "BACKUP TABLE "+d.Name+".large TO File('left-"+d.Name+"')"+slowly+" ASYNC")
	if err := c.StopBackups(t.Context(), "File('left-"+d.Name); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, d, "SELECT toString(status) FROM system.backups WHERE name LIKE '%left-"+d.Name+"%'"); !slices.Contains(stopped, got) {
		t.Errorf("one that was left is %s", got)
	}
}
