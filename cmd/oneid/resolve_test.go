package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"oneid/identity"
	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker"
	"oneid/internal/embedded/chdb"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/schemas/events"
)

// servers are a Kafka and a ClickHouse that no data folder owns.
type servers struct {
	t         *testing.T
	engine    *chdb.Server
	publisher *kafka.Publisher
	keys      *keyring.Ring
	keysIn    string // the folder that they were made in
	settings  string
	orders    int
}

func newServers(t *testing.T) *servers {
	t.Helper()
	b, err := broker.Start(t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	library, err := installEngine(t.Context(), newProgress(false))
	if err != nil {
		t.Fatal(err)
	}
	s := &servers{t: t}
	if s.engine, err = chdb.Start(t.Context(), chdb.Config{Library: library, Folder: filepath.Join(t.TempDir(), "clickhouse"), NoSync: true, MemoryBytes: 2 << 30}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.engine.Close() })
	client, err := kafka.New(kafka.Config{Brokers: b.Addresses()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.publisher = client.Publisher()
	t.Cleanup(func() { _ = s.publisher.Close() })
	s.settings = fmt.Sprintf("kafka:\n  brokers: [%q]\n  partitions: 1\nclickhouse:\n  url: %s\n  user: %s\n  password_file: %s\n  database: %s\n",
		b.Addresses()[0], s.engine.URL(), s.engine.User(), s.engine.SecretFile(), s.engine.Database())
	return s
}

// machine makes a data folder of its own; all have the brand's keys.
func (s *servers) machine() string {
	s.t.Helper()
	dir := filepath.Join(s.t.TempDir(), "machine")
	must(s.t, "init", "--dir", dir)
	writeText(s.t, filepath.Join(dir, settingsFile), s.settings)
	if s.keys == nil {
		var err error
		if s.keys, err = keyring.Open(dir); err != nil {
			s.t.Fatal(err)
		}
		s.keysIn = dir
		return dir
	}
	if err := os.RemoveAll(filepath.Join(dir, "keys")); err != nil {
		s.t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "keys"), os.DirFS(filepath.Join(s.keysIn, "keys"))); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

// accountsOf are a person's two accounts. The first has the lower birth id, so
// it is the elder in one batch with the other, and before it.
func accountsOf(person int) (older, younger identity.Account) {
	older = identity.Account{Platform: "tmall", Shop: "x", ID: fmt.Sprint("x", person)}
	first := older.BirthID()
	for n := 0; ; n++ {
		younger = identity.Account{Platform: "tmall", Shop: "y", ID: fmt.Sprint("y", person, ".", n)}
		if second := younger.BirthID(); bytes.Compare(first[:], second[:]) < 0 {
			return older, younger
		}
	}
}

// publish publishes orders of n persons: one in each of two shops, under the
// same member's phone. It returns once they are acknowledged.
func (s *servers) publish(n int) {
	s.t.Helper()
	var messages []kafka.Message
	for range n {
		older, younger := accountsOf(s.orders / 2)
		for _, account := range []identity.Account{older, younger} {
			e := &events.Event{
				Header: &events.Header{
					Platform: account.Platform, Shop: account.Shop, EntityId: account.ID, Account: account.ID, Stream: "orders",
					Version: &events.Version{ModifiedMs: 1_700_000_000_000, Source: events.Source_SOURCE_API},
					Person: &events.Person{Sightings: []*events.Sighting{{
						Type: "phone", Value: fmt.Sprintf("138%08d", 10000+s.orders/2), Role: events.Role_ROLE_MEMBER,
					}}},
				},
				Body: &events.Event_Order{Order: &events.Order{CreatedMs: 1_700_000_000_000, PaidMs: 1_700_000_000_000, PaidMinor: 100, Currency: "CNY"}},
			}
			key := events.Key(e)
			if err := events.Seal(e, s.keys); err != nil {
				s.t.Fatal(err)
			}
			value, err := events.Marshal(nil, e)
			if err != nil {
				s.t.Fatal(err)
			}
			messages = append(messages, kafka.Message{Topic: "oneid.orders", Key: []byte(key), Value: value})
			s.orders++
		}
	}
	if err := s.publisher.Publish(s.t.Context(), messages); err != nil {
		s.t.Fatal(err)
	}
}

func (s *servers) ask(query string) string {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.engine.URL()+"/?database="+s.engine.Database(), strings.NewReader(query))
	if err != nil {
		s.t.Fatal(err)
	}
	request.SetBasicAuth(s.engine.User(), s.engine.Password())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

// shows waits until all orders that were acknowledged are in ClickHouse.
func (s *servers) shows() time.Duration {
	s.t.Helper()
	return eventually(s.t, time.Minute, "orders in ClickHouse", func() (bool, string) {
		got := s.ask("SELECT count() FROM orders FINAL")
		return got == fmt.Sprint(s.orders), got
	})
}

func says(t *testing.T, p *process, text string) {
	t.Helper()
	eventually(t, time.Minute, "it says "+text, func() (bool, string) { return strings.Contains(p.stderr.String(), text), p.stderr.String() })
}

// Two machines resolve one brand on configured servers: the active one is
// killed under load, the other takes over within 10 seconds, and the ids are
// those of an undisturbed run; the first comes back and stands by.
func TestResolversOfTwoMachines(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	first, second := s.machine(), s.machine()
	a := start(t, "resolve", "--dir", first)
	says(t, a, "resolver is active")
	b := start(t, "resolve", "--dir", second)
	defer func() {
		if t.Failed() {
			t.Logf("the first machine:\n%s\nthe second machine:\n%s", a.stderr, b.stderr)
		}
	}()
	says(t, b, "resolver stands by")
	s.publish(500)
	s.shows()
	s.publish(2000)
	a.signal(t, syscall.SIGKILL)
	s.publish(100)
	crashtest.Within(t, "rows of the one that took over", s.shows(), rowsFlowWithin)
	says(t, b, "resolver is active")

	a = start(t, "resolve", "--dir", first)
	says(t, a, "resolver stands by")
	s.publish(100)
	s.shows()
	if code := b.signal(t, syscall.SIGTERM).code; code != 130 {
		t.Errorf("the active one ends with %d at SIGTERM, want 130", code)
	}
	s.publish(100)
	crashtest.Within(t, "rows of the one that was left", s.shows(), rowsFlowWithin)

	got := make(map[string]string)
	for line := range strings.SplitSeq(s.ask("SELECT account, customer_id FROM identity_map_current"), "\n") {
		account, customer, _ := strings.Cut(line, "\t")
		got[account] = customer
	}
	for no := range s.orders / 2 {
		older, younger := accountsOf(no)
		if want := older.BirthID().String(); got[older.String()] != want || got[younger.String()] != want {
			t.Fatalf("person %d: customers %s and %s, want %s", no, got[older.String()], got[younger.String()], want)
		}
	}
	if rows := s.ask("SELECT count() FROM orders"); len(got) != s.orders || rows != fmt.Sprint(s.orders) {
		t.Errorf("%d accounts, %s rows without FINAL; want %d", len(got), rows, s.orders)
	}
}
