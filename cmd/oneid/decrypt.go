package main

import (
	"context"
	"time"

	"oneid/connectors"
	"oneid/pipelines"
	"oneid/pipelines/decrypt"
)

// decryptEvery is how often up looks for new buyers to decrypt: the budget is of
// a day, and the newest come first.
const decryptEvery = 10 * time.Minute

// decrypting decrypts what the settings of the shops ask for, now and then, until
// ctx ends; it returns nil then. Of several instances the one that resolves does
// it, so that the budget is used once.
func (n *node) decrypting(ctx context.Context, shops []shop) error {
	var wanted []shop
	for _, s := range shops {
		if d, ok := s.connector.(connectors.Decrypter); ok && d.Decrypts().PerDay > 0 {
			wanted = append(wanted, s)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	failing := make(map[string]bool)
	for pipelines.Sleep(ctx, decryptEvery) == nil {
		if !n.resolver.Active() {
			continue
		}
		for _, s := range wanted {
			name := s.platform + "/" + s.name
			sum, err := n.decryptShop(ctx, s)
			switch {
			case ctx.Err() != nil:
			case err != nil && !failing[name]:
				n.log.Warn("receivers are not decrypted; it is tried again", "shop", name, "error", err)
			case err == nil && sum > 0:
				n.log.Info("receivers are decrypted, as the settings ask; the table decryptions says which", "shop", name, "orders", sum)
			}
			failing[name] = err != nil
		}
	}
	return nil
}

// decryptShop decrypts what the budget has left; it says how many orders.
func (n *node) decryptShop(ctx context.Context, s shop) (int, error) {
	d := s.connector.(connectors.Decrypter)
	stream := &decrypt.Stream{Decrypter: d, ClickHouse: n.clickhouse, Keys: n.keys, Platform: s.platform, Shop: s.name, Who: "oneid up", Now: time.Now}
	p := n.puller(stream, s.platform, s.name, d.Decrypts().Stream)
	p.Cursors, p.Ended = nil, nil // the audit says how far it is, and it is no state of the stream's
	sum, err := p.Once(ctx)
	return sum.Records, err
}
