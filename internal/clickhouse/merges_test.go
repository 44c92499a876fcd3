package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// While events wait, more parts go into one merge of each table that the flow
// writes; afterwards, and when nobody resolves, all is as the schema has it.
func TestMergesWaitWhileEventsDo(t *testing.T) {
	t.Parallel()
	c, d := migrated(t)
	settings := func() []string {
		t.Helper()
		return strings.Split(answer(t, d, "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name"), "\n")
	}
	active, waiting := true, false
	m := &merges{active: func() bool { return active }, behind: func() bool { return waiting }}
	look := func() []string {
		t.Helper()
		if err := m.look(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return settings()
	}
	usual := settings()
	isUsual := func(when string, now []string) {
		t.Helper()
		if !slices.Equal(now, usual) {
			t.Errorf("%s tables are merged by\n%s\nand the schema says\n%s", when, strings.Join(now, "\n"), strings.Join(usual, "\n"))
		}
	}
	isUsual("without a backlog", look())
	waiting, active = true, false
	isUsual("while this process stands by", look())
	active = true
	late := look()
	for _, table := range mergedTables {
		parts := fmt.Sprintf("min_parts_to_merge_at_once = %d", lateParts)
		if !slices.ContainsFunc(late, func(line string) bool {
			return strings.HasPrefix(line, table.name+"\t") && strings.Contains(line, parts)
		}) {
			t.Errorf("while events wait, %s is not merged by %d parts", table.name, lateParts)
		}
	}
	waiting = false
	if now := look(); !slices.Equal(now, late) {
		t.Error("tables are merged as usual while the backlog may go on")
	}
	m.waited = m.waited.Add(-lateFor)
	isUsual("after the backlog", look())
	waiting = true
	look()
	if err := c.setMerges(t.Context(), false); err != nil { // whoever was active before, and only ends now
		t.Fatal(err)
	}
	m.set = m.set.Add(-lateFor)
	if now := look(); !slices.Equal(now, late) {
		t.Error("what another process changed stays")
	}
	if err := m.end(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	isUsual("when nobody resolves any more", settings())
}

// One that ends while it sets the tables leaves none of them late.
func TestMergesEndHalfWay(t *testing.T) {
	t.Parallel()
	c, d := migrated(t)
	late := "SELECT count() FROM system.tables WHERE database = currentDatabase() AND engine_full LIKE '%min_parts_to_merge_at_once = 100%'"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	yes := func() bool { return true }
	go func() { ended <- c.TimeMerges(ctx, yes, yes) }()
	for answer(t, d, late) == "0" {
		select {
		case err := <-ended:
			t.Fatalf("TimeMerges ended by itself: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := answer(t, d, late); n != "0" {
		t.Errorf("%s tables stay late", n)
	}
}
