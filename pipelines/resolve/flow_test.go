package resolve

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/identity/engine"
	"oneid/internal/clickhouse"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/flowcheck"
	"oneid/internal/kafka"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests, to see a failure again; 0 takes a new one")

// random is seeded anew for each run, which tells how to see it again.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to see this again: -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// wholeFlow is the flow on real parts: a broker, an engine.
type wholeFlow struct {
	*flow
	db chdbtest.Database
}

func newWholeFlow(t *testing.T) *wholeFlow {
	t.Helper()
	w := &wholeFlow{newFlow(t), chdbtest.Start(t)}
	if _, err := w.connect(t, w.db.URL).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.judge().StopMerges(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *wholeFlow) connect(t *testing.T, url string) *clickhouse.Conn {
	t.Helper()
	conn, err := clickhouse.Open(t.Context(), clickhouse.Config{URL: url, Database: w.db.Name, User: w.db.User, Password: w.db.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (w *wholeFlow) judge() flowcheck.Flow {
	return flowcheck.Flow{
		Query: w.db.Query, Topics: w.topics, Keys: w.keys,
		Read: func(ctx context.Context, topic string, message func(int, int64, []byte) error) error {
			return w.client.ReadAll(ctx, topic, func(partition int, m kafka.Fetched) error { return message(partition, m.Offset, m.Value) })
		},
	}
}

// resolve runs a resolver over a connection to ClickHouse until it has caught
// up.
func (w *wholeFlow) resolve(t *testing.T, conn *clickhouse.Conn) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	r := w.resolver(w.instance(t, engine.NewMemory(), NewBlocks(conn, clickhouse.IsUnavailable)))
	ended := make(chan error, 1)
	go func() { defer stop(); ended <- r.Run(ctx) }()
	caughtUp := r.CaughtUp(ctx)
	state, why, _ := r.Health()
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if caughtUp != nil {
		t.Fatalf("%v (the resolver is %s: %v)", caughtUp, state, why)
	}
}

// wantAll checks all of ClickHouse against the oracle.
func (w *wholeFlow) wantAll(t *testing.T, facts []flowcheck.Fact) {
	t.Helper()
	wrong, err := w.judge().Differences(t.Context(), flowcheck.NewOracle(facts))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range wrong {
		t.Error(line)
	}
}

// load is n facts and their messages.
func (w *wholeFlow) load(t *testing.T, seed uint64, n int) (facts []flowcheck.Fact, messages []kafka.Message) {
	t.Helper()
	l := flowcheck.NewLoad(seed)
	for range n {
		f := l.Next()
		m, err := flowcheck.Encode(f, w.topics, w.keys)
		if err != nil {
			t.Fatal(err)
		}
		facts, messages = append(facts, f), append(messages, kafka.Message{Topic: m.Topic, Key: m.Key, Value: m.Value})
	}
	return facts, messages
}

// tableDumps say what each table holds, whatever ids the customers have: these
// follow the order in which accounts were born.
var tableDumps = map[string]string{
	"orders":  "SELECT * EXCEPT customer_id FROM orders FINAL",
	"refunds": "SELECT * EXCEPT customer_id FROM refunds FINAL",
	"users":   "SELECT * EXCEPT customer_id FROM users FINAL",
	"tickets": "SELECT * EXCEPT customer_id FROM tickets FINAL",
	// One version may be published twice, sealed twice: either sealing will do.
	"raw_events":         "SELECT * EXCEPT raw, raw != '' FROM raw_events FINAL",
	"history_by_account": "SELECT * FROM history_by_account FINAL",
	"entities_by_order":  "SELECT * FROM entities_by_order FINAL",
	"memberships":        "SELECT * FROM memberships FINAL",
	"evidence":           "SELECT * FROM evidence FINAL",
	"identifier_values":  "SELECT hash, type FROM identifier_values FINAL",
	"decisions":          "SELECT * EXCEPT version FROM decisions FINAL",
	"customer_360":       "SELECT * EXCEPT customer_id FROM customer_360",
}

func (w *wholeFlow) dump(t *testing.T) map[string][]string {
	t.Helper()
	tables := make(map[string][]string)
	for name, statement := range tableDumps {
		text, err := w.db.Query(t.Context(), statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		tables[name] = slices.Sorted(strings.Lines(text))
	}
	return tables
}

// Shuffled, and each delivered up to three times, events give the tables and
// the customers of the ordered run.
func TestOutOfOrderAndTwice(t *testing.T) {
	const n = 1000
	r := random(t)
	ordered, other := newWholeFlow(t), newWholeFlow(t)
	other.keys = ordered.keys // what is sealed and hashed is the same
	facts, messages := ordered.load(t, r.Uint64(), n)
	ordered.publish(t, messages...)
	ordered.resolve(t, ordered.connect(t, ordered.db.URL))
	ordered.wantAll(t, facts)

	again := slices.Clone(messages)
	for range 2 {
		for _, m := range messages {
			if r.IntN(2) == 0 {
				again = append(again, m)
			}
		}
	}
	r.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
	for i := range again {
		again[i].Topic = other.brand + strings.TrimPrefix(again[i].Topic, ordered.brand)
	}
	other.publish(t, again...)
	other.resolve(t, other.connect(t, other.db.URL))
	other.wantAll(t, facts)

	want, got := ordered.dump(t), other.dump(t)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if len(want[name]) == 0 {
			t.Errorf("%s is empty: nothing was compared", name)
		}
		if d := cmp.Diff(want[name], got[name]); d != "" {
			t.Errorf("%s differs from the ordered run:\n%.2000s", name, d)
		}
	}
	var partitions [2][][]string
	for i, w := range []*wholeFlow{ordered, other} {
		customerOf, err := w.judge().CustomerOf(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		partitions[i] = flowcheck.Partition(customerOf)
	}
	if d := cmp.Diff(partitions[0], partitions[1]); d != "" {
		t.Errorf("customers differ from those of the ordered run:\n%.2000s", d)
	}
}

// cutter is a proxy that cuts connections: each after a random number of bytes
// to the server or from it, until enough of them were in the middle of an
// insert.
type cutter struct {
	listener net.Listener
	server   string
	open     sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	enough int
	cuts   int // in the middle of an insert
}

func newCutter(t *testing.T, server string, enough int, r *rand.Rand) *cutter {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: listener, server: server, random: r, enough: enough}
	c.open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			c.open.Go(func() { c.carry(t, client) })
		}
	})
	return c
}

// cutting says whether connections are still to be cut.
func (c *cutter) cutting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts < c.enough
}

// carry moves bytes between a client and the server until one of them ends,
// or it is cut.
func (c *cutter) carry(t *testing.T, client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(t.Context(), "tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	c.mu.Lock()
	// An answer to an insert is short: cut in it, the client cannot know that
	// the rows are there.
	toServer, toClient := c.random.IntN(30_000), c.random.IntN(5_000)
	c.mu.Unlock()
	var inserting atomic.Bool // the last request
	move := func(to, from net.Conn, left int, watch bool) {
		defer to.Close()
		defer from.Close()
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			if watch {
				if i := bytes.LastIndex(buffer[:n], []byte("POST /")); i >= 0 {
					inserting.Store(bytes.Contains(buffer[i:n], []byte("INSERT")))
				}
			}
			if left -= n; left <= 0 && c.cutting() {
				_, _ = to.Write(buffer[:max(0, n+left)]) // the rest never comes
				if inserting.Load() {
					c.mu.Lock()
					c.cuts++
					c.mu.Unlock()
				}
				return
			}
			if n > 0 {
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	var both sync.WaitGroup
	both.Go(func() { move(server, client, toServer, true) })
	both.Go(func() { move(client, server, toClient, false) })
	both.Wait()
}

// Connections that are cut in the middle of an insert, before the server has
// the rows or before the client has the answer, lose and double nothing.
func TestConnectionCutInMidInsert(t *testing.T) {
	const n, cuts = 800, 10
	r := random(t)
	w := newWholeFlow(t)
	facts, messages := w.load(t, r.Uint64(), n)
	w.publish(t, messages...)
	proxy := newCutter(t, w.db.Address, 0, r)
	t.Cleanup(func() {
		_ = proxy.listener.Close()
		proxy.open.Wait()
	})
	conn := w.connect(t, "http://"+proxy.listener.Addr().String())
	proxy.mu.Lock()
	proxy.enough = cuts // from now on
	proxy.mu.Unlock()
	w.resolve(t, conn)
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if proxy.cutting() {
		t.Fatalf("only %d connections were cut in an insert, want %d", proxy.cuts, cuts)
	}
	w.wantAll(t, facts)
}
