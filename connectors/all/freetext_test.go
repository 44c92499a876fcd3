package all

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// tmallList is the order list among Tmall's tables.
const tmallList = "order list"

// What a buyer wrote in place of a reason of the list is in no field that BI reads, by
// API and by export; a reason of the list is.
func TestReasonsOfAHand(t *testing.T) {
	t.Parallel()
	keys := map[string]string{
		"tmall": `{"app_key":"1","app_secret":"x","session":"x"}`, "weidian": `{"app_key":"1","app_secret":"x","access_token":"x"}`,
		"douyin": `{"app_key":"1","app_secret":"x","app_id":1}`,
	}
	streams := map[string]string{"tmall": "tickets", "weidian": "tickets", "douyin": "aftersales"}
	api := map[string]string{
		"tmall":   `{"refund":{"refund_id":"17","tid":"37","status":"WAIT_SELLER_AGREE","created":"2024-05-20 01:30:00","refund_fee":"54.00","reason":%q,"ouid":"A"}}`,
		"weidian": `{"refund":{"refundNo":"17","orderId":"80","status":1,"refundFee":"54.00","refundReason":%q,"addTime":1767229000000,"updateTime":1767229000000,"buyerId":"19"}}`,
		"douyin":  `{"aftersale":{"aftersale_info":{"aftersale_id":"71","related_id":"69","aftersale_type":1,"aftersale_status":6,"create_time":1767229000,"apply_time":1767229000,"update_time":1767229000,"refund_amount":12900},"order_info":{"shop_order_id":"69"},"text_part":{"reason_text":%q}},"doudian_open_id":"1@#A"}`,
	}
	rows := map[string]func(reason string) map[string]string{
		"tmall": func(reason string) map[string]string {
			return map[string]string{"退款编号": "17", "订单编号": "37", "退款状态": "退款成功", "退款申请时间": "2024-05-20 01:30:00", "买家退款金额": "54.00", "买家退款原因": reason}
		},
		"douyin": func(reason string) map[string]string {
			return map[string]string{"售后单号": "71", "订单号": "69", "售后状态": "待商家处理", "售后类型": "仅退款", "售后申请时间": "2026-01-01 07:50:00", "退商品金额（元）": "129.00", "售后原因": reason}
		},
	}
	reasonsOf := func(t *testing.T, list []*events.Event, err error) []string {
		t.Helper()
		if err != nil || len(list) != 2 {
			t.Fatalf("%d events (%v), want the refund and the ticket", len(list), err)
		}
		return []string{list[0].GetRefund().GetReason(), list[1].GetTicket().GetSubject()}
	}
	for text, want := range map[string]string{"不喜欢/不想要": "不喜欢/不想要", "钱退到我妈那里，打13800001111": "", "寄到示例区示例路1号301室": ""} {
		for platform, form := range api {
			t.Run(platform+" "+text, func(t *testing.T) {
				t.Parallel()
				c, err := Open(platform, "s", json.RawMessage(keys[platform]))
				if err != nil {
					t.Fatal(err)
				}
				list, err := c.Map(connectors.Record{Stream: streams[platform], Shop: "s", Raw: fmt.Appendf(nil, form, text), Observed: time.Unix(1, 0)})
				if got := reasonsOf(t, list, err); !slices.Equal(got, []string{want, want}) {
					t.Errorf("%q, want %q", got, want)
				}
			})
		}
		for platform, row := range rows {
			t.Run(platform+", exported "+text, func(t *testing.T) {
				t.Parallel()
				exports := Exports[platform]
				sheet := exports.Sheets[slices.IndexFunc(exports.Sheets, func(s connectors.Sheet) bool { return s.Stream != "orders" })]
				raw, err := json.Marshal(connectors.ExportPayload{Entity: "17", Rows: []connectors.ExportRow{{Sheet: sheet.Name, Row: row(text)}}})
				if err != nil {
					t.Fatal(err)
				}
				list, err := exports.Map(connectors.Record{Stream: sheet.Stream, Shop: "s", Raw: raw, Observed: time.Unix(1, 0)})
				if got := reasonsOf(t, list, err); !slices.Equal(got, []string{want, want}) {
					t.Errorf("%q, want %q", got, want)
				}
			})
		}
	}
}

// A word of a status is the same word with full-width and half-width signs.
func TestStatusesOfEitherWidth(t *testing.T) {
	t.Parallel()
	rows := map[string]map[string]string{
		"tmall":   {"订单编号": "37", "买家应付货款": "54.00", "买家实际支付金额": "54.00", "订单创建时间": "2024-05-20 01:30:00"},
		"weidian": {"订单编号": "80", "下单时间": "2024-05-20 01:30:00", "订单金额": "54.00"},
		"douyin":  {"主订单编号": "69", "子订单编号": "70", "订单提交时间": "2024-05-20 01:30:00", "订单应付金额": "54.00"},
	}
	for _, c := range []struct {
		platform, word string
		want           events.OrderStatus
	}{
		{"tmall", "付款以后用户退款成功，交易自动关闭", events.OrderStatus_ORDER_STATUS_CLOSED},
		{"tmall", "付款以后用户退款成功,交易自动关闭", events.OrderStatus_ORDER_STATUS_CLOSED},
		{"tmall", "卖家已发货，等待买家确认", events.OrderStatus_ORDER_STATUS_SHIPPED},
		{"tmall", "卖家已发货, 等待买家确认", events.OrderStatus_ORDER_STATUS_SHIPPED},
		{"douyin", "已 完成", events.OrderStatus_ORDER_STATUS_FINISHED},
		{"weidian", "交易　成功", events.OrderStatus_ORDER_STATUS_FINISHED},
	} {
		t.Run(c.platform+" "+c.word, func(t *testing.T) {
			t.Parallel()
			exports := Exports[c.platform]
			row, sheet := map[string]string{"订单状态": c.word}, exports.Sheets[0].Name
			if c.platform == "tmall" {
				sheet = tmallList
			}
			for column, text := range rows[c.platform] {
				row[column] = text
			}
			raw, err := json.Marshal(connectors.ExportPayload{Entity: "37", Rows: []connectors.ExportRow{{Sheet: sheet, Row: row}}})
			if err != nil {
				t.Fatal(err)
			}
			list, err := exports.Map(connectors.Record{Stream: "orders", Shop: "s", Raw: raw, Observed: time.Unix(1, 0)})
			if err != nil || list[0].GetOrder().GetStatus() != c.want {
				t.Errorf("%v (%v), want %v", list, err, c.want)
			}
		})
	}
}
