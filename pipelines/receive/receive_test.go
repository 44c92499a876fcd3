package receive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/connectors/all"
	"oneid/connectors/simulator"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/httpclient"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/pipelines/pull"
	"oneid/schemas/events"
)

// testSecret ends Weidian's address.
const testSecret = "an-invented-push-secret"

// rig is one brand with one shop.
type rig struct {
	*Receiver
	client   *kafka.Client
	brokers  []string
	keys     *keyring.Ring
	topics   events.Topics
	url      string // where the platform pushes
	platform string
	shop     string

	mu     sync.Mutex
	counts map[string]int
	pull   func(stream string) *pull.Puller
	drifts *pull.Drifts
}

func newRig(t testing.TB, platform, shop string, connector connectors.Connector, more ...func(*Config)) *rig {
	t.Helper()
	brand := brokertest.Brand()
	brokers := brokertest.Brokers(t)
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
	keys, err := keyring.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	publisher := client.Publisher()
	t.Cleanup(func() { _ = publisher.Close() })
	log := slog.New(slog.DiscardHandler)
	r := &rig{client: client, brokers: brokers, keys: keys, topics: events.TopicsOf(brand), platform: platform, shop: shop, counts: make(map[string]int)}
	if r.drifts, err = pull.OpenDrifts(t.Context(), client, publisher, r.topics.Cursors); err != nil {
		t.Fatal(err)
	}
	r.pull = func(stream string) *pull.Puller {
		return &pull.Puller{Connector: connector, Platform: platform, Shop: shop, Stream: stream, Publisher: publisher, Topics: r.topics, Keys: keys, Drifts: r.drifts, Log: log}
	}
	config := Config{
		Brand: brand, Kafka: client, Publisher: publisher, Keys: keys, Shops: []Shop{{platform, shop, connector}}, Log: log,
		MinWait: time.Millisecond, MaxWait: 10 * time.Millisecond,
		Publish: func(ctx context.Context, _, _, stream string, page connectors.Page) error {
			_, err := r.pull(stream).Page(ctx, page)
			return err
		},
		Count: func(_, _, outcome string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.counts[outcome]++
		},
	}
	for _, change := range more {
		change(&config)
	}
	r.Receiver = New(config)
	mux := http.NewServeMux()
	mux.Handle("POST /push/{platform}/{shop}", r)
	mux.Handle("POST /push/{platform}/{shop}/{key}", r)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r.url = server.URL + "/push/" + platform + "/" + shop
	if platform == simulator.PlatformWeidian {
		r.url += "/" + testSecret
	}
	return r
}

// start runs a part until the test ends.
func start(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (r *rig) count(outcome string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[outcome]
}

// eventually waits for a state.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// settled waits until all that was noted was read.
func (r *rig) settled(t *testing.T) {
	t.Helper()
	eventually(t, "every push is read", func() bool {
		_, next, err := r.client.Ends(t.Context(), r.topics.Pushes)
		if err != nil {
			t.Fatal(err)
		}
		have, err := r.client.Committed(t.Context(), Group(strings.TrimSuffix(r.topics.Pushes, ".pushes"), r.platform), []string{r.topics.Pushes})
		return err == nil && have[r.topics.Pushes][0] == next[0]
	})
}

// told is all that lies in the topics of orders and tickets: by ce_id the
// event, without the moment at which it was read.
func (r *rig) told(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, topic := range []string{r.topics.Orders, r.topics.Tickets} {
		err := r.client.ReadAll(t.Context(), topic, func(_ int, m kafka.Fetched) error {
			var e events.Event
			if err := events.Decode(m.Value, &e); err != nil {
				return err
			}
			person, err := events.OpenPerson(&e, r.keys)
			if err != nil {
				return err
			}
			h := e.GetHeader()
			h.Person, h.SealedPerson, h.Raw, h.Version.ObservedMs = person, nil, nil, 0
			text, err := proto.MarshalOptions{Deterministic: true}.Marshal(&e)
			if err != nil {
				return err
			}
			var id string
			for _, header := range m.Headers {
				if header.Key == "ce_id" {
					id = string(header.Value)
				}
			}
			if before, known := all[id]; known && before != string(text) {
				t.Errorf("two events of one id differ: %s", id)
			}
			all[id] = string(text)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// letters are the bytes of the dead letters.
func (r *rig) letters(t *testing.T) []string {
	t.Helper()
	var all []string
	err := r.client.ReadAll(t.Context(), r.topics.DeadLetter, func(_ int, m kafka.Fetched) error {
		l := new(events.DeadLetter)
		if err := proto.Unmarshal(m.Value, l); err != nil {
			return err
		}
		raw, err := events.OpenLetter([]*events.DeadLetter{l}, r.keys)
		if of, id, push := events.PushOf(l.GetOrigin()); push && l.GetStream() != stream && l.GetReason() == events.ReasonRead && (of != l.GetStream() || !strings.HasSuffix(string(raw), id)) {
			t.Errorf("the letter of %q names %s %q to be read again", raw, of, id)
		}
		all = append(all, l.GetStream()+" "+l.GetReason()+" "+string(raw))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// A shopOf is a simulated shop, which changes came to.
type shopOf struct {
	platform string
	world    *simulator.World
	shop     string
	open     func(t testing.TB) connectors.Connector
	changed  map[string]bool
	changes  int
	streams  []string
}

func newShop(t testing.TB, platform string, seed uint64) shopOf {
	t.Helper()
	world, err := simulator.New(simulator.Config{People: 120, Seed: seed, Until: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	s := shopOf{platform: platform, world: world, shop: world.Shop(platform).ID, changed: make(map[string]bool)}
	s.streams = map[string][]string{
		simulator.PlatformDouyin: {"orders", "aftersales"}, simulator.PlatformWeidian: {"orders", "tickets"}, simulator.PlatformTmall: {"orders", "tickets"},
	}[platform]
	s.open = func(t testing.TB) connectors.Connector {
		face := map[string]func() http.Handler{
			simulator.PlatformDouyin:  func() http.Handler { return simulator.Douyin(world, simulator.DouyinOptions{}) },
			simulator.PlatformWeidian: func() http.Handler { return simulator.Weidian(world, simulator.WeidianOptions{}) },
			simulator.PlatformTmall: func() http.Handler {
				return simulator.Tmall(world, simulator.TmallOptions{TellExisting: true, MessagesAgain: 200 * time.Millisecond, GzipMessages: seed%2 == 0})
			},
		}[platform]()
		server := httptest.NewServer(face)
		t.Cleanup(server.Close)
		e := simulator.EndpointsOf(world, server.URL, server.URL, server.URL)
		settings := map[string]any{"requests_per_second": 100000, "settle_seconds": 1, "url": server.URL}
		switch platform {
		case simulator.PlatformTmall:
			settings["url"], settings["message_url"], settings["messages"] = e.Tmall.URL, strings.Replace(server.URL, "http", "ws", 1), true
			settings["app_key"], settings["app_secret"], settings["session"] = e.Tmall.AppKey, e.Tmall.AppSecret, e.Tmall.Session
		case simulator.PlatformDouyin:
			settings["app_key"], settings["app_secret"] = e.Douyin.AppKey, e.Douyin.AppSecret
		case simulator.PlatformWeidian:
			settings["app_key"], settings["app_secret"], settings["access_token"] = e.Weidian.AppKey, e.Weidian.AppSecret, e.Weidian.AccessToken
			settings["push_secret"] = testSecret
		}
		raw, err := json.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		c, err := all.Open(platform, s.shop, raw)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return s
}

// change lets some orders change, some of them twice.
func (s *shopOf) change(t *testing.T, n int, seed uint64) {
	t.Helper()
	for i := range n {
		o, err := s.world.ChangeAny(s.platform, (seed*1000+uint64(i)+1)*0x9e3779b97f4a7c15, time.Now().Add(-30*time.Second))
		if errors.Is(err, simulator.ErrNoOrder) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		s.changed[o.Number] = true
		s.changes++
	}
}

func (s shopOf) pull(t *testing.T, r *rig) {
	t.Helper()
	for _, stream := range s.streams {
		if _, err := r.pull(stream).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// messages are how many things Tmall's messages name: an order each, and of a
// refund its order too.
func (s shopOf) messages() int {
	n := s.changes
	for index := range s.world.OrderCount(s.platform) {
		if o, ok := s.world.OrderAt(s.platform, index); ok {
			n++
			if o.Refund != nil {
				n += 2
			}
		}
	}
	return n
}

// isTold says whether a push tells enough of an event for it to be read:
// Weidian's orders are found among what changed lately only, and it tells of no
// refund that the buyer took back.
func (s shopOf) isTold(id string) bool {
	parts := strings.Split(id, "|")
	if s.platform != simulator.PlatformWeidian {
		return true
	}
	if parts[2] == "order" {
		return s.changed[parts[3]]
	}
	o, ok := s.world.RefundByNumber(s.platform, parts[3])
	return ok && o.Refund.Status != simulator.RefundClosed
}

// The same changes by pull, by push, and by both, in any order and repeated,
// are the same events under the same ids.
func TestPullAndPushAreOneChange(t *testing.T) {
	for _, platform := range simulator.Platforms {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s seed %d", platform, seed), func(t *testing.T) {
				t.Parallel()
				s := newShop(t, platform, seed+1)
				s.change(t, 25, seed)
				if len(s.changed) < 2 {
					t.Fatalf("%d orders changed: the test tests nothing", len(s.changed))
				}
				push := func(r *rig, n uint64) {
					if platform == simulator.PlatformTmall {
						start(t, r.Run)
						eventually(t, fmt.Sprintf("all %d messages are noted", s.messages()), func() bool { return r.count(Noted) >= s.messages() })
						r.settled(t)
						return
					}
					pusher := &simulator.Pusher{World: s.world, Platform: platform, URL: r.url, Seed: seed*10 + n, Repeat: 0.4, Spread: 300 * time.Millisecond, Again: 50 * time.Millisecond, Existing: true}
					start(t, r.Run)
					start(t, pusher.Run)
					eventually(t, "every push is answered", func() bool { return pusher.Counts().Pending == 0 })
					r.settled(t)
					if c := pusher.Counts(); c.Told < 25 || c.Sent == 0 {
						t.Fatalf("the pusher did %+v: the test tests nothing", c)
					}
				}
				byPull := newRig(t, platform, s.shop, s.open(t))
				s.pull(t, byPull)
				byPush := newRig(t, platform, s.shop, s.open(t))
				push(byPush, 1)
				byBoth := newRig(t, platform, s.shop, s.open(t))
				s.pull(t, byBoth)
				push(byBoth, 2)
				s.pull(t, byBoth)

				want := byPull.told(t)
				if d := cmp.Diff(want, byBoth.told(t)); d != "" {
					t.Errorf("seed %d: pull and push together are other events than the pull (-pull +both):\n%s", seed, d)
				}
				maps.DeleteFunc(want, func(id, _ string) bool { return !s.isTold(id) })
				if len(want) < 10 {
					t.Fatalf("%d events are told by pushes: the test tests nothing", len(want))
				}
				if d := cmp.Diff(want, byPush.told(t)); d != "" {
					t.Errorf("seed %d: pushes are other events than the pull (-pull +push):\n%s", seed, d)
				}
				for _, r := range []*rig{byPush, byBoth} {
					// What is read of one by its number is of the form of the lists.
					if differ := r.drifts.All(); len(differ) > 0 {
						t.Errorf("payloads that pushes brought differ: %v", differ)
					}
					if letters := r.letters(t); len(letters) > 0 || r.count(Refused)+r.count(Failed) > 0 {
						t.Errorf("dead letters %q, counts %v", letters, r.counts)
					}
				}
			})
		}
	}
}

// Who does not sign as the platform is refused, without a word why, and
// nothing of theirs is kept.
func TestStrangersAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		platform string
		change   func(*simulator.Pusher)
	}{
		"douyin, another secret": {simulator.PlatformDouyin, func(p *simulator.Pusher) { p.Secret = "another" }},
		"weidian, another end of the address": {simulator.PlatformWeidian, func(p *simulator.Pusher) {
			p.URL = strings.TrimSuffix(p.URL, testSecret) + "another-invented-secret"
		}},
		"weidian, no end of the address": {simulator.PlatformWeidian, func(p *simulator.Pusher) {
			p.URL = strings.TrimSuffix(p.URL, "/"+testSecret)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, c.platform, 1)
			r := newRig(t, c.platform, s.shop, s.open(t))
			pusher := &simulator.Pusher{World: s.world, Platform: c.platform, URL: r.url}
			c.change(pusher)
			body := `[{"tag":"101","msg_id":"1","data":"{\"p_id\":6910000000000000001,\"shop_id\":4463798}"}]`
			if err := pusher.Once(t.Context(), []byte(body)); err == nil {
				t.Error("it was taken")
			}
			if r.count(Refused) != 1 || r.count(Noted)+r.count(DeadLetter) != 0 {
				t.Errorf("counts %v", r.counts)
			}
			answer, err := http.Post(pusher.URL, "application/json", strings.NewReader(body)) //nolint:noctx // a test's
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			text := new(bytes.Buffer)
			if _, _ = text.ReadFrom(answer.Body); answer.StatusCode != http.StatusForbidden || strings.Contains(text.String(), "sign") {
				t.Errorf("answered %d %s", answer.StatusCode, text)
			}
		})
	}
}

// What cannot be understood is acknowledged and kept with its bytes; what is of
// nothing that OneID reads, and of another shop, is counted.
func TestWhatIsNoNews(t *testing.T) {
	s := newShop(t, simulator.PlatformDouyin, 1)
	r := newRig(t, s.platform, s.shop, s.open(t))
	pusher := &simulator.Pusher{World: s.world, Platform: s.platform, URL: r.url}
	for _, body := range []string{
		`[{"tag":"0","msg_id":"0","data":"2026-01-01T09:00:00.52842897+08:00"}]`,
		`[{"tag":400,"msg_id":"1","data":"{}"}]`,
		`[{"tag":"101","msg_id":"2","data":"{\"p_id\":6910000000000000001,\"shop_id\":1}"}]`,
		`[{"tag":"101","msg_id":"3","data":"{\"shop_id\":4463798}"}]`,
		`[{"tag":"206","msg_id":"4","data":"no JSON"}]`,
		`no JSON`,
		`[]`,
	} {
		if err := pusher.Once(t.Context(), []byte(body)); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	want := map[string]int{Unread: 2, OtherShop: 1, DeadLetter: 3}
	if d := cmp.Diff(want, r.counts); d != "" {
		t.Errorf("counts (-want +got):\n%s", d)
	}
	letters := []string{
		`pushes read no JSON`,
		`pushes read {"tag":"101","msg_id":"3","data":"{\"shop_id\":4463798}"}`,
		`pushes read {"tag":"206","msg_id":"4","data":"no JSON"}`,
	}
	if d := cmp.Diff(letters, r.letters(t)); d != "" {
		t.Errorf("dead letters (-want +got):\n%s", d)
	}
}

// A platform hears within its time that its push could not be kept, so that it
// sends it again: nothing is acknowledged that does not lie in Kafka.
func TestNothingIsAcknowledgedWithoutKafka(t *testing.T) {
	s := newShop(t, simulator.PlatformDouyin, 1)
	away, err := kafka.New(kafka.Config{Brokers: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	publisher := away.Publisher()
	defer publisher.Close() //nolint:errcheck // nothing was written
	r := newRig(t, s.platform, s.shop, s.open(t), func(c *Config) { c.Publisher = publisher })
	pusher := &simulator.Pusher{World: s.world, Platform: s.platform, URL: r.url}
	began := time.Now()
	err = pusher.Once(t.Context(), []byte(`[{"tag":"101","msg_id":"3","data":"{\"p_id\":1,\"shop_id\":4463798}"}]`))
	if err == nil || r.count(Failed) != 1 || r.count(Noted) != 0 {
		t.Errorf("after %s: %v, counts %v", time.Since(began), err, r.counts)
	}
}

func TestTooLargeAndUnknownAddresses(t *testing.T) {
	s := newShop(t, simulator.PlatformDouyin, 1)
	r := newRig(t, s.platform, s.shop, s.open(t))
	for name, c := range map[string]struct {
		url, body string
		want      int
	}{
		"too large":          {r.url, strings.Repeat("x", maxBody+1), http.StatusServiceUnavailable},
		"of another shop":    {strings.TrimSuffix(r.url, s.shop) + "1", "[]", http.StatusNotFound},
		"of no platform":     {strings.Replace(r.url, "/douyin/", "/nobody/", 1), "[]", http.StatusNotFound},
		"signed by nobody":   {r.url, "[]", http.StatusForbidden},
		"with a key besides": {r.url + "/more", "[]", http.StatusForbidden},
	} {
		if status := post(t, c.url, "application/json", c.body); status != c.want {
			t.Errorf("%s: %d, want %d", name, status, c.want)
		}
	}
}

// However many requests come at once, what is held of them has a bound; those
// above it are told to come again, and are taken then.
func TestRequestsAtOnceAreBounded(t *testing.T) {
	if held := atOnce * maxBody; held > 64<<20 {
		t.Errorf("%d MiB are held of requests", held>>20)
	}
	s := newShop(t, simulator.PlatformDouyin, 1)
	r := newRig(t, s.platform, s.shop, s.open(t))
	for range atOnce {
		r.slots <- struct{}{}
	}
	pusher := &simulator.Pusher{World: s.world, Platform: s.platform, URL: r.url}
	body := []byte(`[{"tag":"999","msg_id":"1","data":"{}"}]`)
	if err := pusher.Once(t.Context(), body); err == nil || r.count(Failed) != 1 {
		t.Errorf("one too many: %v, counts %v", err, r.counts)
	}
	<-r.slots
	for range 2 {
		if err := pusher.Once(t.Context(), body); err != nil {
			t.Errorf("with room: %v, counts %v", err, r.counts)
		}
	}
}

// Each platform's pushes are read by themselves: what is passed over as
// another's is not taken for read.
func TestPushesOfSeveralPlatforms(t *testing.T) {
	shown := func(id string, _ int) (connectors.Page, error) {
		return connectors.Page{Records: []connectors.Record{{Stream: "orders", Shop: "s", Raw: []byte(id), Observed: time.UnixMilli(1)}}}, nil
	}
	one, other := &script{tries: make(map[string]int), fetch: shown}, &script{tries: make(map[string]int), fetch: shown}
	r := newRig(t, "jd", "s", one, func(c *Config) { c.Shops = append(c.Shops, Shop{"pdd", "s", other}) })
	start(t, r.Run)
	for i := range 10 {
		for _, platform := range []string{"jd", "pdd"} {
			url := strings.Replace(r.url, "/jd/", "/"+platform+"/", 1)
			post(t, url, "text/plain", fmt.Sprint(platform, i))
		}
	}
	eventually(t, "all twenty are read", func() bool { return r.count(Read) == 20 })
	for _, s := range []*script{one, other} {
		if len(s.tries) != 10 {
			t.Errorf("a platform was asked for %v, want its ten", s.tries)
		}
	}
}

// script is a platform whose entities fail as a test says.
type script struct {
	mu    sync.Mutex
	tries map[string]int
	fetch func(id string, try int) (connectors.Page, error)
}

func (s *script) Spec() connectors.Spec       { return connectors.Spec{Platform: "jd"} }
func (s *script) Check(context.Context) error { return nil }
func (s *script) Read(context.Context, string, connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(func(connectors.Page, error) bool) {}
}

func (s *script) Map(r connectors.Record) ([]*events.Event, error) {
	if strings.Contains(string(r.Raw), "unmappable") {
		return nil, errors.New("no amount")
	}
	return []*events.Event{{
		Header: &events.Header{Platform: "jd", Shop: "s", EntityId: string(r.Raw), Account: "a", Version: &events.Version{ModifiedMs: 1}, Raw: r.Raw},
		Body:   &events.Event_Order{Order: &events.Order{Currency: "CNY"}},
	}}, nil
}

func (s *script) Open(p connectors.Push) ([]connectors.Message, error) {
	return []connectors.Message{{Stream: "orders", ID: string(p.Body), Raw: []byte("push of " + string(p.Body))}}, nil
}

func (s *script) Answer(err error) connectors.Answer {
	if err != nil {
		return connectors.Answer{Status: http.StatusServiceUnavailable}
	}
	return connectors.Answer{Status: http.StatusOK}
}

func (s *script) Fetch(_ context.Context, _, id string) (connectors.Page, error) {
	s.mu.Lock()
	s.tries[id]++
	try := s.tries[id]
	s.mu.Unlock()
	return s.fetch(id, try)
}

func refusal(class connectors.Class) error {
	return &connectors.Error{Platform: "jd", Class: class, SystemCode: "1"}
}

// Whatever the platform answers for one entity, the others go on, and nothing
// vanishes without a trace.
func TestWhatThePlatformFailsAt(t *testing.T) {
	s := &script{tries: make(map[string]int)}
	// The answers of a gateway before a platform that is not there.
	away := map[string]int{"answers 429": 429, "answers 502": 502, "answers 503": 503, "answers 504": 504}
	s.fetch = func(id string, try int) (connectors.Page, error) {
		switch {
		case id == "busy twice" && try < 3, id == "always broken":
			return connectors.Page{}, refusal(connectors.Retry)
		case id == "throttled for long" && try < 20:
			return connectors.Page{}, refusal(connectors.Throttle)
		case away[id] > 0 && try < 20:
			return connectors.Page{}, &httpclient.Error{Host: "jd.invalid", Status: away[id], Reason: "away", Again: true}
		case id == "cannot be reached" && try < 20:
			return connectors.Page{}, &httpclient.Error{Host: "jd.invalid", Reason: "away", Again: true}
		case id == "always a fault of its server":
			return connectors.Page{}, &httpclient.Error{Host: "jd.invalid", Status: http.StatusInternalServerError, Reason: "a fault", Again: true}
		case id == "not there":
			return connectors.Page{}, refusal(connectors.SkipRecord)
		case id == "forbidden":
			return connectors.Page{}, refusal(connectors.StopShop)
		case id == "not shown yet":
			return connectors.Page{}, nil
		}
		return connectors.Page{Records: []connectors.Record{{Stream: "orders", Shop: "s", Raw: []byte(id), Observed: time.UnixMilli(1)}}}, nil
	}
	r := newRig(t, "jd", "s", s, func(c *Config) { c.Attempts = 5 })
	start(t, r.Run)
	lasting := append(slices.Sorted(maps.Keys(away)), "busy twice", "cannot be reached", "good", "throttled for long")
	for _, id := range append([]string{"always broken", "always a fault of its server", "not there", "forbidden", "not shown yet", "unmappable"}, lasting...) {
		if status := post(t, r.url, "text/plain", id); status != http.StatusOK {
			t.Errorf("%s: answered %d", id, status)
		}
	}
	r.settled(t)
	var got []string
	for id := range r.told(t) {
		got = append(got, strings.Split(id, "|")[3])
	}
	slices.Sort(got)
	if d := cmp.Diff(lasting, got); d != "" {
		t.Errorf("orders (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"orders map unmappable", "orders read push of always a fault of its server", "orders read push of always broken", "orders read push of not there"}, r.letters(t)); d != "" {
		t.Errorf("dead letters (-want +got):\n%s", d)
	}
	want := map[string]int{Noted: 14, Read: 9, LeftToPull: 2, DeadLetter: 3}
	if d := cmp.Diff(want, r.counts); d != "" {
		t.Errorf("counts (-want +got):\n%s", d)
	}
	// What no repetition cures costs one call.
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, want := range map[string]int{"not there": 1, "forbidden": 1, "not shown yet": 1, "busy twice": 3, "always broken": 5, "always a fault of its server": 5, "answers 503": 20} {
		if got := s.tries[id]; got != want {
			t.Errorf("%s: asked for %d times, want %d", id, got, want)
		}
	}
}

// aging is a platform that lists only what is young, and tells of the old too.
type aging struct{ *script }

func (aging) StillListed(stream, what string) bool { return stream == "orders" && what == "new" }

func (a aging) Open(p connectors.Push) ([]connectors.Message, error) {
	what, id, _ := strings.Cut(string(p.Body), " ")
	return []connectors.Message{{Stream: "orders", ID: id, Type: what, Raw: []byte("push of " + id)}}, nil
}

// While a shop is stopped, what the pull may not list any more is kept as a
// dead letter, which names what is to be read again; the rest is left to the
// pull, and neither holds up what comes after it.
func TestWhatAStoppedShopIsToldOf(t *testing.T) {
	for _, class := range []connectors.Class{connectors.StopStream, connectors.StopShop} {
		s := aging{&script{tries: make(map[string]int)}}
		s.fetch = func(id string, _ int) (connectors.Page, error) {
			if id != "good" {
				return connectors.Page{}, refusal(class)
			}
			return connectors.Page{Records: []connectors.Record{{Stream: "orders", Shop: "s", Raw: []byte(id), Observed: time.UnixMilli(1)}}}, nil
		}
		r := newRig(t, "jd", "s", s)
		start(t, r.Run)
		for _, push := range []string{"new 1", "done 2", "new 3", "done 4", "done good"} {
			post(t, r.url, "text/plain", push)
		}
		r.settled(t)
		if d := cmp.Diff([]string{"orders read push of 2", "orders read push of 4"}, r.letters(t)); d != "" {
			t.Errorf("%v: dead letters (-want +got):\n%s", class, d)
		}
		want := map[string]int{Noted: 5, Read: 1, LeftToPull: 2, DeadLetter: 2}
		if d := cmp.Diff(want, r.counts); d != "" {
			t.Errorf("%v: counts (-want +got):\n%s", class, d)
		}
	}
}

// Of what the pull may not list any more an answer that shows nothing is kept; of
// the rest it is left to the pull.
func TestAnOldEntityThatIsNotShown(t *testing.T) {
	s := aging{&script{tries: make(map[string]int)}}
	s.fetch = func(string, int) (connectors.Page, error) { return connectors.Page{}, nil }
	r := newRig(t, "jd", "s", s)
	start(t, r.Run)
	for _, push := range []string{"new 1", "done 2"} {
		post(t, r.url, "text/plain", push)
	}
	r.settled(t)
	if d := cmp.Diff([]string{"orders read push of 2"}, r.letters(t)); d != "" {
		t.Errorf("dead letters (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]int{Noted: 2, LeftToPull: 1, DeadLetter: 1}, r.counts); d != "" {
		t.Errorf("counts (-want +got):\n%s", d)
	}
}

// post sends a request, and returns the status of its answer.
func post(t *testing.T, url, kind, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", kind)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
	return answer.StatusCode
}
