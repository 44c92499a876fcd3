package clickhouse

import (
	"context"
	"fmt"
	"strings"

	schema "oneid/schemas/clickhouse"
)

// Migrate makes the brand's database, its tables and views, by applying in
// order the numbered files that were not yet applied. Every statement may be
// run again, so a Migrate that was cut off is mended by the next. It refuses
// a database that a newer OneID has migrated, and a file that is another than
// the one that was applied. Applied is how many files were new.
func (c *Conn) Migrate(ctx context.Context) (applied int, err error) {
	target := c.target()
	migrations, err := schema.Migrations(target)
	if err != nil {
		return 0, err
	}
	for _, statement := range schema.Preamble(target) {
		if err := c.bare.Exec(ctx, statement); err != nil {
			return 0, failed("make the database "+target.Database, err)
		}
	}
	done, err := c.migrated(ctx)
	if err != nil {
		return 0, err
	}
	for number := range done {
		if int(number) > len(migrations) {
			return 0, fmt.Errorf("clickhouse: the database %s was migrated to %03d by a newer OneID, this one knows %03d; use the newer one", target.Database, number, len(migrations))
		}
	}
	for _, m := range migrations {
		if sum, ok := done[uint32(m.Number)]; ok { // a file's number
			if sum != m.Checksum {
				return applied, fmt.Errorf("clickhouse: migration %s is not the one that the database %s was made with; a migration that was applied must not be edited", m.Name, target.Database)
			}
			continue
		}
		for _, statement := range m.Statements {
			if err := c.bare.Exec(ctx, statement); err != nil {
				first, _, _ := strings.Cut(statement, "\n")
				return applied, failed("migration "+m.Name+", "+first, err)
			}
		}
		record := fmt.Sprintf("INSERT INTO %s.schema_migrations (number, name, checksum) VALUES (%d, %s, %s)", target.Database, m.Number, Quote(m.Name), Quote(m.Checksum))
		if err := c.bare.Exec(ctx, record); err != nil {
			return applied, failed("record migration "+m.Name, err)
		}
		applied++
	}
	c.mu.Lock()
	clear(c.types)
	c.layout = nil
	c.mu.Unlock()
	return applied, failed("drop what a check of inserts left behind", c.dropForgotten(ctx))
}

// migrated are the checksums of what was applied, by number.
func (c *Conn) migrated(ctx context.Context) (map[uint32]string, error) {
	var rows []struct {
		Number   uint32 `ch:"number"`
		Checksum string `ch:"checksum"`
	}
	if err := c.bare.Select(ctx, &rows, "SELECT number, checksum FROM "+c.config.Database+".schema_migrations ORDER BY number"); err != nil {
		return nil, failed("read which migrations were applied", err)
	}
	done := make(map[uint32]string, len(rows))
	for _, row := range rows {
		done[row.Number] = row.Checksum
	}
	return done, nil
}
