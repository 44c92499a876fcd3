package rebuild

import (
	"context"
	"errors"
	"time"

	"oneid/internal/clickhouse"
	"oneid/internal/kafka"
	"oneid/pipelines"
)

// BulkRunsError says that another process resolves the brand's accounts as SQL.
type BulkRunsError struct{}

func (*BulkRunsError) Error() string {
	return "rebuild: another process resolves everything on ClickHouse just now"
}

// Code names the kind of error.
func (*BulkRunsError) Code() string { return "running" }

// Hint says what to do.
func (*BulkRunsError) Hint() string { return "wait until it has ended, and try again" }

// whileDead is how long a run waits for the lock of another, which may have been
// killed: Kafka finds that out within some 12 seconds.
const whileDead = 15 * time.Second

// patientWithTheDead says that a run waits so; a test does not.
var patientWithTheDead = true

// alone does the work while no other process does it for this brand, on a
// database without what one that was killed has left.
func (b *bulk) alone(ctx context.Context, work func(context.Context) error) (err error) {
	lock, err := b.Kafka.Lock(b.Brand+".run.resolve-in-bulk", b.Topics.Cursors, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	for deadline := time.Now().Add(whileDead); ; {
		err := lock.Try(ctx, func(ctx context.Context, _ bool) error {
			if err := b.sweep(ctx); err != nil {
				return err
			}
			return work(ctx)
		})
		if !errors.Is(err, kafka.ErrHeld) {
			return err
		}
		if !patientWithTheDead || time.Now().After(deadline) {
			return &BulkRunsError{}
		}
		if err := pipelines.Sleep(ctx, time.Second/2); err != nil {
			return err
		}
	}
}

// sweep drops the tables of runs that were killed: nobody else has any now.
func (b *bulk) sweep(ctx context.Context) error {
	var left []struct {
		Name string `ch:"name"`
	}
	err := b.ClickHouse.Select(ctx, "look for what a bulk resolution left", &left, "SELECT name FROM system.tables WHERE database = "+clickhouse.Quote(b.ClickHouse.Database())+" AND match(name, '^bulk_[0-9a-f]{32}_')")
	if err != nil {
		return err
	}
	for _, table := range left {
		if err := b.ClickHouse.Exec(ctx, "drop what a bulk resolution left", "DROP TABLE IF EXISTS "+b.table(table.Name)+" SYNC"); err != nil {
			return err
		}
	}
	return nil
}
