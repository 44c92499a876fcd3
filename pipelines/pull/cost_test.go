package pull

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
	"oneid/connectors/weidian"
	"oneid/internal/keyring"
	"oneid/internal/tape"
	"oneid/schemas/events"
)

// inMemory carries calls to a platform's face without a network.
type inMemory struct{ face http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	m.face.ServeHTTP(answer, r)
	return answer.Result(), nil
}

// A priced platform is what one order of it may cost, from the HTTP answer to a
// sealed message.
type priced struct {
	platform string
	open     func(w *simulator.World, calls http.RoundTripper) (connectors.Connector, error)
	face     func(w *simulator.World) http.Handler
	// floors is how often as much CPU time as decoding its payload, once, by
	// encoding/json, it may take; allocations how many of them.
	floors, allocations float64
}

var pricedPlatforms = []priced{
	{
		platform: tmall.Platform, floors: 4, allocations: 130,
		face: func(w *simulator.World) http.Handler { return simulator.Tmall(w, simulator.TmallOptions{}) },
		open: func(w *simulator.World, calls http.RoundTripper) (connectors.Connector, error) {
			e := simulator.EndpointsOf(w, "http://tmall.example", "", "").Tmall
			return tmall.New(e.Shop, tmall.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, Session: e.Session, RequestsPerSecond: 1e6, LateSeconds: new(0), Parallel: 1, Transport: calls})
		},
	},
	{
		platform: douyin.Platform, floors: 2, allocations: 95,
		face: func(w *simulator.World) http.Handler { return simulator.Douyin(w, simulator.DouyinOptions{}) },
		open: func(w *simulator.World, calls http.RoundTripper) (connectors.Connector, error) {
			e := simulator.EndpointsOf(w, "", "http://douyin.example", "").Douyin
			return douyin.New(e.Shop, douyin.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, RequestsPerSecond: 1e6, Transport: calls})
		},
	},
	{
		platform: weidian.Platform, floors: 4, allocations: 240,
		face: func(w *simulator.World) http.Handler { return simulator.Weidian(w, simulator.WeidianOptions{}) },
		open: func(w *simulator.World, calls http.RoundTripper) (connectors.Connector, error) {
			e := simulator.EndpointsOf(w, "", "", "http://weidian.example").Weidian
			return weidian.New(e.Shop, weidian.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, AccessToken: e.AccessToken, RequestsPerSecond: 1e6, Transport: calls})
		},
	},
}

// changing are the parameters of the platforms' calls that differ each time.
var changing = tape.Ignore{"timestamp", "sign"}

// pull reads, maps and seals the orders of so many days, as Once does, and
// tells of each page when it would be published. It gives how many orders came.
func (p priced) pull(t *testing.T, w *simulator.World, calls http.RoundTripper, until time.Time, days int, page func(sealed)) int {
	t.Helper()
	c, err := p.open(w, calls)
	if err != nil {
		t.Fatal(err)
	}
	bounded := c.(connectors.Backfiller).Until(until)
	start, _ := bounded.(connectors.Backfiller).Since(until.AddDate(0, 0, -days))
	keys, err := keyring.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	reading := &Puller{
		Connector: bounded, Platform: p.platform, Shop: w.Shop(p.platform).ID, Stream: "orders", Topics: events.TopicsOf("b"), Keys: keys,
		Start: start, Log: slog.New(slog.DiscardHandler),
	}
	reading.looker = newLooker(reading, pulled)
	pages, failed := make(chan sealed, pagesAhead), make(chan error, 1)
	go func() {
		defer close(pages)
		failed <- reading.read(t.Context(), reading.key(), pages)
	}()
	orders := 0
	for one := range pages {
		orders = one.sum.Events
		page(one)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return orders
}

// spent is the CPU time that this process takes for work, and how often it
// allocates: the least of three times, since what else runs adds to it.
func spent(work func()) (cpu time.Duration, allocations uint64) {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // always known of oneself
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for round := range 3 {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun := used()
		work()
		took := used() - begun
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; round == 0 || n < allocations {
			allocations = n
		}
		if round == 0 || took < cpu {
			cpu = took
		}
	}
	return cpu, allocations
}

// held is how many bytes live while all that reads ahead has stopped: as many pages as
// there may be are in hand then, each time, and nothing is made while it is counted.
// Call it in a bubble.
func held() float64 {
	synctest.Wait()
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// What one order of each platform costs from the HTTP answer on, in CPU time
// against the decoding of its payload by encoding/json in the same process, and in
// allocations; and that the memory which is held does not grow with what is pulled.
// A clock is not asked: `oneid bench pull` says
// orders a second.
//
// It runs beside no other test: the CPU time is the process's.
func TestWhatAnOrderCosts(t *testing.T) {
	const days = 80
	until := time.Now().Add(-time.Hour).Truncate(time.Second) // the platform's clock ends no window
	w, err := simulator.New(simulator.Config{People: 6000, Seed: 1, Until: until})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pricedPlatforms {
		file := filepath.Join(t.TempDir(), "tape")
		record, err := tape.Record(file, changing, inMemory{p.face(w)})
		if err != nil {
			t.Fatal(err)
		}
		for _, of := range []int{days, days / 10} {
			p.pull(t, w, record, until, of, func(sealed) {})
		}
		if err := record.Close(); err != nil {
			t.Fatal(err)
		}
		play, err := tape.Play(file, changing)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := play.Close(); err != nil {
				t.Error(err)
			}
		}()
		// What is held while the first quarter of the pages comes, and the last.
		var heaps []float64
		var read []int
		pages, orders := 0, 0
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(until.Add(time.Hour))) // a bubble's clock begins long ago
			orders = p.pull(t, w, play, until, days, func(one sealed) {
				if pages++; pages%2 == 0 {
					heaps, read = append(heaps, held()), append(read, one.sum.Events)
				}
			})
		})
		if len(heaps) < 16 {
			t.Fatalf("%s: %d orders are too few pages", p.platform, orders)
		}
		quarter := len(heaps) / 4
		middle := func(part int) (float64, int) {
			of := slices.Sorted(slices.Values(heaps[part*quarter : (part+1)*quarter]))
			return of[len(of)/2], read[part*quarter+quarter/2]
		}
		early, few := middle(0)
		late, many := middle(3)
		var payloads [][]byte
		c, err := p.open(w, play)
		if err != nil {
			t.Fatal(err)
		}
		bounded := c.(connectors.Backfiller).Until(until)
		start, _ := bounded.(connectors.Backfiller).Since(until.AddDate(0, 0, -days))
		for page, err := range bounded.Read(t.Context(), "orders", start) {
			if err != nil {
				t.Fatal(err)
			}
			for _, record := range page.Records {
				payloads = append(payloads, slices.Clone(record.Raw))
			}
		}
		floor, _ := spent(func() {
			for _, raw := range payloads {
				var payload any
				if err := json.Unmarshal(raw, &payload); err != nil {
					t.Fatal(err)
				}
			}
		})
		cpu, allocations := spent(func() { p.pull(t, w, play, until, days, func(sealed) {}) })
		floors, each := float64(cpu)/float64(floor), float64(allocations)/float64(orders)
		size := 0
		for _, raw := range payloads {
			size += len(raw)
		}
		stays := (late - early) / float64(many-few) / (float64(size) / float64(len(payloads)))
		t.Logf("%s: %d orders, %.1f floors of %s, %.0f allocations each; %.1f MiB held early, %.1f late: %.3f of each payload stays",
			p.platform, orders, floors, floor/time.Duration(len(payloads)), each, early/(1<<20), late/(1<<20), stays)
		if floors > p.floors || each > p.allocations {
			t.Errorf("%s: an order costs %.1f times the decoding of its payload and %.0f allocations, want at most %.1f and %.0f", p.platform, floors, each, p.floors, p.allocations)
		}
		if stays > 0.25 { // numbers and buyers of orders are remembered, so many of them
			t.Errorf("%s: %.2f of each payload stays in memory, want at most a quarter", p.platform, stays)
		}
	}
}
