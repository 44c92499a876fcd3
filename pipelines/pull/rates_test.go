package pull

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/httpclient"
	"oneid/internal/kafka"
)

// randomCallers are some processes that need something of a rate.
func randomCallers(r *rand.Rand, rate float64) []caller {
	var all []caller
	for i := range 1 + r.IntN(6) {
		c := caller{process: fmt.Sprint(i), urgency: httpclient.Urgency(r.IntN(3)), turn: r.Int64N(4)}
		switch r.IntN(4) {
		case 0:
		case 1:
			c.need = math.Inf(1)
		default:
			c.need = rate * r.Float64()
		}
		all = append(all, c)
	}
	return all
}

// The parts of a rate are together no more than it, and nearly all of it. Who needs
// some has some, or it is another's turn; nobody has more than another needs while one of
// his kind lacks it.
func TestPartsAreTheRate(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		rate := []float64{0.5, 1, 3, 7.5, 40, 100, 1000}[r.IntN(7)]
		all := randomCallers(r, rate)
		sum, needs := 0.0, 0.0
		parts := make([]float64, len(all))
		for i, c := range all {
			parts[i] = partOf(c.process, all, rate)
			sum += parts[i]
			needs += min(math.Ceil(c.need), rate)
			if c.need > 0 && parts[i] <= 0 && !inTurns(all, rate) {
				t.Fatalf("seed %d: %v of %g have the parts %v", seed, all, rate, parts)
			}
		}
		if inTurns(all, rate) {
			has := slices.IndexFunc(parts, func(p float64) bool { return p == rate })
			if sum != 0 && (has < 0 || sum != rate) || sum == 0 && needs > 0 {
				t.Fatalf("seed %d: %v of %g have the parts %v, which is nobody's turn", seed, all, rate, parts)
			}
			continue
		}
		if sum > rate+1e-9 || sum < math.Floor(rate)-1e-9 {
			t.Fatalf("seed %d: %v of %g have the parts %v, together %g", seed, all, rate, parts, sum)
		}
		for i, c := range all {
			if parts[i] != math.Floor(parts[i]) {
				t.Fatalf("seed %d: parts of %g that are not whole: %v", seed, rate, parts)
			}
			if needs <= math.Floor(rate) && parts[i] < min(c.need, rate) {
				t.Fatalf("seed %d: %v of %g have the parts %v, and there is enough for all", seed, all, rate, parts)
			}
		}
	}
}

func TestPartOf(t *testing.T) {
	t.Parallel()
	full, none := math.Inf(1), 0.0
	for name, c := range map[string]struct {
		rate float64
		all  []caller
		want []float64
	}{
		"alone":                         {7.5, []caller{{"a", httpclient.Patient, 1, 0}}, []float64{7.5}},
		"one full, a tenth, one idle":   {40, []caller{{"a", httpclient.Urgent, full, 0}, {"b", httpclient.Urgent, 5, 0}, {"c", httpclient.Urgent, none, 0}}, []float64{35, 5, 0}},
		"three full":                    {40, []caller{{"a", httpclient.Urgent, full, 0}, {"b", httpclient.Urgent, full, 0}, {"c", httpclient.Urgent, full, 0}}, []float64{14, 13, 13}},
		"nobody needs the rest":         {40, []caller{{"a", httpclient.Urgent, 10, 0}, {"b", httpclient.Urgent, 2, 0}}, []float64{24, 16}},
		"the turn is another's":         {3, []caller{{"a", httpclient.Urgent, full, 3}, {"b", httpclient.Patient, 0.1, 2}, {"c", httpclient.Urgent, none, 1}}, []float64{0, 3, 0}},
		"a turn that nobody needs":      {3, []caller{{"a", httpclient.Urgent, none, 3}, {"b", httpclient.Patient, none, 2}}, []float64{0, 0}},
		"less than two each":            {1, []caller{{"a", httpclient.Urgent, full, 0}, {"b", httpclient.Urgent, full, 0}}, []float64{1, 0}},
		"the past beside the present":   {102, []caller{{"a", httpclient.Urgent, full, 0}, {"b", httpclient.Patient, full, 0}}, []float64{21, 81}},
		"a pressed present":             {102, []caller{{"a", httpclient.Pressed, full, 0}, {"b", httpclient.Patient, full, 0}}, []float64{96, 6}},
		"a present that needs little":   {102, []caller{{"a", httpclient.Pressed, 3, 0}, {"b", httpclient.Patient, full, 0}}, []float64{3, 99}},
		"a past that needs little":      {102, []caller{{"a", httpclient.Urgent, full, 0}, {"b", httpclient.Patient, 2, 0}}, []float64{100, 2}},
		"many of the past, one pressed": {40, []caller{{"a", httpclient.Pressed, full, 0}, {"b", httpclient.Patient, full, 0}, {"c", httpclient.Patient, full, 0}, {"d", httpclient.Patient, full, 0}}, []float64{35, 2, 2, 1}},
	} {
		for i, want := range c.want {
			if got := partOf(c.all[i].process, c.all, c.rate); math.Abs(got-want) > 1e-9 {
				t.Errorf("%s: %s has %g of %g, want %g", name, c.all[i].process, got, c.rate, want)
			}
		}
	}
}

// logged is one process's view of a topic in memory: it hears late, and not at all
// while it stands still.
type logged struct {
	q    *Quotas
	next int
	// frozen is until when it stands still.
	frozen time.Time
	died   bool
}

// mayUse is what a call of now would be told that this process has, without that it
// counts as one.
func (p *logged) mayUse() float64 {
	r := p.q.rates["app"]
	if r == nil {
		return 0
	}
	called, demand := r.called, r.demand
	defer func() { r.called, r.demand = called, demand }()
	return p.q.Share("app", demand)
}

// Whatever processes say and when they hear it, whoever of them dies or stands still,
// and with clocks that differ by days: at no moment are there calls of more than the
// rate.
func TestNobodyUsesWhatAnotherHas(t *testing.T) {
	t.Parallel()
	for seed := range uint64(120) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			rate := []float64{40, 40, 40, 7.5, 1, 0.5}[seed%6]
			type word struct {
				process string
				share   processShare
			}
			var topic []word
			all := make([]*logged, 4)
			for i := range all {
				all[i] = &logged{q: &Quotas{process: fmt.Sprint(i), shares: make(map[string]map[string]processShare), rates: make(map[string]*shared)}}
			}
			hear := func(p *logged) {
				for ; p.next < len(topic); p.next++ {
					w := topic[p.next]
					w.share.read, w.share.offset = time.Now(), int64(p.next)
					p.q.apply("app", w.process, &w.share)
				}
				p.q.heardAt = time.Now()
			}
			most := 0.0
			for range 4000 {
				time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
				p := all[r.IntN(len(all))]
				switch now := time.Now(); {
				case p.died || now.Before(p.frozen):
				case r.IntN(300) == 0:
					p.died = r.IntN(3) == 0
					p.frozen = now.Add(time.Duration(r.IntN(60)) * time.Second)
				case r.IntN(3) == 0:
					hear(p)
				case r.IntN(4) == 0 || p.q.rates["app"] != nil && len(p.q.toTell(now)) > 0:
					// It calls, or has something to say.
					if r.IntN(2) == 0 {
						need := rate * []float64{0.01, 0.1, 0.5, 1}[r.IntN(4)]
						p.q.Share("app", httpclient.Demand{Urgency: httpclient.Urgency(r.IntN(3)), Rate: rate, Need: need})
					}
					if p.q.rates["app"] == nil {
						continue
					}
					s := p.q.share("app", r.IntN(4) > 0)
					s.written = now.AddDate(0, 0, r.IntN(9)-4)
					topic = append(topic, word{p.q.process, s})
				}
				used := 0.0
				for _, p := range all {
					if !p.died && !time.Now().Before(p.frozen) {
						used += p.mayUse()
					}
				}
				most = max(most, used)
				if used > rate+1e-9 {
					t.Fatalf("seed %d: processes use %g of %g", seed, used, rate)
				}
				for i, p := range all { // a new one in the place of a dead one
					if p.died && r.IntN(50) == 0 {
						all[i] = &logged{q: &Quotas{process: fmt.Sprint(p.q.process, "'"), shares: make(map[string]map[string]processShare), rates: make(map[string]*shared)}}
					}
				}
			}
			if most < rate-1e-9 {
				t.Errorf("seed %d: never more than %g of %g were used", seed, most, rate)
			}
		})
	}
}

// caught is a platform in memory: it counts when it was called.
type caught struct {
	mu sync.Mutex
	at []time.Time
}

// RoundTrip implements http.RoundTripper.
func (c *caught) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Now())
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader([]byte("{}"))), Request: r}, nil
}

// crowd are the processes of a test that call a platform under one rate.
type crowd struct {
	brokers  []string
	topic    string
	rate     float64
	platform *caught
	random   *rand.Rand
	begun    time.Time
	all      sync.WaitGroup
}

func (c *crowd) at(second int) time.Time { return c.begun.Add(time.Duration(second) * time.Second) }

// add starts a process that calls with a pause of every between calls until it dies, and
// stands still for a while.
func (c *crowd) add(t *testing.T, callers int, every time.Duration, from, dies, freezes int) {
	seed := c.random.Uint64()
	c.all.Go(func() {
		time.Sleep(time.Until(c.at(from)))
		client, err := kafka.New(kafka.Config{Brokers: c.brokers})
		if err != nil {
			t.Error(err)
			return
		}
		defer client.Close()
		publisher := client.Publisher()
		defer func() { _ = publisher.Close() }()
		q, err := OpenQuotas(t.Context(), client, publisher, c.topic)
		if err != nil {
			t.Error(err)
			return
		}
		ctx, kill := context.WithCancel(t.Context())
		time.AfterFunc(time.Until(c.at(dies)), kill)
		frozen := func() {
			if freezes > 0 && !time.Now().Before(c.at(freezes)) && time.Now().Before(c.at(freezes+25)) {
				time.Sleep(time.Until(c.at(freezes + 25)))
			}
		}
		var all sync.WaitGroup
		all.Go(func() { // killed, it does not say that it is gone
			for ctx.Err() == nil {
				time.Sleep(time.Second)
				frozen()
				q.hear(ctx)
			}
		})
		h, err := httpclient.New(httpclient.Config{BaseURL: "http://platform.example", Transport: c.platform, App: httpclient.Limit{Name: "app", PerSecond: c.rate}})
		if err != nil {
			t.Error(err)
			return
		}
		h.Share(httpclient.NewLimits(q))
		for i := range callers {
			all.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				for ctx.Err() == nil {
					frozen()
					_, err := h.Do(ctx, "m", func(int) (httpclient.Request, error) { return httpclient.Request{Method: http.MethodPost}, nil }, func(httpclient.Response) error { return nil })
					if err != nil && ctx.Err() == nil {
						t.Error(err)
						return
					}
					if every > 0 {
						time.Sleep(time.Duration(float64(every) * (0.5 + random.Float64())))
					}
				}
			})
		}
		all.Wait()
	})
}

// Processes of unequal demand use nearly all of a rate, in no second more, though
// one of them dies and stands still before that; and most of it where others come and
// are killed while they use half of it.
func TestProcessesOfUnequalDemand(t *testing.T) {
	const perSecond, seconds = 40, 900
	brokers := brokertest.Brokers(t)
	for seed := range uint64(4) {
		more := seed%2 == 1
		r := newRigAt(t, brokers)
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			c := &crowd{brokers: brokers, topic: r.topics.Cursors, rate: perSecond, platform: new(caught), random: random, begun: time.Now()}
			still := 150 + random.IntN(100)
			c.add(t, 2, 0, 0, seconds, 0)                                         // full
			c.add(t, 1, time.Second*10/perSecond, 0, 400+random.IntN(300), still) // a tenth, until it dies
			c.add(t, 1, time.Minute, random.IntN(20), seconds, 0)                 // idle
			if more {
				c.add(t, 2, 0, 100+random.IntN(20), 300+random.IntN(100), still+30)   // another full one, until it dies
				c.add(t, 1, time.Second, 420+random.IntN(20), 450+random.IntN(50), 0) // little, until it dies
			}
			c.all.Wait()
			least := 0.95
			if more {
				least = 0.9
			}
			c.judge(t, seed, perSecond, time.Second, least*perSecond*seconds)
		})
	}
}

// judge says where more than so many calls came within a time, and whether fewer came
// than the least.
func (c *crowd) judge(t *testing.T, seed uint64, most int, within time.Duration, least float64) {
	t.Helper()
	calls := c.platform.at
	slices.SortFunc(calls, time.Time.Compare)
	for i := most; i < len(calls); i++ {
		if took := calls[i].Sub(calls[i-most]); took < within {
			t.Errorf("seed %d: %d calls within %s, %s after it began", seed, most+1, took, calls[i].Sub(c.begun))
		}
	}
	t.Logf("seed %d: %d calls", seed, len(calls))
	if float64(len(calls)) < least {
		t.Errorf("seed %d: %d calls were made of the permitted, want at least %.0f", seed, len(calls), least)
	}
}

// A rate that has no two calls a second for each process is used nearly all, and by no
// call too many, by processes that all want all of it and by some of unequal demand, one of
// which stands still and dies.
func TestProcessesOfASlowRate(t *testing.T) {
	const seconds = 1200
	brokers := brokertest.Brokers(t)
	for name, limit := range map[string]struct {
		most   int
		within time.Duration
		seeds  []uint64
	}{"3 a second": {3, time.Second, []uint64{1}}, "1 a second": {1, time.Second, []uint64{0, 3}}, "one in two seconds": {1, 2 * time.Second, []uint64{1, 2}}, "20 a minute": {20, time.Minute, []uint64{3}}} {
		for _, seed := range limit.seeds {
			r := newRigAt(t, brokers)
			t.Run(fmt.Sprintf("%s, seed %d", name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					random := rand.New(rand.NewPCG(seed, 4))
					rate := float64(limit.most) / limit.within.Seconds()
					c := &crowd{brokers: brokers, topic: r.topics.Cursors, rate: rate, platform: new(caught), random: random, begun: time.Now()}
					c.add(t, 2, 0, 0, seconds, 0)
					dies := 0.0
					switch seed % 4 {
					case 0, 2: // all want all
						c.add(t, 1, 0, random.IntN(20), seconds, 0)
						c.add(t, 1, 0, random.IntN(200), seconds, 0)
					case 1:
						c.add(t, 1, time.Duration(float64(time.Second)*10/rate), 0, seconds, 0) // a tenth
						c.add(t, 1, 5*time.Minute, random.IntN(20), seconds, 0)                 // idle
					case 3:
						c.add(t, 1, 0, random.IntN(20), 700+random.IntN(100), 200+random.IntN(200))
						dies = 25 + 2*(silentFor+heard+2*time.Second).Seconds() // of a turn that stands still, and of one that ends by death
					}
					c.all.Wait()
					c.judge(t, seed, limit.most, limit.within, rate*(0.95*seconds-dies))
				})
			})
		}
	}
}

// A join that was cut off is none: who calls next waits as long as it would have.
func TestAJoinThatIsCutOff(t *testing.T) {
	brokers := brokertest.Brokers(t)
	r := newRigAt(t, brokers)
	synctest.Test(t, func(t *testing.T) {
		client, err := kafka.New(kafka.Config{Brokers: brokers})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		publisher := client.Publisher()
		defer func() { _ = publisher.Close() }()
		var all [2]*Quotas
		for i := range all {
			if all[i], err = OpenQuotas(t.Context(), client, publisher, r.topics.Cursors); err != nil {
				t.Fatal(err)
			}
		}
		demand := httpclient.Demand{Urgency: httpclient.Urgent, Rate: 10, Need: 10}
		begun := time.Now()
		if err := all[0].Join(t.Context(), "app", demand); err != nil || time.Since(begun) > heard/4 {
			t.Fatalf("who is alone waits %s (%v)", time.Since(begun), err)
		}
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), heard/4)
			err := all[1].Join(ctx, "app", demand)
			cancel()
			if err == nil {
				t.Errorf("joined after %s, before others can have heard of it", time.Since(begun))
			}
		}
		if err := all[1].Join(t.Context(), "app", demand); err != nil || time.Since(begun) < heard || time.Since(begun) > heard+time.Second {
			t.Errorf("joined after %s (%v), want %s", time.Since(begun), err, heard)
		}
		// Who has not heard the other until now gives half of it up before he calls.
		if got := all[0].Share("app", demand); got != 0 {
			t.Errorf("who heard nothing for %s has %g", time.Since(begun), got)
		}
		if err := all[0].Join(t.Context(), "app", demand); err != nil {
			t.Fatal(err)
		}
		if one, other := all[0].Share("app", demand), all[1].Share("app", demand); one != 5 || other != 5 {
			t.Errorf("%g and %g of 10", one, other)
		}
		// Who is gone, by his own word, is not waited for.
		if err := cmp.Or(all[0].leave(t.Context()), all[1].leave(t.Context())); err != nil {
			t.Fatal(err)
		}
		next, err := OpenQuotas(t.Context(), client, publisher, r.topics.Cursors)
		if err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		if err := next.Join(t.Context(), "app", demand); err != nil || time.Since(begun) > heard/4 || next.Share("app", demand) != 10 {
			t.Errorf("the next one has %g after %s (%v)", next.Share("app", demand), time.Since(begun), err)
		}
	})
}

// A turn that was long enough ends with what is said of it, and not with what a call that
// is about to be made writes down of a quota or a ban, nor by a quota that is used up.
func TestACallKeepsTheTurn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	has, waits := r.quotas(t), r.quotas(t)
	demand := httpclient.Demand{Urgency: httpclient.Urgent, Rate: 1, Need: 1}
	if err := has.Join(t.Context(), "app", demand); err != nil {
		t.Fatal(err)
	}
	waits.Share("app", demand)
	// Who has not read that another has the turn asks for the same one, and may have it.
	if err := cmp.Or(waits.catchUp(t.Context()), waits.ask(t.Context(), "app"), has.catchUp(t.Context())); err != nil {
		t.Fatal(err)
	}
	has.mu.Lock()
	has.rates["app"].held = time.Now().Add(-2 * turnLasts)
	has.mu.Unlock()
	turn := func() (holds, giving bool) {
		has.mu.Lock()
		defer has.mu.Unlock()
		return has.holder("app") == has.process, has.rates["app"].giving
	}
	ends := endOf(t, "2026-07-01")
	for _, step := range []struct {
		name  string
		do    func() error
		holds bool
	}{
		{"a call of the quota", func() error { _, err := has.Take(t.Context(), "app", ends, 1, 1, 1); return err }, true},
		{"a call of one that is used up", func() error { _, err := has.Take(t.Context(), "app", ends, 1, 1, 1); return err }, true},
		{"a ban", func() error { return has.Ban(t.Context(), "app", time.Now().Add(time.Minute)) }, true},
		{"what is said", func() error { return has.tell(t.Context(), "app") }, false},
	} {
		has.Share("app", demand) // however slow the machine is, it calls
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if holds, giving := turn(); holds != step.holds || giving {
			t.Errorf("after %s the turn is held: %v (about to be given: %v), want %v", step.name, holds, giving, step.holds)
		}
	}
}
