package tokens

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Topic keeps tokens in the topic of the cursors, for the processes of several
// machines. It has one partition, so that all of them see what is written in
// one order: who claims a shop first renews its token, and the claim ends when
// the token is there, when it is let go, or claimLasts after it was written.
//
// What holds: one renewal at a time as long as the machines' clocks differ by
// less than claimLasts less the time that a renewal may take.
type Topic struct {
	client    *kafka.Client
	publisher *kafka.Publisher
	topic     string
	keys      Keys
	// lasts is claimLasts; tests wait less.
	lasts time.Duration

	reading sync.Mutex
	next    int64 // the offset to read on from; guarded by reading

	mu    sync.Mutex
	shops map[string]*shopState // by platform/shop; guarded by mu
}

var _ Keeping = (*Topic)(nil)

// shopState is what the topic says of a shop.
type shopState struct {
	sealed []byte
	holder string    // of the claim that stands; "" if none does
	since  time.Time // when it was written
}

const (
	// tokenPrefix and claimPrefix begin the keys in the topic: no platform is
	// called so.
	tokenPrefix = "tokens/"
	claimPrefix = "token-claims/"
	// claimLasts is longer than a renewal with the keeping of what it gave.
	claimLasts = 2 * time.Minute
	claimPause = 100 * time.Millisecond
)

// claim is the value of a claim, or of its end.
type claim struct {
	Holder string `json:"holder"`
	Free   bool   `json:"free,omitempty"`
}

// OpenTopic reads what is kept.
func OpenTopic(ctx context.Context, client *kafka.Client, publisher *kafka.Publisher, topic string, keys Keys) (*Topic, error) {
	t := &Topic{client: client, publisher: publisher, topic: topic, keys: keys, lasts: claimLasts, shops: make(map[string]*shopState)}
	first, _, err := client.Ends(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("tokens: read what is kept: %w", err)
	}
	t.next = first[0]
	if err := t.catchUp(ctx); err != nil {
		return nil, fmt.Errorf("tokens: read what is kept: %w", err)
	}
	return t, nil
}

// Of implements Keeping.
func (t *Topic) Of(platform, shop string) connectors.TokenStore {
	return &shopTopic{t, platform, shop, platform + "/" + shop}
}

// catchUp reads what was written since.
func (t *Topic) catchUp(ctx context.Context) error {
	t.reading.Lock()
	defer t.reading.Unlock()
	_, next, err := t.client.Ends(ctx, t.topic)
	if err != nil {
		return err
	}
	err = t.client.ReadRange(ctx, t.topic, 0, t.next, next[0], true, t.take)
	if errors.Is(err, kafka.ErrTrimmed) { // the oldest left while they were read
		err = nil
	}
	if err == nil {
		t.next = next[0]
	}
	return err
}

// take takes one message of the topic.
func (t *Topic) take(m kafka.Fetched) error {
	var c events.Cursor
	key := string(m.Key)
	name, isToken := strings.CutPrefix(key, tokenPrefix)
	if !isToken {
		var isClaim bool
		if name, isClaim = strings.CutPrefix(key, claimPrefix); !isClaim {
			return nil
		}
	}
	if len(m.Value) == 0 || proto.Unmarshal(m.Value, &c) != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.shops[name]
	if s == nil {
		s = new(shopState)
		t.shops[name] = s
	}
	if isToken {
		if sealed, err := base64.StdEncoding.DecodeString(c.GetPosition()); err == nil {
			s.sealed, s.holder = sealed, ""
		}
		return nil
	}
	var said claim
	if json.Unmarshal([]byte(c.GetPosition()), &said) != nil {
		return nil
	}
	written := time.UnixMilli(c.GetWrittenMs())
	switch {
	case said.Free && s.holder == said.Holder:
		s.holder = ""
	case !said.Free && (s.holder == "" || !written.Before(s.since.Add(t.lasts))):
		s.holder, s.since = said.Holder, written
	}
	return nil
}

func (t *Topic) write(ctx context.Context, key, position string) error {
	written := &events.Cursor{Position: position, WrittenMs: time.Now().UnixMilli()}
	value, err := proto.Marshal(written)
	if err != nil {
		return err
	}
	return t.publisher.Publish(ctx, []kafka.Message{{Topic: t.topic, Key: []byte(key), Value: value, Headers: kafka.Headers(events.DescribeCursor(key, written).Headers())}})
}

// shopTopic is one shop's token.
type shopTopic struct {
	topic          *Topic
	platform, shop string
	name           string
}

// state is what the topic says of the shop, as far as it was read.
func (s *shopTopic) state() shopState {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	if found := s.topic.shops[s.name]; found != nil {
		return *found
	}
	return shopState{}
}

// Load implements connectors.TokenStore.
func (s *shopTopic) Load(ctx context.Context) (connectors.Token, error) {
	if err := s.topic.catchUp(ctx); err != nil {
		return connectors.Token{}, fmt.Errorf("tokens: read the token of %s: %w", s.name, err)
	}
	sealed := s.state().sealed
	if len(sealed) == 0 {
		return connectors.Token{}, nil
	}
	return open(s.topic.keys, s.platform, s.shop, sealed)
}

// Renew implements connectors.TokenStore.
func (s *shopTopic) Renew(ctx context.Context, ask func(context.Context, connectors.Token) (connectors.Token, error)) (connectors.Token, error) {
	me, err := s.claim(ctx)
	if err != nil {
		return connectors.Token{}, fmt.Errorf("tokens: claim the token of %s: %w", s.name, err)
	}
	defer s.free(ctx, me)
	newest, err := s.Load(ctx)
	// One that cannot be opened is none: a new consent mends it, and so does an app
	// that needs none.
	if err != nil && !errors.As(err, new(*DamagedError)) {
		return connectors.Token{}, err
	}
	return renew(ctx, newest, ask, func(ctx context.Context, token connectors.Token) error {
		sealed, err := seal(s.topic.keys, s.platform, s.shop, token)
		if err != nil {
			return err
		}
		return s.topic.write(ctx, tokenPrefix+s.name, base64.StdEncoding.EncodeToString(sealed))
	})
}

func (s *shopTopic) say(ctx context.Context, c claim) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return s.topic.write(ctx, claimPrefix+s.name, string(text))
}

// free lets a claim go; one that cannot be let go ends by itself.
func (s *shopTopic) free(ctx context.Context, me string) {
	freeing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.say(freeing, claim{Holder: me, Free: true})
}

// claim claims the shop and returns once the claim stands.
func (s *shopTopic) claim(ctx context.Context) (me string, err error) {
	for {
		if err := s.topic.catchUp(ctx); err != nil {
			return "", err
		}
		if now := s.state(); now.holder == "" || time.Since(now.since) >= s.topic.lasts {
			me = uuid.NewString()
			err := s.say(ctx, claim{Holder: me})
			if err == nil {
				err = s.topic.catchUp(ctx)
			}
			if err != nil {
				s.free(ctx, me) // it may have been written all the same
				return "", err
			}
			if s.state().holder == me {
				return me, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(claimPause):
		}
	}
}
