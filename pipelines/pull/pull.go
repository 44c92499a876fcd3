// Package pull moves what connectors read into Kafka: it reads pages, maps
// their records, seals and publishes the events, and only then writes the
// cursor. A crash between the two repeats the page, and repeating changes
// nothing: an event's id names the entity and its version.
//
// What cannot be read or mapped goes to the dead letter with its bytes, and
// the rest of the page goes on. What cannot be published stops the stream
// until Kafka is back: no record becomes a dead letter because a store was
// away.
package pull

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"oneid/connectors"
	"oneid/internal/fault"
	"oneid/internal/httpclient"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

var errTooLarge = errors.New("the event with its payload is larger than a message may be")

// Keys seal what is personal and hash what names a dead letter.
type Keys interface {
	events.Sealer
	// Hash is keyed: a refused row cannot be guessed from its id.
	Hash(kind, scope, value string) [16]byte
}

// published: pages are acknowledged, and the cursor is not written yet.
var published = fault.New("pull/published")

// Puller pulls one stream of one shop.
type Puller struct {
	Connector connectors.Connector
	// Platform and Shop name what is pulled, as in accounts.
	Platform, Shop string
	Stream         string

	Publisher *kafka.Publisher
	Topics    events.Topics
	Keys      Keys
	// Source is by which way the records come, for their dead letters; the
	// platform's API unless said otherwise.
	Source events.Source
	// Cursors keeps how far the stream was read; nil reads it from its
	// beginning and keeps nothing, as files are.
	Cursors *Cursors
	// SharedShop is what the pullers of the shop share; nil is one of its own.
	SharedShop *Shop
	// Drifts, if set, keeps how payloads differ from what the connector knows of
	// them.
	Drifts *Drifts
	// CursorKey is that of the stream's cursor; default: platform/shop/stream.
	CursorKey string
	// Start is where a stream begins that has no cursor yet; default: at its
	// configured beginning.
	Start connectors.Cursor
	Log   *slog.Logger
	// Progress, if set, is called when pages were acknowledged.
	Progress func(Summary)
	// Count, if set, is told what was acknowledged since the last call, and Ended
	// how each Once ended, unless it was asked to stop.
	Count func(Summary)
	Ended func(error)
	// Lock, if set, is what each round of Run holds: of all processes that ask for
	// it one reads the stream. It goes on where the others were.
	Lock *kafka.Lock
	// Round, if set, is given each round of Run to do it with once.
	Round func(ctx context.Context, once func(context.Context) (Summary, error)) error
	// Refused, if set, is called for each dead letter: where it came from and
	// what is wrong with it.
	Refused func(origin string, err error)

	looker *looker // made by the first Once or Page

	mu      sync.Mutex
	waiting int           // calls that wait for a limit; guarded by mu
	told    bool          // that they wait; guarded by mu
	since   time.Time     // when the first of them began; guarded by mu
	waited  time.Duration // of this reading; guarded by mu
}

// Summary counts what a pull did.
type Summary struct {
	Pages, Records, Events, DeadLetters int
	// Drift counts the fields that are not as the connector knows them, in the
	// payloads that were looked at, and the statuses that it does not know, in all
	// of them.
	Drift int
	// Short counts the rows that the platform counted and did not give.
	Short int
	// Total is how many records the platform says there are to read; 0 when
	// it does not say.
	Total int
	// Waited is how long it waited for limits of the platform.
	Waited time.Duration
}

// since is what came after earlier.
func (s Summary) since(earlier Summary) Summary {
	return Summary{Pages: s.Pages - earlier.Pages, Records: s.Records - earlier.Records, Events: s.Events - earlier.Events, DeadLetters: s.DeadLetters - earlier.DeadLetters, Drift: s.Drift - earlier.Drift, Short: s.Short - earlier.Short, Total: s.Total}
}

// pagesAhead bounds how many pages, mapped and sealed, wait for those before
// them to be acknowledged: some 10 MB a stream.
const pagesAhead = 4

// sealed is a page that is ready to be published.
type sealed struct {
	messages []kafka.Message
	next     connectors.Cursor
	// sum counts up to and including this page.
	sum Summary
}

// Once reads the stream from its cursor to the present. The next pages are
// read while one is published: both wait, the one for the platform and the
// other for Kafka. What was read before an error is published. The summary
// counts what was acknowledged.
func (p *Puller) Once(ctx context.Context) (Summary, error) {
	ctx = httpclient.WithWaits(ctx, p.waits)
	key := p.key()
	if p.looker == nil {
		p.looker = newLooker(p, pulled)
	}
	pages := make(chan sealed, pagesAhead)
	var sum Summary
	group, reading := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(pages)
		return p.read(reading, key, pages)
	})
	// Not the group's context: a platform that fails takes nothing away from
	// the pages that it gave before.
	group.Go(func() (err error) {
		sum, err = p.write(ctx, key, pages)
		return err
	})
	err := group.Wait()
	p.mu.Lock()
	sum.Waited, p.waited = p.waited, 0
	p.mu.Unlock()
	p.keepDrifts(ctx)
	if p.Ended != nil && ctx.Err() == nil {
		p.Ended(err)
	}
	return sum, err
}

// keepDrifts keeps what was looked at.
func (p *Puller) keepDrifts(ctx context.Context) {
	if p.looker == nil || ctx.Err() != nil {
		return
	}
	if err := p.Drifts.keep(ctx, p.key()); err != nil {
		p.Log.Debug("how payloads differ is noted with the next round", "error", err)
	}
}

// waits notes a wait for a limit of the platform: a state of the run, with its
// end, and no error. Of several at the same time the first is told.
func (p *Puller) waits(w httpclient.Wait, begins bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !begins {
		p.waiting--
		if p.waiting == 0 {
			p.waited += time.Since(p.since)
		}
		if p.waiting == 0 && p.told {
			p.told = false
			p.Log.Info("stream goes on after its wait", "platform", p.Platform, "shop", p.Shop, "stream", p.Stream)
		}
		return
	}
	if p.waiting++; p.waiting == 1 {
		p.since = time.Now()
	}
	if !p.told && time.Until(w.Until) >= toldWait {
		p.told = true
		p.Log.Info("stream waits for a limit of the platform", "platform", p.Platform, "shop", p.Shop, "stream", p.Stream,
			"limit", w.Name, "why", w.Why, "until", w.Until.Format(time.RFC3339))
	}
}

// toldWait is the shortest wait that is worth a line in the log.
const toldWait = 10 * time.Second

// key names the stream for people, and its cursor.
func (p *Puller) key() string { return p.Platform + "/" + p.Shop + "/" + p.Stream }

func (p *Puller) cursorKey() string { return cmp.Or(p.CursorKey, p.key()) }

// read maps and seals the stream's pages into out.
func (p *Puller) read(ctx context.Context, key string, out chan<- sealed) error {
	var sum Summary
	var from connectors.Cursor
	if p.Cursors != nil {
		from = p.Cursors.Get(p.cursorKey())
	}
	from = cmp.Or(from, p.Start)
	for page, err := range p.Connector.Read(ctx, p.Stream, from) {
		if err != nil {
			return fmt.Errorf("pull: read %s: %w", key, err)
		}
		messages, err := p.seal(page, &sum)
		if err != nil {
			return fmt.Errorf("pull: %s: %w", key, err)
		}
		select {
		case out <- sealed{messages, page.Next, sum}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// write publishes pages in their order, and writes the cursor once they are
// acknowledged. Pages that are ready at the same time go together, with the
// last cursor of them: Kafka syncs each write, and few large ones cost it a
// fraction of many small ones. The summary counts what was acknowledged.
func (p *Puller) write(ctx context.Context, key string, in <-chan sealed) (Summary, error) {
	var sum Summary
	for page := range in {
		for range len(in) {
			more, ok := <-in
			if !ok {
				break
			}
			page.messages = append(page.messages, more.messages...)
			page.sum = more.sum
			if more.next != "" {
				page.next = more.next
			}
		}
		if err := p.send(ctx, page.messages); err != nil {
			return sum, fmt.Errorf("pull: %s: %w", key, err)
		}
		if err := published.Hit(); err != nil {
			return sum, err
		}
		if page.next != "" && p.Cursors != nil {
			if err := p.Cursors.Put(ctx, p.cursorKey(), page.next); err != nil {
				return sum, fmt.Errorf("pull: %s: %w", key, err)
			}
		}
		if p.Count != nil {
			p.Count(page.sum.since(sum))
		}
		sum = page.sum
		if p.Progress != nil {
			p.Progress(sum)
		}
		if ctx.Err() != nil {
			return sum, ctx.Err()
		}
	}
	return sum, nil
}

// Run pulls again and again, every so often, until ctx ends. An error is
// logged when the stream's state changes. While the platform is away the next
// round tries again, after a pause that grows; what a person has to mend is
// tried again much later, and a refusal of the shop stops its other streams
// too.
func (p *Puller) Run(ctx context.Context, every time.Duration) error {
	shop := p.SharedShop
	if shop == nil {
		shop = new(Shop)
	}
	log := p.Log.With("platform", p.Platform, "shop", p.Shop, "stream", p.Stream)
	failing, stopped := false, false
	away := pipelines.Backoff{Min: every, Max: max(every, awayMax)}
	refused := pipelines.Backoff{Min: stoppedMin, Max: stoppedMax}
	for {
		var sum Summary
		err, left := shop.stopped()
		if err == nil {
			sum, err = p.round(ctx)
		} else if p.Ended != nil {
			p.Ended(err)
		}
		if ctx.Err() != nil {
			return nil // it was asked to end: what broke off is read again
		}
		if errors.Is(err, kafka.ErrFenced) {
			continue // another process reads on from the cursor
		}
		stops := connectors.Stops(err)
		switch {
		case stops && !stopped:
			log.Error("stream is stopped until somebody acts", "error", err)
		case err != nil && !failing:
			log.Warn("stream stands still; it is tried again", "error", err)
		case err == nil && failing:
			log.Info("stream goes on", "events", sum.Events)
		case err == nil && sum.Events > 0:
			log.Debug("pulled", "events", sum.Events, "dead_letters", sum.DeadLetters)
		}
		failing, stopped = err != nil, stops
		switch {
		case err == nil:
			shop.works(p.Stream)
			away.Reset()
			refused.Reset()
			err = pipelines.Sleep(ctx, every)
		case left > 0:
			err = shop.sleep(ctx, left)
		case connectors.ClassOf(err) == connectors.StopShop:
			shop.stop(p.Stream, err)
			_, left := shop.stopped()
			err = shop.sleep(ctx, left)
		case stops:
			err = refused.Wait(ctx)
		default:
			err = away.Wait(ctx)
		}
		if err != nil {
			return nil
		}
	}
}

// round is Once, when it is this process's turn.
func (p *Puller) round(ctx context.Context) (sum Summary, err error) {
	once := func(ctx context.Context) (Summary, error) {
		sum, err = p.Once(ctx)
		return sum, err
	}
	work := func(ctx context.Context, gained bool) error {
		if gained && p.Cursors != nil { // another process may have read on
			if err := p.Cursors.Refresh(ctx); err != nil {
				return err
			}
		}
		if p.Round != nil {
			return p.Round(ctx, once)
		}
		_, err := once(ctx)
		return err
	}
	if p.Lock == nil {
		err = work(ctx, false)
	} else {
		err = p.Lock.Do(ctx, work)
	}
	return sum, err
}

// seal maps one page and seals its events, and counts it in sum.
func (p *Puller) seal(page connectors.Page, sum *Summary) ([]kafka.Message, error) {
	messages := make([]kafka.Message, 0, len(page.Records)*2)
	refuse := func(record connectors.Record, reason string, cause error) error {
		letters, err := p.deadLetter(record, reason, cause)
		if err != nil {
			return err
		}
		messages = append(messages, letters...)
		sum.DeadLetters++
		if p.Refused != nil {
			p.Refused(record.Origin, cause)
		}
		return nil
	}
	for _, bad := range page.Bad {
		if err := refuse(connectors.Record{Raw: bad.Raw, Origin: bad.Origin, Observed: page.Server}, events.ReasonRead, bad.Err); err != nil {
			return nil, err
		}
	}
	published := 0
	for i, record := range page.Records {
		sum.Drift += p.looker.look(record.Raw, i == 0)
		mapped, err := p.Connector.Map(record)
		if err != nil {
			if err := refuse(record, events.ReasonMap, err); err != nil {
				return nil, err
			}
			continue
		}
		unknown := unknownStatuses(mapped)
		sum.Drift += len(unknown)
		p.looker.saw(unknown)
		for _, event := range mapped {
			reason, err := events.ReasonMap, events.Check(event)
			if err == nil {
				reason, err = events.ReasonStore, events.Storable(event)
			}
			if err != nil {
				if err := refuse(record, reason, err); err != nil {
					return nil, err
				}
				continue
			}
			message, err := p.message(event)
			if err != nil {
				return nil, err
			}
			if len(message.Value) > events.MaxMessage {
				if err := refuse(record, events.ReasonTooLarge, errTooLarge); err != nil {
					return nil, err
				}
				continue
			}
			messages = append(messages, message)
			published++
		}
	}
	sum.Pages++
	sum.Short += page.Short
	sum.Records += len(page.Records) + len(page.Bad)
	sum.Events += published
	if page.Total > 0 {
		sum.Total = page.Total
	}
	return messages, nil
}

// send publishes, and waits for a Kafka that is away.
func (p *Puller) send(ctx context.Context, messages []kafka.Message) error {
	if len(messages) == 0 {
		return nil
	}
	away := false
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := p.Publisher.Publish(ctx, messages)
		if err == nil {
			if away {
				p.Log.Info("kafka is back", "shop", p.Platform+"/"+p.Shop)
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !kafka.IsAway(err) {
			return err
		}
		if !away {
			away = true
			p.Log.Warn("kafka is away; waiting", "error", err, "shop", p.Platform+"/"+p.Shop)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// message seals an event and makes the Kafka message of it.
func (p *Puller) message(event *events.Event) (kafka.Message, error) {
	wire, err := p.Topics.Encode(event, p.Keys)
	return kafka.MessageOf(wire), err
}

// deadLetter makes the messages of what was refused. Its id is a keyed hash of
// its bytes, so that the same refused row counts once however often it comes; of
// what a push named, of that name, however many messages tell of it.
func (p *Puller) deadLetter(record connectors.Record, reason string, cause error) ([]kafka.Message, error) {
	letter := &events.DeadLetter{
		Platform: p.Platform, Shop: p.Shop, Stream: p.Stream, Source: cmp.Or(p.Source, events.Source_SOURCE_API),
		Reason: reason, Detail: cause.Error(), Origin: record.Origin, Attempts: 1,
		FirstSeenMs: time.Now().UnixMilli(), ObservedMs: max(record.Observed.UnixMilli(), 0),
	}
	about := string(record.Raw)
	if len(record.Raw) == 0 || letter.NamedByPush() {
		about = reason + record.Origin
	}
	sum := p.Keys.Hash("deadletter", p.Platform+"/"+p.Shop+"/"+p.Stream, about)
	id := hex.EncodeToString(sum[:])
	letter.LetterId = id
	letters, err := events.Letters(letter, record.Raw, p.Keys)
	if err != nil {
		return nil, err
	}
	messages := make([]kafka.Message, len(letters))
	for i, part := range letters {
		part.Topic, part.Key = p.Topics.DeadLetter, []byte(id)
		messages[i] = kafka.MessageOf(part)
	}
	return messages, nil
}
