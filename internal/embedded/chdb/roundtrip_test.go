package chdb_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"oneid/internal/embedded/chdb"
	"oneid/internal/embedded/chdb/chdbtest"
)

// ownParent makes this test binary a parent that starts an engine and waits to be killed.
const ownParent = "ONEID_CHDB_TEST_PARENT"

func TestMain(m *testing.M) {
	if folder := os.Getenv(ownParent); folder != "" && !chdbtest.IsChild() {
		beParent(folder)
	}
	chdbtest.Main(m)
}

func connect(t *testing.T, address, user, password, database string, method clickhouse.CompressionMethod) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{address},
		Auth:        clickhouse.Auth{Database: database, Username: user, Password: password},
		Compression: &clickhouse.Compression{Method: method, Level: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func open(t *testing.T, method clickhouse.CompressionMethod) driver.Conn {
	t.Helper()
	d := chdbtest.Start(t)
	return connect(t, d.Address, d.User, d.Password, d.Name, method)
}

// Every compression that clickhouse-go offers, but br, carries every type there and back.
func TestTypesComeBackAsTheyWent(t *testing.T) {
	for name, method := range map[string]clickhouse.CompressionMethod{
		"none": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD,
		"gzip": clickhouse.CompressionGZIP, "deflate": clickhouse.CompressionDeflate,
	} {
		t.Run(name, func(t *testing.T) {
			conn, ctx := open(t, method), t.Context()
			if err := conn.Exec(ctx, `CREATE TABLE all_types (
				n UInt64, big UInt128, s String, l LowCardinality(String), ln LowCardinality(Nullable(String)), nul Nullable(Int32),
				a Array(String), aa Array(Array(UInt8)), m Map(String, UInt64), d DateTime('Asia/Shanghai'), d64 DateTime64(3, 'UTC'),
				money Decimal(18, 2), id UUID, e Enum8('a' = 1, 'b' = 2), b Bool, f FixedString(3), t Tuple(x Int8, y String), f64 Float64
			) ENGINE = MergeTree ORDER BY n`); err != nil {
				t.Fatal(err)
			}
			shanghai, err := time.LoadLocation("Asia/Shanghai")
			if err != nil {
				t.Fatal(err)
			}
			text, number := "低", int32(-7)
			big128, _ := new(big.Int).SetString("123456789012345678901234567890123456", 10)
			want := []any{
				uint64(1) << 60, *big128, "quote ' tab\t line\n 中文 \x00", "low", &text, &number,
				[]string{"a", ""}, [][]uint8{{1, 2}, {}}, map[string]uint64{"k": 9}, time.Date(2026, 11, 11, 0, 0, 1, 0, shanghai), time.Date(2026, 11, 11, 1, 2, 3, 45e6, time.UTC),
				decimal.RequireFromString("-12.34"), uuid.MustParse("0192a3b4-0000-7000-8000-000000000001"), "b", true, "xyz", map[string]any{"x": int8(-1), "y": "z"}, 1.5,
			}
			batch, err := conn.PrepareBatch(ctx, "INSERT INTO all_types")
			if err != nil {
				t.Fatal(err)
			}
			if err := batch.Append(want...); err != nil {
				t.Fatal(err)
			}
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
			var got struct {
				n    uint64
				big  big.Int
				s, l string
				ln   *string
				nul  *int32
				a    []string
				aa   [][]uint8
				m    map[string]uint64
				d    time.Time
				d64  time.Time
				cash decimal.Decimal
				id   uuid.UUID
				e    string
				b    bool
				f    string
				t    map[string]any
				f64  float64
			}
			if err := conn.QueryRow(ctx, "SELECT * FROM all_types").Scan(&got.n, &got.big, &got.s, &got.l, &got.ln, &got.nul, &got.a, &got.aa, &got.m, &got.d, &got.d64, &got.cash, &got.id, &got.e, &got.b, &got.f, &got.t, &got.f64); err != nil {
				t.Fatal(err)
			}
			back := []any{got.n, got.big, got.s, got.l, got.ln, got.nul, got.a, got.aa, got.m, got.d, got.d64, got.cash, got.id, got.e, got.b, got.f, got.t, got.f64}
			if d := cmp.Diff(want, back, cmp.Comparer(func(a, b big.Int) bool { return a.Cmp(&b) == 0 })); d != "" {
				t.Errorf("types changed on their way (-sent +came back):\n%s", d)
			}
			// No rows: the driver still learns the columns.
			rows, err := conn.Query(ctx, "SELECT n, l, s FROM all_types WHERE n = 0")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]string{"n", "l", "s"}, rows.Columns()); d != "" || rows.Next() {
				t.Errorf("columns of an empty result (-want +got):\n%s", d)
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				t.Errorf("an empty result: %v", err)
			}
		})
	}
}

func TestBigResultAndBigInsert(t *testing.T) {
	conn, ctx := open(t, clickhouse.CompressionLZ4), t.Context()
	if err := conn.Exec(ctx, "CREATE TABLE n (a UInt64, s String) ENGINE = MergeTree ORDER BY a"); err != nil {
		t.Fatal(err)
	}
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO n")
	if err != nil {
		t.Fatal(err)
	}
	const n = 200_000
	for i := range n {
		if err := batch.Append(uint64(i), fmt.Sprint("row ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(ctx, "SELECT a, s FROM n ORDER BY a")
	if err != nil {
		t.Fatal(err)
	}
	var count, sum uint64
	for rows.Next() {
		var a uint64
		var s string
		if err := rows.Scan(&a, &s); err != nil {
			t.Fatal(err)
		}
		count++
		sum += a
	}
	if err := rows.Err(); err != nil || count != n || sum != n*(n-1)/2 {
		t.Errorf("read %d rows, sum %d, %v; want %d rows", count, sum, err, n)
	}
}

func TestSameTokenIsDropped(t *testing.T) {
	conn, ctx := open(t, clickhouse.CompressionNone), t.Context()
	if err := conn.Exec(ctx, "CREATE TABLE n (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"one", "two", "one"} {
		if err := insertTokened(ctx, conn, token, 1, 2, 3); err != nil {
			t.Fatal(err)
		}
	}
	if got := count(t, ctx, conn); got != 6 {
		t.Errorf("rows of the tokens one, two, one = %d, want 6", got)
	}
}

func insertTokened(ctx context.Context, conn driver.Conn, token string, values ...uint64) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"insert_deduplication_token": token}))
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO n")
	if err != nil {
		return err
	}
	for _, v := range values {
		if err := batch.Append(v); err != nil {
			return err
		}
	}
	return batch.Send()
}

func count(t *testing.T, ctx context.Context, conn driver.Conn) (n uint64) {
	t.Helper()
	if err := conn.QueryRow(ctx, "SELECT count() FROM n").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestErrorsKeepTheirCode(t *testing.T) {
	conn, ctx := open(t, clickhouse.CompressionLZ4), t.Context()
	for name, c := range map[string]struct {
		query string
		code  int32
	}{
		"unknown table":                {"SELECT * FROM nowhere", 60},
		"syntax":                       {"SELEC 1", 62},
		"in the middle of the answer":  {"SELECT number, throwIf(number = 3000000) FROM numbers(4000000) SETTINGS max_threads = 1, max_block_size = 10000", 395},
		"server is not to be stopped":  {"SYSTEM SHUTDOWN", 497},
		"nor every query to be killed": {"KILL QUERY WHERE 1", 497},
		"too slow":                     {"SELECT count() FROM system.numbers WHERE sipHash64(number) = 1 SETTINGS max_execution_time = 1", 159},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := conn.Query(ctx, c.query)
			if err == nil {
				for rows.Next() {
				}
				err = rows.Err()
			}
			var e *clickhouse.Exception
			if !errors.As(err, &e) || e.Code != c.code {
				t.Errorf("%s: %v, want code %d", c.query, err, c.code)
			}
		})
	}
}

func TestParametersArriveAsTheyAre(t *testing.T) {
	conn, ctx := open(t, clickhouse.CompressionNone), t.Context()
	for _, want := range []string{"", "it's", "tab\tline\n", `back\slash`, "中文"} {
		var got string
		ctx := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"p": strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "'", `\'`).Replace(want)}))
		if err := conn.QueryRow(ctx, "SELECT {p:String}").Scan(&got); err != nil || got != want {
			t.Errorf("parameter %q came as %q, %v", want, got, err)
		}
	}
}

// A client that goes away takes its query with it.
func TestQueryOfAClientThatLeftIsKilled(t *testing.T) {
	d := chdbtest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := d.Query(ctx, "SELECT count() FROM system.numbers WHERE sipHash64(number) = 42")
		gone <- err
	}()
	running := func() string {
		got, err := d.Query(t.Context(), "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number) = 42%' AND query NOT LIKE '%system.processes%'")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	await(t, "the query to run", func() bool { return running() == "1\n" })
	cancel()
	if err := <-gone; err == nil {
		t.Error("the endless query ended")
	}
	await(t, "the query to be killed", func() bool { return running() == "0\n" })
}

func await(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Minute); !ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

func start(t *testing.T, folder string, change func(*chdb.Config)) *chdb.Server {
	t.Helper()
	config := chdb.Config{Library: chdbtest.Library(t), Folder: folder, MemoryBytes: 2 << 30, Command: chdbtest.Command(), Environment: chdbtest.Environment()}
	if change != nil {
		change(&config)
	}
	s, err := chdb.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// The engine is killed again and again while rows go in. Each batch is sent
// until it is acknowledged, with the same token: what was acknowledged at once is
// there, nothing is there twice, and a repeated one is there whole or, where the
// kill came between its token and its rows, not at all. internal/clickhouse's
// InsertAgain lives with that.
func TestKilledWhileInserting(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "clickhouse"), nil)
	conn := connect(t, strings.TrimPrefix(s.URL(), "http://"), s.User(), s.Password(), s.Database(), clickhouse.CompressionLZ4)
	ctx := t.Context()
	if err := conn.Exec(ctx, "CREATE TABLE n (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 10000"); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var killed atomic.Int64
	var killing sync.WaitGroup
	killing.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(350 * time.Millisecond):
				if pid := s.PID(); pid != 0 && s.State() == chdb.Ready {
					_ = syscall.Kill(pid, syscall.SIGKILL)
					killed.Add(1)
				}
			}
		}
	})
	var batches, retries, holes uint64
	var repeated []uint64
	for ; killed.Load() < 6; batches++ {
		values := make([]uint64, 100)
		for i := range values {
			values[i] = batches*100 + uint64(i)
		}
		first := retries
		for insertTokened(ctx, conn, fmt.Sprint("batch ", batches), values...) != nil {
			retries++
			time.Sleep(10 * time.Millisecond)
		}
		if retries > first {
			repeated = append(repeated, batches)
		}
	}
	close(stop)
	killing.Wait()
	var rows, distinct uint64
	await(t, "the engine to answer", func() bool {
		return conn.QueryRow(ctx, "SELECT count(), uniqExact(a) FROM n").Scan(&rows, &distinct) == nil
	})
	for _, batch := range repeated {
		var there uint64
		if err := conn.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM n WHERE a >= %d AND a < %d", batch*100, batch*100+100)).Scan(&there); err != nil {
			t.Fatal(err)
		}
		if there == 0 {
			holes++
		}
	}
	t.Logf("%d batches, %d kills, %d retries, %d lost behind their tokens", batches, killed.Load(), retries, holes)
	if want := (batches - holes) * 100; rows != want || distinct != rows {
		t.Errorf("after %d kills: %d rows, %d distinct; want %d of both", killed.Load(), rows, distinct, want)
	}
}

// beParent is the program of a parent that is to be killed.
func beParent(folder string) {
	s, err := chdb.Start(context.Background(), chdb.Config{
		Library: os.Getenv("ONEID_CHDB_TEST_LIBRARY"), Folder: folder, MemoryBytes: 1 << 30, Command: chdbtest.Command(), Environment: chdbtest.Environment(),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.PID())
	select {}
}

func TestParentKilledTakesTheEngineWithIt(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "clickhouse")
	parent := exec.Command(chdbtest.Command()[0])
	parent.Env = append(os.Environ(), ownParent+"="+folder, "ONEID_CHDB_TEST_LIBRARY="+chdbtest.Library(t))
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	parent.Stderr = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(output, &pid); err != nil || pid == 0 {
		t.Fatalf("the parent started no engine: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	await(t, "the engine to end", func() bool {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(state), ") Z ")
	})
	s := start(t, folder, nil) // its lock is free
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFolderHasOneOwner(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "clickhouse")
	first := start(t, folder, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := chdb.Start(ctx, chdb.Config{Library: chdbtest.Library(t), Folder: folder, Command: chdbtest.Command(), Environment: chdbtest.Environment()})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second engine on the folder: %v, want to wait for the first", err)
	}
	time.AfterFunc(300*time.Millisecond, func() { _ = first.Close() })
	second := start(t, folder, nil)
	if second.Password() != first.Password() {
		t.Error("the password changed with the second start")
	}
	stat, err := os.Stat(second.SecretFile())
	if err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("the password's file: %v, %v; want mode 0600", stat.Mode(), err)
	}
}

func TestStates(t *testing.T) {
	states := make(chan chdb.State, 100)
	s := start(t, filepath.Join(t.TempDir(), "clickhouse"), func(c *chdb.Config) { c.OnState = func(state chdb.State) { states <- state } })
	url := s.URL()
	_ = syscall.Kill(s.PID(), syscall.SIGKILL)
	for _, want := range []chdb.State{chdb.Starting, chdb.Ready, chdb.Died, chdb.Starting, chdb.Ready} {
		select {
		case got := <-states:
			if got != want {
				t.Fatalf("state = %s, want %s", got, want)
			}
		case <-time.After(5 * time.Minute):
			t.Fatalf("waited 20 s for %s", want)
		}
	}
	if err := s.Ping(t.Context()); err != nil || s.URL() != url {
		t.Errorf("after its restart: %v at %s, want an answer at %s", err, s.URL(), url)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := <-states; got != chdb.Closed {
		t.Errorf("state = %s, want closed", got)
	}
}

func TestStartSaysWhyItFailed(t *testing.T) {
	library := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(library, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := chdb.Start(t.Context(), chdb.Config{Library: library, Folder: t.TempDir(), Command: chdbtest.Command(), Environment: chdbtest.Environment()})
	if err == nil || !strings.Contains(err.Error(), "libchdb.so") {
		t.Errorf("error = %v, want the child's own words", err)
	}
}
