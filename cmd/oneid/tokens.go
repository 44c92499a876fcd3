package main

import (
	"context"
	"errors"
	"time"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines/keys"
	"oneid/pipelines/pull"
	"oneid/pipelines/tokens"
)

// tokens is where the tokens of the shops lie sealed, for the processes of this
// machine.
func (f folder) tokens() *tokens.Folder {
	return &tokens.Folder{
		Dir:  f.path("tokens"),
		Keys: func() (tokens.Keys, error) { return keyring.Open(string(f)) },
	}
}

// tokenKeeping is where the tokens lie: in the folder, or beside the cursors
// where several machines may work on configured brokers.
func (i *instance) tokenKeeping(ctx context.Context, publisher *kafka.Publisher) (tokens.Keeping, error) {
	if len(i.settings.Kafka.Brokers) == 0 {
		return i.folder.tokens(), nil
	}
	return tokens.OpenTopic(ctx, i.kafka, publisher, i.topics.Cursors, i.keys)
}

// withTokens calls task with where the tokens lie, from beside an owner too. It
// starts nothing.
func (f folder) withTokens(ctx context.Context, settings Settings, task func(tokens.Keeping) error) (err error) {
	k := settings.Kafka
	if len(k.Brokers) == 0 {
		return task(f.tokens())
	}
	config, err := k.client(f)
	if err != nil {
		return err
	}
	client, err := kafka.New(config)
	if err != nil {
		return err
	}
	defer client.Close()
	ring, err := keyring.Open(string(f))
	if err != nil {
		return err
	}
	publisher := client.Publisher()
	defer func() { _ = publisher.Close() }() // what was published is acknowledged
	i := &instance{folder: f, settings: settings, kafka: client, keys: ring, topics: topicsOf(settings)}
	// A token that another ring has sealed would take the place of one that opens.
	var keeping tokens.Keeping
	if err = keys.Check(ctx, client, i.topics.Cursors, ring.Marks()); err == nil {
		keeping, err = i.tokenKeeping(ctx, publisher)
	}
	if other := (*keys.OtherError)(nil); errors.As(err, &other) {
		return err
	}
	if err != nil {
		return hinted{err, "are the addresses under kafka.brokers right, is it up, and were its topics made (`oneid up` makes them)?"}
	}
	return task(keeping)
}

// sharedShop is what the pullers of a shop share.
func (n *node) sharedShop(platform, shop string) *pull.Shop {
	store := n.tokens.Of(platform, shop)
	return &pull.Shop{Consented: func(ctx context.Context) (time.Time, error) {
		token, err := store.Load(ctx)
		return token.Obtained, err
	}}
}

// tokenEnd says when a shop needs its owner's consent next; false where nobody
// can say, or it never does.
func tokenEnd(c connectors.Authoriser, t connectors.Token) (time.Time, bool) {
	switch {
	case t.Access == "" || c.Consent("").Address == "":
		return time.Time{}, false
	case t.Refresh == "":
		return t.Expires, !t.Expires.IsZero()
	}
	return t.RefreshExpires, !t.RefreshExpires.IsZero()
}
