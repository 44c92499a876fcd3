package receive

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"oneid/connectors/simulator"
)

// lines is a log that is written concurrently.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

// Who has seen a push, or finds the address, and sends as much as he can: neither
// the topic nor the log grows with it.
func TestWhoRepeatsFillsNothing(t *testing.T) {
	s := newShop(t, simulator.PlatformDouyin, 1)
	log := new(lines)
	r := newRig(t, s.platform, s.shop, s.open(t), func(c *Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
	const body = `[{"tag":"206","msg_id":"1","data":"{\"p_id\":6910000000000000001,\"aftersale_id\":7000000000000000001,\"shop_id\":4463798}"}]`
	for range 20 {
		genuine := &simulator.Pusher{World: s.world, Platform: s.platform, URL: r.url}
		if err := genuine.Once(t.Context(), []byte(strings.ReplaceAll(body, "4463798", s.shop))); err != nil {
			t.Fatal(err)
		}
		stranger := &simulator.Pusher{World: s.world, Platform: s.platform, URL: r.url, Secret: "another"}
		if err := stranger.Once(t.Context(), []byte(body)); err == nil {
			t.Fatal("a stranger's is taken")
		}
	}
	if got := r.lies(t); got != 2 { // the after-sale and its order
		t.Errorf("%d messages lie in Kafka, want 2", got)
	}
	if r.count(Noted) != 40 || r.count(Refused) != 20 {
		t.Errorf("counts %v", r.counts)
	}
	if got := strings.Count(log.all.String(), "a push was refused"); got != 1 {
		t.Errorf("the log tells %d times of what is refused, want once", got)
	}
}
