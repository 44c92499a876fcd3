package weidian_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/conformance"
	"oneid/connectors/simulator"
	"oneid/connectors/weidian"
)

// streamOf are the methods that list, by what they list.
var streamOf = map[string]string{"vdian.order.list.get": weidian.Orders, "open.SellerQueryRefundList": weidian.Tickets}

func TestConformance(t *testing.T) {
	t.Parallel()
	codes, err := os.ReadFile("codes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	conformance.Run(t, conformance.Subject{
		Platform: weidian.Platform, Codes: codes, Details: true, Unsigned: true, OwnClock: true,
		Rows: []string{"orders", "list"},
		Call: func(r *http.Request, body []byte) conformance.Call {
			form, _ := url.ParseQuery(string(body)) // what is no form names no method
			var public struct{ Method string }
			_ = json.Unmarshal([]byte(form.Get("public")), &public)
			call := conformance.Call{
				Stream: streamOf[public.Method], Detail: public.Method == "vdian.order.get", Method: public.Method, Token: r.URL.Path == "/token",
			}
			if strings.Contains(form.Get("param"), `"page_size":1,`) || strings.Contains(form.Get("param"), `"pageSize":1,`) {
				call.Stream = "" // it counts, before the pages
			}
			return call
		},
		Refusal: func(code connectors.Code, _ time.Duration) (int, string) {
			return http.StatusOK, fmt.Sprintf(`{"status":{"status_code":%s,"status_reason":%q}}`, code.System, conformance.Words)
		},
		Serve: func(t *testing.T, ask conformance.Ask) conformance.Shop {
			world, shop := conformance.World(t, weidian.Platform, ask)
			e := simulator.EndpointsOf(world, "", "", "http://weidian.example").Weidian
			shop.Face = simulator.Weidian(world, simulator.WeidianOptions{Now: ask.Now, GroupBuys: true, Faults: simulator.Faults{PerSecond: ask.PerSecond}})
			const pushSecret = "a-secret-of-the-tests"
			shop.Secrets = []string{pushSecret, e.AppSecret, e.AccessToken, "secret="}
			shop.Push = conformance.Pushes(t, world, weidian.Platform, pushSecret, ask.Now, 50*time.Minute)
			shop.Open = func(o conformance.Options) (connectors.Connector, error) {
				settle, overlap := 2, 10
				cfg := weidian.Config{
					URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret,
					BackfillDays: 4, PageSize: 5, SettleSeconds: &settle, OverlapSeconds: &overlap,
					RequestsPerSecond: cmp.Or(o.PerSecond, 1e6), CallsPerDay: o.PerDay, Transport: o.Transport, PushSecret: pushSecret,
				}
				if o.Serial {
					cfg.Parallel = 1
				}
				if o.WrongSecret {
					cfg.AppSecret = "another"
				}
				return weidian.New(e.Shop, cfg)
			}
			return shop
		},
	})
}
