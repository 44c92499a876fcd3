package all

import (
	"cmp"
	"os"
	"strings"
	"testing"

	"oneid/connectors"
)

// platforms are those whose codes, limits and shapes are tested here; what the
// suite of connectors/conformance shows of each is not shown again.
var platforms = []string{"tmall", "douyin", "weidian", "sobot"}

// documented are the codes that the platforms' facts name, with their classes:
// a second writing of the tables, by code. (Tmall's isv.trade-not-exist and
// isv.refund-not-exist are assumptions, and said to be such in its README.)
var documented = map[string]string{
	"tmall": `throttle: 4 5 6 7 8 7/accesscontrol.limited-by-api-access-count 7/accesscontrol.limited-by-app-api-access-count
		7/accesscontrol.limited-by-app-access-count 7/accesscontrol.limited-by-dynamic-access-count 15/isp.system-busy 15/isp.call-limited
	retry: 10 15/isp.top-remote-connection-timeout 50/isp.remote-service-timeout 520/isp.top-remote-service-unavailable 15/isp.top-remote-unknown-error
		15/isp.remote-connection-error 15/isp.remote-service-error 15/isp.refund-service-unavailable 15/isp.remote-service-error-tmall
	skip-record: 15/isv.trade-not-exist 15/isv.refund-not-exist
	refresh: 26 27 53 27/invalid-sessionkey 27/session-expired 27/session-not-exist
	stop-stream: 3 9 11 11/isv.permission-api-package-empty 11/isv.permission-api-package-not-allowed 11/isv.permission-api-package-limit
		21 22 23 32 33 34 40 41 42 43 22/isv.api-not-exist 40/isv.missing-parameter 15/isv.invalid-parameter 50/isv.invalid-parameter 15/isv.oaid-field-miss
		15/isp.runtime-max-limit 15/isv.trade-service-rejection 15/isv.whatever 15
	stop-shop: 11/isv.permission-ip-whitelist-limit 12 13 24 25 28 29 30 31`,
	"douyin": `retry: 20000 20000/isp.service-error 20000/isp.service-error:20004 20000/isp.service-error:20005 20000/dop.service-error 20001/isp.service-timeout-error:1
		50002/isv.business-failed:31012 50002/isv.business-failed:20004 50002/isv.business-failed:20045 50002/isv.business-failed:20055
		50002/isv.business-failed:628145015 50002/isv.business-failed:628004002 20000/isp.service-error:10000 20000/isp.service-error:10002 err_no.7 err_no.8
	throttle: 60000/isv.traffic-limited 60000/isp.traffic-limited:628002006 50002/isv.business-failed:628002006 50002/isv.business-failed:628145010 err_no.9
	refresh: 40003/isv.access-token-expired 40003/isv.access-token-no-existed 40003/isv.access-token-invalid err_no.1 err_no.30002 err_no.30005 err_no.30007
	skip-record: 40004/isv.parameter-invalid:20014 40004/isv.parameter-invalid:20001 40004/isv.parameter-invalid:11003 50002/isv.business-failed:20015
		50002/isv.business-failed:12000 50002/isv.business-failed:12001 50002/isv.business-failed:628145003 50002/isv.business-failed:628145004
		50002/isv.business-failed:628145012 50002/isv.business-failed:628145021 50002/isv.business-failed:628145022 50002/isv.business-failed:628145023
		50002/isv.business-failed:628145036 50002/isv.business-failed:300001 50002/isv.business-failed:300003 50002/isv.business-failed:300007
		50002/isv.business-failed:300008 50002/isv.business-failed:300010 50002/isv.business-failed:9
	stop-stream: 30001/isv.app-permissions-insufficient 30001/dop.no-permissions 40002/isv.missing-parameter:20000 40002/isv.missing-parameter:3
		40003/isv.parameter-format-invalid 40003/isv.parameter-invalid 40003/isv.idempotent-id-existed 40004/isv.parameter-invalid:20008
		40004/isv.parameter-invalid:20011 40004/isv.parameter-invalid:20012 40004/isv.parameter-invalid:10035 40004/isv.parameter-invalid:20013
		40004/isv.parameter-invalid:20022 40004/isv.parameter-invalid:11000 40004/isv.parameter-invalid:200011 50002/isv.business-failed:10002
		50002/isv.business-failed:628005200 50002/isv.business-failed:628145011 50002/isv.business-failed:628145008 50002/isv.business-failed:628145001
		50002/isv.business-failed:628145002 70000/isp.api-service-off err_no.2 err_no.3 err_no.4 err_no.5 err_no.6 err_no.10 err_no.12
	stop-shop: 30001/dop.app-forbidden 30001/dop.authorization-no-existed 30001/dop.authorization-closed 30002/isv.invalid_ip 40001/isv.parameter-missing
		40001/isv.signature-missing 40001/isv.app-id-missing 40001/isv.access-token-missing 40003/isv.authorization-type-invalid 40003/isv.signature-invalid
		40003/isv.app-id-invalid 40003/isv.app-id-expired 40003/isv.timestamp-invalid 40003/isv.timestamp-format-error 50000
		50001/dop.token-generate-failed:app-id-invalid 50001/dop.token-generate-failed:app-secret-invalid 50001/dop.token-generate-failed:grant-type-invalid
		50001/dop.token-generate-failed:app-forbidden 50001/dop.token-generate-failed:code-invalid 50001/dop.token-generate-failed:code-expired
		50001/dop.token-generate-failed:no-authorization 50001/dop.token-generate-failed:token-expired 50001/dop.token-generate-failed:token-invalid
		50002/isv.business-failed:31009 80000 90000/isv.env-suspected 90000/dop.unknown-error 90000/isp.unknown-error
		err_no.11 err_no.30001 err_no.30003 err_no.30004 err_no.30006`,
	"weidian": `retry: -1 10000 10001 10002
	throttle: 10004 10005
	refresh: 10013 10016 10026 10021
	skip-record: 20018 20025 20015
	stop-stream: 10006 10009 10007 10008 10010 10011 10012 10018 10019 10020 10100 10102 20032 20046 20055 20501 20502 20301
	stop-shop: 10023 10017 10003 10014 10015 10022 10024 10025 10027 10028 10029 10101`,
	"sobot": `refresh: 900001 900002
	stop-stream: 999999`,
}

// fewCodes are the platforms that document no more codes than so many.
var fewCodes = map[string]int{"sobot": 2}

func TestEachDocumentedCodeHasItsClass(t *testing.T) {
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
		class, n := "", 0
		for _, word := range strings.Fields(list) {
			if name, ok := strings.CutSuffix(word, ":"); ok {
				class = strings.ReplaceAll(name, "-", " ")
				continue
			}
			system, sub, _ := strings.Cut(word, "/")
			n++
			if got := codes.Find(system, sub); got.Class.String() != class {
				t.Errorf("%s %s is %q (%s), want %s", platform, word, got.Class, got.Text, class)
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
