package tmall_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
)

// inProcess carries calls to a face without a network.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// On the platform's great days its lists lag by ten minutes. Read minute by
// minute, each change comes all the same; by the overlap alone it would not.
func TestListsThatLag(t *testing.T) {
	t.Parallel()
	none := 0
	for name, c := range map[string]struct {
		late *int
		all  bool
	}{"as shipped": {nil, true}, "without looking again": {&none, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				until := time.Now().Add(-time.Minute)
				world, err := simulator.New(simulator.Config{People: 300, Seed: 11, From: until.Add(-2 * 24 * time.Hour), Until: until})
				if err != nil {
					t.Fatal(err)
				}
				keys := simulator.TmallCredentialsOf(world)
				face := simulator.Tmall(world, simulator.TmallOptions{Faults: simulator.Faults{LateSeconds: 600}})
				reader, err := tmall.New(keys.Shop, tmall.Config{
					URL: "http://tmall.example/router/rest", AppKey: keys.AppKey, AppSecret: keys.AppSecret, Session: keys.Session,
					BackfillDays: 3, LateSeconds: c.late, RequestsPerSecond: 1e6, Transport: inProcess{face},
				})
				if err != nil {
					t.Fatal(err)
				}
				came := make(map[string]int64)
				var cursor connectors.Cursor
				round := func() {
					for page, err := range reader.Read(t.Context(), tmall.Orders, cursor) {
						if err != nil {
							t.Fatal(err)
						}
						for _, record := range page.Records {
							list, err := reader.Map(record)
							if err != nil {
								t.Fatal(err)
							}
							h := list[0].GetHeader()
							came[h.GetEntityId()] = max(came[h.GetEntityId()], h.GetVersion().GetModifiedMs())
						}
						if page.Next != "" {
							cursor = page.Next
						}
					}
				}
				changed := make(map[string]int64)
				for minute := range 180 {
					if minute < 120 {
						o, err := world.ChangeAny(simulator.PlatformTmall, uint64(minute)*0x9e3779b97f4a7c15, time.Now())
						if err != nil {
							t.Fatal(err)
						}
						changed[o.Number] = o.Modified.UnixMilli()
					}
					round()
					time.Sleep(time.Minute)
				}
				lost := 0
				for number, modified := range changed {
					if came[number] != modified {
						lost++
					}
				}
				if len(changed) < 30 || (lost == 0) != c.all {
					t.Errorf("of %d orders that changed, the last change of %d did not come", len(changed), lost)
				}
			})
		})
	}
}
