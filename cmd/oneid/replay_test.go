package main

import (
	"path/filepath"
	"strings"
	"testing"
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
	if a := must(t, "replay", "--dir", dir, "--from", "2026-01-01"); !strings.Contains(a.stdout, "4 without a mapping") {
		t.Errorf("without a mapping: %s", a.stdout)
	}
}
