package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// letters are the dead letters of now, by id, and what each holds.
func (r rig) letters(t *testing.T) map[string]*events.DeadLetter {
	t.Helper()
	letters := make(map[string]*events.DeadLetter)
	err := r.client.ReadAll(t.Context(), r.topics.DeadLetter, func(_ int, m kafka.Fetched) error {
		letter := new(events.DeadLetter)
		if err := proto.Unmarshal(m.Value, letter); err != nil {
			return err
		}
		letters[letter.GetLetterId()] = letter
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return letters
}

// letter waits until there are n letters, and gives the latest of a webhook.
func (r rig) letter(t *testing.T, n int, webhook string) (latest *events.DeadLetter, raw []byte) {
	t.Helper()
	eventually(t, fmt.Sprintf("there are %d letters", n), func() bool { return len(r.letters(t)) == n })
	for id, l := range r.letters(t) {
		if events.WebhookOf(id) == webhook && l.GetAttempts() >= latest.GetAttempts() {
			latest = l
		}
	}
	raw, err := events.OpenLetter([]*events.DeadLetter{latest}, r.keys)
	if err != nil {
		t.Fatal(err)
	}
	return latest, raw
}

// replay asks for a webhook to be told again what a letter holds.
func (r rig) replay(t *testing.T, l *events.DeadLetter, raw []byte) {
	t.Helper()
	again := &events.Redelivery{
		LetterId: l.GetLetterId(), Attempts: l.GetAttempts() + 1, Webhook: events.WebhookOf(l.GetLetterId()), Stream: l.GetStream(), Value: raw,
		Who: "test", AskedMs: time.Now().UnixMilli(),
	}
	value, err := proto.Marshal(again)
	if err != nil {
		t.Fatal(err)
	}
	wire := events.Wire{Topic: r.topics.Redeliver, Key: []byte("tmall/flagship/1"), Value: value, Headers: events.DescribeRedelivery(again).Headers()}
	if err := r.publisher.Publish(t.Context(), []kafka.Message{kafka.MessageOf(wire)}); err != nil {
		t.Fatal(err)
	}
}

// A replayed letter is told to its webhook and to no other; refused again it is
// a letter again, with one attempt more; and no word is told that is older than
// one which was told meanwhile.
func TestALetterIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var stubborn atomic.Int32
	stubborn.Store(1)
	desk := newDesk(t, func(int, string) int {
		if stubborn.Load() == 1 {
			return http.StatusBadRequest
		}
		return http.StatusOK
	})
	other := newDesk(t, fine)
	r.deliver(t, Webhook{Name: "desk", URL: desk.URL, Secret: secret}, Webhook{Name: "other", URL: other.URL, Secret: secret})
	const account = "tmall/flagship/1"
	r.say(t, account, 5)
	l, raw := r.letter(t, 1, "desk")
	if l.GetStream() != events.StreamIdentity || l.GetAttempts() != 1 {
		t.Errorf("the letter is %v", l)
	}
	r.replay(t, l, raw)
	l, again := r.letter(t, 2, "desk")
	if l.GetAttempts() != 2 || !slices.Equal(again, raw) || l.GetReason() != events.ReasonDeliver || l.GetPlatform() != "tmall" {
		t.Errorf("refused again it is %v", l)
	}
	stubborn.Store(0)
	r.replay(t, l, again)
	eventually(t, "the desk knows version 5", func() bool { return desk.last(account) == 5 })
	r.say(t, account, 6)
	eventually(t, "the desk knows version 6", func() bool { return desk.last(account) == 6 })
	r.replay(t, l, again) // of version 5
	r.say(t, "tmall/flagship/2", 1)
	r.replay(t, l, again)
	eventually(t, "all is done", func() bool {
		done, err := r.client.Committed(t.Context(), Group(r.brand, "desk")+".again", []string{r.topics.Redeliver})
		return err == nil && done[r.topics.Redeliver][0] == 4 && desk.last("tmall/flagship/2") == 1
	})
	// The first replay may have told the newer word once more, so that it was last.
	desk.mu.Lock()
	got := slices.Compact(slices.Clone(desk.got[account]))
	desk.mu.Unlock()
	if !slices.Equal(got, []uint64{5, 6}) {
		t.Errorf("after a newer word the older one was told: %v", got)
	}
	eventually(t, "the other desk knows version 6", func() bool { return other.last(account) == 6 })
	other.mu.Lock()
	defer other.mu.Unlock()
	if got := other.got[account]; !slices.Equal(got, []uint64{5, 6}) {
		t.Errorf("the other was told the versions %v", got)
	}
	if n := len(r.letters(t)); n != 2 {
		t.Errorf("there are %d letters", n)
	}
}

// A newer word that is told while an older one is told again is told once more:
// the last that the receiver hears is the newest.
func TestTheNewestWordIsTheLast(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const account = "tmall/flagship/1"
	refusing := true
	var mu sync.Mutex
	var heard []string
	has := func(version string) bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(heard, version)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var e struct{ Data struct{ Version string } }
		if err := json.NewDecoder(request.Body).Decode(&e); err != nil {
			t.Errorf("read a request: %v", err)
		}
		mu.Lock()
		refuse := refusing
		refusing = false
		mu.Unlock()
		if refuse {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if e.Data.Version == "5" { // it takes its time, and is overtaken
			r.say(t, account, 6)
			eventually(t, "version 6 has overtaken", func() bool { return has("6") })
		}
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, e.Data.Version)
	}))
	defer server.Close()
	r.deliverIn(t, 1, Webhook{Name: "desk", URL: server.URL, Secret: secret})
	r.say(t, account, 5)
	l, raw := r.letter(t, 1, "desk")
	r.replay(t, l, raw)
	eventually(t, "three words were heard", func() bool { mu.Lock(); defer mu.Unlock(); return len(heard) == 3 })
	if mu.Lock(); !slices.Equal(heard, []string{"6", "5", "6"}) {
		t.Errorf("heard were %v", heard)
	}
	mu.Unlock()
}

// Alerts are told signed, once each, also those that were refused and replayed;
// what is days old is not.
func TestAlerts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var mu sync.Mutex
	var heard []string
	refusing := map[string]bool{"connector/tmall/s/orders": true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var e struct {
			Type, Subject, Source string
			Data                  struct{ Kind, Subject, State, Detail string }
		}
		if err := json.NewDecoder(request.Body).Decode(&e); err != nil || request.Header.Get("Webhook-Signature") == "" || e.Source != "/"+r.brand+"/alerts" {
			t.Errorf("a request of %q with %v: %v", e.Source, request.Header, err)
		}
		if e.Type != "oneid.alert."+e.Data.State+".v1" || e.Subject != e.Data.Kind+"/"+e.Data.Subject {
			t.Errorf("the event is %+v", e)
		}
		mu.Lock()
		defer mu.Unlock()
		if refusing[e.Subject] {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		heard = append(heard, e.Subject+" "+e.Data.State+" "+e.Data.Detail)
	}))
	defer server.Close()
	say := func(subject string, state events.AlertState, at time.Time, detail string) {
		t.Helper()
		a := &events.Alert{AlertId: subject + at.String(), Kind: "connector", Subject: subject, State: state, Detail: detail, ChangedMs: at.UnixMilli()}
		value, err := proto.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		wire := events.Wire{Topic: r.topics.Alerts, Key: []byte("connector/" + subject), Value: value, Headers: events.DescribeAlert(a).Headers()}
		if err := r.publisher.Publish(t.Context(), []kafka.Message{kafka.MessageOf(wire)}); err != nil {
			t.Fatal(err)
		}
	}
	raised, cleared := events.AlertState_ALERT_STATE_RAISED, events.AlertState_ALERT_STATE_CLEARED
	now := time.Now()
	say("tmall/s/users", raised, now.Add(-2*staleAlert), "days ago")
	say("tmall/s/users", raised, now, "re-authorise")
	say("tmall/s/users", raised, now, "re-authorise") // published twice
	say("tmall/s/orders", raised, now, "re-authorise")
	say("tmall/s/users", cleared, now.Add(time.Second), "")
	d, err := New(Config{
		Brand: r.brand, Kafka: r.client, Keys: r.keys, Alerts: []Webhook{{Name: "desk", URL: server.URL, Secret: secret}},
		Log: slog.New(slog.DiscardHandler), Attempts: 1, MinWait: time.Millisecond, MaxWait: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	wants := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d alerts were told", len(want)), func() bool { mu.Lock(); defer mu.Unlock(); return len(heard) >= len(want) })
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(heard, want) {
			t.Errorf("told were %q, want %q", heard, want)
		}
	}
	l, raw := r.letter(t, 1, "desk")
	if l.GetStream() != events.StreamAlerts {
		t.Errorf("the letter is %v", l)
	}
	wants("connector/tmall/s/users raised re-authorise", "connector/tmall/s/users cleared ")
	mu.Lock()
	clear(refusing)
	mu.Unlock()
	r.replay(t, l, raw)
	wants("connector/tmall/s/users raised re-authorise", "connector/tmall/s/users cleared ", "connector/tmall/s/orders raised re-authorise")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
