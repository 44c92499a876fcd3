package resolve

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"testing"

	"oneid/schemas/events"
)

// Of a journal that is read on from a bookmark is known what is known of one that
// is read from its beginning. A bookmark of another journal, or of more than the
// state has taken, is none.
func TestAStartGoesOnFromABookmark(t *testing.T) {
	t.Parallel()
	f, work := newFlow(t), newLedger()
	for start := range 3 { // each claims an epoch
		r := f.resolver(work)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		for no := range 5 {
			f.publish(t, f.message(t, user(5*start+no)))
			if err := r.CaughtUp(ctx); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	work.wantAllOnce(t, 15)
	taken, err := work.Sequence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var before bookmark
	if err := json.Unmarshal(work.bookmark, &before); err != nil {
		t.Fatalf("the bookmark %q: %v", work.bookmark, err)
	}
	r := f.resolver(work)
	if err := run(t, r); err != nil {
		t.Fatal(err)
	}
	if r.marked < before.Read {
		t.Errorf("a start reads the journal from %d, and the bookmark is at %d", r.marked, before.Read)
	}
	whole := openJournal(f.client, f.topics.Journal)
	if _, err := whole.catchUp(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	var kept bookmark
	if err := json.Unmarshal(work.bookmark, &kept); err != nil {
		t.Fatalf("the bookmark %q: %v", work.bookmark, err)
	}
	if kept.Read < whole.read-8 {
		t.Errorf("the bookmark is at %d of %d records", kept.Read, whole.read)
	}
	for name, c := range map[string]struct {
		change func(*bookmark)
		after  uint64
		used   bool
	}{
		"as it was kept":                       {func(*bookmark) {}, taken, true},
		"of a state that has just as much":     {func(*bookmark) {}, sequenceOf(kept.Read) - 1, true},
		"of a state that has less":             {func(*bookmark) {}, sequenceOf(kept.Read) - 2, false},
		"of another journal":                   {func(b *bookmark) { b.Last = []byte("x") }, taken, false},
		"behind the journal's end":             {func(b *bookmark) { b.Read = whole.read + 1 }, taken + 10, false},
		"before anything was there to be seen": {func(b *bookmark) { b.Read = 0 }, taken, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := kept
			c.change(&b)
			data, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			j := openJournal(f.client, f.topics.Journal)
			if err := j.resume(t.Context(), data, c.after); (err != nil) != (name == "of another journal") {
				t.Errorf("resume = %v", err)
			}
			if used := j.read != 0; used != c.used {
				t.Fatalf("it is read on from %d", j.read)
			}
			begun, after := j.read, min(c.after, taken)
			records, err := j.catchUp(t.Context(), after)
			if err != nil {
				t.Fatal(err)
			}
			again := openJournal(f.client, f.topics.Journal)
			want, err := again.catchUp(t.Context(), after)
			if err != nil {
				t.Fatal(err)
			}
			if len(records) != len(want) || j.read != whole.read || j.highest != whole.highest || !maps.Equal(j.positions, whole.positions) || !reflect.DeepEqual(j.last, whole.last) {
				t.Errorf("read on from %d: %d records to %d, epoch %d, positions %v; want %d to %d, epoch %d, %v",
					begun, len(records), j.read, j.highest, j.positions, len(want), whole.read, whole.highest, whole.positions)
			}
			for i, record := range records {
				if record.sequence != want[i].sequence {
					t.Errorf("record %d has the sequence %d, want %d", i, record.sequence, want[i].sequence)
				}
			}
		})
	}
}

// A first reading of the journal that is cut off, as by a Kafka that is on its way
// back, forgets nothing that the state took and did not deliver.
func TestAFirstReadingThatIsCutOff(t *testing.T) {
	t.Parallel()
	f, work := newFlow(t), newLedger()
	f.publish(t, f.message(t, user(0)))
	positions, _, err := ends(t.Context(), f.client, f.topics.Resolved())
	if err != nil {
		t.Fatal(err)
	}
	j := openJournal(f.client, f.topics.Journal)
	defer j.close()
	if err := j.claim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for p := range positions {
		if p.topic != f.topics.Users {
			continue
		}
		_, next, err := f.client.Ends(t.Context(), p.topic)
		if err != nil {
			t.Fatal(err)
		}
		if next[p.number] == 0 {
			continue
		}
		if _, err := j.append(t.Context(), []*events.Range{{Topic: p.topic, Partition: int32(p.number), First: 0, Last: 0}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := work.Apply(t.Context(), &Batch{Sequence: 1}); err != nil { // and then killed
		t.Fatal(err)
	}
	r := f.resolver(work)
	r.journal = openJournal(f.client, f.topics.Journal)
	defer r.journal.close()
	r.journal.read, r.journal.delivered = 1, 0 // cut off behind the claim
	if err := r.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.ahead) != 1 || r.ahead[0].sequence != 1 {
		t.Errorf("ahead are %v, want the batch that was applied and not delivered", r.ahead)
	}
}
