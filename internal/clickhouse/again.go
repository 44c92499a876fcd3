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
	kept, err := c.keeping(ctx, block.Table())
	if err != nil || kept.replicated {
		return 0, failed(doing, err)
	}
	err = c.beside(ctx, "AS "+kept.name+" ENGINE = Memory", func(copied string) error {
		if err := c.insertInto(ctx, copied, block, nil); err != nil {
			return err
		}
		restored, err = c.restore(ctx, kept, copied)
		return err
	})
	return restored, failed(doing, err)
}

// kept is how a table keeps its rows.
type kept struct {
	name       string // without the database
	replicated bool
	// sorted are the columns by which it is sorted, and rows those that tell
	// two of its rows apart, in SQL.
	sorted, rows string
}

var versionColumn = regexp.MustCompile(`^ReplacingMergeTree\((\w+)`)

func (c *Conn) keeping(ctx context.Context, table string) (kept, error) {
	k := kept{name: table}
	var engine, full string
	var columns []string
	err := c.db.QueryRow(ctx, "SELECT engine, engine_full, sorting_key, (SELECT groupArray(name) FROM system.columns WHERE database = currentDatabase() AND table = "+Quote(table)+")"+
		" FROM system.tables WHERE database = currentDatabase() AND name = "+Quote(table)).Scan(&engine, &full, &k.sorted, &columns)
	k.replicated = strings.HasPrefix(engine, "Replicated") || strings.HasPrefix(engine, "Shared")
	k.rows = k.sorted
	if version := versionColumn.FindStringSubmatch(full); version != nil {
		k.rows += ", " + version[1]
	} else if engine != "ReplacingMergeTree" {
		k.rows = strings.Join(columns, ", ")
	}
	return k, err
}

// restore puts into a table those rows of a copy that it does not have, and
// goes on with the views that hang on it: what they make of the copy.
func (c *Conn) restore(ctx context.Context, into kept, copied string) (restored int, err error) {
	// Rows are told apart by their keys: what a batch says of an account's
	// customer may have moved on since it was first inserted.
	missing := fmt.Sprintf("SELECT * FROM %[1]s WHERE (%[2]s) NOT IN (SELECT %[2]s FROM %[3]s WHERE (%[4]s) IN (SELECT %[4]s FROM %[1]s))", copied, into.rows, into.name, into.sorted)
	var n uint64
	if err := c.db.QueryRow(ctx, "SELECT count() FROM ("+missing+")").Scan(&n); err != nil {
		return 0, err
	}
	if n > 0 {
		if err := c.attach(ctx, into.name, missing); err != nil {
			return 0, err
		}
	}
	restored = int(n) //nolint:gosec // a block's rows at most
	views, err := c.hangingOn(ctx, into.name)
	if err != nil {
		return restored, err
	}
	for _, view := range views {
		to, err := c.keeping(ctx, view.into)
		if err != nil {
			return restored, err
		}
		err = c.beside(ctx, "AS "+view.into+" ENGINE = Memory", func(made string) error {
			if err := c.db.Exec(ctx, "INSERT INTO "+made+" ("+view.columns+") "+view.over(copied)); err != nil {
				return err
			}
			more, err := c.restore(ctx, to, made)
			restored += more
			return err
		})
		if err != nil {
			return restored, err
		}
	}
	return restored, nil
}

// attach puts what a query answers into a table as parts, which no view and no
// token sees: what hangs on the table may have it already.
func (c *Conn) attach(ctx context.Context, table, query string) error {
	return c.beside(ctx, "AS "+table, func(parts string) error {
		if err := c.db.Exec(with(ctx, []Setting{{"insert_deduplicate", 0}, {"optimize_on_insert", 0}, {"max_partitions_per_insert_block", 0}}), "INSERT INTO "+parts+" "+query); err != nil {
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

// hanging is a materialized view that takes what is inserted into a table.
type hanging struct {
	into    string // the table that it fills
	columns string // which of that table's it fills
	// before and after stand around the name of the table that it reads.
	before, after string
}

func (h hanging) over(table string) string { return h.before + table + h.after }

var viewFills = regexp.MustCompile(`^CREATE MATERIALIZED VIEW \S+ TO [^.\s]+\.(\w+) `)

func (c *Conn) hangingOn(ctx context.Context, table string) ([]hanging, error) {
	var rows []struct {
		Name   string `ch:"name"`
		Create string `ch:"create_table_query"`
		Select string `ch:"as_select"`
	}
	err := c.db.Select(ctx, &rows, "SELECT name, create_table_query, as_select FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView' ORDER BY name")
	if err != nil {
		return nil, err
	}
	reads := regexp.MustCompile(` FROM ` + regexp.QuoteMeta(c.config.Database+"."+table) + `\b`)
	var views []hanging
	for _, row := range rows {
		fills, at := viewFills.FindStringSubmatch(row.Create), reads.FindStringIndex(row.Select)
		if fills == nil || at == nil {
			continue // another table's, or one that is refreshed as a whole
		}
		var columns []string
		if err := c.db.QueryRow(ctx, "SELECT groupArray(name) FROM system.columns WHERE database = currentDatabase() AND table = "+Quote(row.Name)).Scan(&columns); err != nil {
			return nil, err
		}
		views = append(views, hanging{
			into: fills[1], columns: strings.Join(columns, ", "),
			before: row.Select[:at[0]] + " FROM " + c.config.Database + ".", after: row.Select[at[1]:],
		})
	}
	return views, nil
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
