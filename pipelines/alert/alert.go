// Package alert tells people when something begins to need them, and when it
// does no longer: once each, whatever happens how often in between. An alert
// goes into the topic <brand>.alerts, from where webhooks are told of it.
//
// What stands lies in the topic: a process that starts goes on from there, so
// that an alert which it finds mended is cleared, and one which goes on is not
// raised again. While Kafka is away alerts wait, the last state of each.
package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	// Resolver: it waits for a store, or has stopped. The subject is its machine.
	Resolver = "resolver"
	// Connector: a stream that a platform refuses until a person acts, or that
	// fails for minutes. The subject is platform/shop/stream.
	Connector = "connector"
	// Reconciliation: what a platform lists and what is stored differ. The
	// subject is platform/shop/stream.
	Reconciliation = "reconciliation"
	// Pipeline: one whose last run failed. The subject is its name.
	Pipeline = "pipeline"
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
	wanted map[subject]string // what is wrong; empty if nothing is
	moved  chan struct{}      // holds one thing while wanted has changed
}

type subject struct{ kind, name string }

// Set says what is wrong with a subject of a kind, and what to do; an empty
// detail says that all is well.
func (a *Alerts) Set(kind, name, detail string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.start()
	a.wanted[subject{kind, name}] = detail[:min(len(detail), maxDetail)]
	select {
	case a.moved <- struct{}{}:
	default:
	}
}

// start makes what is not there yet; mu is held.
func (a *Alerts) start() {
	if a.wanted == nil {
		a.wanted, a.moved = make(map[subject]string), make(chan struct{}, 1)
	}
}

// Run publishes what changes until ctx ends, and returns nil then. It waits for
// Kafka, and returns an error only for what waiting does not cure.
func (a *Alerts) Run(ctx context.Context) error {
	a.mu.Lock()
	a.start()
	a.mu.Unlock()
	var raised map[subject]bool
	var wait pipelines.Backoff
	for {
		err := a.publish(ctx, &raised)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !kafka.IsAway(err):
			return err
		case err != nil:
			if wait.Wait(ctx) != nil {
				return nil
			}
			continue
		}
		wait.Reset()
		select {
		case <-a.moved:
		case <-ctx.Done():
			return nil
		}
	}
}

// publish publishes whatever is not as it was told last. raised is what stands,
// nil before it was read.
func (a *Alerts) publish(ctx context.Context, raised *map[subject]bool) error {
	if *raised == nil {
		standing, err := a.standing(ctx)
		if err != nil {
			return err
		}
		*raised = standing
	}
	a.mu.Lock()
	now := make(map[subject]string, len(a.wanted))
	for s, detail := range a.wanted {
		now[s] = detail
	}
	a.mu.Unlock()
	for s, detail := range now {
		if (detail != "") == (*raised)[s] {
			continue
		}
		if err := a.tell(ctx, s, detail); err != nil {
			return err
		}
		(*raised)[s] = detail != ""
	}
	return nil
}

func (a *Alerts) tell(ctx context.Context, s subject, detail string) error {
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
	if detail == "" {
		a.Log.Info("an alert is cleared", "kind", s.kind, "subject", s.name)
	} else {
		a.Log.Warn("an alert is raised", "kind", s.kind, "subject", s.name, "detail", detail)
	}
	return nil
}

// standing reads from the topic which alerts were raised and not cleared.
func (a *Alerts) standing(ctx context.Context) (map[subject]bool, error) {
	first, next, err := a.Kafka.Ends(ctx, a.Topic)
	if err != nil {
		return nil, err
	}
	raised := make(map[subject]bool)
	err = a.Kafka.ReadRange(ctx, a.Topic, 0, first[0], next[0], false, func(m kafka.Fetched) error {
		alert := new(events.Alert)
		if proto.Unmarshal(m.Value, alert) == nil {
			raised[subject{alert.GetKind(), alert.GetSubject()}] = alert.GetState() == events.AlertState_ALERT_STATE_RAISED
		}
		return nil
	})
	if errors.Is(err, kafka.ErrTrimmed) { // the oldest left while they were read
		return a.standing(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("alert: read which alerts stand: %w", err)
	}
	return raised, nil
}
