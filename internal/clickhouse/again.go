package clickhouse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"oneid/schemas/tables"
)

// InsertAgain inserts a block that may have been inserted before, and makes
// sure of it. A server without Keeper notes a token just before it lets a
// part appear, and syncs neither to disk in that order: killed between the
// two, it takes the repeated insert for one that it has, and the rows are lost.
// So what is there is compared with the block, row by row, in its table and in
// what hangs on it, and what is missing is put there, past the tokens. Restored
// is how many rows that were. On replicated tables the token is enough: there
// a part and its token appear in one transaction of Keeper.
func (c *Conn) InsertAgain(ctx context.Context, block tables.Block, token string) (restored int, err error) {
	if err := c.Insert(ctx, block, token); err != nil || block.Rows() == 0 {
		return 0, err
	}
	doing := "see that " + block.Table() + " has what was inserted"
	known, err := c.layoutOf(ctx)
	if err != nil || known[block.Table()].replicated {
		return 0, failed(doing, err)
	}
	err = c.beside(ctx, "AS "+block.Table()+" ENGINE = Memory", func(copied string) error {
		if err := c.insertInto(ctx, copied, block, nil); err != nil {
			return err
		}
		restored, err = c.restore(ctx, known, block.Table(), "*", c.config.Database+"."+copied)
		return err
	})
	return restored, failed(doing, err)
}

// restore puts into a table those rows of a source, a table or a query in
// brackets, that it does not have, and goes on with the views that hang on it:
// what they make of the source.
func (c *Conn) restore(ctx context.Context, known map[string]layout, table, columns, source string) (restored int, err error) {
	into := known[table]
	// Rows are told apart by their keys: what a batch says of an account's
	// customer may have moved on since it was first inserted.
	missing := fmt.Sprintf("SELECT %[5]s FROM %[1]s WHERE (%[2]s) NOT IN (SELECT %[2]s FROM %[3]s WHERE (%[4]s) IN (SELECT %[4]s FROM %[1]s))", source, into.rows, table, into.sorted, columns)
	n, err := c.Number(ctx, "compare "+table, "SELECT count() FROM ("+missing+")")
	if err != nil {
		return 0, err
	}
	if n > 0 {
		if err := c.attach(ctx, table, columns, missing); err != nil {
			return 0, err
		}
	}
	restored = int(n) //nolint:gosec // a block's rows at most
	for _, view := range into.views {
		more, err := c.restore(ctx, known, view.fills, view.columns, "("+view.before+source+view.after+")")
		restored += more
		if err != nil {
			return restored, err
		}
	}
	return restored, nil
}

// attach puts what a query answers into a table as parts, which no view and no
// token sees: what hangs on the table may have it already.
func (c *Conn) attach(ctx context.Context, table, columns, query string) error {
	into := ""
	if columns != "*" {
		into = " (" + columns + ")"
	}
	return c.beside(ctx, "AS "+table, func(parts string) error {
		if err := c.db.Exec(with(ctx, []Setting{{"insert_deduplicate", 0}, {"optimize_on_insert", 0}, {"max_partitions_per_insert_block", 0}}), "INSERT INTO "+parts+into+" "+query); err != nil {
			return err
		}
		var partitions []string
		if err := c.db.QueryRow(ctx, "SELECT groupUniqArray(partition_id) FROM system.parts WHERE active AND database = currentDatabase() AND table = "+Quote(parts)).Scan(&partitions); err != nil {
			return err
		}
		for _, id := range partitions {
			if err := c.db.Exec(ctx, "ALTER TABLE "+table+" ATTACH PARTITION ID "+Quote(id)+" FROM "+parts); err != nil {
				return err
			}
		}
		return nil
	})
}

// layout is how a table keeps its rows, and what hangs on it.
type layout struct {
	replicated bool
	// sorted are the columns by which it is sorted, and rows those that tell
	// two of its rows apart, in SQL.
	sorted, rows string
	views        []hanging
}

// hanging is a materialized view that takes what is inserted into a table.
type hanging struct {
	fills   string // the table that it fills
	columns string // which of that table's, in SQL
	// before and after stand around the name of the table that it reads.
	before, after string
}

var (
	versionColumn = regexp.MustCompile(`^ReplacingMergeTree\((\w+)`)
	viewFills     = regexp.MustCompile(`^CREATE MATERIALIZED VIEW \S+ TO [^.\s]+\.(\w+) `)
)

// layoutOf reads how all tables are laid out; once, for only Migrate changes it.
func (c *Conn) layoutOf(ctx context.Context) (map[string]layout, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.layout != nil {
		return c.layout, nil
	}
	var rows []struct {
		Name    string   `ch:"name"`
		Engine  string   `ch:"engine"`
		Full    string   `ch:"engine_full"`
		Sorted  string   `ch:"sorting_key"`
		Create  string   `ch:"create_table_query"`
		Select  string   `ch:"as_select"`
		Columns []string `ch:"columns"`
	}
	err := c.db.Select(ctx, &rows, `SELECT name, engine, engine_full, sorting_key, create_table_query, as_select, columns FROM system.tables AS t
		INNER JOIN (SELECT table, groupArray(name) AS columns FROM (SELECT table, name FROM system.columns WHERE database = currentDatabase() ORDER BY table, position) GROUP BY table) AS c ON t.name = c.table
		WHERE database = currentDatabase() AND (endsWith(engine, 'MergeTree') OR engine = 'MaterializedView') ORDER BY name`)
	if err != nil {
		return nil, err
	}
	reads := regexp.MustCompile(` FROM ` + regexp.QuoteMeta(c.config.Database) + `\.(\w+)`)
	known, views := make(map[string]layout), make(map[string][]hanging)
	for _, row := range rows {
		columns := strings.Join(row.Columns, ", ")
		if row.Engine == "MaterializedView" {
			fills, at := viewFills.FindStringSubmatch(row.Create), reads.FindStringSubmatchIndex(row.Select)
			if fills != nil && at != nil { // else it is refreshed as a whole
				read := row.Select[at[2]:at[3]]
				views[read] = append(views[read], hanging{fills[1], columns, row.Select[:at[0]] + " FROM ", row.Select[at[1]:]})
			}
			continue
		}
		l := layout{replicated: strings.HasPrefix(row.Engine, "Replicated") || strings.HasPrefix(row.Engine, "Shared"), sorted: row.Sorted, rows: row.Sorted}
		if version := versionColumn.FindStringSubmatch(row.Full); version != nil {
			l.rows += ", " + version[1]
		} else if row.Engine != "ReplacingMergeTree" {
			l.rows = columns
		}
		known[row.Name] = l
	}
	for table, hang := range views {
		l := known[table]
		l.views = hang
		known[table] = l
	}
	c.layout = known
	return known, nil
}

// besidePrefix begins the names of tables that last for one call.
const besidePrefix = "again_"

// beside makes a table for as long as use runs.
func (c *Conn) beside(ctx context.Context, definition string, use func(table string) error) (err error) {
	table := besidePrefix + strings.ToLower(rand.Text())
	if err := c.db.Exec(ctx, "CREATE TABLE "+table+" "+definition); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, c.db.Exec(ctx, "DROP TABLE IF EXISTS "+table+" SYNC"))
	}()
	return use(table)
}

// forgottenAfter is an age that no call reaches.
const forgottenAfter = time.Hour

// dropForgotten drops what a call that was killed has left behind.
func (c *Conn) dropForgotten(ctx context.Context) error {
	var rows []struct {
		Name string `ch:"name"`
	}
	if err := c.bare.Select(ctx, &rows, "SELECT name FROM system.tables WHERE database = "+Quote(c.config.Database)+" AND startsWith(name, "+Quote(besidePrefix)+
		") AND metadata_modification_time < now() - "+strconv.Itoa(int(forgottenAfter.Seconds()))); err != nil {
		return err
	}
	for _, row := range rows {
		if err := c.bare.Exec(ctx, "DROP TABLE IF EXISTS "+c.config.Database+"."+row.Name+" SYNC"); err != nil {
			return err
		}
	}
	return nil
}
