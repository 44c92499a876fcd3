package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/pipelines/decrypt"
)

// decryptEvery is how often up looks for new buyers to decrypt: the budget is of
// a day, and the newest come first.
const decryptEvery = 10 * time.Minute

// decrypting decrypts what the settings of the shops ask for, now and then, until
// ctx ends; it returns nil then. Of several instances the one that resolves does
// it, and of two that both hold themselves for that one, as when one was frozen,
// the one that has the lock: the budget is used once.
func (n *node) decrypting(ctx context.Context, shops []shop) error {
	wanted := make(map[string]shop)
	for _, s := range shops {
		if d, ok := s.connector.(connectors.Decrypter); ok && len(d.Decrypts()) > 0 {
			wanted[s.platform+"/"+s.name] = s
		}
	}
	failing := make(map[string]bool)
	return n.inTurns(ctx, decryptEvery, slices.Sorted(maps.Keys(wanted)), n.resolver.Active, func(ctx context.Context, name string) {
		sum, err := n.decryptShop(ctx, wanted[name])
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing[name]:
			n.log.Warn("fields are not decrypted; it is tried again", "shop", name, "error", err)
		case err == nil && sum > 0:
			n.log.Info("fields are decrypted, as the settings ask; the table decryptions says which", "shop", name, "orders_and_members", sum)
		}
		failing[name] = err != nil
	})
}

// inTurns decrypts the shops of these names, every so often, until ctx ends; it
// returns nil then. A shop is left out while another process is at it, and all
// are while this process is not to do it.
func (n *node) inTurns(ctx context.Context, every time.Duration, names []string, active func() bool, work func(context.Context, string)) error {
	locks := make(map[string]*kafka.Lock)
	defer func() {
		for _, l := range locks {
			_ = l.Close() // the group forgets a member that is gone
		}
	}()
	for _, name := range names {
		l, err := n.kafka.Lock(n.settings.Brand+".run.decrypt/"+name, n.topics.Cursors, false)
		if err != nil {
			return err
		}
		locks[name] = l
	}
	held := make(map[string]bool)
	for len(names) > 0 && pipelines.Sleep(ctx, every) == nil {
		for _, name := range names {
			if !active() {
				continue
			}
			err := locks[name].Try(ctx, func(ctx context.Context, _ bool) error {
				work(ctx, name)
				return nil
			})
			if err != nil && ctx.Err() == nil && !errors.Is(err, kafka.ErrHeld) && !held[name] {
				n.log.Warn("fields are not decrypted: it cannot be known whether another process is at it", "shop", name, "error", err)
			}
			held[name] = err != nil
		}
	}
	return nil
}

// decryptShop decrypts what the budget has left; it says of how many orders and
// members.
func (n *node) decryptShop(ctx context.Context, s shop) (int, error) {
	d := s.connector.(connectors.Decrypter)
	stream := &decrypt.Stream{Decrypter: d, ClickHouse: n.clickhouse, Keys: n.keys, Platform: s.platform, Shop: s.name, Who: "oneid up", Now: time.Now}
	records := 0
	var failed error
	for _, plan := range d.Decrypts() {
		p := n.puller(stream, s.platform, s.name, plan.Stream)
		p.Cursors, p.Ended = nil, nil // the audit says how far it is, and it is no state of the stream's
		sum, err := p.Once(ctx)
		records += sum.Records
		failed = errors.Join(failed, err)
	}
	return records, failed
}
