package insight

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/internal/kafka"
	"oneid/pipelines/flowtest"
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
