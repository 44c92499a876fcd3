package decrypt

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"math/big"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/connectors/weidian"
	"oneid/pipelines/flowtest"
	"oneid/pipelines/pull"
	"oneid/schemas/events"
)

// seen is a connector whose records pass through a function.
type seen struct {
	connectors.Connector
	each func(*connectors.Record)
}

func (c seen) Read(ctx context.Context, stream string, from connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		for page, err := range c.Connector.Read(ctx, stream, from) {
			for i := range page.Records {
				c.each(&page.Records[i])
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

// numberOf is the number of the order of a record.
func numberOf(t *testing.T, record connectors.Record) string {
	t.Helper()
	var order struct {
		List struct {
			OrderID json.Number `json:"order_id"`
		} `json:"list"`
	}
	if err := json.Unmarshal(record.Raw, &order); err != nil {
		t.Fatal(err)
	}
	return order.List.OrderID.String()
}

// finished is the order an hour later, with the end of its way.
func finished(t *testing.T, record *connectors.Record) {
	t.Helper()
	var order map[string]map[string]any
	if err := json.Unmarshal(record.Raw, &order); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.DateTime, fmt.Sprint(order["list"]["update_time"]))
	if err != nil {
		t.Fatal(err)
	}
	order["list"]["update_time"] = at.Add(time.Hour).Format(time.DateTime)
	order["detail"]["status"], order["detail"]["status_ori"] = "finish", 50
	if record.Raw, err = json.Marshal(order); err != nil {
		t.Fatal(err)
	}
	record.Observed = record.Observed.Add(2 * time.Hour)
}

// What was decrypted stays, although the platform goes on giving the order
// encrypted: the phone as evidence, and the payload as a version of the order, by
// which a replay finds it again. The order itself is always as the platform gave it
// last. Nobody is asked for twice. And all this in whatever order the versions come.
func TestWhatWasDecryptedStays(t *testing.T) {
	w := &world{Flow: flowtest.New(t), t: t, now: time.Now()}
	until := time.Now().Add(-time.Minute)
	var err error
	if w.sim, err = simulator.New(simulator.Config{People: 40, Seed: 1, From: until.Add(-5 * 24 * time.Hour), Until: until}); err != nil {
		t.Fatal(err)
	}
	w.shop = w.sim.Shop("weidian").ID
	server := httptest.NewServer(simulator.Weidian(w.sim, simulator.WeidianOptions{}))
	t.Cleanup(server.Close)
	settle := 1
	e := simulator.EndpointsOf(w.sim, server.URL, server.URL, server.URL).Weidian
	c, err := weidian.New(w.shop, weidian.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, AccessToken: e.AccessToken, RequestsPerSecond: 1e5,
		DetailVersion: "2.0", SettleSeconds: &settle, BackfillDays: 7, DecryptFields: []string{"account_phone"}, DecryptPerDay: 3})
	if err != nil {
		t.Fatal(err)
	}
	store := w.State(t)
	pulled := func(c connectors.Connector) int {
		t.Helper()
		p := &pull.Puller{Connector: c, Platform: "weidian", Shop: w.shop, Stream: weidian.Orders, Publisher: w.Publisher, Topics: w.Topics, Keys: w.Keys, Log: slog.New(slog.DiscardHandler)}
		sum, err := p.Once(t.Context())
		if err != nil || sum.DeadLetters != 0 {
			t.Fatalf("%+v, %v", sum, err)
		}
		return sum.Records
	}
	resolve := func() {
		t.Helper()
		r, _ := w.Resolver(t, store, nil)
		if err := flowtest.Run(t, r); err != nil {
			t.Fatal(err)
		}
	}
	read := map[string]connectors.Record{} // as the platform gave them first
	pulled(seen{c, func(r *connectors.Record) { read[numberOf(t, *r)] = *r }})
	resolve()
	chosen := w.newest()[:3]
	of := "order_id IN ('" + strings.Join(chosen, "','") + "')"
	facts := func() []string {
		return w.ask("SELECT order_id, platform_status, cityHash64(* EXCEPT (version, customer_id)) FROM orders FINAL WHERE " + of + " ORDER BY order_id FORMAT CSV")
	}
	phones := func() []string {
		return w.ask("SELECT DISTINCT account, hex(hash), role FROM evidence WHERE type = 'phone' ORDER BY account FORMAT CSV")
	}
	before := facts()

	opened := map[string]connectors.Record{}
	decrypting := seen{&Stream{Decrypter: c, ClickHouse: w.ClickHouse, Keys: w.Keys, Platform: "weidian", Shop: w.shop, Who: "test", Now: func() time.Time { return w.now }},
		func(r *connectors.Record) { opened[numberOf(t, *r)] = *r }}
	if n := pulled(decrypting); n != 3 {
		t.Fatalf("%d were decrypted, want 3", n)
	}
	resolve()
	known := phones()
	if len(known) != 3 || !slices.Equal(facts(), before) {
		t.Fatalf("decrypted: %d phones, and the orders are\n%v, want\n%v", len(known), facts(), before)
	}
	for number, r := range opened {
		if !r.Observed.Equal(read[number].Observed.Truncate(time.Millisecond).Add(time.Millisecond)) {
			t.Errorf("what was opened is of %s, and was read at %s", r.Observed, read[number].Observed)
		}
	}

	again := map[string]connectors.Record{}
	pulled(seen{c, func(r *connectors.Record) { again[numberOf(t, *r)] = *r }}) // the overlap
	resolve()
	if !slices.Equal(phones(), known) || !slices.Equal(facts(), before) {
		t.Errorf("after the overlap the phones are %v and the orders %v; want %v and %v", phones(), facts(), known, before)
	}
	changed := map[string]connectors.Record{}
	pulled(seen{c, func(r *connectors.Record) {
		if slices.Contains(chosen, numberOf(t, *r)) {
			finished(t, r)
			changed[numberOf(t, *r)] = *r
		}
	}})
	resolve()
	if got := w.ask("SELECT DISTINCT platform_status FROM orders FINAL WHERE " + of); !slices.Equal(phones(), known) || !slices.Equal(got, []string{"finish"}) {
		t.Errorf("after a change the phones are %v and the orders %v", phones(), got)
	}
	for _, number := range chosen {
		if got := showPhone(t, w, c, number); got != 1 {
			t.Errorf("%d of the payloads that are kept of order %s show a phone, want 1", got, number)
		}
	}
	w.now = w.now.Add(24 * time.Hour)
	pulled(decrypting)
	if got := w.ask("SELECT count(), uniqExact(account) FROM decryptions FINAL FORMAT CSV"); !slices.Equal(got, []string{"6,6"}) {
		t.Errorf("asked for, and of how many buyers: %v", got)
	}

	// The four versions of one order in every order, a shop for each.
	number := chosen[0]
	versions := []connectors.Record{read[number], opened[number], again[number], changed[number]}
	orders := permutations(len(versions))
	for step := range versions {
		var records []connectors.Record
		for i, order := range orders {
			r := versions[order[step]]
			r.Shop = fmt.Sprintf("any%d", i)
			records = append(records, r)
		}
		pulled(told{c, records})
		resolve()
	}
	if got := w.ask("SELECT count(), uniqExact(cityHash64(* EXCEPT (shop, customer_id))), any(platform_status) FROM orders FINAL WHERE startsWith(shop, 'any') FORMAT CSV"); !slices.Equal(got, []string{`24,1,"finish"`}) {
		t.Errorf("in 24 orders of arrival the order is (how many, how many ways, status): %v", got)
	}
	if got := w.ask("SELECT count(), uniqExact(all) FROM (SELECT shop, groupArray(one) AS all FROM (SELECT shop, tuple(type, hash, role, min(first_seen), max(last_seen)) AS one FROM evidence WHERE startsWith(shop, 'any') GROUP BY shop, type, hash, role ORDER BY shop, type, hash, role) GROUP BY shop) FORMAT CSV"); !slices.Equal(got, []string{"24,1"}) {
		t.Errorf("the evidence differs (shops, ways): %v", got)
	}
	if got := w.ask("SELECT uniqExact(shop) FROM evidence WHERE startsWith(shop, 'any') AND type = 'phone'"); got[0] != "24" {
		t.Errorf("the phone is known in %v of 24", got)
	}
}

// showPhone counts the stored payloads of an order from which today's mapping reads a
// phone: what a replay would find.
func showPhone(t *testing.T, w *world, c connectors.Connector, number string) (n int) {
	t.Helper()
	err := w.ClickHouse.Rows(t.Context(), "read payloads", "SELECT version, raw FROM "+w.ClickHouse.Database()+".raw_events FINAL WHERE kind = 'order' AND stream = 'orders' AND entity_id = '"+number+"'", func(scan func(...any) error) error {
		var raw string
		if err := scan(new(big.Int), &raw); err != nil {
			return err
		}
		plain, err := events.OpenRaw(&events.Event{Header: &events.Header{Platform: "weidian", Shop: w.shop, EntityId: number, Raw: []byte(raw)}}, w.Keys)
		if err != nil {
			return err
		}
		mapped, err := c.Map(connectors.Record{Stream: weidian.Orders, Shop: w.shop, Raw: plain})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(mapped[0].GetHeader().GetPerson().GetSightings(), func(s *events.Sighting) bool { return s.GetType() == "phone" }) {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// permutations are all orders of the numbers below n.
func permutations(n int) (all [][]int) {
	if n == 0 {
		return [][]int{nil}
	}
	for _, shorter := range permutations(n - 1) {
		for at := range n {
			all = append(all, slices.Insert(slices.Clone(shorter), at, n-1))
		}
	}
	return all
}
