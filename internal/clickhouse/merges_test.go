package clickhouse

import (
	"fmt"
	"slices"
	"strings"
	"testing"
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
	p := &pacer{reloads: func() bool { return active }, behind: func() bool { return waiting }}
	look := func() []string {
		t.Helper()
		if err := p.timeMerges(t.Context(), c); err != nil {
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
		parts := fmt.Sprintf("min_parts_to_merge_at_once = %d", table.late)
		if !slices.ContainsFunc(late, func(line string) bool { return strings.HasPrefix(line, table.name+"\t") && strings.Contains(line, parts) }) {
			t.Errorf("while events wait, %s is not merged by %d parts", table.name, table.late)
		}
	}
	waiting = false
	if now := look(); !slices.Equal(now, late) {
		t.Error("tables are merged as usual while the backlog may go on")
	}
	p.waited = p.waited.Add(-lateFor)
	isUsual("after the backlog", look())
	waiting = true
	look()
	if err := p.endMerges(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	isUsual("when nobody resolves any more", settings())
}
