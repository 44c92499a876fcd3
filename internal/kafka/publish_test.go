package kafka_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/compress"

	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// changed are the identity changes of n accounts.
func changed(round, n int) (list []*events.IdentityChange) {
	for i := range n {
		list = append(list, &events.IdentityChange{
			Account: fmt.Sprintf("tmall/1/buyer-%d", i), CustomerId: fmt.Sprintf("0198c0de-0000-7000-8000-%012d", i),
			Version: uint64(round)<<40 | uint64(i), Reason: "born", ChangedMs: 1_760_000_000_000 + int64(i/3),
		})
	}
	return list
}

// What is encoded and published in the same memory, again and again, is what each message
// is by itself, in its order.
func TestPublishWires(t *testing.T) {
	_, client := start(t, t.TempDir())
	topics := events.TopicsOf("b")
	if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: topics.Identity, Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	publisher := client.Publisher()
	defer publisher.Close()
	var room events.Wires
	var want []kafka.Fetched
	for round, n := range []int{1200, 3, 0, 700, 1} {
		changes := changed(round, n)
		wires, err := topics.EncodeChanges(changes, &room)
		if err != nil {
			t.Fatal(err)
		}
		if err := publisher.PublishWires(t.Context(), wires); err != nil {
			t.Fatal(err)
		}
		alone, err := topics.EncodeChanges(changes, new(events.Wires))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range alone {
			m := kafka.MessageOf(w)
			want = append(want, kafka.Fetched{Offset: int64(len(want)), Key: m.Key, Value: m.Value, Headers: m.Headers})
		}
	}
	got := readAll(t, client, topics.Identity, 0, 5000, true)
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range want {
		if d := cmp.Diff(want[i], got[i]); d != "" {
			t.Fatalf("message %d (-want +got):\n%s", i, d)
		}
	}
}

// What is compressed for Kafka has small blocks, and whoever reads LZ4 reads it.
func TestCompressedBlocks(t *testing.T) {
	t.Parallel()
	codec := compress.Lz4.Codec()
	for n := range 3 { // the writer is used again
		text := bytes.Repeat(fmt.Appendf(nil, "%d: not much, many times; ", n), 40_000)
		var packed bytes.Buffer
		w := codec.NewWriter(&packed)
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		for range 2 { // kafka-go's bears it
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		// Behind the magic number and the flags: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
		if size := packed.Bytes()[5] >> 4 & 7; size != 5 {
			t.Errorf("the blocks are of size %d, want 5 (256 KB)", size)
		}
		for name, codec := range map[string]compress.Codec{"ours": codec, "kafka-go's": &compress.Lz4Codec} {
			r := codec.NewReader(bytes.NewReader(packed.Bytes()))
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s reads %d bytes, want %d: %v", name, len(got), len(text), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// BenchmarkPublish is what the changes of a batch cost in which everybody is new, with an
// embedded broker in the same process: encoded into the same memory a part at a time, and
// each message by itself.
func BenchmarkPublish(b *testing.B) {
	_, client := start(b, b.TempDir())
	topics := events.TopicsOf("b")
	if err := client.EnsureTopics(b.Context(), []kafka.Topic{{Name: topics.Identity, Partitions: 4, Replication: 1}}); err != nil {
		b.Fatal(err)
	}
	publisher := client.Publisher()
	defer publisher.Close()
	changes := changed(1, 50_000)
	encode := func(room *events.Wires, from, to int) []events.Wire {
		wires, err := topics.EncodeChanges(changes[from:to], room)
		if err != nil {
			b.Fatal(err)
		}
		return wires
	}
	b.Run("parts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var room events.Wires
			for from := 0; from < len(changes); from += 10_000 {
				if err := publisher.PublishWires(b.Context(), encode(&room, from, from+10_000)); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("each", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var messages []kafka.Message
			for _, w := range encode(new(events.Wires), 0, len(changes)) {
				messages = append(messages, kafka.MessageOf(w))
			}
			if err := publisher.Publish(b.Context(), messages); err != nil {
				b.Fatal(err)
			}
		}
	})
}
