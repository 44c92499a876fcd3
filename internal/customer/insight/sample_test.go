package insight

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/internal/kafka"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

// Of what people judged, what was drawn is a sample, and a complaint about a pair
// whose turn has not come is none.
func TestSampleIsWhatWasDrawn(t *testing.T) {
	f := flowtest.New(t)
	settle := settler(t, f)
	const people = 12
	var first []kafka.Message
	for i := range people {
		phone := fmt.Sprintf("phone:139000010%02d", i)
		first = append(first, seen(t, f, fmt.Sprintf("tmall/s/p%d", i), 10, phone), seen(t, f, fmt.Sprintf("douyin/s/p%d", i), 10, phone))
	}
	settle(append(first, seen(t, f, "tmall/s/alone", 10, "phone:13922222223"))...)
	reporter := &Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules}
	sample := func(limit int) (pairs [][2]string) {
		t.Helper()
		questions, err := reporter.Sample(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range questions {
			if q.Customers[0] != q.Customers[1] || q.Accounts[0] == q.Accounts[1] {
				t.Errorf("drawn is %+v, want two accounts of one customer", q)
			}
			pairs = append(pairs, q.Accounts)
		}
		return pairs
	}
	all := sample(100)
	if len(all) != people {
		t.Fatalf("%d pairs are drawn, want %d: %v", len(all), people, all)
	}
	if d := cmp.Diff(all[:4], sample(4)); d != "" {
		t.Errorf("drawn again other pairs come (-first +again):\n%s", d)
	}
	decide := func(id string, kind events.DecisionKind, pair [2]string) kafka.Message {
		return said(t, f, id, kind, pair[1], pair[0]) // whichever comes first
	}
	settle(
		decide("d1", events.DecisionKind_DECISION_KIND_SAME, all[0]), decide("d2", events.DecisionKind_DECISION_KIND_DIFFERENT, all[1]),
		decide("d3", events.DecisionKind_DECISION_KIND_SAME, all[2]), decide("d4", events.DecisionKind_DECISION_KIND_DIFFERENT, all[people-1]),
	)
	if d := cmp.Diff(all[3:people-1], sample(100)); d != "" {
		t.Errorf("what was not judged (-want +got):\n%s", d)
	}
	report, err := reporter.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := report.Decisions, (Decisions{JoinedRightly: 2, JoinedWrongly: 2, Sample: Share{Right: 2, Wrong: 1}}); got != want {
		t.Errorf("decisions %+v, want %+v", got, want)
	}
	var of []string
	for _, j := range report.Judged() {
		of = append(of, fmt.Sprintf("%d %s, %s: %.2f", j.Pairs, j.Of, j.Sample, j.Share))
		if !(j.Low < j.Share && j.Share < j.High && j.Low >= 0 && j.High <= 1) {
			t.Errorf("%+v: want the share within its bounds", j)
		}
	}
	if d := cmp.Diff([]string{"3 pairs that are joined, " + atRandom + ": 0.67", "4 pairs that are joined, " + complaint + ": 0.50"}, of); d != "" {
		t.Errorf("what the figures are of (-want +got):\n%s", d)
	}
	// Once all are judged, all are the sample.
	var rest []kafka.Message
	for i, pair := range all[3 : people-1] {
		rest = append(rest, decide(fmt.Sprintf("e%d", i), events.DecisionKind_DECISION_KIND_SAME, pair))
	}
	settle(rest...)
	if report, err = reporter.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := report.Decisions.Sample, (Share{Right: people - 2, Wrong: 2}); got != want || len(sample(100)) != 0 {
		t.Errorf("sample %+v, want %+v", got, want)
	}
}
