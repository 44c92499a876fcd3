package membership_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"oneid/connectors/douyin"
	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
	"oneid/identity"
	"oneid/identity/extract"
	"oneid/internal/crashtest"
	"oneid/internal/customer/profile"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/pipelines/flowtest"
	"oneid/pipelines/membership"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

// points is the brand's own service; it may be away.
type points struct {
	mu   sync.Mutex
	away bool
}

func (p *points) set(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

func (p *points) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away || r.Header.Get("Webhook-Signature") == "" {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte(`{"points":7,"level":"3","card_no":"C7"}`))
}

// patient is how long a call may take where a busy machine must not make it one that
// is told to try again; how long answers take is held against the clock by itself.
const patient = 30 * time.Second

// The platforms tell of an invented population, each call up to ten times, in
// any order, while the resolver runs: the accounts join as the truth says, and
// telling all of it again changes nothing.
func TestPlatformsTellOfTheirMembers(t *testing.T) {
	t.Parallel()
	world, err := simulator.New(simulator.Config{People: 200, Seed: 8, Until: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	f := flowtest.New(t)
	store := f.State(t)
	resolver, engine := f.Resolver(t, store, nil)
	source := new(points)
	brand := httptest.NewServer(source)
	t.Cleanup(brand.Close)
	ask, err := membership.Source(membership.SourceConfig{URL: brand.URL, Secret: "0123456789abcdef", Timeout: patient})
	if err != nil {
		t.Fatal(err)
	}
	newService := func() *membership.Service {
		return &membership.Service{
			Known: &profile.State{Engine: engine, Values: store}, Publisher: f.Publisher, Topics: f.Topics, Keys: f.Keys, Points: ask,
			Extract: &extract.Extractor{Rules: f.Rules, Hash: func(kind identity.IdentifierType, scope, value string) identity.Hash {
				return f.Keys.Hash(string(kind), scope, value)
			}},
			Within: patient, Log: slog.New(slog.DiscardHandler),
		}
	}
	ends := simulator.EndpointsOf(world, "http://a", "http://b", "http://c")
	tmallShop, err := tmall.New(ends.Tmall.Shop, tmall.Config{AppKey: ends.Tmall.AppKey, AppSecret: ends.Tmall.AppSecret, Session: "x", BrandID: "brand"})
	if err != nil {
		t.Fatal(err)
	}
	douyinShop, err := douyin.New(ends.Douyin.Shop, douyin.Config{AppKey: ends.Douyin.AppKey, AppSecret: ends.Douyin.AppSecret})
	if err != nil {
		t.Fatal(err)
	}
	serve := func() *httptest.Server {
		service, mux := newService(), http.NewServeMux()
		mux.Handle("/spi/tmall/"+ends.Tmall.Shop, service.Shop("tmall", ends.Tmall.Shop, tmallShop))
		mux.Handle("/spi/douyin/"+ends.Douyin.Shop+"/{call}", service.Shop("douyin", ends.Douyin.Shop, douyinShop))
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		return server
	}
	server := serve()
	// Of one moment: the same calls again, in another order.
	now := time.Now()
	calls := func(platform string, seed uint64) simulator.MemberCalls {
		return simulator.MemberCalls{Platform: platform, URL: server.URL + "/spi/" + platform + "/" + world.Shop(platform).ID, Seed: seed, Repeats: 10, Now: func() time.Time { return now }}
	}
	tell := func(c simulator.MemberCalls) simulator.MemberReport {
		t.Helper()
		report, err := world.CallMembers(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Faults) > 0 || report.Members < 30 {
			t.Errorf("%s: %+v", c.Platform, report)
		}
		return report
	}
	// What is not the platform's is refused, and what cannot be answered whole
	// is told to come again.
	for _, platform := range []string{"tmall", "douyin"} {
		wrong := calls(platform, 1)
		wrong.WrongSecret = true
		if report := tell(wrong); report.Refused != report.Calls {
			t.Errorf("%s: %d of %d calls with a wrong secret are refused", platform, report.Refused, report.Calls)
		}
		source.set(true)
		if report := tell(calls(platform, 2)); report.Again == 0 {
			t.Errorf("%s: while the source of points is away: %+v", platform, report)
		} else {
			crashtest.Within(t, "p99 of the answers to "+platform+" while the source of points is away", report.P99, 1200*time.Millisecond)
		}
		source.set(false)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- resolver.Run(t.Context()) }()
	if err := resolver.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, platform := range []string{"tmall", "douyin"} {
		report := tell(calls(platform, 3))
		// Who has left is not bound, and that is no fault.
		if report.Again > 0 || report.Refused != report.Left || report.Left == 0 || report.Rejoined == 0 {
			t.Errorf("%s: %+v", platform, report)
		}
		t.Logf("%s: %d calls, p50 %s, p99 %s", platform, report.Calls, report.P50, report.P99)
		crashtest.Within(t, "p99 of the answers to "+platform, report.P99, 300*time.Millisecond)
	}
	if err := resolver.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	account := func(name string) identity.Account {
		a, err := identity.ParseAccount(name)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	// Nobody is joined to another person, and each bridge joins.
	persons := make(map[identity.CustomerID]int)
	members, changed := 0, make(map[string]bool)
	for _, platform := range []string{"tmall", "douyin"} {
		for a := range world.Accounts(platform) {
			id, ok := engine.CustomerOf(account(a.Name()))
			if ok != a.Member {
				t.Fatalf("an account that is a member: %v, is known: %v", a.Member, ok)
			}
			if !ok {
				continue
			}
			members++
			if person, ok := persons[id]; ok && person != a.Person {
				t.Errorf("two persons are one customer")
			}
			persons[id] = a.Person
			if world.SPIFate(a) == simulator.FateChanged {
				changed[a.Name()] = true
			}
		}
	}
	bridges := 0
	for b := range world.Bridges() {
		x, y := account(b.A), account(b.B)
		if b.Type != "phone" || x.Platform == "weidian" || y.Platform == "weidian" || changed[b.A] || changed[b.B] {
			continue // a new phone comes encrypted, and joins nobody
		}
		bridges++
		one, _ := engine.CustomerOf(x)
		if other, _ := engine.CustomerOf(y); one != other {
			t.Errorf("a bridge by phone does not join")
		}
	}
	if bridges < 5 || len(changed) == 0 {
		t.Errorf("%d bridges, %d phones that changed: too few to judge by", bridges, len(changed))
	}
	facts := func() [3]uint64 {
		var n [3]uint64
		db := f.ClickHouse.Database()
		for i, query := range []string{
			"SELECT count() FROM " + db + ".users FINAL",
			"SELECT count() FROM " + db + ".users FINAL WHERE member = 1",
			"SELECT uniqExact(entity_id, version) FROM " + db + ".raw_events",
		} {
			if n[i], err = f.ClickHouse.Number(t.Context(), "count", query); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	before := facts()
	if left := before[0] - before[1]; before[0] != uint64(members) || left == 0 {
		t.Errorf("%d users, of whom %d have left; %d members were told of", before[0], left, members)
	}
	// A process that was started anew remembers no calls.
	server = serve()
	for _, platform := range []string{"tmall", "douyin"} {
		if report := tell(calls(platform, 4)); report.Again > 0 || report.Refused != report.Left {
			t.Errorf("%s, told again: %+v", platform, report)
		}
	}
	if err := resolver.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := facts(); after != before {
		t.Errorf("users, members and events were %v; after the same calls again they are %v", before, after)
	}
}
