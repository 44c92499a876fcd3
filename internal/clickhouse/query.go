package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// Select fills dest, a pointer to a slice of structs whose fields bear ch
// tags, with what a query answers. Doing says what for, in an error.
func (c *Conn) Select(ctx context.Context, doing string, dest any, query string, settings ...Setting) error {
	return failed(doing, c.db.Select(with(ctx, settings), dest, query))
}

// Number answers a query that asks for one number.
func (c *Conn) Number(ctx context.Context, doing, query string, settings ...Setting) (uint64, error) {
	var n uint64
	err := c.db.QueryRow(with(ctx, settings), query).Scan(&n)
	return n, failed(doing, err)
}

// Exec runs a statement that answers nothing.
func (c *Conn) Exec(ctx context.Context, doing, statement string, settings ...Setting) error {
	return failed(doing, c.db.Exec(with(ctx, settings), statement))
}

// Setting is one of ClickHouse's settings for one statement.
type Setting struct {
	Name  string
	Value any
}

func with(ctx context.Context, settings []Setting) context.Context {
	if len(settings) == 0 {
		return ctx
	}
	set := make(driver.Settings, len(settings))
	for _, s := range settings {
		set[s.Name] = s.Value
	}
	return driver.Context(ctx, driver.WithSettings(set))
}

var quoting = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`)

// Quote writes a text as a literal of ClickHouse. What is asked for stands in
// a statement's text, which goes in the body of the request: no identifier of
// a person is ever in a URL.
func Quote(s string) string { return "'" + quoting.Replace(s) + "'" }

// OnCluster is the clause that a statement which changes tables, rather than
// rows, needs on a cluster; else empty.
func (c *Conn) OnCluster() string { return c.target().OnCluster() }

// ReloadOverrides makes the views see the moves that were inserted, at once;
// by itself the dictionary follows within seconds.
func (c *Conn) ReloadOverrides(ctx context.Context) error {
	return failed("reload the overrides", c.bare.Exec(ctx, "SYSTEM RELOAD DICTIONARY "+c.target().OnCluster()+" "+c.config.Database+".identity_overrides_dict"))
}

// RefreshViews returns once the public views show everything that was
// inserted before the call.
func (c *Conn) RefreshViews(ctx context.Context) error {
	const doing = "refresh customer_360"
	if err := c.ReloadOverrides(ctx); err != nil {
		return err
	}
	var since time.Time
	if err := c.bare.QueryRow(ctx, "SELECT now64(3, 'UTC')").Scan(&since); err != nil {
		return failed(doing, err)
	}
	// A refresh that ran already when it was asked for does not count: it may
	// have read before the last insert.
	refreshed := fmt.Sprintf("SELECT max(refreshed_at) FROM %s.customer_360_rows", c.config.Database)
	for {
		if err := c.StartViews(ctx); err != nil {
			return err
		}
		for _, statement := range []string{"SYSTEM REFRESH VIEW ", "SYSTEM WAIT VIEW "} {
			if err := c.bare.Exec(ctx, statement+c.config.Database+".customer_360_refresh"); err != nil {
				return failed(doing, err)
			}
		}
		var at time.Time
		if err := c.bare.QueryRow(ctx, refreshed).Scan(&at); err != nil {
			return failed(doing, err)
		}
		if !at.Before(since) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return failed(doing, err)
		}
	}
}

// StartViews lets the views that are made anew at intervals be so from now on. The embedded engine starts with none of
// them at work, so that a command which asks one question pays for no refresh.
// On a server of one's own a view that was stopped stays so: somebody meant it.
func (c *Conn) StartViews(ctx context.Context) error {
	if c.config.Dictionaries {
		return nil
	}
	return failed("start customer_360", c.bare.Exec(ctx, "SYSTEM START VIEW "+c.config.Database+".customer_360_refresh"))
}

// Rows calls row for each row that a query answers, as they come; row scans
// its columns by position. It stops at row's first error.
func (c *Conn) Rows(ctx context.Context, doing, query string, row func(scan func(dest ...any) error) error, settings ...Setting) error {
	rows, err := c.db.Query(with(ctx, settings), query)
	if err != nil {
		return failed(doing, err)
	}
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			_ = rows.Close() // what is left is not wanted
			return fmt.Errorf("clickhouse: %s: %w", doing, err)
		}
	}
	if err := rows.Close(); err != nil {
		return failed(doing, err)
	}
	return failed(doing, rows.Err())
}
