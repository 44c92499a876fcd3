package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// The whole flow beside a Kafka that is configured, and not OneID's own, ends
// with what it ends with on the embedded one: `make test-kafka` names a real
// Kafka.
func TestDemoOnAConfiguredKafka(t *testing.T) {
	t.Parallel()
	brokers, brand := brokertest.Brokers(t), brokertest.Brand()
	until := time.Now().UTC().Format(time.RFC3339) // the same data for both
	args := func(dir string) []string { return append(demoArgs(dir, 100, 7), "--until", until) }
	embedded := filepath.Join(t.TempDir(), "embedded")
	want := decode[demoReport](t, must(t, args(embedded)...).stdout)

	dir := filepath.Join(t.TempDir(), "configured")
	a := startWith(t, "", []string{"ONEID_KAFKA_BROKERS=" + brokers[0], "ONEID_BRAND=" + brand}, args(dir)...).wait(t)
	if a.code != 0 {
		t.Fatalf("the demo exits with %d:\n%s", a.code, a.stderr)
	}
	got := decode[demoReport](t, a.stdout)
	for platform, streams := range got.Platforms {
		for stream, n := range streams {
			if n.Source != n.Stored || n.Source == 0 {
				t.Errorf("%s %s: %d at the source, %d stored", platform, stream, n.Source, n.Stored)
			}
		}
	}
	if d := cmp.Diff(steady(want), steady(got)); d != "" {
		t.Errorf("it ends otherwise than on the embedded broker:\n%s", d)
	}

	if _, err := os.Stat(filepath.Join(dir, "kafka")); !os.IsNotExist(err) {
		t.Errorf("the folder has data of an embedded broker (%v)", err)
	}
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topics := events.TopicsOf(brand)
	for _, topic := range []string{topics.Orders, topics.Users, topics.Tickets, topics.Identity, topics.Journal} {
		_, next, err := client.Ends(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		var sum int64
		for _, offset := range next {
			sum += offset
		}
		if sum == 0 {
			t.Errorf("the configured Kafka has nothing in %s", topic)
		}
	}
}
