package chdbtest

import "testing"

func TestMain(m *testing.M) { Main(m) }

func TestDatabasesAreApart(t *testing.T) {
	a, b := Start(t), Start(t)
	if err := a.Exec(t.Context(), "CREATE TABLE x (a Int8) ENGINE = MergeTree ORDER BY a"); err != nil {
		t.Fatal(err)
	}
	got, err := b.Query(t.Context(), "SELECT count() FROM system.tables WHERE database = currentDatabase()")
	if err != nil || got != "0\n" {
		t.Errorf("tables of the other database = %q, %v; want none", got, err)
	}
}
