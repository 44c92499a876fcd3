package kafka_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"oneid/internal/kafka"
)

// What is kept is left alone, whatever is read meanwhile into memory that was given
// back; and what was given back holds nothing of anybody any more.
func TestMemoryIsUsedAgain(t *testing.T) {
	t.Parallel()
	_, client := start(t, t.TempDir())
	if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: "b.orders", Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	publisher := client.Publisher()
	defer publisher.Close()
	const n = 400
	value := func(no int64) []byte { return bytes.Repeat(fmt.Appendf(nil, "%04d", no), 5000) } // some fifty in an arena
	for no := int64(0); no < n; no += 20 {
		var messages []kafka.Message
		for i := no; i < no+20; i++ {
			messages = append(messages, kafka.Message{Topic: "b.orders", Key: []byte("one"), Value: value(i)})
		}
		if err := publisher.Publish(t.Context(), messages); err != nil {
			t.Fatal(err)
		}
	}
	var pool kafka.Pool
	f := client.Fetcher("b.orders", 0, false)
	defer f.Close()
	f.Reuse(&pool)
	type fetch struct {
		messages []kafka.Fetched
		kept     kafka.Kept
	}
	var held []fetch
	again, fetches := 0, 0
	seen := map[*byte]bool{}
	for offset := int64(0); offset < n; {
		fetches++
		f.ReadKeys(fetches%3 == 0) // then they lie by themselves
		messages, _, err := f.Fetch(t.Context(), offset, 30, 10*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) == 0 {
			continue
		}
		offset = messages[len(messages)-1].Offset + 1
		for _, m := range messages {
			if seen[&m.Value[0]] {
				again++
			}
			seen[&m.Value[0]] = true
		}
		held = append(held, fetch{messages, f.Keep()})
		for _, h := range held {
			for _, m := range h.messages {
				if !bytes.Equal(m.Value, value(m.Offset)) {
					t.Fatalf("message %d is no longer what it was", m.Offset)
				}
			}
		}
		if len(held) < 4 {
			continue
		}
		oldest := held[0]
		held = held[1:]
		values := make([][]byte, len(oldest.messages))
		for i, m := range oldest.messages {
			values[i] = m.Value
		}
		oldest.kept.Free()
		if oldest.messages[0].Value != nil {
			t.Error("what was given back still has its messages")
		}
		for _, v := range values {
			if bytes.Count(v, []byte{0}) != len(v) {
				t.Error("what was given back still has its values")
			}
		}
	}
	if again == 0 {
		t.Error("no memory was used again")
	}
}
