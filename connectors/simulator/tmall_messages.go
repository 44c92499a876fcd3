package simulator

import (
	"strconv"
	"time"
)

// tmallRepeat is after how long an unconfirmed message comes again.
const tmallRepeat = 5 * time.Minute

// tmallFirstMessage is the number of the first message.
const tmallFirstMessage = 4_160_000_000_000_000_001

// The topics of messages, by an order's and a refund's status.
var (
	tmallTopics = map[string]string{OrderUnpaid: "taobao_trade_TradeCreate", OrderPaid: "taobao_trade_TradeBuyerPay", OrderShipped: "taobao_trade_TradeSellerShip",
		OrderFinished: "taobao_trade_TradeSuccess", OrderClosedUnpaid: "taobao_trade_TradeClose", OrderClosedRefunded: "taobao_trade_TradeClose"}
	tmallRefundTopics = map[string]string{RefundAsked: "taobao_refund_RefundCreated", RefundAgreed: "taobao_refund_RefundSellerAgreeAgreement",
		RefundRefused: "taobao_refund_RefundSellerRefuseAgreement", RefundClosed: "taobao_refund_RefundClosed", RefundSuccess: "taobao_refund_RefundSuccess"}
)

// tmallNews is what a message tells of: an order in a state, or its refund.
type tmallNews struct {
	index  int
	status string
	at     int64
	refund bool
}

// A tmallMessage is a message that waits for its confirmation.
type tmallMessage struct {
	id  int64
	at  time.Time
	row tmallTree
}

// news is all that there are messages of, oldest first: what the world held at
// the beginning if TmallOptions.TellExisting, then each World.Change.
func (t *tmall) news() []tmallNews {
	var all []tmallNews
	if t.opts.TellExisting {
		t.existing.Do(func() {
			for index := range t.world.OrderCount(PlatformTmall) {
				o, ok := t.world.OrderAt(PlatformTmall, index)
				if !ok {
					continue
				}
				t.held = append(t.held, tmallNews{index, o.Status, o.Modified.Unix(), false})
				if o.Refund != nil {
					t.held = append(t.held, tmallNews{index, o.Refund.Status, o.Refund.Modified.Unix(), true})
				}
			}
		})
		all = append(all, t.held...)
	}
	for _, c := range t.world.changes(PlatformTmall) {
		all = append(all, tmallNews{c.index, c.status, c.modified, false})
	}
	return all
}

// waiting are messages that may go out now: a message comes until it is
// confirmed, again after some time.
func (t *tmall) waiting(most int) []tmallMessage {
	again := t.opts.MessagesAgain
	if again == 0 {
		again = tmallRepeat
	}
	all := t.news()
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.opts.Now()
	var out []tmallMessage
	for i, n := range all {
		id := tmallFirstMessage + int64(i)
		if len(out) == most || t.confirmed[id] || now.Sub(t.delivered[id]) < again {
			continue
		}
		if row, ok := t.message(id, n); ok {
			t.delivered[id] = now
			out = append(out, tmallMessage{id, moment(n.at), row})
		}
	}
	return out
}

// consume serves taobao.tmc.messages.consume: what happened to trades since the
// world was made, that is each World.Change. A message comes until it is
// confirmed, again after tmallRepeat. The shop's one group is the default one.
func (t *tmall) consume(p tmallParams) (tmallTree, *tmallFault) {
	if group := p["group_name"]; group != "" && group != tmcGroup {
		return nil, tmallInvalid("group_name")
	}
	quantity, fault := p.number("quantity", 100, 10, 200)
	if fault != nil {
		return nil, fault
	}
	messages := []any{}
	for _, m := range t.waiting(quantity) {
		messages = append(messages, m.row)
	}
	if len(messages) == 0 {
		return tmallTree{}, nil
	}
	return tmallTree{"messages": tmallTree{"tmc_message": messages}}, nil
}

func (t *tmall) message(id int64, n tmallNews) (tmallTree, bool) {
	o, ok := t.world.OrderAt(PlatformTmall, n.index)
	if !ok {
		return nil, false
	}
	shop := t.world.Shop(PlatformTmall)
	user, _ := strconv.ParseInt(shop.ID, 10, 64)
	tid, _ := strconv.ParseInt(o.Number, 10, 64)
	oid, _ := strconv.ParseInt(o.Items[0].Number, 10, 64)
	content := tmallTree{"tid": tid, "oid": oid, "seller_nick": shop.Name, "buyer_nick": tmallMask(o.Account.Nick), "buyer_open_uid": o.Account.OpenUID}
	topic := tmallTopics[n.status]
	if n.refund {
		topic = tmallRefundTopics[n.status]
		number, _ := strconv.ParseInt(o.Refund.Number, 10, 64)
		content["refund_id"], content["refund_fee"], content["refund_phase"] = number, tmallYuan(o.Refund.Amount), tmallPhase
		content["bill_type"], content["modified"] = "refund_bill", tmallTime(o.Refund.Modified)
	} else {
		content["status"], content["type"], content["payment"] = tmallStatus[n.status], t.kind(o), tmallYuan(o.Amount)
	}
	return tmallTree{"id": id, "topic": topic, "pub_app_key": "10000001", "pub_time": tmallTime(moment(n.at)),
		"user_id": user, "user_nick": shop.Name, "content": jsonText(content)}, true
}

// confirm serves taobao.tmc.messages.confirm. A number of no message says
// nothing.
func (t *tmall) confirm(p tmallParams) (tmallTree, *tmallFault) {
	ids := tmallList(p["s_message_ids"])
	if len(ids) > 200 {
		return nil, tmallInvalid("s_message_ids")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, text := range ids {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, tmallWrongType("s_message_ids")
		}
		if _, came := t.delivered[id]; came {
			t.confirmed[id] = true
		}
	}
	return tmallTree{"is_success": true}, nil
}
