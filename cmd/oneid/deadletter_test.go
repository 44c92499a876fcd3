package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"oneid/pipelines/deadletter"
)

// A line that the mapping refuses is a letter: listed without its bytes, shown
// to who may see it, loaded once the mapping is mended, and dropped when it is
// of no use; at rest and beside a running owner.
func TestDeadletter(t *testing.T) {
	t.Parallel()
	dir, in := begunFolder(t), t.TempDir()
	orders, mapping, mended := filepath.Join(in, "orders.csv"), filepath.Join(in, "wrong.yaml"), filepath.Join(in, "right.yaml")
	const secret = "invented-buyer"
	writeText(t, orders, "no,who,when,paid\n"+
		"A-1,"+secret+",2026-05-01 10:00:00,1.00\n"+
		"A-2,"+secret+",03.05.2026,2.00\n"+
		"A-3,"+secret+",04.05.2026,3.00\n"+
		"A-4,"+secret+",never,4.00\n")
	text := "platform: weidian\nshop: \"1\"\nkind: orders\ncolumns:\n  order_id: no\n  account: who\n  paid: paid\n  created_at: {column: when, format: \"FORMAT\"}\n"
	writeText(t, mapping, strings.ReplaceAll(text, "FORMAT", "YYYY-MM-DD HH:mm:ss"))
	writeText(t, mended, strings.ReplaceAll(text, "FORMAT", "DD.MM.YYYY"))
	wantRefused(t, oneid(t, "import", "--dir", dir, "--mapping", mapping, orders), 3, "3 rows were refused")

	list := func(more ...string) []deadletter.Letter {
		t.Helper()
		out := must(t, append([]string{"deadletter", "list", "--dir", dir, "--json"}, more...)...).stdout
		if strings.Contains(out, secret) {
			t.Errorf("the list shows what is sealed:\n%s", out)
		}
		return decode[[]deadletter.Letter](t, out)
	}
	letters := list()
	if len(letters) != 3 {
		t.Fatalf("%d letters, want 3: %+v", len(letters), letters)
	}
	for _, l := range letters {
		if l.Platform != "weidian" || l.Shop != "1" || l.Stream != "orders" || l.Reason != "map" || !strings.HasPrefix(l.Origin, "orders.csv line ") || l.Attempts != 1 || l.State != "open" {
			t.Errorf("letter %+v", l)
		}
	}
	if got := one(t, dir, "SELECT count(), uniqExact(letter_id), any(state) FROM dead_letters"); got != "3 3 open" {
		t.Errorf("the view has %s", got)
	}
	if a := must(t, "deadletter", "show", "--dir", dir, letters[0].ID); !strings.Contains(a.stdout, secret) || strings.Contains(a.stderr, secret) {
		t.Errorf("show prints %q and %q", a.stdout, a.stderr)
	}
	wantRefused(t, oneid(t, "deadletter", "show", "--dir", dir, "none"), 1, "no dead letter none", "hint: ")
	for _, command := range []string{"replay", "drop"} {
		wantRefused(t, oneid(t, "deadletter", command, "--dir", dir), 1, "no letters are named", "--all")
	}
	// With the same mapping they stay, tried once more.
	wantRefused(t, oneid(t, "deadletter", "replay", "--dir", dir, "--mapping", mapping, "--all"), 3, "kept: ", "3 letters are still")

	// Beside an owner the bytes want a key of their own scope.
	p, e := up(t, dir)
	for _, none := range [][]string{{"--reason", "decode"}, {"--platform", "tmall"}, {"--shop", "weidian/2"}} {
		if got := list(none...); len(got) != 0 {
			t.Errorf("%v lists %+v", none, got)
		}
	}
	if got := list("--shop", "weidian/1", "--limit", "2"); len(got) != 2 {
		t.Errorf("--limit 2 lists %d", len(got))
	}
	if out := must(t, "deadletter", "list", "--dir", dir).stdout; strings.Count(out, "\n") != 4 || strings.Contains(out, secret) {
		t.Errorf("the list for people is\n%s", out)
	}
	wantRefused(t, oneid(t, "deadletter", "show", "--dir", dir, letters[0].ID), 1, "deadletter:show", "hint: ", "apikey create")
	wantRefused(t, oneid(t, "deadletter", "show", "--dir", dir, "--key-file", filepath.Join(dir, e.API.KeyFile), letters[0].ID), 1, "deadletter:show", "hint: ")
	key := filepath.Join(in, "duty.key")
	writeText(t, key, must(t, "apikey", "create", "--dir", dir, "--scope", "deadletter:show", "on duty").stdout)
	shown := decode[struct {
		ID    string `json:"letter_id"`
		Bytes []byte `json:"bytes"`
	}](t, must(t, "deadletter", "show", "--dir", dir, "--key-file", key, "--json", letters[0].ID).stdout)
	if shown.ID != letters[0].ID || !strings.Contains(string(shown.Bytes), secret) || !json.Valid(shown.Bytes) {
		t.Errorf("show answers %s with %d bytes", shown.ID, len(shown.Bytes))
	}
	wantRefused(t, oneid(t, "deadletter", "show", "--dir", dir, "--key-file", key, "none"), 1, "no dead letter none")
	audit := query(t, e, dir, "SELECT who, object FROM audit ORDER BY at")
	if lines := strings.Split(strings.TrimSpace(audit), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[0], "command line") ||
		!strings.Contains(lines[1], "(on duty)") || strings.Count(audit, letters[0].ID) != 2 || strings.Contains(audit, secret) {
		t.Errorf("the audit is\n%s", audit)
	}

	// Mended, two are loaded; the third is dropped.
	wantRefused(t, oneid(t, "deadletter", "replay", "--dir", dir, "--mapping", mended, "--reason", "map"), 3, "1 letters are still")
	if got := one(t, dir, "SELECT count(), sum(toUInt64(order_id != 'A-4')) FROM customer_orders"); got != "3 3" {
		t.Errorf("after the replay the view has %s orders", got)
	}
	left := list()
	if len(left) != 1 || left[0].Attempts != 3 || left[0].ChangedBy == "" {
		t.Fatalf("left are %+v", left)
	}
	if report := decode[deadletter.Report](t, must(t, "deadletter", "drop", "--dir", dir, "--json", left[0].ID).stdout); report.Dropped != 1 {
		t.Errorf("drop says %+v", report)
	}
	if got := list(); len(got) != 0 {
		t.Errorf("after the drop there are %+v", got)
	}
	if got := list("--closed"); len(got) != 3 {
		t.Errorf("with those that are closed there are %+v", got)
	}
	if got := one(t, dir, "SELECT countIf(state = 'replayed'), countIf(state = 'dropped') FROM dead_letters"); got != "2 1" {
		t.Errorf("the view has %s replayed and dropped", got)
	}
	// Killed, and started again, it is as it was; a file that comes again
	// brings nothing back.
	if a := p.signal(t, syscall.SIGKILL); a.code == 0 {
		t.Error("it was not killed")
	}
	wantRefused(t, oneid(t, "import", "--dir", dir, "--mapping", mapping, orders), 3)
	if got := one(t, dir, "SELECT count(), countIf(state = 'replayed'), countIf(state = 'dropped') FROM dead_letters"); got != "3 2 1" {
		t.Errorf("after a kill and the file again the view has %s", got)
	}
}

// query asks the owner's ClickHouse as the program itself.
func query(t *testing.T, e Endpoints, dir, sql string) string {
	t.Helper()
	app, err := folder(dir).sqlUser(e.ClickHouse)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := ask(t.Context(), app, sql, "TabSeparated", &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// What others wrote into a name moves no cursor and begins no line.
func TestTextsOfOthersStayInTheirLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"订单 “一”.csv line 3, \"a\\b\"": "订单 “一”.csv line 3, \"a\\b\"",
		"a\x1b[2Kb\nok\r\u202ec\xff":  `a\x1b[2Kb\nok\r\u202ec\xff`,
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}
