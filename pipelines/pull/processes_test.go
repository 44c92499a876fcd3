package pull

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/httpclient"
	"oneid/internal/kafka"
)

// site is a platform in memory that counts what it answers: the processes of a
// brand call it, with a Kafka between them that is outside of the test's clock.
type site struct {
	t       *testing.T
	face    http.Handler
	world   *simulator.World
	brokers []string
	topic   string

	mu sync.Mutex
	// The fields below are guarded by mu.
	refused int
	calls   []time.Time // that were not refused
}

// RoundTrip implements http.RoundTripper.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	s.face.ServeHTTP(answer, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(answer.Body.String(), "limited-by") {
		s.refused++
	} else {
		s.calls = append(s.calls, time.Now())
	}
	return answer.Result(), nil
}

// process calls the platform without a pause from several goroutines, as one
// process of the brand, until ctx ends. It is to be called in the bubble.
func (s *site) process(ctx context.Context, cfg tmall.Config) {
	s.t.Helper()
	client, err := kafka.New(kafka.Config{Brokers: s.brokers})
	if err != nil {
		s.t.Error(err)
		return
	}
	defer client.Close()
	publisher := client.Publisher()
	defer func() { _ = publisher.Close() }()
	quotas, err := OpenQuotas(ctx, client, publisher, s.topic)
	if err != nil {
		s.t.Error(err)
		return
	}
	e := simulator.TmallCredentialsOf(s.world)
	cfg.URL, cfg.AppKey, cfg.AppSecret, cfg.Session, cfg.Transport = "http://platform.example/router/rest", e.AppKey, e.AppSecret, e.Session, s
	c, err := tmall.New(e.Shop, cfg)
	if err != nil {
		s.t.Error(err)
		return
	}
	c.Share(httpclient.NewLimits(quotas))
	var all sync.WaitGroup
	hearing, stop := context.WithCancel(context.WithoutCancel(ctx))
	all.Go(func() { quotas.Run(hearing) })
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			for ctx.Err() == nil {
				if err := c.Check(ctx); err != nil && ctx.Err() == nil {
					s.t.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	stop()
	all.Wait()
}

// Of the calls that a platform permits in a second the processes of a brand use
// nearly all, whoever of them comes and goes, and none is refused.
func TestProcessesUseARate(t *testing.T) {
	const perSecond, seconds = 40, 120
	brokers := brokertest.Brokers(t)
	r := newRigAt(t, brokers)
	synctest.Test(t, func(t *testing.T) {
		world, err := simulator.New(simulator.Config{People: 20, Seed: 1, Until: time.Now().Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		s := &site{t: t, world: world, brokers: brokers, topic: r.topics.Cursors, face: simulator.Tmall(world, simulator.TmallOptions{PerSecond: perSecond})}
		cfg := tmall.Config{RequestsPerSecond: perSecond}
		begun := time.Now()
		var processes sync.WaitGroup
		for _, from := range []int{0, 0, 30} {
			processes.Go(func() {
				time.Sleep(time.Duration(from) * time.Second)
				ends := seconds
				if from > 0 {
					ends = 80 // it leaves the others its part
				}
				ctx, cancel := context.WithCancel(t.Context()) // no deadline, which a wait would look ahead to
				defer cancel()
				time.AfterFunc(time.Until(begun.Add(time.Duration(ends)*time.Second)), cancel)
				s.process(ctx, cfg)
			})
		}
		processes.Wait()
		if used := float64(len(s.calls)) / (perSecond * seconds); s.refused > 0 || used < 0.95 {
			t.Errorf("%d calls were refused for rate, and %.1f %% of the permitted ones were made; want none and at least 95 %%", s.refused, 100*used)
		}
	})
}

// Of a day's quota the processes use nearly all, none is refused, and what was used
// up goes on at the platform's midnight.
func TestProcessesUseAQuota(t *testing.T) {
	const perDay = 900
	brokers := brokertest.Brokers(t)
	r := newRigAt(t, brokers)
	synctest.Test(t, func(t *testing.T) {
		world, err := simulator.New(simulator.Config{People: 20, Seed: 1, Until: time.Now().Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		s := &site{t: t, world: world, brokers: brokers, topic: r.topics.Cursors, face: simulator.Tmall(world, simulator.TmallOptions{Faults: simulator.Faults{PerDay: perDay}})}
		midnight := endOf(t, time.Now().Format(time.DateOnly))
		time.Sleep(time.Until(midnight.Add(-2 * time.Minute)))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		time.AfterFunc(4*time.Minute, cancel)
		var processes sync.WaitGroup
		for range 3 {
			processes.Go(func() { s.process(ctx, tmall.Config{RequestsPerSecond: 20, CallsPerDay: perDay}) })
		}
		processes.Wait()
		days := make(map[bool]int) // after midnight?
		for _, at := range s.calls {
			days[!at.Before(midnight)]++
		}
		for _, n := range days {
			if n > perDay || n < perDay*95/100 {
				t.Errorf("%d calls of %d were made in a day", n, perDay)
			}
		}
		if s.refused > 0 || len(days) != 2 {
			t.Errorf("%d calls were refused, of %v", s.refused, days)
		}
	})
}
