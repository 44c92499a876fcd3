package clickhouse

import (
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"oneid/internal/embedded/chdb"
	"oneid/internal/embedded/chdb/chdbtest"
	schema "oneid/schemas/clickhouse"
)

// The BI user reads every public view and no table.
func TestBIReadsTheViewsAlone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, err := chdb.Start(t.Context(), chdb.Config{
		Library: chdbtest.Library(t), Folder: filepath.Join(folder, "clickhouse"), Secrets: filepath.Join(folder, "secrets"),
		Database: "oneid", NoSync: true, BI: true, PublicViews: schema.PublicViews, Log: slog.New(slog.DiscardHandler),
		Command: chdbtest.Command(), Environment: chdbtest.Environment(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := Open(t.Context(), Config{URL: s.URL(), Database: "oneid", User: s.User(), Password: s.Password()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.RefreshViews(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask := func(query string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.BIURL()+"/?database=oneid", strings.NewReader(query))
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth(s.BIUser(), s.BIPassword())
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	for _, view := range schema.PublicViews {
		if status, body := ask("SELECT * FROM " + view); status != http.StatusOK || body != "" {
			t.Errorf("%s: %d %s", view, status, body)
		}
	}
	for _, table := range []string{"orders", "orders_now", "customer_360_rows", "identity_map", "identifier_values", "raw_events", "evidence", "squash_snapshot"} {
		if status, body := ask("SELECT * FROM " + table); status == http.StatusOK {
			t.Errorf("bi may read %s: %s", table, body)
		}
	}
}
