package clickhouse

import (
	"strings"
	"testing"
	"time"
)

func TestRestAfter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ took, want time.Duration }{
		"nothing to do":      {0, 20 * time.Second},
		"a small one":        {2 * time.Second, 20 * time.Second},
		"four seconds":       {4 * time.Second, 40 * time.Second},
		"ten seconds":        {10 * time.Second, 42 * time.Second},
		"half a minute":      {30 * time.Second, 30 * time.Second},
		"ten minutes":        {10 * time.Minute, 10 * time.Minute},
		"never above a hour": {time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			if got := restAfter(c.took, freshest, oldest); got != c.want {
				t.Errorf("restAfter(%s) = %s, want %s", c.took, got, c.want)
			}
		})
	}
}

const definition = "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = 'customer_360_refresh'"

// lookUntil looks until the rest is as wanted.
func lookUntil(t *testing.T, c *Conn, p *pacer, want time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); p.rest != want; time.Sleep(50 * time.Millisecond) {
		if err := p.look(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("customer_360 rests for %s, want %s", p.rest, want)
		}
	}
}

// A view that shows everything rests; the first change wakes it, and what
// changed is in it without being asked for.
func TestPaceWhileNothingChanges(t *testing.T) {
	t.Parallel()
	c, d := migrated(t)
	p := &pacer{reloads: func() bool { return true }}
	lookUntil(t, c, p, freshest)
	rests := func() {
		t.Helper()
		time.Sleep((settled + 2) * time.Second) // of the server's clock, in whole seconds
		if err := c.RefreshViews(t.Context()); err != nil {
			t.Fatal(err)
		}
		lookUntil(t, c, p, longest)
		if err := d.Exec(t.Context(), "OPTIMIZE TABLE identity_map FINAL"); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := p.look(t.Context(), c); err != nil || p.rest != longest {
				t.Fatalf("with nothing changed it rests for %s: %v", p.rest, err)
			}
		}
	}
	rests()
	if err := d.Exec(t.Context(), "INSERT INTO identity_map (platform, shop, account, customer_id, version) VALUES ('tmall', 's', 'a', toUUID('00000000-0000-0000-0000-000000000001'), 1)"); err != nil {
		t.Fatal(err)
	}
	lookUntil(t, c, p, freshest)
	for deadline := time.Now().Add(5 * time.Minute); answer(t, d, "SELECT count() FROM customer_360") != "1"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("customer_360 does not show what changed")
		}
	}
	rests()
	if err := d.Exec(t.Context(), "ALTER TABLE identity_map DELETE WHERE account = 'a' SETTINGS mutations_sync = 1"); err != nil {
		t.Fatal(err)
	}
	lookUntil(t, c, p, freshest)
}

// The embedded engine starts with no view at work: the second look begins it,
// and so does who asks for a refresh.
func TestViewsStartWhenTheyAreKept(t *testing.T) {
	t.Parallel()
	const status = "SELECT status, last_success_time IS NULL FROM system.view_refreshes WHERE database = currentDatabase()"
	c, d := migrated(t)
	p := &pacer{}
	for range 2 {
		if got := answer(t, d, status); got != "Disabled\t1" {
			t.Fatalf("before anybody keeps it the view is %q", got)
		}
		if err := p.look(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	lookUntil(t, c, p, freshest)
	asked, d := migrated(t)
	if err := asked.RefreshViews(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, d, status); !strings.HasSuffix(got, "\t0") {
		t.Errorf("after a refresh that was asked for: %q", got)
	}
	// On a server of somebody's own a view that was stopped is meant to be.
	if err := d.Exec(t.Context(), "SYSTEM STOP VIEW customer_360_refresh"); err != nil {
		t.Fatal(err)
	}
	asked.config.Dictionaries = true
	if err := asked.StartViews(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, d, status); !strings.HasPrefix(got, "Disabled") {
		t.Errorf("a view that somebody stopped is %q", got)
	}
}

func TestPaceFollowsTheLastRefresh(t *testing.T) {
	t.Parallel()
	c, d := migrated(t)
	if err := c.RefreshViews(t.Context()); err != nil {
		t.Fatal(err)
	}
	// As if the pace were that of a day when a refresh was dear.
	if err := d.Exec(t.Context(), "ALTER TABLE customer_360_refresh MODIFY REFRESH AFTER 320 SECOND"); err != nil {
		t.Fatal(err)
	}
	for rest := time.Duration(0); rest != freshest; time.Sleep(50 * time.Millisecond) {
		p := &pacer{} // one that has just begun cannot know that nothing changes
		if err := p.look(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		rest = p.rest
	}
	if got := answer(t, d, definition); !strings.Contains(got, "REFRESH AFTER 20 SECOND") {
		t.Errorf("after a short refresh: %s", got)
	}
	// While events wait it rests for as long as what it shows is no older than a
	// minute, and no longer than that once they have come.
	behind := true
	p := &pacer{behind: func() bool { return behind }}
	for p.rest == 0 { // a refresh may be under way
		if err := p.look(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if p.rest < 2*freshest || p.rest > oldest {
		t.Errorf("while events wait it rests for %s, of at most %s", p.rest, oldest)
	}
	behind = false
	lookUntil(t, c, p, freshest)
	// The query is untouched.
	if err := c.RefreshViews(t.Context()); err != nil {
		t.Error(err)
	}
}

// Moves are seen without being asked for, and the dictionary is not loaded again
// while there are no more of them, nor by one that is not to do it.
func TestPaceReloadsMoves(t *testing.T) {
	c, d := migrated(t)
	const loaded = "SELECT loading_start_time FROM system.dictionaries WHERE database = currentDatabase() AND name = 'identity_overrides_dict'"
	const today = "SELECT dictGetOrDefault(currentDatabase() || '.identity_overrides_dict', 'customer_id', ('tmall', 's', 'a'), toUUID('00000000-0000-0000-0000-000000000001'))"
	reloads := false
	p := &pacer{reloads: func() bool { return reloads }}
	look := func() {
		t.Helper()
		if err := p.look(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	answer(t, d, today) // it is loaded when it is asked for the first time
	for _, statement := range []string{
		"INSERT INTO identity_map (platform, shop, account, customer_id, version) VALUES ('tmall', 's', 'a', toUUID('00000000-0000-0000-0000-000000000002'), 2)",
		"INSERT INTO identity_overrides (platform, shop, account, customer_id, version) VALUES ('tmall', 's', 'a', toUUID('00000000-0000-0000-0000-000000000002'), 2)",
	} {
		if err := d.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if got := answer(t, d, today); !strings.HasSuffix(got, "1") {
		t.Errorf("one that is not to reload has done it: %s", got)
	}
	reloads = true
	look()
	if got := answer(t, d, today); !strings.HasSuffix(got, "2") {
		t.Errorf("the move is not seen: %s", got)
	}
	at := answer(t, d, loaded)
	p.loadedAt = time.Time{} // as if it had rested
	look()
	if got := answer(t, d, loaded); got != at {
		t.Error("it was loaded again with nothing moved")
	}
}
