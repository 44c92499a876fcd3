package simulator

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The types of Weidian's messages, by an order's or a refund's status. None is
// known of a refund that the buyer takes back.
var (
	weidianOrderNews = map[string]string{OrderUnpaid: "non_payment", OrderPaid: "already_payment", OrderShipped: "delivered",
		OrderFinished: "finished", OrderClosedUnpaid: "close", OrderClosedRefunded: "close"}
	weidianRefundNews = map[string]string{RefundAsked: "buyers_apply_refund", RefundAgreed: "seller_submit_refund",
		RefundRefused: "sellers_refused_refund", RefundSuccess: "refund_success"}
)

// weidianPushes is how Weidian pushes: a form whose field content is JSON, with
// the order in it, and no signature. Some messages are of a service app: their
// personal fields are encrypted.
func weidianPushes(p *Pusher) pushFace {
	face := &weidian{world: p.World, credentials: weidianCredentials(p.World)}
	face.aesKey = face.derive("aes key", 16)
	body := func(o Order, kind string) []byte {
		detail := face.detail(o)
		shop, _ := strconv.ParseInt(o.Shop, 10, 64) // the world writes whole numbers
		content := map[string]any{"type": "weidian.order." + kind, "message": &detail}
		if o.Index%2 == 0 {
			b := &detail.BuyerInfo
			if face.seal(&detail.SellerName, &detail.UserPhone, &detail.Weixin, &b.Name, &b.Phone, &b.Address, &b.SelfAddress, b.IDCardNo) == nil {
				content["shopId"], content["aesKeyVersion"] = shop, 1
			}
		}
		if o.Index%7 == 0 {
			content["message"] = douyinCanonical(detail) // JSON as text
		}
		form := url.Values{"content": {douyinCanonical(content)}}
		if o.Index%3 == 0 {
			form.Set("traceId", "sim"+o.Number)
		}
		return []byte(form.Encode())
	}
	return pushFace{
		message: func(o Order, status string, _ time.Time) []byte { return body(o, weidianOrderNews[status]) },
		refund: func(o Order) []byte {
			if kind, told := weidianRefundNews[o.Refund.Status]; told {
				return body(o, kind)
			}
			return nil
		},
		most: 1,
		join: func(batch []pushed) []byte { return batch[0].body },
		request: func(ctx context.Context, address string, body []byte) (*http.Request, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(string(body)))
			if err == nil {
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			return request, err
		},
		accepted: func(status int, body []byte) bool {
			var answer struct {
				Status string `json:"status"`
			}
			return status == http.StatusOK && json.Unmarshal(body, &answer) == nil && answer.Status == "success"
		},
	}
}
