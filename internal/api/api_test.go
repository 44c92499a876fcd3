package api

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oneid/internal/customer"
)

var update = flag.Bool("update", false, "write golden files anew")

const knownID = "6f1c1f0e-8f5e-8c57-9d0b-2d3c4b5a6978"

// answers is a Customers that knows one customer; what it is asked decides
// how it fails, so that each answer of the API can be seen.
type answers struct{}

func (answers) Lookup(ctx context.Context, key customer.Key, whoOnly bool) (customer.Profile, error) {
	switch {
	case key.Phone == "away":
		return customer.Profile{}, fmt.Errorf("%w: clickhouse", customer.ErrUnavailable)
	case key.Phone == "slow":
		<-ctx.Done()
		return customer.Profile{}, ctx.Err()
	case key.Phone == "batch":
		// A bound of the store's own, tighter than the request's.
		return customer.Profile{}, fmt.Errorf("clickhouse: read: %w", context.DeadlineExceeded)
	case key.Phone == "broken":
		return customer.Profile{}, errors.New("a secret detail")
	case key.Phone == "" && key.Customer == "":
		return customer.Profile{}, fmt.Errorf("%w: give exactly one", customer.ErrBadKey)
	case key.Phone == "13800001111" || key.Customer == knownID:
		profile := customer.Profile{Who: customer.Who{CustomerID: knownID, Identified: true}}
		if !whoOnly {
			profile.Totals = []customer.Totals{{Currency: "CNY", Orders: 1, PaidAmount: "1.00", RefundedAmount: "0.00", NetAmount: "1.00"}}
		}
		return profile, nil
	}
	return customer.Profile{}, customer.ErrNotFound
}

func (answers) Orders(context.Context, string, int) ([]customer.Order, error)   { return nil, nil }
func (answers) Tickets(context.Context, string, int) ([]customer.Ticket, error) { return nil, nil }

// words is a Decisions that knows one decision.
type words struct{}

func (words) Decide(_ context.Context, w Word) (Decision, bool, error) {
	switch w.Accounts[0] {
	case "tmall/s/never":
		return Decision{}, false, fmt.Errorf("%w: an account", customer.ErrNotFound)
	case "tmall/s/apart":
		return Decision{}, false, &ConflictError{IDs: []string{"d-1", "d-2"}}
	case "tmall/s/said":
		return Decision{ID: "d-1"}, false, nil
	case "nonsense":
		return Decision{}, false, fmt.Errorf("%w: write an account as platform/shop/id", customer.ErrBadKey)
	}
	return Decision{ID: "d-3", Kind: "same", Who: w.Who, Reason: w.Reason}, true, nil
}

func (words) Undo(_ context.Context, id, who, _ string, rules bool) (Decision, bool, error) {
	if id == "d-rules" {
		if !rules {
			return Decision{}, false, fmt.Errorf("%w: d-rules", ErrRules)
		}
		return Decision{ID: "d-5", Kind: "undo", Undoes: id, Who: who}, true, nil
	}
	if id != "d-1" {
		return Decision{}, false, fmt.Errorf("%w: a decision", customer.ErrNotFound)
	}
	return Decision{ID: "d-4", Kind: "undo", Undoes: id, Who: who}, true, nil
}

func (words) Reviews(context.Context, int) ([]Review, error) {
	return []Review{{Accounts: [2]string{"tmall/s/1", "douyin/s/2"}, Shares: []string{"phone"}, Reasons: []string{"per_shop"}}}, nil
}

func (words) ListDecisions(context.Context, int) (DecisionList, error) {
	return DecisionList{Decisions: []Decision{{ID: "d-1"}}, Conflicts: [][]string{{"d-1", "d-2"}}}, nil
}

// pasts knows one account and its id.
type pasts struct{}

func (pasts) OfAccount(_ context.Context, account, on string) ([]Move, error) {
	switch {
	case account == "nonsense":
		return nil, fmt.Errorf("%w: write an account as platform/shop/id", customer.ErrBadKey)
	case account != "tmall/s/1" || on == "2020-01-01":
		return nil, fmt.Errorf("%w: that account", customer.ErrNotFound)
	}
	return []Move{{Account: account, To: knownID, Why: "merged: decision", Words: []MoveBy{{ID: "d-1", Kind: "same", Who: "Ada", Reason: on}}}}, nil
}

func (pasts) OfCustomer(_ context.Context, id string) (Fate, error) {
	if id != knownID {
		return Fate{}, customer.ErrNotFound
	}
	return Fate{ID: id, Accounts: []string{}, RedirectsTo: "x"}, nil
}

// serve is a server whose requests are answered within a time.
func serve(t *testing.T, within time.Duration) (url, reader, metrics, letters, decider, ruler string) {
	t.Helper()
	keys := NewKeys(filepath.Join(t.TempDir(), "api-keys.json"))
	letters, _, err := keys.Create("on duty", []Scope{ScopeLetters}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	reader, _, err = keys.Create("desk", []Scope{ScopeRead}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	metrics, _, err = keys.Create("prometheus", []Scope{ScopeMetrics}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	decider, _, err = keys.Create("desk of words", []Scope{ScopeDecide}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ruler, _, err = keys.Create("head of data", []Scope{ScopeDecide, ScopeRules, ScopeExplain}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(Handler(Config{
		Customers: answers{}, Keys: keys, Decisions: words{}, History: pasts{},
		ShowLetter: func(_ context.Context, id, who string) (Letter, error) {
			if id != "b.users/0@17" {
				return Letter{}, customer.ErrNotFound
			}
			return Letter{ID: id, Detail: "for " + who, Bytes: []byte{0xff}}, nil
		},
		Ready:        func(context.Context) error { return errors.New("clickhouse is away") },
		Metrics:      http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "oneid_up 1\n") }),
		MaxBodyBytes: 1024, Timeout: within, Log: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(server.Close)
	return server.URL, reader, metrics, letters, decider, ruler
}

func TestAnswers(t *testing.T) {
	url, reader, metrics, letters, decider, ruler := serve(t, 5*time.Minute)
	hurried, inHaste, _, _, _, _ := serve(t, 50*time.Millisecond)
	for name, c := range map[string]struct {
		method, path, key, body string
		status                  int
		says                    string
	}{
		"found by phone":            {"POST", "/v1/customers:lookup", reader, `{"phone":"13800001111"}`, 200, `"paid_amount":"1.00"`},
		"who alone":                 {"POST", "/v1/customers:lookup?parts=who", reader, `{"phone":"13800001111"}`, 200, `"totals":null`},
		"not found":                 {"POST", "/v1/customers:lookup", reader, `{"phone":"13800002222"}`, 404, "no customer"},
		"no key in the body":        {"POST", "/v1/customers:lookup", reader, `{}`, 422, "exactly one"},
		"a key nobody knows":        {"POST", "/v1/customers:lookup", reader, `{"fax":"1"}`, 422, "fax"},
		"not JSON":                  {"POST", "/v1/customers:lookup", reader, `{"phone":"13800001111"`, 400, ""},
		"a phone and more":          {"POST", "/v1/customers:lookup", reader, `{"phone":"13800001111","x":1}`, 422, "unexpected property"},
		"a phone as a number":       {"POST", "/v1/customers:lookup", reader, `{"phone":13800001111}`, 422, "string"},
		"too large":                 {"POST", "/v1/customers:lookup", reader, `{"phone":"` + strings.Repeat("1", 2000) + `"}`, 413, ""},
		"too slow":                  {"POST", hurried + "/v1/customers:lookup", inHaste, `{"phone":"slow"}`, 504, ""},
		"a store is away":           {"POST", "/v1/customers:lookup", reader, `{"phone":"away"}`, 503, "try again"},
		"a store took too long":     {"POST", "/v1/customers:lookup", reader, `{"phone":"batch"}`, 504, "try again"},
		"an inner fault says least": {"POST", "/v1/customers:lookup", reader, `{"phone":"broken"}`, 500, "the log says why"},
		"no API key":                {"POST", "/v1/customers:lookup", "", `{"phone":"13800001111"}`, 401, "Authorization"},
		"a wrong API key":           {"POST", "/v1/customers:lookup", "oneid_0_x", `{"phone":"13800001111"}`, 401, "not known"},
		"a key of another scope":    {"POST", "/v1/customers:lookup", metrics, `{"phone":"13800001111"}`, 403, "customers:read"},
		"explain needs its scope":   {"GET", "/v1/customers/" + knownID + "/explain", reader, "", 403, "customers:explain"},
		"by id":                     {"GET", "/v1/customers/" + knownID, reader, "", 200, knownID},
		"an id that is none":        {"GET", "/v1/customers/17", reader, "", 422, "uuid"},
		"a dead letter":             {"POST", "/v1/deadletters:show", letters, `{"letter_id":"b.users/0@17"}`, 200, `"bytes":"/w=="`},
		"who asked is known":        {"POST", "/v1/deadletters:show", letters, `{"letter_id":"b.users/0@17"}`, 200, `(on duty)`},
		"no such letter":            {"POST", "/v1/deadletters:show", letters, `{"letter_id":"x"}`, 404, "no dead letter"},
		"letters need their scope":  {"POST", "/v1/deadletters:show", reader, `{"letter_id":"b.users/0@17"}`, 403, "deadletter:show"},
		"that scope opens no more":  {"POST", "/v1/customers:lookup", letters, `{"phone":"13800001111"}`, 403, "customers:read"},
		"a word":                    {"POST", "/v1/decisions", decider, `{"kind":"same","accounts":["tmall/s/1","tmall/s/2"],"reason":"she said so"}`, 201, `(desk of words)`},
		"a word of whom":            {"POST", "/v1/decisions", decider, `{"kind":"same","accounts":["tmall/s/1","tmall/s/2"],"reason":"she said so","by":"Ada"}`, 201, `"who":"Ada, API key`},
		"a word that stands":        {"POST", "/v1/decisions", decider, `{"kind":"same","accounts":["tmall/s/said","tmall/s/2"],"reason":"x"}`, 200, `d-1`},
		"a contradiction":           {"POST", "/v1/decisions", decider, `{"kind":"same","accounts":["tmall/s/apart","tmall/s/2"],"reason":"x"}`, 409, `decision d-2`},
		"of nobody known":           {"POST", "/v1/decisions", decider, `{"kind":"different","accounts":["tmall/s/never","tmall/s/2"],"reason":"x"}`, 404, `no such account`},
		"of no account":             {"POST", "/v1/decisions", decider, `{"kind":"different","accounts":["nonsense","tmall/s/2"],"reason":"x"}`, 422, `platform/shop/id`},
		"of one account":            {"POST", "/v1/decisions", decider, `{"kind":"different","accounts":["tmall/s/2"],"reason":"x"}`, 422, `accounts`},
		"without a reason":          {"POST", "/v1/decisions", decider, `{"kind":"different","accounts":["tmall/s/1","tmall/s/2"]}`, 422, `reason`},
		"of another kind":           {"POST", "/v1/decisions", decider, `{"kind":"erase","accounts":["tmall/s/1","tmall/s/2"],"reason":"x"}`, 422, `kind`},
		"words need their scope":    {"POST", "/v1/decisions", reader, `{"kind":"same","accounts":["tmall/s/1","tmall/s/2"],"reason":"x"}`, 403, `customers:decide`},
		"an undo":                   {"POST", "/v1/decisions:undo", decider, `{"decision_id":"d-1","reason":"x"}`, 201, `"undoes":"d-1"`},
		"an undo of nothing":        {"POST", "/v1/decisions:undo", decider, `{"decision_id":"d-9","reason":"x"}`, 404, `decision`},
		"a past":                    {"POST", "/v1/accounts:history", ruler, `{"account":"tmall/s/1","on":"2026-11-11"}`, 200, `"decision_id":"d-1"`},
		"a past needs its scope":    {"POST", "/v1/accounts:history", reader, `{"account":"tmall/s/1"}`, 403, "customers:explain"},
		"before it was born":        {"POST", "/v1/accounts:history", ruler, `{"account":"tmall/s/1","on":"2020-01-01"}`, 404, "not yet"},
		"the past of nonsense":      {"POST", "/v1/accounts:history", ruler, `{"account":"nonsense"}`, 422, "platform/shop/id"},
		"where an id went":          {"GET", "/v1/customers/" + knownID + "/history", ruler, "", 200, `"redirects_to":"x"`},
		"where no id went":          {"GET", "/v1/customers/11111111-1111-8111-8111-111111111111/history", ruler, "", 404, "never seen"},
		"that needs its scope":      {"GET", "/v1/customers/" + knownID + "/history", reader, "", 403, "customers:explain"},
		"reviews":                   {"GET", "/v1/reviews?limit=3", decider, "", 200, `"accounts":["tmall/s/1","douyin/s/2"]`},
		"reviews need their scope":  {"GET", "/v1/reviews", letters, "", 403, `customers:decide`},
		"rules need a scope more":   {"POST", "/v1/decisions:undo", decider, `{"decision_id":"d-rules","reason":"x"}`, 403, `rules:adopt`},
		"an undo of rules":          {"POST", "/v1/decisions:undo", ruler, `{"decision_id":"d-rules","reason":"x"}`, 201, `"undoes":"d-rules"`},
		"undos need their scope":    {"POST", "/v1/decisions:undo", letters, `{"decision_id":"d-1","reason":"x"}`, 403, `customers:decide`},
		"what was said":             {"GET", "/v1/decisions", decider, "", 200, `"conflicts":[["d-1","d-2"]]`},
		"the list needs its scope":  {"GET", "/v1/decisions", reader, "", 403, `customers:decide`},
		"alive":                     {"GET", "/healthz", "", "", 200, "ok"},
		"not ready says why":        {"GET", "/readyz", "", "", 503, "clickhouse is away"},
		"metrics":                   {"GET", "/metrics", metrics, "", 200, "oneid_up"},
		"metrics want a key":        {"GET", "/metrics", "", "", 401, "Authorization"},
		"metrics want their scope":  {"GET", "/metrics", reader, "", 403, "metrics"},
		"a path that is none":       {"GET", "/nope", "", "", 404, "openapi"},
		"the method of another":     {"GET", "/v1/customers:lookup?phone=13800001111", "", "", 405, "POST"},
		"a phone in the URL":        {"POST", "/v1/customers:lookup?phone=13800001111", reader, `{"phone":"13800001111"}`, 422, "unknown"},
		"the document is open":      {"GET", "/openapi.json", "", "", 200, `"openapi":"3.1`},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(c.path, "/") {
				c.path = url + c.path
			}
			request, err := http.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if c.body != "" {
				request.Header.Set("Content-Type", "application/json")
			}
			if c.key != "" {
				request.Header.Set("Authorization", "Bearer "+c.key)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.status || !strings.Contains(string(body), c.says) {
				t.Errorf("%s %s = %d %s, want %d with %q", c.method, c.path, response.StatusCode, body, c.status, c.says)
			}
			if response.StatusCode >= 400 && strings.Contains(string(body), "1380000") {
				t.Error("an error repeats the phone that was sent")
			}
			if strings.Contains(string(body), "secret detail") {
				t.Error("an inner error reached the caller")
			}
			if response.StatusCode >= 400 {
				if got := response.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/problem+json") {
					t.Errorf("Content-Type of an error = %q, want application/problem+json", got)
				}
			}
		})
	}
}

func TestKeysAreHashedAtRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api-keys.json")
	keys := NewKeys(path)
	key, made, err := keys.Create("desk", []Scope{ScopeRead}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), key) || strings.Contains(string(data), key[len("oneid_")+9:]) {
		t.Error("the key itself lies in the file")
	}
	if stat, _ := os.Stat(path); stat.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, want 0600", stat.Mode().Perm())
	}
	if err := keys.Revoke(made.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := keys.find(key); ok {
		t.Error("a revoked key is still good")
	}
	if _, _, err := keys.Create("x", []Scope{"all"}, time.Now()); err == nil {
		t.Error("a scope that is none gave no error")
	}
}

func TestOpenAPIGolden(t *testing.T) {
	got, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var pretty any
	if err := json.Unmarshal(got, &pretty); err != nil {
		t.Fatal(err)
	}
	got, _ = json.MarshalIndent(pretty, "", "  ")
	const golden = "testdata/openapi.json"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got)+"\n" {
		t.Error("the API is not what testdata/openapi.json says; run with -update and read the diff")
	}
}
