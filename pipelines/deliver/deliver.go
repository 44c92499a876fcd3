// Package deliver tells the brand's own systems, such as its service desk,
// which account is which customer now: each identity change is posted to each
// webhook, as a CloudEvent in JSON, signed.
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
// dead letters with the reason "deliver", and the others go on.
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
	// Secret signs what is sent: at least 16 bytes.
	Secret string
}

// Group is the consumer group of a webhook.
func Group(brand, webhook string) string { return brand + ".deliver." + webhook }

// Config of a Deliverer.
type Config struct {
	Brand    string
	Kafka    *kafka.Client
	Keys     events.Sealer
	Webhooks []Webhook
	Log      *slog.Logger
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
}

// Deliverer delivers identity changes to webhooks.
type Deliverer struct {
	config Config
	topics events.Topics
	hooks  []*hook
}

// hook is one webhook at work.
type hook struct {
	Webhook
	client *httpclient.Client
	health pipelines.Health
	told   *told
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
	d := &Deliverer{config: c, topics: events.TopicsOf(c.Brand)}
	seen := make(map[string]bool)
	for _, w := range c.Webhooks {
		fail := func(why string) (*Deliverer, error) { return nil, fmt.Errorf("deliver: webhook %q: %s", w.Name, why) }
		switch {
		case !named(w.Name):
			return fail("its name must be made of letters, digits, - and _")
		case seen[w.Name]:
			return fail("another has the same name")
		case len(w.Secret) < 16:
			return fail("its secret must have at least 16 bytes")
		}
		seen[w.Name] = true
		// The Router waits between attempts, and keeps the order of an
		// account's changes meanwhile.
		client, err := httpclient.New(httpclient.Config{BaseURL: w.URL, Timeout: c.Timeout, Attempts: 1})
		if err != nil {
			return fail(err.Error())
		}
		d.hooks = append(d.hooks, &hook{Webhook: w, client: client, told: newTold(c.Kafka, d.topics.Identity)})
	}
	return d, nil
}

// named says whether a name can be part of a group's.
func named(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// Run delivers until ctx ends; it returns nil then, with what was delivered
// committed.
func (d *Deliverer) Run(ctx context.Context) error {
	letters := pubsub.NewPublisher(d.config.Kafka)
	router, err := pubsub.NewRouter(pubsub.RouterConfig{
		Log: d.config.Log, Metrics: d.config.Metrics,
		Attempts: d.config.Attempts, MinWait: d.config.MinWait, MaxWait: d.config.MaxWait, Away: isAway,
		Poison: letterbox{letters, d.config.Keys}, PoisonTopic: d.topics.DeadLetter,
	})
	if err != nil {
		return errors.Join(err, letters.Close())
	}
	for _, h := range d.hooks {
		subscriber := pubsub.NewSubscriber(d.config.Kafka, Group(d.config.Brand, h.Name), 0, d.config.Log)
		router.Handle(handlerPrefix+h.Name, d.topics.Identity, subscriber, func(m *message.Message) error { return d.deliver(h, m) })
	}
	return errors.Join(router.Run(ctx), letters.Close())
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
	body, err := cloudEvent(d.config.Brand, change)
	if err != nil {
		return err
	}
	_, err = h.client.Do(m.Context(),
		func(int) (httpclient.Request, error) {
			return httpclient.Request{Body: body, Header: signed(eventID(change), time.Now(), body, h.Secret)}, nil
		},
		h.client.StatusError)
	d.note(h, err)
	if err != nil {
		return fmt.Errorf("deliver: tell webhook %s: %w", h.Name, err)
	}
	h.told.note(change)
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

// handlerPrefix stands before a webhook's name in its handler's.
const handlerPrefix = "deliver-"

// letterbox makes dead letters of poison.
type letterbox struct {
	message.Publisher
	keys events.Sealer
}

// Publish writes a letter for each message. A letter's id is the webhook and
// the message's place, so that a repetition counts once.
func (l letterbox) Publish(topic string, messages ...*message.Message) error {
	var out []*message.Message
	for _, m := range messages {
		origin, _ := pubsub.OriginOf(m.Context())
		place := fmt.Sprintf("%s/%d@%d", origin.Topic, origin.Partition, origin.Offset)
		webhook := strings.TrimPrefix(message.HandlerNameFromCtx(m.Context()), handlerPrefix)
		letter := &events.DeadLetter{
			LetterId: "deliver|" + webhook + "|" + place, Stream: "identity", Reason: events.ReasonDeliver,
			Detail: m.Metadata.Get("reason_poisoned"), Origin: place, Attempts: 1, FirstSeenMs: time.Now().UnixMilli(),
		}
		if account := strings.SplitN(m.Metadata.Get(pubsub.KeyMetadata), "/", 3); len(account) == 3 {
			letter.Platform, letter.Shop = account[0], account[1]
		}
		parts, err := events.Letters(letter, m.Payload, l.keys)
		if err != nil {
			return fmt.Errorf("deliver: make the dead letter of %s: %w", place, err)
		}
		for _, part := range parts {
			out = append(out, pubsub.NewMessage(m.Context(), m.Metadata.Get(pubsub.KeyMetadata), part.Value, part.Headers))
		}
	}
	return l.Publisher.Publish(topic, out...)
}
