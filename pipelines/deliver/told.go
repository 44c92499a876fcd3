package deliver

import (
	"context"
	"crypto/sha256"
	"sync"

	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/internal/pubsub"
	"oneid/schemas/events"
)

// told is the version of each account's last change that a webhook was told.
// Nothing of it is stored: what lies in the topic before the group's offset
// was told, so it is read from there when a partition comes to this process.
// It takes some 40 bytes an account.
type told struct {
	client *kafka.Client
	topic  string

	// loading is held while a partition is read; read is, by partition, the
	// offset up to which it was.
	loading sync.Mutex
	read    map[int]int64

	mu       sync.Mutex
	versions map[accountKey]uint64
}

// accountKey stands for an account in less room.
type accountKey [16]byte

func keyOf(account string) accountKey {
	sum := sha256.Sum256([]byte(account))
	return accountKey(sum[:16])
}

func newTold(client *kafka.Client, topic string) *told {
	return &told{client: client, topic: topic, read: make(map[int]int64), versions: make(map[accountKey]uint64)}
}

// upTo learns what was told before this process began with the partition, by
// it earlier or by another process. What it was given since, it notes itself.
func (t *told) upTo(ctx context.Context, o pubsub.Origin) error {
	t.loading.Lock()
	defer t.loading.Unlock()
	if t.read[o.Partition] >= o.Begin {
		return nil
	}
	first, _, err := t.client.Ends(ctx, t.topic)
	if err != nil {
		return err
	}
	from := max(t.read[o.Partition], first[o.Partition])
	err = t.client.ReadRange(ctx, t.topic, o.Partition, from, o.Begin, false, func(m kafka.Fetched) error {
		change := new(events.IdentityChange)
		if proto.Unmarshal(m.Value, change) == nil { // what is none went to the dead letters
			t.note(change)
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.read[o.Partition] = o.Begin
	return nil
}

// isNewer says whether a change is newer than what was told of its account.
func (t *told) isNewer(c *events.IdentityChange) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	version, known := t.versions[keyOf(c.GetAccount())]
	return !known || c.GetVersion() > version
}

// note notes that a change was told.
func (t *told) note(c *events.IdentityChange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := keyOf(c.GetAccount())
	t.versions[key] = max(t.versions[key], c.GetVersion())
}
