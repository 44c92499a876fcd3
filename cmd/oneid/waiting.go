package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"oneid/internal/clickhouse"
	"oneid/internal/kafka"
	"oneid/pipelines"
)

// How long work waits for a resolver of another process that takes nothing: until a
// word in the log, and until it gives up.
const (
	quietWait  = 5 * time.Second
	idleWait   = 2 * time.Minute
	takenEvery = 50 * time.Millisecond
)

// errNoResolver says that nobody took what was published.
var errNoResolver = errors.New("what is published is not resolved: no resolver has taken anything for two minutes")

// passes says of an error that it is none of the files that are loaded, but of what
// they are loaded into, which works again later. A file that is cut off has the same
// words as a connection that is (io.ErrUnexpectedEOF): only reading it tells.
func passes(err error) bool {
	return errors.Is(err, errNoResolver) || kafka.IsAway(err) || clickhouse.IsUnavailable(err)
}

// untilThere asks again and again until ClickHouse answers, or errs otherwise than by
// being away.
func untilThere(ctx context.Context, log *slog.Logger, ask func() error) error {
	var wait pipelines.Backoff
	for away := false; ; away = true {
		err := ask()
		if err == nil && away {
			log.Info("clickhouse is back")
		}
		if ctx.Err() != nil || !clickhouse.IsUnavailable(err) {
			return err
		}
		if !away {
			log.Warn("clickhouse is away; waiting", "error", err)
		}
		if err := wait.Wait(ctx); err != nil {
			return err
		}
	}
}

// untilTaken waits until a group of another process has taken all that is wanted.
// It ends when the group takes nothing any more.
func untilTaken(ctx context.Context, log *slog.Logger, want kafka.Position, committed func() (kafka.Position, error)) error {
	moved, told := time.Now(), false
	var before kafka.Position
	for {
		have, err := committed()
		switch {
		case kafka.IsAway(err): // as where the group does not go on
			have = before
		case err != nil || reached(have, want):
			return err
		}
		if !maps.EqualFunc(before, have, slices.Equal[[]int64]) {
			before, moved = have, time.Now()
		}
		switch idle := time.Since(moved); {
		case idle >= idleWait:
			return hinted{errNoResolver, "start `oneid up` or `oneid resolve` where the flow runs, or see in its log what it waits for; then do the same again: nothing is lost or doubled"}
		case idle >= quietWait && !told:
			told = true
			log.Warn("waiting for the resolver: it has not taken what is published; is one running?")
		}
		if err := pipelines.Sleep(ctx, takenEvery); err != nil {
			return err
		}
	}
}
