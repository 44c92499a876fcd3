package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"strings"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"oneid/schemas/tables"
)

// MaxBlockRows bounds what one Insert takes: up to it, ClickHouse keeps the
// rows of one partition as a whole or not at all.
const MaxBlockRows = 1 << 20

// Insert writes a block. One whose token was seen before (in the last 10,000
// blocks of the table) is dropped, in the table and in what hangs on it. After
// an error, or a restart, it is unknown whether it was kept: InsertAgain with
// the same token then. An empty block is nothing to do.
func (c *Conn) Insert(ctx context.Context, block tables.Block, token string) error {
	if block.Rows() == 0 {
		return nil
	}
	if block.Rows() > MaxBlockRows {
		return fmt.Errorf("clickhouse: insert into %s: %d rows are more than the %d that are kept as a whole; cut the block", block.Table(), block.Rows(), MaxBlockRows)
	}
	return failed("insert into "+block.Table(), c.insertInto(ctx, block.Table(), block, driver.Settings{
		"insert_deduplicate":                                 1,
		"insert_deduplication_token":                         token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
	}))
}

// insertInto writes a block into a table that has its columns.
func (c *Conn) insertInto(ctx context.Context, table string, block tables.Block, settings driver.Settings) error {
	names, values := block.Columns()
	types, err := c.typesOf(ctx, block.Table())
	if err != nil {
		return err
	}
	kinds := make([]string, len(names))
	for i, name := range names {
		kind, ok := types[name]
		if !ok {
			return fmt.Errorf("the table has no column %s; run `oneid migrate`", name)
		}
		kinds[i] = kind
	}
	statement := "INSERT INTO " + c.config.Database + "." + table + " (" + strings.Join(names, ", ") + ")"
	all := driver.Settings{
		"async_insert": 0,
		// A block may hold payloads of any months: what a source says of its times must not stop the flow.
		"max_partitions_per_insert_block": 0,
		// To merge versions inside a block at once, with all their columns, would double what an insert
		// costs; FINAL and the merges do it anyway.
		"optimize_on_insert": 0,
	}
	maps.Copy(all, settings)
	if c.poster == nil {
		return c.insertNative(ctx, statement, all, names, kinds, values)
	}
	columns := make([]nativeColumn, len(names))
	for i, name := range names {
		if columns[i], err = columnOf(name, kinds[i], values[i]); err != nil {
			return err
		}
	}
	return c.poster.insert(ctx, statement+" FORMAT Native", all, columns, block.Rows())
}

// insertNative sends a block over ClickHouse's own protocol, by the driver.
func (c *Conn) insertNative(ctx context.Context, statement string, settings driver.Settings, names, kinds []string, values []any) error {
	columns := make([]driver.ColumnNameAndType, len(names))
	for i, name := range names {
		columns[i] = driver.ColumnNameAndType{Name: name, Type: kinds[i]}
	}
	batch, err := c.db.PrepareBatch(driver.Context(ctx, driver.WithColumnNamesAndTypes(columns), driver.WithSettings(settings)), statement)
	if err != nil {
		return err
	}
	for i, name := range names {
		column := tables.Plain(values[i])
		if numbers, ok := column.([]tables.UInt128); ok {
			column = bigs(numbers)
		}
		if err := batch.Column(i).Append(column); err != nil {
			_ = batch.Abort() // nothing was sent
			return fmt.Errorf("column %s: %w", name, err)
		}
	}
	return batch.Send()
}

// bigs are numbers as the driver takes them.
func bigs(numbers []tables.UInt128) []*big.Int {
	out := make([]*big.Int, len(numbers))
	for i, n := range numbers {
		out[i] = new(big.Int).SetUint64(n.High)
		out[i].Or(out[i].Lsh(out[i], 64), new(big.Int).SetUint64(n.Low))
	}
	return out
}

// typesOf are the types in which a table's columns are sent: the server's,
// without LowCardinality, which it adds itself more quickly than the driver.
func (c *Conn) typesOf(ctx context.Context, table string) (map[string]string, error) {
	c.mu.Lock()
	known := c.types[table]
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	var rows []struct {
		Name string `ch:"name"`
		Type string `ch:"type"`
	}
	err := c.bare.Select(ctx, &rows, "SELECT name, type FROM system.columns WHERE database = "+Quote(c.config.Database)+" AND table = "+Quote(table))
	if err != nil {
		return nil, failed("read the columns of "+table, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("clickhouse: there is no table %s.%s; run `oneid migrate`", c.config.Database, table)
	}
	known = make(map[string]string, len(rows))
	for _, row := range rows {
		known[row.Name] = plain(row.Type)
	}
	c.mu.Lock()
	c.types[table] = known
	c.mu.Unlock()
	return known, nil
}

// plain takes LowCardinality off a type, also inside an array.
func plain(kind string) string {
	before, rest, found := strings.Cut(kind, "LowCardinality(")
	if !found {
		return kind
	}
	inner, after, _ := strings.Cut(rest, ")")
	return before + inner + after
}
