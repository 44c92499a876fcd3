package pull

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"oneid/internal/httpclient"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// Quotas keeps what was used of the platforms' quotas and which bans stand,
// for all processes of a brand, in the topic of the cursors: each process
// writes its own share, and all of them read all.
//
// Calls of a quota are written down before they are made. The topic has one
// partition, so all processes see the shares in one order: whoever finds the
// quota passed by its own share gets the rest of it alone, and no two get the
// same calls. A process that is killed has used at most what it wrote.
type Quotas struct {
	client    *kafka.Client
	publisher *kafka.Publisher
	topic     string
	process   string

	asking chan struct{} // holds what the one puts in who writes a share, until it is read

	reading sync.Mutex
	next    int64 // the offset to read on from; guarded by reading

	mu sync.Mutex
	// The fields below are guarded by mu.
	// see, if set, is told of each share in the topic's order, whoever reads it.
	see     func(name, process string)
	shares  map[string]map[string]processShare // name → process
	rates   map[string]*shared                 // name of a rate under which this process called
	heardAt time.Time                          // what was in the topic then was read
}

var _ httpclient.Keeper = (*Quotas)(nil)

// processShare is what one process used under a name, as it is written.
type processShare struct {
	Day   string    `json:"day"`
	Ends  time.Time `json:"ends,omitzero"` // of that day
	Used  int       `json:"used"`
	Quota int       `json:"quota,omitempty"` // of that day, for all
	Until time.Time `json:"until,omitzero"`  // of a ban
	// Demand is what it calls for, Rate how many calls a second it holds to be
	// allowed to all, and Need how many of them it would make.
	Demand httpclient.Urgency `json:"demand"`
	Rate   float64            `json:"rate,omitempty"`
	Need   float64            `json:"need,omitempty"`
	// Turn is its place among those who take a rate in turns: the lowest has it.
	Turn int64 `json:"turn,omitempty"`
	// Gives says that it uses nothing of its turn, if it had it, until it has read this.
	Gives bool `json:"gives,omitempty"`
	// Silent are processes of which nothing was heard since what they wrote at
	// these offsets: they are not waited for.
	Silent map[string]int64 `json:"silent,omitempty"`
	// Gone says that it calls no more.
	Gone    bool      `json:"gone,omitempty"`
	written time.Time // by its clock
	read    time.Time // by ours
	offset  int64
}

const (
	// quotaPrefix begins the keys of shares in the topic: no platform is
	// called so.
	quotaPrefix = "limits/"
	// shareEvery is how often a process that calls alone says that it is there.
	// Versions that did not say what they need said it as seldom among others, and
	// counted for shareLasts.
	shareEvery = 30 * time.Second
	shareLasts = 3 * shareEvery
	// leaveTakes bounds how long a process that ends tries to say so.
	leaveTakes = 2 * time.Second
	// shareKept is longer than a day and any ban.
	shareKept = 72 * time.Hour
)

// OpenQuotas reads what all processes wrote.
func OpenQuotas(ctx context.Context, client *kafka.Client, publisher *kafka.Publisher, topic string) (*Quotas, error) {
	q := &Quotas{
		client: client, publisher: publisher, topic: topic, process: uuid.NewString(),
		asking: make(chan struct{}, 1), shares: make(map[string]map[string]processShare), rates: make(map[string]*shared),
	}
	first, _, err := client.Ends(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("pull: read the quotas: %w", err)
	}
	q.next = first[0]
	if err := q.catchUp(ctx); err != nil {
		return nil, fmt.Errorf("pull: read the quotas: %w", err)
	}
	if err := q.forget(ctx, time.Now().Add(-shareKept)); err != nil {
		return nil, fmt.Errorf("pull: forget old quotas: %w", err)
	}
	return q, nil
}

// forget takes out of the topic what processes of before a moment wrote: their
// day is over, and so are their bans. This process hears of it as the others do.
func (q *Quotas) forget(ctx context.Context, before time.Time) error {
	var gone []kafka.Message
	q.mu.Lock()
	for name, shares := range q.shares {
		for process, s := range shares {
			if s.written.Before(before) {
				gone = append(gone, kafka.Message{Topic: q.topic, Key: []byte(quotaPrefix + name + "/" + process)})
			}
		}
	}
	q.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}
	return q.publisher.Publish(ctx, gone)
}

// Run hears of the others, and lets them hear of this process, until ctx ends:
// then that it is gone. What cannot be heard while Kafka is away is heard later.
func (q *Quotas) Run(ctx context.Context) {
	for pipelines.Sleep(ctx, time.Second) == nil {
		q.hear(ctx)
	}
	_ = q.leave(ctx) // unsaid, the others notice it
}

func (q *Quotas) hear(ctx context.Context) {
	if q.catchUp(ctx) != nil {
		return
	}
	for _, name := range q.toTell(time.Now()) {
		_ = q.tell(ctx, name) // told the next time
	}
}

// tell writes a share as it is: not beside one who raises it, or the lower one
// might be the last.
func (q *Quotas) tell(ctx context.Context, name string) error {
	q.asking <- struct{}{}
	defer func() { <-q.asking }()
	if err := q.write(ctx, name, q.share(name, mayEndTurn)); err != nil {
		return err
	}
	return q.catchUp(ctx)
}

// write writes this process's share and returns once it is acknowledged.
func (q *Quotas) write(ctx context.Context, name string, s processShare) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	key := quotaPrefix + name + "/" + q.process
	written := &events.Cursor{Position: string(text), WrittenMs: time.Now().UnixMilli()}
	value, err := proto.Marshal(written)
	if err != nil {
		return err
	}
	return q.publisher.Publish(ctx, []kafka.Message{{Topic: q.topic, Key: []byte(key), Value: value, Headers: kafka.Headers(events.DescribeCursor(key, written).Headers())}})
}

// catchUp reads what was written since.
func (q *Quotas) catchUp(ctx context.Context) error {
	q.reading.Lock()
	defer q.reading.Unlock()
	begun := time.Now()
	first, next, err := q.client.Ends(ctx, q.topic)
	if err != nil {
		return err
	}
	// What left the topic was superseded or forgotten.
	q.next = max(q.next, first[0])
	err = q.client.ReadRange(ctx, q.topic, 0, q.next, next[0], true, func(m kafka.Fetched) error {
		q.next = m.Offset + 1
		name, process, s, ok := readShare(m)
		if !ok {
			return nil
		}
		s.read, s.offset = time.Now(), m.Offset
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(m.Value) == 0 { // of a process that is long gone
			q.apply(name, process, nil)
		} else {
			q.apply(name, process, &s)
		}
		return nil
	})
	if err == nil {
		q.next = next[0]
		q.mu.Lock()
		q.heardAt = begun
		q.mu.Unlock()
	}
	return err
}

// apply takes what a process wrote, nil if that was forgotten. mu is held.
func (q *Quotas) apply(name, process string, s *processShare) {
	alone, had := q.nobody(name), q.holder(name)
	if q.shares[name] == nil {
		q.shares[name] = make(map[string]processShare)
	}
	if s == nil {
		delete(q.shares[name], process)
	} else {
		q.shares[name][process] = *s
		if q.see != nil {
			q.see(name, process)
		}
	}
	q.noteParts(name, process, alone, had)
}

// readShare reads a share, or of an empty value whose it was; false for a message
// that is a stream's cursor.
func readShare(m kafka.Fetched) (name, process string, s processShare, ok bool) {
	rest, ok := strings.CutPrefix(string(m.Key), quotaPrefix)
	slash := strings.LastIndexByte(rest, '/')
	var c events.Cursor
	if !ok || slash < 0 {
		return "", "", s, false
	}
	if len(m.Value) == 0 {
		return rest[:slash], rest[slash+1:], s, true
	}
	if proto.Unmarshal(m.Value, &c) != nil || json.Unmarshal([]byte(c.GetPosition()), &s) != nil {
		return "", "", s, false
	}
	s.written = time.UnixMilli(c.GetWrittenMs())
	return rest[:slash], rest[slash+1:], s, true
}

// used is how many calls of a day all processes wrote down; mu is held.
func (q *Quotas) used(name, day string) int {
	sum := 0
	for _, s := range q.shares[name] {
		if s.Day == day {
			sum += s.Used
		}
	}
	return sum
}

// Usage is what was used under one name.
type Usage struct {
	Name string
	// Used are the calls of the newest day that anybody wrote down and that is
	// today somewhere; 0 for a limit without a quota.
	Used int
	// Quota is how many there may be on that day; 0 for a limit without one.
	Quota int
	// Until is the end of a ban; zero for none.
	Until time.Time
	// UsedUp is when the day ends of which there are no more calls: the
	// platform's midnight. Zero while there are some.
	UsedUp time.Time
}

// Usage is what all processes used of each quota, by name, as it was read last.
func (q *Quotas) Usage(now time.Time) []Usage {
	q.mu.Lock()
	defer q.mu.Unlock()
	var list []Usage
	for _, name := range slices.Sorted(maps.Keys(q.shares)) {
		u, day := Usage{Name: name}, ""
		for _, s := range q.shares[name] {
			day = max(day, s.Day)
			if s.Until.After(u.Until) {
				u.Until = s.Until
			}
		}
		if day >= now.Add(-12*time.Hour).UTC().Format(time.DateOnly) {
			u.Used = q.used(name, day)
			var ends time.Time
			for _, s := range q.shares[name] {
				if s.Day == day {
					u.Quota = max(u.Quota, s.Quota)
					ends = s.Ends
				}
			}
			if u.Quota > 0 && u.Used >= u.Quota && ends.After(now) {
				u.UsedUp = ends
			}
		}
		list = append(list, u)
	}
	return list
}

// Take implements httpclient.Keeper.
func (q *Quotas) Take(ctx context.Context, name string, ends time.Time, n, limit, quota int) (int, error) {
	q.asking <- struct{}{}
	defer func() { <-q.asking }()
	day := ends.Add(-1).Format(time.DateOnly)
	// What cannot be granted is not written down as used.
	q.mu.Lock()
	n = min(n, limit-q.used(name, day))
	q.mu.Unlock()
	if n <= 0 {
		return 0, nil
	}
	mine := q.share(name, keepsTurn)
	if mine.Day != day {
		mine.Day, mine.Used = day, 0
	}
	mine.Ends = ends.UTC()
	mine.Used, mine.Quota = mine.Used+n, quota
	granted, seen := 0, false
	see := func(see func(name, process string)) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.see = see
	}
	// Before it is written: Run may read it before the one who wrote it does.
	see(func(of, process string) {
		if !seen && of == name && process == q.process && q.shares[of][process].Used == mine.Used {
			granted, seen = max(n-max(q.used(name, day)-limit, 0), 0), true
		}
	})
	defer see(nil)
	if err := q.write(ctx, name, mine); err != nil {
		return 0, err
	}
	if err := q.catchUp(ctx); err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return granted, nil
}

// Ban implements httpclient.Keeper.
func (q *Quotas) Ban(ctx context.Context, name string, until time.Time) error {
	q.asking <- struct{}{}
	defer func() { <-q.asking }()
	mine := q.share(name, keepsTurn)
	mine.Until = until.UTC()
	if err := q.write(ctx, name, mine); err != nil {
		return err
	}
	return q.catchUp(ctx)
}

// Banned implements httpclient.Keeper.
func (q *Quotas) Banned(name string) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	var until time.Time
	for _, s := range q.shares[name] {
		if s.Until.After(until) {
			until = s.Until
		}
	}
	return until
}
