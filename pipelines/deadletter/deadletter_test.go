package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/extract"
	"oneid/internal/clickhouse"
	"oneid/internal/embedded/broker"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/pipelines/pull"
	"oneid/pipelines/resolve"
	"oneid/schemas/events"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

// rig is the whole flow of brand b on real parts.
type rig struct {
	t          *testing.T
	client     *kafka.Client
	publisher  *kafka.Publisher
	clickhouse *clickhouse.Conn
	keys       *keyring.Ring
	topics     events.Topics
	log        *slog.Logger
}

func newRig(t *testing.T) *rig {
	t.Helper()
	b, err := broker.Start(t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return newRigOn(t, b.Addresses())
}

func newRigOn(t *testing.T, brokers []string) *rig {
	t.Helper()
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var topics []kafka.Topic
	for _, topic := range pipelines.Topics("b", 2) {
		topics = append(topics, kafka.Topic{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Config: topic.Config})
	}
	if err := client.EnsureTopics(t.Context(), topics); err != nil {
		t.Fatal(err)
	}
	d := chdbtest.Start(t)
	conn, err := clickhouse.Open(t.Context(), clickhouse.Config{URL: d.URL, Database: d.Name, User: d.User, Password: d.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, client: client, publisher: client.Publisher(), clickhouse: conn, keys: newKeys(t), topics: events.TopicsOf("b"), log: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() { _ = r.publisher.Close() })
	return r
}

func newKeys(t *testing.T) *keyring.Ring {
	t.Helper()
	keys, err := keyring.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// flow resolves and records until all that lies in Kafka is in ClickHouse.
func (r *rig) flow() {
	r.t.Helper()
	rules, err := identity.ParseRules(identity.DefaultRulesYAML())
	if err != nil {
		r.t.Fatal(err)
	}
	e, err := engine.New(engine.NewMemory(), rules)
	if err != nil {
		r.t.Fatal(err)
	}
	hash := func(typ identity.IdentifierType, scope, value string) identity.Hash {
		return r.keys.Hash(string(typ), scope, value)
	}
	resolver := &resolve.Resolver{
		Brand: "b", Kafka: r.client, Publisher: r.publisher, Topics: r.topics, Keys: r.keys, Log: r.log, BatchEvents: 700, BatchWait: 20 * time.Millisecond,
		Work: &resolve.Instance{
			Identity: &resolve.Identity{Engine: e, Extract: &extract.Extractor{Hash: hash, Rules: rules}, Keys: r.keys},
			Tables:   resolve.NewBlocks(r.clickhouse, clickhouse.IsUnavailable),
		},
	}
	r.running(resolver.Run, func(ctx context.Context) error {
		if err := resolver.CaughtUp(ctx); err != nil {
			return err
		}
		return r.recorded(ctx)
	})
}

// running runs a pipeline beside work, and ends it then.
func (r *rig) running(run, work func(context.Context) error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { defer cancel(); ended <- run(ctx) }()
	err := work(ctx)
	cancel()
	if err := errors.Join(<-ended, err); err != nil {
		r.t.Fatal(err)
	}
}

// recorded records what lies in the topic.
func (r *rig) recorded(ctx context.Context) error {
	recorder := &Recorder{Brand: "b", Kafka: r.client, Topic: r.topics.DeadLetter, ClickHouse: r.clickhouse, Log: r.log}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { defer cancel(); ended <- recorder.Run(ctx) }()
	err := recorder.CaughtUp(ctx)
	cancel()
	return errors.Join(<-ended, err)
}

func (r *rig) record() {
	r.t.Helper()
	if err := r.recorded(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) desk(mapper func(*events.DeadLetter, []byte) (connectors.Connector, error)) *Desk {
	return &Desk{Kafka: r.client, Publisher: r.publisher, Topics: r.topics, Keys: r.keys, ClickHouse: r.clickhouse, Mapper: mapper, Who: "tester"}
}

func (r *rig) number(query string) uint64 {
	r.t.Helper()
	n, err := r.clickhouse.Number(r.t.Context(), "count", strings.ReplaceAll(query, "DB.", r.clickhouse.Database()+"."))
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func user(no int) *events.Event {
	return &events.Event{
		Header: &events.Header{
			Platform: "tmall", Shop: "s", EntityId: strconv.Itoa(no), Account: strconv.Itoa(no), Stream: "users",
			Version: &events.Version{ModifiedMs: 1_700_000_000_000, Source: events.Source_SOURCE_API}, Raw: []byte(`{"no":1}`),
			Person: &events.Person{Sightings: []*events.Sighting{{Type: "phone", Value: fmt.Sprintf("138%08d", no), Role: events.Role_ROLE_MEMBER}}},
		},
		Body: &events.Event_User{User: &events.User{Member: true}},
	}
}

func (r *rig) encode(e *events.Event, keys events.Sealer) kafka.Message {
	r.t.Helper()
	wire, err := r.topics.Encode(e, keys)
	if err != nil {
		r.t.Fatal(err)
	}
	return kafka.MessageOf(wire)
}

func (r *rig) publish(messages ...kafka.Message) {
	r.t.Helper()
	if err := r.publisher.Publish(r.t.Context(), messages); err != nil {
		r.t.Fatal(err)
	}
}

// Whatever lies in the topics, the flow goes on: all that is good is loaded,
// all that is not is one dead letter each, with its very bytes.
func TestPoison(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		out := make([]byte, n)
		for i := range out {
			out[i] = byte(random.Uint32())
		}
		return out
	}
	good := func() []byte { return r.encode(user(1_000_000+random.IntN(1000)), r.keys).Value }
	changed := func(f func(*events.Event)) []byte {
		e := user(7)
		f(e)
		return r.encode(e, r.keys).Value
	}
	kinds := map[string]func() []byte{
		"random bytes": func() []byte { return append([]byte{0xff}, noise(1+random.IntN(600))...) },
		"empty":        func() []byte { return nil },
		"truncated":    func() []byte { v := good(); return v[:1+random.IntN(len(v)-1)] },
		// The body's field holds a number, the header's a text.
		"wrong types": func() []byte {
			v := protowire.AppendVarint(protowire.AppendTag(nil, 4, protowire.VarintType), random.Uint64())
			return protowire.AppendString(protowire.AppendTag(v, 1, protowire.BytesType), "not a header")
		},
		"of nothing":     func() []byte { return changed(func(e *events.Event) { e.Header.EntityId = "" }) },
		"a platform's /": func() []byte { return changed(func(e *events.Event) { e.Header.Platform = "a/b" }) },
		"the year 9999": func() []byte {
			return changed(func(e *events.Event) { e.Header.Version.ModifiedMs = 253_402_300_799_000 })
		},
		"another's seal":  func() []byte { return r.encode(user(7), newKeys(t)).Value },
		"a JSON text":     func() []byte { return []byte(`{"header":{"platform":"tmall"}}`) },
		"not UTF-8":       func() []byte { return bytes.Replace(good(), []byte("tmall"), []byte{0xff, 0xfe, 'a', 'l', 'l'}, 1) },
		"below the limit": func() []byte { return append([]byte{0xff}, noise(1_040_000)...) },
	}
	const n = 6000
	var want [][]byte
	names := slices.Sorted(maps.Keys(kinds))
	var messages []kafka.Message
	for no := range n {
		e := user(no)
		if no%50 == 0 {
			// A source may say any time: each is a partition of its own in
			// raw_events, and more of them than ClickHouse takes by itself.
			e.Header.Version.ModifiedMs = int64(no) * 1_000_000_000
		}
		messages = append(messages, r.encode(e, r.keys))
		if no%100 != 0 {
			continue
		}
		poison := kinds[names[no/100%len(names)]]()
		want = append(want, poison)
		r.publish(messages...)
		messages = nil
		// Past the publisher, which makes no such messages.
		topic := []string{r.topics.Users, r.topics.Orders, r.topics.Decisions}[no/100%3]
		log := r.client.Log(topic, 0)
		if _, err := log.Append(t.Context(), poison, nil); err != nil {
			t.Fatal(err)
		}
		_ = log.Close()
	}
	r.publish(messages...)
	r.flow()

	if got := r.number("SELECT count() FROM DB.users FINAL"); got != n {
		t.Errorf("%d users are loaded, want %d", got, n)
	}
	letters, err := r.desk(nil).List(t.Context(), Filter{}, 10*n)
	if err != nil {
		t.Fatal(err)
	}
	if len(letters) != len(want) {
		t.Fatalf("%d letters, want %d", len(letters), len(want))
	}
	var got [][]byte
	err = r.desk(nil).read(t.Context(), letters, func(o opened) error {
		got = append(got, o.raw)
		return o.err
	})
	if err != nil {
		t.Fatal(err)
	}
	reasons := make(map[string]int)
	for i, l := range letters {
		reasons[l.Reason]++
		if i < 5 {
			_, raw, err := r.desk(nil).Show(t.Context(), l.ID)
			if err != nil || !slices.ContainsFunc(want, func(poison []byte) bool { return bytes.Equal(poison, raw) }) {
				t.Errorf("Show of %s = %d bytes, %v", l.ID, len(raw), err)
			}
		}
		if l.State != StateOpen || l.Attempts != 1 || !strings.HasPrefix(l.Origin, "b.") || l.Detail == "" {
			t.Errorf("letter %+v", l)
		}
	}
	slices.SortFunc(got, bytes.Compare)
	slices.SortFunc(want, bytes.Compare)
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Error("the letters hold other bytes than the messages that could not be read")
	}
	if reasons[events.ReasonDecode] == 0 || reasons[events.ReasonOpen] == 0 || reasons[events.ReasonStore] == 0 {
		t.Errorf("reasons %v", reasons)
	}
	if got := r.number("SELECT count() FROM DB.audit WHERE who = 'tester' AND action = 'deadletter.show'"); got != 5 {
		t.Errorf("%d lines of audit, want one for each of the 5 letters that were shown", got)
	}
	// The view holds none of the bytes.
	if columns := r.number("SELECT count() FROM system.columns WHERE database = '" + r.clickhouse.Database() + "' AND table = 'dead_letters' AND (name LIKE '%raw%' OR name LIKE '%bytes%')"); columns != 0 {
		t.Error("the view has a column of bytes")
	}
	// Taken again, with nothing mended, each is kept and tried once more; the
	// flow reads nothing new.
	report, err := r.desk(nil).Replay(t.Context(), Filter{})
	if err != nil || report.Kept != len(want) || report.Replayed != 0 {
		t.Errorf("Replay = %+v, %v; want all %d kept", report, err, len(want))
	}
	r.record()
	if got := r.number("SELECT count() FROM DB.dead_letters WHERE attempts = 2 AND state = 'open' AND changed_at IS NOT NULL"); got != uint64(len(want)) {
		t.Errorf("%d letters have two attempts, want %d", got, len(want))
	}
}

// table is a connector whose records are users; it refuses those of odd
// numbers until it is mended.
type table struct {
	records        []string
	mended, panics bool
}

func (*table) Spec() connectors.Spec       { return connectors.Spec{Platform: "tmall"} }
func (*table) Check(context.Context) error { return nil }

func (c *table) Read(context.Context, string, connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		page := connectors.Page{Bad: []connectors.BadRecord{{Raw: []byte("no row"), Origin: "line 1", Err: errors.New("not a row")}}}
		for i, raw := range c.records {
			page.Records = append(page.Records, connectors.Record{Stream: "users", Shop: "s", Raw: []byte(raw), Observed: time.UnixMilli(1_700_000_000_123), Origin: "line " + strconv.Itoa(i+2)})
		}
		yield(page, nil)
	}
}

func (c *table) Map(record connectors.Record) ([]*events.Event, error) {
	if c.panics {
		panic("a secret of a record's")
	}
	no, _, _ := strings.Cut(string(record.Raw), " ")
	if one, other, several := strings.Cut(no, "+"); several { // a record of two users
		first, errFirst := c.Map(connectors.Record{Raw: []byte(one), Observed: record.Observed})
		second, errSecond := c.Map(connectors.Record{Raw: []byte(other), Observed: record.Observed})
		return append(first, second...), errors.Join(errFirst, errSecond)
	}
	number, err := strconv.Atoi(no)
	if err != nil || number%2 == 1 && !c.mended {
		return nil, errors.New("the number is odd")
	}
	e := user(number)
	e.Header.Raw, e.Header.Version.ObservedMs = []byte(no), record.Observed.UnixMilli()
	return []*events.Event{e}, nil
}

// A record that could not be mapped is loaded once the mapping is mended, with
// the time at which it was read, however large it is; what cannot be cut into
// a record is kept. A letter that was closed stays closed.
func TestReplayMapsAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := &table{}
	for no := range 40 {
		c.records = append(c.records, strconv.Itoa(no)+" "+strings.Repeat("x", no*no*1000)) // up to 1.5 MB
	}
	mapper := func(l *events.DeadLetter, _ []byte) (connectors.Connector, error) {
		if l.GetPlatform() != "tmall" || l.GetStream() != "users" || l.GetSource() != events.Source_SOURCE_API {
			return nil, fmt.Errorf("no mapping for %s", l.GetPlatform())
		}
		return c, nil
	}
	pulling := func() {
		p := pull.Puller{Connector: c, Platform: "tmall", Shop: "s", Stream: "users", Publisher: r.publisher, Topics: r.topics, Keys: r.keys, Log: r.log}
		if _, err := p.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	pulling()
	pulling() // a page that is read again gives the same letters
	r.flow()
	states := func() string {
		t.Helper()
		all, err := r.desk(nil).List(t.Context(), Filter{}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		count := make(map[string]int)
		for _, l := range all {
			count[fmt.Sprintf("%s %s %d", l.Reason, l.State, l.Attempts)]++
		}
		return fmt.Sprint(count)
	}
	if got, want := states(), "map[map open 1:20 read open 1:1]"; got != want {
		t.Fatalf("letters %s, want %s", got, want)
	}
	// Nothing is mended yet; one letter is named alone.
	all, err := r.desk(nil).List(t.Context(), Filter{Reason: events.ReasonMap, Platform: "tmall", Shop: "s"}, 1)
	if err != nil || len(all) != 1 {
		t.Fatalf("List = %v, %v; want one of the limit", all, err)
	}
	report, err := r.desk(mapper).Replay(t.Context(), Filter{IDs: []string{all[0].ID}})
	if err != nil || report.Kept != 1 || len(report.Failures) != 1 || report.Failures[0].Detail != "the number is odd" {
		t.Errorf("Replay = %+v, %v", report, err)
	}
	r.record()
	if got, want := states(), "map[map open 1:19 map open 2:1 read open 1:1]"; got != want {
		t.Errorf("letters %s, want %s", got, want)
	}
	// A mapping that panics fails its letter, and no other; what it panics with
	// is told nowhere.
	c.panics = true
	report, err = r.desk(mapper).Replay(t.Context(), Filter{IDs: []string{all[0].ID}})
	if err != nil || report.Kept != 1 || !strings.Contains(report.Failures[0].Detail, "panics") || strings.Contains(report.Failures[0].Detail, "secret") {
		t.Errorf("Replay with a mapping that panics = %+v, %v", report, err)
	}
	c.panics, c.mended = false, true
	gone, leave := context.WithCancel(t.Context())
	leave()
	if report, err := r.desk(mapper).Replay(gone, Filter{}); !errors.Is(err, context.Canceled) || report.Replayed > 0 {
		t.Errorf("a replay that nobody waits for = %+v, %v", report, err)
	}
	r.record()
	if report, err = r.desk(mapper).Replay(t.Context(), Filter{}); err != nil || report.Replayed != 20 || report.Kept != 1 {
		t.Errorf("Replay = %+v, %v; want 20 replayed and the line that is no record kept", report, err)
	}
	r.flow()
	if got, want := states(), "map[map replayed 2:19 map replayed 4:1 read open 2:1]"; got != want {
		t.Errorf("letters %s, want %s", got, want)
	}
	if got := r.number("SELECT count() FROM DB.users FINAL"); got != 40 {
		t.Errorf("%d users, want 40", got)
	}
	if got := r.number("SELECT count() FROM DB.raw_events WHERE toUnixTimestamp64Milli(observed_at) = 1700000000123"); got < 40 {
		t.Errorf("%d events keep the time at which they were read, want all 40", got)
	}
	// A replay of what is closed does nothing; nor does a late repetition of
	// the page.
	if report, err = r.desk(mapper).Drop(t.Context(), Filter{}); err != nil || report.Dropped != 1 {
		t.Errorf("Drop = %+v, %v", report, err)
	}
	r.record()
	c.mended = false
	pulling()
	r.record()
	if got, want := states(), "map[map replayed 2:19 map replayed 4:1 read dropped 2:1]"; got != want {
		t.Errorf("letters %s, want %s", got, want)
	}
	if report, err = r.desk(mapper).Replay(t.Context(), Filter{}); err != nil || report.Replayed+report.Kept != 0 {
		t.Errorf("Replay of nothing = %+v, %v", report, err)
	}
	if got := r.number("SELECT count() FROM DB.dead_letter_states FINAL WHERE state != 'open' AND changed_by = 'tester'"); got != 21 {
		t.Errorf("%d letters name who closed them, want 21", got)
	}
}

// A message that could not be opened is put back on its topic once the key is
// there, and once only.
func TestReplayDecodesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	late := newKeys(t)
	for no := range 30 {
		keys := r.keys
		if no%3 == 0 {
			keys = late
		}
		r.publish(r.encode(user(no), keys))
	}
	r.flow()
	if got := r.number("SELECT count() FROM DB.dead_letters WHERE reason = 'open' AND platform = 'tmall' AND stream = 'users'"); got != 10 {
		t.Fatalf("%d letters, want 10", got)
	}
	// The letters are sealed by the ring that was there then; both are now.
	desk := r.desk(nil)
	r.keys, desk.Keys = late, either{late, r.keys}
	if _, _, err := desk.Show(t.Context(), "b.users/0@99999"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Show of none = %v", err)
	}
	report, err := desk.Replay(t.Context(), Filter{Reason: events.ReasonDecode})
	if err != nil || report.Replayed+report.Kept != 0 {
		t.Errorf("Replay of another reason = %+v, %v", report, err)
	}
	if report, err = desk.Replay(t.Context(), Filter{Reason: events.ReasonOpen}); err != nil || report.Replayed != 10 || report.Kept != 0 {
		t.Errorf("Replay = %+v, %v; want 10 replayed", report, err)
	}
	first, next, err := r.client.Ends(t.Context(), r.topics.Users)
	if err != nil {
		t.Fatal(err)
	}
	messages := make(map[string]int)
	for p := range first {
		err := r.client.ReadRange(t.Context(), r.topics.Users, p, first[p], next[p], true, func(m kafka.Fetched) error {
			messages[string(m.Key)]++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for no := range 30 {
		want := 1
		if no%3 == 0 {
			want = 2
		}
		if got := messages["tmall/s/"+strconv.Itoa(no)]; got != want {
			t.Errorf("user %d was published %d times under its key, want %d", no, got, want)
		}
	}
}

// either opens what one of two rings can.
type either struct{ a, b events.Sealer }

func (e either) Seal(to, plain, context []byte) []byte { return e.a.Seal(to, plain, context) }
func (e either) Open(to, sealed, context []byte) ([]byte, error) {
	if plain, err := e.a.Open(to, sealed, context); err == nil {
		return plain, nil
	}
	return e.b.Open(to, sealed, context)
}

// Killed between insert and commit, the recorder inserts again, and the view
// has each letter once.
func TestRecordedTwiceIsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for no := range 5 {
		parts, err := events.Letters(&events.DeadLetter{LetterId: strconv.Itoa(no), Reason: events.ReasonMap, Attempts: 1, FirstSeenMs: 1}, []byte("x"), r.keys)
		if err != nil {
			t.Fatal(err)
		}
		r.publish(kafka.Message{Topic: r.topics.DeadLetter, Value: parts[0].Value})
	}
	r.publish(kafka.Message{Topic: r.topics.DeadLetter, Value: []byte{0xff}}) // no letter, and no reason to stop
	r.record()
	if err := r.client.Commit(t.Context(), pipelines.LettersGroup("b"), kafka.Position{r.topics.DeadLetter: {2}}); err != nil {
		t.Fatal(err)
	}
	r.record()
	if got := r.number("SELECT count() FROM DB.dead_letters"); got != 5 {
		t.Errorf("%d letters, want 5", got)
	}
}

// What a webhook refused is handed to it again as long as it is configured:
// its bytes, its name, and the attempts so far. Then the letter is closed.
func TestReplayDeliversAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	refused := func(webhook, stream string, no int) string {
		place := fmt.Sprintf("b.identity/0@%d", no)
		parts, err := events.Letters(&events.DeadLetter{
			LetterId: events.DeliveryLetter(webhook, place), Platform: "tmall", Shop: "s", Stream: stream, Reason: events.ReasonDeliver,
			Detail: "it answers 400", Origin: place, Attempts: 2, FirstSeenMs: 1_700_000_000_000,
		}, []byte("change of "+webhook), r.keys)
		if err != nil {
			t.Fatal(err)
		}
		parts[0].Topic, parts[0].Key = r.topics.DeadLetter, []byte("tmall/s/1")
		r.publish(kafka.MessageOf(parts[0]))
		return events.DeliveryLetter(webhook, place)
	}
	id := refused("desk", events.StreamIdentity, 1)
	alert := refused("duty", events.StreamAlerts, 2)
	gone := refused("gone", events.StreamIdentity, 3)
	other := refused("duty", events.StreamIdentity, 4) // of that name there is one for alerts alone
	r.record()
	desk := r.desk(nil)
	desk.Webhooks = func(stream, name string) bool {
		return stream == events.StreamIdentity && name == "desk" || stream == events.StreamAlerts && name == "duty"
	}
	report, err := desk.Replay(t.Context(), Filter{Reason: events.ReasonDeliver})
	if err != nil || report.Replayed != 2 || report.Kept != 2 {
		t.Fatalf("Replay = %+v, %v; want 2 replayed and 2 kept", report, err)
	}
	for _, f := range report.Failures {
		if f.ID != gone && f.ID != other || !strings.Contains(f.Detail, "configured no longer") {
			t.Errorf("kept is %+v", f)
		}
	}
	got := make(map[string]string)
	err = r.client.ReadAll(t.Context(), r.topics.Redeliver, func(_ int, m kafka.Fetched) error {
		again := new(events.Redelivery)
		if err := proto.Unmarshal(m.Value, again); err != nil {
			return err
		}
		got[again.GetLetterId()] = fmt.Sprint(again.GetWebhook(), " ", again.GetStream(), " ", again.GetAttempts(), " ", string(again.GetValue()), " ", again.GetWho(), " ", string(m.Key), " ", len(m.Headers))
		return nil
	})
	want := map[string]string{id: "desk identity 3 change of desk tester tmall/s/1 6", alert: "duty alerts 3 change of duty tester tmall/s/1 6"}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("to be delivered again are %v (%v), want %v", got, err, want)
	}
	r.record()
	if n := r.number("SELECT countIf(state = 'replayed') * 10 + countIf(state = 'open') FROM DB.dead_letters"); n != 22 {
		t.Errorf("replayed and open are %d, want 22", n)
	}
}
