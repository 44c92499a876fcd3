package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/connectors"
	"oneid/internal/kafka"
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

// alerting publishes alerts, and watches the resolver for them, until ctx ends;
// also what it ended of.
func (n *node) alerting(ctx context.Context) error {
	telling, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.alerts.Run(telling) })
	group.Go(func() error {
		defer stop() // what was said last is told
		machine, err := os.Hostname()
		if err != nil {
			machine = "unknown"
		}
		watch := resolverWatch{alerts: n.alerts, machine: machine}
		var asked time.Time
		for pipelines.Sleep(ctx, time.Second) == nil {
			if time.Since(asked) >= rowsEvery {
				asked = time.Now()
				n.alertRows(ctx)
			}
			watch.look(n.resolver.Health())
		}
		if state, cause, since := n.resolver.Health(); state == pipelines.Stopped {
			watch.look(state, cause, since)
		}
		return nil
	})
	return group.Wait()
}

// resolverWatch makes alerts of the states of this process's resolver. Several
// processes have one each, and their alerts are of the same subjects: so each
// says what has changed with it, and who waits says so again now and then.
type resolverWatch struct {
	alerts interface {
		Set(kind, name, detail string)
		Clear(kind string)
	}
	machine string

	// What was said last: of which subject (empty for none), when, and whether
	// all was well.
	about string
	at    time.Time
	well  bool
	begun bool // something was seen of this resolver
}

// sayAgain is how often a resolver that waits says so: another's, that works
// again, may have cleared it.
const sayAgain = time.Minute

// look takes a state, its cause, and since when it is so.
func (w *resolverWatch) look(state pipelines.State, cause error, since time.Time) {
	switch {
	case state == pipelines.Working:
		// The flow goes on: whatever another, also one that is gone, has raised.
		if !w.well {
			w.alerts.Clear(alert.Resolver)
		}
		w.about, w.well, w.begun = "", true, true
	case state == pipelines.Standby:
		switch {
		case w.about != "":
			w.alerts.Set(alert.Resolver, w.about, "")
		case !w.begun: // what stands may be of the process before; who waits says so again
			w.alerts.Clear(alert.Resolver)
		}
		w.about, w.well, w.begun = "", false, true
	case state == pipelines.Stopped || state == pipelines.Waiting && time.Since(since) >= alertAfter:
		about := hindrance(state, cause)
		if w.about == about && time.Since(w.at) < sayAgain {
			return
		}
		if w.about != "" && w.about != about {
			w.alerts.Set(alert.Resolver, w.about, "")
		}
		w.about, w.at, w.well, w.begun = about, time.Now(), false, true
		w.alerts.Set(alert.Resolver, about, fmt.Sprintf("the resolver on %s is %s: %v; see \"What can go wrong\" in docs/operate.md", w.machine, state, cause))
	}
}

// hindrance is what a person can act on when a resolver does not work.
func hindrance(state pipelines.State, cause error) string {
	var coded interface{ Code() string }
	code := ""
	if errors.As(cause, &coded) {
		code = coded.Code()
	}
	switch {
	case code == "state_full":
		return "disk"
	case state == pipelines.Stopped:
		return "resolver"
	case strings.HasPrefix(code, "clickhouse"):
		return "clickhouse"
	case kafka.IsAway(cause):
		return "kafka"
	}
	return "resolver"
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
func (n *node) alertStream(c connectors.Connector, platform, shop, stream string, err error) {
	if n.alerts == nil {
		return
	}
	subject := platform + "/" + shop + "/" + stream
	switch {
	case err == nil:
		n.failing.Delete(subject)
		n.alerts.Set(alert.Connector, subject, "")
		n.alerts.Set(alert.Authorisation, platform+"/"+shop, "")
		n.alertConsent(c, platform, shop)
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

// consentAlert is how long before a new consent is needed people are told.
const consentAlert = 7 * 24 * time.Hour

// alertConsent notes that a shop which is read needs its owner's consent soon. While the
// tokens cannot be read it is as it was.
func (n *node) alertConsent(c connectors.Connector, platform, shop string) {
	authoriser, ok := c.(connectors.Authoriser)
	if !ok || n.tokens == nil {
		return
	}
	asking, cancel := context.WithTimeout(context.Background(), time.Second) // Ended has none
	defer cancel()
	token, err := n.tokens.Of(platform, shop).Load(asking)
	if err != nil {
		return
	}
	n.alerts.Set(alert.Consent, platform+"/"+shop, consentSaid(authoriser, token, platform, shop, time.Now()))
}

// consentSaid says until when a shop can be read without a consent; "" while that is far
// off, or nobody can say.
func consentSaid(c connectors.Authoriser, token connectors.Token, platform, shop string, now time.Time) string {
	end, needed := tokenEnd(c, token)
	if !needed || end.Sub(now) >= consentAlert {
		return ""
	}
	return fmt.Sprintf("the shop is read until %s, when its token ends for good: run `oneid connect %s --shop %s` before, and let its owner consent anew", end.UTC().Format(time.RFC3339), platform, shop)
}

// alertMissing notes what the live reading of a stream left out and goes on without, as
// its cursor says. Whether that was accepted, or read by a backfill, another process may
// have written since.
func (n *node) alertMissing(c connectors.Connector, platform, shop, stream string) {
	if n.alerts == nil {
		return
	}
	l := n.lacks(c, platform, shop, stream)
	asking, cancel := context.WithTimeout(context.Background(), time.Second) // Ended has none
	defer cancel()
	if _, lacked := n.lacked.Load(l.Stream); l.Lacks != "" || lacked {
		if err := n.cursors.Refresh(asking); err != nil {
			return // as it was
		}
		l = n.lacks(c, platform, shop, stream)
	}
	if l.Lacks != "" {
		n.lacked.Store(l.Stream, true)
	} else {
		if n.cursors.Get(lackPrefix+l.Stream) != "" { // what was accepted is over; a later one is asked about anew
			if err := n.cursors.Remove(asking, lackPrefix+l.Stream); err != nil {
				return // with the next reading
			}
		}
		n.lacked.Delete(l.Stream)
	}
	if l.State != lackOpen {
		l.Lacks = ""
	}
	n.alerts.Set(alert.Missing, l.Stream, l.Lacks)
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
