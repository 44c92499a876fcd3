package runs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"oneid/internal/httpclient"
	"oneid/pipelines"
	"oneid/schemas/tables"
)

// mostEvents bounds the events that wait for an endpoint that is slow or away:
// more are let go, and counted.
const mostEvents = 1000

// The versions of the specification that events follow.
const (
	eventSchema  = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
	errorSchema  = "https://openlineage.io/spec/facets/1-0-0/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
	timeSchema   = "https://openlineage.io/spec/facets/1-0-1/NominalTimeRunFacet.json#/$defs/NominalTimeRunFacet"
	countSchema  = "https://openlineage.io/spec/facets/1-0-1/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet"
	typeSchema   = "https://openlineage.io/spec/facets/2-0-3/JobTypeJobFacet.json#/$defs/JobTypeJobFacet"
	ownRunSchema = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet"
)

// Lineage sends OpenLineage run events to one address: START, and COMPLETE,
// FAIL or ABORT. A nil one sends nothing.
type Lineage struct {
	namespace, producer string
	header              http.Header
	client              *httpclient.Client
	log                 *slog.Logger
	queue               chan []byte

	mu      sync.Mutex
	pending int // events that wait or are being sent; guarded by mu
	dropped int // guarded by mu
}

// LineageConfig says where events go.
type LineageConfig struct {
	// URL takes the POST, such as http://marquez:5000/api/v1/lineage.
	URL string
	// Namespace is that of the jobs.
	Namespace string
	// APIKey, if set, is sent as a bearer token.
	APIKey  string
	Version string
	Log     *slog.Logger
}

// NewLineage checks the address; it connects to nothing.
func NewLineage(c LineageConfig) (*Lineage, error) {
	client, err := httpclient.New(httpclient.Config{BaseURL: c.URL, Timeout: 10 * time.Second, Attempts: 3, Throttles: 3, MaxThrottle: time.Minute})
	if err != nil {
		return nil, fmt.Errorf("runs: openlineage.url: %w", err)
	}
	l := &Lineage{namespace: c.Namespace, producer: "urn:oneid:" + c.Version, client: client, log: c.Log, header: make(http.Header), queue: make(chan []byte, mostEvents)}
	if c.APIKey != "" {
		l.header.Set("Authorization", "Bearer "+c.APIKey)
	}
	return l, nil
}

// Run sends events until ctx ends; it returns nil then. An event that the
// endpoint does not take is let go: history lies in ClickHouse.
func (l *Lineage) Run(ctx context.Context) error {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case body := <-l.queue:
			_, err := l.client.Do(ctx, "lineage", func(int) (httpclient.Request, error) {
				return httpclient.Request{Body: body, Header: l.header}, nil
			}, l.client.StatusError)
			l.mu.Lock()
			l.pending--
			if err != nil && ctx.Err() == nil {
				l.dropped++
			}
			dropped := l.dropped
			l.mu.Unlock()
			switch {
			case ctx.Err() != nil:
			case err != nil && !failing:
				failing = true
				l.log.Warn("OpenLineage events are not taken; the runs go on without", "error", err)
			case err == nil && failing:
				failing = false
				l.log.Info("OpenLineage events are taken again", "lost", dropped)
			}
		}
	}
}

// Flush waits until what was told is sent or let go.
func (l *Lineage) Flush(ctx context.Context) error {
	for l != nil {
		l.mu.Lock()
		pending := l.pending
		l.mu.Unlock()
		if pending == 0 {
			break
		}
		if err := pipelines.Sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("runs: %d OpenLineage events are not sent: %w", pending, err)
		}
	}
	return nil
}

// event is a RunEvent of the specification.
type event struct {
	EventType string    `json:"eventType"`
	EventTime string    `json:"eventTime"`
	Producer  string    `json:"producer"`
	SchemaURL string    `json:"schemaURL"`
	Run       faceted   `json:"run"`
	Job       faceted   `json:"job"`
	Inputs    []dataset `json:"inputs"`
	Outputs   []dataset `json:"outputs"`
}

// faceted is a run or a job.
type faceted struct {
	RunID     string           `json:"runId,omitempty"`
	Namespace string           `json:"namespace,omitempty"`
	Name      string           `json:"name,omitempty"`
	Facets    map[string]facet `json:"facets,omitempty"`
}

type dataset struct {
	Namespace    string           `json:"namespace"`
	Name         string           `json:"name"`
	OutputFacets map[string]facet `json:"outputFacets,omitempty"`
}

type facet map[string]any

func (l *Lineage) facet(schema string, more facet) facet {
	more["_producer"], more["_schemaURL"] = l.producer, schema
	return more
}

// begin tells that a run began.
func (l *Lineage) begin(run tables.Run) {
	if l != nil {
		l.tell(l.event(run, "START", run.Started))
	}
}

// end tells how a run ended.
func (l *Lineage) end(run tables.Run) {
	if l == nil {
		return
	}
	state := map[string]string{tables.RunSucceeded: "COMPLETE", tables.RunFailed: "FAIL", tables.RunStopped: "ABORT"}[run.State]
	e := l.event(run, state, run.Ended)
	if run.Error != "" {
		e.Run.Facets["errorMessage"] = l.facet(errorSchema, facet{"message": run.Error, "programmingLanguage": "GO"})
	}
	e.Run.Facets["oneid_run"] = l.facet(ownRunSchema, facet{
		"reason": run.Reason, "pages": run.Pages, "records": run.Records, "events": run.Events, "deadLetters": run.DeadLetters,
		"lagSeconds": run.Lag.Seconds(), "waitedSeconds": run.Waited.Seconds(), "quietRuns": run.Quiet,
	})
	for i := range e.Outputs {
		e.Outputs[i].OutputFacets = map[string]facet{"outputStatistics": l.facet(countSchema, facet{"rowCount": run.Events})}
	}
	l.tell(e)
}

// event is what start and end have in common. A stream's data come from its
// platform and go to a topic of the brand; of other tasks none are named.
func (l *Lineage) event(run tables.Run, kind string, at time.Time) event {
	e := event{
		EventType: kind, EventTime: at.UTC().Format("2006-01-02T15:04:05.000Z"), Producer: l.producer, SchemaURL: eventSchema,
		Run:    faceted{RunID: run.ID, Facets: make(map[string]facet)},
		Job:    faceted{Namespace: l.namespace, Name: run.Job, Facets: map[string]facet{"jobType": l.facet(typeSchema, facet{"processingType": "BATCH", "integration": "ONEID", "jobType": run.Task})}},
		Inputs: []dataset{}, Outputs: []dataset{},
	}
	switch {
	case !run.Scheduled.IsZero():
		e.Run.Facets["nominalTime"] = l.facet(timeSchema, facet{"nominalStartTime": run.Scheduled.UTC().Format(time.RFC3339)})
	case !run.From.IsZero(): // the days that it reads
		of := facet{"nominalStartTime": run.From.UTC().Format(time.RFC3339)}
		if !run.To.IsZero() {
			of["nominalEndTime"] = run.To.UTC().Format(time.RFC3339)
		}
		e.Run.Facets["nominalTime"] = l.facet(timeSchema, of)
	}
	if run.Stream != "" {
		e.Inputs = append(e.Inputs, dataset{Namespace: run.Platform, Name: run.Shop + "." + run.Stream})
		e.Outputs = append(e.Outputs, dataset{Namespace: l.namespace, Name: run.Platform + "." + run.Shop + "." + run.Stream})
	}
	return e
}

// tell sends an event, some time.
func (l *Lineage) tell(e event) {
	body, err := json.Marshal(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		select {
		case l.queue <- body:
			l.pending++
			return
		default:
		}
	}
	l.dropped++
}
