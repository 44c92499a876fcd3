package douyin

import (
	"errors"
	"testing"

	"oneid/connectors"
)

func TestEachCode(t *testing.T) {
	for _, c := range []struct {
		code, sub string
		class     connectors.Class
		kind      error
	}{
		{"20000", "isp.service-error:20004", connectors.Retry, nil},
		{"20000", "dop.service-error", connectors.Retry, nil},
		{"20001", "isp.service-timeout-error:1", connectors.Retry, nil},
		{"30001", "isv.app-permissions-insufficient", connectors.StopStream, connectors.ErrForbidden},
		{"30001", "dop.no-permissions", connectors.StopStream, connectors.ErrForbidden},
		{"30001", "dop.app-forbidden", connectors.StopShop, connectors.ErrForbidden},
		{"30001", "dop.authorization-no-existed", connectors.StopShop, connectors.ErrUnauthorized},
		{"30001", "dop.authorization-closed", connectors.StopShop, connectors.ErrUnauthorized},
		{"30002", "isv.invalid_ip", connectors.StopShop, connectors.ErrForbidden},
		{"40001", "isv.signature-missing", connectors.StopShop, nil},
		{"40002", "isv.missing-parameter:20000", connectors.StopStream, nil},
		{"40003", "isv.access-token-expired", connectors.Refresh, connectors.ErrUnauthorized},
		{"40003", "isv.access-token-no-existed", connectors.Refresh, connectors.ErrUnauthorized},
		{"40003", "isv.access-token-invalid", connectors.Refresh, connectors.ErrUnauthorized},
		{"40003", "isv.authorization-type-invalid", connectors.StopShop, connectors.ErrUnauthorized},
		{"40003", "isv.signature-invalid", connectors.StopShop, connectors.ErrUnauthorized},
		{"40003", "isv.app-id-expired", connectors.StopShop, connectors.ErrUnauthorized},
		{"40003", "isv.timestamp-invalid", connectors.StopShop, connectors.ErrClock},
		{"40003", "isv.timestamp-format-error", connectors.StopShop, connectors.ErrClock},
		{"40003", "isv.parameter-invalid", connectors.StopStream, nil},
		{"40003", "isv.idempotent-id-existed", connectors.StopStream, nil},
		{"40004", "isv.parameter-invalid:20013", connectors.StopStream, nil},
		{"40004", "isv.parameter-invalid:20022", connectors.StopStream, nil},
		{"40004", "isv.parameter-invalid:20014", connectors.SkipRecord, nil},
		{"40004", "isv.parameter-invalid:20001", connectors.SkipRecord, nil},
		{"40004", "isv.parameter-invalid:200011", connectors.StopStream, nil},
		{"50000", "", connectors.StopShop, connectors.ErrUnauthorized},
		{"50001", "dop.token-generate-failed:app-secret-invalid", connectors.StopShop, connectors.ErrUnauthorized},
		{"50001", "dop.token-generate-failed:token-invalid", connectors.StopShop, connectors.ErrUnauthorized},
		{"50001", "dop.token-generate-failed:app-forbidden", connectors.StopShop, connectors.ErrForbidden},
		{"50002", "isv.business-failed:31012", connectors.Retry, nil},
		{"50002", "isv.business-failed:31009", connectors.StopShop, connectors.ErrUnauthorized},
		{"50002", "isv.business-failed:20004", connectors.Retry, nil},
		{"50002", "isv.business-failed:20015", connectors.SkipRecord, nil},
		{"50002", "isv.business-failed:20045", connectors.Retry, nil},
		{"50002", "isv.business-failed:20055", connectors.Retry, nil},
		{"50002", "isv.business-failed:628145015", connectors.Retry, nil},
		{"50002", "isv.business-failed:628004002", connectors.Retry, nil},
		{"50002", "isv.business-failed:628145010", connectors.Throttle, nil},
		{"50002", "isv.business-failed:628002006", connectors.Throttle, connectors.ErrThrottled},
		{"50002", "isv.business-failed:628005200", connectors.StopStream, connectors.ErrForbidden},
		{"50002", "isv.business-failed:628145011", connectors.StopStream, connectors.ErrForbidden},
		{"50002", "isv.business-failed:628145008", connectors.StopStream, connectors.ErrForbidden},
		{"50002", "isv.business-failed:628145003", connectors.SkipRecord, nil},
		{"60000", "isv.traffic-limited", connectors.Throttle, connectors.ErrThrottled},
		{"60000", "isp.traffic-limited:628002006", connectors.Throttle, connectors.ErrThrottled},
		{"70000", "isp.api-service-off", connectors.StopStream, nil},
		{"80000", "", connectors.StopShop, connectors.ErrForbidden},
		{"90000", "isp.unknown-error", connectors.Retry, nil},
		{"12345", "new", connectors.StopStream, nil},
	} {
		e := refusal(rules, "4463798", "order.searchList", c.code, c.sub, "log")
		if e.Class != c.class || !errors.Is(e, c.kind) && c.kind != nil || c.kind == nil && e.Kind != nil {
			t.Errorf("%s %s: class %v, kind %v; want %v, %v", c.code, c.sub, e.Class, e.Kind, c.class, c.kind)
		}
		if e.Class > connectors.SkipRecord && e.Mend == "" {
			t.Errorf("%s %s: says not what to do", c.code, c.sub)
		}
	}
	if e := refusal(oldRules, "", "", "30002", "", ""); e.Class != connectors.Refresh {
		t.Errorf("old 30002: class %v, want refresh", e.Class)
	}
}
