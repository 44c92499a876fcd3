// Package alert tells people when something begins to need them, and when it
// does no longer: once each, whatever happens how often in between. An alert
// goes into the topic <brand>.alerts, from where webhooks are told of it.
//
// What stands lies in the topic: each process reads on there before it tells
// anything, so that an alert which it finds mended is cleared, and one which
// goes on is not raised again, whichever process has raised it. Two processes
// may notice a thing at the same moment, and both say it: who tells people goes
// by the order of the topic. While Kafka is
// away alerts wait, the last state of each.
package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/internal/pubsub"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// What is watched.
const (
	// Resolver: it waits for a store, or has stopped. The subject is what a person
	// can act on: clickhouse, kafka, disk, or resolver itself.
	Resolver = "resolver"
	// Connector: a stream that a platform refuses until a person acts, or that
	// fails for minutes. The subject is platform/shop/stream.
	Connector = "connector"
	// Authorisation: a shop whose token is dead, until its owner consents anew.
	// The subject is platform/shop.
	Authorisation = "authorisation"
	// Consent: a shop that is read, and needs its owner's consent within days. The
	// subject is platform/shop.
	Consent = "consent"
	// Reconciliation: what a platform lists and what is stored differ. The
	// subject is platform/shop/stream.
	Reconciliation = "reconciliation"
	// Pipeline: one whose last run failed. The subject is its name.
	Pipeline = "pipeline"
	// Drift: payloads are not of the form that their connector knows. The
	// subject is platform/shop/stream. Each change of what differs is told.
	Drift = events.AlertDrift
	// Missing: a live stream goes on without a part of what it should read, for want of a
	// right, or since the platform counts what it does not give, until a person accepts it.
	// The subject is platform/shop/stream.
	Missing = events.AlertMissing
	// Rows: ClickHouse refused rows of who is who, and they wait in the dead
	// letter. The subject is the stream of such letters.
	Rows = "rows"
)

// maxDetail bounds what an alert says, in bytes.
const maxDetail = 1000

// Alerts publishes alerts. Fill it before Run; Set may be called at any time,
// also before it.
type Alerts struct {
	Kafka     *kafka.Client
	Publisher message.Publisher
	Topic     string
	Log       *slog.Logger

	mu     sync.Mutex
	wanted map[subject]string // what is wrong, empty if nothing is, until it is told
	well   map[string]bool    // kinds of which nothing is wrong but what is wanted, until it is told
	moved  chan struct{}      // holds one thing while one of both has changed
}

type subject struct{ kind, name string }

// Set says what is wrong with a subject of a kind, and what to do; an empty
// detail says that all is well.
func (a *Alerts) Set(kind, name, detail string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.start()
	a.wanted[subject{kind, name}] = printable(detail)
	a.tellRun()
}

// Clear says that all is well with every subject of a kind, also with those
// that a process has raised which is gone.
func (a *Alerts) Clear(kind string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.start()
	maps.DeleteFunc(a.wanted, func(about subject, _ string) bool { return about.kind == kind })
	a.well[kind] = true
	a.tellRun()
}

// tellRun wakes Run; mu is held.
func (a *Alerts) tellRun() {
	select {
	case a.moved <- struct{}{}:
	default:
	}
}

// printable is a detail as the topic takes it: an error may repeat the bytes of
// a file's name, in any encoding.
func printable(detail string) string {
	return events.Cut(strings.ToValidUTF8(detail, "\uFFFD"), maxDetail)
}

// start makes what is not there yet; mu is held.
func (a *Alerts) start() {
	if a.wanted == nil {
		a.wanted, a.well, a.moved = make(map[subject]string), make(map[string]bool), make(chan struct{}, 1)
	}
}

// Run publishes what changes until ctx ends, and returns nil then. It waits for
// Kafka, and returns an error only for what waiting does not cure.
func (a *Alerts) Run(ctx context.Context) error {
	a.mu.Lock()
	a.start()
	a.mu.Unlock()
	s := standing{raised: make(map[subject]string)}
	var wait pipelines.Backoff
	for {
		err := a.publish(ctx, &s)
		switch {
		case ctx.Err() != nil:
			// What was set last is told by nobody else.
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if err := a.publish(ending, &s); err != nil && !kafka.IsAway(err) && ending.Err() == nil {
				return err
			}
			return nil
		case err != nil && !kafka.IsAway(err):
			return err
		case err != nil:
			_ = wait.Wait(ctx) // cut short by the end alone
			continue
		}
		wait.Reset()
		select {
		case <-a.moved:
			_ = pipelines.Sleep(ctx, gather) // cut short by the end alone
		case <-ctx.Done():
		}
	}
}

// gather is how long changes wait for others: each reading of the topic costs.
const gather = 200 * time.Millisecond

// standing is which alerts stand and what was said of them, as of an offset of
// the topic.
type standing struct {
	raised map[subject]string
	next   int64
}

// publish publishes whatever is not as it was told last, by any process.
func (a *Alerts) publish(ctx context.Context, s *standing) error {
	a.mu.Lock()
	now, well := maps.Clone(a.wanted), maps.Clone(a.well)
	a.mu.Unlock()
	if len(now)+len(well) == 0 {
		return nil
	}
	if err := a.catchUp(ctx, s); err != nil {
		return err
	}
	for about, detail := range s.raised {
		if _, said := now[about]; said || detail == "" || !well[about.kind] {
			continue
		}
		if err := a.tell(ctx, about, "", false); err != nil {
			return err
		}
		s.raised[about] = ""
	}
	a.mu.Lock()
	maps.DeleteFunc(a.well, func(kind string, _ bool) bool { return well[kind] })
	a.mu.Unlock()
	for about, detail := range now {
		if events.AlertRenews(about.kind, s.raised[about], detail) {
			if err := a.tell(ctx, about, detail, !events.AlertChanges(about.kind, s.raised[about], detail)); err != nil {
				return err
			}
			s.raised[about] = detail
		}
		// From here on another process may have other news of it.
		a.mu.Lock()
		if a.wanted[about] == detail {
			delete(a.wanted, about)
		}
		a.mu.Unlock()
	}
	return nil
}

// tell publishes what is said of a subject; renewed says that only the text is another.
func (a *Alerts) tell(ctx context.Context, s subject, detail string, renewed bool) error {
	at := time.Now().UnixMilli()
	alert := &events.Alert{
		AlertId: fmt.Sprintf("%s|%s|%d", s.kind, s.name, at), Kind: s.kind, Subject: s.name,
		State: events.AlertState_ALERT_STATE_RAISED, Detail: detail, ChangedMs: at,
	}
	if detail == "" {
		alert.State = events.AlertState_ALERT_STATE_CLEARED
	}
	value, err := proto.Marshal(alert)
	if err != nil {
		return fmt.Errorf("alert: make an alert: %w", err)
	}
	if err := a.Publisher.Publish(a.Topic, pubsub.NewMessage(ctx, s.kind+"/"+s.name, value, events.DescribeAlert(alert).Headers())); err != nil {
		return fmt.Errorf("alert: publish an alert: %w", err)
	}
	switch {
	case detail == "":
		a.Log.Info("an alert is cleared", "kind", s.kind, "subject", s.name)
	case renewed:
		a.Log.Info("an alert says more of the same", "kind", s.kind, "subject", s.name, "detail", detail)
	default:
		a.Log.Warn("an alert is raised", "kind", s.kind, "subject", s.name, "detail", detail)
	}
	return nil
}

// catchUp reads from the topic which alerts were raised and not cleared.
func (a *Alerts) catchUp(ctx context.Context, s *standing) error {
	first, next, err := a.Kafka.Ends(ctx, a.Topic)
	if err != nil {
		return err
	}
	err = a.Kafka.ReadRange(ctx, a.Topic, 0, max(s.next, first[0]), next[0], false, func(m kafka.Fetched) error {
		alert := new(events.Alert)
		if proto.Unmarshal(m.Value, alert) == nil {
			s.raised[subject{alert.GetKind(), alert.GetSubject()}] = events.AlertSays(alert)
		}
		return nil
	})
	if errors.Is(err, kafka.ErrTrimmed) { // the oldest left while they were read
		return a.catchUp(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("alert: read which alerts stand: %w", err)
	}
	s.next = next[0]
	return nil
}

// Standing reads which alerts stand now, by kind and subject.
func Standing(ctx context.Context, client *kafka.Client, topic string) ([]*events.Alert, error) {
	last := make(map[subject]*events.Alert)
	err := client.ReadAll(ctx, topic, func(_ int, m kafka.Fetched) error {
		alert := new(events.Alert)
		if proto.Unmarshal(m.Value, alert) == nil {
			last[subject{alert.GetKind(), alert.GetSubject()}] = alert
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("alert: read which alerts stand: %w", err)
	}
	var list []*events.Alert
	for _, alert := range last {
		if alert.GetState() == events.AlertState_ALERT_STATE_RAISED {
			list = append(list, alert)
		}
	}
	slices.SortFunc(list, func(a, b *events.Alert) int {
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetSubject(), b.GetSubject()))
	})
	return list, nil
}
