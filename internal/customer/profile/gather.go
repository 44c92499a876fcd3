package profile

import (
	"context"
	"time"

	"oneid/internal/clickhouse"
)

// gatherer turns many small questions at once into few larger ones: while as
// many batches as there are slots are under way, questions wait, and whoever
// gets the next slot takes all that wait. It starts no goroutine: a caller
// asks for the others too.
//
// The embedded engine answers a few statements at a time; sixteen of one key
// each take it far longer than one of sixteen keys.
type gatherer[Q, A any] struct {
	// ask answers several questions, in their order.
	ask func(context.Context, []Q) ([]A, error)
	// slots holds a token for each batch under way.
	slots chan struct{}
	// waiting holds the questions; its room is more than there are callers
	// in any service that has a bound of its own.
	waiting chan *question[Q, A]
	// callers is how many asked at the time of the last batch: those that it
	// answered, and those that waited when it ended. Who holds a slot reads
	// and writes it.
	callers int
}

type question[Q, A any] struct {
	asked  Q
	answer A
	err    error
	done   chan struct{}
}

const (
	// batchesAtOnce is one: what a statement costs lies in the statement more
	// than in the questions, so two at once make both slow.
	batchesAtOnce = 1
	// batchQuestions bounds a batch, and with it the time that its last
	// question waits for.
	batchQuestions = 64
	// linger is how long a batch waits for those who have just been answered
	// and ask again, as a busy service desk does: without it they would find
	// the next batch gone, and each would be half as large as it might be. A
	// lone caller never waits.
	linger = 2 * time.Millisecond
	// batchTime bounds a batch: it goes on when its caller has gone, because
	// others wait for it.
	batchTime = 10 * time.Second
)

func newGatherer[Q, A any](ask func(context.Context, []Q) ([]A, error)) *gatherer[Q, A] {
	return &gatherer[Q, A]{ask: ask, slots: make(chan struct{}, batchesAtOnce), waiting: make(chan *question[Q, A], 1024)}
}

// get answers one question. It may be called concurrently.
func (g *gatherer[Q, A]) get(ctx context.Context, asked Q) (A, error) {
	q := &question[Q, A]{asked: asked, done: make(chan struct{})}
	if err := ctx.Err(); err != nil {
		return q.answer, err // a select would choose between it and the room that there is
	}
	select {
	case g.waiting <- q:
	case <-ctx.Done():
		return q.answer, ctx.Err()
	}
	for {
		select {
		case <-q.done:
			return q.answer, q.err
		case <-ctx.Done():
			// Whoever takes the question answers into the void.
			return *new(A), ctx.Err()
		case g.slots <- struct{}{}:
			g.batch(ctx)
			<-g.slots
		}
	}
}

// batch answers what waits, as far as a batch reaches. Its caller's question
// may have been taken by another, or wait behind this batch.
func (g *gatherer[Q, A]) batch(ctx context.Context) {
	batch := g.take(nil)
	if len(batch) == 0 {
		return
	}
	if len(batch) < min(g.callers, batchQuestions) {
		batch = g.wait(batch)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTime)
	defer cancel()
	if err := g.answer(ctx, batch); err != nil && len(batch) > 1 && ctx.Err() == nil && !clickhouse.IsUnavailable(err) {
		// One question may have spoiled it for the others.
		for i := range batch {
			_ = g.answer(ctx, batch[i:i+1]) // its caller has the error
		}
	}
	g.callers = len(batch) + len(g.waiting)
	for _, q := range batch {
		close(q.done)
	}
}

// answer asks some questions at once, and returns the error that all got.
func (g *gatherer[Q, A]) answer(ctx context.Context, batch []*question[Q, A]) error {
	asked := make([]Q, len(batch))
	for i, q := range batch {
		asked[i] = q.asked
	}
	answers, err := g.ask(ctx, asked)
	for i, q := range batch {
		if q.err = err; err == nil {
			q.answer = answers[i]
		}
	}
	return err
}

// take adds what waits to a batch.
func (g *gatherer[Q, A]) take(batch []*question[Q, A]) []*question[Q, A] {
	for len(batch) < batchQuestions {
		select {
		case q := <-g.waiting:
			batch = append(batch, q)
		default:
			return batch
		}
	}
	return batch
}

// wait adds what comes until as many have asked as at the last time, for
// linger at most.
func (g *gatherer[Q, A]) wait(batch []*question[Q, A]) []*question[Q, A] {
	over := time.NewTimer(linger)
	defer over.Stop()
	for len(batch) < min(g.callers, batchQuestions) {
		select {
		case q := <-g.waiting:
			batch = append(batch, q)
		case <-over.C:
			return batch
		}
	}
	return batch
}
