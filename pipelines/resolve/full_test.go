package resolve

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oneid/identity/engine"
	"oneid/internal/clickhouse"
	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker"
	"oneid/internal/embedded/chdb"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/kafka"
	"oneid/pipelines"
)

// The disk on which broker and ClickHouse lie, as those of one folder do, is full,
// in one go or but for a little: the flow waits and says so, and once there is room
// all that was acknowledged is there once, and nothing was put away.
func TestTheStoresDiskIsFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 160)
	b, err := broker.Start(filepath.Join(disk.dir, "kafka"), crashtest.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	f := newFlowOn(t, &flow{brokers: b.Addresses()}, 1)
	server, err := chdb.Start(t.Context(), chdb.Config{
		Library: chdbtest.Library(t), Folder: filepath.Join(disk.dir, "clickhouse"), MemoryBytes: 2 << 30,
		Command: chdbtest.Command(), Environment: chdbtest.Environment(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	conn, err := clickhouse.Open(t.Context(), clickhouse.Config{URL: server.URL(), Database: "full", User: server.User(), Password: server.Password()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer // the logger locks it, and it is read once Run has ended
	r := f.resolver(f.instance(t, engine.NewMemory(), NewBlocks(conn, clickhouse.IsUnavailable)))
	r.Log = slog.New(slog.NewTextHandler(&log, nil))
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()

	acknowledged := 0
	// come publishes more until all of it is acknowledged, or meanwhile says that it
	// is enough: then what is not acknowledged was never there, or comes again.
	come := func(n int, enough func() bool) {
		t.Helper()
		var messages []kafka.Message
		for no := range n {
			e := user(acknowledged + no)
			e.Header.Raw = bytes.Repeat(fmt.Appendf(nil, "a payload of %d ", acknowledged+no), 50)
			messages = append(messages, f.message(t, e))
		}
		for f.publisher.Publish(ctx, messages) != nil {
			if enough() {
				return
			}
		}
		acknowledged += n
	}
	never := func() bool { return false }
	come(200, never)
	if err := r.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	for _, left := range []int64{0, 700 << 10, 2 << 20} {
		if !disk.real {
			break // nothing can be filled here
		}
		ballast := fill(t, disk.dir)
		info, err := os.Stat(ballast)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(ballast, info.Size()-left); err != nil {
			t.Fatal(err)
		}
		waits := func() bool {
			state, _, _ := r.Health()
			return state == pipelines.Waiting
		}
		// Where the broker has no room, nothing comes that the resolver could wait with.
		refused := 0
		enough := func() bool {
			refused++
			return waits() || refused > 3
		}
		for attempts := 0; attempts < 20 && !waits() && refused <= 3; attempts++ {
			come(100, enough)
			select {
			case err := <-ended:
				t.Fatalf("with %d bytes left the resolver ended: %v", left, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
		t.Logf("with %d bytes left it waits: %v; the broker refused %d times", left, waits(), refused)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		come(100, never)
		if err := r.CaughtUp(ctx); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		wantState(t, r, pipelines.Working)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{
		"SELECT uniqExact(user_id) FROM full.users FINAL": acknowledged,
		"SELECT count() FROM full.users FINAL":            acknowledged,
	} {
		if got, err := conn.Number(t.Context(), "count", query); err != nil || got != uint64(want) {
			t.Errorf("%s = %d, %v; %d were acknowledged", query, got, err, want)
		}
	}
	if _, next, err := f.client.Ends(t.Context(), f.topics.DeadLetter); err != nil || next[0] != 0 {
		t.Errorf("%v letters (%v): a store was away", next, err)
	}
	if n := strings.Count(log.String(), "resolver waits for a store that is away"); disk.real && (n == 0 || n > 6) {
		t.Errorf("the log says %d times that it waits, want it once a change:\n%s", n, log.String())
	}
}
