package deadletter

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/internal/clickhouse"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

const (
	// fetchLimit is how many messages one insert takes at most; their bytes
	// are bounded by what one answer of the broker holds.
	fetchLimit = 4096
	fetchWait  = 500 * time.Millisecond
)

// Recorder keeps ClickHouse's table of letters up to date with the topic: a
// letter is in the view within about a second. It inserts, then commits its
// offset. Killed between the two it inserts again: the table keeps one state
// of a letter, whatever came how often and in which order.
type Recorder struct {
	Brand      string
	Kafka      *kafka.Client
	Topic      string
	ClickHouse *clickhouse.Conn
	Log        *slog.Logger
	// Seen, if set, is told of each state that is recorded: by reason, and
	// open, replayed or dropped.
	Seen func(reason, state string)

	mu sync.Mutex
	// recorded is the offset behind what is in ClickHouse; moved is closed,
	// and made anew, when it grows.
	recorded int64
	moved    chan struct{}
}

// Run records until ctx ends, and returns nil then. It waits for a store that
// is away, and returns an error only for what waiting does not cure.
func (r *Recorder) Run(ctx context.Context) error {
	var wait pipelines.Backoff
	away := false
	for {
		err := r.session(ctx, func() {
			wait.Reset()
			if away {
				away = false
				r.Log.Info("dead letters are recorded again")
			}
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case !kafka.IsAway(err) && !clickhouse.IsUnavailable(err):
			return err
		}
		if !away {
			away = true
			r.Log.Warn("dead letters wait for a store that is away", "error", err)
		}
		if wait.Wait(ctx) != nil {
			return nil
		}
	}
}

// session records from where the group is until something fails; working is
// called whenever there is nothing to record, or it is recorded: that Kafka
// answers says nothing of ClickHouse.
func (r *Recorder) session(ctx context.Context, working func()) error {
	position, err := r.Kafka.Committed(ctx, pipelines.LettersGroup(r.Brand), []string{r.Topic})
	if err != nil {
		return err
	}
	first, next, err := r.Kafka.Ends(ctx, r.Topic)
	if err != nil {
		return err
	}
	// A topic that was made anew begins at 0 again.
	at := min(max(position[r.Topic][0], first[0]), next[0])
	r.reached(at)
	fetcher := r.Kafka.Fetcher(r.Topic, 0, false)
	defer func() { _ = fetcher.Close() }() // nothing waits in it
	block, again := tables.NewDeadLetters(), true
	for {
		messages, _, err := fetcher.Fetch(ctx, at, fetchLimit, fetchWait)
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			working()
			continue
		}
		if err := r.insert(ctx, block, messages, again); err != nil {
			return err
		}
		at = messages[len(messages)-1].Offset + 1
		if err := r.Kafka.Commit(ctx, pipelines.LettersGroup(r.Brand), kafka.Position{r.Topic: {at}}); err != nil {
			return err
		}
		again = false
		working()
		r.reached(at)
	}
}

// insert writes what messages say of letters; again, if an insert before it may
// have been cut off.
func (r *Recorder) insert(ctx context.Context, block *tables.DeadLetters, messages []kafka.Fetched, again bool) error {
	block.Reset()
	var seen [][2]string // reasons and states
	for _, m := range messages {
		var l events.DeadLetter
		if err := proto.Unmarshal(m.Value, &l); err != nil || l.GetLetterId() == "" {
			// There is no further place to put it: it stays where it is.
			r.Log.Error("a message of the dead-letter topic is none", "offset", m.Offset)
			continue
		}
		if l.GetPart() > 0 {
			continue
		}
		block.Append(&l, m.Offset)
		seen = append(seen, [2]string{l.GetReason(), stateOf(&l)})
	}
	token := "deadletter/" + strconv.FormatInt(messages[0].Offset, 10) + "-" + strconv.FormatInt(messages[len(messages)-1].Offset, 10)
	var err error
	if again {
		_, err = r.ClickHouse.InsertAgain(ctx, block, token)
	} else {
		err = r.ClickHouse.Insert(ctx, block, token)
	}
	if err == nil && r.Seen != nil { // not at each attempt
		for _, s := range seen {
			r.Seen(s[0], s[1])
		}
	}
	return err
}

func stateOf(l *events.DeadLetter) string {
	switch l.GetState() {
	case events.LetterState_LETTER_STATE_REPLAYED:
		return StateReplayed
	case events.LetterState_LETTER_STATE_DROPPED:
		return StateDropped
	default:
		return StateOpen
	}
}

func (r *Recorder) reached(at int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recorded = at
	if r.moved != nil {
		close(r.moved)
	}
	r.moved = make(chan struct{})
}

// CaughtUp returns once every letter that lay in the topic at the call is in
// the view.
func (r *Recorder) CaughtUp(ctx context.Context) error {
	_, next, err := r.Kafka.Ends(ctx, r.Topic)
	if err != nil {
		return err
	}
	for {
		r.mu.Lock()
		if r.moved == nil {
			r.moved = make(chan struct{})
		}
		moved, left := r.moved, next[0]-r.recorded
		r.mu.Unlock()
		if left <= 0 {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("deadletter: wait for %d letters to reach ClickHouse: %w", left, ctx.Err())
		}
	}
}
