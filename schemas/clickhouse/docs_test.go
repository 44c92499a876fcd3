package clickhouse

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"oneid/internal/golden"
)

// What a public view's statement looks like: a list of columns with comments,
// then the query, then the comment of the view.
var (
	viewPattern   = regexp.MustCompile(`(?s)^CREATE OR REPLACE VIEW oneid\.(\w+) *\n\((.*?)\n\)\n.*\nCOMMENT '((?:[^']|'')*)'$`)
	columnPattern = regexp.MustCompile(`^    (\w+) (.+?) COMMENT '((?:[^']|'')+)',?$`)
)

// viewOf is the section of the page about one view. ok is false for a
// statement that makes no view with a list of columns.
func viewOf(statement string) (name, section string, err error, ok bool) { //nolint:revive,staticcheck // ok last, as in a map
	view := viewPattern.FindStringSubmatch(statement)
	if view == nil {
		return "", "", nil, false
	}
	unquote := func(s string) string { return strings.ReplaceAll(s, "''", "'") }
	var out strings.Builder
	fmt.Fprintf(&out, "## %s\n\n%s.\n\n| column | type | meaning |\n| --- | --- | --- |\n", view[1], unquote(view[3]))
	for line := range strings.SplitSeq(strings.Trim(view[2], "\n"), "\n") {
		column := columnPattern.FindStringSubmatch(line)
		if column == nil {
			return view[1], "", fmt.Errorf("the column %q of %s has no comment", strings.TrimSpace(line), view[1]), true
		}
		fmt.Fprintf(&out, "| `%s` | `%s` | %s |\n", column[1], column[2], strings.ReplaceAll(unquote(column[3]), "|", `\|`))
	}
	return view[1], out.String(), nil, true
}

// The page of columns says what the SQL files say: analysts read the one, BI
// tools show the other.
func TestGoldenViewsPage(t *testing.T) {
	migrations, err := Migrations(Target{Database: "oneid", Timezone: "Asia/Shanghai"})
	if err != nil {
		t.Fatal(err)
	}
	// A later file may replace a view of an earlier one.
	sections := make(map[string]string)
	for _, migration := range migrations {
		for _, statement := range migration.Statements {
			name, section, err, ok := viewOf(statement)
			if err != nil {
				t.Errorf("%s.sql: %v", migration.Name, err)
			}
			if ok {
				sections[name] = section
			}
		}
	}
	var page strings.Builder
	page.WriteString("# The public views, column by column\n\n" +
		"Made from the comments in `schemas/clickhouse/*.sql` by\n" +
		"`go test ./schemas/clickhouse -run Golden -update`, and checked by the same test: do\n" +
		"not edit it here. Times are in the brand's zone (`timezone` in `oneid.yaml`; here the default).\n" +
		"How to use the views: [analyse.md](analyse.md).\n")
	for _, name := range PublicViews {
		section, ok := sections[name]
		if !ok {
			t.Errorf("no statement makes the public view %s with a list of commented columns", name)
		}
		page.WriteString("\n" + section)
	}
	golden.Equal(t, "../../docs/views.md", []byte(page.String()))
}

func TestColumnsWithoutACommentAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		column  string
		refused bool
	}{
		"commented":           {"    a UInt8 COMMENT 'one'", false},
		"type with a comma":   {"    a Map(String, Decimal(18, 2)) COMMENT 'one'", false},
		"a quote in it":       {"    a UInt8 COMMENT 'the platform''s'", false},
		"no comment":          {"    a UInt8", true},
		"an empty comment":    {"    a UInt8 COMMENT ''", true},
		"two in one line":     {"    a UInt8, b UInt8 COMMENT", true},
		"comment in two rows": {"    a UInt8\n    COMMENT 'one'", true},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err, ok := viewOf("CREATE OR REPLACE VIEW oneid.v \n(\n" + c.column + "\n)\nAS SELECT 1 AS a\nCOMMENT 'A view'")
			if !ok || (err != nil) != c.refused {
				t.Errorf("%q: found %v, error %v; want found, and an error: %v", c.column, ok, err, c.refused)
			}
		})
	}
}
