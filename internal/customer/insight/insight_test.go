package insight

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/internal/customer/past"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/kafka"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

const day = 86_400_000

// seen is a user of a platform, seen with identifiers on a day.
func seen(t *testing.T, f *flowtest.Flow, account string, on int, identifiers ...string) kafka.Message {
	t.Helper()
	a, err := identity.ParseAccount(account)
	if err != nil {
		t.Fatal(err)
	}
	e := flowtest.User(0, "", int64(1_600_000_000_000)+int64(on)*day)
	e.Header.Platform, e.Header.Shop, e.Header.EntityId, e.Header.Account = a.Platform, a.Shop, a.ID, a.ID
	e.Header.Person.Sightings = nil
	for _, id := range identifiers {
		typ, value, _ := strings.Cut(id, ":")
		e.Header.Person.Sightings = append(e.Header.Person.Sightings, &events.Sighting{Type: typ, Value: value, Role: events.Role_ROLE_MEMBER})
	}
	return f.Message(t, e)
}

func said(t *testing.T, f *flowtest.Flow, id string, kind events.DecisionKind, about ...string) kafka.Message {
	t.Helper()
	d := &events.Decision{DecisionId: id, Kind: kind, DecidedMs: time.Now().UnixMilli()}
	if kind == events.DecisionKind_DECISION_KIND_UNDO {
		d.Undoes = about[0]
	} else {
		d.Accounts = about
	}
	value, err := proto.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return kafka.Message{Topic: f.Topics.Decisions, Key: []byte(id), Value: value}
}

// What was put into a flow is what the report finds, each reason once; and
// the past tells who was who before people decided.
func TestReportFindsWhatWasPutIn(t *testing.T) {
	f := flowtest.New(t)
	settle := settler(t, f)
	var first []kafka.Message
	for i := range 5 { // five persons on two platforms each
		phone := fmt.Sprintf("phone:139000010%02d", i)
		first = append(first, seen(t, f, fmt.Sprintf("tmall/s/p%d", i), 10, phone), seen(t, f, fmt.Sprintf("douyin/s/p%d", i), 10, phone))
	}
	for i := range 9 { // a warehouse's number
		first = append(first, seen(t, f, fmt.Sprintf("weidian/w%d/w", i), 10, "phone:13911111112"))
	}
	first = append(
		first,
		seen(t, f, "tmall/s/before", 10, "phone:13922222223"), seen(t, f, "douyin/s/after", 1000, "phone:13922222223"), // it changed hands
		seen(t, f, "tmall/s/mother", 10, "phone:13933333334"), seen(t, f, "tmall/s/child", 10, "phone:13933333334"), // of one shop
		seen(t, f, "weidian/a/one", 10, "unionid:u1", "phone:13944444445"), seen(t, f, "weidian/b/two", 10, "unionid:u2", "phone:13944444445"),
		seen(t, f, "tmall/c/end", 10, "phone:13955555551"), seen(t, f, "douyin/c/bridge", 10, "phone:13955555551", "email:bo@mail.invalid"),
		seen(t, f, "weidian/c/far", 10, "email:bo@mail.invalid"), seen(t, f, "weidian/d/far", 10, "email:bo@mail.invalid"),
	)
	settle(first...)
	settled := time.Now()
	settle(
		said(t, f, "d1", events.DecisionKind_DECISION_KIND_SAME, "tmall/s/p0", "douyin/s/p0"),
		said(t, f, "d2", events.DecisionKind_DECISION_KIND_DIFFERENT, "tmall/s/p1", "douyin/s/p1"),
		said(t, f, "d3", events.DecisionKind_DECISION_KIND_SAME, "tmall/s/before", "douyin/s/after"),
		said(t, f, "d4", events.DecisionKind_DECISION_KIND_DIFFERENT, "tmall/s/p2", "douyin/s/p3"),
		said(t, f, "d5", events.DecisionKind_DECISION_KIND_DIFFERENT, "tmall/s/p4", "douyin/s/p4"),
		said(t, f, "d6", events.DecisionKind_DECISION_KIND_UNDO, "d5"),
		said(t, f, "d7", events.DecisionKind_DECISION_KIND_SAME, "douyin/s/p3", "tmall/s/p2"), // at the same moment as d4
	)
	got, err := (&Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules}).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bridge := identity.Account{Platform: "douyin", Shop: "c", ID: "bridge"}
	if len(got.Inert) != 1 || !strings.HasPrefix(got.Inert[0].Identifier, "phone(#") || got.Inert[0].Accounts != 9 || got.Inert[0].Allowed != 8 {
		t.Errorf("inert = %+v", got.Inert)
	}
	if len(got.Biggest) != 6 || got.Biggest[0].Accounts != 4 || got.Biggest[0].ByPlatform["weidian"] != 2 {
		t.Errorf("biggest = %+v", got.Biggest)
	}
	want := &Report{
		Taken: got.Taken, Customers: 21, Accounts: 29, Inert: got.Inert, Bearers: []Bearer{}, Biggest: got.Biggest,
		Sizes:     []Size{{1, 1, 15}, {2, 2, 5}, {3, 3, 0}, {4, 4, 1}, {5, 5, 0}, {6, 10, 0}, {11, 20, 0}, {21, 50, 0}, {51, 0, 0}},
		Platforms: []Platform{{"douyin", 7, 6}, {"tmall", 9, 6}, {"weidian", 13, 2}},
		Bridges:   []Bridge{{got.Biggest[0].ID, bridge.String(), []int{2, 1}, false}},
		Identifiers: []Type{
			{Type: "email", Seen: 1, Shared: 1}, {Type: "phone", Seen: 10, Shared: 10, Inert: 1, Parted: 4}, {Type: "unionid", Seen: 2},
		},
		Conflicts: []Conflict{
			{"accounts", "phone", 1, 9}, {"different", "phone", 1, 2}, {"exclusive", "phone", 1, 2}, {"per_shop", "phone", 1, 2},
		},
		ConflictsSeen: 4,
		Decisions:     Decisions{JoinedRightly: 1, JoinedWrongly: 1, Missed: 1, ApartRightly: 1, Sample: got.Decisions.Sample},

		Contradictions: [][]string{{"d4", "d7"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if share, low, high, ok := got.Decisions.Joined().Of(); !ok || share != 0.5 || low < 0.09 || low > 0.1 || high < 0.9 || high > 0.91 {
		t.Errorf("precision of one in two = %v (%v to %v), %t", share, low, high, ok)
	}
	var page bytes.Buffer
	if err := got.WritePage(&page, "a brand & <its> shops", time.UTC); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"a brand &amp; &lt;its&gt; shops", "douyin/c/bridge", "2 + 1", "50.0 %", "one shop knows several persons by it", "<code>d4</code> <code>d7</code>"} {
		if !strings.Contains(page.String(), part) {
			t.Errorf("the page lacks %q:\n%s", part, &page)
		}
	}
	for _, part := range []string{"http", "13911111112", "ZgotmplZ"} {
		if strings.Contains(page.String(), part) {
			t.Errorf("the page holds %q", part)
		}
	}

	// d2 took this one away from its customer.
	parted := identity.Account{Platform: "douyin", Shop: "s", ID: "p1"}
	joined := identity.Account{Platform: "tmall", Shop: "s", ID: "p1"}
	moves, err := past.Of(t.Context(), f.ClickHouse, parted)
	if err != nil {
		t.Fatalf("moves = %+v, %v", moves, err)
	}
	other, err := past.Of(t.Context(), f.ClickHouse, joined)
	if err != nil {
		t.Fatal(err)
	}
	then, okThen := past.On(moves, settled)
	otherThen, _ := past.On(other, settled)
	now, _ := past.On(moves, time.Now().Add(time.Hour))
	otherNow, _ := past.On(other, time.Now().Add(time.Hour))
	if _, born := past.On(moves, moves[0].At); !okThen || born || then.To != otherThen.To || now.To == otherNow.To || now.Why != "split" && otherNow.Why != "split" {
		t.Errorf("then %+v and %+v, now %+v and %+v", then, otherThen, now, otherNow)
	}
	// Of the pair that d3 joined, the younger's id leads to the older's.
	before := identity.Account{Platform: "tmall", Shop: "s", ID: "before"}.BirthID()
	after := identity.Account{Platform: "douyin", Shop: "s", ID: "after"}.BirthID()
	one, err := past.FateOf(t.Context(), f.ClickHouse, before)
	if err != nil {
		t.Fatal(err)
	}
	two, err := past.FateOf(t.Context(), f.ClickHouse, after)
	if err != nil {
		t.Fatal(err)
	}
	if len(one.Accounts) == 0 {
		one, two = two, one
	}
	if len(one.Accounts) != 2 || two.RedirectsTo != one.ID || len(two.Accounts) != 0 || two.Since.Before(settled.Add(-time.Second)) || len(two.Moves) != 2 {
		t.Errorf("the older's fate %+v, the younger's %+v", one, two)
	}
	if _, err := past.FateOf(t.Context(), f.ClickHouse, identity.CustomerID{1}); err == nil {
		t.Error("an id that never was has a fate")
	}
	if _, err := past.Of(t.Context(), f.ClickHouse, identity.Account{Platform: "tmall", Shop: "s", ID: "nobody"}); err == nil {
		t.Error("an account that never was has a past")
	}
}

// bought is a paid order of an account.
func bought(t *testing.T, f *flowtest.Flow, account string, minor int64) kafka.Message {
	t.Helper()
	a, err := identity.ParseAccount(account)
	if err != nil {
		t.Fatal(err)
	}
	e := flowtest.User(0, "", 1_700_000_000_000)
	e.Header.Platform, e.Header.Shop, e.Header.EntityId, e.Header.Account, e.Header.Stream = a.Platform, a.Shop, "o-"+a.ID, a.ID, "orders"
	e.Header.Person.Sightings = nil
	e.Body = &events.Event_Order{Order: &events.Order{
		Status: events.OrderStatus_ORDER_STATUS_FINISHED, CreatedMs: 1_690_000_000_000, PaidMs: 1_690_000_000_000, Currency: "CNY", PaidMinor: minor, PayableMinor: minor,
	}}
	return f.Message(t, e)
}

// settler returns what publishes messages and waits until the views show them.
func settler(t *testing.T, f *flowtest.Flow) func(messages ...kafka.Message) {
	t.Helper()
	store := f.State(t)
	return func(messages ...kafka.Message) {
		t.Helper()
		f.Publish(t, messages...)
		r, _ := f.Resolver(t, store, nil)
		if err := flowtest.Run(t, r); err != nil {
			t.Fatal(err)
		}
		if err := f.ClickHouse.RefreshViews(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// The queue asks each pair once, first where most would be counted for the
// wrong person, and nothing that was answered.
func TestQueueAsksWhatIsWorthMost(t *testing.T) {
	f := flowtest.New(t)
	settle := settler(t, f)
	var all []kafka.Message
	for i := range 12 { // a warehouse's number asks nothing
		all = append(all, seen(t, f, fmt.Sprintf("weidian/w%d/w", i), 10, "phone:13911111112"), bought(t, f, fmt.Sprintf("weidian/w%d/w", i), 1_000_000))
	}
	settle(append(
		all,
		seen(t, f, "tmall/s/joined", 10, "phone:13900001111"), seen(t, f, "douyin/s/joined", 10, "phone:13900001111"), bought(t, f, "tmall/s/joined", 9_000_000), bought(t, f, "douyin/s/joined", 9_000_000),
		// One side alone has bought much.
		seen(t, f, "tmall/s/mother", 10, "phone:13933333334"), seen(t, f, "tmall/s/child", 10, "phone:13933333334"), bought(t, f, "tmall/s/mother", 500_000), bought(t, f, "tmall/s/child", 100),
		// Two things are shared.
		seen(t, f, "weidian/a/one", 10, "unionid:u1", "phone:13944444445", "email:x@mail.invalid"), seen(t, f, "weidian/b/two", 10, "unionid:u2", "phone:13944444445", "email:x@mail.invalid"), bought(t, f, "weidian/a/one", 20_000), bought(t, f, "weidian/b/two", 30_000),
		// A phone that changed hands.
		seen(t, f, "tmall/s/before", 10, "phone:13922222223"), seen(t, f, "douyin/s/after", 1000, "phone:13922222223"), bought(t, f, "tmall/s/before", 40_000), bought(t, f, "douyin/s/after", 40_000),
	)...)
	ask := func(limit int) []Question {
		t.Helper()
		got, err := (&Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules}).Queue(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i].Customers, got[i].value = [2]identity.CustomerID{}, [2]float64{}
		}
		return got
	}
	want := []Question{
		{Accounts: [2]string{"douyin/s/after", "tmall/s/before"}, Paid: [2]string{"400", "400"}, Currency: [2]string{"CNY", "CNY"}, Orders: [2]uint64{1, 1}, Shares: []identity.IdentifierType{"phone"}, Reasons: []string{apart}},
		{Accounts: [2]string{"weidian/a/one", "weidian/b/two"}, Paid: [2]string{"200", "300"}, Currency: [2]string{"CNY", "CNY"}, Orders: [2]uint64{1, 1}, Shares: []identity.IdentifierType{"email", "phone"}, Reasons: []string{"exclusive"}},
		{Accounts: [2]string{"tmall/s/child", "tmall/s/mother"}, Paid: [2]string{"1", "5000"}, Currency: [2]string{"CNY", "CNY"}, Orders: [2]uint64{1, 1}, Shares: []identity.IdentifierType{"phone"}, Reasons: []string{"per_shop"}},
	}
	if diff := cmp.Diff(want, ask(10), cmpopts.IgnoreUnexported(Question{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := ask(1); len(got) != 1 || got[0].Accounts != want[0].Accounts {
		t.Errorf("the first of them is %+v", got)
	}
	settle(
		said(t, f, "d1", events.DecisionKind_DECISION_KIND_DIFFERENT, "tmall/s/before", "douyin/s/after"),
		said(t, f, "d2", events.DecisionKind_DECISION_KIND_SAME, "tmall/s/mother", "tmall/s/child"),
	)
	if diff := cmp.Diff(want[1:2], ask(10), cmpopts.IgnoreUnexported(Question{})); diff != "" {
		t.Errorf("after two answers (-want +got)\n%s", diff)
	}
}

// Who leaves a customer because a unionid joins him to another is told so wherever his
// history is told.
func TestHistoryTellsWhatLedAway(t *testing.T) {
	f := flowtest.New(t)
	settle := settler(t, f)
	for _, m := range []kafka.Message{
		seen(t, f, "tmall/f/x", 10, "unionid:u1", "phone:13911112222"), seen(t, f, "tmall/g/y", 10, "unionid:u2"),
		seen(t, f, "weidian/1/m", 10, "phone:13911112222"), seen(t, f, "weidian/1/m", 20, "unionid:u2"),
	} {
		settle(m)
	}
	want := []string{"merged: phone", "merged: unionid"}
	moves, err := past.Of(t.Context(), f.ClickHouse, identity.Account{Platform: "weidian", Shop: "1", ID: "m"})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range moves {
		told = append(told, m.Why)
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("the history (-want +got)\n%s", diff)
	}
	rows, err := f.Database.Query(t.Context(), "SELECT why FROM account_history WHERE account = 'weidian/1/m' ORDER BY move FORMAT TSV")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(rows), "\n")); diff != "" {
		t.Errorf("account_history (-want +got)\n%s", diff)
	}
	rows, err = f.Database.Query(t.Context(), "SELECT why FROM identity_map_current WHERE account = 'weidian/1/m' FORMAT TSV")
	if err != nil || strings.TrimSpace(rows) != want[1] {
		t.Errorf("identity_map_current says %q (%v)", rows, err)
	}
}

// Of three with one phone a person says that two are two: the third is nobody's, whoever has
// the lower key, and it is asked about with each of them.
func TestQueueAsksWhoseTheThirdIs(t *testing.T) {
	f := flowtest.New(t)
	settle := settler(t, f)
	settle(seen(t, f, "weidian/1/x", 10, "phone:13911112222"), seen(t, f, "weidian/2/x", 10, "phone:13911112222"), seen(t, f, "tmall/f/third", 10, "phone:13911112222"))
	settle(said(t, f, "d1", events.DecisionKind_DECISION_KIND_DIFFERENT, "weidian/1/x", "weidian/2/x"))
	got, err := (&Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules}).Queue(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, q := range got {
		asked = append(asked, fmt.Sprint(q.Accounts, q.Reasons))
	}
	if diff := cmp.Diff([]string{"[tmall/f/third weidian/1/x] [different]", "[tmall/f/third weidian/2/x] [different]"}, asked); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A card that a faulty export wrote beside many accounts joins nobody; two of them, whom one
// shop knows, also share a phone: that is why these are not one, whatever the card would
// say if there were but these two.
func TestQueueKnowsWhyThoughItLooksAtAPart(t *testing.T) {
	f := flowtest.New(t)
	settle := settler(t, f)
	all := []kafka.Message{seen(t, f, "tmall/s/a", 10, "member_card:M1", "phone:13911112222"), seen(t, f, "tmall/s/b", 10, "member_card:M1", "phone:13911112222")}
	for i := range f.Rules.Types[identity.MemberCard].Accounts {
		all = append(all, seen(t, f, fmt.Sprintf("weidian/w%d/x", i), 10, "member_card:M1"))
	}
	settle(all...)
	got, err := (&Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules}).Queue(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Accounts != [2]string{"tmall/s/a", "tmall/s/b"} || !slices.Equal(got[0].Reasons, []string{"per_shop"}) {
		t.Errorf("asked: %+v, want about the two of the shop, for per_shop alone", got)
	}
}

// However much was answered at the top, the queue goes on behind it; and a short
// queue is the beginning of a long one, also where the pair that makes an
// identifier worth most was answered.
func TestQueueGoesOnBehindWhatWasAnswered(t *testing.T) {
	f := flowtest.New(t)
	settle := settler(t, f)
	var all, answers []kafka.Message
	pair := func(no int, minor int64) (string, string) {
		a, b := fmt.Sprintf("tmall/s/%d", no), fmt.Sprintf("douyin/s/%d", no)
		phone := fmt.Sprintf("phone:139000%05d", no)
		all = append(all, seen(t, f, a, 10, phone), seen(t, f, b, 1000, phone), bought(t, f, a, minor), bought(t, f, b, minor)) // it changed hands
		return a, b
	}
	for no := range 9 {
		a, b := pair(no, int64(1_000_000-1000*no))
		answers = append(answers, said(t, f, fmt.Sprint("d", no), events.DecisionKind_DECISION_KIND_DIFFERENT, a, b))
	}
	for no := 20; no < 23; no++ {
		pair(no, int64(50_000-1000*no))
	}
	// Three of whom the two that bought most are known to be two.
	for i, a := range []string{"tmall/s/rich", "douyin/s/rich", "weidian/s/poor"} {
		all = append(all, seen(t, f, a, 10+1000*i, "phone:13977778888"), bought(t, f, a, []int64{2_000_000, 2_000_000, 100}[i]))
	}
	answers = append(answers, said(t, f, "rich", events.DecisionKind_DECISION_KIND_DIFFERENT, "tmall/s/rich", "douyin/s/rich"))
	settle(all...)
	settle(answers...)
	ask := func(limit int) (accounts []string) {
		t.Helper()
		got, err := (&Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules}).Queue(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range got {
			accounts = append(accounts, q.Accounts[0])
		}
		return accounts
	}
	want := []string{"douyin/s/20", "douyin/s/21", "douyin/s/22", "douyin/s/rich", "tmall/s/rich"}
	for limit := range len(want) + 2 {
		if got := ask(limit); strings.Join(got, " ") != strings.Join(want[:min(limit, len(want))], " ") {
			t.Errorf("of %d questions %v are asked, want the first of %v", limit, got, want)
		}
	}
}
