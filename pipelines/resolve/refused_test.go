package resolve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/clickhouse"
	"oneid/internal/fault"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// choosy is a whole flow whose table of orders takes no dear ones.
type choosy struct {
	*wholeFlow
	conn     *clickhouse.Conn
	store    engine.Store
	bad      map[string][]byte // values by letter
	messages []kafka.Message
	orders   int
}

const dear = 1_000_000 // paid_minor that is refused

func newChoosy(t *testing.T) *choosy {
	t.Helper()
	c := &choosy{wholeFlow: newWholeFlow(t), bad: make(map[string][]byte), store: engine.NewMemory()}
	c.conn = c.connect(t, c.db.URL)
	if err := c.conn.Exec(t.Context(), "be choosy", fmt.Sprintf("ALTER TABLE %s.orders ADD CONSTRAINT no_dear_ones CHECK paid_minor < %d", c.db.Name, dear)); err != nil {
		t.Fatal(err)
	}
	return c
}

// come publishes n more orders, some of them dear, among users and messages
// that nobody can read.
func (c *choosy) come(t *testing.T, n, some int) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(c.orders), 1))
	refused := r.Perm(n)[:some]
	var messages []kafka.Message
	for i := range n {
		no := c.orders + i
		e := order(fmt.Sprint(no), identity.Account{Platform: "tmall", Shop: "s", ID: fmt.Sprint(no)}, fmt.Sprintf("138%08d", no))
		if slices.Contains(refused, i) {
			e.GetOrder().PaidMinor = dear + int64(no)
		}
		m := c.message(t, e)
		messages = append(messages, m)
		if no%5 == 0 {
			messages = append(messages, c.message(t, user(no)), kafka.Message{Topic: m.Topic, Key: m.Key, Value: []byte{0xff, byte(no)}})
		}
	}
	c.orders += n
	c.messages = append(c.messages, messages...)
	c.publish(t, messages...)
	// Where each lies now.
	err := c.client.ReadAll(t.Context(), c.topics.Orders, func(partition int, m kafka.Fetched) error {
		e := new(events.Event)
		if events.Decode(m.Value, e) == nil && e.GetOrder().GetPaidMinor() >= dear {
			c.bad[fmt.Sprintf("%s/%d@%d", c.topics.Orders, partition, m.Offset)] = m.Value
		}
		return nil
	})
	if err != nil || len(c.bad) < some {
		t.Fatalf("%d dear orders lie in Kafka (%v), want %d more", len(c.bad), err, some)
	}
}

// over is a resolver that inserts into to.
func (c *choosy) over(t *testing.T, to ClickHouse) *Resolver {
	t.Helper()
	r := c.resolver(c.instance(t, c.store, NewBlocks(to, clickhouse.IsUnavailable)))
	r.BatchEvents = 1000
	return r
}

func (c *choosy) number(t *testing.T, query string) uint64 {
	t.Helper()
	n, err := c.conn.Number(t.Context(), "count", strings.ReplaceAll(query, "DB.", c.db.Name+"."))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wants checks that what is good is there once, also without FINAL, and that of
// the rest there is a letter each, with its very bytes and none of its values.
func (c *choosy) wants(t *testing.T) {
	t.Helper()
	good := c.orders - len(c.bad)
	if rows, distinct := c.number(t, "SELECT count() FROM DB.orders"), c.number(t, "SELECT uniqExact(order_id) FROM DB.orders"); rows != uint64(good) || distinct != rows {
		t.Errorf("%d rows of %d orders are there, want %d", rows, distinct, good)
	}
	got := make(map[string][]byte)
	err := c.client.ReadAll(t.Context(), c.topics.DeadLetter, func(_ int, m kafka.Fetched) error {
		l := new(events.DeadLetter)
		if err := proto.Unmarshal(m.Value, l); err != nil || l.GetReason() != events.ReasonStore {
			return err
		}
		raw, err := events.OpenLetter([]*events.DeadLetter{l}, c.keys)
		got[l.GetLetterId()] = raw
		if l.GetPlatform() != "tmall" || l.GetStream() != "orders" || !strings.Contains(l.GetDetail(), "table orders: error 469") || strings.Contains(l.GetDetail(), "100") || len(m.Key) == 0 {
			t.Errorf("the letter is %v under the key %q", l, m.Key)
		}
		return err
	})
	if err != nil || len(got) != len(c.bad) {
		t.Errorf("%d letters (%v), want %d", len(got), err, len(c.bad))
	}
	for id, raw := range c.bad {
		if string(got[id]) != string(raw) {
			t.Errorf("the letter of %s holds %d bytes, want %d", id, len(got[id]), len(raw))
		}
	}
}

// A row that ClickHouse refuses is a dead letter, and the rest of its block is
// loaded; killed in the middle, and taken again, all is there once. When the
// table takes it, so does the flow.
func TestRefusedRowsAreDeadLetters(t *testing.T) { // not beside others: it arms a fault for all
	c := newChoosy(t)
	c.come(t, 100, 5)
	if err := run(t, c.over(t, c.conn)); err != nil {
		t.Fatal(err)
	}
	c.wants(t)
	before := len(c.messages)
	c.come(t, 200, 4)
	disarm := fault.Arm(func(point string) error {
		if point == "resolve/inserted" {
			return errors.New("killed")
		}
		return nil
	})
	if err := run(t, c.over(t, c.conn)); err == nil {
		t.Error("it was not killed")
	}
	disarm()
	var counted tally
	r := c.over(t, c.conn)
	r.Counters = counted.counters()
	if err := run(t, r); err != nil {
		t.Fatal(err)
	}
	c.wants(t)
	if got := counted.n["events"]; got != len(c.messages)-before-40-4 || counted.n["letters"] != 40+4 {
		t.Errorf("%d events and %d letters are counted", got, counted.n["letters"])
	}
	if err := c.conn.Exec(t.Context(), "take all", "ALTER TABLE "+c.db.Name+".orders DROP CONSTRAINT no_dear_ones"); err != nil {
		t.Fatal(err)
	}
	for _, value := range c.bad { // as `oneid deadletter replay` does
		c.publish(t, kafka.Message{Topic: c.topics.Orders, Value: value})
	}
	if err := run(t, c.over(t, c.conn)); err != nil {
		t.Fatal(err)
	}
	if got := c.number(t, "SELECT count() FROM DB.orders FINAL"); got != 300 {
		t.Errorf("after the replay %d orders are there, want 300", got)
	}
}

// away is a ClickHouse that is away at the nth insert.
type away struct {
	ClickHouse
	n, calls int
}

func (a *away) Insert(ctx context.Context, block tables.Block, token string) error {
	if block.Table() == "orders" {
		if a.calls++; a.calls == a.n {
			return context.DeadlineExceeded
		}
	}
	return a.ClickHouse.Insert(ctx, block, token)
}

// ClickHouse away between any two of the pieces that a refused block is cut
// into: nothing more becomes a letter, and nothing is lost or doubled.
func TestAwayWhileRowsAreRefused(t *testing.T) {
	t.Parallel()
	c := newChoosy(t)
	for n := 1; ; n += 4 {
		c.come(t, 40, 2)
		to := &away{ClickHouse: c.conn, n: n}
		r := c.over(t, to)
		var counted tally
		r.Counters = counted.counters()
		if err := run(t, r); err != nil {
			t.Fatal(err)
		}
		c.wants(t)
		if to.calls < n {
			break
		}
		if counted.n["retries"] == 0 {
			t.Errorf("away at insert %d, and nothing was tried again", n)
		}
	}
}

// writes counts the inserts of orders, of whole blocks and of pieces.
type writes struct {
	ClickHouse
	orders atomic.Int64
}

func (w *writes) Insert(ctx context.Context, block tables.Block, token string) error {
	if block.Table() == "orders" {
		w.orders.Add(1)
	}
	return w.ClickHouse.Insert(ctx, block, token)
}

func (w *writes) InsertAgain(ctx context.Context, block tables.Block, token string) (int, error) {
	if block.Table() == "orders" {
		w.orders.Add(1)
	}
	return w.ClickHouse.InsertAgain(ctx, block, token)
}

// A table that refuses a whole lot of rows is at fault itself: no letter is
// written and nothing ends. The flow waits and says why, without cutting the
// block into pieces at each attempt, and goes on by itself once it is mended.
func TestATableThatRefusesEverything(t *testing.T) {
	t.Parallel()
	c := newChoosy(t)
	c.come(t, 300, mostRefused(300)+10)
	to := &writes{ClickHouse: c.conn}
	r := c.over(t, to)
	// One batch of all, however slowly it is read: the 100 rows are counted in each.
	r.BatchEvents, r.BatchWait = len(c.messages), time.Hour
	var retries atomic.Int64
	r.Counters.Retries = func(n int) { retries.Add(int64(n)) }
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	until := func(what string, yes func() bool) {
		t.Helper()
		for !yes() {
			select {
			case err := <-ended:
				t.Fatalf("%s: the resolver ended with %v", what, err)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	until("waiting for the table", func() bool {
		state, why, _ := r.Health() // it may wait before, as an insert takes long on a busy machine
		return state == pipelines.Waiting && errors.Is(why, errTableAtFault)
	})
	if _, why, _ := r.Health(); !strings.Contains(why.Error(), "more than 100 of 300 rows") || strings.Contains(why.Error(), "paid_minor") {
		t.Errorf("the resolver waits for %v", why)
	}
	before, tried := to.orders.Load(), retries.Load()
	until("trying again", func() bool { return retries.Load() >= tried+3 })
	if n := to.orders.Load() - before; n > 4 {
		t.Errorf("three attempts made %d inserts: a table at fault is asked far too much", n)
	}
	if _, next, err := c.client.Ends(t.Context(), c.topics.DeadLetter); err != nil || next[0] != 0 {
		t.Errorf("there are %v letters (%v)", next, err)
	}
	if err := c.conn.Exec(t.Context(), "mend the table", "ALTER TABLE "+c.db.Name+".orders DROP CONSTRAINT no_dear_ones"); err != nil {
		t.Fatal(err)
	}
	if err := r.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := c.number(t, "SELECT count() FROM DB.orders FINAL"); got != 300 {
		t.Errorf("once it is mended %d orders are there, want 300", got)
	}
}
