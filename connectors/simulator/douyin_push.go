package simulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5" // the platform's older sign method
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// The tags of Douyin's messages, by an order's or a refund's status.
var (
	douyinOrderTags = map[string]int{OrderUnpaid: 100, OrderPaid: 101, OrderShipped: 102, OrderFinished: 103,
		OrderClosedUnpaid: 106, OrderClosedRefunded: 106}
	douyinRefundTags = map[string]int{RefundAsked: 200, RefundAgreed: 202, RefundRefused: 204, RefundSuccess: 206, RefundClosed: 207}
)

// douyinBatch is how many messages the simulator puts into one push at most;
// the platform's own number is not known.
const douyinBatch = 3

// douyinPushes is how Douyin pushes: a JSON array of messages, signed over its
// raw bytes. Apps of both sign methods are shown: which it is follows from the
// body.
func douyinPushes(p *Pusher) pushFace {
	app := douyinCredentials(p.World)
	if p.Secret != "" {
		app.AppSecret = p.Secret
	}
	return pushFace{
		test: func() []byte {
			return fmt.Appendf(nil, `[{"tag":"0","msg_id":"0","data":%q}]`, time.Now().In(douyinZone).Format(time.RFC3339Nano))
		},
		message: func(o Order, status string, at time.Time) []byte {
			return douyinMessage(o, douyinOrderTags[status], at, douyinOrderNews(o, status, at))
		},
		refund: func(o Order) []byte {
			return douyinMessage(o, douyinRefundTags[o.Refund.Status], o.Refund.Modified, douyinRefundNews(o))
		},
		most: douyinBatch,
		join: func(batch []pushed) []byte {
			var parts [][]byte
			for _, m := range batch {
				parts = append(parts, m.body)
			}
			return append(append([]byte("["), bytes.Join(parts, []byte(","))...), ']')
		},
		request: func(ctx context.Context, url string, body []byte) (*http.Request, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
			if err != nil {
				return nil, err
			}
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("app-id", app.AppKey)
			signed := app.AppKey + string(body) + app.AppSecret
			if p.SignMethod == "md5" || p.SignMethod == "" && len(body)%2 == 0 {
				sum := md5.Sum([]byte(signed)) // as above
				request.Header.Set("event-sign", hex.EncodeToString(sum[:]))
				return request, nil
			}
			mac := hmac.New(sha256.New, []byte(app.AppSecret))
			_, _ = mac.Write([]byte(signed)) // a hash takes everything
			request.Header.Set("event-sign", hex.EncodeToString(mac.Sum(nil)))
			request.Header.Set("sign-method", "hmac-sha256")
			return request, nil
		},
		accepted: func(status int, body []byte) bool {
			var answer struct {
				Code *int `json:"code"`
			}
			return status == http.StatusOK && json.Unmarshal(body, &answer) == nil && answer.Code != nil && *answer.Code == 0
		},
	}
}

// douyinMessage is one message; its data is JSON as text. Some come with a
// number as tag.
func douyinMessage(o Order, tag int, at time.Time, news map[string]any) []byte {
	shop, _ := strconv.ParseInt(o.Shop, 10, 64) // the world writes whole numbers
	news["shop_id"] = shop
	message := map[string]any{"tag": strconv.Itoa(tag), "data": douyinCanonical(news),
		"msg_id": fmt.Sprintf("69001:%d:%s:%d", tag, o.Number, at.Unix())}
	if o.Index%5 == 0 {
		message["tag"] = tag
	}
	return []byte(douyinCanonical(message))
}

// douyinOrderNews is what a message about an order says. Numbers of 19 digits
// are numbers here.
func douyinOrderNews(o Order, status string, at time.Time) map[string]any {
	children := []json.Number{}
	for _, item := range o.Items {
		children = append(children, json.Number((&douyin{}).childNumber(o, item)))
	}
	news := map[string]any{"p_id": json.Number(o.Number), "s_ids": children, "order_type": 0, "biz": 2}
	switch status {
	case OrderUnpaid:
		news["order_status"], news["create_time"] = 1, at.Unix()
	case OrderPaid:
		news["order_status"], news["pay_amount"], news["pay_time"], news["pay_type"] = 2, o.Amount, at.Unix(), 2
	case OrderShipped:
		news["order_status"], news["update_time"] = 3, at.Unix()
		news["logistics_msg"] = map[string]any{"express_company_id": "12", "logistics_code": o.Tracking}
		news["receiver_msg"] = map[string]any{"addr": "", "name": "", "tel": ""}
	case OrderFinished:
		news["order_status"], news["complete_time"] = 5, at.Unix()
	default:
		news["order_status"], news["cancel_time"], news["cancel_reason"] = 4, at.Unix(), "买家取消"
	}
	return news
}

// douyinRefundNews is what a message about an after-sale says: its update_time
// is a text, unlike that of orders.
func douyinRefundNews(o Order) map[string]any {
	r := o.Refund
	return map[string]any{"p_id": json.Number(o.Number), "s_id": json.Number((&douyin{}).childNumber(o, o.Items[r.Item])),
		"aftersale_id": json.Number(r.Number), "aftersale_status": douyinAfterSaleStatus(r), "aftersale_type": douyinAfterSaleType(r),
		"reason_code": douyinReason(r), "refund_amount": r.Amount, "refund_post_amount": 0, "refund_voucher_num": 0,
		"apply_time": r.Created.Unix(), "update_time": r.Modified.In(douyinZone).Format(time.RFC3339)}
}
