package resolve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// Batch is what one record of the journal says, in the journal's order: the
// same at every reading.
type Batch struct {
	// Sequence of the record, from 1 on, and the epoch of who wrote it.
	Sequence, Epoch uint64
	// Written is when it was written down: the batch's only time.
	Written time.Time
	// Again says that its rows may have been inserted before: it was taken from
	// the journal, after a failure or by another process than wrote it.
	Again     bool
	Decisions []*events.Decision
	// Events have Person in clear and Raw sealed. They are there until Let.
	Events []*events.Event

	// letters are what could not be read, and of which ClickHouse refuses a row.
	letters []letter
	// spans and offsets say where in Kafka the events are, in their order.
	spans   []span
	offsets []int64
	// lettersHeld is what the letters take of the budget of memory.
	lettersHeld int64
	// let gives back the memory in which the events lie; nil if it is nobody else's.
	let func()
	// applied is what the batch meant for who is who, once an Instance has applied it.
	applied resolved
	// headers counts the good messages whose headers were looked at, and
	// wrongHeaders those of them whose do not say what they are.
	headers, wrongHeaders int

	// refused are the events, by their number, of which ClickHouse refuses a row,
	// and why; refusing guards it while rows are inserted.
	refusing sync.Mutex
	refused  map[int]error
	// refusedRows are the rows of who is who that it refuses.
	refusedRows []refusedRow
}

// span is so many events that follow each other in one partition.
type span struct {
	partition
	events int
}

// letter is a message for the dead letter.
type letter struct {
	partition
	offset int64
	value  []byte
	reason string
	cause  error
	// What its header says, as far as it could be read.
	platform, shop, stream string
	// unread says that its value and header are yet to be read again.
	unread bool
}

// Let lets go of the events once their rows are made: other messages are read into
// their memory from then on.
func (b *Batch) Let() {
	if b.let == nil {
		return
	}
	for i := range b.letters {
		l := &b.letters[i]
		l.value = bytes.Clone(l.value)
		l.platform, l.shop, l.stream = strings.Clone(l.platform), strings.Clone(l.shop), strings.Clone(l.stream)
	}
	b.Events = nil
	b.let()
	b.let = nil
}

// lettersBytes is how many bytes the letters hold.
func (b *Batch) lettersBytes() (n int64) {
	for i := range b.letters {
		n += int64(len(b.letters[i].value))
	}
	return n
}

// eventCount is how many events there are, or were before Let.
func (b *Batch) eventCount() int { return len(b.offsets) }

// decoded is a batch as it was read, which needs no record of the journal: that
// is said by of. Its events lie in the slabs.
type decoded struct {
	batch
	read         *Batch
	slabs        []*events.Slab
	began, ended time.Time
}

// of says which record of the journal takes the batch.
func (d decoded) of(r record) *Batch {
	d.read.Sequence, d.read.Epoch, d.read.Written = r.sequence, r.epoch, r.written
	return d.read
}

// decode reads a batch's messages, chunks side by side, into empty slabs. It is
// pure: what can't be read becomes a letter, and the rest goes on. Texts of the
// events are parts of the messages.
func decode(b batch, topics events.Topics, keys events.Sealer, slab func() *events.Slab) decoded {
	began := time.Now()
	slabs := make([]*events.Slab, min(runtime.GOMAXPROCS(0), len(b.chunks)))
	parts := make([]Batch, len(b.chunks))
	var next atomic.Int64
	var working sync.WaitGroup
	for worker := range slabs {
		slabs[worker] = slab()
		working.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(parts)); i = next.Add(1) - 1 {
				decodeChunk(&parts[i], b.chunks[i], topics, keys, slabs[worker])
			}
		})
	}
	working.Wait()
	out := &Batch{Events: make([]*events.Event, 0, b.size), offsets: make([]int64, 0, b.size)}
	for i := range parts {
		out.spans = append(out.spans, span{b.chunks[i].partition, len(parts[i].Events)})
		out.offsets = append(out.offsets, parts[i].offsets...)
		out.Decisions = append(out.Decisions, parts[i].Decisions...)
		out.Events = append(out.Events, parts[i].Events...)
		out.letters = append(out.letters, parts[i].letters...)
		out.headers += parts[i].headers
		out.wrongHeaders += parts[i].wrongHeaders
	}
	return decoded{b, out, slabs, began, time.Now()}
}

func decodeChunk(out *Batch, c chunk, topics events.Topics, keys events.Sealer, slab *events.Slab) {
	look := func(m kafka.Fetched, what events.CloudEvent) {
		if out.headers++; !described(m.Headers, what) {
			out.wrongHeaders++
		}
	}
	if c.topic != topics.Decisions {
		out.Events = make([]*events.Event, 0, len(c.messages))
	}
	for _, m := range c.messages {
		refuse := func(reason string, cause error) {
			out.letters = append(out.letters, letter{partition: c.partition, offset: m.Offset, value: m.Value, reason: reason, cause: cause})
		}
		if c.topic == topics.Decisions {
			d := new(events.Decision)
			if err := pipelines.DecodeDecision(m.Value, d); err != nil {
				refuse(events.ReasonDecode, err)
				continue
			}
			out.Decisions = append(out.Decisions, d)
			if c.headers {
				look(m, events.DescribeDecision(d))
			}
			continue
		}
		e, err := slab.Decode(m.Value)
		if err != nil {
			refuse(events.ReasonDecode, err)
			continue
		}
		refuse = func(reason string, cause error) {
			h := e.GetHeader()
			out.letters = append(out.letters, letter{
				partition: c.partition, offset: m.Offset, value: m.Value, reason: reason, cause: cause,
				platform: h.GetPlatform(), shop: h.GetShop(), stream: h.GetStream(),
			})
		}
		if err := errors.Join(events.Storable(e), hollow(e, len(m.Value))); err != nil {
			refuse(events.ReasonStore, err)
			continue
		}
		person, err := slab.OpenPerson(e, keys)
		if err != nil {
			refuse(events.ReasonOpen, err)
			continue
		}
		e.Header.Person, e.Header.SealedPerson = person, nil
		out.Events, out.offsets = append(out.Events, e), append(out.offsets, m.Offset)
		if c.headers {
			look(m, events.Describe(e))
		}
	}
}

// What an event holds many of takes some 200 bytes of memory each, however little
// of it is on the wire, and the memory of a batch is weighed by its bytes. So
// many of them in no more room than this are no order.
const (
	manyItems = 16
	itemBytes = 16
)

// hollow refuses an event that is mostly empty items.
func hollow(e *events.Event, size int) error {
	n := len(e.GetOrder().GetItems()) + len(e.GetHeader().GetPerson().GetSightings())
	if n > manyItems && n*itemBytes > size {
		return errors.New("resolve: the event has many items, and nothing in them")
	}
	return nil
}

// deadLetters makes the messages of what could not be read. A letter's id is
// its place in Kafka, so that a batch that is taken again repeats it and does
// not double it. Its key and how often it was tried are fetched again, once a
// partition: the bulk flow reads values alone. So is what was let go of.
func (r *Resolver) deadLetters(ctx context.Context, b *Batch) ([]kafka.Message, error) {
	of := make(map[partition][]*letter)
	for i := range b.letters {
		l := &b.letters[i]
		of[l.partition] = append(of[l.partition], l)
	}
	var out []kafka.Message
	for p, letters := range of {
		wanted, keys, attempts := make(map[int64]*letter, len(letters)), make(map[int64][]byte), make(map[int64]uint32)
		for _, l := range letters {
			wanted[l.offset] = l
		}
		// Letters are in the order of their offsets, as their batch is.
		first, next := letters[0].offset, letters[len(letters)-1].offset+1
		take := func(m kafka.Fetched) error {
			l := wanted[m.Offset]
			if l == nil {
				return nil
			}
			keys[m.Offset], attempts[m.Offset] = events.LetterKey(m.Key), attemptsOf(m.Headers)
			if l.unread {
				l.readAgain(m)
			}
			return nil
		}
		err := r.Kafka.ReadRange(ctx, p.topic, p.number, first, next, true, take)
		for errors.Is(err, kafka.ErrTrimmed) { // what is gone is done without
			var kept []int64
			if kept, _, err = r.Kafka.Ends(ctx, p.topic); err != nil {
				return nil, err
			}
			if first++; p.number < len(kept) {
				first = max(first, kept[p.number])
			}
			if first < next {
				err = r.Kafka.ReadRange(ctx, p.topic, p.number, first, next, true, take)
			}
		}
		if err != nil {
			return nil, err
		}
		for _, l := range letters {
			if l.unread {
				l.cause = fmt.Errorf("%w; the message left Kafka before it could be put away, and is not in here", l.cause)
			}
			place := l.topic + "/" + strconv.Itoa(l.number) + "@" + strconv.FormatInt(l.offset, 10)
			parts, err := events.Letters(&events.DeadLetter{
				LetterId: place, Platform: l.platform, Shop: l.shop, Stream: l.stream,
				Reason: l.reason, Detail: l.cause.Error(), Origin: place, Attempts: max(attempts[l.offset], 1), FirstSeenMs: b.Written.UnixMilli(),
			}, l.value, r.Keys)
			if err != nil {
				return nil, fmt.Errorf("resolve: make the dead letter of %s: %w", place, err)
			}
			for _, part := range parts {
				part.Topic, part.Key = r.Topics.DeadLetter, keys[l.offset]
				out = append(out, kafka.MessageOf(part))
			}
		}
	}
	return out, nil
}

// readAgain takes what was let go of from the letter's message.
func (l *letter) readAgain(m kafka.Fetched) {
	l.value, l.unread = m.Value, false
	e := new(events.Event)
	if err := events.Decode(m.Value, e); err == nil { // it could be read
		h := e.GetHeader()
		l.platform, l.shop, l.stream = h.GetPlatform(), h.GetShop(), h.GetStream()
	}
}

// attemptsOf is how often a message was tried that a replay has put into its
// topic; 0 of others.
func attemptsOf(headers []kafka.Header) uint32 {
	for _, h := range headers {
		if h.Key == events.AttemptsHeader {
			n, _ := strconv.ParseUint(string(h.Value), 10, 16) // what is no number tells of none, and too large a one of many
			return uint32(n)
		}
	}
	return 0
}
