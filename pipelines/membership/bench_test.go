package membership

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/extract"
	"oneid/internal/customer/profile"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// BenchmarkMembers is how fast a whole population is answered that joins,
// leaves and is asked for, signed over HTTP, each bind acknowledged by a real
// broker. It reports the answers' p50 and p99, of which 300 ms are promised.
func BenchmarkMembers(b *testing.B) {
	client, err := kafka.New(kafka.Config{Brokers: brokertest.Brokers(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	brand := brokertest.Brand()
	var topics []kafka.Topic
	for _, topic := range pipelines.Topics(brand, 4) {
		topics = append(topics, kafka.Topic{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Config: topic.Config})
	}
	if err := client.EnsureTopics(b.Context(), topics); err != nil {
		b.Fatal(err)
	}
	publisher := client.Publisher()
	b.Cleanup(func() { _ = publisher.Close() })
	keys, err := keyring.Create(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	rules := identity.DefaultRules()
	state, err := engine.New(engine.NewMemory(), rules)
	if err != nil {
		b.Fatal(err)
	}
	hash := func(kind identity.IdentifierType, scope, value string) identity.Hash {
		return keys.Hash(string(kind), scope, value)
	}
	// A state of a hundred thousand members of another shop.
	var updates []engine.Update
	for n := range 100_000 {
		account := identity.Account{Platform: "douyin", Shop: "d", ID: fmt.Sprint(n)}
		updates = append(updates, engine.Update{Account: account, Evidence: []identity.Evidence{{
			Identifier: identity.Identifier{Type: identity.Phone, Hash: hash(identity.Phone, "", fmt.Sprintf("139%08d", n))}, Role: identity.RoleMember, Source: "douyin", First: 1, Last: 1,
		}}})
	}
	if _, err := state.Apply(1, updates, nil); err != nil {
		b.Fatal(err)
	}
	world, err := simulator.New(simulator.Config{People: 1000, Seed: 3, Until: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	end := simulator.EndpointsOf(world, "http://a", "http://b", "http://c").Tmall
	shop, err := tmall.New(end.Shop, tmall.Config{AppKey: end.AppKey, AppSecret: end.AppSecret, Session: "x"})
	if err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	var mu sync.Mutex
	now := time.Now()
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		service := &Service{
			Known: &profile.State{Engine: state}, Publisher: publisher, Topics: events.TopicsOf(brand), Keys: keys,
			Extract: &extract.Extractor{Hash: hash, Rules: rules, MixMobileKey: simulator.TmallMixKey}, Points: Constant(Standing{Level: "1"}), Log: slog.New(slog.DiscardHandler),
		}
		handler := service.Shop("tmall", end.Shop, shop)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			handler.ServeHTTP(w, r)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(began))
		}))
		b.StartTimer()
		report, err := world.CallMembers(b.Context(), simulator.MemberCalls{Platform: "tmall", URL: server.URL, Seed: uint64(round), Repeats: 3, Parallel: 32, Now: func() time.Time { return now }})
		b.StopTimer()
		server.Close()
		if err != nil || report.Again > 0 || len(report.Faults) > 0 {
			b.Fatalf("%+v (%v)", report, err)
		}
		b.StartTimer()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "calls/s")
}
