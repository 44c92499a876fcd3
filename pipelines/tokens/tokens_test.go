package tokens

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/all"
	"oneid/connectors/simulator"
	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/schemas/events"
)

func TestMain(m *testing.M) {
	crashtest.Main(map[string]func() int{"caller": beCaller})
	os.Exit(m.Run())
}

// calling is what a child is told.
type calling struct {
	Keys           string
	Brokers        []string // none: the keeping is a folder
	Topic          string
	Platform, Shop string
	Settings       json.RawMessage
	Callers        int
}

// keeping opens the keeping, as one process does.
func (c calling) keeping(ctx context.Context) (Keeping, func(), error) {
	ring := func() (Keys, error) { return keyring.Open(c.Keys) }
	if len(c.Brokers) == 0 {
		return &Folder{Dir: filepath.Join(c.Keys, "tokens"), Keys: ring}, func() {}, nil
	}
	client, err := kafka.New(kafka.Config{Brokers: c.Brokers})
	if err != nil {
		return nil, nil, err
	}
	keys, err := ring()
	if err != nil {
		return nil, nil, err
	}
	publisher := client.Publisher()
	topic, err := OpenTopic(ctx, client, publisher, c.Topic, keys)
	if err != nil {
		return nil, nil, err
	}
	topic.lasts = 2 * time.Second
	return topic, func() { _ = publisher.Close(); client.Close() }, nil
}

func (c calling) connector(keeping Keeping) (connectors.Connector, error) {
	connector, err := all.Open(c.Platform, c.Shop, c.Settings)
	if err == nil {
		connector.(connectors.TokenUser).UseTokens(keeping.Of(c.Platform, c.Shop))
	}
	return connector, err
}

// beCaller calls the platform from many goroutines until SIGTERM. Its exit code
// is 1 if a call failed.
func beCaller() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := call(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func call(ctx context.Context, text string) error {
	var c calling
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	keeping, closing, err := c.keeping(ctx)
	if err != nil {
		return err
	}
	defer closing()
	connector, err := c.connector(keeping)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	faults := make(chan error, c.Callers)
	for range c.Callers {
		all.Go(func() {
			for ctx.Err() == nil {
				// Of a shop without tickets it says, at least, what it could not try.
				err, lesser := connector.Check(ctx), new(connectors.LesserError)
				if err != nil && !errors.As(err, &lesser) && ctx.Err() == nil {
					faults <- err
					return
				}
				_ = pipelines.Sleep(ctx, 10*time.Millisecond)
			}
		})
	}
	all.Wait()
	close(faults)
	var list []error
	for err := range faults {
		list = append(list, err)
	}
	return errors.Join(list...)
}

// gate counts what the platform is asked for tokens and what it refuses for one.
type gate struct {
	face http.Handler

	mu       sync.Mutex
	granted  []time.Time // renewals
	refused  []string    // renewals
	unknown  int         // calls that were refused for their token
	consents int
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	g.face.ServeHTTP(answer, r)
	asked, text := r.URL.RawQuery+" "+r.URL.Path+" "+string(body), answer.Body.String()
	g.mu.Lock()
	switch {
	case strings.Contains(asked, "token.refresh"), strings.Contains(asked, "refresh_token"), strings.Contains(asked, "client_credential"):
		if strings.Contains(text, "access_token") {
			g.granted = append(g.granted, time.Now())
		} else {
			g.refused = append(g.refused, text)
		}
	case strings.Contains(asked, "token.create"), strings.Contains(asked, "oauth2/access_token"):
		g.consents++
	case strings.Contains(text, "session-expired"), strings.Contains(text, "invalid-sessionkey"), strings.Contains(text, "isv.access-token-"), strings.Contains(text, `:10013`):
		g.unknown++
	}
	g.mu.Unlock()
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (g *gate) renewals() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.granted)
}

// site is a platform whose tokens end soon, and a keeping that processes share.
type site struct {
	t    *testing.T
	gate *gate
	calling
	life time.Duration
}

// redirect is where consents come back to; nobody listens there.
const redirect = "http://127.0.0.1:1/back"

func newSite(t *testing.T, platform string, life time.Duration, topic bool) *site {
	t.Helper()
	until := time.Now().Add(-time.Minute)
	world, err := simulator.New(simulator.Config{People: 20, Seed: 1, From: until.Add(-24 * time.Hour), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	g := new(gate)
	switch platform {
	case "tmall":
		g.face = simulator.Tmall(world, simulator.TmallOptions{SessionLife: life})
	case "douyin":
		g.face = simulator.Douyin(world, simulator.DouyinOptions{TokenLife: life, Callback: redirect})
	case "weidian":
		g.face = simulator.Weidian(world, simulator.WeidianOptions{TokenLife: life})
	}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	s := &site{t: t, gate: g, life: life, calling: calling{Keys: t.TempDir(), Platform: platform, Shop: world.Shop(platform).ID, Callers: 8}}
	if _, err := keyring.Create(s.Keys); err != nil {
		t.Fatal(err)
	}
	if topic {
		s.Brokers = brokertest.Brokers(t)
		brand := brokertest.Brand()
		client, err := kafka.New(kafka.Config{Brokers: s.Brokers})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		var topics []kafka.Topic
		for _, topic := range pipelines.Topics(brand, 1) {
			topics = append(topics, kafka.Topic{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Config: topic.Config})
		}
		if err := client.EnsureTopics(t.Context(), topics); err != nil {
			t.Fatal(err)
		}
		s.Topic = events.TopicsOf(brand).Cursors
	}
	e := simulator.EndpointsOf(world, server.URL, server.URL, server.URL)
	s.Settings, err = json.Marshal(map[string]map[string]any{
		"tmall":   {"url": e.Tmall.URL, "app_key": e.Tmall.AppKey, "app_secret": e.Tmall.AppSecret, "authorize_url": server.URL + "/authorize", "redirect_uri": redirect, "requests_per_second": 1e5},
		"douyin":  {"url": e.Douyin.URL, "app_key": e.Douyin.AppKey, "app_secret": e.Douyin.AppSecret, "service_id": "1", "authorize_url": server.URL + "/authorize", "redirect_uri": redirect, "requests_per_second": 1e5},
		"weidian": {"url": e.Weidian.URL, "app_key": e.Weidian.AppKey, "app_secret": e.Weidian.AppSecret, "redirect_uri": redirect, "requests_per_second": 1e5},
	}[platform])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func anyToken(_, _ connectors.Token) error { return nil }

// consent lets the shop's owner consent.
func (s *site) consent() connectors.Token {
	s.t.Helper()
	keeping, closing, err := s.keeping(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer closing()
	connector, err := s.connector(keeping)
	if err != nil {
		s.t.Fatal(err)
	}
	authoriser := connector.(connectors.Authoriser)
	at := authoriser.Consent("state-1")
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := browser.Get(at.Address)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = answer.Body.Close()
	back, err := url.Parse(answer.Header.Get("Location"))
	if err != nil || back.Query().Get("state") != "state-1" || back.Query().Get("code") == "" {
		s.t.Fatalf("%s: the browser comes back to %q, %v", s.Platform, answer.Header.Get("Location"), err)
	}
	token, err := authoriser.Authorise(s.t.Context(), back.Query().Get("code"), anyToken)
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.Contains(at.Address, "secret") || token.Access == "" {
		s.t.Errorf("address %s, %v", at.Address, token)
	}
	if _, err := authoriser.Authorise(s.t.Context(), "wrong-code", anyToken); err == nil || strings.Contains(err.Error(), "wrong-code") {
		s.t.Errorf("a wrong code: %v", err)
	}
	return token
}

func (s *site) start() *crashtest.Process {
	s.t.Helper()
	text, err := json.Marshal(s.calling)
	if err != nil {
		s.t.Fatal(err)
	}
	return crashtest.Start(s.t, crashtest.Child{Role: "caller", Args: []string{string(text)}})
}

// renewed waits until so many tokens more were renewed; a child that ended says
// why.
func (s *site) renewed(n int, children ...*crashtest.Process) {
	s.t.Helper()
	for want := s.gate.renewals() + n; s.gate.renewals() < want; time.Sleep(5 * time.Millisecond) {
		for _, child := range children {
			select {
			case <-child.Ended():
				s.t.Fatalf("a child ended: %s", child.Output())
			case <-s.t.Context().Done():
				s.t.Fatal("no token is renewed")
			default:
			}
		}
	}
}

// Two processes with many callers, whose tokens end every few hundred
// milliseconds, and one of them killed in the middle of a renewal: each end is
// renewed once, before or when it is noticed, nobody is refused a renewal, and
// no call is refused beyond one repetition.
func TestEachEndIsRenewedOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		platform string
		life     time.Duration
		topic    bool
		points   []string
		told     time.Duration // of a life, at least: some count whole seconds
	}{
		// A refresh of Tmall kills the refresh token: between the answer and its
		// keeping there is nothing to go on from.
		"tmall, folder":   {"tmall", 900 * time.Millisecond, false, []string{"tokens/claimed", "tokens/kept"}, 900 * time.Millisecond},
		"tmall, topic":    {"tmall", 900 * time.Millisecond, true, []string{"tokens/claimed", "tokens/kept"}, 900 * time.Millisecond},
		"douyin, folder":  {"douyin", 2 * time.Second, false, []string{"tokens/kept"}, time.Second},
		"weidian, folder": {"weidian", time.Second, false, []string{"tokens/granted"}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.platform, c.life, c.topic)
			s.consent()
			one, other := s.start(), s.start()
			s.renewed(2, one, other)
			killed := 0
			for _, point := range c.points {
				// Both are armed: who comes to the point first dies, and the other
				// one goes on.
				one.Arm(t, crashtest.Fault{Point: point, Hit: 1})
				one.WaitKilled(t, time.Minute)
				killed++
				one = s.start()
				s.renewed(2, one, other)
			}
			for _, child := range []*crashtest.Process{one, other} {
				child.Signal(syscall.SIGTERM)
				if code := child.Wait(t, time.Minute); code != 0 {
					t.Errorf("a child says: %s", child.Output())
				}
			}
			g := s.gate
			g.mu.Lock()
			defer g.mu.Unlock()
			if len(g.refused) > 0 {
				t.Errorf("%d renewals were refused: %s", len(g.refused), g.refused[0])
			}
			early := 0
			for i := 1; i < len(g.granted); i++ {
				if g.granted[i].Sub(g.granted[i-1]) < c.told*85/100 {
					early++
				}
			}
			lost := 0
			if c.platform == "weidian" {
				lost = killed // what was granted to the dead is asked for again
			}
			if early > lost {
				t.Errorf("%d of %d renewals came before the token's last tenth", early, len(g.granted))
			}
			if most := (len(g.granted) + 1) * 2 * s.Callers; g.unknown > most {
				t.Errorf("%d calls were refused for their token, at most %d may be: each caller once an end", g.unknown, most)
			}
			t.Logf("%d renewals, %d calls repeated", len(g.granted), g.unknown)
		})
	}
}

// A process that dies between the platform's answer and its keeping, where the
// platform takes a refresh token once, leaves a shop that wants a new consent:
// the others say so with the command, and go on once it is given.
func TestALostRenewalWantsAConsent(t *testing.T) {
	t.Parallel()
	s := newSite(t, "tmall", 600*time.Millisecond, false)
	s.consent()
	child := s.start()
	s.renewed(1, child)
	child.Arm(t, crashtest.Fault{Point: "tokens/granted", Hit: 1})
	child.WaitKilled(t, time.Minute)
	keeping, closing, err := s.keeping(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closing()
	connector, err := s.connector(keeping)
	if err != nil {
		t.Fatal(err)
	}
	if err := connector.Check(t.Context()); !errors.Is(err, connectors.ErrReauthorise) || connectors.ClassOf(err) != connectors.StopShop || !strings.Contains(err.Error(), "oneid connect tmall --shop "+s.Shop) {
		t.Fatalf("a dead token: %v", err)
	}
	s.consent()
	if err := connector.Check(t.Context()); err != nil {
		t.Errorf("after the consent: %v", err)
	}
}

// What is kept is sealed, of mode 0600, and bound to its shop; what was damaged
// is said, and mended by a consent.
func TestWhatIsKeptIsSealed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "tmall", 0, false)
	token := s.consent()
	keeping, _, err := s.keeping(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store := keeping.Of(s.Platform, s.Shop).(*shopFile)
	raw, err := os.ReadFile(store.path)
	if err != nil || bytes.Contains(raw, []byte(token.Access)) || bytes.Contains(raw, []byte("access")) {
		t.Errorf("kept in clear: %v", err)
	}
	if stat, err := os.Stat(store.path); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", stat.Mode(), err)
	}
	if got, err := store.Load(t.Context()); err != nil || got.Access != token.Access || got.Holder == "" || len(got.Rights) != 4 {
		t.Errorf("kept is %v of %q with %q, %v", got, got.Holder, got.RightsText(), err)
	}
	other := keeping.Of(s.Platform, "another").(*shopFile)
	if err := os.WriteFile(other.path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	if _, err := other.Load(t.Context()); !errors.As(err, &damaged) || !strings.Contains(damaged.Hint(), "oneid connect tmall --shop another") {
		t.Errorf("another shop's token: %v", err)
	}
	if _, err := other.Renew(t.Context(), func(_ context.Context, newest connectors.Token) (connectors.Token, error) {
		if newest.Access != "" {
			t.Errorf("what cannot be opened is %v", newest)
		}
		return token, nil
	}); err != nil {
		t.Error(err)
	}
	if got, err := other.Load(t.Context()); err != nil || got.Access != token.Access {
		t.Errorf("after a consent: %v, %v", got, err)
	}
}

// A disk that cannot be written to when the platform has answered loses nothing:
// it is tried again until it can.
func TestAGrantedTokenIsKeptOnceItCanBe(t *testing.T) {
	t.Parallel()
	tries := 0
	token := connectors.Token{Access: "new"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := renew(ctx, connectors.Token{}, func(context.Context, connectors.Token) (connectors.Token, error) { return token, nil },
		func(ctx context.Context, _ connectors.Token) error {
			if tries++; tries < 3 {
				return syscall.ENOSPC
			}
			return ctx.Err()
		})
	if err != nil || got.Access != "new" || tries != 3 {
		t.Errorf("after %d tries: %v, %v", tries, got, err)
	}
}
