package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Two processes that both hold themselves for the one that decrypts: a shop is
// decrypted by one of them at a time, another shop meanwhile; when that one ends,
// the other does it.
func TestOneProcessDecryptsAShop(t *testing.T) {
	t.Parallel()
	brokers, brand := brokertest.Brokers(t), brokertest.Brand()
	topics := events.TopicsOf(brand)
	var mu sync.Mutex
	var done []string // who decrypted the shop s
	busy := make(map[string]int)
	start := func(who string) (stop func()) {
		t.Helper()
		client, err := kafka.New(kafka.Config{Brokers: brokers})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: topics.Cursors, Partitions: 1, Replication: 1}}); err != nil {
			t.Fatal(err)
		}
		n := &node{instance: &instance{kafka: client, topics: topics, log: slog.New(slog.DiscardHandler)}}
		n.settings.Brand = brand
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- n.inTurns(ctx, 10*time.Millisecond, []string{"douyin/other", "douyin/s"}, func() bool { return true }, func(ctx context.Context, name string) {
				mu.Lock()
				if busy[name]++; busy[name] > 1 {
					t.Errorf("%s and another decrypt %s", who, name)
				}
				if name == "douyin/s" {
					done = append(done, who)
				}
				mu.Unlock()
				time.Sleep(20 * time.Millisecond) // a platform takes its time
				mu.Lock()
				busy[name]--
				mu.Unlock()
			})
		}()
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("%s: %v", who, err)
			}
			client.Close()
		}
	}
	// by waits until the one of them has decrypted a few times, and says whether
	// it is the only one since.
	by := func(who string) bool {
		t.Helper()
		mu.Lock()
		since := len(done)
		mu.Unlock()
		for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			mu.Lock()
			now := slices.Clone(done[since:])
			mu.Unlock()
			if n := len(now); n >= 5 && now[n-1] == who {
				return !slices.ContainsFunc(now, func(other string) bool { return other != who })
			}
		}
		t.Fatalf("%s decrypts nothing", who)
		return false
	}
	stop := start("a")
	by("a")
	stopOther := start("b")
	defer stopOther()
	by("a")
	if !by("a") {
		t.Error("another process decrypts beside it")
	}
	stop()
	by("b")
}
