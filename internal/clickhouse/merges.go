package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// lateParts is how many parts of a partition go into one merge while events
	// wait: as many as the engine takes at most. To look a customer up in 64 parts
	// takes no longer than in seven, within what was measured.
	lateParts = 100
	// lateFor is how long merges still wait after events were last seen waiting: a
	// backlog is often of several. So often it is also looked what the tables have:
	// another process may have changed it, which was the active one before.
	lateFor = time.Minute
	// changesTake is how long the change of all tables may take; some milliseconds each.
	changesTake = 5 * time.Second
)

// mergedTables are the tables that the flow writes, and how many parts of a
// partition are merged at once at least while no events wait: as the schema has it, 0
// for what the server is configured with.
var mergedTables = []struct {
	name  string
	usual int
}{
	{"orders", 16}, {"refunds", 16}, {"users", 16}, {"tickets", 16}, {"memberships", 16},
	{"evidence", 16}, {"evidence_by_identifier", 16},
	{"raw_events", 32}, {"identifier_values", 32}, {"identity_history", 32},
	{"history_by_account", 0}, {"entities_by_order", 0},
	{"identity_map", 0}, {"identity_map_by_customer", 0},
}

// TimeMerges lets the merges of what the flow writes wait while behind says that
// events do, until the context ends: a row is then written again half as often, and
// what is left to merge is merged when the flow has come to the end. The bound of
// parts is a setting of each table, which stops nothing: a mutation goes on, and so
// do merges above it. It does so as long as active says that this process is the one
// that resolves, and leaves the tables as usual. On a cluster they are always merged
// as usual: the setting is each replica's own. It returns nil when the context ends;
// an error is that of ClickHouse.
func (c *Conn) TimeMerges(ctx context.Context, active, behind func() bool) error {
	if c.OnCluster() != "" {
		<-ctx.Done()
		return nil
	}
	m := merges{active: active, behind: behind}
	for {
		err := m.look(ctx, c)
		if err != nil && ctx.Err() == nil && !IsUnavailable(err) {
			return errors.Join(err, m.end(ctx, c))
		}
		select {
		case <-ctx.Done():
			return m.end(ctx, c)
		case <-time.After(paceEvery):
		}
	}
}

// merges is when tables are merged.
type merges struct {
	active, behind func() bool
	// waited is when events were last seen waiting.
	waited time.Time
	// late is what the tables were last set to, at set; begun says that some of
	// them may have been set to late since they last were as usual.
	late, begun bool
	set         time.Time
}

func (m *merges) look(ctx context.Context, c *Conn) error {
	if !m.active() {
		m.begun, m.set = false, time.Time{} // another process says
		return nil
	}
	if m.behind() {
		m.waited = time.Now()
	}
	late := !m.waited.IsZero() && time.Since(m.waited) < lateFor
	if late == m.late && time.Since(m.set) < lateFor {
		return nil
	}
	m.begun = m.begun || late
	if err := c.setMerges(ctx, late); err != nil {
		return err
	}
	m.late, m.begun, m.set = late, late, time.Now()
	return nil
}

// end leaves the tables as usual, for whoever reads them while nobody resolves.
func (m *merges) end(ctx context.Context, c *Conn) error {
	if !m.begun {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changesTake)
	defer cancel()
	return c.setMerges(ctx, false)
}

// setMerges changes the settings of those tables that have others. A change that is
// begun is waited for, also when ctx ends: cut off, it could still come to be done
// after whoever ends has looked.
func (c *Conn) setMerges(ctx context.Context, late bool) error {
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
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), changesTake)
	defer cancel()
	for _, table := range mergedTables {
		if ctx.Err() != nil {
			return failed(doing, ctx.Err())
		}
		parts := table.usual
		if late {
			parts = lateParts
		}
		if now, exists := has[table.name]; !exists || now == uint64(parts) {
			continue
		}
		change := fmt.Sprintf("MODIFY SETTING min_parts_to_merge_at_once = %d", parts)
		if parts == 0 {
			change = "RESET SETTING min_parts_to_merge_at_once"
		}
		if err := c.bare.Exec(whole, fmt.Sprintf("ALTER TABLE %s.%s %s", c.config.Database, table.name, change)); err != nil {
			return failed(doing, fmt.Errorf("of %s: %w", table.name, err))
		}
	}
	return nil
}
