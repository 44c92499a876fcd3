package douyin_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/conformance"
	"oneid/connectors/douyin"
	"oneid/connectors/simulator"
)

// streamOf are the methods that list, by what they list.
var streamOf = map[string]string{
	"order.searchList": douyin.Orders, "afterSale.List": douyin.Aftersales, "order.getServiceList": douyin.Services,
}

// details are the methods that tell of one entity.
var details = map[string]bool{"order.orderDetail": true, "afterSale.Detail": true, "order.serviceDetail": true}

func TestConformance(t *testing.T) {
	t.Parallel()
	codes, err := os.ReadFile("codes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	conformance.Run(t, conformance.Subject{
		Platform: douyin.Platform, Codes: codes, Details: true,
		Rows: []string{"shop_order_list", "items", "list"},
		Call: func(r *http.Request, body []byte) conformance.Call {
			q := r.URL.Query()
			method := q.Get("method")
			call := conformance.Call{
				Stream: streamOf[method], Detail: details[method], Method: method,
				Token: strings.HasPrefix(method, "token."), Signature: q.Get("sign"),
			}
			if strings.Contains(string(body), `"size":1,`) || strings.Contains(string(body), `"size":1}`) {
				call.Stream = "" // it counts, before the pages
			}
			return call
		},
		Refusal: func(code connectors.Code, _ time.Duration) (int, string) {
			if old, is := strings.CutPrefix(code.System, "err_no."); is {
				return http.StatusOK, fmt.Sprintf(`{"err_no":%s,"message":%q}`, old, conformance.Words)
			}
			return http.StatusOK, fmt.Sprintf(`{"code":%s,"msg":%q,"sub_code":%q}`, cmp.Or(code.System, "15"), conformance.Words, code.Sub)
		},
		// This one is answered with shorter windows.
		Halves: func(code connectors.Code) bool { return code.Sub == "isv.parameter-invalid:20013" },
		Serve: func(t *testing.T, ask conformance.Ask) conformance.Shop {
			world, shop := conformance.World(t, douyin.Platform, ask)
			e := simulator.EndpointsOf(world, "", "http://douyin.example", "").Douyin
			shop.Face = simulator.Douyin(world, simulator.DouyinOptions{Now: ask.Now, PerSecond: ask.PerSecond})
			shop.Secrets = []string{e.AppSecret, "access_token", "sign="}
			shop.Push = conformance.Pushes(t, world, douyin.Platform, "", ask.Now, 0)
			shop.Open = func(o conformance.Options) (connectors.Connector, error) {
				settle, overlap := 2, 10
				cfg := douyin.Config{
					URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret,
					BackfillDays: 4, PageSize: 5, SettleSeconds: &settle, OverlapSeconds: &overlap,
					RequestsPerSecond: 1e6, AppRequestsPerSecond: o.PerSecond, CallsPerDay: o.PerDay, Transport: o.Transport,
				}
				if o.Serial {
					cfg.Parallel = 1
				}
				if o.WrongSecret {
					cfg.AppSecret = "another"
				}
				return douyin.New(e.Shop, cfg)
			}
			return shop
		},
	})
}

// Each after-sale of a shop that has many pages of them comes; of a list that is not asked
// for in the order of its changes the platform loses rows. Where there are none it may
// refuse the list.
func TestAftersalesOfManyPages(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(-5 * time.Minute)
	world, err := simulator.New(simulator.Config{People: 4000, Seed: 3, From: until.Add(-2 * 24 * time.Hour), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(simulator.Douyin(world, simulator.DouyinOptions{NoData: true}))
	t.Cleanup(server.Close)
	e := simulator.EndpointsOf(world, "", server.URL, "").Douyin
	c, err := douyin.New(e.Shop, douyin.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, BackfillDays: 90, PageSize: 2, RequestsPerSecond: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	came := make(map[string]bool)
	for page, err := range c.Read(t.Context(), douyin.Aftersales, "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range page.Records {
			list, err := c.Map(record)
			if err != nil {
				t.Fatal(err)
			}
			came[list[0].GetHeader().GetEntityId()] = true
		}
	}
	there := 0
	for i := range world.OrderCount(simulator.PlatformDouyin) {
		o, _ := world.OrderAt(simulator.PlatformDouyin, i)
		if o.Refund == nil || time.Since(o.Refund.Modified) > 89*24*time.Hour {
			continue
		}
		if there++; !came[o.Refund.Number] {
			t.Errorf("the after-sale of order %d did not come", i)
		}
	}
	if there < 20 {
		t.Errorf("the shop has %d after-sales: too few to tell anything", there)
	}
}
