package resolve

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Whatever becomes of the memory of a batch that was let go of, its letters and what
// is counted of it stay, and its memory is given back once.
func TestWhatStaysOfABatchThatIsLetGoOf(t *testing.T) {
	t.Parallel()
	message := []byte("no event")
	given := 0
	b := &Batch{
		Events:  make([]*events.Event, 3),
		offsets: []int64{4, 6, 9},
		spans:   []span{{partition{"orders", 0}, 2}, {partition{"orders", 1}, 1}},
		letters: []letter{{partition: partition{"orders", 0}, offset: 5, value: message, reason: events.ReasonDecode, cause: errors.New("it is none")}},
		refused: map[int]error{1: errors.New("too dear"), 2: errors.New("too old")},
		let:     func() { given++; clear(message) },
	}
	b.Let()
	b.Let()
	if given != 1 || b.Events != nil || b.eventCount() != 3 {
		t.Errorf("memory was given back %d times, %d events are there and %d are counted; want once, none and 3", given, len(b.Events), b.eventCount())
	}
	b.putAway()
	type place struct {
		partition
		offset int64
		unread bool
	}
	var got []place
	for _, l := range b.letters {
		got = append(got, place{l.partition, l.offset, l.unread})
		if !l.unread && string(l.value) != "no event" {
			t.Errorf("the letter of offset %d holds %q", l.offset, l.value)
		}
	}
	want := []place{{partition{"orders", 0}, 5, false}, {partition{"orders", 0}, 6, true}, {partition{"orders", 1}, 9, true}}
	if !slices.Equal(got, want) {
		t.Errorf("the letters are of %v, want %v", got, want)
	}
}

// What a message's rows took of the budget is in use until they are there, what its
// letters hold until they are put away, and nothing of it afterwards; all else is free
// once the batch is let go of.
func TestBudgetOfABatch(t *testing.T) {
	t.Parallel()
	room := newMemory(1 << 20)
	c := chunk{messages: []kafka.Fetched{{Value: make([]byte, 1000)}, {Value: make([]byte, 7)}}}
	if err := room.take(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	var b batch
	b.add(c)
	if err := room.decoded.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	d := decoded{batch: b, read: &Batch{letters: []letter{{value: make([]byte, 100)}}}, slabs: []*events.Slab{room.slab()}}
	whole := room.held.Load()
	room.give(d, true)
	if held := room.held.Load() - 100*weightOfByte; held <= 0 || held > whole/3 || len(room.slabs) != 1 || !room.decoded.TryAcquire(1) {
		t.Errorf("of %d bytes %d are held for the rows, and %d slabs are free", whole, held, len(room.slabs))
	}
	room.done(d)
	room.release(d.read.lettersHeld)
	if held := room.held.Load(); held != 0 || !room.free.TryAcquire(1<<20) {
		t.Errorf("%d bytes are held when all is done", held)
	}
}

// A message that has left Kafka takes the bytes of no other's letter with it, and its own
// letter says so.
func TestLettersOfWhatKafkaHasStill(t *testing.T) {
	t.Parallel()
	f := newOwnFlow(t, 1)
	for no := range 4 {
		f.publish(t, f.message(t, user(no)))
	}
	r := f.resolver(newLedger())
	part := kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Offset = 2
	of := kmsg.NewDeleteRecordsRequestTopic()
	of.Topic, of.Partitions = f.topics.Users, append(of.Partitions, part)
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.Topics = append(request.Topics, of)
	ask(t, f.brokers[0], request)
	at := partition{f.topics.Users, 0}
	b := &Batch{letters: []letter{
		{partition: at, offset: 0, value: []byte("kept"), reason: events.ReasonDecode, cause: errors.New("it is none")},
		{partition: at, offset: 1, reason: events.ReasonStore, cause: errors.New("too dear"), unread: true},
		{partition: at, offset: 3, reason: events.ReasonStore, cause: errors.New("too dear"), unread: true},
	}}
	messages, err := r.deadLetters(t.Context(), b)
	if err != nil || len(messages) != 3 {
		t.Fatalf("%d letters, want three (%v)", len(messages), err)
	}
	for i, want := range []string{"kept", "", "sealed anew each time"} {
		l := new(events.DeadLetter)
		if err := proto.Unmarshal(messages[i].Value, l); err != nil {
			t.Fatal(err)
		}
		raw, err := events.OpenLetter([]*events.DeadLetter{l}, f.keys)
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if e := new(events.Event); events.Decode(raw, e) != nil || e.GetHeader().GetEntityId() != "3" || l.GetPlatform() == "" || len(messages[i].Key) == 0 {
				t.Errorf("the letter of offset 3 holds %d bytes, of %q", len(raw), e.GetHeader().GetEntityId())
			}
			continue
		}
		if string(raw) != want || strings.Contains(l.GetDetail(), "left Kafka") != (i == 1) {
			t.Errorf("letter %d holds %q and says %q", i, raw, l.GetDetail())
		}
	}
}
