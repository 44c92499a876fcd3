package resolve

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/kafka"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// blockLog counts the rows of each table, each token once, and fails at the
// insert number failAt.
type blockLog struct {
	mu     sync.Mutex
	calls  int
	failAt int
	away   string // a table that takes nothing
	rows   map[string]int
	tokens map[string]bool
	kept   map[string]bool // tokens whose rows are there
	uneven []string
}

func (l *blockLog) Insert(_ context.Context, block tables.Block, token string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls++; l.calls == l.failAt {
		// As a server that is killed between the two: the token is noted, and the
		// rows are lost.
		l.tokens[token] = true
		return errAway
	}
	if block.Table() == l.away {
		return errAway
	}
	names, values := block.Columns()
	for i, column := range values {
		if n := reflect.ValueOf(tables.Plain(column)).Len(); n != block.Rows() {
			l.uneven = append(l.uneven, block.Table()+"."+names[i]+" "+strconv.Itoa(n))
		}
	}
	if !l.tokens[token] {
		l.tokens[token] = true
		l.keep(block, token)
	}
	return nil
}

func (l *blockLog) keep(block tables.Block, token string) {
	l.rows[block.Table()] += block.Rows()
	if l.kept == nil {
		l.kept = make(map[string]bool)
	}
	l.kept[token] = true
}

func (l *blockLog) InsertAgain(ctx context.Context, block tables.Block, token string) (int, error) {
	if err := l.Insert(ctx, block, token); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept[token] {
		return 0, nil
	}
	l.keep(block, token)
	return block.Rows(), nil
}

func (l *blockLog) RefreshViews(context.Context) error { return nil }

// ClickHouse away at any one insert: the flow waits, and each table has each
// row once.
func TestEveryInsertFails(t *testing.T) {
	for failAt := 1; ; failAt++ {
		f := newFlow(t)
		log := &blockLog{failAt: failAt, rows: map[string]int{}, tokens: map[string]bool{}}
		blocks, restored := NewBlocks(log, newLedger().IsAway), 0
		blocks.Restored = func(_ string, rows int) { restored += rows }
		var messages []kafka.Message
		for _, e := range population() {
			messages = append(messages, f.message(t, e))
		}
		f.publish(t, messages...)
		if err := run(t, f.resolver(f.instance(t, engine.NewMemory(), blocks))); err != nil {
			t.Fatalf("insert %d fails: %v", failAt, err)
		}
		want := map[string]int{"users": 240, "raw_events": 240, "identifier_values": 60}
		for table, n := range want {
			if log.rows[table] < n || table != "identifier_values" && log.rows[table] != n {
				t.Errorf("insert %d fails: %s has %d rows, want %d", failAt, table, log.rows[table], n)
			}
		}
		if got := log.rows["identity_history"] - log.rows["identity_overrides"]; got != 120 {
			t.Errorf("insert %d fails: %d births, want 120", failAt, got)
		}
		if len(log.uneven) > 0 {
			t.Fatalf("columns of other lengths than their blocks: %v", log.uneven)
		}
		if log.calls < failAt {
			return
		}
		if restored == 0 {
			t.Errorf("insert %d fails: nothing was said of the rows that were lost", failAt)
		}
	}
}

// early notes which overrides came before the map that says the same, which waits a while
// for them.
type early struct {
	*blockLog
	came         chan struct{}
	moved, wrong int
}

func (e *early) Insert(ctx context.Context, block tables.Block, token string) error {
	switch block.Table() {
	case "identity_map":
		select {
		case <-e.came:
		case <-time.After(20 * time.Millisecond): // they come after it
		}
	case "identity_overrides":
		select {
		case e.came <- struct{}{}:
		default: // nobody waits
		}
		e.mu.Lock()
		e.moved++
		if mapped, _, _ := strings.Cut(token, "/"); !e.kept[mapped+"/identity_map"] {
			e.wrong++
		}
		e.mu.Unlock()
	}
	return e.blockLog.Insert(ctx, block, token)
}

// ClickHouse loads the map of accounts that have an override when that comes, and once: it
// must find them where they are now.
func TestMovesAreToldAfterTheMap(t *testing.T) {
	t.Parallel()
	log := &early{came: make(chan struct{}), blockLog: &blockLog{rows: map[string]int{}, tokens: map[string]bool{}}}
	moved := engine.Move{Account: identity.Account{Platform: "tmall", Shop: "s", ID: "a"}, From: identity.CustomerID{1}, To: identity.CustomerID{2}, Reason: "merged"}
	rows := Rows{
		Batch: &Batch{Sequence: 7, Epoch: 1}, Changes: engine.Changes{Moved: []engine.Move{moved}},
		Customers: func(func(*events.Event, identity.CustomerID) bool) {}, BornOf: func(identity.Account) uint64 { return 1 },
	}
	if n, err := NewBlocks(log, newLedger().IsAway).Write(t.Context(), rows); err != nil || n != 3 {
		t.Fatalf("%d rows (%v), want one each of the map, its history and the overrides", n, err)
	}
	if log.moved == 0 || log.wrong > 0 {
		t.Errorf("of %d blocks of overrides %d came before their map", log.moved, log.wrong)
	}
}

func TestEveryKindHasItsTable(t *testing.T) {
	log := &blockLog{rows: map[string]int{}, tokens: map[string]bool{}}
	blocks := NewBlocks(log, newLedger().IsAway)
	batch := &Batch{Sequence: 7, Epoch: 1}
	for i, spoil := range []func(*events.Event){
		func(e *events.Event) { e.Body = &events.Event_Order{Order: &events.Order{}} },
		func(e *events.Event) { e.Body = &events.Event_Refund{Refund: &events.Refund{}} },
		func(*events.Event) {},
		func(e *events.Event) { e.Body = &events.Event_Ticket{Ticket: &events.Ticket{}} },
		func(e *events.Event) { e.Body = &events.Event_Spend{Spend: &events.Spend{Day: "2026-11-11"}} },
	} {
		e := user(i)
		spoil(e)
		batch.Events = append(batch.Events, e)
	}
	batch.Decisions = []*events.Decision{{DecisionId: "d", Kind: events.DecisionKind_DECISION_KIND_ERASE}}
	f := newFlow(t)
	work := f.instance(t, engine.NewMemory(), blocks)
	if err := work.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	// Who is who comes first: a fact never points at a customer that is not there.
	log.away = "decisions"
	if _, err := work.Insert(t.Context(), batch); !errors.Is(err, errAway) {
		t.Fatalf("Insert = %v, want that a table is away", err)
	}
	if n := log.rows["orders"] + log.rows["users"] + log.rows["raw_events"]; n != 0 {
		t.Errorf("%d facts are there before who is who", n)
	}
	log.away = ""
	if _, err := work.Insert(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"orders", "refunds", "users", "tickets", "spend", "decisions"} {
		if log.rows[table] != 1 || !log.tokens["7/"+table] {
			t.Errorf("%s has %d rows, tokens %v; want one row under 7/%s", table, log.rows[table], log.tokens, table)
		}
	}
}
