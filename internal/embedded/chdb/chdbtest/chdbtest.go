// Package chdbtest gives tests a real engine: one child process a test binary,
// one database a test.
//
// The engine's process is the test binary itself, so the package under test
// needs
//
//	func TestMain(m *testing.M) { chdbtest.Main(m) }
package chdbtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"oneid/internal/embedded/chdb"
	"oneid/internal/embedded/chdb/install"
)

// childMark is in the environment of a test binary that is the engine's process.
const childMark = "ONEID_CHDBTEST_CHILD"

// Main is the body of a TestMain. In the engine's process it serves; else it
// runs the tests and ends the engine, if a test has started it.
func Main(m *testing.M) {
	if IsChild() {
		Child()
	}
	code := m.Run()
	if err := closeShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// IsChild reports whether this process is to be the engine: for a TestMain with
// more to do than Main.
func IsChild() bool { return os.Getenv(childMark) != "" }

// Child serves and ends the process.
func Child() {
	if err := chdb.ServeMain(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command and Environment make a chdb.Config start this test binary as the engine.
func Command() []string {
	program, err := os.Executable()
	if err != nil {
		panic(err) // the system cannot name the running program: no test can go on
	}
	return []string{program}
}

// Environment goes with Command.
func Environment() []string { return []string{childMark + "=1"} }

// Database is an empty database of a running engine.
type Database struct {
	URL      string // http://127.0.0.1:PORT
	Address  string // 127.0.0.1:PORT, for clickhouse.Options.Addr
	User     string
	Password string
	Name     string
}

// DSN for clickhouse.ParseDSN, with credentials.
func (d Database) DSN() string {
	return fmt.Sprintf("http://%s:%s@%s/%s", d.User, d.Password, d.Address, d.Name)
}

var shared struct {
	sync.Once
	server *chdb.Server
	folder string
	err    error
}

// Start returns a fresh database of the engine that all tests of the binary
// share, which is started (and its library fetched) by the first call. The
// database is dropped when the test ends.
func Start(t testing.TB) Database {
	t.Helper()
	shared.Do(startShared)
	if shared.err != nil {
		t.Fatalf("start the engine: %v", shared.err)
	}
	s := shared.server
	d := Database{URL: s.URL(), Address: strings.TrimPrefix(s.URL(), "http://"), User: s.User(), Password: s.Password(), Name: "test_" + strings.ToLower(rand.Text())[:12]}
	outside := d
	outside.Name = s.Database()
	if err := outside.Exec(t.Context(), "CREATE DATABASE "+d.Name+" ENGINE = Atomic"); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
		defer cancel()
		if err := outside.Exec(ctx, "DROP DATABASE "+d.Name+" SYNC"); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return d
}

// Exec runs one statement.
func (d Database) Exec(ctx context.Context, statement string) error {
	_, err := d.Query(ctx, statement)
	return err
}

// Query runs one statement and returns what it answers, tab separated.
func (d Database) Query(ctx context.Context, statement string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL+"/?database="+d.Name, strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	request.SetBasicAuth(d.User, d.Password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%d: %s", response.StatusCode, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}

// Library returns the path of the engine's library, fetched if it is not there.
func Library(t testing.TB) string {
	t.Helper()
	path, err := install.Install(t.Context(), install.Options{})
	if err != nil {
		t.Fatalf("install the engine: %v", err)
	}
	return path
}

func startShared() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	library, err := install.Install(ctx, install.Options{})
	if err != nil {
		shared.err = err
		return
	}
	if shared.folder, shared.err = os.MkdirTemp("", "oneid-engine-"); shared.err != nil {
		return
	}
	shared.server, shared.err = chdb.Start(ctx, chdb.Config{
		Library: library, Folder: filepath.Join(shared.folder, "clickhouse"), NoSync: true, MemoryBytes: 4 << 30,
		Command: Command(), Environment: Environment(),
	})
}

func closeShared() error {
	var err error
	if shared.server != nil {
		err = shared.server.Close()
	}
	if shared.folder != "" {
		if removed := os.RemoveAll(shared.folder); err == nil {
			err = removed
		}
	}
	return err
}
