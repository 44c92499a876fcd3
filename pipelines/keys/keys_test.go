package keys

import (
	"errors"
	"slices"
	"testing"

	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

type rig struct {
	t         *testing.T
	client    *kafka.Client
	publisher *kafka.Publisher
	topic     string
}

func newRig(t *testing.T) rig {
	t.Helper()
	brand := brokertest.Brand()
	client, err := kafka.New(kafka.Config{Brokers: brokertest.Brokers(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	cursors := events.TopicsOf(brand).Cursors
	for _, topic := range pipelines.Topics(brand, 1) {
		if topic.Name != cursors {
			continue
		}
		if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: cursors, Partitions: 1, Replication: 1, Config: topic.Config}}); err != nil {
			t.Fatal(err)
		}
	}
	publisher := client.Publisher()
	t.Cleanup(func() { _ = publisher.Close() })
	return rig{t, client, publisher, cursors}
}

func (r rig) claim(marks map[string]string) error {
	return Claim(r.t.Context(), r.client, r.publisher, r.topic, marks)
}

func TestClaim(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := map[string]string{"hash": "a", "seal-1": "b"}
	rotated := map[string]string{"hash": "a", "seal-1": "b", "seal-2": "c"}
	for _, step := range []struct {
		what  string
		marks map[string]string
		lacks []string
	}{
		{"a new brand", first, nil},
		{"the same again", first, nil},
		{"keys of another's", map[string]string{"hash": "x", "seal-1": "y"}, []string{"hash", "seal-1"}},
		{"the first after the others were refused", first, nil},
		{"another hash key alone", map[string]string{"hash": "x", "seal-1": "b"}, []string{"hash"}},
		{"rotated, and the old key lost", map[string]string{"hash": "a", "seal-2": "c"}, []string{"seal-1"}},
		{"rotated", rotated, nil},
		{"one that has not heard of it", first, []string{"seal-2"}},
		{"rotated otherwise", map[string]string{"hash": "a", "seal-1": "b", "seal-2": "d"}, []string{"seal-2"}},
		{"rotated, again", rotated, nil},
	} {
		err := r.claim(step.marks)
		var other *OtherError
		if step.lacks == nil && err != nil || step.lacks != nil && (!errors.As(err, &other) || !slices.Equal(other.Names, step.lacks)) {
			t.Errorf("%s: %v, want that it lacks %v", step.what, err, step.lacks)
		}
	}
}

// Of two that bring other keys to a new brand at once, the first to write gets it,
// and whoever comes later finds it so.
func TestClaimAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second := map[string]string{"hash": "b", "seal-1": "y"}, map[string]string{"hash": "a", "seal-1": "x"}
	if err := r.claim(first); err != nil {
		t.Fatal(err)
	}
	// It had found nothing there.
	if err := note(t.Context(), r.publisher, r.topic, second); err != nil {
		t.Fatal(err)
	}
	if err := r.claim(first); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err, other := r.claim(second), (*OtherError)(nil); !errors.As(err, &other) {
		t.Errorf("the second: %v, want OtherError", err)
	}
}
