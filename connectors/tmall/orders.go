package tmall

import (
	"context"
	"encoding/json"
	"strings"

	"oneid/connectors"
)

// orderTypes must all be named: the platform's default leaves the later ones
// out without a word.
var orderTypes = []string{
	"guarantee_trade", "auto_delivery", "ec", "cod", "step",
	"tmall_i18n", "eticket", "nopaid", "o2o_offlinetrade", "pre_auth_type", "fenxiao",
}

// orderFields are the fields of an order that are asked for; "orders" brings
// the sub-orders. The five receiver fields and created are what the platform
// wants for oaid.
const orderFields = "tid,status,type,title,created,pay_time,modified,consign_time,end_time,payment,total_fee,post_fee," +
	"discount_fee,adjust_fee,received_payment,platform_subsidy_fee,coupon_fee,tmall_coupon_fee,point_fee,real_point_fee,step_trade_status,step_paid_fee,trade_from," +
	"buyer_nick,buyer_open_uid,receiver_name,receiver_mobile,receiver_phone,receiver_address,receiver_state," +
	"receiver_city,receiver_district,receiver_town,oaid,shipping_type,orders"

// simpleFields are what names an order's buyer.
const simpleFields = "tid,buyer_open_uid,ouid"

const (
	orderList       = "taobao.trades.sold.increment.get"
	simpleOrderList = "taobao.trades.simple.sold.increment.get"
	simpleOrder     = "taobao.trade.simple.get"
)

// changedOrders is a listing of orders by modification time. The first
// reading uses it too: an order that was created in the last three months was
// also changed in them, so it finds each that the listing by creation finds,
// and the older ones that were changed since.
func changedOrders(cfg Config, method, fields string) listing {
	return listing{
		method: method,
		params: map[string]string{"fields": fields, "type": strings.Join(cfg.OrderTypes, ",")},
		start:  "start_modified", end: "end_modified", page: "page_no",
		list: "trades", item: "trade", total: "total_results", hasNext: true,
	}
}

// orderListing lists orders, each with its buyer's ouid.
func (c *Connector) orderListing() listing {
	return c.withBuyers(changedOrders(c.cfg, orderList, orderFields), changedOrders(c.cfg, simpleOrderList, simpleFields))
}

// withBuyers is a listing of orders, which another one names the buyers of; one without a
// method leaves it to the order itself.
func (c *Connector) withBuyers(l, simple listing) listing {
	n := &naming{c: c, simple: simple}
	l.records = n.records
	return l
}

// orderRecord is the raw payload of a record of the orders stream.
type orderRecord struct {
	Trade json.RawMessage `json:"trade"`
	// OUID is the buyer in this shop; empty when the platform does not say.
	OUID string `json:"ouid,omitempty"`
}

// naming finds the ouid of each order's buyer: the order list gives only
// buyer_open_uid, the simple list gives both.
type naming struct {
	c      *Connector
	simple listing
}

// buyerOf is what of an order names its buyer.
type buyerOf struct {
	TID     text `json:"tid"`
	OpenUID text `json:"buyer_open_uid"`
	OUID    text `json:"ouid"`
}

// readBuyer reads what of a row names its buyer. Each row of a page comes by
// here: it is cut and not decoded. Of a row that is no order (or refund) it is
// empty, and Map says so.
func readBuyer(row json.RawMessage) (b buyerOf) {
	fields := [...]*text{&b.TID, &b.OpenUID, &b.OUID}
	for i, value := range connectors.Find(row, "tid", "buyer_open_uid", "ouid") {
		if value != nil {
			_ = fields[i].UnmarshalJSON(value) // Map says so
		}
	}
	return b
}

// recordOf is a raw payload: a row under its name, its buyer in this shop where
// that is known, and what else there is.
func recordOf(name string, row json.RawMessage, ouid text, more ...connectors.Member) (json.RawMessage, error) {
	members := append([]connectors.Member{{Name: name, Value: row}}, more...)
	if ouid != "" {
		quoted, err := json.Marshal(ouid)
		if err != nil {
			return nil, err
		}
		members = append(members, connectors.Member{Name: "ouid", Value: quoted})
	}
	return connectors.Object(members...), nil
}

// records joins a page's orders with their buyers' ouid: from what is known,
// from the simple list's page of the same number, and for an order that has
// moved off it by asking for it alone.
func (n *naming) records(ctx context.Context, at connectors.Part, rows []json.RawMessage) ([]json.RawMessage, error) {
	buyers := make([]buyerOf, len(rows))
	unknown := false
	for i, row := range rows {
		buyers[i] = readBuyer(row)
		n.resolve(&buyers[i])
		unknown = unknown || n.asks(buyers[i])
	}
	if unknown {
		if n.simple.method != "" {
			if err := n.askPage(ctx, at); err != nil {
				return nil, err
			}
		}
		for i := range buyers {
			n.resolve(&buyers[i])
			if n.asks(buyers[i]) {
				if err := n.askOne(ctx, &buyers[i]); err != nil {
					return nil, err
				}
			}
		}
	}
	out := make([]json.RawMessage, len(rows))
	for i, row := range rows {
		var err error
		if out[i], err = recordOf("trade", row, buyers[i].OUID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// one is the record of one order, which is asked for alone; none of no order.
func (n *naming) one(ctx context.Context, row json.RawMessage) ([]json.RawMessage, error) {
	if len(row) == 0 {
		return nil, nil
	}
	b := readBuyer(row)
	n.resolve(&b)
	if n.asks(b) {
		if err := n.askOne(ctx, &b); err != nil {
			return nil, err
		}
	}
	raw, err := recordOf("trade", row, b.OUID)
	return []json.RawMessage{raw}, err
}

// learn notes the ouid of a buyer who has one.
func (c *Connector) learn(b buyerOf) {
	if b.OpenUID != "" && b.OUID != "" {
		c.buyers.Put(b.OpenUID, b.OUID)
	}
}

// asks says that the platform knows more of this buyer than we.
func (n *naming) asks(b buyerOf) bool { return b.OUID == "" && b.TID != "" && b.OpenUID != "" }

func (n *naming) resolve(b *buyerOf) {
	if b.OUID == "" && b.OpenUID != "" {
		b.OUID, _ = n.c.buyers.Get(b.OpenUID)
	}
}

func (n *naming) askPage(ctx context.Context, at connectors.Part) error {
	_, err := n.c.names.Call(func() error {
		a, err := n.c.list(ctx, n.simple, at.Window, at.Number, true)
		if refused(err) && n.c.aged(at.Window) {
			return nil // each order of the page is asked for alone
		}
		for _, row := range a.Rows {
			n.c.learn(readBuyer(row))
		}
		return err
	})
	return err
}

// askOne asks for the ouid of one order's buyer; the order stays without it where
// the platform does not say.
func (n *naming) askOne(ctx context.Context, b *buyerOf) error {
	var one struct {
		Trade buyerOf `json:"trade"`
	}
	answered, err := n.c.names.Call(func() error {
		return n.c.client.call(ctx, simpleOrder, map[string]string{"fields": simpleFields, "tid": string(b.TID)}, &one)
	})
	if answered {
		b.OUID = one.Trade.OUID
		n.c.learn(*b)
	}
	return err
}
