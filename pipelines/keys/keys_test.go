package keys

import (
	"errors"
	"maps"
	"slices"
	"sync"
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

// Of two rings that begin a brand at once one gets it, whole, and nothing of the other
// is noted: not the key either of whose name the one has none. A mark is noted once,
// however many processes bring it, so compaction leaves the order as it was.
func TestClaimAtOnce(t *testing.T) {
	t.Parallel()
	a, b := map[string]string{"hash": "a", "seal-1": "x"}, map[string]string{"hash": "b", "seal-1": "y", "seal-2": "z"}
	for _, test := range []struct {
		name  string
		rings []map[string]string
	}{
		{"one of each", []map[string]string{a, b}},
		{"two of one and one of the other", []map[string]string{a, b, a}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			errs := make([]error, len(test.rings))
			var all sync.WaitGroup
			for i, ring := range test.rings {
				all.Go(func() { errs[i] = r.claim(ring) })
			}
			all.Wait()
			used, err := inUse(t.Context(), r.client, r.topic)
			if err != nil || !maps.Equal(used, a) && !maps.Equal(used, b) {
				t.Fatalf("in use are %v, %v; want those of one ring", used, err)
			}
			for i, ring := range test.rings {
				var other *OtherError
				if won := maps.Equal(used, ring); won && errs[i] != nil || !won && !errors.As(errs[i], &other) {
					t.Errorf("%v: %v, where %v is in use", ring, errs[i], used)
				}
			}
			noted := 0
			if err := r.client.ReadAll(t.Context(), r.topic, func(int, kafka.Fetched) error { noted++; return nil }); err != nil || noted != len(used) {
				t.Errorf("%d marks are noted for %d keys, %v", noted, len(used), err)
			}
		})
	}
}

// Who only checks is refused as who claims is, and leaves a new brand to others.
func TestCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := map[string]string{"hash": "a"}, map[string]string{"hash": "b"}
	if err := Check(t.Context(), r.client, r.topic, b); err != nil {
		t.Errorf("in a new brand: %v", err)
	}
	if err := r.claim(a); err != nil {
		t.Fatal(err)
	}
	if err, other := Check(t.Context(), r.client, r.topic, b), (*OtherError)(nil); !errors.As(err, &other) {
		t.Errorf("with other keys: %v, want OtherError", err)
	}
	if err := Check(t.Context(), r.client, r.topic, a); err != nil {
		t.Errorf("with its keys: %v", err)
	}
}

// What was noted wrongly is taken back by messages without a value, and then the right
// ring is the brand's.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	wrong, right := map[string]string{"hash": "x", "seal-1": "y"}, map[string]string{"hash": "a", "seal-1": "b"}
	if err := r.claim(wrong); err != nil {
		t.Fatal(err)
	}
	if err := r.claim(right); err == nil {
		t.Fatal("the right ring is not refused while a wrong one is noted")
	}
	for name, mark := range wrong {
		if err := r.publisher.Publish(t.Context(), []kafka.Message{{Topic: r.topic, Key: []byte(prefix + name + "/" + mark)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.claim(right); err != nil {
		t.Errorf("after the wrong ring was taken back the right one is refused: %v", err)
	}
	if err := r.claim(wrong); err == nil {
		t.Error("the wrong ring is the brand's yet")
	}
}
