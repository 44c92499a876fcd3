// Package flowtest gives tests the whole flow on real parts: a broker, an
// engine, a state on disk and the resolver between them.
package flowtest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/extract"
	"oneid/internal/clickhouse"
	"oneid/internal/embedded/broker"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/internal/state"
	"oneid/pipelines"
	"oneid/pipelines/resolve"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// Brand of all flows.
const Brand = "b"

// Flow is an instance without its shops. The package under test needs a
// TestMain with chdbtest.Main.
type Flow struct {
	Client     *kafka.Client
	Publisher  *kafka.Publisher
	Keys       *keyring.Ring
	Topics     events.Topics
	ClickHouse *clickhouse.Conn
	Database   chdbtest.Database
	Rules      *identity.Rules
	// Models are those that its rules may use: Models, unless a test adds to them.
	Models identity.Scorers
	// Brokers and KeysDir are for children that publish.
	Brokers []string
	KeysDir string
}

// New starts a flow that ends with the test.
func New(t testing.TB) *Flow {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := broker.Start(t.TempDir(), "127.0.0.1:0")
	must(err)
	t.Cleanup(b.Close)
	f := &Flow{Topics: events.TopicsOf(Brand), Database: chdbtest.Start(t), Brokers: b.Addresses(), KeysDir: t.TempDir()}
	f.Client, err = kafka.New(kafka.Config{Brokers: b.Addresses()})
	must(err)
	t.Cleanup(f.Client.Close)
	var topics []kafka.Topic
	for _, topic := range pipelines.Topics(Brand, 2) {
		topics = append(topics, kafka.Topic{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Config: topic.Config})
	}
	must(f.Client.EnsureTopics(t.Context(), topics))
	f.Publisher = f.Client.Publisher()
	t.Cleanup(func() { _ = f.Publisher.Close() })
	f.Keys, err = keyring.Create(f.KeysDir)
	must(err)
	d := f.Database
	f.ClickHouse, err = clickhouse.Open(t.Context(), clickhouse.Config{URL: d.URL, Database: d.Name, User: d.User, Password: d.Password})
	must(err)
	t.Cleanup(func() { _ = f.ClickHouse.Close() })
	_, err = f.ClickHouse.Migrate(t.Context())
	must(err)
	f.Rules, f.Models = identity.DefaultRules(), maps.Clone(Models)
	return f
}

// ErrCut is what a Cut returns.
var ErrCut = errors.New("cut off by a test")

// Cut is ClickHouse that dies between the inserts of a batch: of batches later
// than After it takes the rows of the tables in Only. Those before may be
// delivered once more.
type Cut struct {
	resolve.ClickHouse
	After uint64
	Only  []string
}

// Insert implements resolve.ClickHouse.
func (c *Cut) Insert(ctx context.Context, block tables.Block, token string) error {
	_, err := c.insert(ctx, block, token, func(ctx context.Context, block tables.Block, token string) (int, error) {
		return 0, c.ClickHouse.Insert(ctx, block, token)
	})
	return err
}

// InsertAgain implements resolve.ClickHouse.
func (c *Cut) InsertAgain(ctx context.Context, block tables.Block, token string) (int, error) {
	return c.insert(ctx, block, token, c.ClickHouse.InsertAgain)
}

func (c *Cut) insert(ctx context.Context, block tables.Block, token string, insert func(context.Context, tables.Block, string) (int, error)) (int, error) {
	sequence, _, _ := strings.Cut(token, "/")
	if n, err := strconv.ParseUint(sequence, 10, 64); err == nil && n > c.After {
		if !slices.Contains(c.Only, block.Table()) {
			return 0, ErrCut
		}
		ctx = context.WithoutCancel(ctx) // one that is refused ends those beside it
	}
	return insert(ctx, block, token)
}

// Resolver resolves into a state; to is where it inserts, the flow's own
// ClickHouse if it is nil. The engine is for looking at.
func (f *Flow) Resolver(t testing.TB, store *state.Store, to resolve.ClickHouse) (*resolve.Resolver, *engine.Engine) {
	t.Helper()
	e, err := engine.New(store, f.Rules, engine.Models(f.Models))
	if err != nil {
		t.Fatal(err)
	}
	if to == nil {
		to = f.ClickHouse
	}
	hash := func(typ identity.IdentifierType, scope, value string) identity.Hash {
		return f.Keys.Hash(string(typ), scope, value)
	}
	return &resolve.Resolver{
		Brand: Brand, Kafka: f.Client, Publisher: f.Publisher, Topics: f.Topics, Keys: f.Keys, Log: slog.New(slog.DiscardHandler),
		Work: &resolve.Instance{
			Identity: &resolve.Identity{Engine: e, Values: store, Extract: &extract.Extractor{Hash: hash, Rules: f.Rules}, Keys: f.Keys},
			Tables:   resolve.NewBlocks(to, clickhouse.IsUnavailable),
		},
		BatchEvents: 40, BatchWait: 10 * time.Millisecond,
	}, e
}

// Run runs a resolver until it has caught up, or has ended by itself.
func Run(t testing.TB, r *resolve.Resolver) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { defer cancel(); ended <- r.Run(ctx) }()
	err := r.CaughtUp(ctx)
	cancel()
	if own := <-ended; own != nil {
		return own
	}
	return err
}

// Message seals an event into a message for Kafka.
func (f *Flow) Message(t testing.TB, e *events.Event) kafka.Message {
	t.Helper()
	key, topic := events.Key(e), f.Topics.Of(events.KindOf(e))
	if err := events.Seal(e, f.Keys); err != nil {
		t.Fatal(err)
	}
	value, err := events.Marshal(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	return kafka.Message{Topic: topic, Key: []byte(key), Value: value}
}

// Publish publishes messages.
func (f *Flow) Publish(t testing.TB, messages ...kafka.Message) {
	t.Helper()
	if err := f.Publisher.Publish(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
}

// State opens a state on disk that is closed with the test.
func (f *Flow) State(t testing.TB) *state.Store {
	t.Helper()
	store, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// Models are those that rules of tests may use: "plain" adds up what is equal.
var Models = identity.Scorers{"plain": plain{}}

type plain struct{}

// Blocks implements identity.Scorer.
func (plain) Blocks(keys []uint64, a identity.Appearance) []uint64 {
	for i, field := range [...]string{a.Name, a.Phone} {
		if field != "" {
			hash := fnv.New64a()
			_, _ = fmt.Fprint(hash, i, field) // a hash takes all
			keys = append(keys, hash.Sum64())
		}
	}
	return keys
}

var plainWorths = identity.Worths{Shares: []float64{0}, Fields: []identity.FieldWorth{
	{Name: "name", Levels: []string{"equal", "else"}, Bits: [][]float64{{0, 4, 0}}},
	{Name: "phone", Levels: []string{"equal", "else"}, Bits: [][]float64{{0, 4, 0}}},
	{Name: "city", Levels: []string{"equal", "else"}, Bits: [][]float64{{0, 4, 0}}},
}}

// Compare implements identity.Scorer.
func (plain) Compare(a, b identity.Appearance) (levels identity.Levels, rare float64) {
	for i, equal := range [...]bool{a.Name == b.Name, a.Phone == b.Phone, a.City == b.City} {
		level := identity.Levels(2)
		if equal {
			level = 1
		}
		levels |= level << (4 * i)
	}
	return levels, 0
}

// Worths implements identity.Scorer.
func (plain) Worths() *identity.Worths { return &plainWorths }

// Weigh implements identity.Scorer.
func (p plain) Weigh(a, b identity.Appearance) float32 { return plainWorths.Weight(p.Compare(a, b)) }

// Explain implements identity.Scorer.
func (plain) Explain(a, b identity.Appearance) []string {
	return []string{fmt.Sprintf("equal %+.1f", plain{}.Weigh(a, b))}
}

// User is an event of a user of one of two shops; neighbours share a phone.
func User(no int, phone string, modifiedMs int64) *events.Event {
	id := strconv.Itoa(no)
	return &events.Event{
		Header: &events.Header{
			Platform: "tmall", Shop: "s" + strconv.Itoa(no%2), EntityId: id, Account: id, Stream: "users",
			Version: &events.Version{ModifiedMs: modifiedMs, Source: events.Source_SOURCE_API, ObservedMs: modifiedMs, Revision: 1},
			Person:  &events.Person{Sightings: []*events.Sighting{{Type: "phone", Value: phone, Role: events.Role_ROLE_MEMBER}}},
			Raw:     []byte(`{"user":` + id + `}`),
		},
		Body: &events.Event_User{User: &events.User{Member: true}},
	}
}
