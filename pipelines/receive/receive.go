// Package receive takes what platforms tell by themselves: a request to an
// address of ours, or a message over a connection that we opened. Each message
// is a hint: it is noted in the topic <brand>.pushes, and once it lies there
// the platform gets the answer that it wants. What the hint names is then read
// from the platform and mapped by the very function that maps a pull, so a
// change that comes both ways has one id and counts once; the order in which
// messages come, and how often, says nothing.
//
// A request that the platform did not sign is refused and counted. A message
// about nothing that OneID reads is counted and acknowledged. One that cannot
// be understood goes to the dead letter with its bytes, and so does one whose
// entity cannot be had. What a platform does not show (yet) is left to the
// pull, which reads by modification time and brings it; so is what cannot be
// read while a shop is stopped, unless its platform may not list it any more:
// that is a dead letter, too, one for each entity however many messages tell of
// it.
package receive

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// What becomes of a message, as Config.Count is told.
const (
	// Noted: it lies in Kafka, and its entity is to be read.
	Noted = "noted"
	// Read: its entity was read, mapped and published.
	Read = "read"
	// Unread: it is about nothing that OneID reads.
	Unread = "unread"
	// OtherShop: it is about a shop that the settings do not name.
	OtherShop = "other_shop"
	// LeftToPull: the platform did not show its entity, or the shop's streams
	// are stopped; the pull brings it.
	LeftToPull = "left_to_pull"
	// DeadLetter: it could not be understood, or its entity not be had, nor left
	// to the pull, which may not list it any more.
	DeadLetter = "dead_letter"
	// Refused: the request was not signed by the platform.
	Refused = "refused"
	// Failed: the request could not be kept in time; the platform was told to
	// send it again.
	Failed = "failed"
)

// Outcomes are all there are.
var Outcomes = []string{Noted, Read, Unread, OtherShop, LeftToPull, DeadLetter, Refused, Failed}

// maxBody bounds a request: noted, with its sealed bytes, it is well below
// what a message in Kafka may be.
const maxBody = 512 << 10

// atOnce is how many requests are worked on at the same time; with maxBody it
// bounds the memory that a stranger can take.
const atOnce = 64

// Keys seal what platforms sent, and name it by a keyed hash.
type Keys interface {
	events.Sealer
	Hash(kind, scope, value string) [16]byte
}

// Shop is a shop whose platform may tell something.
type Shop struct {
	Platform, Name string
	Connector      connectors.Connector
}

// Config of a Receiver.
type Config struct {
	Brand     string
	Kafka     *kafka.Client
	Publisher *kafka.Publisher
	Keys      Keys
	// Shops, as the settings name them; those whose platform tells nothing
	// are left alone.
	Shops []Shop
	// Publish maps the page of a stream and returns once it is in Kafka, with
	// its dead letters, as a pull does.
	Publish func(ctx context.Context, platform, shop, stream string, page connectors.Page) error
	// Count is told what became of a message.
	Count func(platform, shop, outcome string)
	Log   *slog.Logger
	// Within is how long the platform may wait for its answer. Default 1.5 s:
	// the shortest time that any platform is said to allow is 2 s.
	Within time.Duration
	// Attempts is how often an entity is asked for that the platform fails at;
	// while the platform is away they do not count. Default 8. MinWait and
	// MaxWait bound the doubling pause between them. Default 500 ms and 30 s.
	Attempts         int
	MinWait, MaxWait time.Duration
}

// Receiver takes pushes. It is an http.Handler for requests to
// /push/{platform}/{shop} and /push/{platform}/{shop}/{key}.
type Receiver struct {
	config Config
	topics events.Topics
	shops  map[string]*told // by platform/shop
	slots  chan struct{}
	// noted is when each message was noted last, by its name.
	noted *connectors.Recent[string, time.Time]
}

// notedKept is how many messages are known that came a moment ago.
const notedKept = 20_000

// told is a shop of a platform that tells something.
type told struct {
	Shop
	fetcher connectors.Fetcher

	mu sync.Mutex
	// stopped is a state that the log was told of, and refused when it was last told
	// of a refusal; guarded by mu.
	stopped bool
	refused time.Time
}

// toldEvery is how much time lies between two lines about refusals: who finds the
// address can send any number, also between the platform's own.
const toldEvery = 10 * time.Minute

// tells says whether the log is to be told of a refusal.
func (t *told) tells(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.refused.IsZero() && now.Sub(t.refused) < toldEvery {
		return false
	}
	t.refused = now
	return true
}

// New makes a Receiver; it starts nothing.
func New(c Config) *Receiver {
	if c.Within <= 0 {
		c.Within = 1500 * time.Millisecond
	}
	r := &Receiver{config: c, topics: events.TopicsOf(c.Brand), shops: make(map[string]*told), slots: make(chan struct{}, atOnce), noted: connectors.NewRecent[string, time.Time](notedKept)}
	for _, s := range c.Shops {
		if fetcher, ok := s.Connector.(connectors.Fetcher); ok {
			r.shops[s.Platform+"/"+s.Name] = &told{Shop: s, fetcher: fetcher}
		}
	}
	return r
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	shop := r.shops[request.PathValue("platform")+"/"+request.PathValue("shop")]
	if shop == nil {
		http.NotFound(w, request)
		return
	}
	pushed, ok := shop.Connector.(connectors.Pushed)
	if !ok {
		http.NotFound(w, request)
		return
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		r.answer(w, shop, pushed, errors.New("receive: too many requests at the same time"))
		return
	}
	ctx, cancel := context.WithTimeout(request.Context(), r.config.Within)
	defer cancel()
	// A body that trickles in does not hold its slot for longer.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(r.config.Within)) // a writer without one has no connection
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBody))
	if err != nil {
		r.answer(w, shop, pushed, fmt.Errorf("receive: read the request: %w", err))
		return
	}
	messages, err := pushed.Open(connectors.Push{Header: request.Header, Body: body, Key: request.PathValue("key")})
	if err == nil {
		err = r.note(ctx, shop, messages)
	}
	r.answer(w, shop, pushed, err)
}

// answer tells the platform what became of its request.
func (r *Receiver) answer(w http.ResponseWriter, shop *told, pushed connectors.Pushed, err error) {
	switch {
	case errors.Is(err, connectors.ErrRefused):
		r.count(shop, Refused)
		if shop.tells(time.Now()) {
			r.config.Log.Warn("a push was refused: it is not signed with the shop's keys; more are only counted", "platform", shop.Platform, "shop", shop.Name)
		}
	case err != nil:
		r.count(shop, Failed)
		r.config.Log.Debug("a push could not be kept; the platform is told so", "platform", shop.Platform, "shop", shop.Name, "error", err)
	}
	answer := pushed.Answer(err)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(answer.Status)
	_, _ = io.WriteString(w, answer.Body) // the platform has gone: nobody is left to tell
}

// note keeps messages that came for a shop: it returns nil once each lies in
// Kafka, as a push or as a dead letter.
func (r *Receiver) note(ctx context.Context, by *told, messages []connectors.Message) error {
	now := time.Now()
	var pushes []kafka.Message
	var noted []*told
	var names []string
	for _, m := range messages {
		shop := by
		if m.Shop != "" && m.Shop != by.Name {
			shop = r.shops[by.Platform+"/"+m.Shop]
		}
		switch {
		case shop == nil:
			r.count(by, OtherShop)
			continue
		case m.Err != nil:
			if err := r.refuse(ctx, shop, "", "", m.Raw, m.Err); err != nil {
				return err
			}
			continue
		case m.Stream == "":
			r.count(shop, Unread)
			continue
		}
		hash := r.config.Keys.Hash("push", shop.Platform+"/"+shop.Name, string(m.Raw))
		// What lies there already is asked for once, however often it comes. One message
		// may name several things.
		name := m.Stream + " " + hex.EncodeToString(hash[:])
		if at, known := r.noted.Get(name); known && now.Sub(at) < remember {
			r.count(shop, Noted)
			continue
		}
		wire, err := r.topics.EncodePush(&events.Push{
			Platform: shop.Platform, Shop: shop.Name, Stream: m.Stream, EntityId: m.ID, Type: m.Type, ReceivedMs: now.UnixMilli(),
		}, m.Raw, hex.EncodeToString(hash[:]), r.config.Keys)
		if err != nil {
			return err
		}
		pushes, noted, names = append(pushes, kafka.MessageOf(wire)), append(noted, shop), append(names, name)
	}
	if len(pushes) == 0 {
		return nil
	}
	if err := r.config.Publisher.Publish(ctx, pushes); err != nil {
		return fmt.Errorf("receive: note pushes of %s/%s: %w", by.Platform, by.Name, err)
	}
	for i, shop := range noted {
		r.count(shop, Noted)
		r.noted.Put(names[i], now)
	}
	return nil
}

// stream under which messages that cannot be understood are dead letters.
const stream = "pushes"

// refuse makes a dead letter of a message, which names an entity of a stream;
// both are empty for one that cannot be understood.
func (r *Receiver) refuse(ctx context.Context, shop *told, of, id string, raw []byte, cause error) error {
	origin := events.PushOrigin(of, id)
	if of == "" {
		of = stream
	}
	bad := connectors.BadRecord{Raw: raw, Origin: origin, Err: cause}
	if err := r.config.Publish(ctx, shop.Platform, shop.Name, of, connectors.Page{Bad: []connectors.BadRecord{bad}, Server: time.Now()}); err != nil {
		return err
	}
	r.count(shop, DeadLetter)
	return nil
}

func (r *Receiver) count(shop *told, outcome string) {
	if r.config.Count != nil {
		r.config.Count(shop.Platform, shop.Name, outcome)
	}
}

// changes notes a state, and says whether it is another than before.
func (t *told) changes(state *bool, to bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := *state != to
	*state = to
	return changed
}
