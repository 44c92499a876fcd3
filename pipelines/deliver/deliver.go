// Package deliver tells the brand's own systems, such as its service desk,
// which account is which customer now: each identity change is posted to each
// webhook, as a CloudEvent in JSON, signed. Alerts go the same way, to webhooks
// of their own.
//
// Each webhook has a consumer group of its own, so that one which is away
// holds back nobody else. Delivery is at least once, the changes of an account
// in their order. A change that is not newer than the last one that the
// webhook was told of the account is not sent: it is a repetition, or comes
// from a resolver that was declared dead and woke up. A new webhook is told
// the present state of every account first.
//
// A webhook that cannot be reached, or says that it is overloaded, is waited
// for. A change that it refuses, or fails at again and again, goes to the
// dead letters with the reason "deliver", and the others go on. A letter that
// a person has replayed comes through the topic <brand>.redeliver, and is told
// to its webhook alone.
package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"oneid/internal/httpclient"
	"oneid/internal/kafka"
	"oneid/internal/pubsub"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// Webhook is an address that is told of identity changes.
type Webhook struct {
	// Name is what its consumer group is called by: another name is another
	// webhook, which is told everything from the start.
	Name string
	// URL takes a POST; it holds no password and no query.
	URL string
	// Secret signs what is sent: at least 16 bytes. A robot may have none.
	Secret string
	// Format of a webhook of alerts: empty for OneID's own, or WeCom, DingTalk or
	// Feishu for a robot, whose URL with its query is a secret.
	Format string
}

// Group is the consumer group of a webhook.
func Group(brand, webhook string) string { return brand + ".deliver." + webhook }

// Config of a Deliverer.
type Config struct {
	Brand string
	Kafka *kafka.Client
	Keys  events.Sealer
	// Webhooks are told of identity changes, Alerts of alerts.
	Webhooks, Alerts []Webhook
	Log              *slog.Logger
	// Metrics takes the counts of messages and times of handlers; nil keeps
	// none.
	Metrics prometheus.Registerer
	// Attempts is how often a change is tried that the webhook answers and
	// fails at. Default 10, which takes some minutes.
	Attempts int
	// MinWait and MaxWait bound the doubling pause between attempts.
	// Default 500 ms and a minute.
	MinWait, MaxWait time.Duration
	// Timeout of one attempt. Default 10 s.
	Timeout time.Duration
	// Transport carries what is told; nil is the network.
	Transport http.RoundTripper
	// RobotsPerSecond is how many messages a robot is sent. Default 0.25, below
	// what all of them allow.
	RobotsPerSecond float64
	// Together is how long a robot's alert waits for others of its kind, to go in
	// one message. Default a minute.
	Together time.Duration
}

// Deliverer delivers identity changes and alerts to webhooks.
type Deliverer struct {
	config        Config
	topics        events.Topics
	hooks, alerts []*hook
	newest        *newest
}

// hook is one webhook at work.
type hook struct {
	Webhook
	client *httpclient.Client
	health pipelines.Health
	told   *told    // nil for one of alerts
	news   *changes // nil for one of identity changes
	robot  *robot   // nil for one that is none
	// together puts a robot's alerts together; nil for one that is none.
	together *gathering
}

// New checks the webhooks; it connects to nothing.
func New(c Config) (*Deliverer, error) {
	if c.Attempts <= 0 {
		c.Attempts = 10
	}
	if c.MinWait <= 0 {
		c.MinWait = 500 * time.Millisecond
	}
	if c.MaxWait <= 0 {
		c.MaxWait = time.Minute
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.RobotsPerSecond <= 0 {
		c.RobotsPerSecond = robotsPerSecond
	}
	if c.Together <= 0 {
		c.Together = time.Minute
	}
	for _, w := range c.Webhooks {
		if w.Format != "" {
			return nil, fmt.Errorf("deliver: webhook %q: robots take alerts alone", w.Name)
		}
	}
	d := &Deliverer{config: c, topics: events.TopicsOf(c.Brand)}
	d.newest = newNewest(c.Kafka, d.topics.Identity)
	var err error
	if d.hooks, err = c.hooks(c.Webhooks); err != nil {
		return nil, err
	}
	for _, h := range d.hooks {
		h.told = newTold(c.Kafka, d.topics.Identity)
	}
	if d.alerts, err = c.hooks(c.Alerts); err != nil {
		return nil, err
	}
	for _, h := range d.alerts {
		h.news = newChanges(c.Kafka, d.topics.Alerts)
		if h.robot != nil {
			h.together = &gathering{within: c.Together, say: func(ctx context.Context, alerts []*events.Alert) error { return d.sayAll(ctx, h, alerts) }}
		}
	}
	return d, nil
}

// hooks checks webhooks.
func (c Config) hooks(webhooks []Webhook) ([]*hook, error) {
	var hooks []*hook
	seen := make(map[string]bool)
	for _, w := range webhooks {
		fail := func(why string) ([]*hook, error) { return nil, fmt.Errorf("deliver: webhook %q: %s", w.Name, why) }
		switch {
		case !named(w.Name):
			return fail("its name must be made of letters, digits, - and _")
		case seen[w.Name]:
			return fail("another has the same name")
		case len(w.Secret) < 16 && w.Format == "":
			return fail("its secret must have at least 16 bytes")
		}
		seen[w.Name] = true
		h := &hook{Webhook: w}
		limits := httpclient.Config{BaseURL: w.URL, Transport: c.Transport, Timeout: c.Timeout, Attempts: 1, MaxThrottle: 2 * time.Minute}
		if w.Format != "" {
			var err error
			if h.robot, limits.BaseURL, err = newRobot(w.Format, w.URL, w.Secret); err != nil {
				return fail(err.Error())
			}
			h.URL = limits.BaseURL
			limits.MaxThrottle, limits.Shop = 15*time.Minute, httpclient.Limit{Name: "robot " + w.Name, PerSecond: c.RobotsPerSecond}
		}
		// The Router waits between attempts, and keeps the order of an
		// account's changes meanwhile.
		client, err := httpclient.New(limits)
		if err != nil {
			return fail(err.Error())
		}
		h.client = client
		hooks = append(hooks, h)
	}
	return hooks, nil
}

// named says whether a name can be part of a group's.
func named(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// Run delivers until ctx ends; it returns nil then, with what was delivered
// committed.
func (d *Deliverer) Run(ctx context.Context) error {
	letters := letterbox{pubsub.NewPublisher(d.config.Kafka), d.config.Keys, make(map[string]target)}
	c := pubsub.RouterConfig{
		Log: d.config.Log, Metrics: d.config.Metrics,
		Attempts: d.config.Attempts, MinWait: d.config.MinWait, MaxWait: d.config.MaxWait, Away: isAway,
		Poison: letters, PoisonTopic: d.topics.DeadLetter,
	}
	changes, err := pubsub.NewRouter(c)
	if err != nil {
		return errors.Join(err, letters.Close())
	}
	c.Remember = rememberAlerts
	chats, err := pubsub.NewRouter(c) // a robot's pace is its own, and its alerts wait for each other
	if err != nil {
		return errors.Join(err, letters.Close())
	}
	c.PerSecond = alertsPerSecond
	alerts, err := pubsub.NewRouter(c)
	if err != nil {
		return errors.Join(err, letters.Close())
	}
	// Each handler has a consumer group of its own.
	handle := func(router *pubsub.Router, name, topic, group string, to target, work func(*message.Message) error) {
		letters.of[name] = to
		inFlight := 0
		if router == chats {
			inFlight = mostTogether
		}
		router.Handle(name, topic, pubsub.NewSubscriber(d.config.Kafka, group, inFlight, d.config.Log), work)
	}
	brand := d.config.Brand
	for _, h := range d.hooks {
		to := target{events.StreamIdentity, h.Name}
		handle(changes, "deliver-"+h.Name, d.topics.Identity, Group(brand, h.Name), to, func(m *message.Message) error { return d.deliver(h, m) })
		handle(changes, "redeliver-"+h.Name, d.topics.Redeliver, Group(brand, h.Name)+".again", to, func(m *message.Message) error { return d.again(h, to, m) })
	}
	webhooks, robots := 0, 0
	for _, h := range d.alerts {
		to, router := target{events.StreamAlerts, h.Name}, alerts
		if h.robot != nil {
			router, h.together.leaving = chats, ctx.Done()
			robots++
		} else {
			webhooks++
		}
		handle(router, "alert-"+h.Name, d.topics.Alerts, alertGroup(brand, h.Name), to, func(m *message.Message) error { return d.change(h, m) })
		handle(changes, "alert-again-"+h.Name, d.topics.Redeliver, alertGroup(brand, h.Name)+".again", to, func(m *message.Message) error { return d.again(h, to, m) })
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return changes.Run(ctx) })
	if webhooks > 0 {
		group.Go(func() error { return alerts.Run(ctx) })
	}
	if robots > 0 {
		group.Go(func() error { return chats.Run(ctx) })
	}
	return errors.Join(group.Wait(), letters.Close())
}

// deliver tells a webhook of one change.
func (d *Deliverer) deliver(h *hook, m *message.Message) error {
	origin, ok := pubsub.OriginOf(m.Context())
	if !ok {
		return errors.New("deliver: the message has no origin")
	}
	if len(m.Payload) == 0 {
		return nil // the account was erased from the topic: there is nothing to tell
	}
	change := new(events.IdentityChange)
	if err := proto.Unmarshal(m.Payload, change); err != nil {
		return errors.New("deliver: the message is no identity change")
	}
	if err := h.told.upTo(m.Context(), origin); err != nil {
		return err
	}
	if !h.told.isNewer(change) {
		return nil
	}
	if err := d.tell(m.Context(), h, change); err != nil {
		return err
	}
	h.told.note(change)
	return nil
}

// tell posts a change to a webhook.
func (d *Deliverer) tell(ctx context.Context, h *hook, change *events.IdentityChange) error {
	body, err := changeEvent(d.config.Brand, change)
	if err != nil {
		return err
	}
	return d.post(ctx, h, eventID(change), body)
}

// post posts an event to a webhook, once.
func (d *Deliverer) post(ctx context.Context, h *hook, id string, body []byte) error {
	_, err := h.client.Do(ctx, "webhook",
		func(int) (httpclient.Request, error) {
			return httpclient.Request{Body: body, Header: signed(id, time.Now(), body, h.Secret)}, nil
		},
		h.client.StatusError)
	d.note(h, err)
	if err != nil {
		return fmt.Errorf("deliver: tell webhook %s: %w", h.Name, err)
	}
	return nil
}

// isAway says whether the webhook is not there, rather than failing at what it
// was told.
func isAway(err error) bool {
	var call *httpclient.Error
	if !errors.As(err, &call) || !call.Again {
		return false
	}
	switch call.Status {
	case 0, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// note logs when a webhook goes away and when it is back, once each.
func (d *Deliverer) note(h *hook, err error) {
	switch {
	case err == nil:
		if was, _, _ := h.health.Get(); h.health.Set(pipelines.Working, nil) && was == pipelines.Waiting {
			d.config.Log.Info("the webhook is back", "webhook", h.Name)
		}
	case isAway(err):
		if h.health.Set(pipelines.Waiting, err) {
			d.config.Log.Warn("a webhook is away; waiting", "webhook", h.Name, "error", err)
		}
	}
}

// target is whom a handler tells, and of what.
type target struct{ stream, webhook string }

// letterbox makes dead letters of poison.
type letterbox struct {
	message.Publisher
	keys events.Sealer
	of   map[string]target // by handler; complete before the first message
}

// Publish writes a letter for each message.
func (l letterbox) Publish(topic string, messages ...*message.Message) error {
	var out []*message.Message
	for _, m := range messages {
		origin, _ := pubsub.OriginOf(m.Context())
		place := fmt.Sprintf("%s/%d@%d", origin.Topic, origin.Partition, origin.Offset)
		to, key, value := l.of[message.HandlerNameFromCtx(m.Context())], string(events.LetterKey([]byte(m.Metadata.Get(pubsub.KeyMetadata)))), []byte(m.Payload)
		letter := &events.DeadLetter{
			LetterId: events.DeliveryLetter(to.webhook, place), Stream: to.stream, Reason: events.ReasonDeliver,
			Detail: m.Metadata.Get("reason_poisoned"), Origin: place, Attempts: 1, FirstSeenMs: time.Now().UnixMilli(),
		}
		if again, ok := redelivery(m); ok {
			letter.Attempts, value = again.GetAttempts(), again.GetValue()
		}
		if account := strings.SplitN(key, "/", 3); to.stream == events.StreamIdentity && len(account) == 3 {
			letter.Platform, letter.Shop = account[0], account[1]
		}
		parts, err := events.Letters(letter, value, l.keys)
		if err != nil {
			return fmt.Errorf("deliver: make the dead letter of %s: %w", place, err)
		}
		for _, part := range parts {
			out = append(out, pubsub.NewMessage(m.Context(), key, part.Value, part.Headers))
		}
	}
	return l.Publisher.Publish(topic, out...)
}
