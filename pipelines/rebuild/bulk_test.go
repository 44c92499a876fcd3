package rebuild

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/normalize"
	"oneid/internal/clickhouse"
	"oneid/internal/keyring"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// judge is a model of any worths: what is rare is as a hash says.
type judge struct {
	identity.Scorer // whose blocks it has
	worths          identity.Worths
}

func (j *judge) Worths() *identity.Worths { return &j.worths }

func (j *judge) Compare(a, b identity.Appearance) (levels identity.Levels, rare float64) {
	for i, field := range [...][2]string{{a.Name, b.Name}, {a.Phone, b.Phone}, {a.City, b.City}} {
		level := identity.Levels(3)
		switch {
		case field[0] == "" || field[1] == "":
			level = 0
		case field[0] == field[1]:
			level = 1
			hash := fnv.New32a()
			_, _ = hash.Write([]byte(field[0])) // it takes all
			rare += float64(float32(hash.Sum32()%1000)/300 - 1.5)
		case field[0][len(field[0])-1] == field[1][len(field[1])-1]:
			level = 2
		}
		levels |= level << (4 * i)
	}
	return levels, rare
}

func (j *judge) Weigh(a, b identity.Appearance) float32 { return j.worths.Weight(j.Compare(a, b)) }

// anyJudge is a judge with neighbours.
func anyJudge(r *rand.Rand) *judge {
	j := &judge{Scorer: flowtest.Models["plain"]}
	for range 1 + r.IntN(4) {
		j.worths.Shares = append(j.worths.Shares, -r.Float64()*6)
	}
	for _, name := range []string{"name", "phone", "city"} {
		f := identity.FieldWorth{Name: name, Levels: []string{"equal", "ends alike", "else"}}
		for class := range j.worths.Shares {
			good := 6.0
			if class > 0 {
				good = 3
			}
			f.Bits = append(f.Bits, []float64{0, r.Float64() * good, r.Float64() * 3, -r.Float64() * 2})
		}
		j.worths.Fields = append(j.worths.Fields, f)
	}
	return j
}

// anyRules are rules of any kind.
func anyRules(t testing.TB, r *rand.Rand) *identity.Rules {
	t.Helper()
	some := func(most int) int { return r.IntN(2) * (1 + r.IntN(most)) } // half of them have no bound
	text := fmt.Sprintf("largest_customer: %d\ntypes:\n", 2+r.IntN(30))
	for i, typ := range []string{"phone", "unionid", "email", "member_card", "openid", "tmall_open_uid", "tmall_omid", "weidian_buyer_id"} {
		if i > 0 && r.IntN(4) == 0 {
			continue
		}
		var join []string
		for _, role := range []string{"member", "buyer", "receiver"} {
			if r.IntN(2) == 0 {
				join = append(join, fmt.Sprintf("%s: %d", role, 60+r.IntN(3)*10))
			}
		}
		if join == nil {
			join = []string{"member: 90"}
		}
		text += fmt.Sprintf("  %s: {priority: %d, join: {%s}, accounts: %d, values: %d, per_shop: %d, gap_days: %d, reissue_days: %d, exclusive: %d}\n",
			typ, 1+r.IntN(3), strings.Join(join, ", "), some(6), some(3), some(2), some(300), some(100), some(2)*r.IntN(2))
	}
	if r.IntN(5) > 0 {
		review := 0.5 + r.Float64()*4
		text += fmt.Sprintf("model: {use: judge, accept: %.3f, review: %.3f, least_days: %d, by_far: %d, block: %d, strength: %d, per_shop: %d}\n",
			review+r.Float64()*4, review, some(60), some(3), some(9), 1+r.IntN(50), some(2))
	}
	rules, err := identity.ParseRules([]byte(text))
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return rules
}

// wantModelled wants the pairs of each weight to be those that the rules' own
// functions find over the same rows.
func wantModelled(t testing.TB, f *flowtest.Flow, rules *identity.Rules, got Bulk) {
	t.Helper()
	known := map[identity.Hash]identity.Appearance{}
	if err := rebuildOf(f).appearances(t.Context(), func(h identity.Hash, a identity.Appearance) { known[h] = a }); err != nil {
		t.Fatal(err)
	}
	number := map[identity.Account]int{}
	var bearers []identity.Bearer
	err := f.ClickHouse.Rows(t.Context(), "read who was seen with what", "SELECT platform, shop, account, hash, toInt64(toUnixTimestamp(min(first_seen))), toInt64(toUnixTimestamp(max(last_seen))) FROM "+
		rebuildOf(f).table("evidence")+" WHERE type = 'appearance' GROUP BY platform, shop, account, hash ORDER BY platform, shop, account", func(scan func(...any) error) error {
		var a identity.Account
		var hash string
		var first, last int64
		if err := scan(&a.Platform, &a.Shop, &a.ID, &hash, &first, &last); err != nil {
			return err
		}
		if _, ok := number[a]; !ok {
			number[a] = len(number)
		}
		bearers = append(bearers, identity.Bearer{Account: number[a], Hash: identity.Hash([]byte(hash)), First: first, Last: last})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	lowest := *rules.Model
	lowest.Review = math.SmallestNonzeroFloat32
	pairs, _ := lowest.Resemblances(f.Models["judge"], bearers, known)
	weights := map[int]int{}
	var want Bulk
	for _, p := range pairs {
		if !p.Asks {
			weights[int(min(p.Weight, mostWeight))]++
		}
		switch {
		case rules.Model.Joins(p):
			want.Pairs++
		case p.Weight >= rules.Model.Review:
			want.Asked++
		}
	}
	for bits := range mostWeight + 1 {
		if n := weights[bits]; n > 0 {
			want.Weights = append(want.Weights, Weight{bits, n})
		}
	}
	if got.Pairs != want.Pairs || got.Asked != want.Asked || !slices.Equal(got.Weights, want.Weights) {
		t.Errorf("as SQL the model joins %d pairs and asks about %d, of the weights %v; want %d, %d and %v", got.Pairs, got.Asked, got.Weights, want.Pairs, want.Asked, want.Weights)
	}
}

// Whatever the rules are, whatever the model holds things to be worth, however much
// people have said, and whoever was erased, ClickHouse finds the customers and the
// pairs that this program finds.
func TestBulkByAnyRules(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 77))
	f := flowtest.New(t)
	keeping, err := identity.ParseRules(append(identity.DefaultRulesYAML(), "\nmodel: {use: plain, accept: 1000, review: 1000, strength: 1}\n"...))
	if err != nil {
		t.Fatal(err)
	}
	f.Rules = keeping
	f.Publish(t, append(population(t, f, r), messages(t, f, r, 0)...)...)
	resolver, present := f.Resolver(t, f.State(t), nil)
	resolver.BatchEvents = 1000
	if err := flowtest.Run(t, resolver); err != nil {
		t.Fatal(err)
	}
	var accounts []string
	for c := range present.Customers {
		for _, a := range c.Accounts {
			accounts = append(accounts, a.String())
		}
	}
	slices.Sort(accounts)
	contested, joined, asked, inert := 0, 0, 0, 0
	for i := range 10 {
		switch i {
		case 4: // far more than a statement's text has room for
			said := tables.NewDecisions()
			for n := range 4000 {
				d := &events.Decision{DecisionId: fmt.Sprint("many-", n), Kind: events.DecisionKind_DECISION_KIND_DIFFERENT, DecidedMs: int64(n),
					Accounts: []string{accounts[r.IntN(len(accounts))], accounts[r.IntN(len(accounts))]}}
				switch r.IntN(40) {
				case 0:
					d.Kind = events.DecisionKind_DECISION_KIND_SAME
				case 1:
					d.Kind, d.Accounts, d.Undoes = events.DecisionKind_DECISION_KIND_UNDO, nil, fmt.Sprint("many-", r.IntN(n+1))
				case 2:
					d.Accounts[1] = "tmall/s1/nobody"
				}
				said.Append(d, uint64(n))
			}
			if err := f.ClickHouse.Insert(t.Context(), said, "many decisions"); err != nil {
				t.Fatal(err)
			}
		case 7: // every other receiver is erased
			if err := f.Database.Exec(t.Context(), "ALTER TABLE identifier_values DELETE WHERE type = 'appearance' AND cityHash64(hash) % 2 = 0 SETTINGS mutations_sync = 1"); err != nil {
				t.Fatal(err)
			}
		}
		rules := anyRules(t, r)
		f.Models["judge"] = anyJudge(r)
		bulk, err := rebuildOf(f).Bulk(t.Context(), rules)
		if err != nil {
			t.Fatal(err)
		}
		again, err := rebuildOf(f).Again(t.Context(), rules)
		if err != nil {
			t.Fatal(err)
		}
		if bulk.Checksum != again.Checksum || bulk.Customers != again.Customers || bulk.Differences != again.Differences {
			text, _ := rules.MarshalText()
			t.Errorf("rules %d: in bulk %+v, in memory %+v, by\n%s", i, bulk, again, text)
		}
		contested, joined, asked = contested+bulk.Contested, joined+bulk.Pairs, asked+bulk.Asked
		if rules.Model != nil {
			wantModelled(t, f, rules, bulk)
			if rules.Model.Block > 0 {
				inert++
			}
		}
	}
	if contested == 0 || joined == 0 || asked == 0 || inert == 0 {
		t.Errorf("%d components contested, %d pairs joined, %d asked about, %d models with inert keys: the test shows less than it says", contested, joined, asked, inert)
	}
}

// What a run keeps is each account with the customer that this program finds for it,
// by any rules, beside the one that it has; its counts are the plan's. Nothing else
// changes by it, and a run that was ended leaves what the one before has kept.
func TestBulkKeepsWhatItFound(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 5))
	f := flowtest.New(t)
	f.Publish(t, append(population(t, f, r), messages(t, f, r, 0)...)...)
	resolver, present := f.Resolver(t, f.State(t), nil)
	resolver.BatchEvents = 1000
	if err := flowtest.Run(t, resolver); err != nil {
		t.Fatal(err)
	}
	place := func(e *engine.Engine) map[string]string {
		out := map[string]string{}
		for c := range e.Customers {
			for _, a := range c.Accounts {
				out[a.String()] = c.ID.String()
			}
		}
		return out
	}
	kept := func() (found, was map[string]string) {
		t.Helper()
		found, was = map[string]string{}, map[string]string{}
		err := f.ClickHouse.Rows(t.Context(), "read what was kept", "SELECT concat(platform, '/', shop, '/', account), toString(customer_id), ifNull(toString(present_customer_id), '') FROM "+f.ClickHouse.Database()+"."+ResolvedTable, func(scan func(...any) error) error {
			var account, customer, before string
			if err := scan(&account, &customer, &before); err != nil {
				return err
			}
			found[account], was[account] = customer, before
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return found, was
	}
	keeper := rebuildOf(f)
	keeper.KeepResolved = true
	shifted := 0
	for i := range 5 {
		rules := anyRules(t, r)
		f.Models["judge"] = anyJudge(r)
		plan, err := rebuildOf(f).Plan(t.Context(), rules, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := keeper.Bulk(t.Context(), rules)
		if err != nil {
			t.Fatal(err)
		}
		want := Shifts{Redirected: plan.Redirected, JoinedFrom: plan.JoinedFrom, JoinedTo: plan.JoinedTo, SplitFrom: plan.SplitFrom, SplitTo: plan.SplitTo}
		if got.Shifts == nil || *got.Shifts != want {
			t.Errorf("rules %d: kept %+v, planned %+v", i, got.Shifts, want)
		}
		shifted += want.JoinedFrom + want.SplitFrom
		e, sequence, err := rebuildOf(f).inMemory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Apply(sequence+1, nil, []identity.Decision{adoption(rules)}); err != nil {
			t.Fatal(err)
		}
		found, was := kept()
		if d := cmp.Diff(place(e), found); d != "" {
			t.Errorf("rules %d: not the customers of the engine that adopts them (-want +got):\n%s", i, d)
		}
		if d := cmp.Diff(place(present), was); d != "" {
			t.Errorf("rules %d: not the customers that there are (-want +got):\n%s", i, d)
		}
	}
	if shifted == 0 {
		t.Error("no rules shift anything: the test shows less than it says")
	}
	before, _ := kept()
	ctx, cancel := context.WithCancel(t.Context())
	keeper.Progress = func(what string, _ int) {
		if what == "keep" {
			cancel()
		}
	}
	if _, err := keeper.Bulk(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("ended while it keeps: %v", err)
	}
	if after, _ := kept(); !maps.Equal(before, after) {
		t.Error("a run that was ended has changed what the one before has kept")
	}
	if left, err := f.Database.Query(t.Context(), "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE 'bulk_%'"); err != nil || left != "0\n" {
		t.Errorf("%s tables are left (%v)", left, err)
	}
}

// A key without a bound, under which more pairs meet than one insert takes.
func TestBulkOfAWarehouse(t *testing.T) {
	t.Parallel()
	f := flowtest.New(t)
	rules, err := identity.ParseRules([]byte("largest_customer: 100000\ntypes:\n  phone: {priority: 1, join: {member: 90}}\nmodel: {use: plain, accept: 8, review: 4, strength: 9}\n"))
	if err != nil {
		t.Fatal(err)
	}
	const n = 1500
	history, evidence, values := tables.NewIdentityHistory(), tables.NewEvidence(), tables.NewIdentifierValues()
	for i := range n {
		of := tables.Account{Platform: "tmall", Shop: "s1", ID: fmt.Sprint(i)}
		hash := [16]byte{byte(i >> 8), byte(i)}
		history.Append(of, [16]byte{}, identity.Account{Platform: of.Platform, Shop: of.Shop, ID: of.ID}.BirthID(), time.UnixMilli(0), "born", 1<<40|1)
		evidence.Append(of, string(identity.AppearanceType), hash, "receiver", "test", 1_700_000_000, 1_700_000_000)
		sealed := f.Keys.Seal(nil, []byte(normalize.AppearanceValue(identity.Appearance{Name: "仓**", City: "杭州市", Detail: fmt.Sprint(i)})), keyring.IdentifierContext(string(identity.AppearanceType), hash))
		values.Append(string(identity.AppearanceType), hash, sealed)
	}
	for _, block := range []tables.Block{history, evidence, values} {
		if err := f.ClickHouse.Insert(t.Context(), block, "warehouse"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := rebuildOf(f).Bulk(t.Context(), rules)
	if err != nil || got.Accounts != n || got.Customers != 1 || got.Pairs != n*(n-1)/2 || got.Pairs <= clickhouse.MaxBlockRows {
		t.Errorf("%+v (%v), want one customer", got, err)
	}
}

// A component of as many accounts as a customer may have is one, and of one more it is
// looked at by the rules, on ClickHouse as in memory.
func TestBulkOfOneTooMany(t *testing.T) {
	t.Parallel()
	const n = 5
	f := flowtest.New(t)
	history, evidence := tables.NewIdentityHistory(), tables.NewEvidence()
	for i := range n {
		of := tables.Account{Platform: "tmall", Shop: fmt.Sprint(i), ID: "a"}
		history.Append(of, [16]byte{}, identity.Account{Platform: of.Platform, Shop: of.Shop, ID: of.ID}.BirthID(), time.UnixMilli(0), "born", 1<<40|1)
		evidence.Append(of, string(identity.Email), [16]byte{1}, "member", "test", 1_700_000_000, 1_700_000_000)
	}
	for _, block := range []tables.Block{history, evidence} {
		if err := f.ClickHouse.Insert(t.Context(), block, "one too many"); err != nil {
			t.Fatal(err)
		}
	}
	for largest, want := range map[int][2]int{n - 1: {n, 1}, n: {1, 0}, n + 1: {1, 0}} {
		rules, err := identity.ParseRules(fmt.Appendf(nil, "largest_customer: %d\ntypes:\n  email: {priority: 1, join: {member: 90}}\n", largest))
		if err != nil {
			t.Fatal(err)
		}
		got, err := rebuildOf(f).Bulk(t.Context(), rules)
		if err != nil || got.Accounts != n || got.Customers != want[0] || got.Contested != want[1] {
			t.Errorf("at most %d: %d customers and %d contested components of %d accounts (%v), want %v", largest, got.Customers, got.Contested, got.Accounts, err, want)
		}
	}
}

// Of one brand one run is under way; what fails, is ended or was killed leaves
// nothing behind, and the next run finds what it should.
func TestBulkIsAlone(t *testing.T) {
	defer func(was bool) { patientWithTheDead = was }(patientWithTheDead)
	patientWithTheDead = false
	f := flowtest.New(t)
	left := func() string {
		t.Helper()
		names, err := f.Database.Query(t.Context(), "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'bulk%'")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(names)
	}
	if got, err := rebuildOf(f).Bulk(t.Context(), nil); err != nil || got.Accounts != 0 || got.Customers != 0 || got.Differences != 0 {
		t.Errorf("of nobody: %+v (%v)", got, err)
	}
	f.Publish(t, population(t, f, rand.New(rand.NewPCG(1, 1)))...)
	resolver, present := f.Resolver(t, f.State(t), nil)
	resolver.BatchEvents = 1000
	if err := flowtest.Run(t, resolver); err != nil {
		t.Fatal(err)
	}
	// A run that was killed left the first of these, and somebody made the other.
	for _, table := range []string{"bulk_0123456789abcdef0123456789abcdef_members", "bulk_orders"} {
		if err := f.Database.Exec(t.Context(), "CREATE TABLE "+table+" (n UInt32) ENGINE = MergeTree ORDER BY n"); err != nil {
			t.Fatal(err)
		}
	}
	during := func(step string, do func()) *Rebuild {
		r := rebuildOf(f)
		r.Progress = func(what string, _ int) {
			if what == step {
				do()
			}
		}
		return r
	}
	begun := 0
	got, err := during("find what is contested", func() {
		if begun++; strings.Contains(left(), "0123456789abcdef") {
			t.Error("what a killed run has left is there while the next one works")
		}
		var running *BulkRunsError
		if _, err := rebuildOf(f).Bulk(t.Context(), nil); !errors.As(err, &running) {
			t.Errorf("a second run at the same time: %v", err)
		}
	}).Bulk(t.Context(), nil)
	customers := 0
	for range present.Customers {
		customers++
	}
	if err != nil || begun != 1 || got.Differences != 0 || got.Customers != customers {
		t.Errorf("beside a second run: %+v (%v), begun %d times", got, err, begun)
	}
	if names := left(); names != "bulk_orders" {
		t.Errorf("after it there are %q", names)
	}

	ctx, cancel := context.WithCancel(t.Context())
	if _, err := during("rounds", cancel).Bulk(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("ended in the middle: %v", err)
	}
	if names := left(); names != "bulk_orders" {
		t.Errorf("after one that was ended there are %q", names)
	}

	room := bulkSpill[0].Value
	var full *clickhouse.Error
	_, err = during("find what is contested", func() { bulkSpill[0].Value = 1000 }).Bulk(t.Context(), nil)
	bulkSpill[0].Value = room
	if !errors.As(err, &full) || full.Exception != 241 || !strings.Contains(full.Hint(), "memory") {
		t.Errorf("with no memory left: %v", err)
	}
	if names := left(); names != "bulk_orders" {
		t.Errorf("after one that had no memory there are %q", names)
	}
	if again, err := rebuildOf(f).Bulk(t.Context(), nil); err != nil || again.Checksum != got.Checksum {
		t.Errorf("after all of it: %+v (%v), want %s", again, err, got.Checksum)
	}

	// Whom a resolver that was superseded has told of is nobody.
	log := f.Client.Log(f.Topics.Journal, 0)
	defer log.Close()
	for _, record := range []*events.JournalRecord{{Epoch: 1000}, {Epoch: 999, Ranges: []*events.Range{{Topic: f.Topics.Users, First: 1 << 20, Last: 1 << 20}}}} {
		value, err := proto.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(t.Context(), value, nil); err != nil {
			t.Fatal(err)
		}
	}
	journal, err := readJournal(t.Context(), f.Client, f.Topics.Journal)
	if err != nil || len(journal.void) != 1 {
		t.Fatalf("%d records count for nothing (%v)", len(journal.void), err)
	}
	ghost := tables.NewIdentityHistory()
	ghost.Append(tables.Account{Platform: "tmall", Shop: "s1", ID: "ghost"}, [16]byte{}, [16]byte{1}, time.UnixMilli(0), "born", journal.void[0])
	if err := f.ClickHouse.Insert(t.Context(), ghost, "ghost"); err != nil {
		t.Fatal(err)
	}
	if again, err := rebuildOf(f).Bulk(t.Context(), nil); err != nil || again.Accounts != got.Accounts || again.Checksum != got.Checksum {
		t.Errorf("with what a superseded resolver has told: %+v (%v), want %s", again, err, got.Checksum)
	}
}
