package insight

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"oneid/identity"
	"oneid/identity/normalize"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

// What the model joined is counted apart from what identifiers and people did,
// receivers of too many accounts are listed, and people's verdicts are told apart.
func TestReportOfTheModel(t *testing.T) {
	f := flowtest.New(t)
	rules, err := identity.ParseRules([]byte("largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {member: 90}, accounts: 3}\nmodel: {use: plain, accept: 8, review: 6, least_days: 30, block: 4, strength: 9, per_shop: 1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	f.Rules = rules
	settle := settler(t, f)
	var all []kafka.Message
	// alike are accounts that send to one receiver, twice.
	alike := func(no int, accounts ...string) {
		to := &events.Receiver{Name: string(rune('一'+no)) + "某", Phone: fmt.Sprintf("1380000%04d", no), City: "杭州市"}
		for _, account := range accounts {
			all = append(all, received(t, f, account, 10, to), received(t, f, account, 60, to))
		}
	}
	same := func(phone string, accounts ...string) {
		for _, account := range accounts {
			all = append(all, seen(t, f, account, 70, "phone:"+phone))
		}
	}
	alike(1, "tmall/s/a", "douyin/s/a")
	alike(2, "tmall/s/b", "douyin/s/b")
	alike(3, "tmall/s/c", "douyin/s/c")
	same("13911110001", "tmall/s/d", "douyin/s/d")
	same("13911110002", "tmall/s/e", "douyin/s/e")
	same("13911110003", "tmall/s/f", "douyin/s/f")
	// A customer of both: the middle is held on one side by the model.
	alike(4, "tmall/s/g", "douyin/s/g")
	same("13911110004", "douyin/s/g", "weidian/s/g")
	// A warehouse, to which two of one customer send as well: that holds nobody
	// together.
	same("13911110006", "douyin/s/d", "weidian/s/d")
	alike(5, "tmall/w1/w", "tmall/w2/w", "tmall/w3/w", "tmall/s/d", "weidian/s/d")
	// A number of too many accounts is what two of a customer share beside the model.
	same("13911110005", "tmall/s/c", "douyin/s/c", "weidian/x/1", "weidian/y/2")
	// One of as many as it may bear joins them.
	same("13911110007", "tmall/p/h", "douyin/p/h", "weidian/p/h")
	settle(all...)
	settle(
		said(t, f, "d1", events.DecisionKind_DECISION_KIND_SAME, "tmall/s/a", "douyin/s/a"),
		said(t, f, "d2", events.DecisionKind_DECISION_KIND_DIFFERENT, "tmall/s/b", "douyin/s/b"),
		said(t, f, "d3", events.DecisionKind_DECISION_KIND_SAME, "tmall/s/d", "douyin/s/d"),
		said(t, f, "d4", events.DecisionKind_DECISION_KIND_DIFFERENT, "tmall/s/e", "douyin/s/e"),
		said(t, f, "d5", events.DecisionKind_DECISION_KIND_SAME, "tmall/s/f", "douyin/s/c"), // they were two
	)
	reporter := &Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules, Models: f.Models, Open: func(hash identity.Hash, sealed []byte) (identity.Appearance, error) {
		value, err := f.Keys.Open(nil, sealed, keyring.IdentifierContext(string(identity.AppearanceType), hash))
		if err != nil {
			return identity.Appearance{}, err
		}
		return normalize.ParseAppearance(string(value))
	}}
	got, err := reporter.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Joined are a, which people said again; d; f with one of c (a phone and a
	// word: the shop of the other knows f); g (a phone and the model); h.
	want := &ModelQuality{
		Name: "plain", Customers: 5, Of: 5, ByIdentifiers: 6, ByPeople: 2, ByModel: 1,
		// The name's block and the phone's.
		InertBlocks: 2, Inert: []InertBlock{{5, 4, 1, "tmall/s/d"}, {5, 4, 1, "tmall/s/d"}},
	}
	if diff := cmp.Diff(want, got.Model); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(got.Inert) != 1 || got.Inert[0].Accounts != 4 || got.Inert[0].Allowed != 3 {
		t.Errorf("inert = %+v, want the one of four accounts", got.Inert)
	}
	if d := got.Decisions; d.OfModel() != (Decisions{JoinedRightly: 1, JoinedWrongly: 1}) || d.OfIdentifiers() != (Decisions{JoinedRightly: 1, JoinedWrongly: 1}) || d.Missed != 1 {
		t.Errorf("verdicts of the model %+v, of identifiers %+v, of all %+v", d.OfModel(), d.OfIdentifiers(), d)
	}
	through := map[string]bool{}
	for _, b := range got.Bridges {
		through[b.Account] = b.ThroughModel
	}
	if diff := cmp.Diff(map[string]bool{"douyin/s/d": false, "douyin/s/g": true, "tmall/s/f": false}, through); diff != "" {
		t.Errorf("bridges by the model (-want +got)\n%s", diff)
	}
	var page bytes.Buffer
	if err := got.WritePage(&page, "b", time.UTC); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"What the model joined", "the model, 11.1 %", "by the model", "pairs joined by identifiers, that people looked at", "pairs joined by the model, that people looked at", "Receivers that join nobody", "<code>tmall/s/d</code>"} {
		if !strings.Contains(page.String(), part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	for _, part := range []string{"某", "1380000", "杭州", "ZgotmplZ"} {
		if strings.Contains(page.String(), part) {
			t.Errorf("the page holds %q", part)
		}
	}
	reporter.Models = nil
	if _, err := reporter.Take(t.Context()); err == nil {
		t.Error("a report is made without the model that the rules use")
	}
}

// A number of too many accounts is left out of what is read of a customer by itself, but
// for who is a bridge by it: else he were none, and what he shares had joined him.
func TestReportOfABridgeThatTheModelJoined(t *testing.T) {
	f := flowtest.New(t)
	rules, err := identity.ParseRules([]byte("largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {member: 90}, accounts: 3, values: 2}\nmodel: {use: plain, accept: 8, review: 6, least_days: 30, strength: 9}\n"))
	if err != nil {
		t.Fatal(err)
	}
	f.Rules = rules
	settle := settler(t, f)
	to := &events.Receiver{Name: "林某", Phone: "13800000001", City: "杭州市"}
	var all []kafka.Message
	for _, account := range []string{"tmall/s/hub", "douyin/s/hub"} {
		all = append(all, received(t, f, account, 10, to), received(t, f, account, 60, to))
	}
	all = append(all, seen(t, f, "tmall/s/hub", 70, "phone:13911110001", "phone:13911110002", "phone:13911110003"), seen(t, f, "douyin/s/hub", 70, "phone:13911110001"))
	for _, account := range []string{"weidian/a/1", "weidian/b/1", "weidian/c/1"} {
		all = append(all, seen(t, f, account, 70, "phone:13911110003"))
	}
	settle(all...)
	reporter := &Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules, Models: f.Models, Open: func(hash identity.Hash, sealed []byte) (identity.Appearance, error) {
		value, err := f.Keys.Open(nil, sealed, keyring.IdentifierContext(string(identity.AppearanceType), hash))
		if err != nil {
			return identity.Appearance{}, err
		}
		return normalize.ParseAppearance(string(value))
	}}
	got, err := reporter.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&ModelQuality{Name: "plain", Customers: 1, Of: 1, ByModel: 1}, got.Model, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
