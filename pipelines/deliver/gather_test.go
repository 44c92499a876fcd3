package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// alertOf is an alert of a kind that is raised now.
func alertOf(kind string, no int) *events.Alert {
	return &events.Alert{
		AlertId: fmt.Sprintf("%s|%d", kind, no), Kind: kind, Subject: fmt.Sprintf("tmall/s%d/orders", no),
		State: events.AlertState_ALERT_STATE_RAISED, Detail: "the platform is away", ChangedMs: time.Now().UnixMilli(),
	}
}

// However alerts of two kinds fall within a minute, each kind is one message,
// which names them all and comes within a minute of the first; what the robot
// refuses for its rate stays one, too.
func TestAlertsOfOneKindAreOneMessage(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			f := &face{format: WeCom}
			_, h := toFace(t, f, robotAddresses[WeCom], "")
			for range int(seed) % 2 * 20 { // somebody else has used the robot's rate up
				f.at = append(f.at, time.Now().Add(time.Minute))
			}
			began := time.Now()
			var all sync.WaitGroup
			for no := range 12 {
				for _, kind := range []string{"connector", "pipeline"} {
					var later time.Duration
					if no > 0 {
						later = time.Duration(r.IntN(59_000)) * time.Millisecond
					}
					all.Go(func() {
						time.Sleep(later)
						if err := h.together.tell(t.Context(), alertOf(kind, no)); err != nil {
							t.Errorf("seed %d: %v", seed, err)
						}
					})
				}
			}
			time.Sleep(59 * time.Second)
			synctest.Wait()
			if len(f.said) != 0 {
				t.Errorf("seed %d: within the minute was said %q", seed, f.said)
			}
			all.Wait()
			if took := time.Since(began); len(f.said) != 2 || took > 3*time.Minute {
				t.Fatalf("seed %d: after %s %d messages were said, want one a kind:\n%s", seed, took, len(f.said), strings.Join(f.said, "\n\n"))
			}
			for _, text := range f.said {
				if !strings.Contains(text, ": 12 raised, 0 well again") {
					t.Errorf("seed %d: it begins %.80q", seed, text)
				}
				for no := range 12 {
					if !strings.Contains(text, fmt.Sprintf("\n❗ tmall/s%d/orders: the platform is away", no)) {
						t.Errorf("seed %d: %d is not in %q", seed, no, text)
					}
				}
			}
			if err := h.together.tell(t.Context(), alertOf("connector", 99)); err != nil || len(f.said) != 3 || !strings.HasPrefix(f.said[2], "❗ OneID b: connector tmall/s99/orders\nthe platform") {
				t.Errorf("seed %d: one alone: %v, %q", seed, err, f.said)
			}
		})
	}
}

// What a process holds when it is asked to stop is said at once; what it must
// let go is said by nobody here, and Kafka gives it again.
func TestNothingWaitsWhenWeLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &face{format: Feishu}
		_, h := toFace(t, f, robotAddresses[Feishu], "")
		leaving := make(chan struct{})
		h.together.leaving = leaving
		began := time.Now()
		var all sync.WaitGroup
		for no := range 3 {
			all.Go(func() {
				if err := h.together.tell(t.Context(), alertOf("connector", no)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(leaving)
		all.Wait()
		if took := time.Since(began); len(f.said) != 1 || took > time.Second {
			t.Errorf("said after %s: %q", took, f.said)
		}
		h.together.leaving = nil
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.together.tell(ctx, alertOf("connector", 3)) }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) || len(f.said) != 1 {
			t.Errorf("let go: %v, said %q", err, f.said)
		}
	})
}

// A text of any alerts has a size that every robot takes, names as many as fit,
// and says how many more there are. No phone is in it, and it calls nobody.
func TestTextsOfSeveral(t *testing.T) {
	t.Parallel()
	r := &robot{format: Feishu}
	for n := 2; n < 300; n++ {
		var alerts []*events.Alert
		for no := range n {
			a := alertOf("connector", no)
			a.Detail = strings.Repeat("错误", no%50) + " 13800001111,13900002222 +8613800003333 008613800004444 order 1234567890123\nmore"
			if no%3 == 1 {
				a.State = events.AlertState_ALERT_STATE_CLEARED
			}
			alerts = append(alerts, a)
		}
		text := r.texts(strings.Repeat("b", 40), alerts)
		listed, more := strings.Count(text, "\n❗ ")+strings.Count(text, "\n✅ "), 0
		if _, rest, ok := strings.Cut(text, "\n… and "); ok {
			if _, err := fmt.Sscanf(rest, "%d more", &more); err != nil {
				t.Fatal(err)
			}
		}
		if len(text) > maxText || !utf8.ValidString(text) || listed+more != n || n < 8 && more > 0 {
			t.Fatalf("%d alerts: %d bytes, %d listed and %d more:\n%s", n, len(text), listed, more, text)
		}
		if strings.Contains(text, "13800") || strings.Contains(text, "13900") {
			t.Fatalf("a phone is in\n%s", text)
		}
	}
	request, err := r.request(`import <at user_id="all"></at>.csv`, time.Now())
	if err != nil || strings.Contains(string(request.Body), "<at") || strings.Contains(string(request.Body), `\u003cat`) {
		t.Errorf("it calls all: %s (%v)", request.Body, err)
	}
}

// A storm that comes through Kafka is one message to each robot.
func TestAStormIsOneMessage(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	g := &group{t: t}
	server := httptest.NewServer(g)
	defer server.Close()
	robots := []Webhook{
		{Name: "wecom", URL: server.URL + "/wecom?key=K", Format: WeCom},
		{Name: "feishu", URL: server.URL + "/feishu/hook", Format: Feishu, Secret: "larkx"},
	}
	d, err := New(Config{Brand: rig.brand, Kafka: rig.client, Keys: rig.keys, Alerts: robots, Log: slog.New(slog.DiscardHandler), RobotsPerSecond: 1000, Together: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var messages []kafka.Message
	for no := range 100 {
		a := alertOf("connector", no)
		value, err := proto.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, kafka.Message{Topic: rig.topics.Alerts, Key: []byte("connector/" + a.GetSubject()), Value: value})
	}
	if err := rig.publisher.Publish(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		g.mu.Lock()
		said := len(g.said)
		g.mu.Unlock()
		if said >= 2 {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(g.said) != 2 || !strings.Contains(g.said[0], ": 100 raised, 0 well again") || !strings.Contains(g.said[1], ": 100 raised, 0 well again") {
		t.Errorf("%d messages for 100 alerts and two robots:\n%s", len(g.said), strings.Join(g.said, "\n\n"))
	}
}
