package deliver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"oneid/pipelines"
	"oneid/schemas/events"
)

// gathering puts alerts of one kind together that come within a while, so that
// one platform that is away does not fill a chat with the streams of all shops.
// An alert's message is done once the text that has it was said: nothing is kept
// here that Kafka does not give again.
type gathering struct {
	// within is how long after its change an alert waits for others; leaving is
	// closed when nothing shall wait any longer.
	within  time.Duration
	leaving <-chan struct{}
	say     func(ctx context.Context, alerts []*events.Alert) error

	mu   sync.Mutex
	open map[string]*gathered // by kind: those that wait
}

// gathered are alerts that go in one text. The first one's caller says it.
type gathered struct {
	alerts []*events.Alert
	said   chan struct{} // closed once err holds
	err    error
}

// mostTogether bounds the alerts of one robot that are held at once: more than
// all streams of a brand with a hundred shops.
const mostTogether = 1000

// straggle is how long at least alerts wait for others: those that come behind
// an outage of our own are old, and come together.
const straggle = time.Second

// tell returns once a text that has the alert was said, or could not be.
func (g *gathering) tell(ctx context.Context, a *events.Alert) error {
	g.mu.Lock()
	with := g.open[a.GetKind()]
	first := with == nil
	if first {
		with = &gathered{said: make(chan struct{})}
		if g.open == nil {
			g.open = make(map[string]*gathered)
		}
		g.open[a.GetKind()] = with
	}
	with.alerts = append(with.alerts, a)
	g.mu.Unlock()
	if !first {
		select {
		case <-with.said:
			return with.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g.wait(ctx, time.UnixMilli(a.GetChangedMs()))
	g.mu.Lock()
	delete(g.open, a.GetKind())
	g.mu.Unlock()
	with.err = g.say(ctx, with.alerts)
	close(with.said)
	return with.err
}

// wait waits for the others of an alert that changed at a time.
func (g *gathering) wait(ctx context.Context, changed time.Time) {
	timer := time.NewTimer(min(max(time.Until(changed.Add(g.within)), min(straggle, g.within)), g.within))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.leaving:
	case <-ctx.Done():
	}
}

// sayAll says alerts of one kind to a robot, in one text. Those that it could not
// be told for a while stay together: it is asked again here.
func (d *Deliverer) sayAll(ctx context.Context, h *hook, alerts []*events.Alert) error {
	wait := pipelines.Backoff{Min: d.config.MinWait, Max: d.config.MaxWait}
	for {
		err := d.say(ctx, h, h.robot.texts(d.config.Brand, alerts))
		if err == nil || !isAway(err) || wait.Wait(ctx) != nil {
			return err
		}
	}
}

// maxLine bounds what is said of one alert among others, in bytes.
const maxLine = 200

// texts says alerts of one kind to people: one as it is, several as a list, in
// the order in which they came.
func (r *robot) texts(brand string, alerts []*events.Alert) string {
	if len(alerts) == 1 {
		return r.text(brand, alerts[0])
	}
	raised := 0
	for _, a := range alerts {
		if events.AlertSays(a) != "" {
			raised++
		}
	}
	begins := sign(raised > 0)
	head := fmt.Sprintf("%s OneID %s: %s: %d raised, %d well again", begins, brand, alerts[0].GetKind(), raised, len(alerts)-raised)
	// Room for the last line, and for the time.
	left := maxText - len(head) - 100
	var lines strings.Builder
	for i, a := range alerts {
		says := "is well again"
		if detail := events.AlertSays(a); detail != "" {
			first, _, _ := strings.Cut(detail, "\n")
			says = withoutPhones(first)
		}
		line := cut("\n"+sign(events.AlertSays(a) != "")+" "+a.GetSubject()+": "+says, maxLine)
		if left -= len(line); left < 0 {
			fmt.Fprintf(&lines, "\n… and %d more: see oneid status", len(alerts)-i)
			break
		}
		lines.WriteString(line)
	}
	return head + lines.String() + "\n" + time.UnixMilli(alerts[len(alerts)-1].GetChangedMs()).UTC().Format(time.RFC3339)
}
