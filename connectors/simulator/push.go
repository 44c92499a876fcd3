package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Pusher tells an address of ours of what happens to a platform's orders and
// refunds, as the platform does: signed where the platform signs, again and
// again until the answer is the one that it wants, in any order, and some of it
// twice. Which messages come twice, and how late, follows from the seed.
type Pusher struct {
	World *World
	// Platform is PlatformDouyin or PlatformWeidian; Tmall has its connection.
	Platform string
	// URL is the address.
	URL string
	// Seed chooses what comes twice, and in which order.
	Seed uint64
	// Repeat is the share of messages that come a second time though they were
	// answered, 0 to 1.
	Repeat float64
	// Spread is how far the order of messages is shaken: each waits up to this
	// long.
	Spread time.Duration
	// Again is after how long a message comes again that was not answered as
	// wanted; 0 is a second. No platform says how long it takes.
	Again time.Duration
	// Existing tells of all that the world holds at the start, besides what
	// changes: a message an order, and one a refund.
	Existing bool
	// SignMethod is how Douyin signs: md5, hmac-sha256, or both by turns if it
	// is empty.
	SignMethod string
	// Secret signs in place of the app's; empty is the app's. For tests.
	Secret string

	mu      sync.Mutex
	pending []pushed
	counts  PushCounts
	begun   bool // what existed is among pending
	seen    int  // of the world's changes
}

// PushCounts counts what a Pusher did.
type PushCounts struct {
	// Told are the messages that there were to send, without repetitions.
	Told int
	// Sent are the requests, Answered those that were answered as wanted.
	Sent, Answered int
	// Pending are the messages that are still to be sent.
	Pending int
}

// pushed is a message on its way.
type pushed struct {
	body []byte
	due  time.Time
}

// pushTimeout is how long the platform waits for the answer: the shorter of
// the two times that are told of Douyin.
const pushTimeout = 2 * time.Second

// Counts says what was done so far. Pending is 0 only when all that happened
// by the time of the call was answered for.
func (p *Pusher) Counts() PushCounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Pending = len(p.pending) + len(p.World.changes(p.Platform)) - p.seen
	if p.Existing && !p.begun {
		c.Pending++
	}
	return c
}

// Run pushes until ctx ends, and returns nil then. Douyin sends its test
// message first, and nothing else before that is answered.
func (p *Pusher) Run(ctx context.Context) error {
	of, ok := pushFaces[p.Platform]
	if !ok {
		return fmt.Errorf("simulator: nothing is pushed of %q", p.Platform)
	}
	face := of(p)
	again := p.Again
	if again == 0 {
		again = time.Second
	}
	random := rand.New(rand.NewPCG(p.Seed, 1))
	for tested := face.test == nil; ctx.Err() == nil; {
		if !tested {
			if tested = p.send(ctx, face, face.test()); !tested {
				wait(ctx, again)
			}
			continue
		}
		p.gather(face, random)
		batch := p.take(time.Now(), face.most, random)
		if len(batch) == 0 {
			wait(ctx, 5*time.Millisecond)
			continue
		}
		ok := p.send(ctx, face, face.join(batch))
		p.settle(len(batch), ok, time.Now().Add(again))
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// A pushFace is how a platform pushes.
type pushFace struct {
	// test is the body that is sent first; nil for none.
	test func() []byte
	// message is the body of what happened to an order.
	message func(o Order, status string, at time.Time) []byte
	// refund is the body of what happened to an order's refund.
	refund func(o Order) []byte
	// most is how many messages go together; join makes one body of them.
	most int
	join func([]pushed) []byte
	// request signs a body, and accepted says whether it is answered.
	request  func(ctx context.Context, url string, body []byte) (*http.Request, error)
	accepted func(status int, body []byte) bool
}

var pushFaces = map[string]func(*Pusher) pushFace{PlatformDouyin: douyinPushes, PlatformWeidian: weidianPushes}

// gather adds what has happened since to pending.
func (p *Pusher) gather(face pushFace, random *rand.Rand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Existing && !p.begun {
		for index := range p.World.OrderCount(p.Platform) {
			o, ok := p.World.OrderAt(p.Platform, index)
			if !ok {
				continue
			}
			p.add(face.message(o, o.Status, o.Modified), random)
			if o.Refund != nil {
				p.add(face.refund(o), random)
			}
		}
		p.begun = true
	}
	changes := p.World.changes(p.Platform)
	for _, c := range changes[p.seen:] {
		if o, ok := p.World.OrderAt(p.Platform, c.index); ok {
			p.add(face.message(o, c.status, moment(c.modified)), random)
		}
	}
	p.seen = len(changes)
}

// add adds a message, twice if chance wants it; under mu. Of some things no
// message tells.
func (p *Pusher) add(body []byte, random *rand.Rand) {
	if body == nil {
		return
	}
	p.counts.Told++
	for range 2 {
		due := time.Now()
		if p.Spread > 0 {
			due = due.Add(time.Duration(random.Int64N(int64(p.Spread))))
		}
		p.pending = append(p.pending, pushed{body, due})
		if random.Float64() >= p.Repeat {
			return
		}
	}
}

// take takes some messages whose time has come.
func (p *Pusher) take(now time.Time, most int, random *rand.Rand) []pushed {
	p.mu.Lock()
	defer p.mu.Unlock()
	var batch []pushed
	most = 1 + random.IntN(most)
	random.Shuffle(len(p.pending), func(i, j int) { p.pending[i], p.pending[j] = p.pending[j], p.pending[i] })
	p.pending = slices.DeleteFunc(p.pending, func(m pushed) bool {
		if len(batch) == most || m.due.After(now) {
			return false
		}
		batch = append(batch, m)
		return true
	})
	// What is on its way counts as pending until it is answered.
	p.pending = append(p.pending, batch...)
	return batch
}

// settle takes the messages that were sent last off pending, or puts them off.
func (p *Pusher) settle(n int, answered bool, due time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := len(p.pending) - n
	if answered {
		p.pending = p.pending[:first]
		return
	}
	for i := range p.pending[first:] {
		p.pending[first+i].due = due
	}
}

// send sends a body, and says whether it was answered as wanted.
func (p *Pusher) send(ctx context.Context, face pushFace, body []byte) bool {
	timed, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	request, err := face.request(timed, p.URL, body)
	if err != nil {
		return false
	}
	ok := false
	if response, err := http.DefaultClient.Do(request); err == nil {
		answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
		ok = err == nil && face.accepted(response.StatusCode, bytes.TrimSpace(answer))
		_ = response.Body.Close() // it was read
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Sent++
	if ok {
		p.counts.Answered++
	}
	return ok
}

// Of is the request that tells of an order as it is now, as it is signed; ok is false
// where there is no such order, or no message tells of its state.
func (p *Pusher) Of(ctx context.Context, number string) (header http.Header, body []byte, ok bool) {
	of, told := pushFaces[p.Platform]
	o, there := p.World.OrderByNumber(p.Platform, number)
	if !told || !there {
		return nil, nil, false
	}
	face := of(p)
	message := face.message(o, o.Status, o.Modified)
	if message == nil {
		return nil, nil, false
	}
	body = face.join([]pushed{{body: message}})
	request, err := face.request(ctx, "http://push.example", body)
	if err != nil {
		return nil, nil, false
	}
	return request.Header, body, true
}

var errPush = errors.New("simulator: the push was not answered as wanted")

// Once sends one body as the platform would, whatever stands in it, and says
// whether it was answered as wanted.
func (p *Pusher) Once(ctx context.Context, body []byte) error {
	of, ok := pushFaces[p.Platform]
	if !ok {
		return fmt.Errorf("simulator: nothing is pushed of %q", p.Platform)
	}
	if !p.send(ctx, of(p), body) {
		return errPush
	}
	return nil
}
