package pull

import (
	"context"
	"encoding/json"
	"errors"
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

	asking sync.Mutex // held by the one who writes a share, until it is read

	reading sync.Mutex
	next    int64 // the offset to read on from; guarded by reading

	mu sync.Mutex
	// The fields below are guarded by mu.
	// see, if set, is told of each share in the topic's order, whoever reads it.
	see    func(name, process string)
	shares map[string]map[string]processShare // name → process
	called map[string]time.Time               // name of a rate → when this process called last
	wants  map[string]httpclient.Demand       // name of a rate → what for
	joins  map[string]chan struct{}           // name of a rate → closed when this process has joined
	joined map[string]bool                    // name of a rate → whether it has
}

var _ httpclient.Keeper = (*Quotas)(nil)

// processShare is what one process used under a name, as it is written.
type processShare struct {
	Day   string    `json:"day"`
	Ends  time.Time `json:"ends,omitzero"` // of that day
	Used  int       `json:"used"`
	Quota int       `json:"quota,omitempty"` // of that day, for all
	Until time.Time `json:"until,omitzero"`  // of a ban
	// Demand is what it calls for. One that does not say calls for what cannot
	// wait.
	Demand httpclient.Demand `json:"demand"`
	// Pressed is since when it has been pressed.
	Pressed time.Time `json:"pressed,omitzero"`
	// Gone says that it calls no more.
	Gone    bool `json:"gone,omitempty"`
	written time.Time
}

// calls says that its process is one of those that call.
func (s processShare) calls(now time.Time) bool { return !s.Gone && now.Sub(s.written) < shareLasts }

const (
	// quotaPrefix begins the keys of shares in the topic: no platform is
	// called so.
	quotaPrefix = "limits/"
	// shareEvery is how often a process that calls says that it is there, and
	// shareLasts how long it counts after that.
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
		shares: make(map[string]map[string]processShare), called: make(map[string]time.Time), wants: make(map[string]httpclient.Demand),
		joins: make(map[string]chan struct{}), joined: make(map[string]bool),
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
// day is over, and so are their bans.
func (q *Quotas) forget(ctx context.Context, before time.Time) error {
	var gone []kafka.Message
	q.mu.Lock()
	for name, shares := range q.shares {
		for process, s := range shares {
			if s.written.Before(before) {
				gone = append(gone, kafka.Message{Topic: q.topic, Key: []byte(quotaPrefix + name + "/" + process)})
				delete(shares, process)
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
	defer q.leave(ctx)
	for pipelines.Sleep(ctx, time.Second) == nil {
		if q.catchUp(ctx) != nil {
			continue
		}
		for _, name := range q.toTell(time.Now()) {
			_ = q.tell(ctx, name) // told the next time
		}
	}
}

// leave says that this process calls no more, so that the others have its part at
// once; unsaid, they have it after shareLasts.
func (q *Quotas) leave(ctx context.Context) {
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTakes)
	defer cancel()
	q.asking.Lock()
	defer q.asking.Unlock()
	q.mu.Lock()
	names := slices.Collect(maps.Keys(q.called))
	q.mu.Unlock()
	for _, name := range names {
		mine := q.share(name)
		mine.Gone = true
		_ = q.write(leaving, name, mine) // or it is not said
	}
}

// tell writes a share as it is: not beside one who raises it, or the lower one
// might be the last.
func (q *Quotas) tell(ctx context.Context, name string) error {
	q.asking.Lock()
	defer q.asking.Unlock()
	if err := q.write(ctx, name, q.share(name)); err != nil {
		return err
	}
	return q.catchUp(ctx)
}

// toTell are the names under which this process called and has not said so
// for a while.
func (q *Quotas) toTell(now time.Time) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var names []string
	for name, at := range q.called {
		mine, told := q.shares[name][q.process]
		if now.Sub(at) < shareEvery && (now.Sub(mine.written) >= shareEvery || !told || mine.Demand != q.wants[name]) {
			names = append(names, name)
		}
	}
	return names
}

// share is this process's under a name, as it is to be written now.
func (q *Quotas) share(name string) processShare {
	q.mu.Lock()
	defer q.mu.Unlock()
	mine := q.shares[name][q.process]
	demand, calls := q.wants[name]
	if !calls {
		demand = httpclient.Urgent
	}
	switch {
	case demand != httpclient.Pressed:
		mine.Pressed = time.Time{}
	case mine.Pressed.IsZero():
		mine.Pressed = time.Now().UTC()
	}
	mine.Demand, mine.Gone = demand, false
	return mine
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
	_, next, err := q.client.Ends(ctx, q.topic)
	if err != nil {
		return err
	}
	err = q.client.ReadRange(ctx, q.topic, 0, q.next, next[0], true, func(m kafka.Fetched) error {
		name, process, s, ok := readShare(m)
		if !ok {
			return nil
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(m.Value) == 0 { // of a process that is long gone
			delete(q.shares[name], process)
			return nil
		}
		if q.shares[name] == nil {
			q.shares[name] = make(map[string]processShare)
		}
		q.shares[name][process] = s
		if q.see != nil {
			q.see(name, process)
		}
		return nil
	})
	if errors.Is(err, kafka.ErrTrimmed) { // the oldest left while they were read
		err = nil
	}
	if err == nil {
		q.next = next[0]
	}
	return err
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
	q.asking.Lock()
	defer q.asking.Unlock()
	mine := q.share(name)
	day := ends.Add(-1).Format(time.DateOnly)
	if mine.Day != day {
		mine.Day, mine.Used = day, 0
	}
	mine.Ends = ends.UTC()
	// What cannot be granted is not written down as used.
	q.mu.Lock()
	n = min(n, limit-q.used(name, day))
	q.mu.Unlock()
	if n <= 0 {
		return 0, nil
	}
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
	q.asking.Lock()
	defer q.asking.Unlock()
	mine := q.share(name)
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

// Join implements httpclient.Keeper. A process that finds others in the topic
// before its own word waits until they have read that; one that finds nobody
// calls at once, and who comes after it waits for it.
func (q *Quotas) Join(ctx context.Context, name string, demand httpclient.Demand) error {
	for {
		q.mu.Lock()
		now := time.Now()
		q.called[name], q.wants[name] = now, demand
		joining := q.joins[name]
		// Those who are about to forget this process hear of it anew before.
		known := q.joined[name] && now.Sub(q.shares[name][q.process].written) < shareLasts-heard
		first := joining == nil && !known
		if first {
			joining = make(chan struct{})
			q.joins[name] = joining
		}
		q.mu.Unlock()
		switch {
		case first:
			err := q.join(ctx, name)
			q.mu.Lock()
			delete(q.joins, name)
			q.joined[name] = err == nil // or the next who calls waits in its place
			q.mu.Unlock()
			close(joining)
			return err
		case joining == nil:
			return nil
		}
		select {
		case <-joining:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// join says that this process calls, and waits for those that do already.
func (q *Quotas) join(ctx context.Context, name string) error {
	if err := q.tell(ctx, name); err != nil {
		return err
	}
	q.mu.Lock()
	now, others := time.Now(), false
	for process, s := range q.shares[name] {
		others = others || process != q.process && s.calls(now)
	}
	q.mu.Unlock()
	if !others {
		return nil
	}
	return pipelines.Sleep(ctx, heard)
}

// Share implements httpclient.Keeper.
func (q *Quotas) Share(name string, demand httpclient.Demand) float64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.called[name], q.wants[name] = now, demand
	patient, urgent := 0, 0
	var pressed time.Duration // since when somebody is pressed
	for process, s := range q.shares[name] {
		if process != q.process && !s.calls(now) {
			continue
		}
		if !s.Pressed.IsZero() && (process != q.process || demand == httpclient.Pressed) {
			pressed = max(pressed, now.Sub(s.Pressed), 1)
		}
		switch {
		case process == q.process:
		case s.Demand == httpclient.Patient:
			patient++
		default:
			urgent++
		}
	}
	if demand == httpclient.Patient {
		patient++
		return part(patient, urgent, pressed > 0) / float64(patient)
	}
	urgent++
	// The others gave way once they have heard of it.
	return (1 - part(patient, urgent, pressed >= heard)) / float64(urgent)
}

const (
	// heard is after what time every process has heard what one says.
	heard = 3 * time.Second
	// patientPart is the part of a rate of those that can wait while the others
	// do with the rest, and pressedPart while they do not.
	patientPart = 0.8
	pressedPart = 0.05
)

// part is the part of a rate that all processes have together that call for
// what can wait.
func part(patient, urgent int, pressed bool) float64 {
	switch {
	case patient == 0:
		return 0
	case urgent == 0:
		return 1
	case pressed:
		return pressedPart
	}
	return patientPart
}
