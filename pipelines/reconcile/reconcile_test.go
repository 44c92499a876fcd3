package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"hash/crc32"
	"iter"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/connectors"
	"oneid/connectors/all"
	"oneid/connectors/simulator"
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
	"oneid/schemas/tables"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

// warnings counts what is logged, by the beginning of the message.
type warnings struct{ differ, equal int }

func (w *warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w *warnings) WithGroup(string) slog.Handler            { return w }
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "equal again") {
		w.equal++
	} else {
		w.differ++
	}
	return nil
}

// rig is the whole flow of three invented shops on real parts.
type rig struct {
	t          *testing.T
	world      *simulator.World
	shops      []Shop
	clickhouse *clickhouse.Conn
	client     *kafka.Client
	publisher  *kafka.Publisher
	keys       *keyring.Ring
	topics     events.Topics
	resolver   *resolve.Resolver
	reconciler *Reconciler
	log        warnings
	metric     map[string]uint64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r := &rig{t: t, topics: events.TopicsOf("b"), metric: make(map[string]uint64)}
	var err error
	r.world, err = simulator.New(simulator.Config{People: 80, Seed: 5, Until: time.Now().Add(-time.Hour)})
	fatal(err)
	face := func(handler func() *httptest.Server) string {
		server := handler()
		t.Cleanup(server.Close)
		return server.URL
	}
	e := simulator.EndpointsOf(r.world,
		face(func() *httptest.Server { return httptest.NewServer(simulator.Tmall(r.world, simulator.TmallOptions{})) }),
		face(func() *httptest.Server {
			return httptest.NewServer(simulator.Douyin(r.world, simulator.DouyinOptions{}))
		}),
		face(func() *httptest.Server {
			return httptest.NewServer(simulator.Weidian(r.world, simulator.WeidianOptions{}))
		}))
	for platform, settings := range map[string]map[string]any{
		"tmall":   {"url": e.Tmall.URL, "app_key": e.Tmall.AppKey, "app_secret": e.Tmall.AppSecret, "session": e.Tmall.Session},
		"douyin":  {"url": e.Douyin.URL, "app_key": e.Douyin.AppKey, "app_secret": e.Douyin.AppSecret, "app_id": 1},
		"weidian": {"url": e.Weidian.URL, "app_key": e.Weidian.AppKey, "app_secret": e.Weidian.AppSecret, "access_token": e.Weidian.AccessToken},
	} {
		settings["requests_per_second"], settings["backfill_days"] = 100000, 90
		raw, err := json.Marshal(settings)
		fatal(err)
		name := map[string]string{"tmall": e.Tmall.Shop, "douyin": e.Douyin.Shop, "weidian": e.Weidian.Shop}[platform]
		c, err := all.Open(platform, name, raw)
		fatal(err)
		r.shops = append(r.shops, Shop{platform, name, c})
	}
	slices.SortFunc(r.shops, func(a, b Shop) int { return strings.Compare(a.Platform, b.Platform) })

	b, err := broker.Start(t.TempDir(), "127.0.0.1:0")
	fatal(err)
	t.Cleanup(b.Close)
	r.client, err = kafka.New(kafka.Config{Brokers: b.Addresses()})
	fatal(err)
	t.Cleanup(r.client.Close)
	var topics []kafka.Topic
	for _, topic := range pipelines.Topics("b", 2) {
		topics = append(topics, kafka.Topic{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Config: topic.Config})
	}
	fatal(r.client.EnsureTopics(t.Context(), topics))
	r.publisher = r.client.Publisher()
	t.Cleanup(func() { _ = r.publisher.Close() })
	d := chdbtest.Start(t)
	r.clickhouse, err = clickhouse.Open(t.Context(), clickhouse.Config{URL: d.URL, Database: d.Name, User: d.User, Password: d.Password})
	fatal(err)
	t.Cleanup(func() { _ = r.clickhouse.Close() })
	_, err = r.clickhouse.Migrate(t.Context())
	fatal(err)
	r.keys, err = keyring.Create(t.TempDir())
	fatal(err)
	rules, err := identity.ParseRules(identity.DefaultRulesYAML())
	fatal(err)
	state, err := engine.New(engine.NewMemory(), rules)
	fatal(err)
	hash := func(typ identity.IdentifierType, scope, value string) identity.Hash {
		return r.keys.Hash(string(typ), scope, value)
	}
	quiet := slog.New(slog.DiscardHandler)
	r.resolver = &resolve.Resolver{
		Brand: "b", Kafka: r.client, Publisher: r.publisher, Topics: r.topics, Keys: r.keys, Log: quiet, BatchWait: 20 * time.Millisecond,
		Work: &resolve.Instance{
			Identity: &resolve.Identity{Engine: state, Extract: &extract.Extractor{Hash: hash, Rules: rules}, Keys: r.keys},
			Tables:   resolve.NewBlocks(r.clickhouse, clickhouse.IsUnavailable),
		},
	}
	r.reconciler = &Reconciler{
		ClickHouse: r.clickhouse, Publisher: r.publisher, Topics: r.topics, Keys: r.keys, Log: slog.New(&r.log), Settle: r.settle,
		Note: func(platform, shop, stream string, different uint64) { r.metric[platform+"/"+stream] = different },
	}
	return r
}

// settle resolves what lies in Kafka.
func (r *rig) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { defer cancel(); ended <- r.resolver.Run(ctx) }()
	err := r.resolver.CaughtUp(ctx)
	cancel()
	return errors.Join(<-ended, err)
}

// withholding is a connector that loses some of what it reads.
type withholding struct {
	connectors.Connector
	lose func(stream string, e *events.Event) bool
}

func (w withholding) Read(ctx context.Context, stream string, from connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		for page, err := range w.Connector.Read(ctx, stream, from) {
			page.Records = slices.DeleteFunc(page.Records, func(record connectors.Record) bool {
				mapped, err := w.Map(record)
				return err == nil && slices.ContainsFunc(mapped, func(e *events.Event) bool { return w.lose(stream, e) })
			})
			if !yield(page, err) {
				return
			}
		}
	}
}

// pull pulls all streams of all shops, and resolves.
func (r *rig) pull(lose func(stream string, e *events.Event) bool) {
	r.t.Helper()
	for _, shop := range r.shops {
		for _, stream := range shop.Connector.Spec().Streams {
			p := pull.Puller{
				Connector: withholding{shop.Connector, lose}, Platform: shop.Platform, Shop: shop.Name, Stream: stream.Name,
				Publisher: r.publisher, Topics: r.topics, Keys: r.keys, Log: slog.New(slog.DiscardHandler),
			}
			if sum, err := p.Once(r.t.Context()); err != nil || sum.DeadLetters > 0 {
				r.t.Fatalf("%s/%s: %+v, %v", shop.Platform, stream.Name, sum, err)
			}
		}
	}
	if err := r.settle(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// run reconciles all days of the world.
func (r *rig) run(what func(context.Context, []Shop, time.Time, time.Time) (Report, error)) Report {
	r.t.Helper()
	report, err := what(r.t.Context(), r.shops, r.world.Config().From, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

func (r *rig) exec(statement string) {
	r.t.Helper()
	statement = strings.ReplaceAll(statement, "DB.", r.clickhouse.Database()+".")
	if err := r.clickhouse.Exec(r.t.Context(), "spoil", statement, clickhouse.Setting{Name: "mutations_sync", Value: 1}); err != nil {
		r.t.Fatal(err)
	}
}

// ids asks for ids, sorted.
func (r *rig) ids(query string) []string {
	r.t.Helper()
	var rows []struct {
		ID string `ch:"id"`
	}
	if err := r.clickhouse.Select(r.t.Context(), "ask", &rows, strings.ReplaceAll(query, "DB.", r.clickhouse.Database()+".")); err != nil {
		r.t.Fatal(err)
	}
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	slices.Sort(ids)
	return ids
}

// sums are the entities of each side by platform and kind.
func sums(report Report) map[string][3]tables.Count {
	out := make(map[string][3]tables.Count)
	for _, day := range report.Days {
		sum := out[day.Platform+" "+day.Kind]
		for i, side := range []tables.Count{day.Source, day.Kafka, day.ClickHouse} {
			sum[i].Count += side.Count
			sum[i].Minor += side.Minor
		}
		out[day.Platform+" "+day.Kind] = sum
	}
	return out
}

// named are the ids that a report names for a reason.
func named(report Report, of func(tables.ReconciledDay) []string) []string {
	var ids []string
	for _, day := range report.Days {
		ids = append(ids, of(day)...)
	}
	slices.Sort(ids)
	return ids
}

func missingSource(d tables.ReconciledDay) []string     { return d.MissingSource }
func missingKafka(d tables.ReconciledDay) []string      { return d.MissingKafka }
func missingClickHouse(d tables.ReconciledDay) []string { return d.MissingClickHouse }
func otherAmount(d tables.ReconciledDay) []string       { return d.OtherAmount }

func (r *rig) wantNamed(report Report, what string, of func(tables.ReconciledDay) []string, want []string) {
	r.t.Helper()
	if d := cmp.Diff(want, named(report, of)); d != "" {
		r.t.Errorf("named as %s:\n%s", what, d)
	}
}

// All that the platforms have is equal on all three sides, however often it
// came: the numbers are the world's own.
func TestEqual(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	all := func(string, *events.Event) bool { return false }
	r.pull(all)
	// What a file alone has brought is not the platform's to list.
	var messages []kafka.Message
	for no := range 3 {
		wire, err := r.topics.Encode(&events.Event{
			Header: &events.Header{
				Platform: "tmall", Shop: r.shops[1].Name, EntityId: "from-file-" + strconv.Itoa(no), Account: "a", Stream: "orders", Raw: []byte("x"),
				Version: &events.Version{ModifiedMs: time.Now().Add(-48 * time.Hour).UnixMilli(), Source: events.Source_SOURCE_FILE},
			},
			Body: &events.Event_Order{Order: &events.Order{Currency: "CNY", PaidMinor: 100, CreatedMs: time.Now().Add(-48 * time.Hour).UnixMilli()}},
		}, r.keys)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, kafka.MessageOf(wire))
	}
	// Nor is what it has deleted, and said so.
	wire, err := r.topics.Encode(&events.Event{
		Header: &events.Header{
			Platform: "tmall", Shop: r.shops[1].Name, EntityId: "deleted", Account: "a", Stream: "orders", Raw: []byte("x"), Deleted: true,
			Version: &events.Version{ModifiedMs: time.Now().Add(-48 * time.Hour).UnixMilli(), Source: events.Source_SOURCE_API},
		},
		Body: &events.Event_Order{Order: &events.Order{Currency: "CNY", PaidMinor: 100, CreatedMs: time.Now().Add(-48 * time.Hour).UnixMilli()}},
	}, r.keys)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.publisher.Publish(t.Context(), append(messages, kafka.MessageOf(wire))); err != nil {
		t.Fatal(err)
	}
	first := r.run(r.reconciler.Run)
	if first.Different != 0 || first.Moving != 0 {
		t.Errorf("%d differ, %d move: %+v", first.Different, first.Moving, first.Days)
	}
	counts := r.world.Counts()
	for platform, count := range counts {
		for kind, want := range map[string]int{"order": count.Orders, "refund": count.Refunds, "user": count.Users} {
			sum := sums(first)[platform+" "+kind]
			if sum[0] != sum[1] || sum[1] != sum[2] || sum[0].Count != uint64(want) {
				t.Errorf("%s %s: source, Kafka and ClickHouse have %v, the world has %d", platform, kind, sum, want)
			}
			if kind == "order" && sum[0].Minor == 0 {
				t.Errorf("%s: the orders' amounts add up to nothing", platform)
			}
		}
	}
	r.pull(all) // all of it comes again
	second := r.run(r.reconciler.Run)
	if d := cmp.Diff(sums(first), sums(second)); d != "" {
		t.Errorf("after all of it came twice:\n%s", d)
	}
	if r.log != (warnings{}) {
		t.Errorf("it warns of nothing: %+v", r.log)
	}
	// It is kept, and nothing of what was compared is.
	if got := r.ids("SELECT toString(count()) AS id FROM DB.reconciliation_entities"); got[0] != "0" {
		t.Errorf("%s rows of runs are left", got[0])
	}
	var kept []struct {
		Count uint64 `ch:"n"`
		Days  uint64 `ch:"days"`
	}
	query := "SELECT sum(clickhouse_count) AS n, count() AS days FROM " + r.clickhouse.Database() + ".reconciliation_days WHERE state = 'equal'"
	if err := r.clickhouse.Select(t.Context(), "ask", &kept, query); err != nil {
		t.Fatal(err)
	}
	var want uint64
	for _, sum := range sums(second) {
		want += sum[2].Count
	}
	if kept[0].Count != want || kept[0].Days != uint64(len(second.Days)) {
		t.Errorf("the view has %d entities on %d days, want %d on %d", kept[0].Count, kept[0].Days, want, len(second.Days))
	}
}

// Whatever a side loses is named, warned of once, and mended by a repair.
func TestDifferencesAreNamedAndMended(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var lost []string
	r.pull(func(stream string, e *events.Event) bool {
		id := e.GetHeader().GetEntityId()
		lose := e.GetHeader().GetPlatform() == "douyin" && events.KindOf(e) == events.KindOrder && crc32.ChecksumIEEE([]byte(id))%10 == 0
		if lose && !slices.Contains(lost, id) {
			lost = append(lost, id)
		}
		return lose
	})
	slices.Sort(lost)
	if len(lost) == 0 {
		t.Fatal("nothing was withheld: this proves nothing")
	}
	deleted := r.ids("SELECT order_id AS id FROM DB.orders FINAL WHERE platform = 'tmall' ORDER BY id LIMIT 5")
	raw := r.ids("SELECT refund_id AS id FROM DB.refunds FINAL WHERE platform = 'weidian' ORDER BY id LIMIT 2")
	changed := r.ids("SELECT order_id AS id FROM DB.orders FINAL WHERE platform = 'weidian' AND paid_minor > 0 ORDER BY id LIMIT 1")
	reread := r.ids("SELECT order_id AS id FROM DB.orders FINAL WHERE platform = 'tmall' AND paid_minor > 0 AND order_id NOT IN (SELECT order_id FROM DB.orders FINAL WHERE platform = 'tmall' ORDER BY order_id LIMIT 5) ORDER BY id LIMIT 1")
	users := r.ids("SELECT user_id AS id FROM DB.users FINAL WHERE platform = 'weidian' ORDER BY id LIMIT 3")
	quoted := func(ids []string) string { return "('" + strings.Join(ids, "', '") + "')" }
	r.exec("ALTER TABLE DB.orders DELETE WHERE order_id IN " + quoted(deleted))
	r.exec("ALTER TABLE DB.raw_events DELETE WHERE kind = 'refund' AND entity_id IN " + quoted(raw))
	r.exec("ALTER TABLE DB.orders UPDATE paid_minor = paid_minor + 1 WHERE order_id IN " + quoted(changed))
	// Both what was read from Kafka and the fact are of another amount than the platform's.
	r.exec("ALTER TABLE DB.raw_events UPDATE minor = 1 WHERE kind = 'order' AND entity_id IN " + quoted(reread))
	r.exec("ALTER TABLE DB.orders UPDATE paid_minor = 1 WHERE order_id IN " + quoted(reread))
	r.exec("ALTER TABLE DB.users DELETE WHERE user_id IN " + quoted(users))

	report := r.run(r.reconciler.Run)
	r.wantNamed(report, "missing at the source", missingSource, nil)
	r.wantNamed(report, "missing in Kafka", missingKafka, sorted(lost, raw))
	r.wantNamed(report, "missing in ClickHouse", missingClickHouse, sorted(lost, deleted, users))
	r.wantNamed(report, "of other amounts", otherAmount, sorted(changed, reread))
	if want := uint64(len(lost) + len(raw) + len(deleted) + len(users) + len(changed) + len(reread)); report.Different != want || report.Moving != 0 {
		t.Errorf("%d differ, want %d", report.Different, want)
	}
	if r.metric["douyin/orders"] != uint64(len(lost)) || r.metric["tmall/orders"] != 6 || r.metric["weidian/users"] != 3 || r.metric["douyin/users"] != 0 {
		t.Errorf("the metric says %v", r.metric)
	}
	if r.log.differ != 5 || r.log.equal != 0 { // orders of three shops, tickets, users
		t.Errorf("it warns %+v, want once for each stream that differs", r.log)
	}
	again := r.run(r.reconciler.Run)
	if again.Different != report.Different || r.log.differ != 5 {
		t.Errorf("run again it finds %d and warns %+v; want the same, and nothing said again", again.Different, r.log)
	}
	mended := r.run(r.reconciler.Repair)
	if mended.Different != 0 || mended.Repaired < int(report.Different) {
		t.Errorf("after the repair of %d events %d differ: %+v", mended.Repaired, mended.Different, named(mended, missingClickHouse))
	}
	// A record is of an order or of a refund with its ticket: hardly more than
	// what differed is published.
	if mended.Repaired > 3*int(report.Different) {
		t.Errorf("%d events were published for %d that differ", mended.Repaired, report.Different)
	}
	if r.log.differ != 5 || r.log.equal != 5 {
		t.Errorf("after the repair it has warned %+v", r.log)
	}
	if r.metric["douyin/orders"] != 0 {
		t.Errorf("the metric says %v", r.metric)
	}
	// With nothing to repair, nothing is published.
	if idle := r.run(r.reconciler.Repair); idle.Repaired != 0 || idle.Different != 0 {
		t.Errorf("a repair of nothing publishes %d events", idle.Repaired)
	}
	// A day of its own: what is outside does not count.
	r.exec("ALTER TABLE DB.orders DELETE WHERE order_id IN " + quoted(deleted))
	var day []struct {
		At time.Time `ch:"created_at"`
	}
	if err := r.clickhouse.Select(t.Context(), "ask", &day, "SELECT max(created_at) AS created_at FROM "+r.clickhouse.Database()+".raw_events WHERE kind = 'order' AND entity_id IN "+quoted(deleted[:1])); err != nil {
		t.Fatal(err)
	}
	one, err := r.reconciler.Run(t.Context(), r.shops, day[0].At, day[0].At)
	if err != nil || !slices.Contains(named(one, missingClickHouse), deleted[0]) || one.From != one.To {
		t.Errorf("the day of %s names %v, %v", deleted[0], named(one, missingClickHouse), err)
	}
	for _, d := range one.Days {
		if d.Day != "" && d.Day != one.From {
			t.Errorf("asked for %s, it has %s", one.From, d.Day)
		}
	}
	// That another day has no difference does not make that one equal.
	if other, err := r.reconciler.Run(t.Context(), r.shops, time.Now(), time.Now()); err != nil || other.Different != 0 || r.log.equal != 5 {
		t.Errorf("today %d differ (%v), and it has warned %+v", other.Different, err, r.log)
	}
	// What was warned of is not warned of again, whichever days were compared since:
	// by all days, by one that differs, by one that does not.
	r.exec("ALTER TABLE DB.users DELETE WHERE user_id IN " + quoted(users))
	all := r.run(r.reconciler.Run)
	if all.Different != uint64(len(deleted)+len(users)) {
		t.Errorf("of all days %d differ", all.Different)
	}
	for _, at := range []time.Time{day[0].At, time.Now()} {
		if _, err := r.reconciler.Run(t.Context(), r.shops, at, at); err != nil {
			t.Fatal(err)
		}
	}
	warned := r.log
	// A process that begins now knows what stands.
	metric := r.metric
	clear(metric)
	if err := r.reconciler.Standing(t.Context(), r.shops, r.world.Config().From, time.Now()); err != nil {
		t.Fatal(err)
	}
	if metric["tmall/orders"] != uint64(len(deleted)) || metric["weidian/users"] != uint64(len(users)) {
		t.Errorf("at a start the metric says %v", metric)
	}
	if _, there := metric["douyin/users"]; !there {
		t.Error("a stream that is equal is not there at a start")
	}
	if again := r.run(r.reconciler.Run); again.Different != all.Different || r.log != warned {
		t.Errorf("then %d differ, and it has warned %+v, before %+v", again.Different, r.log, warned)
	}
	// What is gone from all sides differs no more, and is said to be equal once.
	r.exec("ALTER TABLE DB.raw_events DELETE WHERE kind = 'order'")
	r.exec("ALTER TABLE DB.orders DELETE WHERE 1")
	shops := r.shops
	r.shops = nil
	for _, shop := range shops {
		lists := withholding{shop.Connector, func(_ string, e *events.Event) bool { return events.KindOf(e) == events.KindOrder }}
		r.shops = append(r.shops, Shop{shop.Platform, shop.Name, struct {
			withholding
			connectors.Seeker
		}{lists, shop.Connector.(connectors.Seeker)}})
	}
	r.run(r.reconciler.Run)
	warned.equal++
	for range 2 {
		if r.run(r.reconciler.Run); r.log != warned {
			t.Errorf("with no orders it has warned %+v, want %+v", r.log, warned)
		}
	}
}

// What was changed within minutes may be under way: it is told apart.
// What counts as found before are the days that a run could still compare, and of what
// has no day a run at its time, however long ago, and none of old days by hand.
func TestWhatStands(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	zone, err := time.LoadLocation(r.clickhouse.Timezone())
	if err != nil {
		t.Fatal(err)
	}
	today := midnight(time.Now(), zone, 0)
	day := func(ago int) string { return today.AddDate(0, 0, -ago).Format(time.DateOnly) }
	block := tables.NewReconciliation()
	found := func(ran, day, kind string, different uint64) {
		at, err := time.ParseInLocation(time.DateOnly, ran, zone)
		if err != nil {
			t.Fatal(err)
		}
		block.Append(at.Add(12*time.Hour), tables.ReconciledDay{Platform: "tmall", Shop: "s", Stream: "users", Kind: kind, Day: day, Different: different})
	}
	// Of one day each: the last run at its time, and later one by hand of old days.
	found(day(10), day(10), "", 0)
	found(day(10), "", "user", 3)
	found(day(5), day(40), "", 0)
	found(day(5), day(40), "user", 50)
	found(day(5), "", "user", 700)
	if err := r.clickhouse.Insert(t.Context(), block, "stands"); err != nil {
		t.Fatal(err)
	}
	standing := func(reach time.Time, days int) map[string]uint64 {
		t.Helper()
		noted := make(map[string]uint64)
		c := Reconciler{ClickHouse: r.clickhouse, Note: func(_, _, stream string, different uint64) { noted[stream] = different }}
		if err := c.Standing(t.Context(), []Shop{{"tmall", "s", reaching{reach: reach}}}, today.AddDate(0, 0, 1-days), today); err != nil {
			t.Fatal(err)
		}
		return noted
	}
	if got := standing(time.Time{}, 1); got["users"] != 3 {
		t.Errorf("of today it says %v, want the 3 of the run before", got)
	}
	if got := standing(time.Time{}, 60); got["users"] != 50 {
		t.Errorf("of 60 days it says %v, want 50", got)
	}
	if got := standing(today.AddDate(0, 0, -20), 60); got["users"] != 0 {
		t.Errorf("of 60 days, of which the platform lists 20, it says %v", got)
	}
}

// reaching lists nothing of before a moment.
type reaching struct {
	connectors.Connector
	reach time.Time
}

// Since implements connectors.Seeker.
func (c reaching) Since(moment time.Time) (connectors.Cursor, time.Time) {
	if c.reach.After(moment) {
		moment = c.reach
	}
	return "", moment
}

func TestWhatMovesIsNoDifference(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.pull(func(string, *events.Event) bool { return false })
	order := r.ids("SELECT order_id AS id FROM DB.orders FINAL WHERE platform = 'tmall' ORDER BY id LIMIT 1")
	if len(order) == 0 {
		t.Fatal("no order to change")
	}
	r.exec("ALTER TABLE DB.orders DELETE WHERE order_id = '" + order[0] + "'")
	r.reconciler.Grace = 200 * 24 * time.Hour
	report := r.run(r.reconciler.Run)
	if report.Different != 0 || report.Moving != 1 || r.log.differ != 0 {
		t.Errorf("%d differ, %d move, warned %+v; want one that moves", report.Different, report.Moving, r.log)
	}
}

func sorted(lists ...[]string) []string {
	out := slices.Concat(lists...)
	slices.Sort(out)
	return out
}
