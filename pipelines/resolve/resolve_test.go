package resolve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/fault"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// flow is a broker with the topics of a brand that no other test has.
type flow struct {
	brand   string
	brokers []string
	// broker and brokerDir are of an embedded broker of the test's own.
	broker    *broker.Broker
	brokerDir string
	client    *kafka.Client
	publisher *kafka.Publisher
	keys      *keyring.Ring
	topics    events.Topics
}

func newFlow(t testing.TB) *flow {
	t.Helper()
	return newFlowOn(t, &flow{brokers: brokertest.Brokers(t)}, 2)
}

// newOwnFlow is a flow on an embedded broker that the test may end and start
// again.
func newOwnFlow(t testing.TB, partitions int) *flow {
	t.Helper()
	dir := t.TempDir()
	b, err := broker.Start(dir, crashtest.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return newFlowOn(t, &flow{broker: b, brokerDir: dir, brokers: b.Addresses()}, partitions)
}

// newFlowOn makes topics with as many partitions on a flow's brokers.
func newFlowOn(t testing.TB, f *flow, partitions int) *flow {
	t.Helper()
	f.brand = brokertest.Brand()
	client, err := kafka.New(kafka.Config{Brokers: f.brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var topics []kafka.Topic
	for _, topic := range pipelines.Topics(f.brand, partitions) {
		topics = append(topics, kafka.Topic{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Config: topic.Config})
	}
	if err := client.EnsureTopics(t.Context(), topics); err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	publisher := client.Publisher()
	t.Cleanup(func() { _ = publisher.Close() })
	f.client, f.publisher, f.keys, f.topics = client, publisher, keys, events.TopicsOf(f.brand)
	return f
}

func (f *flow) resolver(work Work) *Resolver {
	return &Resolver{
		Brand: f.brand, Kafka: f.client, Publisher: f.publisher, Topics: f.topics, Keys: f.keys, Work: work,
		Log: slog.New(slog.DiscardHandler), BatchEvents: 70, BatchWait: 20 * time.Millisecond, bookmarkEvery: 2,
	}
}

func user(no int) *events.Event {
	return &events.Event{
		Header: &events.Header{
			Platform: "tmall", Shop: "s", EntityId: strconv.Itoa(no), Account: strconv.Itoa(no), Stream: "users",
			Version: &events.Version{ModifiedMs: int64(no), Source: events.Source_SOURCE_API},
			Person:  &events.Person{Sightings: []*events.Sighting{{Type: "phone", Value: "13800001111", Role: events.Role_ROLE_MEMBER}}},
			Raw:     fmt.Appendf(nil, `{"user":%d}`, no),
		},
		Body: &events.Event_User{User: &events.User{Member: true}},
	}
}

// message seals an event into a message for Kafka.
func (f *flow) message(t testing.TB, e *events.Event) kafka.Message {
	t.Helper()
	key, topic := events.Key(e), f.topics.Of(events.KindOf(e))
	if err := events.Seal(e, f.keys); err != nil {
		t.Fatal(err)
	}
	value, err := events.Marshal(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	return kafka.Message{Topic: topic, Key: []byte(key), Value: value}
}

func (f *flow) publish(t testing.TB, messages ...kafka.Message) {
	t.Helper()
	if err := f.publisher.Publish(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
}

// run runs a resolver until it has caught up, or has ended by itself.
func run(t testing.TB, r *Resolver) error {
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

// wantCommittedIsThere checks that what lies below the group's offsets was
// inserted: who publishes waits for them.
func (f *flow) wantCommittedIsThere(t *testing.T, work *ledger) {
	t.Helper()
	committed, err := f.client.Committed(t.Context(), pipelines.ResolverGroup(f.brand), f.topics.Resolved())
	if err != nil {
		t.Fatal(err)
	}
	said, there := int64(0), 0
	for _, offsets := range committed {
		for _, next := range offsets {
			said += next
		}
	}
	for _, rows := range work.rows {
		there += len(rows)
	}
	if said > int64(there) {
		t.Errorf("%d messages are inserted and %d are committed", there, said)
	}
}

// Stopped between any two steps, at the first and at a later batch, and then
// started again with the state that it had, the resolver loses and doubles
// nothing.
func TestStoppedAnywhere(t *testing.T) {
	points := fault.Points("resolve")
	if len(points) < 6 {
		t.Fatalf("fault points: %v", points)
	}
	for _, point := range points {
		for _, at := range []int{1, 2} { // four partitions of about 50 messages make two batches
			t.Run(fmt.Sprintf("%s %d", point, at), func(t *testing.T) {
				f, work := newFlow(t), newLedger()
				var messages []kafka.Message
				for no := range 200 {
					e := user(no)
					if no%2 == 1 {
						e.Body = &events.Event_Ticket{Ticket: &events.Ticket{Kind: "service"}}
					}
					messages = append(messages, f.message(t, e))
				}
				f.publish(t, messages...)
				disarm, stopped := fault.StopAt(point, at)
				err := run(t, f.resolver(work))
				disarm()
				if !errors.Is(err, fault.ErrStop) || !stopped() {
					t.Fatalf("Run = %v, want the stop at %s", err, point)
				}
				f.wantCommittedIsThere(t, work)
				if err := run(t, f.resolver(work)); err != nil {
					t.Fatal(err)
				}
				work.wantAllOnce(t, 200)
				if len(work.pending) != 0 {
					t.Errorf("%d batches were not delivered", len(work.pending))
				}
			})
		}
	}
}

// Whatever cannot be read goes to the dead letter, sealed, and the rest goes
// on; taken again, it is the same letter.
func TestUnreadableMessages(t *testing.T) {
	f, work := newFlow(t), newLedger()
	moved := f.message(t, user(3))
	var e events.Event
	if err := proto.Unmarshal(moved.Value, &e); err != nil {
		t.Fatal(err)
	}
	e.Header.EntityId = "4" // what is sealed belongs to another
	moved.Value, _ = events.Marshal(nil, &e)
	noise := kafka.Message{Topic: f.topics.Orders, Key: []byte("k"), Value: []byte("13800001111 is no event")}
	f.publish(t, f.message(t, user(0)), noise, moved,
		kafka.Message{Topic: f.topics.Decisions, Key: []byte("k"), Value: []byte{0xff}}, f.message(t, user(1)))
	disarm, _ := fault.StopAt("resolve/published", 1)
	_ = run(t, f.resolver(work))
	disarm()
	if err := run(t, f.resolver(work)); err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, 2)
	reasons := make(map[string]string)
	err := f.client.ReadAll(t.Context(), f.topics.DeadLetter, func(_ int, m kafka.Fetched) error {
		var l events.DeadLetter
		if err := proto.Unmarshal(m.Value, &l); err != nil {
			return err
		}
		reasons[l.GetLetterId()] = l.GetReason()
		raw, err := events.OpenLetter([]*events.DeadLetter{&l}, f.keys)
		if err != nil {
			return err
		}
		if l.GetOrigin() == f.topics.Orders && !bytes.Equal(raw, noise.Value) {
			t.Errorf("the letter opens to %q, want the message", raw)
		}
		if bytes.Contains(m.Value, []byte("13800001111")) {
			t.Error("a personal value is readable in a dead letter")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, reason := range reasons {
		got = append(got, reason)
	}
	slices.Sort(got)
	if want := []string{"decode", "decode", "open"}; !slices.Equal(got, want) {
		t.Errorf("dead letters = %v, want %v", got, want)
	}
}

// A store that is away stops the flow and loses nothing.
func TestStoreAway(t *testing.T) {
	f, work := newFlow(t), newLedger()
	const forever = 1 << 30
	work.away, work.stale = forever, 2
	f.publish(t, f.message(t, user(0)), f.message(t, user(1)))
	r := f.resolver(work)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	wantState(t, r, pipelines.Waiting)
	if _, err, _ := r.Health(); !errors.Is(err, errAway) {
		t.Errorf("the resolver waits for %v, want the store that is away", err)
	}
	work.mu.Lock()
	work.away = 2 // more
	work.mu.Unlock()
	wantState(t, r, pipelines.Working)
	if err := r.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, 2)
	if work.refreshed != 1 {
		t.Errorf("views were refreshed %d times, want once", work.refreshed)
	}
}

// One that takes the journal without being the group's choice loses it again:
// the one that is active sees it before it uses a batch, asks the group, and
// claims a higher epoch.
func TestJournalTakenByAStranger(t *testing.T) {
	f, work := newFlow(t), newLedger()
	r := f.resolver(work)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- r.Run(ctx) }()
	f.publish(t, f.message(t, user(0)))
	if err := r.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	stranger := openJournal(f.client, f.topics.Journal)
	defer stranger.close()
	if _, err := stranger.catchUp(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := stranger.claim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	f.publish(t, f.message(t, user(1)))
	if err := r.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.append(t.Context(), nil); !errors.Is(err, errJournalMoved) {
		t.Errorf("the stranger writes on: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, 2)
}

// Two that claim at once end with different epochs, and none below the
// group's generation; a group that is made anew begins at 1 and makes no epoch
// lower.
func TestClaimsDiffer(t *testing.T) {
	f := newFlow(t)
	claim := func(least uint64) uint64 {
		j := openJournal(f.client, f.topics.Journal)
		defer j.close()
		for {
			if _, err := j.catchUp(t.Context(), 0); err != nil {
				t.Error(err)
				return 0
			}
			if err := j.claim(t.Context(), least); err == nil {
				return j.epoch
			} else if !errors.Is(err, errJournalMoved) {
				t.Error(err)
				return 0
			}
		}
	}
	epochs := make([]uint64, 6)
	var all sync.WaitGroup
	for i := range epochs {
		all.Go(func() { epochs[i] = claim(0) })
	}
	all.Wait()
	slices.Sort(epochs)
	if len(slices.Compact(slices.Clone(epochs))) != len(epochs) {
		t.Errorf("epochs = %v: two are equal", epochs)
	}
	// Claims that met each other have used up epochs, more of them the slower the broker.
	if got := claim(1000); got != 1000 {
		t.Errorf("epoch of generation 1000 = %d", got)
	}
	if got := claim(1); got != 1001 {
		t.Errorf("epoch of generation 1 after epoch 1000 = %d, want 1001", got)
	}
}

// What one writes whose epoch is over is void for every reader.
func TestLowerEpochIsVoid(t *testing.T) {
	f := newFlow(t)
	old, later, reader := openJournal(f.client, f.topics.Journal), openJournal(f.client, f.topics.Journal), openJournal(f.client, f.topics.Journal)
	for _, j := range []*journal{old, later, reader} {
		defer j.close()
	}
	if err := old.claim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := later.catchUp(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := later.claim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := old.append(t.Context(), []*events.Range{{Topic: f.topics.Users, First: 0, Last: 9}}); !errors.Is(err, errJournalMoved) {
		t.Fatalf("append of an epoch that is over = %v, want errJournalMoved", err)
	}
	if records, err := reader.catchUp(t.Context(), 0); err != nil || len(records) != 0 || len(reader.positions) != 0 {
		t.Errorf("a reader takes %v (%v), want nothing", records, err)
	}
}

// What a retry wrote twice is taken once, whichever of the two the journal
// holds first.
func TestRecordWrittenTwice(t *testing.T) {
	f, work := newFlow(t), newLedger()
	for i := range 4 {
		e := user(i)
		e.Header.Account = "one" // one partition
		f.publish(t, f.message(t, e))
	}
	_, next, err := f.client.Ends(t.Context(), f.topics.Users)
	if err != nil {
		t.Fatal(err)
	}
	number := slices.Index(next, 4)
	j := openJournal(f.client, f.topics.Journal)
	defer j.close()
	if err := j.claim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for _, last := range []int64{1, 2, 1} {
		clear(j.positions) // as of a writer who does not know
		if _, err := j.append(t.Context(), []*events.Range{{Topic: f.topics.Users, Partition: int32(number), First: 0, Last: last}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t, f.resolver(work)); err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, 4)
}

// However the chunks of a batch came, it is cut into the same ranges and read
// again in the same order.
func TestBatchOrder(t *testing.T) {
	topics := events.TopicsOf("b").Resolved()
	var chunks []chunk
	for _, topic := range topics[:3] {
		for number := range 2 {
			for first := int64(10); first < 40; first += 10 {
				chunks = append(chunks, chunk{partition: partition{topic, number}, messages: []kafka.Fetched{{Offset: first}, {Offset: first + 9}}})
			}
		}
	}
	want := batch{chunks: slices.Clone(chunks)}
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(chunks), func(i, j int) { chunks[i], chunks[j] = chunks[j], chunks[i] })
		got := batch{chunks: slices.Clone(chunks)}
		got.sort(topics)
		same := func(a, b chunk) bool {
			return a.partition == b.partition && a.messages[0].Offset == b.messages[0].Offset
		}
		if !slices.EqualFunc(got.chunks, want.chunks, same) {
			t.Fatalf("seed %d: another order", seed)
		}
		ranges := got.ranges()
		if len(ranges) != 6 || ranges[0].First != 10 || ranges[0].Last != 39 {
			t.Fatalf("seed %d: ranges = %v", seed, ranges)
		}
	}
}

// A state that Kafka alone cannot bring up to date says what to do.
func TestTooOldAState(t *testing.T) {
	f := newFlow(t)
	f.publish(t, f.message(t, user(0)))
	j := openJournal(f.client, f.topics.Journal)
	defer j.close()
	if err := j.claim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	gone := []*events.Range{{Topic: f.topics.Users, First: 100, Last: 110}} // not in Kafka
	if _, err := j.append(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if err := run(t, f.resolver(newLedger())); !errors.Is(err, errTooOld) || !strings.Contains(err.Error(), "oneid rebuild") {
		t.Errorf("an empty state ended with %v, want errTooOld", err)
	}
	ahead := newLedger()
	ahead.applied = []uint64{7}
	if err := run(t, f.resolver(ahead)); !errors.Is(err, errAnother) {
		t.Errorf("a state of another journal ended with %v, want errAnother", err)
	}
}

// What is read ahead and in work stays within its memory, however large the
// messages are and however long a batch takes; one message that is larger than
// all of it goes through alone.
func TestMemoryIsBounded(t *testing.T) {
	f, work := newFlow(t), newLedger()
	const limit = 1 << 20
	var messages []kafka.Message
	for no := range 60 {
		e := user(no)
		e.Header.Raw = bytes.Repeat([]byte("raw payload of a user "), 5000*(1+4*(no%7/6))) // 110 KB, some 550 KB
		messages = append(messages, f.message(t, e))
	}
	f.publish(t, messages...)
	r := f.resolver(work)
	r.Memory = limit
	most := int64(0)
	disarm := fault.Arm(func(string) error {
		most = max(most, r.Held())
		return nil
	})
	defer disarm()
	if err := run(t, r); err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, 60)
	if most == 0 || most > limit {
		t.Errorf("%d bytes were held, want some and at most %d", most, limit)
	}
	if r.Held() != 0 && r.Held() > limit {
		t.Errorf("%d bytes are held when all is done", r.Held())
	}
}

// BenchmarkFlow is the flow without identity and ClickHouse: publish, journal,
// read, decode, open. On the two cores of a small server 20,000 events take
// about 0.2 s.
func BenchmarkFlow(b *testing.B) {
	f, work := newFlow(b), newLedger()
	const n = 20000
	messages := make([]kafka.Message, n)
	for i := range messages {
		messages[i] = f.message(b, user(i))
	}
	for b.Loop() {
		f.publish(b, messages...)
		r := f.resolver(work)
		r.BatchEvents, r.BatchWait = 0, 0
		if err := run(b, r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
}
