package sobot_test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/conformance"
	"oneid/connectors/simulator"
	"oneid/connectors/sobot"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	codes, err := os.ReadFile("codes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	conformance.Run(t, conformance.Subject{
		Platform: sobot.Platform, Codes: codes, Details: true, Unsigned: true, Rows: []string{"items"},
		Call: func(r *http.Request, _ []byte) conformance.Call {
			q, method := r.URL.Query(), path.Base(r.URL.Path)
			call := conformance.Call{
				Method: method, Detail: method == "get_ticket_by_id", Token: method == "get_token", Signature: q.Get("sign"),
			}
			if method == "query_tickets_by_update_time" && q.Get("page_size") != "1" { // with 1 it counts, before the pages
				call.Stream = sobot.Tickets
			}
			return call
		},
		Refusal: func(code connectors.Code, _ time.Duration) (int, string) {
			return http.StatusOK, fmt.Sprintf(`{"ret_code":%q,"ret_msg":%q}`, code.System, conformance.Words)
		},
		// The desk documents no code for a ticket that is not there.
		Gone: func() (int, string) { return http.StatusOK, `{"ret_code":"000000","item":null}` },
		Serve: func(t *testing.T, ask conformance.Ask) conformance.Shop {
			world, shop := conformance.Desk(t, ask)
			keys := simulator.SobotCredentialsOf(world)
			shop.Secrets = []string{keys.AppKey, keys.PushSecret, "sign="}
			shop.Open = func(o conformance.Options) (connectors.Connector, error) {
				cfg := sobot.Config{
					URL: "http://desk.example", AppID: keys.AppID, AppKey: keys.AppKey, CompanyID: keys.CompanyID, PushSecret: keys.PushSecret, BackfillDays: 4, PageSize: 5,
					SettleSeconds: new(2), OverlapSeconds: new(10),
					RequestsPerSecond: cmp.Or(o.PerSecond, 1e6), CallsPerDay: o.PerDay, Transport: o.Transport,
				}
				if o.Serial {
					cfg.Parallel = 1
				}
				if o.WrongSecret {
					cfg.AppKey = "another"
				}
				return sobot.New("desk", cfg)
			}
			return shop
		},
	})
}
