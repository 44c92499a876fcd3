package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"oneid/internal/clickhouse"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/schemas/tables"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

func stream() *tables.Run {
	return &tables.Run{Pipeline: "pull", Job: "pull/tmall/s/orders", Task: "pull", Platform: "tmall", Shop: "s", Stream: "orders", Reason: "schedule", Scheduled: time.Now()}
}

// What is recorded stands in the view; a second insert of the same rows adds none.
func TestRunsAreInTheView(t *testing.T) {
	t.Parallel()
	d := chdbtest.Start(t)
	conn, err := clickhouse.Open(t.Context(), clickhouse.Config{URL: d.URL, Database: d.Name, User: d.User, Password: d.Password})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &Recorder{ClickHouse: conn, Machine: "m", Log: slog.New(slog.DiscardHandler)}
	good, bad, cut := stream(), stream(), &tables.Run{Pipeline: "night", Job: "reconcile", Task: "reconcile", Reason: "manual"}
	for _, run := range []*tables.Run{good, bad, cut} {
		r.Begin(run, false)
	}
	good.Pages, good.Records, good.Events, good.DeadLetters, good.Lag, good.Waited = 2, 20, 19, 1, 90*time.Second, 1500*time.Millisecond
	r.End(good, false, false, nil)
	r.End(bad, false, false, errors.New("the platform is away"))
	r.End(cut, false, true, context.Canceled)
	waiting := slices.Clone(r.waiting)
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.waiting) != 0 {
		t.Errorf("%d rows still wait", len(r.waiting))
	}
	r.waiting = waiting
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := []string{}
	err = conn.Rows(t.Context(), "read the runs", "SELECT job, reason, state, error, events, dead_letters, lag_seconds, waited_seconds, isNull(scheduled_at) FROM "+d.Name+".pipeline_runs ORDER BY job, state", func(scan func(...any) error) error {
		var job, reason, state, fault string
		var events, letters uint64
		var lag *float64
		var waited float64
		var byHand uint8
		if err := scan(&job, &reason, &state, &fault, &events, &letters, &lag, &waited, &byHand); err != nil {
			return err
		}
		behind := "unknown"
		if lag != nil {
			behind = fmt.Sprint(*lag)
		}
		got = append(got, fmt.Sprint(job, " ", reason, " ", state, " ", fault, " ", events, " ", letters, " ", behind, " ", waited, " ", byHand))
		return nil
	})
	want := []string{
		"pull/tmall/s/orders schedule failed the platform is away 0 0 unknown 0 0",
		"pull/tmall/s/orders schedule succeeded  19 1 90 1.5 0",
		"reconcile manual stopped  0 0 unknown 0 1",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the view has (%v)\n%s\nwant\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What is kept of an error is text, however long the error is and whatever bytes
// it repeats.
func TestAnErrorIsKeptAsText(t *testing.T) {
	t.Parallel()
	r := &Recorder{Log: slog.New(slog.DiscardHandler)}
	for _, text := range []string{strings.Repeat("店", 500), "a" + strings.Repeat("店", 500), "ab" + strings.Repeat("店", 500), "\xb5\xea.csv: it is cut off"} {
		run := stream()
		r.Begin(run, false)
		r.End(run, false, false, errors.New(text))
		if !utf8.ValidString(run.Error) || len(run.Error) > maxError || len(run.Error) < min(len(text), maxError-2) {
			t.Errorf("of %d bytes %d are kept: %q", len(text), len(run.Error), run.Error)
		}
	}
}

// kept is a ClickHouse that is away for the first inserts.
type kept struct {
	mu    sync.Mutex
	away  int
	quiet []uint64
	state []string
}

func (k *kept) Insert(_ context.Context, block tables.Block, _ string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away > 0 {
		k.away--
		return errors.New("away")
	}
	names, values := block.Columns()
	k.quiet = append(k.quiet, values[slices.Index(names, "quiet_runs")].([]uint64)...)
	k.state = append(k.state, tables.Plain(values[slices.Index(names, "state")]).([]string)...)
	return nil
}

// Of a stream that is asked every two seconds a row a minute is enough, and
// each change of its state; no run is forgotten, though ClickHouse is away.
func TestQuietRunsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kept{away: 5}
		r := &Recorder{ClickHouse: k, Log: slog.New(slog.DiscardHandler)}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		n := 0
		for range 5 * 30 {
			run := stream()
			r.Begin(run, true)
			time.Sleep(2 * time.Second)
			var err error
			if n == 45 || n == 46 {
				err = errors.New("away")
			}
			if n == 100 {
				run.Events = 3
			}
			r.End(run, true, false, err)
			n++
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		all := uint64(len(k.quiet)) + r.quietNow("pull/tmall/s/orders")
		for _, q := range k.quiet {
			all += q
		}
		if all != uint64(n) || len(k.quiet) < 6 || len(k.quiet) > 10 {
			t.Errorf("%d rows stand for %d runs, want some 8 for %d", len(k.quiet), all, n)
		}
		if failed := slices.Index(k.state, tables.RunFailed); failed < 0 || k.state[failed+1] != tables.RunSucceeded {
			t.Errorf("the states are %s; want a failure and the success after it", k.state)
		}
	})
}

func (r *Recorder) quietNow(of string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(r.jobs[of].quiet)
}

// required are the fields that OpenLineage's JSON Schema 2-0-2 demands of an
// object, by its path; facets demand two of their own.
func missing(e map[string]any) []string {
	var faults []string
	text := func(path string, at any, keys ...string) map[string]any {
		object, ok := at.(map[string]any)
		if !ok {
			faults = append(faults, path+" is no object")
		}
		for _, key := range keys {
			if s, ok := object[key].(string); !ok || s == "" {
				faults = append(faults, path+"."+key)
			}
		}
		return object
	}
	facets := func(path string, at any) {
		if at == nil {
			return
		}
		for name, facet := range at.(map[string]any) {
			text(path+"."+name, facet, "_producer", "_schemaURL")
			more := map[string]string{"errorMessage": "message programmingLanguage", "nominalTime": "nominalStartTime", "jobType": "processingType integration"}[name]
			text(path+"."+name, facet, strings.Fields(more)...)
		}
	}
	text("event", e, "eventType", "eventTime", "producer", "schemaURL")
	if !slices.Contains([]any{"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}, e["eventType"]) {
		faults = append(faults, "event.eventType")
	}
	if at, _ := e["eventTime"].(string); at != "" {
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			faults = append(faults, "event.eventTime: "+err.Error())
		}
	}
	run := text("run", e["run"], "runId")
	if _, err := uuid.Parse(fmt.Sprint(run["runId"])); err != nil {
		faults = append(faults, "run.runId: "+err.Error())
	}
	facets("run.facets", run["facets"])
	facets("job.facets", text("job", e["job"], "namespace", "name")["facets"])
	for _, side := range []string{"inputs", "outputs"} {
		list, ok := e[side].([]any)
		if !ok {
			faults = append(faults, side+" is no list")
		}
		for _, one := range list {
			set := text(side, one, "namespace", "name")
			facets(side+".facets", set["facets"])
			facets(side+".outputFacets", set["outputFacets"])
		}
	}
	return faults
}

// Each run is a START and one end, as the specification wants them. An
// endpoint that refuses or is not there changes nothing about the runs.
func TestLineage(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []map[string]any
	refuse := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(req.Body)
		if refuse || req.Header.Get("Authorization") != "Bearer key" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var e map[string]any
		if err := json.Unmarshal(body, &e); err != nil {
			t.Error(err)
		}
		got = append(got, e)
		w.WriteHeader(http.StatusCreated)
	}))
	defer server.Close()
	l, err := NewLineage(LineageConfig{URL: server.URL + "/api/v1/lineage", Namespace: "brand", APIKey: "key", Version: "1.2.3", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r := &Recorder{ClickHouse: new(kept), Log: slog.New(slog.DiscardHandler), Lineage: l}
	all := func() {
		for _, state := range []string{tables.RunSucceeded, tables.RunFailed, tables.RunStopped} {
			run := stream()
			r.Begin(run, false)
			run.Events = 7
			var err error
			if state == tables.RunFailed {
				err = errors.New("token expired")
			}
			r.End(run, false, state == tables.RunStopped, err)
		}
		quiet := stream()
		for range 3 { // the first has a row of its own, the others have not
			r.Begin(quiet, true)
			r.End(quiet, true, false, nil)
		}
		byHand := &tables.Run{Pipeline: "night", Job: "reconcile", Task: "reconcile", Reason: "manual"}
		r.Begin(byHand, false)
		r.End(byHand, false, false, nil)
		past := &tables.Run{
			Pipeline: "backfill/tmall/s/orders/2026-09-01..2026-10-01", Job: "backfill/tmall/s/orders", Task: "backfill", Reason: "manual",
			From: time.Date(2026, 8, 31, 16, 0, 0, 0, time.UTC), To: time.Date(2026, 10, 1, 16, 0, 0, 0, time.UTC),
		}
		r.Begin(past, false)
		r.End(past, false, false, nil)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx) }()
	flush := func() {
		t.Helper()
		waiting, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := l.Flush(waiting); err != nil {
			t.Fatal(err)
		}
	}
	all()
	flush()
	mu.Lock()
	refuse = false
	mu.Unlock()
	r.jobs = nil
	all()
	flush()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	kinds := make(map[string][]string)
	for _, e := range got {
		if faults := missing(e); len(faults) > 0 {
			t.Errorf("an event lacks %s:\n%v", strings.Join(faults, ", "), e)
		}
		id := e["run"].(map[string]any)["runId"].(string)
		kinds[id] = append(kinds[id], e["eventType"].(string))
	}
	var stretches []any
	for _, e := range got {
		if facets, _ := e["run"].(map[string]any)["facets"].(map[string]any); e["job"].(map[string]any)["name"] == "backfill/tmall/s/orders" {
			of, _ := facets["nominalTime"].(map[string]any)
			stretches = append(stretches, of["nominalStartTime"], of["nominalEndTime"])
		}
	}
	if want := []any{"2026-08-31T16:00:00Z", "2026-10-01T16:00:00Z", "2026-08-31T16:00:00Z", "2026-10-01T16:00:00Z"}; !slices.Equal(stretches, want) {
		t.Errorf("a backfill's events are of %v, want its days, %v", stretches, want)
	}
	var ends []string
	for id, of := range kinds {
		if len(of) != 2 || of[0] != "START" {
			t.Errorf("run %s has the events %s", id, of)
		}
		ends = append(ends, of[1])
	}
	slices.Sort(ends)
	if want := []string{"ABORT", "COMPLETE", "COMPLETE", "COMPLETE", "COMPLETE", "FAIL"}; !slices.Equal(ends, want) {
		t.Errorf("the runs end with %s, want %s", ends, want)
	}
	// With nobody there, and nobody who sends: runs do not wait.
	l2, err := NewLineage(LineageConfig{URL: "http://127.0.0.1:1/x", Namespace: "b", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.Lineage = l2
	for range mostEvents {
		run := stream()
		r.Begin(run, false)
		r.End(run, false, false, nil)
	}
	if l2.dropped != mostEvents {
		t.Errorf("%d events were let go, want %d", l2.dropped, mostEvents)
	}
}
