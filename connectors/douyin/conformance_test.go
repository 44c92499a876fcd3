package douyin_test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

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
		Refusal: func(code connectors.Code) (int, string) {
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
