package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oneid/pipelines/alert"
)

// A mapping that took the wrong column is mended, and what was loaded with it
// is put right from the payloads; the files are not needed.
func TestReplay(t *testing.T) {
	t.Parallel()
	dir, files := begunFolder(t), t.TempDir()
	path := func(name string) string { return filepath.Join(files, name) }
	mapping := func(paid string) string {
		return "platform: file\nshop: till\nkind: orders\ncurrency: CNY\norder_id:\n  row: [customer, bought_on, pieces, amount]\n" +
			"columns:\n  account: customer\n  created_at: {column: bought_on, format: YYYY-MM-DD}\n  quantity: pieces\n  paid: " + paid + "\n  status: {const: paid}\n"
	}
	writeText(t, path("wrong.yaml"), mapping("pieces"))
	writeText(t, path("mended.yaml"), mapping("amount"))
	writeText(t, path("rows.csv"), "customer,bought_on,pieces,amount\nA-1,2026-03-01,1,59.00\nA-1,2026-04-17,2,118.00\nA-2,2026-03-08,1,59.00\nA-3,2026-03-09,1,free\n")
	must(t, "import", "--dir", dir, "--mapping", path("wrong.yaml"), path("rows.csv"))
	paid := func(want string) {
		t.Helper()
		if got := one(t, dir, "SELECT sum(paid_amount), count() FROM customer_orders"); got != want {
			t.Errorf("paid %s, want %s", got, want)
		}
	}
	paid("5 4")
	wantRefused(t, oneid(t, "replay", "--dir", dir, "--from", "yesterday"), 1, "yesterday", "2026-11-11")
	args := []string{"replay", "--dir", dir, "--from", "2026-01-01", "--mapping", path("mended.yaml"), "--json"}
	for _, c := range []struct {
		more   string
		number uint32
		paid   string
	}{{"--dry-run", 1, "5 4"}, {"--stream=users", 1, "5 4"}, {"--stream=orders", 2, "237 4"}, {"--shop=file/till", 3, "237 4"}} {
		a := oneid(t, append(args, c.more)...)
		r := decode[replayReport](t, strings.TrimSpace(a.stdout))
		if c.more == "--stream=users" {
			if a.code != 0 || r.Rows != 0 {
				t.Errorf("%s: exit code %d, %+v", c.more, a.code, r)
			}
		} else if a.code != 3 || r.Rows != 4 || r.Events != 3 || r.Refused != 1 || r.Number != c.number {
			t.Errorf("%s: exit code %d, %+v; want 3 of 4 rows mapped by replay %d", c.more, a.code, r, c.number)
		}
		paid(c.paid)
	}
	// What it could not map is a letter of a file's row, which another mapping mends.
	if a := must(t, "deadletter", "replay", "--dir", dir, "--all", "--mapping", path("wrong.yaml")); !strings.Contains(a.stdout, "1 replayed") {
		t.Errorf("the letter of a replay: %s%s", a.stdout, a.stderr)
	}
	if a := must(t, "replay", "--dir", dir, "--from", "2026-01-01", "--stream", "order"); !strings.Contains(a.stderr, "those of file/till orders") {
		t.Errorf("asked for a stream that is not there it says %s%s", a.stdout, a.stderr)
	}
	if a := must(t, "replay", "--dir", dir, "--from", "2026-01-01"); !strings.Contains(a.stdout, "4 without a mapping") {
		t.Errorf("without a mapping: %s", a.stdout)
	}
}

// A replay of a stream says nothing of how its platform is read: what is said of
// that stands as it was, and so does what a person accepted.
func TestReplaySaysNothingOfTheReading(t *testing.T) {
	t.Parallel()
	dir, files := begunFolder(t), t.TempDir()
	mapping, table := filepath.Join(files, "till.yaml"), filepath.Join(files, "rows.csv")
	writeText(t, mapping, "platform: file\nshop: till\nkind: orders\ncurrency: CNY\norder_id:\n  row: [customer, bought_on, amount]\n"+
		"columns:\n  account: customer\n  created_at: {column: bought_on, format: YYYY-MM-DD}\n  paid: amount\n  status: {const: paid}\n")
	writeText(t, table, "customer,bought_on,amount\nA-1,2026-03-01,59.00\n")
	must(t, "import", "--dir", dir, "--mapping", mapping, table)
	n, err := openNode(t.Context(), folder(dir), need{quiet: true}, newProgress(true))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	const stream = "file/till/orders"
	n.startAlerts()
	err = n.telling(t.Context(), func(ctx context.Context) error {
		n.alerts.Set(alert.Connector, stream, "it stands still")
		n.alerts.Set(alert.Missing, stream, "a right is missing")
		if err := n.cursors.Put(ctx, lackPrefix+stream, "accepted"); err != nil {
			return err
		}
		report, err := replayCmd{From: "2026-01-01", Mapping: mapping}.replay(ctx, n, nil, newProgress(true), n.resolving)
		if err == nil && report.Rows != 1 {
			err = errors.New("nothing was replayed")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	standing, err := alert.Standing(t.Context(), n.kafka, n.topics.Alerts)
	if err != nil || len(standing) != 2 {
		t.Errorf("%d alerts stand (%v), want both", len(standing), err)
	}
	if n.cursors.Get(lackPrefix+stream) == "" {
		t.Error("what was accepted is forgotten")
	}
	answer := httptest.NewRecorder()
	n.metrics.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if strings.Contains(answer.Body.String(), `oneid_pull_last_success_timestamp_seconds{platform="file"`) {
		t.Error("the metrics say when the stream was read, as of one that is read again and again")
	}
}

// Two replays do not run at the same time, whoever began the first: they would take one
// number, and the second the cursors of the first. Only counting is free.
func TestOneReplayAtATime(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
	p, _ := up(t, dir)
	n, err := openMover(t.Context(), folder(dir), need{quiet: true}, newProgress(true))
	if err != nil {
		t.Fatal(err)
	}
	err = n.byHand(t.Context(), taskReplay, time.Minute, func(context.Context) error {
		wantRefused(t, oneid(t, "replay", "--dir", dir, "--from", "2026-01-01"), 1, "replay runs in another process just now", "hint: wait until it has ended; what runs again and again needs no help\n") // status knows of no replay
		must(t, "replay", "--dir", dir, "--from", "2026-01-01", "--dry-run")
		return nil
	})
	err = errors.Join(err, n.byHand(t.Context(), taskReconcile, time.Minute, func(context.Context) error {
		wantRefused(t, oneid(t, "run", "reconcile", "--dir", dir), 1, "reconcile runs in another process just now", "hint: wait until it has ended (`oneid status` says so), or give --wait 10m;")
		return nil
	}))
	if err := errors.Join(err, n.close()); err != nil {
		t.Fatal(err)
	}
	must(t, "replay", "--dir", dir, "--from", "2026-01-01")
	down(t, dir, p)
}

func TestWhatIsNotReplayedIsNamedOnce(t *testing.T) {
	t.Parallel()
	r := replayReport{others: []string{"tmall/a users", "tmall/a orders", "tmall/a users"}}
	if got := r.notAskedFor(); !slices.Equal(got, []string{"tmall/a orders", "tmall/a users"}) {
		t.Errorf("it names %v", got)
	}
}

// A demo that has ended is replayed as one that runs: its payloads are mapped by the
// connectors of its platforms.
func TestReplayOfADemo(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	r := decode[replayReport](t, must(t, "replay", "--dir", dir, "--from", "2000-01-01", "--json").stdout)
	stored := one(t, dir, "SELECT count() FROM customer_orders")
	if orders, err := strconv.Atoi(stored); err != nil || r.Rows < orders || r.Refused > 0 {
		t.Errorf("of %s orders and more %+v was replayed (%v)", stored, r, err)
	}
}
