package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// collector is an OTLP receiver that can be away.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	away  bool
	paths []string
	sent  bytes.Buffer
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.away {
			w.WriteHeader(http.StatusForbidden) // which is not tried again
			return
		}
		c.paths = append(c.paths, r.URL.Path)
		_, _ = io.Copy(&c.sent, r.Body)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.paths, " ") + c.sent.String()
}

func TestTracingSends(t *testing.T) {
	c := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	var said bytes.Buffer
	tracing, err := NewTracing(t.Context(), "v9", slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	flush := func(away bool) {
		c.mu.Lock()
		c.away = away
		c.mu.Unlock()
		_, span := tracing.Tracer("test").Start(t.Context(), "batch")
		span.End()
		if err := tracing.provider.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, away := range []bool{true, true, false, false} {
		flush(away)
	}
	if err := tracing.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/v1/traces", "batch", "service.name", "oneid", "v9"} {
		if !strings.Contains(c.text(), want) {
			t.Errorf("what was sent lacks %q", want)
		}
	}
	if away, back := strings.Count(said.String(), "cannot be sent"), strings.Count(said.String(), "sent again"); away != 1 || back != 1 {
		t.Errorf("said %d times that the collector is away and %d times that it is back, want once each:\n%s", away, back, said.String())
	}
}

func TestTracingIsOff(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"where no collector is named": {},
		"where it is disabled":        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
		"where none are to be sent":   {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
		"by another protocol":         {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
		"by another one for traces":   {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
			for key, value := range env {
				t.Setenv(key, value)
			}
			var said bytes.Buffer
			tracing, err := NewTracing(t.Context(), "v9", slog.New(slog.NewTextHandler(&said, nil)))
			if err != nil || tracing.Tracer("test") != nil {
				t.Fatalf("a tracer %v, %v", tracing.Tracer("test"), err)
			}
			if strings.Contains(name, "by another") != strings.Contains(said.String(), "nothing is traced") {
				t.Errorf("it says %q", said.String())
			}
			for _, variable := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
				if (env[variable] != "") != strings.Contains(said.String(), variable+" asks") {
					t.Errorf("%s is %q, and it says %q", variable, env[variable], said.String())
				}
			}
			if err := tracing.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A collector that is away at the end does not hold up the end.
func TestTracingEnds(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	tracing, err := NewTracing(t.Context(), "v9", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracing.Tracer("test").Start(t.Context(), "batch")
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tracing.Close(ctx); err != nil {
		t.Error(err)
	}
	if _, span := tracing.Tracer("test").Start(t.Context(), "late"); span.IsRecording() {
		t.Error("a span is recorded after the end")
	}
}
