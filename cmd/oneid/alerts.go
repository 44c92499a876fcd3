package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"oneid/connectors"
	"oneid/internal/pubsub"
	"oneid/pipelines"
	"oneid/pipelines/alert"
	"oneid/schemas/events"
)

// alertAfter is how long the resolver may wait for a store before people are
// told: most of what is away is back by then.
const alertAfter = 30 * time.Second

// failingAfter is how long a stream may fail before people are told: a platform
// that is away is back in most cases.
const failingAfter = 5 * time.Minute

// startAlerts makes what publishes alerts; they are published by alerting.
func (n *node) startAlerts() {
	publisher := pubsub.NewPublisher(n.kafka)
	n.closers = append(n.closers, publisher.Close)
	n.alerts = &alert.Alerts{Kafka: n.kafka, Publisher: publisher, Topic: n.topics.Alerts, Log: n.log}
}

// alerting publishes alerts, and watches the resolver for them, until ctx ends.
func (n *node) alerting(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		machine, err := os.Hostname()
		if err != nil {
			machine = "unknown"
		}
		var asked time.Time
		for pipelines.Sleep(watching, time.Second) == nil {
			if time.Since(asked) >= rowsEvery {
				asked = time.Now()
				n.alertRows(watching)
			}
			state, cause, since := n.resolver.Health()
			if detail, known := resolverAlert(state, cause, time.Since(since)); known {
				n.alerts.Set(alert.Resolver, machine, detail)
			}
		}
	}()
	err := n.alerts.Run(ctx)
	stop()
	<-ended
	return err
}

// resolverAlert is what a resolver in a state for some time is an alert of,
// empty for none; known is false while that cannot be said.
func resolverAlert(state pipelines.State, cause error, since time.Duration) (detail string, known bool) {
	switch {
	case state == pipelines.Working || state == pipelines.Standby:
		return "", true
	case state == pipelines.Stopped || state == pipelines.Waiting && since >= alertAfter:
		return fmt.Sprintf("the resolver is %s: %v; see \"What can go wrong\" in docs/operate.md", state, cause), true
	}
	return "", false
}

// rowsEvery is how often is looked for rows of who is who that were refused.
const rowsEvery = 30 * time.Second

// alertRows notes whether rows of who is who wait in the dead letter. While
// that cannot be asked it is as it was.
func (n *node) alertRows(ctx context.Context) {
	rows, err := n.desk().RefusedRows(ctx)
	if err != nil {
		return
	}
	detail := ""
	if rows > 0 {
		detail = fmt.Sprintf("ClickHouse refused %d rows of who is who, so the views miss them; `oneid deadletter list` says why, and once that is mended `oneid deadletter replay --stream %s` inserts them", rows, events.StreamRows)
	}
	n.alerts.Set(alert.Rows, events.StreamRows, detail)
}

// alertStream notes how a pull of a stream ended.
func (n *node) alertStream(platform, shop, stream string, err error) {
	if n.alerts == nil {
		return
	}
	subject := platform + "/" + shop + "/" + stream
	switch {
	case err == nil:
		n.failing.Delete(subject)
		n.alerts.Set(alert.Connector, subject, "")
		n.alerts.Set(alert.Authorisation, platform+"/"+shop, "")
	case errors.Is(err, connectors.ErrReauthorise): // one for all streams of the shop
		n.alerts.Set(alert.Authorisation, platform+"/"+shop, err.Error())
	case connectors.Stops(err):
		n.alerts.Set(alert.Connector, subject, err.Error())
	default:
		since, _ := n.failing.LoadOrStore(subject, time.Now())
		if began := since.(time.Time); time.Since(began) >= failingAfter {
			n.alerts.Set(alert.Connector, subject, fmt.Sprintf("the stream stands still since %s: %v", began.UTC().Format(time.RFC3339), err))
		}
	}
}

// alertDifference notes how many entities of a stream differ.
func (n *node) alertDifference(platform, shop, stream string, entities uint64) {
	detail := ""
	if entities > 0 {
		detail = fmt.Sprintf("%d entities differ from what the platform lists; `oneid reconcile` names them, with --repair they are read again", entities)
	}
	n.alerts.Set(alert.Reconciliation, platform+"/"+shop+"/"+stream, detail)
}

// telling publishes alerts while work runs, and what it said last after it.
func (n *node) telling(ctx context.Context, work func(context.Context) error) error {
	telling, stop := context.WithCancel(context.WithoutCancel(ctx))
	told := make(chan error, 1)
	go func() { told <- n.alerts.Run(telling) }()
	err := work(ctx)
	stop()
	return errors.Join(err, <-told)
}
