package deliver

import (
	"context"
	"errors"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// redelivery is the redelivery that a message holds, if it does.
func redelivery(m *message.Message) (*events.Redelivery, bool) {
	if m.Metadata.Get("ce_type") != events.RedeliveryType {
		return nil, false
	}
	r := new(events.Redelivery)
	return r, proto.Unmarshal(m.Payload, r) == nil
}

// again tells a webhook what it refused once, by a person's word.
func (d *Deliverer) again(h *hook, to target, m *message.Message) error {
	r, ok := redelivery(m)
	if !ok {
		return errors.New("deliver: the message is no redelivery")
	}
	if r.GetStream() != to.stream || r.GetWebhook() != to.webhook {
		return nil // another's
	}
	if to.stream == events.StreamAlerts {
		alert := new(events.Alert)
		if err := proto.Unmarshal(r.GetValue(), alert); err != nil {
			return errors.New("deliver: the message is no alert")
		}
		return d.alert(m.Context(), h, alert)
	}
	change := new(events.IdentityChange)
	if err := proto.Unmarshal(r.GetValue(), change); err != nil {
		return errors.New("deliver: the message is no identity change")
	}
	defer d.newest.watch(change.GetAccount())()
	latest, err := d.newest.of(m.Context(), change.GetAccount())
	if err != nil {
		return err
	}
	if latest > change.GetVersion() {
		return nil // the webhook is told of the newer one, in its own turn
	}
	for {
		if err := d.tell(m.Context(), h, change); err != nil {
			return err
		}
		h.told.note(change)
		// A newer one that came meanwhile may have been told before this one:
		// then it is told once more, so that the account's last word is last.
		newer, err := d.newest.since(m.Context(), change)
		if err != nil || newer == nil {
			return err
		}
		change = newer
	}
}

// newest is the highest version of each account in the topic. It is read when
// something is delivered again, from where it was read to the last time, and
// takes some 40 bytes an account then.
type newest struct {
	client *kafka.Client
	topic  string

	// mu is held while the topic is read.
	mu       sync.Mutex
	read     map[int]int64
	versions map[accountKey]uint64
	// watched are the accounts of which something is being delivered again, and
	// the newest change that was read of each meanwhile.
	watched map[accountKey]*watched
}

type watched struct {
	by     int
	change *events.IdentityChange
}

func newNewest(client *kafka.Client, topic string) *newest {
	return &newest{client: client, topic: topic, read: make(map[int]int64), versions: make(map[accountKey]uint64), watched: make(map[accountKey]*watched)}
}

// watch keeps what is read of an account from now on, until end is called.
func (n *newest) watch(account string) (end func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := keyOf(account)
	w := n.watched[key]
	if w == nil {
		w = new(watched)
		n.watched[key] = w
	}
	w.by++
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if w.by--; w.by == 0 {
			delete(n.watched, key)
		}
	}
}

// of is the highest version of an account; 0 if the topic has none.
func (n *newest) of(ctx context.Context, account string) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.toEnd(ctx); err != nil {
		return 0, err
	}
	return n.versions[keyOf(account)], nil
}

// since is a newer change of the same account, which is watched, that the topic
// has got meanwhile; nil if there is none.
func (n *newest) since(ctx context.Context, c *events.IdentityChange) (*events.IdentityChange, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.toEnd(ctx); err != nil {
		return nil, err
	}
	if change := n.watched[keyOf(c.GetAccount())].change; change.GetVersion() > c.GetVersion() {
		return change, nil
	}
	return nil, nil
}

// toEnd reads the rest of the topic; mu is held.
func (n *newest) toEnd(ctx context.Context) error {
	first, next, err := n.client.Ends(ctx, n.topic)
	if err != nil {
		return err
	}
	for p := range next {
		from := max(n.read[p], first[p])
		if from >= next[p] {
			continue
		}
		err := n.client.ReadRange(ctx, n.topic, p, from, next[p], false, func(m kafka.Fetched) error {
			change := new(events.IdentityChange)
			if proto.Unmarshal(m.Value, change) == nil {
				key := keyOf(change.GetAccount())
				n.versions[key] = max(n.versions[key], change.GetVersion())
				if w := n.watched[key]; w != nil && change.GetVersion() > w.change.GetVersion() {
					w.change = change
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		n.read[p] = next[p]
	}
	return nil
}
