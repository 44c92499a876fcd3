package main

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oneid/internal/api"
	"oneid/pipelines/decide"
)

// A person's word joins and parts customers, at rest, beside a running owner
// and through its API; what contradicts it is refused by name.
func TestDecide(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	two := rows(t, dir, "SELECT any(account) AS a, customer_id FROM customer_orders WHERE platform = 'weidian' AND account NOT LIKE '%order:%' GROUP BY customer_id ORDER BY a LIMIT 3")
	if len(two) != 3 {
		t.Fatalf("the demo has %d customers to decide about", len(two))
	}
	a, b, c := two[0][0], two[1][0], two[2][0]
	customers := func() string {
		t.Helper()
		return one(t, dir, fmt.Sprintf("SELECT uniqExact(customer_id) FROM customer_orders WHERE account IN ('%s', '%s')", a, b))
	}
	wantRefused(t, oneid(t, "decide", "same", "--dir", dir, a, b), 2, "--reason")
	wantRefused(t, oneid(t, "decide", "same", "--dir", dir, "--reason", "x", a, "weidian/1/nobody-of-that-name"), 1, "no such account", "hint: ")
	wantRefused(t, oneid(t, "decide", "undo", "--dir", dir, "--reason", "x", "none"), 1, "no such decision", "decide list --all")

	same := decode[decided](t, must(t, "decide", "same", "--dir", dir, "--json", "--by", "Ada", "--reason", "both at the counter", a, b).stdout)
	if same.Already || !same.Resolved || len(same.Customers) != 2 || same.Customers[0] != same.Customers[1] || same.Who != "Ada" {
		t.Fatalf("same says %+v", same)
	}
	if got := customers(); got != "1" {
		t.Errorf("after same the view has %s customers", got)
	}

	// Beside an owner, by the command line and by the API.
	p, e := up(t, dir)
	wantRefused(t, oneid(t, "decide", "different", "--dir", dir, "--reason", "x", a, b), 1, same.ID, "by Ada", "hint: ", "decide undo")
	if out := must(t, "decide", "same", "--dir", dir, "--reason", "x", b, a).stdout; !strings.Contains(out, "already") || !strings.Contains(out, "both at the counter") {
		t.Errorf("said again it says\n%s", out)
	}
	undo := decode[decided](t, must(t, "decide", "undo", "--dir", dir, "--json", "--reason", "her sister", same.ID).stdout)
	if undo.Undoes != same.ID || !undo.Resolved || !strings.HasPrefix(undo.Who, "command line") {
		t.Errorf("undo says %+v", undo)
	}
	if got := customers(); got != "2" {
		t.Errorf("after the undo the view has %s customers", got)
	}
	key := strings.TrimSpace(must(t, "apikey", "create", "--dir", dir, "--scope", "customers:decide", "desk").stdout)
	ask := func(method, path, body string, want int) []byte {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, e.API.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var out bytes.Buffer
		if _, err := out.ReadFrom(response.Body); err != nil || response.StatusCode != want {
			t.Errorf("%s %s answers %s: %s (%v), want %d", method, path, response.Status, out.String(), err, want)
		}
		return out.Bytes()
	}
	word := func(kind, x, y string) string {
		return fmt.Sprintf(`{"kind":%q,"accounts":[%q,%q],"reason":"a call","by":"Bob"}`, kind, x, y)
	}
	apart := decode[api.Decision](t, string(ask("POST", "/v1/decisions", word("different", a, c), 201)))
	if !strings.HasPrefix(apart.Who, "Bob, API key") {
		t.Errorf("who decides is %q", apart.Who)
	}
	ask("POST", "/v1/decisions", word("different", c, a), 200)
	if out := ask("POST", "/v1/decisions", word("same", a, c), 409); !bytes.Contains(out, []byte(apart.ID)) {
		t.Errorf("the conflict does not name %s: %s", apart.ID, out)
	}
	ask("POST", "/v1/decisions", word("same", a, "weidian/1/nobody"), 404)
	eventually(t, 30*time.Second, "the API's decision is resolved", func() (bool, string) {
		list := decode[api.DecisionList](t, string(ask("GET", "/v1/decisions", "", 200)))
		return len(list.Decisions) == 3 && list.Decisions[0].ID == apart.ID && list.Decisions[0].Resolved, fmt.Sprintf("%+v", list)
	})
	ask("POST", "/v1/decisions:undo", fmt.Sprintf(`{"decision_id":%q,"reason":"a mistake"}`, apart.ID), 201)
	audit := query(t, e, dir, "SELECT action, who FROM audit WHERE action LIKE 'decision.%' ORDER BY at")
	if lines := strings.Split(strings.TrimSpace(audit), "\n"); len(lines) != 4 || lines[0] != "decision.same\tAda" || !strings.Contains(lines[2], "Bob") {
		t.Errorf("the audit is\n%s", audit)
	}
	down(t, dir, p)

	// At rest, the list knows what was not resolved yet, too.
	if list := decode[decide.List](t, must(t, "decide", "list", "--dir", dir, "--json").stdout); len(list.Decisions) != 0 || list.Conflicts == nil {
		t.Errorf("nothing stands, and the list says %+v", list)
	}
	if list := decode[decide.List](t, must(t, "decide", "list", "--dir", dir, "--all", "--json").stdout); len(list.Decisions) != 4 {
		t.Errorf("of all there are %+v", list)
	}
	if out := must(t, "decide", "list", "--dir", dir, "--all").stdout; strings.Count(out, "\n") != 5 || !strings.Contains(out, "her sister") {
		t.Errorf("the list for people is\n%s", out)
	}
	wantRefused(t, oneid(t, "decide", "list", "--dir", filepath.Join(dir, "none")), 1)
}
