package all

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"oneid/connectors"
)

// platforms are those whose codes, limits and shapes are tested here; what the
// suite of connectors/conformance shows of each is not shown again.
var platforms = []string{"tmall", "douyin", "weidian", "sobot"}

// documented are the codes that the platforms' facts name, under what is to be done
// about them, in the words of meaning: a second writing of the tables, by code. (Tmall's
// isv.trade-not-exist and isv.refund-not-exist, and that Weidian's 20015 skips the
// record, are assumptions, and said to be such in their READMEs.)
var documented = map[string]string{
	"tmall": `throttle/app/throttled: 6 7 8 7/accesscontrol.limited-by-app-access-count 7/accesscontrol.limited-by-dynamic-access-count
	throttle/shop/throttled: 4 5
	throttle/method/throttled: 7/accesscontrol.limited-by-api-access-count 7/accesscontrol.limited-by-app-api-access-count 15/isp.system-busy 15/isp.call-limited
	retry: 10 15/isp.top-remote-connection-timeout 50/isp.remote-service-timeout 520/isp.top-remote-service-unavailable 15/isp.top-remote-unknown-error
		15/isp.remote-connection-error 15/isp.remote-service-error 15/isp.refund-service-unavailable 15/isp.remote-service-error-tmall
	skip-record: 15/isv.trade-not-exist 15/isv.refund-not-exist
	refresh/unauthorised: 26 27 53 27/invalid-sessionkey 27/session-expired 27/session-not-exist
	stop-stream: 3 9 21 22 23 32 33 34 40 41 43 40/isv.missing-parameter 15/isv.invalid-parameter 50/isv.invalid-parameter 15/isv.oaid-field-miss
		15/isp.runtime-max-limit 15/isv.whatever
	stop-stream/3-tries: 15
	stop-stream/shop-method/180s: 15/isv.trade-service-rejection
	stop-stream/forbidden: 11 42 11/isv.permission-api-package-empty 11/isv.permission-api-package-not-allowed 11/isv.permission-api-package-limit
	stop-stream/gone: 22/isv.api-not-exist
	stop-shop/forbidden: 11/isv.permission-ip-whitelist-limit 12 13
	stop-shop/unauthorised: 24 25 28 29
	stop-shop/clock: 30 31`,
	"douyin": `retry: 20000 20000/isp.service-error 20000/isp.service-error:20004 20000/isp.service-error:20005 20000/dop.service-error 20001/isp.service-timeout-error:1
		50002/isv.business-failed:31012 50002/isv.business-failed:20004 50002/isv.business-failed:20045 50002/isv.business-failed:20055
		50002/isv.business-failed:628145015 50002/isv.business-failed:628004002 20000/isp.service-error:10000 20000/isp.service-error:10002 err_no.7 err_no.8
	throttle/app/throttled: 60000/isv.traffic-limited err_no.9
	throttle/method/throttled: 60000/isp.traffic-limited:628002006 50002/isv.business-failed:628002006
	throttle/shop: 50002/isv.business-failed:628145010
	refresh/unauthorised: 40003/isv.access-token-expired 40003/isv.access-token-no-existed 40003/isv.access-token-invalid 40003/isv.access-token-whatever
		40003/isv.authorization-type-invalid err_no.1 err_no.30002 err_no.30005 err_no.30007
	skip-record: 40004/isv.parameter-invalid:20014 40004/isv.parameter-invalid:20001 40004/isv.parameter-invalid:11003 50002/isv.business-failed:20015
		50002/isv.business-failed:12000 50002/isv.business-failed:12001 50002/isv.business-failed:628145003 50002/isv.business-failed:628145004
		50002/isv.business-failed:628145012 50002/isv.business-failed:628145021 50002/isv.business-failed:628145022 50002/isv.business-failed:628145023
		50002/isv.business-failed:628145036 50002/isv.business-failed:300001 50002/isv.business-failed:300003 50002/isv.business-failed:300007
		50002/isv.business-failed:300008 50002/isv.business-failed:300010 50002/isv.business-failed:9
	stop-stream/forbidden: 30001/isv.app-permissions-insufficient 30001/dop.no-permissions 30001/dop.app-forbidden err_no.2
		50002/isv.business-failed:628005200 50002/isv.business-failed:628145011 50002/isv.business-failed:628145008 50002/isv.business-failed:628145001
		50002/isv.business-failed:628145002
	stop-stream: 40002/isv.missing-parameter:20000 40002/isv.missing-parameter:3
		40003/isv.parameter-format-invalid 40003/isv.parameter-invalid 40003/isv.idempotent-id-existed 40004/isv.parameter-invalid:20008
		40004/isv.parameter-invalid:20011 40004/isv.parameter-invalid:20012 40004/isv.parameter-invalid:10035 40004/isv.parameter-invalid:20013
		40004/isv.parameter-invalid:20022 40004/isv.parameter-invalid:11000 40004/isv.parameter-invalid:200011 50002/isv.business-failed:10002
		err_no.3 err_no.4 err_no.5 err_no.6 err_no.10 err_no.12
	stop-stream/gone: 70000/isp.api-service-off
	stop-shop/re-authorise: 30001/dop.authorization-no-existed 30001/dop.authorization-closed
		50001/dop.token-generate-failed:code-invalid 50001/dop.token-generate-failed:code-expired
		50001/dop.token-generate-failed:no-authorization 50001/dop.token-generate-failed:token-expired 50001/dop.token-generate-failed:token-invalid
		50002/isv.business-failed:31009 err_no.30001 err_no.30003 err_no.30006
	stop-shop/unauthorised: 40003/isv.signature-invalid 40003/isv.app-id-invalid 40003/isv.app-id-expired 50000
		50001/dop.token-generate-failed:app-id-invalid 50001/dop.token-generate-failed:app-secret-invalid 50001/dop.token-generate-failed:grant-type-invalid
		err_no.11
	stop-shop/forbidden: 30002/isv.invalid_ip 50001/dop.token-generate-failed:app-forbidden 80000 err_no.30004
	stop-shop: 40001/isv.parameter-missing 40001/isv.signature-missing 40001/isv.app-id-missing 40001/isv.access-token-missing
	stop-shop/clock: 40003/isv.timestamp-invalid 40003/isv.timestamp-format-error
	stop-shop/3-tries: 90000/isv.env-suspected 90000/dop.unknown-error 90000/isp.unknown-error`,
	"weidian": `retry: -1 10000 10001 10002
	throttle/app/throttled: 10004
	throttle/shop/throttled: 10005
	refresh/unauthorised: 10013 10016 10026 10021
	skip-record: 20018 20025 20015
	stop-stream/forbidden: 10006 10009
	stop-stream: 10007 10008 10010 10011 10012 10018 10019 10020 10100 10102 20032 20046 20501 20502
	stop-stream/3-tries: 20301
	stop-stream/clock: 20055
	stop-shop/re-authorise: 10023 10017
	stop-shop/unauthorised: 10014 10015 10022
	stop-shop/forbidden: 10003 10024 10025 10027 10028 10029 10101`,
	"sobot": `refresh/unauthorised: 900001 900002
	stop-stream/3-tries: 999999`,
}

// meaning is what is to be done about a code, but for its text: its class, whose limit it
// met, for how long nothing is called, how often it is called in all, and what kind it is.
func meaning(code connectors.Code) string {
	words := []string{code.Class.String()}
	if code.Limit != "" {
		words = append(words, code.Limit)
	}
	if code.Pause > 0 {
		words = append(words, fmt.Sprintf("%.0fs", code.Pause.Seconds()))
	}
	if code.Tries > 0 {
		words = append(words, fmt.Sprintf("%d-tries", code.Tries))
	}
	if code.Kind != nil {
		words = append(words, map[error]string{
			connectors.ErrUnauthorized: "unauthorised", connectors.ErrReauthorise: "re-authorise", connectors.ErrForbidden: "forbidden",
			connectors.ErrGone: "gone", connectors.ErrThrottled: "throttled", connectors.ErrClock: "clock",
		}[code.Kind])
	}
	return strings.ReplaceAll(strings.Join(words, "/"), " ", "-")
}

// fewCodes are the platforms that document no more codes than so many.
var fewCodes = map[string]int{"sobot": 2}

func TestEachDocumentedCodeMeansWhatIsDocumented(t *testing.T) {
	t.Parallel()
	for platform, list := range documented {
		text, err := os.ReadFile("../" + platform + "/codes.yaml")
		if err != nil {
			t.Fatal(err)
		}
		codes, err := connectors.ParseCodes(text)
		if err != nil {
			t.Fatal(err)
		}
		want, n := "", 0
		for _, word := range strings.Fields(list) {
			if name, ok := strings.CutSuffix(word, ":"); ok {
				want = name
				continue
			}
			system, sub, _ := strings.Cut(word, "/")
			n++
			if got := codes.Find(system, sub); meaning(got) != want {
				t.Errorf("%s %s is %s (%s), want %s", platform, word, meaning(got), got.Text, want)
			}
		}
		if least := cmp.Or(fewCodes[platform], 30); n < least {
			t.Errorf("%s: %d codes", platform, n)
		}
		// Nothing in the table that the list above does not know.
		for _, code := range codes.All() {
			if !strings.Contains(list, strings.TrimSuffix(code.Sub, "*")) || !strings.Contains(list, code.System) {
				t.Errorf("%s: the table's %s is not documented here", platform, code.Name())
			}
		}
	}
}
