package decrypt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/simulator"
	"oneid/connectors/weidian"
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
	server := httptest.NewServer(simulator.Douyin(w.sim, simulator.DouyinOptions{DecryptQuota: quota, DecryptQuotaInside: true}))
	w.t.Cleanup(server.Close)
	e := simulator.EndpointsOf(w.sim, server.URL, server.URL, server.URL).Douyin
	settle := 1
	c, err := douyin.New(w.shop, douyin.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, RequestsPerSecond: 1e5,
		SettleSeconds: &settle, BackfillDays: 7, AppID: 1, DecryptFields: fields, DecryptPerDay: perDay})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) pull(c connectors.Connector) (pull.Summary, error) {
	return w.pullStream(c, douyin.Orders)
}

func (w *world) pullStream(c connectors.Connector, stream string) (pull.Summary, error) {
	p := &pull.Puller{Connector: c, Platform: "douyin", Shop: w.shop, Stream: stream, Publisher: w.Publisher, Topics: w.Topics, Keys: w.Keys, Log: slog.New(slog.DiscardHandler)}
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

// told is a connector whose platform told of members.
type told struct {
	connectors.Connector
	records []connectors.Record
}

func (c told) Read(context.Context, string, connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) { yield(connectors.Page{Records: c.records}, nil) }
}

// Members whose phone came encrypted are asked for within the same budget: who
// paid last first, each once until they pay or are told of again; nobody whose
// phone is known, and nobody who has left.
func TestPhonesOfMembersWithinTheBudget(t *testing.T) {
	w := newWorld(t)
	var members []simulator.Account
	for _, id := range w.ask("SELECT account FROM orders FINAL WHERE paid_at > toDateTime(0) AND NOT startsWith(account, 'order:') GROUP BY account ORDER BY max(paid_at) DESC, account") {
		if a, ok := w.sim.AccountByID("douyin", id); ok && a.Member {
			members = append(members, a)
		}
	}
	if len(members) < 6 {
		t.Fatalf("there are %d paying members", len(members))
	}
	c := w.connector(0, []string{"member_phone"}, 2)
	at := w.now.Add(-time.Hour)
	tell := func(kind connectors.MembershipKind, a simulator.Account, at time.Time, phone string) connectors.Record {
		t.Helper()
		call := map[string]any{"open_id": a.ID, "mobile": phone}
		if kind == connectors.MemberPhone {
			call = map[string]any{"open_id": a.ID, "info": map[string]any{"mobile": map[string]any{"new_mobile": phone}}}
		}
		body, err := json.Marshal(call)
		if err != nil {
			t.Fatal(err)
		}
		record, err := connectors.Membership{Kind: kind, Account: a.ID, At: at, Body: body}.Record(w.shop, kind == connectors.MemberQuery, at)
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	hear := func(records ...connectors.Record) {
		t.Helper()
		if sum, err := w.pullStream(told{c, records}, connectors.MembershipStream); err != nil || sum.Events != len(records) {
			t.Fatalf("told of %d: %+v, %v", len(records), sum, err)
		}
		w.resolve()
	}
	const sealed = "$$UA==$1$$"
	var calls []connectors.Record
	for _, a := range members[:5] {
		calls = append(calls, tell(connectors.MemberBind, a, at, sealed))
	}
	calls = append(calls, tell(connectors.MemberBind, members[5], at, members[5].Phone), tell(connectors.MemberUnbind, members[4], at.Add(time.Minute), ""),
		tell(connectors.MemberQuery, members[0], at.Add(time.Minute), ""))
	hear(calls...)
	phones := func(want string) {
		t.Helper()
		w.resolve()
		if got := w.ask("SELECT uniqExact(account) FROM evidence WHERE platform = 'douyin' AND type = 'phone' AND role = 'member'"); got[0] != want {
			t.Errorf("the phones of %s members are evidence, want %s", got[0], want)
		}
	}
	phones("1")
	open := func(want ...simulator.Account) {
		t.Helper()
		sum, err := w.pullStream(&Stream{Decrypter: c, ClickHouse: w.ClickHouse, Keys: w.Keys, Platform: "douyin", Shop: w.shop, Who: "test", Now: func() time.Time { return w.now }}, connectors.MembershipStream)
		if err != nil || sum.Records != len(want) || sum.DeadLetters != 0 {
			t.Fatalf("opened %+v, %v; want %d", sum, err, len(want))
		}
		var ids []string
		for _, a := range want {
			ids = append(ids, a.ID)
		}
		slices.Sort(ids)
		if got := w.ask("SELECT account FROM decryptions FINAL WHERE at = (SELECT max(at) FROM decryptions) ORDER BY account"); len(want) > 0 && !slices.Equal(got, ids) {
			t.Errorf("asked for %v, want %v", got, ids)
		}
	}
	open(members[0], members[1])
	phones("3")
	open() // the budget is used
	w.now = w.now.Add(24 * time.Hour)
	open(members[2], members[3])
	phones("5")
	w.now = w.now.Add(24 * time.Hour)
	open()
	if got := w.ask("SELECT DISTINCT who, order_id, fields, texts, outcome FROM decryptions FINAL FORMAT CSV"); !slices.Equal(got, []string{`"test","","member_phone",1,"opened"`}) {
		t.Errorf("the audit says %v", got)
	}
	// Another phone, encrypted as well: it is asked for again, of that member alone.
	hear(tell(connectors.MemberPhone, members[1], w.now, sealed)) // after it was asked for
	w.now = w.now.Add(24 * time.Hour)
	open(members[1])
	open()
	for _, a := range members[:6] {
		for table, column := range map[string]string{"raw_events": "raw", "decryptions": "toString(tuple(*))", "evidence": "toString(tuple(*))", "users": "toString(tuple(*))"} {
			if got := w.ask(fmt.Sprintf("SELECT count() FROM %s WHERE position(%s, '%s') > 0", table, column, a.Phone)); got[0] != "0" {
				t.Errorf("a phone lies in %s in clear", table)
			}
		}
	}
}

// Weidian's key opens everything and costs no quota: the settings, the budget
// and the audit hold for it all the same, and the platform is not asked before
// the audit is written.
func TestWeidiansKeyUnderTheSameRules(t *testing.T) {
	w := &world{Flow: flowtest.New(t), t: t, now: time.Now()}
	until := time.Now().Add(-time.Minute)
	var err error
	if w.sim, err = simulator.New(simulator.Config{People: 60, Seed: 1, From: until.Add(-5 * 24 * time.Hour), Until: until}); err != nil {
		t.Fatal(err)
	}
	w.shop = w.sim.Shop("weidian").ID
	keys := 0
	face := simulator.Weidian(w.sim, simulator.WeidianOptions{})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if form, err := url.ParseQuery(string(body)); err == nil && strings.Contains(form.Get("public"), "open.secret.list") {
			keys++
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		face.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	settle := 1
	e := simulator.EndpointsOf(w.sim, server.URL, server.URL, server.URL).Weidian
	c, err := weidian.New(w.shop, weidian.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, AccessToken: e.AccessToken, RequestsPerSecond: 1e5,
		DetailVersion: "2.0", SettleSeconds: &settle, BackfillDays: 7, DecryptFields: []string{"account_phone"}, DecryptPerDay: 3})
	if err != nil {
		t.Fatal(err)
	}
	pulled := func(c connectors.Connector) (pull.Summary, error) {
		p := &pull.Puller{Connector: c, Platform: "weidian", Shop: w.shop, Stream: weidian.Orders, Publisher: w.Publisher, Topics: w.Topics, Keys: w.Keys, Log: slog.New(slog.DiscardHandler)}
		return p.Once(t.Context())
	}
	store := w.State(t)
	resolve := func() {
		t.Helper()
		r, _ := w.Resolver(t, store, nil)
		if err := flowtest.Run(t, r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pulled(c); err != nil {
		t.Fatal(err)
	}
	resolve()
	newest := w.newest()
	phones := func(want string) {
		t.Helper()
		if got := w.ask("SELECT uniqExact(account) FROM evidence WHERE platform = 'weidian' AND type = 'phone'"); got[0] != want {
			t.Errorf("phones of %s accounts are evidence, want %s", got[0], want)
		}
	}
	phones("0")
	if len(newest) < 10 || keys != 0 {
		t.Fatalf("%d paying buyers; the key was asked for %d times by reading", len(newest), keys)
	}
	stream := &Stream{Decrypter: c, ClickHouse: w.ClickHouse, Keys: w.Keys, Platform: "weidian", Shop: w.shop, Who: "test", Now: func() time.Time { return w.now }}
	disarm, stopped := fault.StopAt("decrypt/asked", 1)
	_, err = pulled(stream)
	disarm()
	if err == nil || !stopped() || keys != 0 {
		t.Fatalf("stopped between audit and call: %v; the key was asked for %d times", err, keys)
	}
	if got := w.ask("SELECT outcome, count() FROM decryptions FINAL GROUP BY outcome FORMAT CSV"); !slices.Equal(got, []string{`"asked",3`}) {
		t.Errorf("the audit says %v", got)
	}
	if sum, err := pulled(stream); err != nil || sum.Records != 0 || keys != 0 {
		t.Errorf("beyond the budget: %+v, %v, %d keys", sum, err, keys)
	}
	w.now = w.now.Add(24 * time.Hour)
	if sum, err := pulled(stream); err != nil || sum.Records != 3 || sum.DeadLetters != 0 || keys != 1 {
		t.Fatalf("the next day: %+v, %v, %d keys", sum, err, keys)
	}
	resolve()
	phones("3")
	if got, want := w.ask("SELECT order_id FROM decryptions FINAL WHERE outcome = 'opened' ORDER BY order_id"), slices.Sorted(slices.Values(newest[:3])); !slices.Equal(got, want) {
		t.Errorf("opened %v, want the newest, %v", got, want)
	}
	for _, number := range newest[:3] {
		o, ok := w.sim.OrderByNumber("weidian", number)
		if !ok {
			t.Fatalf("there is no order %s", number)
		}
		for table, column := range map[string]string{"raw_events": "raw", "evidence": "toString(tuple(*))", "orders": "toString(tuple(*))"} {
			for _, value := range []string{o.Receiver.Phone, o.Receiver.Name} {
				if got := w.ask(fmt.Sprintf("SELECT count() FROM %s WHERE position(%s, '%s') > 0", table, column, value)); got[0] != "0" {
					t.Errorf("a value lies in %s in clear", table)
				}
			}
		}
	}
}
