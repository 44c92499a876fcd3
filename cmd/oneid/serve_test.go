package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"oneid/internal/api"
)

// served waits until a `serve` says where it answers.
func served(t *testing.T, p *process) string {
	t.Helper()
	var url string
	eventually(t, 20*time.Second, "serve serves", func() (bool, string) {
		_, rest, ok := strings.Cut(p.stderr.String(), "serving ")
		url, _, _ = strings.Cut(rest, ";")
		return ok && strings.Contains(rest, ";"), p.stderr.String()
	})
	return url
}

// askAPI asks the look-up API and gives status and body.
func askAPI(t *testing.T, method, url, key, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
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
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// wantWordTaken checks that a machine which serves look-ups alone takes a
// decision, and that the resolver of another one follows it.
func wantWordTaken(t *testing.T, s *servers) {
	t.Helper()
	dir := s.machine()
	key := strings.TrimSpace(must(t, "apikey", "create", "--dir", dir, "--scope", "customers:decide", "desk").stdout)
	p := start(t, "serve", "--dir", dir)
	url := served(t, p)
	a, _ := accountsOf(0)
	b, _ := accountsOf(1)
	code, said := askAPI(t, http.MethodPost, url+"/v1/decisions", key, fmt.Sprintf(`{"kind":"different","accounts":[%q,%q],"reason":"two at the counter"}`, a, b))
	if code != http.StatusCreated {
		t.Fatalf("serve answers a decision with %d: %s", code, said)
	}
	made := decode[api.Decision](t, said)
	eventually(t, 30*time.Second, "the resolver follows the decision", func() (bool, string) {
		_, said := askAPI(t, http.MethodGet, url+"/v1/decisions", key, "")
		list := decode[api.DecisionList](t, said)
		return len(list.Decisions) == 1 && list.Decisions[0].ID == made.ID && list.Decisions[0].Resolved, said
	})
	if code, said := askAPI(t, http.MethodGet, url+"/v1/reviews", key, ""); code != http.StatusOK {
		t.Errorf("serve answers /v1/reviews with %d: %s", code, said)
	}
	p.signal(t, syscall.SIGTERM)
}
