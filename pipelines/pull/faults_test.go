package pull

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/connectors/all"
	"oneid/connectors/simulator"
	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

// faultsVariable is for how many seeds TestNothingIsLostUnderFaults reads
// 5,000 orders a platform; without it reads a few of one seed. ordersVariable
// is how many orders instead of 5,000: 100,000 by hand.
const (
	faultsVariable = "ONEID_TEST_FAULTS"
	ordersVariable = "ONEID_TEST_FAULTS_ORDERS"
)

func TestMain(m *testing.M) {
	crashtest.Main(map[string]func() int{"puller": bePuller, "turn": beTurn, "backfiller": beBackfiller})
	chdbtest.Main(m)
}

// pulling is what a child is told.
type pulling struct {
	Brokers        []string
	Brand, Keys    string
	Platform, Shop string
	Settings       json.RawMessage
	From, To       time.Time // of a backfill
}

// bePuller pulls all streams of a shop until SIGTERM.
func bePuller() int { return be(pullAll) }

// beBackfiller reads a stretch of all streams of a shop.
func beBackfiller() int { return be(backfillAll) }

func be(work func(ctx context.Context, pullers []*Puller, s pulling) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := withPullers(ctx, os.Args[1], work); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func withPullers(ctx context.Context, text string, work func(ctx context.Context, pullers []*Puller, s pulling) error) error {
	var s pulling
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	client, err := kafka.New(kafka.Config{Brokers: s.Brokers})
	if err != nil {
		return err
	}
	defer client.Close()
	keys, err := keyring.Open(s.Keys)
	if err != nil {
		return err
	}
	topics, publisher := events.TopicsOf(s.Brand), client.Publisher()
	defer publisher.Close() //nolint:errcheck // it ends
	cursors, err := OpenCursors(ctx, client, publisher, topics.Cursors)
	if err != nil {
		return err
	}
	connector, err := all.Open(s.Platform, s.Shop, s.Settings)
	if err != nil {
		return err
	}
	drifts, err := OpenDrifts(ctx, client, publisher, topics.Cursors)
	if err != nil {
		return err
	}
	var pullers []*Puller
	shared := new(Shop)
	for _, stream := range connector.Spec().Streams {
		pullers = append(pullers, &Puller{
			Connector: connector, Platform: s.Platform, Shop: s.Shop, Stream: stream.Name, SharedShop: shared,
			Publisher: publisher, Topics: topics, Keys: keys, Cursors: cursors, Drifts: drifts, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		})
	}
	return work(ctx, pullers, s)
}

func pullAll(ctx context.Context, pullers []*Puller, _ pulling) error {
	var running sync.WaitGroup
	for _, p := range pullers {
		running.Go(func() { _ = p.Run(ctx, 100*time.Millisecond) }) // never an error
	}
	running.Wait()
	return nil
}

func backfillAll(ctx context.Context, pullers []*Puller, s pulling) error {
	var running errgroup.Group
	for _, p := range pullers {
		b, err := NewBackfill(p, s.From, s.To)
		if err != nil {
			return err
		}
		running.Go(func() error {
			var err error
			for range 10 { // as a person would: a token that ends twice in a row looks dead
				if _, err = b.Run(ctx); err == nil || ctx.Err() != nil {
					return err
				}
			}
			return err
		})
	}
	return running.Wait()
}

// platform is a simulated shop and what it has to give.
type platform struct {
	name, shop string
	world      *simulator.World
	settings   map[string]any

	changing atomic.Bool
	now      func() time.Time

	mu sync.Mutex
	// chance decides when an order changes, and which; guarded by mu.
	chance *rand.Rand
	// versions are all that each entity ever had; guarded by mu.
	versions map[string]map[int64]bool
}

// serve starts a platform that fails 5 % of the calls, whose orders change
// while they are paged, and whose tokens end.
func serve(t *testing.T, name string, people int, days int, seed uint64) *platform {
	t.Helper()
	faults := simulator.Faults{Seed: seed, Rate: 0.05, SkewSeconds: []int{0, 700, -700}[seed%3], SlowMS: 50}
	now := func() time.Time { return time.Now().Add(time.Duration(faults.SkewSeconds) * time.Second) }
	until := now().Add(-time.Minute)
	world, err := simulator.New(simulator.Config{People: people, Seed: seed, From: until.Add(-time.Duration(days) * 24 * time.Hour), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	p := &platform{name: name, shop: world.Shop(name).ID, world: world, now: now, chance: rand.New(rand.NewPCG(seed, 1)), versions: make(map[string]map[int64]bool)}
	p.changing.Store(true)
	for key, version := range p.truth() {
		p.had(key, version)
	}
	var face http.Handler
	switch name {
	case "tmall":
		face = simulator.Tmall(world, simulator.TmallOptions{BeforePage: p.change, Faults: faults, RefreshStays: true})
	case "douyin":
		face = simulator.Douyin(world, simulator.DouyinOptions{BeforePage: p.change, Faults: faults})
	case "weidian":
		face = simulator.Weidian(world, simulator.WeidianOptions{BeforePage: p.change, Faults: faults})
	}
	server := httptest.NewServer(face)
	t.Cleanup(server.Close)
	e := simulator.EndpointsOf(world, server.URL, server.URL, server.URL)
	p.settings = map[string]any{"requests_per_second": 100000, "settle_seconds": 1, "overlap_seconds": 5, "backfill_days": days + 1, "page_size": min(50, max(10, world.OrderCount(name)/500))}
	own := map[string]map[string]any{
		"tmall":   {"url": e.Tmall.URL, "app_key": e.Tmall.AppKey, "app_secret": e.Tmall.AppSecret, "session": e.Tmall.Session, "refresh_token": simulator.TmallCredentialsOf(world).RefreshToken},
		"douyin":  {"url": e.Douyin.URL, "app_key": e.Douyin.AppKey, "app_secret": e.Douyin.AppSecret},
		"weidian": {"url": e.Weidian.URL, "app_key": e.Weidian.AppKey, "app_secret": e.Weidian.AppSecret, "access_token": e.Weidian.AccessToken},
	}
	maps.Copy(p.settings, own[name])
	return p
}

// change lets an order change before each third page of a list: one of the list
// that is paged, two times of three.
func (p *platform) change(string) {
	if !p.changing.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.chance.IntN(3) > 0 {
		return
	}
	change := p.world.ChangeListed
	if p.chance.IntN(3) == 0 {
		change = p.world.ChangeAny
	}
	if o, err := change(p.name, p.chance.Uint64(), p.now()); err == nil {
		p.hadLocked("order "+o.Number, o.Modified.UnixMilli())
	}
}

func (p *platform) had(key string, version int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hadLocked(key, version)
}

func (p *platform) hadLocked(key string, version int64) {
	if p.versions[key] == nil {
		p.versions[key] = make(map[int64]bool)
	}
	p.versions[key][version] = true
}

// truth is what the platform has: the version of each order, refund and
// service ticket; of users, to whom the platforms give none, 0.
func (p *platform) truth() map[string]int64 {
	all := make(map[string]int64)
	for i := range p.world.OrderCount(p.name) {
		o, ok := p.world.OrderAt(p.name, i)
		if !ok {
			continue
		}
		all["order "+o.Number] = o.Modified.UnixMilli()
		if o.Refund != nil {
			all["refund "+o.Refund.Number] = o.Refund.Modified.UnixMilli()
			all["ticket "+o.Refund.Number] = o.Refund.Modified.UnixMilli()
		}
		if s, ok := p.world.ServiceAt(p.name, i); ok && p.name == "douyin" {
			all["ticket service:"+s.Number] = s.Modified.UnixMilli()
		}
	}
	for a := range p.world.Accounts(p.name) {
		all["user "+a.ID] = 0
	}
	return all
}

// arrivals are what came into Kafka: the newest version of each entity.
type arrivals struct {
	client *kafka.Client
	topics events.Topics
	next   map[string][]int64 // topic → offsets to read on from
	newest map[string]int64
	// never are versions that the platform never had.
	never []string
	count int
}

// read takes what came since.
func (a *arrivals) read(t *testing.T, p *platform) {
	t.Helper()
	for _, topic := range []string{a.topics.Orders, a.topics.Users, a.topics.Tickets} {
		first, next, err := a.client.Ends(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		if a.next[topic] == nil {
			a.next[topic] = slices.Clone(first)
		}
		for partition := range next {
			from := a.next[topic][partition]
			err := a.client.ReadRange(t.Context(), topic, partition, from, next[partition], false, func(m kafka.Fetched) error {
				var e events.Event
				if err := events.Decode(m.Value, &e); err != nil {
					return err
				}
				a.take(p, &e)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			a.next[topic][partition] = next[partition]
		}
	}
}

func (a *arrivals) take(p *platform, e *events.Event) {
	a.count++
	h := e.GetHeader()
	key, version := string(events.KindOf(e))+" "+h.GetEntityId(), h.GetVersion().GetModifiedMs()
	if events.KindOf(e) == events.KindUser {
		version = 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.versions[key][version] {
		a.never = append(a.never, fmt.Sprint(key, " ", version))
	}
	a.newest[key] = max(a.newest[key], version)
}

// differ are the keys that are not the same in both.
func differ(want, got map[string]int64) []string {
	var keys []string
	for key, version := range want {
		if have, ok := got[key]; !ok || have != version {
			keys = append(keys, fmt.Sprintf("%s: has %d, arrived %d", key, version, have))
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			keys = append(keys, key+": there is none")
		}
	}
	slices.Sort(keys)
	return keys
}

// A platform fails, its orders change while they are read, its tokens end, and
// the puller is killed again and again: in the end each stream has brought the
// newest version of each entity, none that never was, and no dead letter.
func TestNothingIsLostUnderFaults(t *testing.T) {
	t.Parallel()
	seeds, orders, days, kills, stored := 1, 300, 3, 4, false
	if text := os.Getenv(faultsVariable); text != "" {
		var err error
		if seeds, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s is %q, want a number of seeds", faultsVariable, text)
		}
		orders, days, kills, stored = 5000, 30, 10, true
		if text := os.Getenv(ordersVariable); text != "" {
			if orders, err = strconv.Atoi(text); err != nil {
				t.Fatalf("%s is %q, want a number of orders", ordersVariable, text)
			}
		}
	}
	for seed := range uint64(seeds) {
		for _, name := range simulator.Platforms {
			t.Run(fmt.Sprintf("%s, seed %d", name, seed), func(t *testing.T) {
				t.Parallel()
				underFaults(t, name, peopleFor(t, name, orders), days, kills, seed+1, stored)
			})
		}
	}
}

// peopleFor is how many people make so many orders of a platform.
func peopleFor(t *testing.T, name string, orders int) int {
	t.Helper()
	for people := 100; ; people += max(100, people/10) {
		world, err := simulator.New(simulator.Config{People: people, Until: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if world.OrderCount(name) >= orders {
			return people
		}
	}
}

// setUp makes a brand of its own, into which a child can pull from p.
func setUp(t *testing.T, p *platform) (pulling, *arrivals) {
	t.Helper()
	brokers, brand, keys := brokertest.Brokers(t), brokertest.Brand(), t.TempDir()
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var topics []kafka.Topic
	for _, topic := range pipelines.Topics(brand, 2) {
		topics = append(topics, kafka.Topic{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Config: topic.Config})
	}
	if err := client.EnsureTopics(t.Context(), topics); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Create(keys); err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(p.settings)
	if err != nil {
		t.Fatal(err)
	}
	return pulling{Brokers: brokers, Brand: brand, Keys: keys, Platform: p.name, Shop: p.shop, Settings: settings},
		&arrivals{client: client, topics: events.TopicsOf(brand), next: make(map[string][]int64), newest: make(map[string]int64)}
}

// String is what a child is told.
func (s pulling) String() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // texts and times always have a JSON form
	}
	return string(text)
}

// inClickHouse resolves what lies in Kafka, and gives the version of each entity
// in the tables of facts.
func inClickHouse(t *testing.T, flow *flowtest.Flow) map[string]int64 {
	t.Helper()
	r, _ := flow.Resolver(t, flow.State(t), nil)
	r.BatchEvents = 5000
	if err := flowtest.Run(t, r); err != nil {
		t.Fatal(err)
	}
	var each []string
	for _, kind := range []events.Kind{events.KindOrder, events.KindRefund, events.KindTicket, events.KindUser} {
		version := "toInt64(bitShiftRight(max(version), 62))"
		if kind == events.KindUser {
			version = "toInt64(0)"
		}
		each = append(each, fmt.Sprintf("SELECT concat('%[1]s ', %[1]s_id) AS entity, %[2]s AS modified FROM %[1]ss GROUP BY %[1]s_id", kind, version))
	}
	var rows []struct {
		Entity   string `ch:"entity"`
		Modified int64  `ch:"modified"`
	}
	if err := flow.ClickHouse.Select(t.Context(), "list what is stored", &rows, strings.Join(each, " UNION ALL ")); err != nil {
		t.Fatal(err)
	}
	stored := make(map[string]int64, len(rows))
	for _, row := range rows {
		stored[row.Entity] = row.Modified
	}
	return stored
}

// underFaults pulls from one platform; stored: into ClickHouse.
func underFaults(t *testing.T, name string, people, days, kills int, seed uint64, stored bool) {
	p := serve(t, name, people, days, seed)
	told, got := setUp(t, p)
	var flow *flowtest.Flow
	if stored {
		flow = flowtest.New(t)
		told.Brokers, told.Brand, told.Keys = flow.Brokers, flowtest.Brand, flow.KeysDir
		got.client, got.topics = flow.Client, flow.Topics
	}
	client := got.client
	chance := rand.New(rand.NewPCG(seed, 2))
	for kill := range kills {
		before := got.count
		c := crashtest.Child{Role: "puller", Args: []string{told.String()}}
		if kill%2 == 0 {
			c.Fault = crashtest.Fault{Point: "pull/published", Hit: 1 + chance.IntN(4)}
		}
		child := crashtest.Start(t, c)
		if kill%2 == 0 {
			child.WaitKilled(t, 3*time.Minute) // a stream that stops is tried again after one
			continue
		}
		for got.read(t, p); got.count == before; got.read(t, p) { // it has shown that it works
			select {
			case <-child.Ended():
				t.Fatalf("the puller ended by itself:\n%s", child.Output())
			case <-time.After(20 * time.Millisecond):
			}
		}
		time.Sleep(time.Duration(chance.IntN(300)) * time.Millisecond) // any moment
		child.Kill()
	}
	// A last reading, while which orders go on changing until nearly all were read.
	child := crashtest.Start(t, crashtest.Child{Role: "puller", Args: []string{told.String()}})
	most, least, progress := 0, math.MaxInt, time.Now()
	for all := len(p.truth()); len(got.newest) < all*9/10 && time.Since(progress) < 3*time.Minute; got.read(t, p) {
		if len(got.newest) > most {
			most, progress = len(got.newest), time.Now()
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.changing.Store(false)
	progress = time.Now()
	for {
		began := time.Now()
		got.read(t, p)
		wrong := differ(p.truth(), got.newest)
		if len(wrong) == 0 {
			break
		}
		if len(wrong) < least {
			least, progress = len(wrong), time.Now()
		}
		select {
		case <-child.Ended():
			t.Fatalf("the puller ended by itself:\n%s", child.Output())
		case <-time.After(100*time.Millisecond + 4*time.Since(began)): // to compare takes processors from the puller
		}
		if time.Since(progress) > 3*time.Minute { // a stream that stops is tried again after one
			t.Fatalf("seed %d: %d entities are not as the platform has them: %s\n%s", seed, len(wrong), strings.Join(wrong[:min(len(wrong), 20)], "\n"), child.Output())
		}
	}
	child.Kill()
	if len(got.never) > 0 {
		t.Errorf("seed %d: versions that never were: %s", seed, got.never[:min(len(got.never), 20)])
	}
	if _, next, err := client.Ends(t.Context(), got.topics.DeadLetter); err != nil || next[0] != 0 {
		t.Errorf("seed %d: %d dead letters, %v", seed, next[0], err)
	}
	drifts, err := OpenDrifts(t.Context(), client, nil, got.topics.Cursors)
	if err != nil || len(drifts.All()) != 0 {
		t.Errorf("seed %d: payloads are not as they are known: %v, %v", seed, drifts.All(), err)
	}
	if flow != nil {
		if wrong := differ(p.truth(), inClickHouse(t, flow)); len(wrong) > 0 {
			t.Errorf("seed %d: %d entities are not in ClickHouse as the platform has them: %s", seed, len(wrong), strings.Join(wrong[:min(len(wrong), 20)], "\n"))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := 0
	for _, versions := range p.versions {
		changed += len(versions) - 1
	}
	if changed == 0 {
		t.Errorf("seed %d: no order changed while it was read", seed)
	}
	t.Logf("seed %d: %d entities, %d changes, %d events", seed, len(got.newest), changed, got.count)
}
