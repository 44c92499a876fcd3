package resolve

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"oneid/schemas/events"
)

// The stages of a batch, by the names that metrics and spans give them.
const (
	stageDecode  = "decode"
	stageJournal = "journal"
	stageApply   = "apply"
	stageInsert  = "insert"
	stagePublish = "publish"
	stageDeliver = "deliver"
	stageCommit  = "commit"
)

// Stages are all there are, in the order in which a batch goes through them.
var Stages = []string{stageDecode, stageJournal, stageApply, stageInsert, stagePublish, stageDeliver, stageCommit}

// TracerName is under which the spans of this package are made.
const TracerName = "oneid/pipelines/resolve"

// trace does work under a span: "batch" is the whole way of one batch, "follow"
// what one that stands by does with it. Either begins with decoding, which is
// done by then: the next batch is decoded beside the one in work.
func (r *Resolver) trace(ctx context.Context, name string, d decoded, work func(context.Context) error) error {
	if r.Counters.Stage != nil {
		r.Counters.Stage(stageDecode, d.ended.Sub(d.began))
	}
	if r.Tracer == nil {
		return work(ctx)
	}
	ctx, span := r.Tracer.Start(ctx, name, trace.WithTimestamp(d.began))
	defer span.End()
	_, decoding := r.Tracer.Start(ctx, stageDecode, trace.WithTimestamp(d.began))
	decoding.End(trace.WithTimestamp(d.ended))
	return fails(span, work(ctx))
}

// stage does one stage of a batch, under a span of its own, and notes how long
// it took.
func (r *Resolver) stage(ctx context.Context, name string, work func(context.Context) error) error {
	began := time.Now()
	err := within(ctx, name, work)
	if r.Counters.Stage != nil {
		r.Counters.Stage(name, time.Since(began))
	}
	return err
}

// within does work under a span below that of ctx; without one there, under
// none.
func within(ctx context.Context, name string, work func(context.Context) error, about ...attribute.KeyValue) error {
	above := trace.SpanFromContext(ctx)
	if !above.IsRecording() {
		return work(ctx)
	}
	ctx, span := above.TracerProvider().Tracer(TracerName).Start(ctx, name, trace.WithAttributes(about...))
	defer span.End()
	return fails(span, work(ctx))
}

// fails marks a span whose work failed. The log has the reason: an error's
// text leaves the process nowhere else.
func fails(span trace.Span, err error) error {
	if err != nil {
		span.SetStatus(codes.Error, "see the log")
	}
	return err
}

// describe says on the batch's span which one it is and how large.
func describe(ctx context.Context, b *Batch) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(
		attribute.Int64("oneid.sequence", int64(b.Sequence)), attribute.Int64("oneid.epoch", int64(b.Epoch)),
		attribute.Int("oneid.events", b.eventCount()), attribute.Int("oneid.decisions", len(b.Decisions)), attribute.Int("oneid.dead_letters", len(b.letters)))
}

// countMoves counts the accounts that were born or moved, and the customers
// that merged and split: a customer of many accounts that becomes part of
// another is one merge.
func (r *Resolver) countMoves(changes []*events.IdentityChange) {
	count(r.Counters.Moves, len(changes))
	merged, split := make(map[string]bool), make(map[string]bool)
	for _, change := range changes {
		switch {
		case change.GetPreviousCustomerId() == "": // born
		case strings.HasPrefix(change.GetReason(), "merged"):
			merged[change.GetPreviousCustomerId()] = true
		default:
			split[change.GetCustomerId()] = true
		}
	}
	count(r.Counters.Merges, len(merged))
	count(r.Counters.Splits, len(split))
}
