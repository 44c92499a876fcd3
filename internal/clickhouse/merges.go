package clickhouse

import (
	"context"
	"fmt"
	"time"
)

const (
	// lateParts is how many parts of a partition go into one merge while events
	// wait: as many as the engine takes at most.
	lateParts = 100
	// latePartsLookedUp is the same of tables in which one customer is looked up,
	// for whom each part is a little time more.
	latePartsLookedUp = 24
	// lateFor is how long merges still wait after events were last seen waiting: a
	// backlog is often of several.
	lateFor = time.Minute
)

// mergeTiming is when tables are merged.
type mergeTiming string

const (
	mergesUnknown mergeTiming = "" // another process says, or nobody has yet
	mergesUsual   mergeTiming = "usual"
	mergesLate    mergeTiming = "late"
)

// mergedTables are the tables that the flow writes, and how many parts of a
// partition are merged at once at least: as the schema has it, 0 for what the
// server is configured with, and while events wait.
var mergedTables = []struct {
	name        string
	usual, late int
}{
	{"orders", 16, lateParts}, {"refunds", 16, lateParts}, {"users", 16, lateParts}, {"tickets", 16, lateParts}, {"memberships", 16, lateParts},
	{"evidence", 16, lateParts}, {"evidence_by_identifier", 16, lateParts},
	{"raw_events", 32, lateParts}, {"identifier_values", 32, lateParts}, {"identity_history", 32, lateParts},
	{"history_by_account", 0, latePartsLookedUp}, {"entities_by_order", 0, latePartsLookedUp},
	{"identity_map", 0, latePartsLookedUp}, {"identity_map_by_customer", 0, latePartsLookedUp},
}

// timeMerges lets the merges of what the flow writes wait while events do: a row
// is then written again half as often, and what is left to merge is merged when
// the flow has come to the end. The bound of parts is a setting of each table,
// which stops nothing: a mutation goes on, and so do merges above it. The active
// resolver does it. On a cluster tables are merged as usual: the setting is each
// replica's own.
func (p *pacer) timeMerges(ctx context.Context, c *Conn) error {
	if p.reloads == nil || !p.reloads() || c.OnCluster() != "" {
		p.merges = mergesUnknown
		return nil
	}
	if p.behind != nil && p.behind() {
		p.waited = time.Now()
	}
	timing := mergesUsual
	if !p.waited.IsZero() && time.Since(p.waited) < lateFor {
		timing = mergesLate
	}
	if timing == p.merges {
		return nil
	}
	if err := c.setMerges(ctx, timing); err != nil {
		return err
	}
	p.merges = timing
	return nil
}

// endMerges leaves the tables as usual, for whoever reads them while nobody resolves.
func (p *pacer) endMerges(ctx context.Context, c *Conn) error {
	if p.merges != mergesLate {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return c.setMerges(ctx, mergesUsual)
}

// setMerges changes the settings of those tables that have others.
func (c *Conn) setMerges(ctx context.Context, timing mergeTiming) error {
	const doing = "set when tables are merged"
	var rows []struct {
		Name  string `ch:"name"`
		Parts uint64 `ch:"parts"`
	}
	query := `SELECT name, toUInt64OrZero(extract(engine_full, 'min_parts_to_merge_at_once = (\\d+)')) AS parts FROM system.tables WHERE database = ` + Quote(c.config.Database)
	if err := c.bare.Select(ctx, &rows, query); err != nil {
		return failed(doing, err)
	}
	has := map[string]uint64{}
	for _, row := range rows {
		has[row.Name] = row.Parts
	}
	for _, table := range mergedTables {
		parts := table.usual
		if timing == mergesLate {
			parts = table.late
		}
		if now, exists := has[table.name]; !exists || now == uint64(parts) {
			continue
		}
		change := fmt.Sprintf("MODIFY SETTING min_parts_to_merge_at_once = %d", parts)
		if parts == 0 {
			change = "RESET SETTING min_parts_to_merge_at_once"
		}
		if err := c.bare.Exec(ctx, fmt.Sprintf("ALTER TABLE %s.%s %s", c.config.Database, table.name, change)); err != nil {
			return failed(doing, fmt.Errorf("of %s: %w", table.name, err))
		}
	}
	return nil
}
