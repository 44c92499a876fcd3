package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/schemas/events"
)

const (
	// soakVariable is how long TestSoak lasts, such as 1h; default soakDefault.
	soakVariable = "ONEID_TEST_SOAK"
	soakDefault  = 5 * time.Second
	// soakJudged is how long it must last for its growth to be judged: caches
	// fill in the first minutes.
	soakJudged = 10 * time.Minute
	// soakMost bounds the rate, in events a second, for the disk: an hour of it
	// is some 20 GB in Kafka and ClickHouse.
	soakMost = 3000
)

// soak is an `oneid up` under load, and how much it uses.
type soak struct {
	t          *testing.T
	dir        string
	up         *process
	client     *kafka.Client
	publisher  *kafka.Publisher
	topics     events.Topics
	keys       *keyring.Ring
	population flowPopulation
	next       int
	orders     map[string]bool // that were published: account and number
}

// soakSample is one sample.
type soakSample struct {
	at time.Duration
	// of holds what each name uses: bytes of memory, numbers of the rest.
	of map[string]float64
}

// publish publishes n events, each a later version.
func (s *soak) publish(phase flowPhase, n int) {
	s.t.Helper()
	messages := make([]kafka.Message, 0, n)
	for range n {
		pick := s.population.pick(phase, s.next)
		if s.next++; phase == flowWarm {
			pick.revision = 2 + s.next/20 // an hour each: a version may name no time after 2199
		}
		m, err := flowMessage(pick, phase, s.topics, s.keys)
		if err != nil {
			s.t.Fatal(err)
		}
		if pick.kind == events.KindOrder {
			s.orders[fmt.Sprint(pick.account, pick.k)] = true
		}
		messages = append(messages, m)
	}
	if err := s.publisher.Publish(s.t.Context(), messages); err != nil {
		s.t.Fatal(err)
	}
}

// settle waits until the resolver has committed all that was published.
func (s *soak) settle() {
	s.t.Helper()
	want := make(kafka.Position)
	for _, topic := range s.topics.Resolved() {
		_, next, err := s.client.Ends(s.t.Context(), topic)
		if err != nil {
			s.t.Fatal(err)
		}
		want[topic] = next
	}
	eventually(s.t, 10*time.Minute, "all is resolved", func() (bool, string) {
		have, err := s.client.Committed(s.t.Context(), pipelines.ResolverGroup(s.brand()), s.topics.Resolved())
		if err != nil {
			s.t.Fatal(err)
		}
		return reached(have, want), s.up.stderr.String()
	})
}

func (*soak) brand() string { return "soak" }

var series = regexp.MustCompile(`(?m)^(go_goroutines|process_open_fds) ([0-9.e+]+)$`)

// sample looks at what is in use.
func (s *soak) sample(key, url string, began time.Time) soakSample {
	s.t.Helper()
	u := soakSample{at: time.Since(began), of: map[string]float64{"memory of oneid": resident(s.t, s.up.cmd.Process.Pid)}}
	if found := enginePID.FindAllStringSubmatch(s.up.stderr.String(), -1); found != nil {
		pid, _ := strconv.Atoi(found[len(found)-1][1]) // digits
		u.of["memory of the engine"] = resident(s.t, pid)
	}
	for _, found := range series.FindAllStringSubmatch(metricsText(s.t, url, key), -1) {
		n, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		u.of[found[1]] = n
	}
	user, err := folder(s.dir).sqlUser(s.endpoints().ClickHouse)
	if err != nil {
		s.t.Fatal(err)
	}
	var parts strings.Builder
	if err := ask(s.t.Context(), user, "SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE active AND database = '"+user.database+"' GROUP BY table, partition)", "TabSeparated", &parts); err != nil {
		s.t.Fatal(err)
	}
	if u.of["parts of a partition"], err = strconv.ParseFloat(strings.TrimSpace(parts.String()), 64); err != nil {
		s.t.Fatal(err)
	}
	return u
}

func (s *soak) endpoints() Endpoints {
	s.t.Helper()
	e, err := folder(s.dir).endpoints()
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// resident is a process's memory in bytes.
func resident(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), "ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		t.Fatalf("ps of %d: %v", pid, err)
	}
	kilobytes, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes * 1024
}

// Under a steady load, memory, goroutines, file handles and parts do not grow,
// and nothing of the load is lost. A short run, as in `make test`, judges the
// last alone.
func TestSoak(t *testing.T) {
	t.Parallel()
	lasts := soakDefault
	if text := os.Getenv(soakVariable); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	accounts, probe := 30_000, 100_000
	if lasts < soakJudged {
		accounts, probe = 600, 2000
	}
	s := &soak{t: t, dir: filepath.Join(t.TempDir(), "data"), topics: events.TopicsOf("soak"), population: flowPopulation{accounts: accounts, events: 1}, orders: map[string]bool{}}
	must(t, "init", "--dir", s.dir)
	writeText(t, filepath.Join(s.dir, settingsFile), "brand: soak\n")
	s.up, _ = up(t, s.dir)
	var err error
	if s.keys, err = keyring.Open(s.dir); err != nil {
		t.Fatal(err)
	}
	if s.client, err = kafka.New(kafka.Config{Brokers: s.endpoints().Kafka.Brokers}); err != nil {
		t.Fatal(err)
	}
	defer s.client.Close()
	s.publisher = s.client.Publisher()
	defer func() { _ = s.publisher.Close() }() // each publishing is acknowledged
	key := strings.TrimSpace(must(t, "apikey", "create", "soak", "--dir", s.dir, "--scope", "metrics:read").stdout)

	for range s.population.size(flowPrime) / 1000 {
		s.publish(flowPrime, 1000)
	}
	s.publish(flowPrime, s.population.size(flowPrime)%1000)
	s.settle()
	// The top rate is what a backlog is worked off with.
	s.next = 0
	began := time.Now()
	for range probe / 1000 {
		s.publish(flowWarm, 1000)
	}
	s.settle()
	top := float64(probe) / time.Since(began).Seconds()
	rate := min(top/2, soakMost)
	t.Logf("%.0f events/s at most, %.0f for %s", top, rate, lasts)

	var samples []soakSample
	began = time.Now()
	for sampled, published := time.Duration(0), 0; time.Since(began) < lasts; time.Sleep(100 * time.Millisecond) {
		due := int(rate*time.Since(began).Seconds()) - published
		s.publish(flowWarm, due)
		published += due
		if at := time.Since(began); at-sampled >= max(lasts/120, time.Second) {
			sampled = at
			samples = append(samples, s.sample(key, s.endpoints().API.URL, began))
		}
	}
	s.settle()
	if letters := rows(t, s.dir, "SELECT reason, detail, count() FROM dead_letters GROUP BY 1, 2"); len(letters) > 0 {
		t.Errorf("there are dead letters: %v", letters)
	}
	if got := one(t, s.dir, "SELECT count() FROM customer_orders"); got != strconv.Itoa(len(s.orders)) {
		t.Errorf("%s orders are in the view, want %d", got, len(s.orders))
	}
	down(t, s.dir, s.up)
	if lasts >= soakJudged {
		s.judge(samples, lasts)
	}
}

// judge compares the second quarter of the time with the last.
func (s *soak) judge(samples []soakSample, lasts time.Duration) {
	s.t.Helper()
	names := []string{"memory of oneid", "memory of the engine", "go_goroutines", "parts of a partition"}
	if runtime.GOOS == "linux" {
		names = append(names, "process_open_fds")
	}
	for _, name := range names {
		var early, late []float64
		for _, u := range samples {
			n, ok := u.of[name]
			if !ok {
				s.t.Fatalf("there is no sample of %s", name)
			}
			switch quarter := int(4 * u.at / lasts); quarter {
			case 1:
				early = append(early, n)
			case 3:
				late = append(late, n)
			}
		}
		if len(early) == 0 || len(late) == 0 {
			s.t.Fatalf("there are %d samples", len(samples))
		}
		before, after := median(early), median(late)
		said := fmt.Sprintf("%s: %.0f in the second quarter, %.0f in the last (medians; ratio %.2f)", name, before, after, after/before)
		s.t.Log(said)
		slack := 10.0 // of handles, goroutines and parts
		if strings.HasPrefix(name, "memory") {
			slack = 32 << 20
		}
		if after > 1.1*before+slack {
			s.t.Error("it grows: " + said)
		}
	}
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
