package clickhouse

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/internal/golden"
)

// The dump shows what a change of the files changes, on one server and on a
// cluster.
func TestGoldenDump(t *testing.T) {
	for name, target := range map[string]Target{
		"single":  {Database: "oneid", Timezone: "Asia/Shanghai"},
		"cluster": {Database: "oneid", Timezone: "Asia/Shanghai", Cluster: "main", DictionaryName: "app", DictionaryPassword: "it's"},
	} {
		t.Run(name, func(t *testing.T) {
			migrations, err := Migrations(target)
			if err != nil {
				t.Fatal(err)
			}
			var dump strings.Builder
			for _, statement := range Preamble(target) {
				dump.WriteString(statement + ";\n")
			}
			for _, m := range migrations {
				dump.WriteString("\n-- " + m.Name + "\n" + strings.Join(m.Statements, ";\n\n") + ";\n")
			}
			golden.Equal(t, "testdata/"+name+".sql", []byte(dump.String()))
		})
	}
}

// A cluster's statements that change tables run on the cluster, and its
// tables are replicated, but for the one that each replica refreshes itself.
func TestClusterIsComplete(t *testing.T) {
	target := Target{Database: "oneid", Timezone: "UTC", Cluster: "main"}
	migrations, err := Migrations(target)
	if err != nil {
		t.Fatal(err)
	}
	all := Preamble(target)
	for _, m := range migrations {
		all = append(all, m.Statements...)
	}
	for _, statement := range all {
		first, _, _ := strings.Cut(statement, "\n")
		if !strings.Contains(first, "ON CLUSTER 'main'") && !strings.HasPrefix(first, "INSERT") { // rows are replicated
			t.Errorf("not on the cluster: %s", first)
		}
		own := strings.Contains(first, "customer_360_rows")
		if strings.Contains(statement, "ENGINE = ") && !strings.Contains(statement, "ENGINE = Atomic") && !own && !strings.Contains(statement, "ENGINE = Replicated") {
			t.Errorf("not replicated: %s", first)
		}
	}
}

// An upgrade takes no column away and empties no table of facts: what a platform
// gives no more keeps its history. A table that is dropped is named here, with
// the reason why nothing is lost.
func TestNoMigrationForgets(t *testing.T) {
	rebuilt := map[string]string{
		"dead_letters":        "nothing was ever written to it",
		"entities_by_account": "filled again from the tables of facts, in the same file",
	}
	forgets := regexp.MustCompile(`(?i)\b(DROP|CLEAR|RENAME)\s+COLUMN\b|\bTRUNCATE\b|\bDELETE\s+(FROM|WHERE)\b|\bDROP\s+(PARTITION|DATABASE)\b|\bMODIFY\s+TTL\b|\bREPLACE\s+TABLE\b`)
	dropped := regexp.MustCompile(`(?i)^\s*DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?oneid\.(\w+)`)
	migrations, err := Migrations(Target{Database: "oneid", Timezone: "Asia/Shanghai"})
	if err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`(?m)--.*$|'[^']*'`)
	for _, m := range migrations {
		for _, statement := range m.Statements {
			bare := comment.ReplaceAllString(statement, "")
			if found := forgets.FindString(bare); found != "" {
				t.Errorf("%s: %q takes something away: %s", m.Name, found, statement)
			}
			if table := dropped.FindStringSubmatch(bare); table != nil && rebuilt[table[1]] == "" {
				t.Errorf("%s drops the table %s: say here why nothing is lost by it", m.Name, table[1])
			}
		}
	}
	for _, bad := range []string{"ALTER TABLE oneid.orders DROP COLUMN city", "TRUNCATE TABLE oneid.orders", "ALTER TABLE oneid.orders DELETE WHERE 1", "ALTER TABLE oneid.orders MODIFY TTL created_at + INTERVAL 1 YEAR"} {
		if !forgets.MatchString(bad) {
			t.Errorf("it would not be seen: %s", bad)
		}
	}
}

func TestStatementsAreCutAtLineEnds(t *testing.T) {
	got := statements("-- a comment; with a semicolon\nSELECT ';' -- kept\n;\n\nSELECT\n 2;\n")
	if diff := cmp.Diff([]string{"SELECT ';' -- kept", "SELECT\n 2"}, got); diff != "" {
		t.Error(diff)
	}
}
