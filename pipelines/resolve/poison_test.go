package resolve

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// Many messages near the largest that a broker takes, good ones and such as
// nobody can read, and one in a hundred of the others unreadable too: the good
// are loaded, the rest is in the dead letter, and memory does not grow with
// them.
func TestMemoryIsFlatUnderPoison(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const (
		limit = 48 << 20
		huge  = 1_040_000 // what a broker takes is 1 MiB, with key and headers
		small = 3000
	)
	s.memory = limit
	r := rand.New(rand.NewPCG(7, 7))
	noise := make([]byte, huge)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	large := func(no int) *events.Event { // 900 KB of payload do not shrink
		e := user(no)
		e.Header.Raw = bytes.Clone(noise[:900_000])
		return e
	}
	value := func(e *events.Event) []byte { return s.message(t, e).Value }
	poison := []func() []byte{
		func() []byte { return append([]byte{0xff}, noise[:huge-1]...) },
		func() []byte { v := value(large(0)); return v[:len(v)-1-r.IntN(100_000)] },
		// The body's field holds a number, the header's a text.
		func() []byte {
			v := protowire.AppendVarint(protowire.AppendTag(nil, 4, protowire.VarintType), r.Uint64())
			return protowire.AppendBytes(protowire.AppendTag(v, 1, protowire.BytesType), noise[:huge-100])
		},
		func() []byte { return append([]byte{0xff}, noise[:1+r.IntN(600)]...) },
		func() []byte { v := value(user(0)); return v[:1+r.IntN(len(v)-1)] },
		func() []byte {
			return protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "not a header")
		},
	}
	log := s.client.Log(s.topics.Users, 0) // past the publisher, which makes no such messages
	defer log.Close()
	good, bad := 0, 0
	lay := func(value []byte) {
		t.Helper()
		if _, err := log.Append(t.Context(), value, nil); err != nil {
			t.Fatal(err)
		}
	}
	few := func(n int) {
		t.Helper()
		var messages []kafka.Message
		for range n {
			messages = append(messages, s.message(t, user(good)))
			if good++; good%100 == 0 {
				s.publish(t, messages...)
				messages = nil
				lay(poison[3+bad%3]())
				bad++
			}
		}
		s.publish(t, messages...)
	}
	come := func(many int) {
		t.Helper()
		few(small / 2)
		for no := range many {
			if no%4 == 3 {
				lay(value(large(good)))
				good++
				continue
			}
			lay(poison[no%4]())
			bad++
		}
		few(small / 2) // a large one leaves nothing behind
	}
	// peak resolves what came, in a process of its own, and gives what it held.
	dir := s.folder("state")
	peak := func() (held, live int64) {
		t.Helper()
		c := s.start(dir, s.database.URL)
		c.is(pipelines.Working)
		for end := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
			done, err := s.client.Committed(t.Context(), pipelines.ResolverGroup(s.brand), []string{s.topics.Users})
			if err != nil {
				t.Fatal(err)
			}
			_, next, err := s.client.Ends(t.Context(), s.topics.Users)
			if err != nil {
				t.Fatal(err)
			}
			if done[s.topics.Users][0] == next[0] {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("after two minutes the resolver is at %v of %v:\n%s", done, next, c.log())
			}
		}
		c.end(syscall.SIGTERM)
		for line := range c.states {
			if rest, ok := strings.CutPrefix(line, "peak "); ok {
				if _, err := fmt.Sscan(rest, &held, &live); err != nil {
					t.Fatal(err)
				}
			}
		}
		return held, live
	}
	lives := make(map[int]int64)
	for _, many := range []int{24, 192} {
		come(many)
		held, live := peak()
		lives[many] = live
		t.Logf("with %d huge messages %d MiB were held, and %d MiB live", many, held>>20, live>>20)
		if held == 0 || held > limit {
			t.Errorf("with %d huge messages %d bytes were held, want some and at most %d", many, held, limit)
		}
		// resolve.memory_mib is twice what lies between Kafka and ClickHouse.
		if live == 0 || live > 2*limit {
			t.Errorf("with %d huge messages %d bytes were live, want some and at most %d", many, live, 2*limit)
		}
	}
	if lives[192] > lives[24]*3/2 {
		t.Errorf("eight times as many huge messages take %d MiB instead of %d", lives[192]>>20, lives[24]>>20)
	}
	letters := map[string]bool{}
	err := s.client.ReadAll(t.Context(), s.topics.DeadLetter, func(_ int, m kafka.Fetched) error {
		l := new(events.DeadLetter)
		if err := proto.Unmarshal(m.Value, l); err != nil {
			return err
		}
		letters[l.GetLetterId()] = true
		return nil
	})
	if err != nil || len(letters) != bad {
		t.Errorf("%d letters (%v), want %d", len(letters), err, bad)
	}
	if got := s.ask("SELECT count() FROM users FINAL"); got != fmt.Sprint(good) {
		t.Errorf("%s users are loaded, want %d", got, good)
	}
}
