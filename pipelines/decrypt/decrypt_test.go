package decrypt

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/simulator"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/fault"
	"oneid/pipelines/flowtest"
	"oneid/pipelines/pull"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

// world is a shop of Douyin whose orders lie in ClickHouse, with their receivers
// encrypted.
type world struct {
	*flowtest.Flow
	t       *testing.T
	sim     *simulator.World
	shop    string
	now     time.Time
	resolve func()
}

func newWorld(t *testing.T) *world {
	until := time.Now().Add(-time.Minute)
	sim, err := simulator.New(simulator.Config{People: 60, Seed: 1, From: until.Add(-5 * 24 * time.Hour), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Flow: flowtest.New(t), t: t, sim: sim, shop: sim.Shop("douyin").ID, now: time.Now()}
	store := w.State(t)
	w.resolve = func() {
		t.Helper()
		r, _ := w.Resolver(t, store, nil)
		if err := flowtest.Run(t, r); err != nil {
			t.Fatal(err)
		}
	}
	w.pull(w.connector(0, nil, 0))
	w.resolve()
	return w
}

// connector reads the shop; its platform decrypts so many texts a day, and its
// settings ask for fields.
func (w *world) connector(quota int, fields []string, perDay int) *douyin.Connector {
	w.t.Helper()
	server := httptest.NewServer(simulator.Douyin(w.sim, simulator.DouyinOptions{DecryptQuota: quota}))
	w.t.Cleanup(server.Close)
	e := simulator.EndpointsOf(w.sim, server.URL, server.URL, server.URL).Douyin
	settle := 1
	c, err := douyin.New(w.shop, douyin.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, RequestsPerSecond: 1e5,
		SettleSeconds: &settle, BackfillDays: 7, DecryptFields: fields, DecryptPerDay: perDay})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) pull(c connectors.Connector) (pull.Summary, error) {
	p := &pull.Puller{Connector: c, Platform: "douyin", Shop: w.shop, Stream: douyin.Orders, Publisher: w.Publisher, Topics: w.Topics, Keys: w.Keys, Log: slog.New(slog.DiscardHandler)}
	return p.Once(w.t.Context())
}

func (w *world) decrypt(c connectors.Decrypter) (pull.Summary, error) {
	return w.pull(&Stream{Decrypter: c, ClickHouse: w.ClickHouse, Keys: w.Keys, Platform: "douyin", Shop: w.shop, Who: "test", Now: func() time.Time { return w.now }})
}

// ask gives the lines of an answer.
func (w *world) ask(query string) []string {
	w.t.Helper()
	got, err := w.Database.Query(w.t.Context(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Fields(got)
}

// newest are the newest paid orders of each buyer, the newest first.
func (w *world) newest() []string {
	return w.ask("SELECT argMax(order_id, (paid_at, order_id)) FROM orders FINAL WHERE paid_at > toDateTime(0) GROUP BY account ORDER BY max(paid_at) DESC, account")
}

// Only the fields that the settings name are decrypted, of the newest paying
// buyers, as many as the day's budget has, and never beside the audit; the values
// come back as evidence, sealed.
func TestTheNewestBuyersWithinTheBudget(t *testing.T) {
	w := newWorld(t)
	newest := w.newest()
	if len(newest) < 20 {
		t.Fatalf("there are %d paying buyers", len(newest))
	}
	phones := func() string {
		return strings.Join(w.ask("SELECT count() FROM evidence WHERE platform = 'douyin' AND type = 'phone'"), "")
	}
	if before := phones(); before != "0" {
		t.Fatalf("%s phones are known before", before)
	}
	if sum, err := w.decrypt(w.connector(0, nil, 0)); err != nil || sum.Records != 0 {
		t.Errorf("without settings: %+v, %v", sum, err)
	}
	c := w.connector(0, []string{"phone", "name"}, 11)
	sum, err := w.decrypt(c)
	if err != nil || sum.Records != 5 || sum.Events != 5 || sum.DeadLetters != 0 {
		t.Fatalf("decrypted %+v, %v; want 5 orders of 2 fields each", sum, err)
	}
	w.resolve()
	if got := phones(); got != "5" {
		t.Errorf("%s phones are evidence, want 5", got)
	}
	asked := func() []string { return w.ask("SELECT order_id FROM decryptions FINAL ORDER BY at, order_id") }
	if got, want := asked(), slices.Sorted(slices.Values(newest[:5])); !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
	if got := w.ask("SELECT DISTINCT who, fields, texts, outcome FROM decryptions FINAL FORMAT CSV"); !slices.Equal(got, []string{`"test","phone,name",2,"opened"`}) {
		t.Errorf("the audit says %v", got)
	}
	if sum, err := w.decrypt(c); err != nil || sum.Records != 0 {
		t.Errorf("beyond the budget: %+v, %v", sum, err)
	}
	w.now = w.now.Add(24 * time.Hour)
	if sum, err := w.decrypt(c); err != nil || sum.Records != 5 {
		t.Errorf("the next day: %+v, %v", sum, err)
	}
	w.resolve()
	if got, want := slices.Sorted(slices.Values(asked())), slices.Sorted(slices.Values(newest[:10])); !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v: each buyer once", got, want)
	}
	// What was decrypted lies nowhere in clear, and nothing else was.
	for number := range slices.Values(newest[:10]) {
		o, ok := w.sim.OrderByNumber("douyin", number)
		if !ok {
			t.Fatalf("there is no order %s", number)
		}
		for table, column := range map[string]string{"raw_events": "raw", "decryptions": "toString(tuple(*))", "evidence": "toString(tuple(*))", "orders": "toString(tuple(*))"} {
			for _, value := range []string{o.Receiver.Phone, o.Receiver.Name} {
				if got := w.ask(fmt.Sprintf("SELECT count() FROM %s WHERE position(%s, '%s') > 0", table, column, value)); got[0] != "0" {
					t.Errorf("a value lies in %s in clear", table)
				}
			}
		}
	}
}

// A process that dies after the audit was written has used the budget; the
// platform's own quota ends the day without an error, and what came to nothing
// is asked for again on another day.
func TestACrashCountsAndTheQuotaEndsTheDay(t *testing.T) {
	w := newWorld(t)
	newest := w.newest()
	c := w.connector(3, []string{"phone"}, 4)
	disarm, stopped := fault.StopAt("decrypt/asked", 1)
	_, err := w.decrypt(c)
	disarm()
	if err == nil || !stopped() {
		t.Fatalf("it did not stop: %v", err)
	}
	if sum, err := w.decrypt(c); err != nil || sum.Records != 0 {
		t.Errorf("after the crash: %+v, %v; want the budget used", sum, err)
	}
	w.now = w.now.Add(24 * time.Hour)
	if sum, err := w.decrypt(c); err != nil || sum.Records != 0 {
		t.Errorf("beyond the platform's quota: %+v, %v", sum, err)
	}
	if got := w.ask("SELECT outcome, count() FROM decryptions FINAL GROUP BY outcome ORDER BY outcome FORMAT CSV"); !slices.Equal(got, []string{`"asked",4`, `"quota",4`}) {
		t.Errorf("the audit says %v", got)
	}
	w.now = w.now.Add(24 * time.Hour)
	if sum, err := w.decrypt(w.connector(0, []string{"phone"}, 4)); err != nil || sum.Records != 4 {
		t.Errorf("on another day: %+v, %v", sum, err)
	}
	if got, want := w.ask("SELECT order_id FROM decryptions FINAL WHERE outcome = 'opened' ORDER BY order_id"), slices.Sorted(slices.Values(newest[:4])); !slices.Equal(got, want) {
		t.Errorf("opened %v, want %v", got, want)
	}
}
