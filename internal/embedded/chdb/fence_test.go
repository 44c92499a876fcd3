package chdb_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"oneid/internal/embedded/chdb"
)

func post(t *testing.T, address, user, password, statement string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(user, password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// The operating system's layer, seen through the application's listener, where
// no other layer is: what the process itself may not do, no statement can.
func TestTheProcessIsConfined(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("the secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	called := make(chan struct{}, 10)
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { called <- struct{}{} }))
	}()
	s := start(t, filepath.Join(t.TempDir(), "clickhouse"), nil)
	for name, statement := range map[string]string{
		"read by a function":   "SELECT file('" + secret + "')",
		"read by a table":      "SELECT * FROM file('" + secret + "', 'LineAsString')",
		"read as a table":      "SELECT * FROM default.`" + secret + "`",
		"passwords":            "SELECT file('" + s.SecretFile() + "')",
		"system's users":       "SELECT file('/etc/passwd')",
		"parent's environment": fmt.Sprintf("SELECT file('/proc/%d/environ')", os.Getpid()),
		"own memory":           "SELECT file('/proc/self/environ')",
		"own mounts":           "SELECT file('/proc/self/mountinfo')",
		"own vector":           "SELECT file('/proc/self/auxv')",
		"write":                "INSERT INTO FUNCTION file('" + outside + "/out', 'CSV', 'a Int8') VALUES (1)",
		"connect":              "SELECT * FROM url('http://" + listener.Addr().String() + "/', 'LineAsString')",
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := post(t, s.URL(), s.User(), s.Password(), statement); status == http.StatusOK {
				t.Errorf("%s: %q", statement, body)
			}
		})
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside of its folder are now %v, %v", entries, err)
	}
	if len(called) > 0 {
		t.Error("the engine opened a connection")
	}
	inside := filepath.Join(filepath.Dir(s.SecretFile()), "..", "clickhouse", "config.xml")
	if status, body := post(t, s.URL(), s.User(), s.Password(), "SELECT length(file('"+filepath.Clean(inside)+"')) > 0"); status != 200 || body != "1\n" {
		t.Errorf("a file in its folder: %d %s: so the refusals above show nothing", status, body)
	}
}

// A BI user over the usual driver, from the first start to a restart.
func TestBIOverTheDriver(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "clickhouse"), func(c *chdb.Config) {
		c.BI, c.PublicViews = true, []string{"customer_360"}
	})
	for _, statement := range []string{
		"CREATE TABLE facts (customer_id UUID, amount Decimal(18, 2), version UInt128) ENGINE = ReplacingMergeTree(version) ORDER BY customer_id",
		"INSERT INTO facts VALUES ('0192a3b4-0000-7000-8000-000000000001', 12.5, 1)",
		"CREATE VIEW customer_360 (customer_id UUID COMMENT 'who', amount Decimal(18, 2) COMMENT 'how much') DEFINER = CURRENT_USER SQL SECURITY DEFINER AS SELECT customer_id, amount FROM oneid.facts FINAL",
	} {
		if status, body := post(t, s.URL(), s.User(), s.Password(), statement); status != http.StatusOK {
			t.Fatalf("%s: %d %s", statement, status, body)
		}
	}
	for _, method := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionLZ4, clickhouse.CompressionGZIP} {
		conn := connect(t, strings.TrimPrefix(s.BIURL(), "http://"), s.BIUser(), s.BIPassword(), s.Database(), method)
		var n uint64
		if err := conn.QueryRow(t.Context(), "SELECT count() FROM customer_360 WHERE customer_id = {id:UUID}", clickhouse.Named("id", "0192a3b4-0000-7000-8000-000000000001")).Scan(&n); err != nil || n != 1 {
			t.Errorf("rows = %d, %v; want 1", n, err)
		}
		if err := conn.QueryRow(t.Context(), "SELECT count() FROM facts").Scan(&n); err == nil {
			t.Error("BI read a private table")
		}
	}
	for _, attack := range []string{"SELECT file('/etc/passwd')", "SELECT * FROM facts", "SET ROLE app", "INSERT INTO facts SELECT * FROM facts", "SELECT query FROM system.processes"} {
		if status, body := post(t, s.BIURL(), s.BIUser(), s.BIPassword(), attack); status == http.StatusOK {
			t.Errorf("%s: %s", attack, body)
		}
	}
	if status, _ := post(t, s.URL(), s.BIUser(), s.BIPassword(), "SELECT 1"); status != http.StatusUnauthorized {
		t.Errorf("BI at the application's listener: %d", status)
	}
}

// Where the system has no fence, BI has no listener, unless it is asked for.
func TestNoBIWithoutLandlock(t *testing.T) {
	defer chdb.WithoutLandlock()()
	for _, unconfined := range []bool{false, true} {
		var log bytes.Buffer
		s := start(t, filepath.Join(t.TempDir(), "clickhouse"), func(c *chdb.Config) {
			c.BI, c.BIUnconfined, c.Log = true, unconfined, slog.New(slog.NewTextHandler(&log, nil))
		})
		if got := s.BIURL() != ""; got != unconfined {
			t.Errorf("unconfined %t: BI is at %q", unconfined, s.BIURL())
		}
		if _, err := os.Stat(s.BISecretFile()); (err == nil) != unconfined {
			t.Errorf("unconfined %t: the file of BI's password: %v", unconfined, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "clickhouse.bi.unconfined") {
			t.Errorf("unconfined %t: the log does not tell the setting: %s", unconfined, log.String())
		}
	}
}

// The cap holds for a confined engine too, which reads what it uses from /proc.
func TestMemoryIsCapped(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "clickhouse"), func(c *chdb.Config) { c.MemoryBytes = 1 << 30 })
	status, body := post(t, s.URL(), s.User(), s.Password(), "SELECT length(groupArray(number)) FROM numbers(200000000)")
	if status == http.StatusOK || !strings.Contains(body, "Code: 241") {
		t.Errorf("1.6 GB under a cap of 1 GiB: %d %s, want code 241", status, body)
	}
}
