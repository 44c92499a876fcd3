package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracing sends spans to a collector; off, where none is named.
type Tracing struct{ provider *sdktrace.TracerProvider }

// spoken is the protocol of OTLP that spans are sent by.
const spoken = "http/protobuf"

// NewTracing sends spans by OTLP over HTTP to where the environment says
// (OTEL_EXPORTER_OTLP_ENDPOINT, or …_TRACES_ENDPOINT; all of OpenTelemetry's
// variables hold, those of sampling and of the service's name too). With
// neither, or with OTEL_SDK_DISABLED=true or OTEL_TRACES_EXPORTER=none, it is off,
// and so it is, with a warning, where another protocol is asked for. A collector
// that is away costs spans and holds nothing up.
func NewTracing(ctx context.Context, version string, log *slog.Logger) (*Tracing, error) {
	endpoint := os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") + os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if endpoint == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return &Tracing{}, nil
	}
	// The exporter does not look: it would send what the collector cannot read.
	asking := "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	if os.Getenv(asking) == "" {
		asking = "OTEL_EXPORTER_OTLP_PROTOCOL"
	}
	if protocol := cmp.Or(os.Getenv(asking), spoken); protocol != spoken {
		log.Warn("nothing is traced: traces are sent by "+spoken+" alone (port 4318 of most collectors), and "+asking+" asks for another", "protocol", protocol)
		return &Tracing{}, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("telemetry: send traces as OTEL_EXPORTER_OTLP_… says: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "oneid"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return &Tracing{sdktrace.NewTracerProvider(sdktrace.WithBatcher(&sayOnce{SpanExporter: exporter, log: log}), sdktrace.WithResource(about))}, nil
}

// Tracer makes spans; nil when tracing is off.
func (t *Tracing) Tracer(name string) trace.Tracer {
	if t.provider == nil {
		return nil
	}
	return t.provider.Tracer(name)
}

// Close sends what is left, until ctx ends.
func (t *Tracing) Close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	// What could not be sent was said by the exporter.
	if err := t.provider.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("telemetry: end tracing: %w", err)
	}
	return nil
}

// sayOnce says once that the collector is away, and once that it is back.
type sayOnce struct {
	sdktrace.SpanExporter
	log  *slog.Logger
	away atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter.
func (s *sayOnce) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	switch err := s.SpanExporter.ExportSpans(ctx, spans); {
	case err != nil && !s.away.Swap(true):
		s.log.Warn("traces cannot be sent; the flow goes on without", "error", err)
	case err == nil && s.away.Swap(false):
		s.log.Info("traces are sent again")
	}
	return nil
}
