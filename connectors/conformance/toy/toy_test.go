package toy_test

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
	"oneid/connectors/conformance/toy"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	codes, err := os.ReadFile("codes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	conformance.Run(t, conformance.Subject{
		Platform: toy.Platform, Codes: codes, Details: true, Rows: []string{"rows"}, Shapes: "shape.json", Waits: true,
		Call: func(_ *http.Request, body []byte) conformance.Call {
			form, _ := url.ParseQuery(string(body)) // what is no form names no method
			method := form.Get("method")
			return conformance.Call{
				Stream: map[string]string{"orders.list": toy.Orders, "returns.list": toy.Returns}[method],
				Detail: method == "order.get", Token: method == "token.get", Method: method, Signature: form.Get("sign"),
			}
		},
		Refusal: func(code connectors.Code, wait time.Duration) (int, string) {
			return http.StatusOK, fmt.Sprintf(`{"code":%q,"wait":%d,"message":%q}`, code.System, wait/time.Second, conformance.Words)
		},
		Serve: func(_ *testing.T, ask conformance.Ask) conformance.Shop {
			p := newPlatform(ask)
			return conformance.Shop{
				Face: p, Truth: p.truth, Change: p.change, Push: p.push, Secrets: []string{appSecret, pushSecret, "token-of-the-toy", "sign="},
				Open: func(o conformance.Options) (connectors.Connector, error) {
					cfg := toy.Config{
						URL: "http://toy.example/api", AppKey: appKey, AppSecret: appSecret, PushSecret: pushSecret, BackfillDays: 4, PageSize: 5,
						SettleSeconds: new(2), OverlapSeconds: new(10),
						RequestsPerSecond: cmp.Or(o.PerSecond, 1e6), CallsPerDay: o.PerDay, Transport: o.Transport,
					}
					if o.Serial {
						cfg.Parallel = 1
					}
					if o.WrongSecret {
						cfg.AppSecret = "another"
					}
					return toy.New(shopID, cfg)
				},
			}
		},
	})
}
