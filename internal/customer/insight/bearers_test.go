package insight

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/internal/kafka"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

// Who orders for others is reported with the values that were borne at a time, and the
// values that do not join him have that for a reason; who has had as many one after the
// other is not. He has other accounts, which keep him in a customer of several: there
// his values do not count as links either.
func TestReportFindsBearers(t *testing.T) {
	f := flowtest.New(t)
	settle := settler(t, f)
	var first []kafka.Message
	first = append(first, seen(t, f, "weidian/w/hub", 10, "unionid:u1"), seen(t, f, "weidian/x/hub", 10, "unionid:u1"), seen(t, f, "weidian/y/hub", 10, "unionid:u1"))
	for i := range 6 {
		phone := fmt.Sprintf("phone:139000010%02d", i)
		first = append(first, seen(t, f, "weidian/w/hub", 10, phone), seen(t, f, fmt.Sprintf("tmall/s%d/a", i), 10, phone),
			seen(t, f, "douyin/d/mover", 10+600*i, fmt.Sprintf("phone:138000010%02d", i)))
	}
	// This one both of his accounts bear: it must not join them in the report.
	first = append(first, seen(t, f, "weidian/x/hub", 10, "phone:13900001000"))
	settle(first...)
	reporter := &Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules}
	got, err := reporter.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Bearer{{"weidian/w/hub", identity.Phone, 6, 4}}, got.Bearers); d != "" {
		t.Errorf("bearers (-want +got):\n%s", d)
	}
	if i := slices.IndexFunc(got.Conflicts, func(c Conflict) bool { return c.Reason == string(identity.ReviewValues) }); i < 0 || got.Conflicts[i].Type != identity.Phone || got.Conflicts[i].Identifiers != 5 {
		t.Errorf("conflicts %+v, want five phones by values", got.Conflicts)
	}
	resolved, err := reporter.resolve(t.Context(), []identity.CustomerID{got.Biggest[0].ID}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range resolved.Links {
		if l.Identifier.Type == identity.Phone && l.Account.Shop == "w" {
			t.Errorf("the report links a bridge by %v", l.Identifier)
		}
	}
	var page bytes.Buffer
	if err := got.WritePage(&page, "b", time.UTC); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"<code>weidian/w/hub</code></td><td>phone</td>", "an account bears more values"} {
		if !strings.Contains(page.String(), part) {
			t.Errorf("the page lacks %q", part)
		}
	}
}

// Who orders for fifty asks for no more of them at a time than one may bear values, so
// that a family is asked for behind these and not behind all; and the reason of each pair
// is its own, whoever else bears what it shares.
func TestQueueAsksLittleOfABridge(t *testing.T) {
	f := flowtest.New(t)
	settle := settler(t, f)
	var all []kafka.Message
	buys := func(account string, minor int64, on int, identifiers ...string) {
		all = append(all, seen(t, f, account, on, identifiers...), bought(t, f, account, minor))
	}
	for i := range 50 {
		phone := fmt.Sprintf("phone:139000010%02d", i)
		buys(fmt.Sprintf("tmall/s%d/stranger", i), int64(200_000+1000*i), 10, phone)
		all = append(all, seen(t, f, "weidian/w/reseller", 10, phone))
	}
	all = append(all, bought(t, f, "weidian/w/reseller", 9_000_000))
	// A family, whose number the reseller bears, too.
	buys("tmall/f/mother", 50_000, 10, "phone:13933333334")
	buys("tmall/f/child", 40_000, 10, "phone:13933333334")
	all = append(all, seen(t, f, "weidian/w/reseller", 10, "phone:13933333334"))
	// A mover's number, which somebody else has now, and one who uses five by turns.
	buys("tmall/m/before", 30_000, 10, "phone:13922222223")
	buys("douyin/m/after", 30_000, 1000, "phone:13922222223")
	for i := range 5 {
		phone := fmt.Sprintf("phone:138000010%02d", i)
		buys(fmt.Sprintf("tmall/t%d/own", i), int64(20_000+1000*i), 10, phone)
		all = append(all, seen(t, f, "douyin/d/five", 10, phone))
	}
	all = append(all, bought(t, f, "douyin/d/five", 20_500))
	settle(all...)
	reporter := &Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules}
	asked := func(limit int) (pairs []string) {
		t.Helper()
		got, err := reporter.Queue(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range got {
			pairs = append(pairs, q.Accounts[0]+" "+q.Accounts[1]+" "+strings.Join(q.Reasons, ","))
		}
		return pairs
	}
	want := []string{
		"tmall/s49/stranger weidian/w/reseller values", "tmall/s48/stranger weidian/w/reseller values",
		"tmall/s47/stranger weidian/w/reseller values", "tmall/s46/stranger weidian/w/reseller values",
		"tmall/f/child tmall/f/mother per_shop", "douyin/m/after tmall/m/before apart",
		"douyin/d/five tmall/t4/own values", "douyin/d/five tmall/t3/own values", "douyin/d/five tmall/t2/own values", "douyin/d/five tmall/t1/own values",
	}
	for _, limit := range []int{3, 7, 100} {
		if d := cmp.Diff(want[:min(limit, len(want))], asked(limit)); d != "" {
			t.Errorf("of %d questions (-want +got):\n%s", limit, d)
		}
	}
	settle(said(t, f, "d1", events.DecisionKind_DECISION_KIND_DIFFERENT, "tmall/s49/stranger", "weidian/w/reseller"))
	if got := asked(4); got[0] != want[1] || got[3] != "tmall/s45/stranger weidian/w/reseller values" {
		t.Errorf("after an answer %v are asked", got)
	}
	// A number that a bridge bears and that lies apart between others is told by the bridge,
	// and by itself where the bridge's customer bears it otherwise.
	id := identity.Identifier{Type: identity.Phone, Hash: identity.Hash{1}}
	hub, beside, other := identity.Account{Platform: "weidian", Shop: "w", ID: "hub"}, identity.Account{Platform: "weidian", Shop: "x", ID: "hub"}, identity.Account{Platform: "tmall", Shop: "s", ID: "a"}
	why := whys{bridges: map[identity.Bearing]bool{{Account: hub, Type: id.Type}: true}}
	for _, c := range []struct {
		name string
		of   map[identity.Account]int
		want string
	}{
		{"a bridge and another", map[identity.Account]int{hub: 1, other: 2}, "values"},
		{"a bridge whose customer bears it otherwise, and another", map[identity.Account]int{hub: 1, beside: 1, other: 2}, apart},
	} {
		if got := why.of(id, slices.Collect(maps.Values(bearers(why, id, c.of)))...); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
