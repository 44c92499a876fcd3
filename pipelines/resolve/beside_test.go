package resolve

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/schemas/events"
)

// overlapping is a ledger of which an insert waits until the next batch is applied,
// as long as events are left.
type overlapping struct {
	*ledger
	left      int // events that were not applied yet
	next      chan uint64
	inserting bool
	overlaps  int      // inserts that another met
	alone     []uint64 // batches whose next was not applied meanwhile
	inserted  []uint64
	fails     bool // the next insert
}

func (o *overlapping) Apply(ctx context.Context, b *Batch) error {
	err := o.ledger.Apply(ctx, b)
	o.mu.Lock()
	if !b.Again {
		o.left -= len(b.Events)
	}
	o.mu.Unlock()
	select {
	case o.next <- b.Sequence:
	default: // nobody waits: it came again
	}
	return err
}

func (o *overlapping) Insert(ctx context.Context, b *Batch) (int, error) {
	o.mu.Lock()
	if o.inserting {
		o.overlaps++
	}
	o.inserting = true
	o.inserted = append(o.inserted, b.Sequence)
	left := o.left
	_, err := o.read(b)
	o.mu.Unlock()
	if err != nil {
		return 0, err
	}
	defer func() {
		o.mu.Lock()
		o.inserting = false
		o.mu.Unlock()
	}()
	for limit := time.After(time.Minute); !b.Again && left > 0; {
		select {
		case sequence := <-o.next:
			if sequence <= b.Sequence {
				continue
			}
		case <-limit:
			o.mu.Lock()
			o.alone = append(o.alone, b.Sequence)
			o.mu.Unlock()
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		break
	}
	if o.fails {
		o.fails = false
		return 0, errAway
	}
	return o.ledger.Insert(ctx, b)
}

// comeLarge publishes users of whom some three fit into an answer of the broker.
func (f *flow) comeLarge(t *testing.T, n int) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	for no := range n {
		e := user(no)
		e.Header.Raw = make([]byte, 600<<10)
		_, _ = random.Read(e.Header.Raw) // it never fails
		f.publish(t, f.message(t, e))
	}
}

// While the rows of a full batch are on their way the next one is applied, and
// inserted only behind it; also if they have to be sent again.
func TestTheNextBatchIsAppliedBesideAnInsert(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]bool{"all is well": false, "an insert fails": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			const users = 24
			work := &overlapping{ledger: newLedger(), left: users, next: make(chan uint64, users), fails: fails}
			r := f.resolver(work)
			r.BatchEvents = 1 // each answer of the broker is a full batch
			f.comeLarge(t, users)
			if err := run(t, r); err != nil {
				t.Fatal(err)
			}
			work.wantAllOnce(t, users)
			if len(work.inserted) < 4 {
				t.Fatalf("%d batches, want several", len(work.inserted))
			}
			if work.overlaps > 0 {
				t.Errorf("%d inserts began before the one before had ended", work.overlaps)
			}
			if len(work.alone) > 0 {
				t.Errorf("beside the inserts of %v nothing was applied", work.alone)
			}
			if !slices.IsSorted(work.inserted) {
				t.Errorf("batches were inserted as %v, want them in their order", work.inserted)
			}
		})
	}
}

// deposed is overlapping, and another claims the journal while its first rows are on
// their way. It changes nobody's customer, so it publishes nothing.
type deposed struct {
	*overlapping
	claim func()
	again map[uint64]bool // of each batch, whether its first insert said that it comes again
}

func (d *deposed) Insert(ctx context.Context, b *Batch) (int, error) {
	first := len(d.again) == 0
	if _, known := d.again[b.Sequence]; !known {
		d.again[b.Sequence] = b.Again
	}
	n, err := d.overlapping.Insert(ctx, b)
	if first && err == nil {
		d.claim()
	}
	return n, err
}

func (d *deposed) Changes(context.Context, *Batch) ([]*events.IdentityChange, error) { return nil, nil }

// A batch that is applied and waits for the one before is not inserted once another has
// claimed the journal: that one delivers it, or this one anew.
func TestWhoWaitedLooksWhetherAnotherIsActive(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	const users = 12
	work := &deposed{overlapping: &overlapping{ledger: newLedger(), left: users, next: make(chan uint64, users)}, again: map[uint64]bool{}}
	work.claim = func() {
		value, err := proto.Marshal(&events.JournalRecord{Epoch: 1000})
		if err != nil {
			t.Error(err)
		}
		log := f.client.Log(f.topics.Journal, 0)
		if _, err := log.Append(t.Context(), value, nil); err != nil {
			t.Error(err)
		}
		_ = log.Close() // it is acknowledged
	}
	r := f.resolver(work)
	r.BatchEvents = 1 // each answer of the broker is a full batch
	f.comeLarge(t, users)
	if err := run(t, r); err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, users)
	if sequences := slices.Sorted(maps.Keys(work.again)); len(sequences) < 2 || !work.again[sequences[1]] {
		t.Errorf("the batch that waited was inserted although another had claimed the journal: %v", work.again)
	}
}

// following is a ledger of which what follows an insert waits for the insert of the next
// batch, as long as events are left.
type following struct {
	*ledger
	left      int // events that were not applied yet
	began     chan uint64
	alone     []uint64 // batches whose next was not inserted meanwhile
	followed  []uint64
	following bool
	overlaps  int // of which another was followed up
}

func (f *following) Apply(ctx context.Context, b *Batch) error {
	f.mu.Lock()
	if !b.Again {
		f.left -= len(b.Events)
	}
	f.mu.Unlock()
	return f.ledger.Apply(ctx, b)
}

func (f *following) Insert(ctx context.Context, b *Batch) (int, error) {
	f.mu.Lock()
	_, err := f.read(b)
	f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	select {
	case f.began <- b.Sequence:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return f.ledger.Insert(ctx, b)
}

func (f *following) Changes(ctx context.Context, b *Batch) ([]*events.IdentityChange, error) {
	f.mu.Lock()
	if f.following {
		f.overlaps++
	}
	f.following = true
	f.followed = append(f.followed, b.Sequence)
	left := f.left
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.following = false
		f.mu.Unlock()
	}()
	for limit := time.After(time.Minute); left > 0; {
		select {
		case sequence := <-f.began:
			if sequence <= b.Sequence {
				continue
			}
		case <-limit:
			f.alone = append(f.alone, b.Sequence)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		break
	}
	return f.ledger.Changes(ctx, b)
}

// What follows the insert of a full batch is done beside the insert of the next one, and
// of no two at once.
func TestTheNextBatchIsInsertedBesideWhatFollows(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	const users = 24
	work := &following{ledger: newLedger(), left: users, began: make(chan uint64, users)}
	r := f.resolver(work)
	r.BatchEvents = 1 // each answer of the broker is a full batch
	f.comeLarge(t, users)
	if err := run(t, r); err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, users)
	if len(work.followed) < 4 || !slices.IsSorted(work.followed) || work.overlaps > 0 {
		t.Errorf("the batches %v were followed up, %d of them beside another; want several, in their order, one at a time", work.followed, work.overlaps)
	}
	if len(work.alone) > 0 {
		t.Errorf("beside what follows the inserts of %v nothing was inserted", work.alone)
	}
}

// crowd is a ledger of which what follows the first insert takes until a fourth batch is
// applied, or for a while.
type crowd struct {
	*ledger
	applied int
	fourth  chan struct{}
	first   bool
}

func (c *crowd) Apply(ctx context.Context, b *Batch) error {
	c.mu.Lock()
	if c.applied++; c.applied == 4 {
		close(c.fourth)
	}
	c.mu.Unlock()
	return c.ledger.Apply(ctx, b)
}

func (c *crowd) Changes(ctx context.Context, b *Batch) ([]*events.IdentityChange, error) {
	if !c.first {
		c.first = true
		select {
		case <-c.fourth:
			return nil, errors.New("a fourth batch is in work")
		case <-time.After(time.Second): // a few milliseconds were enough
		case <-ctx.Done():
		}
	}
	return c.ledger.Changes(ctx, b)
}

// However long it takes to publish what a batch changed, no more than two others are in
// work behind it: what they changed is in no budget.
func TestNoMoreThanThreeBatchesAreInWork(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	const users = 24
	work := &crowd{ledger: newLedger(), fourth: make(chan struct{})}
	r := f.resolver(work)
	r.BatchEvents = 1 // each answer of the broker is a full batch
	f.comeLarge(t, users)
	if err := run(t, r); err != nil {
		t.Fatal(err)
	}
	work.wantAllOnce(t, users)
	if work.applied < 5 {
		t.Errorf("%d batches, want several", work.applied)
	}
}
