package pull

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
	"oneid/pipelines"
)

// backfillPrefix begins the keys of the cursors of backfills: no platform is
// called so.
const backfillPrefix = "backfill/"

// ErrNoBackfill says that the connector cannot read a stretch of the past.
var ErrNoBackfill = errors.New("its connector reads no stretch of the past")

// A Backfill reads what was changed in a stretch of a stream's past, beside the
// live reading: with a cursor of its own, under the same limits, and with calls
// that wait for those of the live reading. Cut off, it goes on where it was.
type Backfill struct {
	puller *Puller
	// Connector reads the stretch alone, and estimates it.
	Connector connectors.Connector
	// From is where it begins: later than asked for, where the platform shows
	// nothing as old.
	From time.Time
	// Resumed says that it was begun before.
	Resumed bool
	// Last is the cursor behind all that was read, once it is: it says what the reading
	// went on without.
	Last connectors.Cursor
}

// NewBackfill makes the backfill of a puller's stream from a moment to another;
// a zero to is the present. The puller, which has Cursors, is the backfill's
// from then on.
func NewBackfill(p *Puller, from, to time.Time) (*Backfill, error) {
	whole, ok := p.Connector.(connectors.Backfiller)
	if !ok {
		return nil, fmt.Errorf("pull: %s: %w", p.key(), ErrNoBackfill)
	}
	if to.IsZero() {
		p.CursorKey = backfillKey(p.key(), from, "now")
		to = time.Now().Add(24 * time.Hour) // whatever the platform's clock shows
	} else {
		p.CursorKey = backfillKey(p.key(), from, to.UTC().Format(time.RFC3339))
	}
	p.Connector = whole.Until(to)
	b := &Backfill{puller: p, Connector: p.Connector, Resumed: p.Cursors.Get(p.CursorKey) != ""}
	if c, ok := p.Connector.(connectors.StreamSeeker); ok {
		p.Start, b.From = c.SinceOf(p.Stream, from)
	} else {
		p.Start, b.From = p.Connector.(connectors.Backfiller).Since(from)
	}
	return b, nil
}

func backfillKey(stream string, from time.Time, to string) string {
	return backfillPrefix + stream + "/" + from.UTC().Format(time.RFC3339) + "/" + to
}

// Cursor is where the backfill goes on.
func (b *Backfill) Cursor() connectors.Cursor {
	if b.Resumed {
		return b.puller.Cursors.Get(b.puller.CursorKey)
	}
	return b.puller.Start
}

// Run reads until the stretch is read, and forgets its cursor then: the next
// backfill of it begins anew. It waits for a platform that is away, and returns
// an error where only a person can help, or ctx ended.
func (b *Backfill) Run(ctx context.Context) (Summary, error) {
	ctx = httpclient.WithPatience(ctx)
	var sum Summary
	away := pipelines.Backoff{Min: time.Second, Max: awayMax}
	p := b.puller
	failing := false
	for {
		round, err := p.Once(ctx)
		sum = Summary{
			Pages: sum.Pages + round.Pages, Records: sum.Records + round.Records, Events: sum.Events + round.Events,
			DeadLetters: sum.DeadLetters + round.DeadLetters, Drift: sum.Drift + round.Drift, Short: sum.Short + round.Short, Total: max(sum.Total, round.Total),
		}
		switch {
		case err == nil:
			b.Last = p.Cursors.Get(p.CursorKey)
			return sum, p.Cursors.Remove(ctx, p.CursorKey)
		case ctx.Err() != nil:
			return sum, ctx.Err()
		case connectors.Stops(err):
			return sum, err
		case !failing:
			failing = true
			p.Log.Warn("backfill stands still; it is tried again", "platform", p.Platform, "shop", p.Shop, "stream", p.Stream, "error", err)
		}
		if round.Pages > 0 {
			away.Reset()
			failing = false
		}
		if away.Wait(ctx) != nil {
			return sum, ctx.Err()
		}
	}
}
