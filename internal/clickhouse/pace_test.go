package clickhouse

import (
	"strings"
	"testing"
	"time"
)

func TestRestAfter(t *testing.T) {
	for name, c := range map[string]struct{ took, want time.Duration }{
		"nothing to do":      {0, 20 * time.Second},
		"a small one":        {2 * time.Second, 20 * time.Second},
		"ten seconds":        {10 * time.Second, 160 * time.Second},
		"never above a hour": {time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			if got := restAfter(c.took); got != c.want {
				t.Errorf("restAfter(%s) = %s, want %s", c.took, got, c.want)
			}
		})
	}
}

func TestPaceFollowsTheLastRefresh(t *testing.T) {
	c, d := migrated(t)
	if err := c.RefreshViews(t.Context()); err != nil {
		t.Fatal(err)
	}
	// As if the pace were that of a day when a refresh was dear.
	if err := d.Exec(t.Context(), "ALTER TABLE customer_360_refresh MODIFY REFRESH AFTER 320 SECOND"); err != nil {
		t.Fatal(err)
	}
	rest, deadline := 320*time.Second, time.Now().Add(20*time.Second)
	for rest != freshest && time.Now().Before(deadline) {
		var err error
		if rest, err = c.pace(t.Context(), rest); err != nil {
			t.Fatal(err)
		}
	}
	if got := answer(t, d, "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = 'customer_360_refresh'"); !strings.Contains(got, "REFRESH AFTER 20 SECOND") {
		t.Errorf("after a short refresh the pace is %s: %s", rest, got)
	}
	// The query is untouched.
	if err := c.RefreshViews(t.Context()); err != nil {
		t.Error(err)
	}
}
