package pubsub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/metrics"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"oneid/internal/kafka"
)

// RouterConfig says how a Router treats its messages. The zero value of each
// field is its default.
type RouterConfig struct {
	Log *slog.Logger
	// Metrics takes the counts and times of handlers, messages and
	// publications, in Watermill's names with the prefix oneid_pubsub; nil
	// keeps none.
	Metrics prometheus.Registerer

	// Attempts is how often a message may fail before it is poison; that
	// something was away does not count. Default 5.
	Attempts int
	// MinWait and MaxWait bound the pause between two attempts, which
	// doubles. Default 200 ms and 30 s.
	MinWait, MaxWait time.Duration
	// Away says of an error that something which the message needs cannot be
	// reached, so that it is tried again for as long as it takes and is never
	// poison. Kafka being away, and the end of a context, always are.
	Away func(error) bool

	// Poison takes what failed in every attempt, under PoisonTopic, with the
	// reason and the origin in its metadata; the flow goes on then. Nil: such
	// a message comes again and again, and holds those of its key back.
	Poison      message.Publisher
	PoisonTopic string

	// PerSecond bounds the messages per second of all handlers together;
	// 0 means no bound.
	PerSecond int
	// Remember is how long a message is remembered by its UUID (ce_id) once
	// it was handled, by each handler for itself: one that comes again within
	// this time is acknowledged unseen. At most RememberMost of them are, the
	// latest ones (default 100,000, some 10 MB). 0 remembers nothing.
	Remember     time.Duration
	RememberMost int

	// CloseWait is how long the end of the Router waits for its handlers.
	// Default 10 s.
	CloseWait time.Duration
}

// Router runs handlers, each on the messages of one topic. What a handler
// returns nil for is acknowledged; what it returns an error for is tried
// again, and is poison in the end. A panic in a handler is an error of it.
//
// A handler finds a message's place with OriginOf(m.Context()), and must
// return soon once that context ends.
type Router struct {
	router *message.Router
}

// NewRouter makes a Router; it starts nothing.
func NewRouter(c RouterConfig) (*Router, error) {
	if c.Attempts <= 0 {
		c.Attempts = 5
	}
	if c.MinWait <= 0 {
		c.MinWait = 200 * time.Millisecond
	}
	if c.MaxWait <= 0 {
		c.MaxWait = 30 * time.Second
	}
	if c.CloseWait <= 0 {
		c.CloseWait = 10 * time.Second
	}
	if c.RememberMost <= 0 {
		c.RememberMost = 100_000
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	// Watermill tells each step of its life as information.
	log := watermill.NewSlogLoggerWithLevelMapping(c.Log, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug})
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: c.CloseWait}, log)
	if err != nil {
		return nil, fmt.Errorf("pubsub: make a router: %w", err)
	}
	if c.Metrics != nil {
		builder := metrics.NewPrometheusMetricsBuilder(c.Metrics, "oneid", "pubsub")
		router.AddSubscriberDecorators(builder.DecorateSubscriber)
		router.AddMiddleware(builder.NewRouterMiddleware().Middleware)
	}
	away := func(err error) bool {
		return kafka.IsAway(err) || errors.Is(err, context.Canceled) || c.Away != nil && c.Away(err)
	}
	// The first one is the outermost: what was handled is remembered before
	// it is told to Kafka; poison is what the last attempt failed at.
	if c.Remember > 0 {
		router.AddMiddleware(newMemory(c.Remember, c.RememberMost).middleware)
	}
	if c.Poison != nil {
		poison, err := middleware.PoisonQueueWithFilter(withOrigin{c.Poison}, c.PoisonTopic, func(err error) bool { return !away(err) })
		if err != nil {
			return nil, fmt.Errorf("pubsub: make a router: %w", err)
		}
		router.AddMiddleware(poison)
	}
	failures := failures{c.Attempts, away}
	router.AddMiddleware(failures.begin)
	router.AddMiddleware(middleware.Retry{
		MaxRetries: math.MaxInt32, InitialInterval: c.MinWait, MaxInterval: c.MaxWait, Multiplier: 2, RandomizationFactor: 0.2,
		ShouldRetry:         func(p middleware.RetryParams) bool { return !errors.As(p.Err, new(lastError)) },
		ResetContextOnRetry: true,
	}.Middleware)
	router.AddMiddleware(failures.count)
	if c.PerSecond > 0 {
		router.AddMiddleware(middleware.NewThrottle(int64(c.PerSecond), time.Second).Middleware)
	}
	router.AddMiddleware(middleware.Recoverer)
	return &Router{router: router}, nil
}

// failures counts those of a message in its context: Watermill's Retry counts
// every attempt, also those at which something was only away.
type failures struct {
	most int
	away func(error) bool
}

type failuresKey struct{}

// lastError is the error of a message that is not tried again.
type lastError struct{ error }

func (e lastError) Unwrap() error { return e.error }

func (failures) begin(handle message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		m.SetContext(context.WithValue(m.Context(), failuresKey{}, new(int)))
		return handle(m)
	}
}

func (f failures) count(handle message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		out, err := handle(m)
		if err == nil || f.away(err) {
			return out, err
		}
		if n := m.Context().Value(failuresKey{}).(*int); *n+1 < f.most {
			*n++
			return out, err
		}
		return out, lastError{err}
	}
}

// Handle has the messages of a topic handled as they come to a subscriber.
// The name stands in metrics and in the log, and is the Router's only one of
// its kind. Call it before Run.
func (r *Router) Handle(name, topic string, from message.Subscriber, handle func(*message.Message) error) {
	r.router.AddConsumerHandler(name, topic, from, handle)
}

// Run runs the handlers until ctx ends, and returns nil then: nothing new is
// begun, what is in flight is finished or let go, and what is done is
// committed. The subscribers are closed with it.
func (r *Router) Run(ctx context.Context) error {
	// Watermill closes the router once its handlers have ended, and logs that
	// they did unless its own context tells why.
	if err := r.router.Run(ctx); err != nil {
		return fmt.Errorf("pubsub: run the router: %w", err)
	}
	if ctx.Err() == nil {
		return errors.New("pubsub: every subscription ended, though nobody asked for it")
	}
	return nil
}

// Running is closed once the handlers are subscribed.
func (r *Router) Running() <-chan struct{} { return r.router.Running() }

// OriginMetadata is a poisoned message's place, topic/partition/offset; the
// reason and the handler stand beside it under Watermill's own names.
const OriginMetadata = "origin_poisoned"

// withOrigin adds to a poisoned message where it lay.
type withOrigin struct{ message.Publisher }

func (p withOrigin) Publish(topic string, messages ...*message.Message) error {
	for _, m := range messages {
		if origin, ok := OriginOf(m.Context()); ok {
			m.Metadata.Set(OriginMetadata, origin.String())
		}
	}
	return p.Publisher.Publish(topic, messages...)
}
