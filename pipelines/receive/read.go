package receive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/internal/httpclient"
	"oneid/internal/kafka"
	"oneid/internal/pubsub"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// Group is the consumer group under which the pushes of a platform are read: a
// platform that is away holds back no other's.
func Group(brand, platform string) string { return brand + ".pushes." + platform }

// remember is how long a message is known that was worked on: one that a
// platform sends twice in that time is asked for once.
const remember = time.Minute

// Run reads what the pushes name, and takes the messages of platforms that
// send them over a connection, until ctx ends; it returns nil then.
func (r *Receiver) Run(ctx context.Context) error {
	if len(r.shops) == 0 {
		<-ctx.Done()
		return nil
	}
	platforms := make(map[string]bool)
	for _, shop := range r.shops {
		platforms[shop.Platform] = true
	}
	var routers []*pubsub.Router
	for platform := range platforms {
		// A router of its own: what one passes over as another's it remembers.
		router, err := pubsub.NewRouter(pubsub.RouterConfig{
			Log: r.config.Log, Attempts: r.attempts(), MinWait: r.config.MinWait, MaxWait: r.config.MaxWait, Away: isAway,
			Poison: letters{r}, PoisonTopic: r.topics.DeadLetter, Remember: remember,
		})
		if err != nil {
			return err
		}
		from := pubsub.NewSubscriber(r.config.Kafka, Group(r.config.Brand, platform), 0, r.config.Log)
		router.Handle("pushes-"+platform, r.topics.Pushes, from, func(m *message.Message) error { return r.read(m, platform) })
		routers = append(routers, router)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, router := range routers {
		group.Go(func() error { return router.Run(ctx) })
	}
	for _, shop := range r.shops {
		if listening, ok := shop.Connector.(connectors.Listening); ok {
			group.Go(func() error { return r.listen(ctx, shop, listening) })
		}
	}
	return group.Wait()
}

func (r *Receiver) attempts() int {
	if r.config.Attempts > 0 {
		return r.config.Attempts
	}
	return 8
}

// read reads the entity that a push names, and publishes it as a pull does.
func (r *Receiver) read(m *message.Message, platform string) error {
	push := new(events.Push)
	if err := proto.Unmarshal(m.Payload, push); err != nil {
		return errors.New("receive: the message is no push")
	}
	if push.GetPlatform() != platform {
		return nil // another handler's
	}
	shop := r.shops[platform+"/"+push.GetShop()]
	if shop == nil {
		return nil // the settings named it when the push came
	}
	ctx := m.Context()
	aging, ages := shop.Connector.(connectors.Aging)
	page, err := shop.fetcher.Fetch(ctx, push.GetStream(), push.GetEntityId())
	switch class := connectors.ClassOf(err); {
	case err == nil:
	case class == connectors.SkipRecord:
		return r.keep(ctx, shop, push, fmt.Errorf("what the push names cannot be had: %w", err))
	case class >= connectors.StopStream:
		// The stream itself is stopped by this, with its alert; it goes on
		// where it was once somebody acted.
		if shop.changes(&shop.stopped, true) {
			rest := "the pull brings it once somebody acted"
			if ages {
				rest += "; what the platform may not list any more is kept as dead letters: replay them then"
			}
			r.config.Log.Warn("what pushes name cannot be read", "platform", platform, "shop", shop.Name, "then", rest, "error", err)
		}
		if ages && !aging.StillListed(push.GetStream(), push.GetType()) {
			return r.keep(ctx, shop, push, fmt.Errorf("the shop or its stream is stopped, and the pull may not list what the push names any more; replay this once somebody acted: %w", err))
		}
		r.count(shop, LeftToPull)
		return nil
	default:
		return fmt.Errorf("receive: read what a push of %s/%s names: %w", platform, shop.Name, err)
	}
	if shop.changes(&shop.stopped, false) {
		r.config.Log.Info("what pushes name is read again", "platform", platform, "shop", shop.Name)
	}
	if len(page.Records)+len(page.Bad) == 0 {
		if ages && !aging.StillListed(push.GetStream(), push.GetType()) {
			return r.keep(ctx, shop, push, errors.New("the platform shows nothing of what the push names, and the pull may not list it any more; replay this later"))
		}
		r.count(shop, LeftToPull)
		return nil
	}
	if err := r.config.Publish(ctx, platform, shop.Name, push.GetStream(), page); err != nil {
		return err
	}
	r.count(shop, Read)
	return nil
}

// keep makes a dead letter of a push, by which its entity can be read again.
func (r *Receiver) keep(ctx context.Context, shop *told, push *events.Push, cause error) error {
	raw, err := events.OpenPush(push, r.config.Keys)
	if err != nil {
		return err
	}
	return r.refuse(ctx, shop, push.GetStream(), push.GetEntityId(), raw, cause)
}

// isAway says of an error that the platform is not there, or asks to wait,
// rather than failing at this one entity.
func isAway(err error) bool {
	var call *httpclient.Error
	if errors.As(err, &call) {
		switch call.Status {
		case 0, 429, 502, 503, 504:
			return call.Again
		}
	}
	return connectors.ClassOf(err) == connectors.Throttle
}

// letters makes dead letters of pushes whose entity could not be read in all
// attempts.
type letters struct{ r *Receiver }

// Publish implements message.Publisher.
func (l letters) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		push := new(events.Push)
		if proto.Unmarshal(m.Payload, push) != nil {
			l.r.config.Log.Error("what lies in the topic of pushes is no push; it is passed over", "id", m.UUID)
			continue
		}
		shop := l.r.shops[push.GetPlatform()+"/"+push.GetShop()]
		raw, err := events.OpenPush(push, l.r.config.Keys)
		if shop == nil || err != nil {
			l.r.config.Log.Error("a push cannot be opened; it is passed over", "id", m.UUID, "error", err)
			continue
		}
		if err := l.r.refuse(m.Context(), shop, push.GetStream(), push.GetEntityId(), raw, errors.New(m.Metadata.Get("reason_poisoned"))); err != nil {
			return err
		}
	}
	return nil
}

// Close implements message.Publisher.
func (letters) Close() error { return nil }

// listen takes the messages of one shop's platform, and connects anew what
// ended with an error.
func (r *Receiver) listen(ctx context.Context, shop *told, from connectors.Listening) error {
	log := r.config.Log.With("platform", shop.Platform, "shop", shop.Name)
	wait := pipelines.Backoff{Min: time.Minute, Max: time.Hour}
	for {
		var once sync.Once
		err := from.Listen(ctx, func(ctx context.Context, messages []connectors.Message) error {
			once.Do(wait.Reset)
			err := r.note(ctx, shop, messages)
			if err != nil && !kafka.IsAway(err) && ctx.Err() == nil {
				log.Warn("messages could not be kept; the platform sends them again", "error", err)
			}
			if err != nil {
				r.count(shop, Failed)
			}
			return err
		})
		if ctx.Err() != nil {
			return nil
		}
		log.Error("the platform's messages are not taken; it is tried again later, and the pull brings what changes", "error", err)
		if wait.Wait(ctx) != nil {
			return nil
		}
	}
}
