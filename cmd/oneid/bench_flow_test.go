package main

import (
	"math"
	"path/filepath"
	"testing"

	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// The shares of kinds are those that the command tells, every account of the
// cold phase is new to it, and all come.
func TestFlowPopulation(t *testing.T) {
	t.Parallel()
	p := newFlowPopulation(10_000, 5_000)
	kinds, accounts := map[events.Kind]int{}, map[flowAccount]bool{}
	for i := range p.size(flowCold) {
		pick := p.pick(flowCold, i)
		kinds[pick.kind]++
		accounts[pick.account] = true
		if int(pick.account) < p.accounts-p.fresh || int(pick.account) >= p.accounts {
			t.Fatalf("event %d is of account %d, which is not one of the last %d of %d", i, pick.account, p.fresh, p.accounts)
		}
	}
	if kinds[events.KindOrder] != 7000 || kinds[events.KindUser] != 2000 || kinds[events.KindTicket] != 1000 || len(accounts) != p.fresh {
		t.Errorf("%v of %d accounts; want 7000 orders, 2000 users, 1000 tickets of %d", kinds, len(accounts), p.fresh)
	}
	for i := range p.size(flowPrime) {
		if pick := p.pick(flowPrime, i); int(pick.account) >= p.accounts-p.fresh {
			t.Fatalf("account %d is known before the cold phase", pick.account)
		}
	}
}

// The innermost function that is known decides.
func TestStageOfAStack(t *testing.T) {
	t.Parallel()
	for want, stack := range map[string][]string{
		"state":  {"runtime.memmove", "github.com/cockroachdb/pebble/v2.(*Batch).Set", "oneid/internal/state.(*Store).Commit", "oneid/identity/engine.(*Engine).Apply"},
		"decode": {"google.golang.org/protobuf/proto.Unmarshal", "oneid/schemas/events.Decode", "oneid/pipelines/resolve.decode"},
		"gc":     {"runtime.scanobject", "runtime.gcBgMarkWorker"},
		"read":   {"runtime.memmove", "bytes.(*Buffer).Read", "github.com/segmentio/kafka-go.(*messageSetReader).readMessageV2", "github.com/segmentio/kafka-go.(*Batch).Read", "oneid/internal/kafka.(*Fetcher).read"},
		"other":  {"main.main"},
	} {
		if got := stageOf(stack); got != want {
			t.Errorf("stage of %v is %s, want %s", stack, got, want)
		}
	}
}

// On a Kafka of one's own it measures the same, without a share of the broker,
// and leaves no topics there.
func TestBenchFlowOnAConfiguredKafka(t *testing.T) {
	t.Parallel()
	brokers, dir := brokertest.Brokers(t), filepath.Join(t.TempDir(), "flow")
	r := decode[flowReport](t, must(t, "bench", "flow", "--dir", dir, "--kafka", brokers[0], "--events", "1000", "--accounts", "500", "--json").stdout)
	if _, counted := r.Warm.Processes["broker"]; r.Kafka != brokers[0] || counted || r.Warm.PerSecond <= 0 || r.Cold.PerSecond <= 0 {
		t.Errorf("%+v", r)
	}
	settings, err := loadSettings(dir)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, topic := range pipelines.Topics(settings.Brand, 1) {
		if n, err := client.Partitions(t.Context(), topic.Name); err == nil {
			t.Errorf("topic %s is left, with %d partitions", topic.Name, n)
		}
	}
}

func TestBenchFlow(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "flow")
	r := decode[flowReport](t, must(t, "bench", "flow", "--dir", dir, "--events", "2000", "--accounts", "1000", "--json", "--cpuprofile", filepath.Join(t.TempDir(), "cpu")).stdout)
	sum := 0.0
	for _, name := range flowFloors {
		if r.Floors[name] <= 0 {
			t.Errorf("the floor of %s is %g s/M", name, r.Floors[name])
		}
		sum += r.Floors[name]
	}
	if r.RefreshCPU <= 0 {
		t.Errorf("making customer_360 anew took %g CPU seconds", r.RefreshCPU)
	}
	// What a start needed and let go weighs more than a thousand accounts do: their bytes can be below zero.
	if r.HeapMiB <= 0 || r.HeapMiB > r.PeakMiB || r.HeapPerAccount == 0 || r.StoreMiB <= 0 {
		t.Errorf("%g MiB live, %g at the peak, %g bytes an account, Pebble has %g MiB", r.HeapMiB, r.PeakMiB, r.HeapPerAccount, r.StoreMiB)
	}
	if math.Abs(r.RMax*sum-2e6) > 1 {
		t.Errorf("r_max is %g, where the floors allow %g", r.RMax, 2e6/sum)
	}
	for phase, f := range map[string]flowFigure{"cold": r.Cold, "warm": r.Warm} {
		if f.PerSecond <= 0 || math.Abs(f.Ratio*r.RMax-f.PerSecond) > 1e-3 || f.Processes["oneid"] <= 0 || f.Bytes < 500 || f.Bytes > 900 {
			t.Errorf("%s: %+v", phase, f)
		}
		stages := 0.0
		for _, seconds := range f.Stages {
			stages += seconds
		}
		if len(f.Stages) > 0 && math.Abs(stages-f.Processes["oneid"]) > 1e-6 {
			t.Errorf("%s: the stages took %g s/M, and the process %g", phase, stages, f.Processes["oneid"])
		}
	}
	wantRefused(t, oneid(t, "bench", "flow", "--dir", dir), 1, "is not empty")
}
