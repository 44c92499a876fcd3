package simulator

import (
	"strconv"
	"time"
)

// tmallRepeat is after how long an unconfirmed message comes again.
const tmallRepeat = 5 * time.Minute

// tmallFirstMessage is the number of the first message.
const tmallFirstMessage = 4_160_000_000_000_000_001

var tmallTopics = map[string]string{OrderPaid: "taobao_trade_TradeBuyerPay", OrderShipped: "taobao_trade_TradeSellerShip",
	OrderFinished: "taobao_trade_TradeSuccess"}

// consume serves taobao.tmc.messages.consume: what happened to trades since the
// world was made, that is each World.Change. A message comes until it is
// confirmed, again after tmallRepeat. The shop's one group is the default one.
func (t *tmall) consume(p tmallParams) (tmallTree, *tmallFault) {
	if group := p["group_name"]; group != "" && group != "default" {
		return nil, tmallInvalid("group_name")
	}
	quantity, fault := p.number("quantity", 100, 10, 200)
	if fault != nil {
		return nil, fault
	}
	log := t.world.changes(PlatformTmall)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.opts.Now()
	messages := []any{}
	for i, change := range log {
		id := tmallFirstMessage + int64(i)
		if len(messages) == quantity || t.confirmed[id] || now.Sub(t.delivered[id]) < tmallRepeat {
			continue
		}
		if message, ok := t.message(id, change); ok {
			t.delivered[id] = now
			messages = append(messages, message)
		}
	}
	if len(messages) == 0 {
		return tmallTree{}, nil
	}
	return tmallTree{"messages": tmallTree{"tmc_message": messages}}, nil
}

func (t *tmall) message(id int64, c changedOrder) (tmallTree, bool) {
	o, ok := t.world.OrderAt(PlatformTmall, c.index)
	if !ok {
		return nil, false
	}
	shop := t.world.Shop(PlatformTmall)
	user, _ := strconv.ParseInt(shop.ID, 10, 64)
	tid, _ := strconv.ParseInt(o.Number, 10, 64)
	oid, _ := strconv.ParseInt(o.Items[0].Number, 10, 64)
	content := tmallTree{"tid": tid, "oid": oid, "status": tmallStatus[c.status], "type": "fixed", "payment": tmallYuan(o.Amount),
		"seller_nick": shop.Name, "buyer_nick": tmallMask(o.Account.Nick), "buyer_open_uid": o.Account.OpenUID}
	return tmallTree{"id": id, "topic": tmallTopics[c.status], "pub_app_key": "10000001", "pub_time": tmallTime(moment(c.modified)),
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
