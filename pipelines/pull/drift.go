package pull

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Drifts keeps how the payloads of streams differ from what their connectors
// know of them, and what of it a person accepted, for all processes of a brand,
// in the topic of the cursors. It knows names of fields, and no values. It may
// be used concurrently.
type Drifts struct {
	client    *kafka.Client
	publisher *kafka.Publisher
	topic     string

	reading sync.Mutex
	next    int64     // the offset to read on from; guarded by reading
	read    time.Time // when it was read last; guarded by reading

	mu      sync.Mutex
	streams map[string]*streamDrift // by platform/shop/stream; guarded by mu
	pushes  map[string]*looker      // at what pushes brought, by stream; guarded by mu
}

// Drift is one way in which a stream's payloads differ.
type Drift struct {
	connectors.Change
	// Since is when a process saw it first.
	Since time.Time `json:"since"`
	// Accepted: a person said that it is all right.
	Accepted bool `json:"accepted,omitempty"`
	// Pulled and Pushed say what brought payloads that show it. Those of pushes may
	// be others than those of the pull: each tells of its own that it is gone.
	Pulled bool `json:"pulled,omitempty"`
	Pushed bool `json:"pushed,omitempty"`
	// Records is how many of the payloads that this process looked at showed it.
	Records int `json:"-"`

	unseen [2]int // by way: payloads that were looked at since one showed it
}

// way is how payloads come.
type way int

const (
	pulled way = iota
	pushed
)

// by is whether payloads that came a way show the difference.
func (d *Drift) by(w way) *bool {
	if w == pushed {
		return &d.Pushed
	}
	return &d.Pulled
}

// passed notes that one more payload came a way, before it is known whether that
// shows it, and says whether so many did not that it is gone there.
func (d *Drift) passed(w way) (news bool) {
	if !d.gone() && !*d.by(w) { // by none: an older version wrote it
		return false
	}
	if d.unseen[w]++; d.unseen[w] <= goneAfter {
		return false
	}
	*d.by(w) = false
	return true
}

// gone says that no payloads show it any more.
func (d *Drift) gone() bool { return !d.Pulled && !d.Pushed }

// changed identifies a change, whatever was known before it.
type changed struct{ what, field, now string }

func keyOf(c connectors.Change) changed { return changed{c.What, c.Field, c.Now} }

// streamDrift is what is known of one stream.
type streamDrift struct {
	found    map[changed]*Drift
	accepted map[changed]bool
	unkept   bool // found has changed since it was written
}

const (
	// The beginnings of the keys in the topic: no platform is called so.
	driftPrefix    = "drift/"
	acceptedPrefix = "drift-accepted/"
	// maxDrifts bounds what is kept of a stream.
	maxDrifts = 200
	// goneAfter is how many payloads that do not show a difference say that it
	// is gone.
	goneAfter = 1000
	// heardEvery is how often a process reads what the others wrote.
	heardEvery = 10 * time.Second

	// Looking at a payload costs about a tenth of mapping it. So of the many
	// not all are looked at: a rule that changes changes them all. These are: so
	// many to begin with, the first of each page, and then each so-manieth.
	lookedFirst = 100
	lookEvery   = 16
)

// OpenDrifts reads what all processes wrote.
func OpenDrifts(ctx context.Context, client *kafka.Client, publisher *kafka.Publisher, topic string) (*Drifts, error) {
	d := &Drifts{client: client, publisher: publisher, topic: topic, streams: make(map[string]*streamDrift)}
	first, _, err := client.Ends(ctx, topic)
	if err == nil {
		d.next = first[0]
		err = d.hear(ctx, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("pull: read how payloads differ: %w", err)
	}
	return d, nil
}

// hear reads what was written since, unless that was read a moment ago.
func (d *Drifts) hear(ctx context.Context, every time.Duration) error {
	d.reading.Lock()
	defer d.reading.Unlock()
	if time.Since(d.read) < every {
		return nil
	}
	_, next, err := d.client.Ends(ctx, d.topic)
	if err != nil {
		return err
	}
	err = d.client.ReadRange(ctx, d.topic, 0, d.next, next[0], true, func(m kafka.Fetched) error {
		d.take(string(m.Key), m.Value)
		return nil
	})
	if errors.Is(err, kafka.ErrTrimmed) { // the oldest left while they were read
		err = nil
	}
	if err == nil {
		d.next, d.read = next[0], time.Now()
	}
	return err
}

// take takes a message of the topic, if it is about payloads.
func (d *Drifts) take(key string, value []byte) {
	accepted, isAccepted := strings.CutPrefix(key, acceptedPrefix)
	found, isFound := strings.CutPrefix(key, driftPrefix)
	var c events.Cursor
	var list []Drift
	if !isAccepted && !isFound || proto.Unmarshal(value, &c) != nil || json.Unmarshal([]byte(c.GetPosition()), &list) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if isAccepted {
		s := d.stream(accepted)
		clear(s.accepted)
		for _, drift := range list {
			s.accepted[keyOf(drift.Change)] = true
		}
		return
	}
	s := d.stream(found)
	if s.unkept {
		return // what this process saw is newer
	}
	before := s.found
	s.found = make(map[changed]*Drift)
	for _, drift := range list {
		if old := before[keyOf(drift.Change)]; old != nil {
			drift.Records, drift.unseen = old.Records, old.unseen
		}
		s.found[keyOf(drift.Change)] = &drift
	}
}

// stream is what is known of a stream; mu is held.
func (d *Drifts) stream(key string) *streamDrift {
	s := d.streams[key]
	if s == nil {
		s = &streamDrift{found: make(map[changed]*Drift), accepted: make(map[changed]bool)}
		d.streams[key] = s
	}
	return s
}

// looked notes what one payload of a stream showed.
func (d *Drifts) looked(key string, w way, shown []connectors.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stream(key)
	for at, drift := range s.found {
		if !drift.passed(w) {
			continue
		}
		s.unkept = true
		if drift.gone() {
			delete(s.found, at)
		}
	}
	s.note(w, shown)
}

// saw notes what an event showed, beside the payloads that are looked at.
func (d *Drifts) saw(key string, w way, shown []connectors.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stream(key).note(w, shown)
}

// note counts what was shown; mu is held.
func (s *streamDrift) note(w way, shown []connectors.Change) {
	for _, change := range shown {
		drift := s.found[keyOf(change)]
		if drift == nil {
			if len(s.found) >= maxDrifts {
				continue
			}
			drift = &Drift{Change: change, Since: time.Now().UTC().Truncate(time.Second)}
			s.found[keyOf(change)] = drift
			s.unkept = true
		}
		drift.Records++
		drift.unseen[w] = 0
		if by := drift.by(w); !*by {
			*by, s.unkept = true, true
		}
	}
}

// keep writes what was found of a stream, if that has changed, and hears what
// others wrote.
func (d *Drifts) keep(ctx context.Context, key string) error {
	d.mu.Lock()
	s := d.stream(key)
	list := d.list(s)
	unkept := s.unkept
	s.unkept = false
	d.mu.Unlock()
	if unkept {
		if err := d.write(ctx, driftPrefix+key, list); err != nil {
			d.mu.Lock()
			s.unkept = true
			d.mu.Unlock()
			return fmt.Errorf("pull: note how the payloads of %s differ: %w", key, err)
		}
	}
	return d.hear(ctx, heardEvery)
}

func (d *Drifts) write(ctx context.Context, key string, list []Drift) error {
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	written := &events.Cursor{Position: string(text), WrittenMs: time.Now().UnixMilli()}
	value, err := proto.Marshal(written)
	if err != nil {
		return err
	}
	return d.publisher.Publish(ctx, []kafka.Message{{Topic: d.topic, Key: []byte(key), Value: value, Headers: kafka.Headers(events.DescribeCursor(key, written).Headers())}})
}

// list is what is known of a stream, the oldest first; mu is held.
func (d *Drifts) list(s *streamDrift) []Drift {
	list := make([]Drift, 0, len(s.found))
	for at, drift := range s.found {
		one := *drift
		one.Accepted = s.accepted[at]
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Drift) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.String(), b.String()))
	})
	return list
}

// All is how the payloads of each stream differ, by platform/shop/stream, the
// oldest difference first; streams that do not differ are left out.
func (d *Drifts) All() map[string][]Drift {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make(map[string][]Drift)
	for key, s := range d.streams {
		if list := d.list(s); len(list) > 0 {
			all[key] = list
		}
	}
	return all
}

// Open is how the payloads of a stream differ, as far as nobody accepted it.
func (d *Drifts) Open(key string) []Drift {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(d.list(d.stream(key)), func(drift Drift) bool { return drift.Accepted })
}

// Accept takes differences of a stream as known from now on.
func (d *Drifts) Accept(ctx context.Context, key string, drifts []Drift) error {
	if err := d.hear(ctx, 0); err != nil {
		return fmt.Errorf("pull: read how payloads differ: %w", err)
	}
	d.mu.Lock()
	s := d.stream(key)
	for _, drift := range drifts {
		s.accepted[keyOf(drift.Change)] = true
	}
	var list []Drift
	for at := range s.accepted {
		list = append(list, Drift{Change: connectors.Change{What: at.what, Field: at.field, Now: at.now}, Accepted: true})
	}
	d.mu.Unlock()
	if err := d.write(ctx, acceptedPrefix+key, list); err != nil {
		return fmt.Errorf("pull: accept how the payloads of %s differ: %w", key, err)
	}
	return nil
}

// looker looks at the payloads of one puller, or at those that pushes brought
// of one stream. It may be used concurrently.
type looker struct {
	drifts *Drifts
	key    string
	way    way

	mu      sync.Mutex
	watch   *connectors.Watch   // guarded by mu
	records int                 // guarded by mu
	shown   []connectors.Change // guarded by mu
}

// pushed looks at what pushes bring of a puller's stream. It is one for all of
// them, since a field is lost only when it is missing from several in a row; it
// is another than that of the pull, whose payloads may be others. nil where
// newLooker is, and without Drifts.
func (d *Drifts) pushed(p *Puller) *looker {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.pushes[p.key()]
	if l == nil {
		if l = newLooker(p, pushed); l == nil {
			return nil
		}
		if d.pushes == nil {
			d.pushes = make(map[string]*looker)
		}
		d.pushes[p.key()] = l
	}
	return l
}

// newLooker is nil where nothing is known of the stream's payloads.
func newLooker(p *Puller, w way) *looker {
	shaped, ok := p.Connector.(connectors.Shaped)
	if !ok || p.Drifts == nil {
		return nil
	}
	shape := shaped.Shape(p.Stream)
	if shape == nil {
		return nil
	}
	l := &looker{drifts: p.Drifts, key: p.key(), way: w}
	l.watch = connectors.NewWatch(shape, func(c connectors.Change) {
		if !slices.Contains(l.shown, c) {
			l.shown = append(l.shown, c)
		}
	})
	return l
}

// saw notes what the events of a payload showed.
func (l *looker) saw(shown []connectors.Change) {
	if l != nil && len(shown) > 0 {
		l.drifts.saw(l.key, l.way, shown)
	}
}

// look compares a payload, if it is one of those that are looked at, and gives
// how many fields are not as they are known. first: it is the first of a page.
func (l *looker) look(raw []byte, first bool) int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records++
	if l.records > lookedFirst && !first && l.records%lookEvery != 0 {
		return 0
	}
	l.shown = l.shown[:0]
	l.watch.Look(raw)
	l.drifts.looked(l.key, l.way, l.shown)
	return len(l.shown)
}
