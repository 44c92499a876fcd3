package deliver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/schemas/events"
)

const secret = "a secret of the test's"

// desk is a receiver that keeps what it acknowledged.
type desk struct {
	t *testing.T
	*httptest.Server
	// answer says what to answer to an account's nth request of all; 0 cuts
	// the connection.
	answer func(n int, account string) int

	mu       sync.Mutex
	requests int
	got      map[string][]uint64 // versions by account, in the order of their coming
}

func newDesk(t *testing.T, answer func(n int, account string) int) *desk {
	d := &desk{t: t, answer: answer, got: make(map[string][]uint64)}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		d.t.Errorf("read a request: %v", err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("Webhook-Signature") != want {
		d.t.Errorf("the signature is %q, want %q", r.Header.Get("Webhook-Signature"), want)
	}
	if at, err := strconv.ParseInt(r.Header.Get("Webhook-Timestamp"), 10, 64); err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
		d.t.Errorf("the time of the attempt is %q", r.Header.Get("Webhook-Timestamp"))
	}
	var e struct {
		SpecVersion, ID, Type, Source, Subject, Time string
		Data                                         struct{ Account, Version string }
	}
	if err := json.Unmarshal(body, &e); err != nil {
		d.t.Errorf("the body is not JSON: %v", err)
	}
	version, err := strconv.ParseUint(e.Data.Version, 10, 64)
	if err != nil || e.SpecVersion != "1.0" || e.Type != "oneid.identity.changed.v1" || e.Subject != e.Data.Account || e.ID != e.Data.Account+"|"+e.Data.Version || !strings.HasSuffix(e.Source, "/identity") {
		d.t.Errorf("the event is %s", body)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests++
	switch status := d.answer(d.requests, e.Data.Account); status {
	case 0:
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	default:
		if status < 300 {
			d.got[e.Data.Account] = append(d.got[e.Data.Account], version)
		}
		w.WriteHeader(status)
	}
}

func (d *desk) last(account string) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if versions := d.got[account]; len(versions) > 0 {
		return versions[len(versions)-1]
	}
	return 0
}

func (d *desk) accounts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.got)
}

func fine(int, string) int { return http.StatusNoContent }

// rig is a Kafka with a brand's topics.
type rig struct {
	brand     string
	client    *kafka.Client
	publisher *kafka.Publisher
	keys      *keyring.Ring
	topics    events.Topics
}

func newRig(t *testing.T) rig {
	t.Helper()
	client, err := kafka.New(kafka.Config{Brokers: brokertest.Brokers(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	brand := brokertest.Brand()
	var topics []kafka.Topic
	for _, topic := range pipelines.Topics(brand, 3) {
		topics = append(topics, kafka.Topic{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Config: topic.Config})
	}
	if err := client.EnsureTopics(t.Context(), topics); err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	publisher := client.Publisher()
	t.Cleanup(func() { _ = publisher.Close() })
	return rig{brand, client, publisher, keys, events.TopicsOf(brand)}
}

// say publishes that an account changed, in a version.
func (r rig) say(t *testing.T, account string, version uint64) {
	t.Helper()
	value, err := proto.Marshal(&events.IdentityChange{Account: account, CustomerId: fmt.Sprintf("customer of version %d", version), Version: version, Reason: "test", ChangedMs: int64(version)})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.publisher.Publish(t.Context(), []kafka.Message{{Topic: r.topics.Identity, Key: []byte(account), Value: value}}); err != nil {
		t.Fatal(err)
	}
}

// deliver runs a Deliverer until stop is called, which waits for its end.
func (r rig) deliver(t *testing.T, webhooks ...Webhook) (stop func()) {
	t.Helper()
	return r.deliverIn(t, 3, webhooks...)
}

func (r rig) deliverIn(t *testing.T, attempts int, webhooks ...Webhook) (stop func()) {
	t.Helper()
	d, err := New(Config{Brand: r.brand, Kafka: r.client, Keys: r.keys, Webhooks: webhooks, Log: slog.New(slog.DiscardHandler), Attempts: attempts, MinWait: time.Millisecond, MaxWait: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// Whatever comes twice or late, and however often the receiver fails and the
// deliverer ends: of each account the receiver sees versions that rise, and
// the highest of all in the end.
func TestVersionsRiseAndTheHighestComes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const accounts, rounds = 12, 8
	desk := newDesk(t, func(n int, _ string) int {
		switch {
		case n%7 == 0:
			return 0
		case n%5 == 0:
			return http.StatusServiceUnavailable
		case n%11 == 0:
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	hook := Webhook{Name: "desk", URL: desk.URL + "/changes", Secret: secret}
	account := func(i int) string { return fmt.Sprintf("tmall/flagship/%d", i) }
	random := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		stop := r.deliverIn(t, 100, hook) // no change fails so often
		highest := uint64(2)<<40 | uint64(round+1)
		for i := range accounts {
			r.say(t, account(i), highest)
			if random.IntN(2) == 0 {
				r.say(t, account(i), highest) // repeated after a crash
			}
			if random.IntN(2) == 0 {
				r.say(t, account(i), 1<<40|uint64(1000+round)) // from a resolver that was declared dead
			}
		}
		if round%2 == 0 { // otherwise it ends in the middle of its work
			eventually(t, "the desk knows the highest versions", func() bool {
				for i := range accounts {
					if desk.last(account(i)) != highest {
						return false
					}
				}
				return true
			})
		}
		stop()
	}
	r.deliverIn(t, 100, hook)
	eventually(t, "the desk knows the highest versions", func() bool {
		for i := range accounts {
			if desk.last(account(i)) != 2<<40|rounds {
				return false
			}
		}
		return true
	})
	desk.mu.Lock()
	defer desk.mu.Unlock()
	again := 0
	for name, versions := range desk.got {
		for i := 1; i < len(versions); i++ {
			if versions[i] == versions[i-1] {
				again++
			} else if versions[i] < versions[i-1] {
				t.Errorf("%s came in the versions %v: they do not rise", name, versions)
				break
			}
		}
	}
	// The one that is on its way when the deliverer ends comes again: whether
	// its answer was on the way, nobody knows.
	if again > rounds {
		t.Errorf("%d versions came twice; want one for each of %d ends at most", again, rounds)
	}
}

// A dead resolver's word, said after everything was delivered and the
// deliverer began anew elsewhere, is not heard.
func TestALateWordOfADeadResolverIsNotSent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	desk := newDesk(t, fine)
	hook := Webhook{Name: "desk", URL: desk.URL, Secret: secret}
	stop := r.deliver(t, hook)
	r.say(t, "tmall/flagship/1", 3<<40|5)
	eventually(t, "the desk knows it", func() bool { return desk.last("tmall/flagship/1") == 3<<40|5 })
	stop()
	r.say(t, "tmall/flagship/1", 2<<40|9)
	r.say(t, "tmall/flagship/1", 3<<40|5)
	r.say(t, "tmall/flagship/1", 3<<40|6)
	r.deliver(t, hook)
	eventually(t, "the desk knows the next", func() bool { return desk.last("tmall/flagship/1") == 3<<40|6 })
	if got := desk.got["tmall/flagship/1"]; len(got) != 2 {
		t.Errorf("the desk was told %d times, want twice: %v", len(got), got)
	}
}

func TestWhatIsRefusedBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tries := map[string]int{}
	desk := newDesk(t, func(_ int, account string) int {
		tries[account]++
		switch account {
		case "tmall/flagship/refused":
			return http.StatusBadRequest
		case "tmall/flagship/failing":
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	for _, id := range []string{"refused", "failing", "good"} {
		r.say(t, "tmall/flagship/"+id, 1)
	}
	if err := r.publisher.Publish(t.Context(), []kafka.Message{
		{Topic: r.topics.Identity, Key: []byte("garbage"), Value: []byte("\xff\xff")},
		{Topic: r.topics.Identity, Key: bytes.Repeat([]byte("k"), 921_500), Value: []byte("\xff")}, // beside it there is room for nothing
	}); err != nil {
		t.Fatal(err)
	}
	stop := r.deliver(t, Webhook{Name: "desk", URL: desk.URL, Secret: secret})
	eventually(t, "the others go on", func() bool { return desk.last("tmall/flagship/good") == 1 })
	letters := map[string]*events.DeadLetter{}
	eventually(t, "there are four letters", func() bool {
		clear(letters)
		err := r.client.ReadAll(t.Context(), r.topics.DeadLetter, func(_ int, m kafka.Fetched) error {
			letter := new(events.DeadLetter)
			if err := proto.Unmarshal(m.Value, letter); err != nil {
				return err
			}
			letters[string(m.Key)] = letter
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(letters) == 4
	})
	stop()
	if tries["tmall/flagship/failing"] != 3 {
		t.Errorf("what fails was tried %d times, want 3", tries["tmall/flagship/failing"])
	}
	letter := letters["tmall/flagship/refused"]
	raw, err := events.OpenLetter([]*events.DeadLetter{letter}, r.keys)
	change := new(events.IdentityChange)
	if err := firstOf(err, proto.Unmarshal(raw, change)); err != nil || change.GetAccount() != "tmall/flagship/refused" {
		t.Errorf("the letter holds %v (%v)", change, err)
	}
	if letter.GetReason() != events.ReasonDeliver || letter.GetPlatform() != "tmall" || letter.GetShop() != "flagship" || !strings.HasPrefix(letter.GetOrigin(), r.topics.Identity+"/") || !strings.Contains(letter.GetDetail(), "webhook desk") {
		t.Errorf("the letter is %v", letter)
	}
	for _, key := range []string{"garbage", ""} {
		if got := letters[key].GetReason(); got != events.ReasonDeliver {
			t.Errorf("what is no change has the reason %q", got)
		}
	}
}

func firstOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// One webhook that is away for long keeps nobody else waiting, and gets
// everything when it is back: nothing of it is a dead letter.
func TestAWebhookThatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	address := crashtest.Address(t)
	here := newDesk(t, fine)
	r.deliver(t, Webhook{Name: "here", URL: here.URL, Secret: secret}, Webhook{Name: "away", URL: "http://" + address, Secret: secret})
	for i := range 100 {
		r.say(t, fmt.Sprintf("tmall/flagship/%d", i), 1)
	}
	eventually(t, "the one that is there knows all", func() bool { return here.accounts() == 100 })
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	back := &desk{t: t, answer: fine, got: make(map[string][]uint64)}
	server := &http.Server{Handler: back, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	eventually(t, "the one that came back knows all", func() bool { return back.accounts() == 100 })
	if _, next, err := r.client.Ends(t.Context(), r.topics.DeadLetter); err != nil || next[0] != 0 {
		t.Errorf("there are %v dead letters (%v), want none", next, err)
	}
}

func TestWrongWebhooksAreRefused(t *testing.T) {
	good := Webhook{Name: "desk", URL: "https://desk.example.com/oneid", Secret: secret}
	if _, err := New(Config{Brand: "b", Webhooks: []Webhook{good}}); err != nil {
		t.Errorf("a good webhook gave %v", err)
	}
	for name, webhooks := range map[string][]Webhook{
		"no name":      {{URL: good.URL, Secret: secret}},
		"odd name":     {{Name: "a/b", URL: good.URL, Secret: secret}},
		"twice":        {good, good},
		"short secret": {{Name: "desk", URL: good.URL, Secret: "short"}},
		"no address":   {{Name: "desk", URL: "desk", Secret: secret}},
		"a query":      {{Name: "desk", URL: good.URL + "?token=1", Secret: secret}},
	} {
		if _, err := New(Config{Brand: "b", Webhooks: webhooks}); err == nil {
			t.Errorf("%s gave no error", name)
		}
	}
}
