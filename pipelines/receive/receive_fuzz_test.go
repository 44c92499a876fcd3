package receive

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"oneid/connectors/simulator"
)

// Whatever comes to the address of a platform's pushes: no panic, and what is told
// to be safe was kept, or is counted as nothing that OneID reads.
func FuzzServe(f *testing.F) {
	const order = `[{"tag":"101","msg_id":"1","data":{"p_id":6910000000000000001,"shop_id":1,"update_time":1767229260}}]`
	f.Add(true, "", order, "application/json", true)
	f.Add(true, "", `[{"tag":"0","msg_id":"0","data":"2026"}]`, "application/json", true)
	f.Add(true, "key", `{`, "", true)
	f.Add(true, "", "null", "application/json", true)
	f.Add(true, "", order, "application/json", false)
	f.Add(false, testSecret, "content="+url.QueryEscape(`{"type":"weidian.order.already_payment","message":{"order_id":"1","seller_id":"1"}}`), "application/x-www-form-urlencoded", false)
	f.Add(false, testSecret, `{"type":"weidian.order.already_payment","message":{"order_id":"1"}}`, "application/json", false)
	f.Add(false, "another", "content=%zz&content=2", "application/x-www-form-urlencoded", false)
	f.Add(false, testSecret+"/more", "", "multipart/form-data; boundary=x", false)
	rigs, shops := make(map[bool]*rig), make(map[bool]shopOf)
	for isDouyin, platform := range map[bool]string{true: simulator.PlatformDouyin, false: simulator.PlatformWeidian} {
		shops[isDouyin] = newShop(f, platform, 1)
		rigs[isDouyin] = newRig(f, platform, shops[isDouyin].shop, shops[isDouyin].open(f))
	}
	f.Fuzz(func(t *testing.T, isDouyin bool, key, body, contentType string, signed bool) {
		r, s := rigs[isDouyin], shops[isDouyin]
		address := "/push/" + s.platform + "/" + s.shop
		if key != "" {
			address += "/" + url.PathEscape(key)
		}
		request := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, address, strings.NewReader(body))
		request.Header.Set("Content-Type", contentType)
		if isDouyin {
			e := simulator.EndpointsOf(s.world, "", "", "").Douyin
			request.Header.Set("app-id", e.AppKey)
			if sum := md5.Sum([]byte(e.AppKey + body + e.AppSecret)); signed && len(body)%2 == 0 {
				request.Header.Set("event-sign", hex.EncodeToString(sum[:]))
				request.Header.Set("sign-method", "md5")
			} else if mac := hmac.New(sha256.New, []byte(e.AppSecret)); signed {
				mac.Write([]byte(e.AppKey + body + e.AppSecret))
				request.Header.Set("event-sign", hex.EncodeToString(mac.Sum(nil)))
			}
		}
		kept := func() int { return r.count(Noted) + r.count(DeadLetter) + r.count(Unread) + r.count(OtherShop) }
		before, lay := kept(), r.lies(t)
		answer := httptest.NewRecorder()
		mux := http.NewServeMux()
		mux.Handle("POST /push/{platform}/{shop}", r)
		mux.Handle("POST /push/{platform}/{shop}/{key}", r)
		mux.ServeHTTP(answer, request)
		noted := r.lies(t) - lay
		switch authentic := isDouyin && signed || !isDouyin && key == testSecret; {
		case answer.Code == http.StatusOK && !authentic:
			t.Errorf("%q of a stranger is taken", body)
		case answer.Code == http.StatusOK && kept() == before && !isTest(body):
			t.Errorf("%q is told to be safe, and nothing is kept or counted", body)
		case answer.Code != http.StatusOK && noted > 0 && !authentic:
			t.Errorf("%q is refused with %d, and kept", body, answer.Code)
		}
		if strings.Contains(answer.Body.String(), "6910000000000000001") {
			t.Errorf("the answer repeats the question: %s", answer.Body)
		}
	})
}

// isTest says that a push may be one by which a platform tries the address: it tells
// of nothing.
func isTest(body string) bool {
	return strings.Trim(body, " \t\r\n[]{}") == "" || strings.Contains(body, `"0"`)
}

// lies is how much lies in the topics of pushes and of dead letters.
func (r *rig) lies(t *testing.T) int64 {
	t.Helper()
	var sum int64
	for _, topic := range []string{r.topics.Pushes, r.topics.DeadLetter} {
		_, next, err := r.client.Ends(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, end := range next {
			sum += end
		}
	}
	return sum
}
