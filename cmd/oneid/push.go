package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/pipelines/pull"
	"oneid/pipelines/receive"
)

// receiver takes what the shops' platforms tell by themselves: by requests,
// where callbacks.listen says where to, and over connections of their own.
func (n *node) receiver(shops []shop) *receive.Receiver {
	var telling []receive.Shop
	for _, s := range shops {
		_, pushed := s.connector.(connectors.Pushed)
		listening, ok := s.connector.(connectors.Listening)
		if pushed && n.settings.Callbacks.Listen != "" || ok && listening.Listens() {
			n.share(s.connector, s.platform, s.name)
			telling = append(telling, receive.Shop{Platform: s.platform, Name: s.name, Connector: s.connector})
		}
	}
	return receive.New(receive.Config{
		Brand: n.settings.Brand, Kafka: n.kafka, Publisher: n.publisher, Keys: n.keys, Shops: telling, Log: n.log,
		Publish: func(ctx context.Context, platform, name, stream string, page connectors.Page) error {
			i := slices.IndexFunc(telling, func(s receive.Shop) bool { return s.Platform == platform && s.Name == name })
			_, err := n.pushPuller(telling[i].Connector, platform, name, stream).Page(ctx, page)
			return err
		},
		Count: n.metrics.Pushes(receive.Outcomes),
	})
}

// pushPuller publishes pages of a stream that a push told of: as the stream's
// own puller, and counted with it. What could not be understood is of no
// stream.
func (n *node) pushPuller(c connectors.Connector, platform, name, stream string) *pull.Puller {
	if slices.ContainsFunc(c.Spec().Streams, func(s connectors.Stream) bool { return s.Name == stream }) {
		return n.puller(c, platform, name, stream)
	}
	return &pull.Puller{Connector: c, Platform: platform, Shop: name, Stream: stream, Publisher: n.publisher, Topics: n.topics, Keys: n.keys, Log: n.log}
}

// mountPushes lets a receiver answer at the addresses that are registered at
// the platforms.
func mountPushes(mux *http.ServeMux, r *receive.Receiver) {
	mux.Handle("POST /push/{platform}/{shop}", r)
	mux.Handle("POST /push/{platform}/{shop}/{key}", r)
}

// simulatedPushSecret ends the address to which the simulated Weidian pushes.
const simulatedPushSecret = "pushes-of-the-simulator"

// simulatedMessages is where the simulated Tmall's message service is connected to.
func simulatedMessages(e simulator.Endpoints) string {
	return "ws" + strings.TrimSuffix(strings.TrimPrefix(e.Tmall.URL, "http"), "router/rest")
}

// simulatePushes lets the simulated platforms push what changes to url until
// ctx ends, some of it twice and out of order.
func simulatePushes(ctx context.Context, world *simulator.World, url, platform, secret string) error {
	pusher := &simulator.Pusher{
		World: world, Platform: platform, URL: url + "/push/" + platform + "/" + world.Shop(platform).ID + secret,
		Seed: world.Config().Seed, Repeat: 0.1, Spread: 200 * time.Millisecond,
	}
	return pusher.Run(ctx)
}
