// Package clickhouse holds the tables and views of OneID, as numbered files
// that are applied in order, each once. The same files serve the embedded
// engine, one server and a cluster: engine names, ON CLUSTER and the zone come
// from a small template.
package clickhouse

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed *.sql
var files embed.FS

// PublicViews are the views that BI may read, and nothing else.
var PublicViews = []string{"customer_360", "customer_orders", "customer_order_items", "customer_refunds", "customer_tickets", "identity_map_current", "account_history", "customer_redirects", "dead_letters", "reconciliation_days", "pipeline_runs"}

// Target says for what the files are filled in.
type Target struct {
	Database string
	// Timezone of the times that views show, an IANA name.
	Timezone string
	// Cluster, if set, makes replicated tables ON CLUSTER.
	Cluster string
	// DictionaryName and DictionaryPassword are how a server's dictionaries
	// log in to read its own tables; the embedded engine needs none.
	DictionaryName, DictionaryPassword string
}

// deduplicationWindow is how many blocks of each table the engine remembers by
// their token: more than can lie between two checkpoints of the resolver.
const deduplicationWindow = 10000

// OnCluster is the clause of a cluster's statements.
func (t Target) OnCluster() string {
	if t.Cluster == "" {
		return ""
	}
	return "ON CLUSTER '" + t.Cluster + "'"
}

func (t Target) engine(name, arguments string) string {
	if t.Cluster == "" {
		return name + "(" + arguments + ")"
	}
	if arguments != "" {
		arguments = ", " + arguments
	}
	return "Replicated" + name + "('/clickhouse/tables/{shard}/{database}/{table}', '{replica}'" + arguments + ")"
}

// Replacing is the engine of tables that keep the newest version.
func (t Target) Replacing(arguments string) string {
	return t.engine("ReplacingMergeTree", arguments)
}

// Aggregating is the engine of tables that keep minima and maxima.
func (t Target) Aggregating() string { return t.engine("AggregatingMergeTree", "") }

// Window is the setting by which a repeated insert is dropped; replicated
// tables have one of their own.
func (t Target) Window() string {
	if t.Cluster == "" {
		return "non_replicated_deduplication_window = " + strconv.Itoa(deduplicationWindow)
	}
	return "replicated_deduplication_window = " + strconv.Itoa(deduplicationWindow)
}

// DictionaryUser is the credentials in a dictionary's source.
func (t Target) DictionaryUser() string {
	if t.DictionaryName == "" {
		// The engine's own tables, with no name to be looked up.
		return "HOST '127.0.0.1' PORT 9000"
	}
	quote := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}
	return "USER " + quote(t.DictionaryName) + " PASSWORD " + quote(t.DictionaryPassword)
}

// Customer is today's customer of a row of a fact table: the one that it was
// stamped with, or the one that its account has moved to since. alias names
// the table in the query.
func (t Target) Customer(alias string) string {
	return "dictGetOrDefault('" + t.Database + ".identity_overrides_dict', 'customer_id', (toString(" + alias + ".platform), toString(" + alias + ".shop), " + alias + ".account), " + alias + ".customer_id)"
}

// Amount is an amount in the major unit, of one in the minor unit; unit is how
// many of those make a major one. The third digit of the few currencies that
// have one is rounded.
func (t Target) Amount(minor, unit string) string {
	return "CAST(round(toDecimal128(" + minor + ", 3) / " + unit + ", 2) AS Decimal(18, 2))"
}

// Owned are the facts besides orders that belong to an account's order.
func (t Target) Owned() []string { return []string{"refunds", "tickets"} }

// Time is a time as views show it.
func (t Target) Time(of string) string { return "toTimeZone(" + of + ", '" + t.Timezone + "')" }

// MaybeTime is a time as views show it, NULL for "not (yet)".
func (t Target) MaybeTime(of string) string {
	return "if(toUnixTimestamp(" + of + ") = 0, NULL, " + t.Time(of) + ")"
}

// Preamble is what makes the database and the table that records which
// migrations were applied. Each statement may be run at any time.
func Preamble(t Target) []string {
	return []string{
		"CREATE DATABASE IF NOT EXISTS " + t.Database + " " + t.OnCluster() + " ENGINE = Atomic",
		"CREATE TABLE IF NOT EXISTS " + t.Database + ".schema_migrations " + t.OnCluster() +
			" (number UInt32, name String, checksum String, applied_at DateTime('UTC') DEFAULT now()) ENGINE = " +
			t.Replacing("applied_at") + " ORDER BY number",
	}
}

// Migration is one numbered file.
type Migration struct {
	Number int
	// Name is the file's, without .sql.
	Name string
	// Checksum is that of the file as it stands here, whatever the target.
	Checksum   string
	Statements []string
}

// Migrations are the files, filled in for a target, in order.
func Migrations(t Target) ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("schemas/clickhouse: %w", err)
	}
	slices.Sort(names)
	migrations := make([]Migration, 0, len(names))
	for i, name := range names {
		number, _, _ := strings.Cut(name, "_")
		n, err := strconv.Atoi(number)
		if err != nil || n != i+1 {
			return nil, fmt.Errorf("schemas/clickhouse: %s is out of order: want number %03d", name, i+1)
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("schemas/clickhouse: %w", err)
		}
		filled, err := template.New(name).Option("missingkey=error").Parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("schemas/clickhouse: %w", err)
		}
		var out bytes.Buffer
		if err := filled.Execute(&out, t); err != nil {
			return nil, fmt.Errorf("schemas/clickhouse: %w", err)
		}
		sum := sha256.Sum256(text)
		migrations = append(migrations, Migration{
			Number: n, Name: strings.TrimSuffix(name, ".sql"), Checksum: hex.EncodeToString(sum[:8]), Statements: statements(out.String()),
		})
	}
	return migrations, nil
}

// statements cuts a file at the semicolons that end a line.
func statements(text string) []string {
	var list []string
	for part := range strings.SplitSeq(text, ";\n") {
		var lines []string
		for line := range strings.Lines(part) {
			if !strings.HasPrefix(line, "--") {
				lines = append(lines, line)
			}
		}
		if s := strings.TrimSpace(strings.Join(lines, "")); s != "" {
			list = append(list, s)
		}
	}
	return list
}
