package kafka_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker"
	"oneid/internal/kafka"
)

func start(t testing.TB, dir string) (*broker.Broker, *kafka.Client) {
	t.Helper()
	b, err := broker.Start(dir, crashtest.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	client, err := kafka.New(kafka.Config{Brokers: b.Addresses()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return b, client
}

// readAll reads a partition to its end.
func readAll(t *testing.T, client *kafka.Client, topic string, partition, limit int, keys bool) []kafka.Fetched {
	t.Helper()
	f := client.Fetcher(topic, partition, keys)
	defer f.Close()
	var all []kafka.Fetched
	for offset := int64(0); ; {
		messages, next, err := f.Fetch(t.Context(), offset, limit, 10*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, messages...)
		if len(messages) > 0 {
			offset = messages[len(messages)-1].Offset + 1
		}
		if offset >= next {
			return all
		}
	}
}

func TestWhatIsPublishedIsReadInOrder(t *testing.T) {
	_, client := start(t, t.TempDir())
	if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: "b.orders", Partitions: 3, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	p := client.Publisher()
	defer p.Close()
	var messages []kafka.Message
	for i := range 3000 {
		value := fmt.Appendf(nil, "%d", i)
		if i%1000 == 500 {
			value = append(value, bytes.Repeat([]byte("x"), 300<<10)...) // larger than the first buffer
		}
		messages = append(messages, kafka.Message{Topic: "b.orders", Key: fmt.Appendf(nil, "k%d", i%7), Value: value, Headers: []kafka.Header{{Key: "ce_id", Value: []byte("1")}}})
	}
	if err := p.Publish(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]bool{"values": false, "keys too": true} {
		t.Run(name, func(t *testing.T) {
			count := 0
			last := map[string]int{}
			for partition := range 3 {
				offset := int64(0)
				for _, m := range readAll(t, client, "b.orders", partition, 700, keys) {
					if m.Offset != offset {
						t.Fatalf("offset %d follows %d", m.Offset, offset-1)
					}
					offset++
					count++
					var n int
					if _, err := fmt.Sscanf(string(m.Value[:min(len(m.Value), 6)]), "%d", &n); err != nil {
						t.Fatal(err)
					}
					key := fmt.Sprintf("k%d", n%7)
					if keys && string(m.Key) != key {
						t.Fatalf("message %d has key %q, want %q", n, m.Key, key)
					}
					if before, ok := last[key]; ok && before > n {
						t.Fatalf("%d comes after %d though both have key %s", n, before, key)
					}
					last[key] = n
				}
			}
			if count != 3000 {
				t.Errorf("read %d messages, want 3000", count)
			}
		})
	}
}

// A large value takes no more room than it needs, and none for those that follow.
func TestALargeValueLeavesSmallOnesSmall(t *testing.T) {
	_, client := start(t, t.TempDir())
	if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: "b.orders", Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	const small, size = 1000, 700
	values := [][]byte{bytes.Repeat([]byte("L"), 3<<20), bytes.Repeat([]byte("M"), 1_100_000), []byte("one"), bytes.Repeat([]byte("N"), 400_000)}
	for i := range small {
		values = append(values, append(fmt.Appendf(nil, "%d ", i), make([]byte, size)...))
	}
	log := client.Log("b.orders", 0) // past the publisher, which makes no such messages
	defer log.Close()
	sum := uint64(0)
	for _, value := range values {
		if _, err := log.Append(t.Context(), value, nil); err != nil {
			t.Fatal(err)
		}
		sum += uint64(len(value))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	got := readAll(t, client, "b.orders", 0, 100, false)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(got) != len(values) {
		t.Fatalf("read %d messages, want %d", len(got), len(values))
	}
	for i, m := range got {
		if !bytes.Equal(m.Value, values[i]) {
			t.Fatalf("message %d came with %d bytes, %.20q, want %d", i, len(m.Value), m.Value, len(values[i]))
		}
	}
	if held := after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc); held > sum+8<<20 { // an arena is 1 MiB
		t.Errorf("%d messages of %d bytes hold %d MiB", len(got), sum, held>>20)
	}
	runtime.KeepAlive(got)
}

func TestAppendedRecordsKeepTheirOffsetsOverARestart(t *testing.T) {
	dir := t.TempDir()
	b, client := start(t, dir)
	if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: "b.journal", Partitions: 1, Replication: 1, Config: map[string]string{"retention.ms": "-1"}}}); err != nil {
		t.Fatal(err)
	}
	log := client.Log("b.journal", 0)
	defer log.Close()
	for want := range int64(5) {
		offset, err := log.Append(t.Context(), fmt.Appendf(nil, "record %d", want), nil)
		if err != nil || offset != want {
			t.Fatalf("Append = %d, %v; want offset %d", offset, err, want)
		}
	}
	group, err := client.Join("b.resolver", []string{"b.journal"}, func() kafka.Standing { return kafka.Standing{} })
	if err != nil {
		t.Fatal(err)
	}
	generation, err := group.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(generation.Commit(t.Context(), kafka.Position{"b.journal": {3}}), group.Close()); err != nil {
		t.Fatal(err)
	}
	b.Close()

	_, again := start(t, dir)
	got := readAll(t, again, "b.journal", 0, 100, false)
	if len(got) != 5 || string(got[4].Value) != "record 4" {
		t.Errorf("after a restart the journal holds %d records, want 5", len(got))
	}
	position, err := again.Committed(t.Context(), "b.resolver", []string{"b.journal"})
	if err != nil || position["b.journal"][0] != 3 {
		t.Errorf("after a restart the group stands at %v (%v), want 3", position, err)
	}
	first, next, err := again.Ends(t.Context(), "b.journal")
	if err != nil || first[0] != 0 || next[0] != 5 {
		t.Errorf("Ends = %v %v %v, want 0 and 5", first, next, err)
	}
}

func TestFaultsAreTold(t *testing.T) {
	b, client := start(t, t.TempDir())
	if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: "b.orders", Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	f := client.Fetcher("b.orders", 0, false)
	defer f.Close()
	if _, _, err := f.Fetch(t.Context(), 17, 1, time.Millisecond); !errors.Is(err, kafka.ErrTrimmed) || kafka.IsAway(err) {
		t.Errorf("an offset that is not there gave %v, want ErrTrimmed, which no waiting cures", err)
	}
	if _, err := kafka.New(kafka.Config{}); err == nil {
		t.Error("no brokers gave no error")
	}
	if _, err := kafka.New(kafka.Config{Brokers: []string{"x:1"}, Mechanism: "kerberos"}); err == nil {
		t.Error("an unknown mechanism gave no error")
	}
	b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := client.Ping(ctx); !kafka.IsAway(err) {
		t.Errorf("a dead broker gave %v, want an error that IsAway", err)
	}
	if _, _, err := f.Fetch(ctx, 0, 1, time.Millisecond); !kafka.IsAway(err) {
		t.Errorf("reading from a dead broker gave %v, want an error that IsAway", err)
	}
}

// A connection that gives the answer to another request is of no more use, and the
// next one is.
func TestAnAnswerToAnotherRequestIsAway(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for {
					size := make([]byte, 4)
					if _, err := io.ReadFull(conn, size); err != nil {
						return
					}
					request := make([]byte, binary.BigEndian.Uint32(size)) // the id stands behind key and version
					if _, err := io.ReadFull(conn, request); err != nil {
						return
					}
					answer := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 4}, binary.BigEndian.Uint32(request[4:])+1)
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	client, err := kafka.New(kafka.Config{Brokers: []string{listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f := client.Fetcher("b.orders", 0, false)
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, _, err := f.Fetch(ctx, 0, 1, time.Millisecond); !errors.Is(err, io.ErrNoProgress) || !kafka.IsAway(err) {
		t.Errorf("an answer to another request gave %v, want an error that IsAway", err)
	}
}

// A context that ends while a read does, and the Close behind it, meet no
// connection that is gone.
func TestFetcherEndsWithItsContext(t *testing.T) {
	_, client := start(t, t.TempDir())
	if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: "b.orders", Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		f := client.Fetcher("b.orders", 0, false)
		if _, _, err := f.Fetch(t.Context(), 0, 1, 0); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(i)*10*time.Microsecond, cancel)
		_, _, _ = f.Fetch(ctx, 0, 1, 0) // either answer will do
		cancel()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A broker answers with the whole of a record batch: a small message of it that is
// passed over does not take the room of the large one behind it, which no attempt
// would come past.
func TestALargeValueBehindOneThatIsPassedOver(t *testing.T) {
	t.Parallel()
	_, client := start(t, t.TempDir())
	if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: "b.orders", Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	publisher := client.Publisher()
	defer publisher.Close()
	var want [][]byte
	for _, batch := range [][]int{{300 << 10}, {1, 800 << 10, 1}, {2, 2}} {
		var messages []kafka.Message
		for _, size := range batch {
			value := bytes.Repeat([]byte{byte(len(want))}, size)
			want = append(want, value)
			messages = append(messages, kafka.Message{Topic: "b.orders", Value: value})
		}
		if err := publisher.Publish(t.Context(), messages); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	f := client.Fetcher("b.orders", 0, false)
	defer f.Close()
	for got := 0; got < len(want); {
		messages, _, err := f.Fetch(ctx, int64(got), 10, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if m.Offset != int64(got) || !bytes.Equal(m.Value, want[got]) {
				t.Fatalf("message %d has the offset %d and %d bytes", got, m.Offset, len(m.Value))
			}
			got++
		}
	}
}

// While a client's quota is used up, brokers answer a fetch at once, without any
// topic: then it is asked again when they say, and nobody hears of it but who waits for long.
func TestQuotaIsUsedUp(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "b.orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kafka.New(kafka.Config{Brokers: cluster.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	log := client.Log("b.orders", 0)
	defer log.Close()
	if _, err := log.Append(t.Context(), []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int32
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if refused.Add(1) == 4 {
			return nil, nil, false
		}
		answer := request.ResponseKind().(*kmsg.FetchResponse)
		answer.ThrottleMillis = 20
		if refused.Load() > 4 {
			answer.ThrottleMillis = 61_000
		}
		return answer, nil, true
	})
	f := client.Fetcher("b.orders", 0, false)
	defer f.Close()
	messages, next, err := f.Fetch(t.Context(), 0, 1, time.Millisecond)
	if err != nil || next != 1 || len(messages) != 1 || string(messages[0].Value) != "x" {
		t.Errorf("Fetch = %v, %d, %v; want the message", messages, next, err)
	}
	if refused.Load() != 4 {
		t.Errorf("%d fetches, want 4", refused.Load())
	}
	if _, _, err := f.Fetch(t.Context(), 0, 1, time.Millisecond); !kafka.IsAway(err) || !strings.Contains(err.Error(), "quota") {
		t.Errorf("a quota that stays used up gave %v, want that it is away", err)
	}
}

// An append to a broker that says nothing ends with its context.
func TestAppendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "b.journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kafka.New(kafka.Config{Brokers: cluster.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	log := client.Log("b.journal", 0)
	defer log.Close()
	if _, err := log.Append(t.Context(), []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	frozen, thaw := make(chan struct{}), make(chan struct{})
	freeze := sync.OnceFunc(func() { close(frozen) })
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		freeze()
		<-thaw
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := log.Append(ctx, []byte("y"), nil)
		ended <- err
	}()
	<-frozen
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Append = %v, want that its context ended", err)
	}
	close(thaw)
	if _, err := log.Append(t.Context(), []byte("z"), nil); err != nil {
		t.Errorf("the next Append = %v", err)
	}
}
