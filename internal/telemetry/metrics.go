package telemetry

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"oneid/schemas/events"
)

// Metrics is all that a process exports, and the one place that names it. A
// label's values are few and known: a topic, a shop, a stage, never a person
// or an id. What a process does not do it does not export: each part registers
// its own metrics, once.
type Metrics struct{ registry *prometheus.Registry }

// NewMetrics exports what every process has: which program it is, and what
// Go and the system say of it.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := m.gauge("oneid_build_info", "Always 1; which version runs.", "version")
	build.WithLabelValues(version).Set(1)
	return m
}

// Handler answers with the metrics in Prometheus' format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Registerer takes the metrics that a library makes and names itself.
func (m *Metrics) Registerer() prometheus.Registerer { return m.registry }

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	return h
}

// adds makes a counter what the flow calls.
func adds(c *prometheus.CounterVec, labels ...string) func(int) {
	counter := c.WithLabelValues(labels...) // there from the start, at 0
	return func(n int) { counter.Add(float64(n)) }
}

// Flow is what a resolver counts.
type Flow struct {
	Events, DeadLetters, Batches, Rows func(n int)
	Headers, WrongHeaders              func(n int)
	Moves, Merges, Splits              func(n int)
	Waits, Retries                     func(n int)
	Fenced                             func(n int)
	// BatchEvents notes how many messages a batch had.
	BatchEvents func(n int)
	// Stage notes how long a stage of a batch took.
	Stage func(stage string, took time.Duration)
}

// Flow registers what a resolver counts; stages are all there are.
func (m *Metrics) Flow(stages []string) Flow {
	one := func(name, help string) func(int) { return adds(m.counter("oneid_resolve_"+name, help)) }
	took := m.histogram("oneid_resolve_stage_duration_seconds", "How long a stage of one batch took, failed attempts included.",
		[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}, "stage")
	for _, stage := range stages {
		took.WithLabelValues(stage)
	}
	size := m.histogram("oneid_resolve_batch_events", "Messages in a batch that is in ClickHouse.",
		[]float64{1, 10, 100, 500, 1000, 2000, 5000, 10000, 20000, 50000}).WithLabelValues()
	return Flow{
		Events:       one("events_total", "Events that are in ClickHouse."),
		DeadLetters:  one("dead_letters_total", "Messages that could not be read."),
		Batches:      one("batches_total", "Batches that are in ClickHouse."),
		Rows:         one("rows_total", "Rows inserted into ClickHouse."),
		Headers:      one("headers_total", "Good messages whose headers were looked at: all, and behind a backlog one fetch in 16."),
		WrongHeaders: one("wrong_headers_total", "Good messages of those whose headers do not say what they are; they are loaded all the same."),
		Moves:        one("moves_total", "Accounts whose customer is new or another."),
		Merges:       one("merges_total", "Customers that were merged into another."),
		Splits:       one("splits_total", "Customers that were split off another."),
		Waits:        one("waits_total", "How often the resolver began to wait for a store, or for its group."),
		Retries:      one("retries_total", "Attempts that a store that is away made fail, and that are made again."),
		Fenced:       one("fenced_total", "How often Kafka did not let the resolver become active, or commit how far it is, because the group's members change; some with each change."),
		BatchEvents:  func(n int) { size.Observe(float64(n)) },
		Stage:        func(stage string, d time.Duration) { took.WithLabelValues(stage).Observe(d.Seconds()) },
	}
}

// Resolver is how a resolver and its state are at this moment.
type Resolver struct {
	// State is one of those that WatchResolver was given.
	State string
	// HeldBytes lie between Kafka and ClickHouse.
	HeldBytes int64
	// OverBudget says that the state takes more memory than it may.
	OverBudget                                  bool
	Accounts, Identifiers, Sightings, Decisions int
	StateMemoryBytes, StateDiskBytes            int64
}

// Lag is how many messages of a partition are not in ClickHouse yet.
type Lag struct {
	Topic     string
	Partition int
	Messages  int64
}

// lagTimeout bounds what a scrape waits for Kafka.
const lagTimeout = 2 * time.Second

// watched asks, at each scrape, how the resolver is.
type watched struct {
	states []string
	now    func() Resolver
	lag    func(context.Context) ([]Lag, error)

	stateDescs []*prometheus.Desc
	lagDesc    *prometheus.Desc
	values     []watchedValue
}

type watchedValue struct {
	desc *prometheus.Desc
	of   func(Resolver) float64
}

// WatchResolver exports what now says, and the lag. Both are asked at each
// scrape. While Kafka is away there is no lag to see, and the rest is there.
func (m *Metrics) WatchResolver(states []string, now func() Resolver, lag func(context.Context) ([]Lag, error)) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	w := &watched{states: states, now: now, lag: lag,
		lagDesc: desc("oneid_resolve_lag_messages", "Messages that are in Kafka and not in ClickHouse yet; absent while Kafka is away.", "topic", "partition"),
	}
	for _, state := range states {
		w.stateDescs = append(w.stateDescs, desc("oneid_resolve_"+state, "1 while the resolver is "+state+"."))
	}
	w.values = []watchedValue{
		{desc("oneid_resolve_held_bytes", "Memory of messages between Kafka and ClickHouse."), func(r Resolver) float64 { return float64(r.HeldBytes) }},
		{desc("oneid_resolve_memory_over_budget", "1 while the state takes more than resolve.memory_mib."), func(r Resolver) float64 {
			if r.OverBudget {
				return 1
			}
			return 0
		}},
		{desc("oneid_state_accounts", "Accounts in the resolver's state."), func(r Resolver) float64 { return float64(r.Accounts) }},
		{desc("oneid_state_identifiers", "Identifiers in the resolver's state."), func(r Resolver) float64 { return float64(r.Identifiers) }},
		{desc("oneid_state_sightings", "Pieces of evidence in the resolver's state."), func(r Resolver) float64 { return float64(r.Sightings) }},
		{desc("oneid_state_decisions", "Decisions of people in the resolver's state."), func(r Resolver) float64 { return float64(r.Decisions) }},
		{desc("oneid_state_memory_bytes", "Memory that the state takes, as the garbage collector last saw it."), func(r Resolver) float64 { return float64(r.StateMemoryBytes) }},
		{desc("oneid_state_disk_bytes", "Disk that the state takes."), func(r Resolver) float64 { return float64(r.StateDiskBytes) }},
	}
	m.registry.MustRegister(w)
}

// Describe implements prometheus.Collector.
func (w *watched) Describe(to chan<- *prometheus.Desc) {
	to <- w.lagDesc
	for _, d := range w.stateDescs {
		to <- d
	}
	for _, v := range w.values {
		to <- v.desc
	}
}

// Collect implements prometheus.Collector.
func (w *watched) Collect(to chan<- prometheus.Metric) {
	now := w.now()
	for i, state := range w.states {
		value := 0.0
		if now.State == state {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(w.stateDescs[i], prometheus.GaugeValue, value)
	}
	for _, v := range w.values {
		to <- prometheus.MustNewConstMetric(v.desc, prometheus.GaugeValue, v.of(now))
	}
	ctx, cancel := context.WithTimeout(context.Background(), lagTimeout)
	defer cancel()
	lags, err := w.lag(ctx)
	if err != nil {
		return // the resolver says itself that Kafka is away
	}
	for _, l := range lags {
		to <- prometheus.MustNewConstMetric(w.lagDesc, prometheus.GaugeValue, float64(l.Messages), l.Topic, strconv.Itoa(l.Partition))
	}
}

// Letters registers the states of dead letters that are recorded, and returns
// what counts one; states are all there are.
func (m *Metrics) Letters(states []string) func(reason, state string) {
	seen := m.counter("oneid_deadletter_states_total", "States of dead letters that were recorded: open at each attempt, then replayed or dropped.", "reason", "state")
	for _, reason := range events.Reasons {
		for _, state := range states {
			seen.WithLabelValues(reason, state)
		}
	}
	return func(reason, state string) {
		if !slices.Contains(events.Reasons, reason) {
			reason = "other" // a label's values are few
		}
		seen.WithLabelValues(reason, state).Inc()
	}
}

// Pushes registers what became of messages that platforms sent by themselves,
// and returns what counts one; outcomes are all there are.
func (m *Metrics) Pushes(outcomes []string) func(platform, shop, outcome string) {
	seen := m.counter("oneid_pushes_total", "Messages that platforms sent by themselves, and requests that were refused or could not be kept, by what became of them.", "platform", "shop", "outcome")
	return func(platform, shop, outcome string) {
		if slices.Contains(outcomes, outcome) {
			seen.WithLabelValues(platform, shop, outcome).Inc()
		}
	}
}

// Reconciled registers the differences between what the platforms list and
// what is stored, and returns what notes those of a stream. A stream is there
// once it was compared.
func (m *Metrics) Reconciled() func(platform, shop, stream string, entities uint64) {
	differ := m.gauge("oneid_reconcile_difference", "Entities of the last days that a side lacks, or has with other amounts.", "platform", "shop", "stream")
	return func(platform, shop, stream string, entities uint64) {
		differ.WithLabelValues(platform, shop, stream).Set(float64(entities))
	}
}

// Pulls are the metrics of all streams that are pulled.
type Pulls struct {
	pages, records, events, letters, errors, drift *prometheus.CounterVec
	begun, success, differ                         *prometheus.GaugeVec
}

// Pulls registers the metrics of streams.
func (m *Metrics) Pulls() *Pulls {
	of := []string{"platform", "shop", "stream"}
	return &Pulls{
		pages:   m.counter("oneid_pull_pages_total", "Pages that were read and are in Kafka.", of...),
		records: m.counter("oneid_pull_records_total", "Records that were read and are in Kafka, or in the dead letter.", of...),
		events:  m.counter("oneid_pull_events_total", "Events that were made of records and are in Kafka.", of...),
		letters: m.counter("oneid_pull_dead_letters_total", "Records that could not be read or mapped.", of...),
		errors:  m.counter("oneid_pull_errors_total", "Rounds that ended with an error; each is tried again.", of...),
		drift:   m.counter("oneid_pull_drift_total", "Fields that are not as the connector knows them, in the payloads that were looked at, and statuses that it does not know.", of...),
		differ:  m.gauge("oneid_pull_drift_fields", "Fields of the stream's payloads that differ now and that nobody accepted (oneid drift).", of...),
		begun:   m.gauge("oneid_pull_begun_timestamp_seconds", "When this process began to pull the stream again and again, as Unix time; not there of what is read once or at times of the day.", of...),
		success: m.gauge("oneid_pull_last_success_timestamp_seconds", "When a round last ended without an error, as Unix time; 0 where all have ended with one, and not there before one has ended.", of...),
	}
}

// Pull is what one stream counts.
type Pull struct {
	Pages, Records, Events, DeadLetters, Errors, Drift func(n int)
	// Differ notes how many fields differ now.
	Differ func(fields int)
	// Begun notes that the stream is pulled again and again from now on.
	Begun func()
	// Succeeded notes that a round ended well, now.
	Succeeded func()
}

// Of is the metrics of one stream of one shop.
func (p *Pulls) Of(platform, shop, stream string) Pull {
	differ := p.differ.WithLabelValues(platform, shop, stream)
	// Not there from the start: of what is read once, such as a file, nobody waits for
	// the next round.
	success := func() prometheus.Gauge { return p.success.WithLabelValues(platform, shop, stream) }
	failed := adds(p.errors, platform, shop, stream)
	return Pull{
		Pages: adds(p.pages, platform, shop, stream), Records: adds(p.records, platform, shop, stream), Events: adds(p.events, platform, shop, stream),
		DeadLetters: adds(p.letters, platform, shop, stream),
		Errors: func(n int) {
			failed(n)
			success()
		},
		Drift:     adds(p.drift, platform, shop, stream),
		Differ:    func(fields int) { differ.Set(float64(fields)) },
		Begun:     func() { p.begun.WithLabelValues(platform, shop, stream).SetToCurrentTime() },
		Succeeded: func() { success().SetToCurrentTime() },
	}
}

// Engine exports whether the embedded ClickHouse answers.
func (m *Metrics) Engine(answers func() bool) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "oneid_engine_up", Help: "1 while the embedded ClickHouse answers, 0 while it is started again."},
		func() float64 {
			if answers() {
				return 1
			}
			return 0
		}))
}

// Memberships registers the calls of platforms about members, for which shops
// are then named by the first function it returns; the second counts a call.
func (m *Metrics) Memberships(kinds, outcomes []string) (of func(platform, shop string), count func(platform, shop, kind, outcome string, took time.Duration)) {
	calls := m.counter("oneid_membership_calls_total", "Calls of platforms about members that were answered.", "platform", "shop", "kind", "outcome")
	// A platform waits 1.2 seconds, and is promised an answer within 0.3.
	seconds := m.histogram("oneid_membership_seconds", "Time that the answer to a call of a platform about a member took.", []float64{.005, .01, .025, .05, .1, .2, .3, .5, .8, 1, 1.2, 2.5}, "platform", "shop", "kind")
	of = func(platform, shop string) {
		for _, kind := range kinds {
			seconds.WithLabelValues(platform, shop, kind)
			for _, outcome := range outcomes {
				calls.WithLabelValues(platform, shop, kind, outcome)
			}
		}
	}
	return of, func(platform, shop, kind, outcome string, took time.Duration) {
		calls.WithLabelValues(platform, shop, kind, outcome).Inc()
		seconds.WithLabelValues(platform, shop, kind).Observe(took.Seconds())
	}
}
