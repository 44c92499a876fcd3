package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// The times of a lock keep one promise: who lost it has stopped before another
// one works. A member that hears nothing of its group asks no longer than
// lockHeartbeat and coordinatorWait, and stops its work lockGrace later: sooner
// than its session ends, and sooner than the others stop waiting for it when
// they join anew. A process that was halted as a whole, and wakes up, stops as
// late as that: what is done under a lock must bear a repetition.
const (
	lockSession   = 10 * time.Second
	lockHeartbeat = time.Second
	lockRebalance = 5 * time.Second
	lockGrace     = 2 * time.Second
)

// ErrHeld says that another process works under the lock now.
var ErrHeld = errors.New("another process has it now")

// Lock is a name under which one process works at a time, of all that use the
// same Kafka: a consumer group whose only partition belongs to one member. Who
// works keeps it, then comes who was asked by a person, then who had it last.
// Of a process that died it is another's within some 12 seconds. It may be used
// concurrently.
type Lock struct {
	id    string
	group *kafka.ConsumerGroup
	turn  chan struct{} // holds one thing while somebody of this process works

	mu sync.Mutex
	// The fields below are guarded by mu.
	ahead   bool          // it was asked for by a person
	working bool          // somebody of this process works
	live    bool          // the group is joined, and nobody comes or goes
	ours    bool          // as of the last generation
	since   int32         // the generation in which it became ours
	gained  bool          // nobody has worked since then
	number  int32         // of the last generation
	fault   error         // why the group cannot be joined
	changed chan struct{} // closed, and made anew, with each change
}

// Lock makes a lock and joins its group in the background; topic is any that
// is there. With ahead it comes before those who have the lock and do not work.
func (c *Client) Lock(id, topic string, ahead bool) (*Lock, error) {
	l := &Lock{id: id, ahead: ahead, turn: make(chan struct{}, 1), changed: make(chan struct{})}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: id, Brokers: c.config.Brokers, Dialer: c.dialer, Topics: []string{topic},
		GroupBalancers:    []kafka.GroupBalancer{oneMember{l.standing}},
		HeartbeatInterval: lockHeartbeat,
		SessionTimeout:    lockSession,
		RebalanceTimeout:  lockRebalance,
		JoinGroupBackoff:  joinBackoff,
		Timeout:           coordinatorWait,
		StartOffset:       kafka.FirstOffset,
	})
	if err != nil {
		return nil, fmt.Errorf("kafka: make lock %s: %w", id, err)
	}
	l.group = group
	go l.run()
	return l, nil
}

// standing is what this member says when it joins. From then on nothing begins
// until it knows whose the lock is.
func (l *Lock) standing() Standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = false
	switch {
	case l.working:
		// Of two that think so, the one that got it later is right.
		return Standing{Epoch: 3, Sequence: uint64(max(l.since, 0))}
	case l.ahead:
		return Standing{Epoch: 2}
	case l.ours:
		return Standing{Epoch: 1}
	}
	return Standing{}
}

// run follows the group until the lock is closed.
func (l *Lock) run() {
	for {
		generation, err := l.group.Next(context.Background()) // it ends with the membership
		if errors.Is(err, kafka.ErrGroupClosed) {
			return
		}
		l.mu.Lock()
		if err != nil {
			l.fault = err
		} else {
			was := l.ours
			l.ours = false
			for _, partitions := range generation.Assignments {
				l.ours = l.ours || len(partitions) > 0
			}
			if l.ours && !was {
				l.since, l.gained = generation.ID, true
			}
			l.number, l.live, l.fault = generation.ID, true, nil
		}
		l.tell()
		l.mu.Unlock()
		if err == nil {
			generation.Start(func(ctx context.Context) {
				<-ctx.Done()
				l.mu.Lock()
				defer l.mu.Unlock()
				if l.number == generation.ID { // it may have ended before this began
					l.live = false
					l.tell()
				}
			})
		}
	}
}

// tell wakes all who wait; mu is held.
func (l *Lock) tell() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Do waits until the lock is this process's, calls work, and lets others have
// it after that; of one process one after the other. gained says that another
// process may have worked since the last time. The context of work ends with
// ErrFenced when the lock is lost, and Do returns ErrFenced then.
func (l *Lock) Do(ctx context.Context, work func(ctx context.Context, gained bool) error) error {
	return l.do(ctx, false, work)
}

// Try is Do that does not wait while another process works: ErrHeld then.
func (l *Lock) Try(ctx context.Context, work func(ctx context.Context, gained bool) error) error {
	return l.do(ctx, true, work)
}

func (l *Lock) do(ctx context.Context, try bool, work func(ctx context.Context, gained bool) error) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	gained, err := l.begin(ctx, try)
	if err != nil {
		return err
	}
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.working = false
	}()
	working, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	watching.Go(func() { l.watch(working, cancel) })
	err = work(working, gained)
	if ctx.Err() == nil && errors.Is(context.Cause(working), ErrFenced) {
		return fmt.Errorf("kafka: lock %s: %w", l.id, ErrFenced)
	}
	return err
}

// begin waits until the lock is ours, and takes it.
func (l *Lock) begin(ctx context.Context, try bool) (gained bool, err error) {
	for {
		l.mu.Lock()
		if l.live && l.ours {
			gained, l.gained, l.working = l.gained, false, true
			l.mu.Unlock()
			return gained, nil
		}
		held, fault, changed := l.live && !l.ours, l.fault, l.changed
		l.mu.Unlock()
		if try && held {
			return false, ErrHeld
		}
		if try && fault != nil && !IsAway(fault) {
			return false, fmt.Errorf("kafka: lock %s: %w", l.id, fault)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// watch ends the work when the lock is lost, or when nobody can say whose it is.
func (l *Lock) watch(ctx context.Context, lost context.CancelCauseFunc) {
	var late <-chan time.Time
	for {
		l.mu.Lock()
		live, ours, changed := l.live, l.ours, l.changed
		l.mu.Unlock()
		if live && !ours {
			lost(ErrFenced)
			return
		}
		switch {
		case live:
			late = nil
		case late == nil:
			late = time.After(lockGrace)
		}
		select {
		case <-changed:
		case <-late:
			lost(ErrFenced)
			return
		case <-ctx.Done():
			return
		}
	}
}

// Members is how many members a consumer group has now, of a lock or of any
// other; those that died are among them until their session ends.
func (c *Client) Members(ctx context.Context, group string) (int, error) {
	described, err := c.admin.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return 0, fmt.Errorf("kafka: describe group %s: %w", group, err)
	}
	members := 0
	for _, g := range described.Groups {
		if g.Error != nil {
			return 0, fmt.Errorf("kafka: describe group %s: %w", group, g.Error)
		}
		members += len(g.Members)
	}
	return members, nil
}

// Close leaves the group, so that others need not wait for a dead member. No
// work may be under way.
func (l *Lock) Close() error {
	if err := l.group.Close(); err != nil {
		return fmt.Errorf("kafka: let lock %s go: %w", l.id, err)
	}
	return nil
}
