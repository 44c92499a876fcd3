package deadletter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"golang.org/x/sync/semaphore"

	"oneid/internal/clickhouse"
	"oneid/internal/kafka"
	"oneid/internal/pubsub"
	"oneid/schemas/events"
)

// What is in hand at once is bounded by these.
const (
	lettersInHand = 2000
	bytesInHand   = 8 << 20
)

// mostTraced is of how many messages that came back is looked up whose they are: it
// takes memory, and a reading of the topics between the first and the last.
const mostTraced = 10_000

// Replay tries each open letter of a filter again, as things are today: a
// record is mapped, a message of a topic is decoded, and what comes of it is
// published; what a webhook refused is handed to it again. A letter that
// succeeds is closed; one that fails is kept, with one attempt more. While
// Kafka or ClickHouse is away it waits. Killed at any point it may be called again: what is
// published twice has the same versions.
//
// Letters go one at a time through the Router, whose poison are those that
// fail.
func (d *Desk) Replay(ctx context.Context, f Filter) (Report, error) {
	r := &replaying{desk: d}
	router, err := pubsub.NewRouter(pubsub.RouterConfig{Log: d.Log, Attempts: 1, Away: isAway, Poison: kept{r}, PoisonTopic: d.Topics.DeadLetter})
	if err != nil {
		return Report{}, err
	}
	running, done := context.WithCancel(ctx)
	defer done()
	source := &letterSource{desk: d, filter: f, done: done}
	router.Handle("deadletter-replay", d.Topics.DeadLetter, source, r.handle)
	err = errors.Join(router.Run(running), source.err, ctx.Err())
	return r.report, err
}

// CameBack puts right the report of a replay once the flow has taken what it
// published: letters behind the offset since, where the topic ended before the
// replay, that the flow has refused again are none that were replayed. Of a letter
// that made several messages several may have come back: it counts once, unless more
// than mostTraced messages did; then each counts.
func (d *Desk) CameBack(ctx context.Context, report *Report, since int64) error {
	again := fmt.Sprintf("attempts > 1 AND bytes_at >= %d AND reason IN (%s)", since, strings.Join([]string{
		clickhouse.Quote(events.ReasonDecode), clickhouse.Quote(events.ReasonOpen), clickhouse.Quote(events.ReasonStore),
	}, ", "))
	var rows []struct {
		Count   uint64   `ch:"messages"`
		Origins []string `ch:"origins"`
	}
	err := d.ClickHouse.Select(ctx, "count the letters that came back", &rows, fmt.Sprintf("SELECT count() AS messages, groupArray(%d)(origin) AS origins FROM ", mostTraced)+d.ClickHouse.Database()+".dead_letter_states FINAL WHERE state = "+clickhouse.Quote(StateOpen)+" AND "+again)
	if err != nil || len(rows) == 0 || rows[0].Count == 0 {
		return err
	}
	causes := int(rows[0].Count)
	if causes <= mostTraced {
		if causes, err = d.causes(ctx, rows[0].Origins); err != nil {
			return err
		}
	}
	letters, err := d.find(ctx, Filter{State: StateOpen}, "AND "+again+" ORDER BY bytes_at LIMIT "+strconv.Itoa(mostFailures))
	if err != nil {
		return err
	}
	back := min(causes, report.Replayed)
	report.Replayed, report.Kept = report.Replayed-back, report.Kept+back
	for _, l := range letters {
		if len(report.Failures) < mostFailures {
			report.Failures = append(report.Failures, Failure{l.ID, l.Detail})
		}
	}
	return nil
}

// causes counts the letters that were replayed as the messages at these origins,
// written TOPIC/PARTITION@OFFSET. One that says of no letter is one by itself.
func (d *Desk) causes(ctx context.Context, origins []string) (int, error) {
	type place struct {
		topic     string
		partition int
	}
	letters := make(map[string]bool)
	at := make(map[place]map[int64]string)
	for _, origin := range origins {
		path, last, _ := strings.Cut(origin, "@")
		cut := strings.LastIndexByte(path, '/')
		offset, errOffset := strconv.ParseInt(last, 10, 64)
		partition, errPartition := strconv.Atoi(path[cut+1:])
		if cut < 0 || errOffset != nil || errPartition != nil {
			letters[origin] = true
			continue
		}
		of := place{path[:cut], partition}
		if at[of] == nil {
			at[of] = make(map[int64]string)
		}
		at[of][offset] = origin
	}
	for of, messages := range at {
		offsets := slices.Sorted(maps.Keys(messages))
		err := d.Kafka.ReadRange(ctx, of.topic, of.partition, offsets[0], offsets[len(offsets)-1]+1, true, func(m kafka.Fetched) error {
			for _, h := range m.Headers {
				if h.Key == events.LetterHeader && messages[m.Offset] != "" {
					letters["letter "+string(h.Value)] = true
					delete(messages, m.Offset)
				}
			}
			return nil
		})
		if err != nil && (ctx.Err() != nil || kafka.IsAway(err)) { // of a topic that is gone each counts
			return 0, fmt.Errorf("deadletter: look whose messages came back: %w", err)
		}
		for _, origin := range messages {
			letters[origin] = true
		}
	}
	return len(letters), nil
}

// replaying is one replay.
type replaying struct {
	desk *Desk

	mu     sync.Mutex
	report Report
}

// handle tries one letter again. The state comes last: a letter is closed only
// once what became of it is acknowledged.
func (r *replaying) handle(m *message.Message) error {
	o := letterOf(m)
	messages, err := r.desk.tryAgain(m.Context(), o)
	if err != nil {
		return err
	}
	if len(messages) > 0 {
		if err := r.desk.Publisher.Publish(m.Context(), messages); err != nil {
			return fmt.Errorf("deadletter: the letter stays as it is: %w", err)
		}
	}
	o.Attempts++
	if err := r.desk.change(m.Context(), o.Letter, StateReplayed); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Replayed++
	return nil
}

// tryAgain is again, where a panic is one more reason why a letter fails. What
// it panics with may be a value of a person's, and is told to nobody.
func (d *Desk) tryAgain(ctx context.Context, o opened) (messages []kafka.Message, err error) {
	defer func() {
		if recover() == nil {
			return
		}
		messages, err = nil, errors.New("the program panics on it: a fault of the program; the log says where")
		if d.Log != nil {
			d.Log.Error("a dead letter makes the program panic", "letter", o.ID, "stack", string(debug.Stack()))
		}
	}()
	messages, err = d.again(ctx, o)
	if err != nil && ctx.Err() == nil && !isRow(o) {
		// What is wrong with a letter, a platform that cannot be reached or bytes that
		// end too soon, is not a store that is away, whatever it looks like.
		err = errors.New(err.Error())
	}
	return messages, err
}

// isAway says whether ClickHouse is away; whether Kafka is, the Router knows.
func isAway(err error) bool {
	var said *clickhouse.Error
	return errors.As(err, &said) && clickhouse.IsUnavailable(said)
}

// isRow says whether a letter is a row of who is who.
func isRow(o opened) bool {
	return o.message.GetStream() == events.StreamRows && o.message.GetReason() == events.ReasonStore
}

// kept takes the letters that cannot be replayed: they go back to where they
// came from.
type kept struct{ *replaying }

// Publish implements message.Publisher.
func (k kept) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		o := letterOf(m)
		o.Attempts, o.Detail = o.Attempts+1, m.Metadata.Get(middleware.ReasonForPoisonedKey)
		if err := k.desk.change(m.Context(), o.Letter, StateOpen); err != nil {
			return err
		}
		k.mu.Lock()
		k.report.Kept++
		if len(k.report.Failures) < mostFailures {
			k.report.Failures = append(k.report.Failures, Failure{o.ID, o.Detail})
		}
		k.mu.Unlock()
	}
	return nil
}

// Close implements message.Publisher.
func (kept) Close() error { return nil }

type letterKey struct{}

// letterOf is the letter that a message stands for.
func letterOf(m *message.Message) opened {
	o, _ := m.Context().Value(letterKey{}).(opened)
	return o
}

// letterSource gives the open letters of a filter, once each, and ends the
// Router with the last.
type letterSource struct {
	desk   *Desk
	filter Filter
	done   context.CancelFunc // ends the Router
	err    error              // what it ended with; set before done is called
}

// Subscribe implements message.Subscriber.
func (s *letterSource) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		defer s.done()
		s.err = s.give(ctx, out)
	}()
	return out, nil
}

// give gives all letters, and waits until each was answered.
func (s *letterSource) give(ctx context.Context, out chan<- *message.Message) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	count, size := semaphore.NewWeighted(lettersInHand), semaphore.NewWeighted(bytesInHand)
	var inHand sync.WaitGroup
	defer inHand.Wait()
	return s.desk.pages(ctx, s.filter, func(letters []Letter) error {
		err := s.desk.read(ctx, letters, func(o opened) error {
			weight := min(int64(len(o.raw)), bytesInHand)
			if errors.Join(count.Acquire(ctx, 1), size.Acquire(ctx, weight)) != nil {
				return context.Cause(ctx)
			}
			m := message.NewMessageWithContext(context.WithValue(ctx, letterKey{}, o), o.ID, nil)
			select {
			case out <- m:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			inHand.Go(func() {
				defer count.Release(1)
				defer size.Release(weight)
				select {
				case <-m.Acked():
				case <-m.Nacked():
					stop(fmt.Errorf("deadletter: letter %s could neither be replayed nor kept; the log says why", o.ID))
				case <-ctx.Done():
				}
			})
			return nil
		})
		inHand.Wait()
		return errors.Join(err, context.Cause(ctx))
	})
}

// Close implements message.Subscriber.
func (*letterSource) Close() error { return nil }
