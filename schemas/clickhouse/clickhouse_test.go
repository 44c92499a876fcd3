package clickhouse

import (
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

func TestStatementsAreCutAtLineEnds(t *testing.T) {
	got := statements("-- a comment; with a semicolon\nSELECT ';' -- kept\n;\n\nSELECT\n 2;\n")
	if diff := cmp.Diff([]string{"SELECT ';' -- kept", "SELECT\n 2"}, got); diff != "" {
		t.Error(diff)
	}
}
