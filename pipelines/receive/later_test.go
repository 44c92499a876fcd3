package receive

import (
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/internal/kafka"
)

// A message that comes again within a minute is asked for once. Later the same bytes
// tell of another change, and are noted again.
func TestTheSamePushLater(t *testing.T) {
	t.Parallel()
	s := &script{tries: make(map[string]int)}
	r := newRig(t, "jd", "s", s)
	synctest.Test(t, func(t *testing.T) {
		client, err := kafka.New(kafka.Config{Brokers: r.brokers})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		config := r.config
		config.Publisher = client.Publisher()
		defer func() { _ = config.Publisher.Close() }()
		again := New(config)
		noted := func() (n int64) {
			first, next, err := client.Ends(t.Context(), r.topics.Pushes)
			if err != nil {
				t.Fatal(err)
			}
			for i := range next {
				n += next[i] - first[i]
			}
			return n
		}
		for _, step := range []struct {
			after time.Duration
			want  int64
		}{{0, 1}, {0, 1}, {remember - time.Second, 1}, {time.Second, 2}, {remember - time.Second, 2}, {time.Hour, 3}} {
			time.Sleep(step.after)
			messages, err := s.Open(connectors.Push{Body: []byte("1")})
			if err != nil {
				t.Fatal(err)
			}
			if err := again.note(t.Context(), again.shops["jd/s"], messages); err != nil {
				t.Fatal(err)
			}
			if got := noted(); got != step.want {
				t.Errorf("%s later %d lie in the topic, want %d", step.after, got, step.want)
			}
		}
	})
}
