package main

import (
	"context"
	"errors"
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
	var wanted []shop
	for _, s := range shops {
		if d, ok := s.connector.(connectors.Decrypter); ok && len(d.Decrypts()) > 0 {
			wanted = append(wanted, s)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	locks := make(map[string]*kafka.Lock)
	defer func() {
		for _, l := range locks {
			_ = l.Close() // the group forgets a member that is gone
		}
	}()
	for _, s := range wanted {
		name := s.platform + "/" + s.name
		l, err := n.kafka.Lock(n.settings.Brand+".run.decrypt/"+name, n.topics.Cursors, false)
		if err != nil {
			return err
		}
		locks[name] = l
	}
	failing := make(map[string]bool)
	for pipelines.Sleep(ctx, decryptEvery) == nil {
		if !n.resolver.Active() {
			continue
		}
		for _, s := range wanted {
			name := s.platform + "/" + s.name
			var sum int
			err := locks[name].Try(ctx, func(ctx context.Context, _ bool) (err error) {
				sum, err = n.decryptShop(ctx, s)
				return err
			})
			switch {
			case ctx.Err() != nil || errors.Is(err, kafka.ErrHeld):
				continue
			case err != nil && !failing[name]:
				n.log.Warn("fields are not decrypted; it is tried again", "shop", name, "error", err)
			case err == nil && sum > 0:
				n.log.Info("fields are decrypted, as the settings ask; the table decryptions says which", "shop", name, "orders_and_members", sum)
			}
			failing[name] = err != nil
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
