package resolve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/extract"
	"oneid/internal/clickhouse"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/internal/state"
	"oneid/pipelines"
	"oneid/pipelines/squash"
	"oneid/schemas/events"
)

// asResolver in the environment makes the test binary a resolver: a process
// that can be killed and frozen. It holds the settings.
const asResolver = "ONEID_TEST_AS_RESOLVER"

func TestMain(m *testing.M) {
	if text := os.Getenv(asResolver); text != "" {
		if err := beResolver(text); err != nil {
			fmt.Println("failed", err)
			fmt.Fprintln(os.Stderr, "failed", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	chdbtest.Main(m)
}

// childSettings are what a resolver's process is told.
type childSettings struct {
	Brand                string
	Brokers              []string
	URL, User, Password  string
	Database, Keys, Data string
	// Memory of the resolver, in bytes; 0 is its default.
	Memory int64
}

// beResolver resolves until SIGTERM, and writes each change of its state; at
// the end, the most that it held, and the most of live memory after a GC.
func beResolver(text string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var s childSettings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	client, err := kafka.New(kafka.Config{Brokers: s.Brokers})
	if err != nil {
		return err
	}
	conn, err := clickhouse.Open(ctx, clickhouse.Config{URL: s.URL, Database: s.Database, User: s.User, Password: s.Password})
	if err != nil {
		return err
	}
	keys, err := keyring.Open(s.Keys)
	if err != nil {
		return err
	}
	store, err := state.Open(s.Data)
	if err != nil {
		return err
	}
	defer store.Close()
	rules, err := identity.ParseRules(identity.DefaultRulesYAML())
	if err != nil {
		return err
	}
	e, err := engine.New(store, rules)
	if err != nil {
		return err
	}
	hash := func(typ identity.IdentifierType, scope, value string) identity.Hash {
		return keys.Hash(string(typ), scope, value)
	}
	publisher := client.Publisher()
	defer publisher.Close()
	r := &Resolver{
		Brand: s.Brand, Kafka: client, Publisher: publisher, Topics: events.TopicsOf(s.Brand), Keys: keys,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), BatchEvents: 500, BatchWait: 20 * time.Millisecond, Memory: s.Memory, bookmarkEvery: 2,
		Work: &Instance{
			Identity: &Identity{Engine: e, Values: store, Keys: keys, Extract: &extract.Extractor{Hash: hash, Rules: rules}},
			Tables:   NewBlocks(conn, clickhouse.IsUnavailable),
		},
	}
	var held int64
	var heap uint64
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ended := make(chan struct{})
	go func() {
		last := pipelines.Starting
		for {
			now, _, _ := r.Health()
			if now != last {
				fmt.Println(now)
				last = now
			}
			held = max(held, r.Held())
			metrics.Read(live)
			heap = max(heap, live[0].Value.Uint64())
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				close(ended)
				return
			}
		}
	}()
	err = r.Run(ctx)
	stop()
	<-ended
	fmt.Println("peak", held, heap)
	return err
}

// site is a broker, a database and keys, which several resolvers share.
type site struct {
	*flow
	t        testing.TB
	database chdbtest.Database
	conn     *clickhouse.Conn
	keysDir  string
	memory   int64 // of resolvers that are started; 0 is the default
	people   int
	wanted   map[string]string // account → customer_id
	orders   map[string]string // order → account
}

func newSite(t testing.TB) *site {
	t.Helper()
	return newSiteOn(t, newFlowOn(t, &flow{brokers: brokertest.Brokers(t)}, 1))
}

func newSiteOn(t testing.TB, f *flow) *site {
	t.Helper()
	s := &site{flow: f, t: t, database: chdbtest.Start(t), keysDir: t.TempDir(), wanted: map[string]string{}, orders: map[string]string{}}
	var err error
	if s.conn, err = clickhouse.Open(t.Context(), clickhouse.Config{URL: s.database.URL, Database: s.database.Name, User: s.database.User, Password: s.database.Password}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.conn.Close() })
	if _, err := s.conn.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.keys, err = keyring.Create(s.keysDir); err != nil {
		t.Fatal(err)
	}
	return s
}

// child is a resolver's process.
type child struct {
	t      testing.TB
	cmd    *exec.Cmd
	states chan string
	mu     sync.Mutex // guards stderr
	stderr strings.Builder
	once   sync.Once
}

// Write takes what the process logs.
func (c *child) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stderr.Write(p)
}

func (c *child) log() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stderr.String()
}

// start starts a resolver with the state of a folder; at is where it finds
// ClickHouse.
func (s *site) start(data, at string) *child {
	s.t.Helper()
	text, err := json.Marshal(childSettings{s.brand, s.brokers, at, s.database.User, s.database.Password, s.database.Name, s.keysDir, data, s.memory})
	if err != nil {
		s.t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	c := &child{t: s.t, cmd: exec.Command(program), states: make(chan string, 1000)}
	c.cmd.Env = append(os.Environ(), asResolver+"="+string(text))
	c.cmd.Stderr = c
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			c.states <- lines.Text()
		}
		close(c.states)
	}()
	s.t.Cleanup(func() { c.end(syscall.SIGKILL) })
	return c
}

// end signals and waits; only the first call does anything.
func (c *child) end(signal syscall.Signal) {
	c.once.Do(func() {
		_ = c.cmd.Process.Signal(signal)
		_ = c.cmd.Process.Signal(syscall.SIGCONT) // it may be frozen
		_ = c.cmd.Wait()
		if c.t.Failed() {
			c.t.Logf("resolver %d wrote:\n%s", c.cmd.Process.Pid, c.log())
		}
	})
}

// is waits until the resolver says that it is in a state.
func (c *child) is(state pipelines.State) {
	c.t.Helper()
	late := time.After(5 * time.Minute)
	for {
		select {
		case now, ok := <-c.states:
			if !ok || strings.HasPrefix(now, "failed") {
				c.t.Fatalf("the resolver ended: %s", now)
			}
			if now == string(state) {
				return
			}
		case <-late:
			c.t.Fatalf("the resolver is not %s within a minute", state)
		}
	}
}

// drain forgets the states so far.
func (c *child) drain() {
	for {
		select {
		case <-c.states:
		default:
			return
		}
	}
}

// order is an order of an account in which a member's phone is seen.
func order(no string, account identity.Account, phone string) *events.Event {
	e := user(0)
	e.Header.EntityId, e.Header.Shop, e.Header.Account, e.Header.Stream = no, account.Shop, account.ID, "orders"
	e.Header.Version.ModifiedMs = 1_700_000_000_000
	e.Header.Person.Sightings[0].Value = phone
	e.Body = &events.Event_Order{Order: &events.Order{CreatedMs: 1_700_000_000_000, PaidMs: 1_700_000_000_000, PaidMinor: 100, Currency: "CNY"}}
	return e
}

// come publishes the first orders of n more people: two accounts each, with a
// phone each. Everything lies in one partition, so ids are the same however
// batches are cut.
func (s *site) come(n int) {
	s.t.Helper()
	var messages []kafka.Message
	for range n {
		p := s.people
		s.people++
		for _, side := range []string{"x", "y"} {
			messages = append(messages, s.order(p, side, "first", side))
		}
	}
	s.publish(s.t, messages...)
}

// meet publishes, for each person from first up to but not including next, an
// order that joins the two accounts: the younger moves to the older's customer.
func (s *site) meet(first, next int) {
	s.t.Helper()
	var messages []kafka.Message
	for p := first; p < next; p++ {
		messages = append(messages, s.order(p, "y", "second", "x"))
		s.wanted[s.account(p, "y").String()] = s.wanted[s.account(p, "x").String()]
	}
	s.publish(s.t, messages...)
}

// account is one of a person's two. That of side x comes first and has the
// lower birth id: it is the elder in one batch with the other, and before it.
func (s *site) account(person int, side string) identity.Account {
	x := identity.Account{Platform: "tmall", Shop: "shop-x", ID: fmt.Sprint("x", person)}
	if side == "x" {
		return x
	}
	elder := x.BirthID()
	for n := 0; ; n++ {
		y := identity.Account{Platform: "tmall", Shop: "shop-y", ID: fmt.Sprint("y", person, ".", n)}
		if younger := y.BirthID(); bytes.Compare(elder[:], younger[:]) < 0 {
			return y
		}
	}
}

// order is a message, and what the oracle knows of it.
func (s *site) order(person int, side, which, phoneOf string) kafka.Message {
	account := s.account(person, side)
	no := which + account.ID
	phone := map[string]string{"x": "138", "y": "139"}[phoneOf] + fmt.Sprintf("%08d", 10000+person)
	s.orders[no] = account.String()
	if which == "first" {
		s.wanted[account.String()] = account.BirthID().String()
	}
	return s.message(s.t, order(no, account, phone))
}

// shows waits until ClickHouse holds all orders, each in its newest version.
func (s *site) shows() {
	s.t.Helper()
	want := fmt.Sprint(len(s.orders))
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if got := s.ask("SELECT count() FROM orders FINAL"); got == want {
			return
		} else if time.Now().After(deadline) {
			s.t.Fatalf("ClickHouse holds %s orders after five minutes, want %s", got, want)
		}
	}
}

func (s *site) ask(query string) string {
	s.t.Helper()
	got, err := s.database.Query(s.t.Context(), query)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(got)
}

// pairs reads two columns.
func (s *site) pairs(query string) map[string]string {
	s.t.Helper()
	out := make(map[string]string)
	for line := range strings.SplitSeq(s.ask(query), "\n") {
		a, b, _ := strings.Cut(line, "\t")
		if _, twice := out[a]; twice {
			s.t.Errorf("%s is there twice: %s", a, query)
		}
		out[a] = b
	}
	return out
}

// wantOracle compares what views and subscribers see with the oracle: it knows
// what was published, and that a person's customer bears the id of the account
// that was seen first.
func (s *site) wantOracle() {
	s.t.Helper()
	if err := s.conn.ReloadOverrides(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if err := s.conn.RefreshViews(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	orders, customers := make(map[string]string), make(map[string]string)
	perCustomer := make(map[string]int)
	for no, account := range s.orders {
		orders[no] = s.wanted[account]
		perCustomer[s.wanted[account]]++
	}
	for customer, n := range perCustomer {
		customers[customer] = fmt.Sprint(n)
	}
	s.same("customer_orders", orders, s.pairs("SELECT order_id, customer_id FROM customer_orders"))
	s.same("identity_map_current", s.wanted, s.pairs("SELECT account, customer_id FROM identity_map_current"))
	s.same("customer_360", customers, s.pairs("SELECT customer_id, orders FROM customer_360"))
	last := make(map[string]string)
	if err := s.client.ReadAll(s.t.Context(), s.topics.Identity, func(_ int, m kafka.Fetched) error {
		var change events.IdentityChange
		if err := proto.Unmarshal(m.Value, &change); err != nil {
			return err
		}
		last[string(m.Key)] = change.GetCustomerId()
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	s.same("the identity topic, compacted,", s.wanted, last)
}

func (s *site) same(what string, want, got map[string]string) {
	s.t.Helper()
	wrong := 0
	for k, v := range want {
		if got[k] != v {
			if wrong++; wrong <= 3 {
				s.t.Errorf("%s says %s of %s, want %s", what, got[k], k, v)
			}
		}
	}
	if wrong > 3 || len(got) != len(want) {
		s.t.Errorf("%s has %d rows, want %d; %d are wrong", what, len(got), len(want), wrong)
	}
}

// wantOnce checks that no block was written twice.
func (s *site) wantOnce() {
	s.t.Helper()
	if got := s.ask("SELECT count() FROM orders"); got != fmt.Sprint(len(s.orders)) {
		s.t.Errorf("orders has %s rows without FINAL, want %d", got, len(s.orders))
	}
}

// part publishes, for each person of a span, the decision that the two accounts
// are not one.
func (s *site) part(first, next int) {
	s.t.Helper()
	var messages []kafka.Message
	for p := first; p < next; p++ {
		x, y := s.account(p, "x"), s.account(p, "y")
		value, err := proto.Marshal(&events.Decision{DecisionId: fmt.Sprint("part", p), Kind: events.DecisionKind_DECISION_KIND_DIFFERENT, Accounts: []string{x.String(), y.String()}, DecidedMs: 1})
		if err != nil {
			s.t.Fatal(err)
		}
		messages = append(messages, kafka.Message{Topic: s.topics.Decisions, Key: []byte(x.String()), Value: value})
		s.wanted[y.String()] = y.BirthID().String()
	}
	s.publish(s.t, messages...)
	s.settled()
}

// settled waits until all that was published is delivered.
func (s *site) settled() {
	s.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		committed, err := s.client.Committed(s.t.Context(), pipelines.ResolverGroup(s.brand), s.topics.Resolved())
		if kafka.IsAway(err) && time.Now().Before(deadline) {
			continue // a connection that the broker's end has cut
		}
		if err != nil {
			s.t.Fatal(err)
		}
		left := int64(0)
		for topic, offsets := range committed {
			_, next, err := s.client.Ends(s.t.Context(), topic)
			if err != nil {
				s.t.Fatal(err)
			}
			for number := range next {
				left += next[number] - offsets[number]
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d messages are not delivered after five minutes", left)
		}
	}
}

// squash folds the overrides up to a version into the facts.
func (s *site) squash(upTo uint64) {
	s.t.Helper()
	if _, err := (&squash.Squash{ClickHouse: s.conn, Log: slog.New(slog.DiscardHandler)}).Run(s.t.Context(), upTo); err != nil {
		s.t.Fatal(err)
	}
}

// gate is a way to ClickHouse that can hold the next insert into a table.
type gate struct {
	server *http.Server
	url    string
	table  atomic.Pointer[string]
	held   chan struct{} // gets one when an insert is held
	open   chan struct{} // closed to let it go on
	passed chan struct{} // closed once it was answered
}

func (s *site) gate() *gate {
	s.t.Helper()
	target, err := url.Parse(s.database.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	g := &gate{held: make(chan struct{}, 1), open: make(chan struct{}), passed: make(chan struct{})}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		statement := r.URL.Query().Get("query") + string(body[:min(len(body), 1000)])
		if table := g.table.Load(); table != nil && strings.Contains(statement, "INSERT INTO "+s.database.Name+"."+*table+" ") {
			g.table.Store(nil)
			g.held <- struct{}{}
			<-g.open
			defer close(g.passed)
			r = r.WithContext(context.WithoutCancel(r.Context())) // what is on its way arrives
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		proxy.ServeHTTP(w, r)
	})
	listener := listen(s.t, "127.0.0.1:0")
	g.server, g.url = &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}, "http://"+listener.Addr().String()
	go func() { _ = g.server.Serve(listener) }()
	s.t.Cleanup(func() { _ = g.server.Close() })
	return g
}

func (s *site) folder(name string) string { return filepath.Join(s.t.TempDir(), name) }
