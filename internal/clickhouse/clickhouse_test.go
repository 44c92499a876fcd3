package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/internal/embedded/chdb/chdbtest"
	schema "oneid/schemas/clickhouse"
	"oneid/schemas/tables"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

// migrated opens a database of its own with all tables and views.
func migrated(t testing.TB) (*Conn, chdbtest.Database) {
	t.Helper()
	d := chdbtest.Start(t)
	c, err := Open(t.Context(), Config{URL: d.URL, Database: d.Name, User: d.User, Password: d.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, d
}

// answer asks for tab separated rows.
func answer(t testing.TB, d chdbtest.Database, query string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	got, err := d.Query(ctx, query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return strings.TrimSuffix(got, "\n")
}

func TestMigrateTwiceIsOnce(t *testing.T) {
	t.Parallel()
	c, d := migrated(t)
	applied, err := c.Migrate(t.Context())
	if err != nil || applied != 0 {
		t.Errorf("the second Migrate applied %d, %v; want none", applied, err)
	}
	migrations, err := schema.Migrations(c.target())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := answer(t, d, "SELECT count(), max(number) FROM schema_migrations FINAL"), fmt.Sprintf("%d\t%d", len(migrations), len(migrations)); got != want {
		t.Errorf("recorded = %q, want %q", got, want)
	}
}

func TestMigrateCutOffAnywhereIsMended(t *testing.T) {
	t.Parallel()
	d := chdbtest.Start(t)
	c, err := Open(t.Context(), Config{URL: d.URL, Database: d.Name, User: d.User, Password: d.Password})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	migrations, err := schema.Migrations(c.target())
	if err != nil {
		t.Fatal(err)
	}
	// As after a crash in the middle of the first file.
	for _, statement := range append(schema.Preamble(c.target()), migrations[0].Statements[:3]...) {
		if err := d.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if applied, err := c.Migrate(t.Context()); err != nil || applied != len(migrations) {
		t.Errorf("Migrate = %d, %v; want all %d", applied, err, len(migrations))
	}
}

func TestMigrateRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	c, d := migrated(t)
	if err := d.Exec(t.Context(), "INSERT INTO schema_migrations (number, name, checksum) VALUES (999, 'later', '')"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "newer OneID") {
		t.Errorf("Migrate of a newer database: %v", err)
	}
}

// Every column of every table has its buffer, and the other way round.
func TestBuffersAreTheTables(t *testing.T) {
	t.Parallel()
	_, d := migrated(t)
	for _, block := range tables.All() {
		names, _ := block.Columns()
		want := answer(t, d, "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = "+Quote(block.Table())+" AND default_kind = '' ORDER BY position")
		if diff := cmp.Diff(strings.Split(want, "\n"), names); diff != "" {
			t.Errorf("%s: the table's columns (-) and the buffer's (+):\n%s", block.Table(), diff)
		}
	}
}

// Views are the public interface: each column says what it is.
func TestEveryPublicColumnIsCommented(t *testing.T) {
	t.Parallel()
	_, d := migrated(t)
	for _, view := range schema.PublicViews {
		if got := answer(t, d, "SELECT count() > 1, countIf(comment = '') FROM system.columns WHERE database = currentDatabase() AND table = "+Quote(view)); got != "1\t0" {
			t.Errorf("%s: columns and columns without comment: %q", view, got)
		}
		if got := answer(t, d, "SELECT comment != '' FROM system.tables WHERE database = currentDatabase() AND name = "+Quote(view)); got != "1" {
			t.Errorf("%s has no comment", view)
		}
	}
}

// What takes long is given up by a pool that waits for a second, and not by a
// patient one.
func TestPatient(t *testing.T) {
	d := chdbtest.Start(t)
	c, err := Open(t.Context(), Config{URL: d.URL, Database: d.Name, User: d.User, Password: d.Password, answers: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	patient, err := c.Patient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = patient.Close() }()
	const long = "SELECT sleep(2)"
	if err := c.Exec(t.Context(), "wait", long); err == nil {
		t.Error("it waited for longer than it may")
	}
	if err := patient.Exec(t.Context(), "wait", long); err != nil {
		t.Errorf("the patient one: %v", err)
	}
}
