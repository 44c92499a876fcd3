package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"oneid/internal/golden"
)

// all registers every metric there is, each with a sample.
func all() *Metrics {
	m := NewMetrics("v1")
	m.Flow([]string{"insert"})
	m.WatchResolver([]string{"working", "waiting", "standby"}, func() Resolver { return Resolver{State: "waiting", OverBudget: true, Accounts: 7} },
		func(context.Context) ([]Lag, error) { return []Lag{{"oneid.orders", 3, 41}}, nil })
	m.Letters([]string{"open"})
	m.Pushes([]string{"noted"})("tmall", "s", "noted")
	m.Reconciled()("tmall", "s", "orders", 2)
	pulled := m.Pulls().Of("tmall", "s", "orders")
	pulled.Begun()
	pulled.Errors(1)
	m.Engine(func() bool { return true })
	shop, _ := m.Memberships([]string{"bind"}, []string{"done"})
	shop("tmall", "s")
	return m
}

func gather(t *testing.T, m *Metrics) []*dto.MetricFamily {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	ours := families[:0]
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "oneid_") {
			ours = append(ours, f)
		}
	}
	return ours
}

const operate = "../../docs/operate.md"

var table = regexp.MustCompile(`(?m)^\| metric \|(.*\n)+?\n`)

// The table of docs/operate.md is what the registry says.
func TestDocumentedMetrics(t *testing.T) {
	var b strings.Builder
	b.WriteString("| metric | kind | by | what |\n| --- | --- | --- | --- |\n")
	for _, f := range gather(t, all()) {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	text, err := os.ReadFile(operate)
	if err != nil {
		t.Fatal(err)
	}
	if !table.Match(text) {
		t.Fatal("docs/operate.md has no table of metrics")
	}
	golden.Equal(t, operate, table.ReplaceAllLiteral(text, []byte(b.String()+"\n")))
}

var (
	named  = regexp.MustCompile(`^oneid_[a-z]+(_[a-z]+)+$`)
	labels = map[string]bool{"topic": true, "partition": true, "stage": true, "reason": true, "state": true, "platform": true, "shop": true, "stream": true, "version": true, "kind": true, "outcome": true}
)

// Names end with their unit, counters with _total, and labels are of the few
// that have few values.
func TestMetricNames(t *testing.T) {
	for _, f := range gather(t, all()) {
		name := f.GetName()
		if !named.MatchString(name) || f.GetHelp() == "" || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s: not a good name, or no help: %q", name, f.GetHelp())
		}
		if counter := f.GetType() == dto.MetricType_COUNTER; counter != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, f.GetType())
		}
		if strings.Contains(name, "duration") && !strings.HasSuffix(name, "_seconds") {
			t.Errorf("%s has no unit", name)
		}
		for _, l := range f.GetMetric()[0].GetLabel() {
			if !labels[l.GetName()] {
				t.Errorf("%s has the label %s", name, l.GetName())
			}
		}
	}
}

// value is that of the series of a metric with one of its labels.
func value(t *testing.T, m *Metrics, name, label string) float64 {
	t.Helper()
	for _, f := range gather(t, m) {
		if f.GetName() != name {
			continue
		}
		for _, s := range f.GetMetric() {
			has := label == ""
			for _, l := range s.GetLabel() {
				has = has || l.GetValue() == label
			}
			if has {
				return s.GetCounter().GetValue() + s.GetGauge().GetValue() + s.GetHistogram().GetSampleSum()
			}
		}
	}
	t.Fatalf("no %s of %q", name, label)
	return 0
}

func TestMetricsCount(t *testing.T) {
	m := NewMetrics("v1")
	flow := m.Flow([]string{"apply", "insert"})
	flow.Events(3)
	flow.Merges(2)
	flow.BatchEvents(20000)
	flow.Stage("insert", 1500*time.Millisecond)
	letters := m.Letters([]string{"open"})
	letters("map", "open")
	letters("of somebody who forged a message", "open")
	pull := m.Pulls().Of("tmall", "s", "orders")
	pull.Records(5)
	for _, f := range gather(t, m) {
		if f.GetName() == "oneid_pull_last_success_timestamp_seconds" {
			t.Error("a stream of which no round has ended says when one did")
		}
		if f.GetName() == "oneid_pull_begun_timestamp_seconds" {
			t.Error("a stream that is not pulled again and again says since when it is")
		}
	}
	start := time.Now()
	pull.Begun()
	if got := value(t, m, "oneid_pull_begun_timestamp_seconds", "orders"); got < float64(start.Unix()) {
		t.Errorf("the stream is pulled since %v, before the test", got)
	}
	pull.Errors(0)
	if got := value(t, m, "oneid_pull_last_success_timestamp_seconds", "orders"); got != 0 {
		t.Errorf("the last success of a stream that has none was at %v", got)
	}
	before := time.Now()
	pull.Succeeded()
	for _, c := range []struct {
		name, label string
		want        float64
	}{
		{"oneid_resolve_events_total", "", 3}, {"oneid_resolve_merges_total", "", 2}, {"oneid_resolve_splits_total", "", 0},
		{"oneid_resolve_batch_events", "", 20000}, {"oneid_resolve_stage_duration_seconds", "insert", 1.5}, {"oneid_resolve_stage_duration_seconds", "apply", 0},
		{"oneid_deadletter_states_total", "map", 1}, {"oneid_deadletter_states_total", "other", 1}, {"oneid_deadletter_states_total", "store", 0},
		{"oneid_pull_records_total", "orders", 5}, {"oneid_pull_errors_total", "orders", 0},
	} {
		if got := value(t, m, c.name, c.label); got != c.want {
			t.Errorf("%s of %q is %v, want %v", c.name, c.label, got, c.want)
		}
	}
	if got := value(t, m, "oneid_pull_last_success_timestamp_seconds", "orders"); got < float64(before.Unix()) {
		t.Errorf("the last success was at %v, before the test", got)
	}
	if m := all(); value(t, m, "oneid_resolve_waiting", "") != 1 || value(t, m, "oneid_resolve_working", "") != 0 || value(t, m, "oneid_resolve_memory_over_budget", "") != 1 ||
		value(t, m, "oneid_state_accounts", "") != 7 || value(t, m, "oneid_resolve_lag_messages", "3") != 41 {
		t.Error("the resolver's state is not what it said")
	}
}

// A Kafka that is away takes the lag from a scrape and nothing else.
func TestLagWhileKafkaIsAway(t *testing.T) {
	m := NewMetrics("v1")
	var limit time.Duration
	m.WatchResolver([]string{"working"}, func() Resolver { return Resolver{Accounts: 9} }, func(ctx context.Context) ([]Lag, error) {
		end, _ := ctx.Deadline()
		limit = time.Until(end)
		return nil, errors.New("kafka is away")
	})
	if got := value(t, m, "oneid_state_accounts", ""); got != 9 {
		t.Errorf("accounts are %v, want 9", got)
	}
	for _, f := range gather(t, m) {
		if f.GetName() == "oneid_resolve_lag_messages" {
			t.Error("there is a lag")
		}
	}
	if limit <= 0 || limit > lagTimeout {
		t.Errorf("the lag may take %s", limit)
	}
}

var _ prometheus.Collector = (*watched)(nil)
