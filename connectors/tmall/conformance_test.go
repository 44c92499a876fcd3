package tmall_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/conformance"
	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
)

// streamOf are the methods that list, by what they list.
var streamOf = map[string]string{
	"taobao.trades.sold.increment.get": tmall.Orders, "taobao.refunds.receive.get": tmall.Tickets,
	"taobao.crm.members.search": tmall.Users, "taobao.crm.members.increment.get": tmall.Users,
}

func TestConformance(t *testing.T) {
	t.Parallel()
	codes, err := os.ReadFile("codes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	conformance.Run(t, conformance.Subject{
		Platform: tmall.Platform, Codes: codes, Details: true, Waits: true,
		Rows: []string{"trade", "refund", "crm_member", "basic_member"},
		Call: func(_ *http.Request, body []byte) conformance.Call {
			form, _ := url.ParseQuery(string(body)) // what is no form names no method
			method := form.Get("method")
			return conformance.Call{
				Stream: streamOf[method], Detail: method == "taobao.trade.simple.get" || method == "taobao.refund.messages.get", Method: method,
				Token: method == "taobao.top.auth.token.refresh", Signature: form.Get("sign"),
			}
		},
		Refusal: func(code connectors.Code, wait time.Duration) (int, string) {
			said := conformance.Words
			if wait > 0 {
				said = fmt.Sprintf("This ban will last for %d more seconds, %s", wait/time.Second, said)
			}
			return http.StatusOK, fmt.Sprintf(`{"error_response":{"code":%s,"msg":%q,"sub_code":%q,"sub_msg":%q}}`,
				cmp.Or(code.System, "15"), conformance.Words, code.Sub, said)
		},
		// These are answered with shorter windows.
		Halves: func(code connectors.Code) bool {
			return code.Sub == "isp.runtime-max-limit" || code.Sub == "isv.trade-service-rejection"
		},
		Serve: func(t *testing.T, ask conformance.Ask) conformance.Shop {
			world, shop := conformance.World(t, tmall.Platform, ask)
			keys := simulator.TmallCredentialsOf(world)
			shop.Face = simulator.Tmall(world, simulator.TmallOptions{Now: ask.Now, Kinds: true, PerSecond: ask.PerSecond})
			shop.Secrets = []string{keys.AppSecret, keys.Session, keys.RefreshToken, "sign="}
			shop.Open = func(o conformance.Options) (connectors.Connector, error) {
				settle, overlap, late := 2, 10, 0
				cfg := tmall.Config{
					URL: "http://tmall.example/router/rest", AppKey: keys.AppKey, AppSecret: keys.AppSecret, Session: keys.Session, RefreshToken: keys.RefreshToken,
					BackfillDays: 4, PageSize: 2, WindowPages: 20, SettleSeconds: &settle, OverlapSeconds: &overlap, LateSeconds: &late,
					RequestsPerSecond: 1e6, MethodRequestsPerSecond: o.PerSecond, CallsPerDay: o.PerDay, Transport: o.Transport,
				}
				if o.Serial {
					cfg.Parallel = 1
				}
				if o.WrongSecret {
					cfg.AppSecret = "another"
				}
				return tmall.New(keys.Shop, cfg)
			}
			return shop
		},
	})
}
