package tmall

import (
	"context"
	"encoding/json"
	"strings"

	"oneid/connectors"
)

const refundList = "taobao.refunds.receive.get"

// refundFields are the fields of a refund that are asked for; the free text
// "desc" is not among them.
const refundFields = "refund_id,tid,oid,status,order_status,good_status,has_good_return,dispute_type,refund_phase," +
	"refund_version,created,modified,end_time,reason,total_fee,refund_fee,payment,title,num,sku,outer_id," +
	"buyer_nick,buyer_open_uid,ouid"

// refundListing lists refunds by modification time. The platform documents no
// longest window and no order for it: it is read like the orders.
func (c *Connector) refundListing() listing {
	return listing{
		method: refundList,
		params: map[string]string{"fields": refundFields, "type": strings.Join(c.cfg.OrderTypes, ",")},
		start:  "start_modified", end: "end_modified", page: "page_no",
		list: "refunds", item: "refund", total: "total_results", hasNext: true,
		records: c.refundRecords,
	}
}

// refundRecords makes records of refunds, {"refund":{…},"ouid":"…"}, and learns
// from them which ouid belongs to which buyer_open_uid. The buyer in this shop
// is added where an order told it and the refund does not.
func (c *Connector) refundRecords(_ context.Context, _ connectors.Part, rows []json.RawMessage) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, len(rows))
	for i, row := range rows {
		b := readBuyer(row)
		var known text
		if b.OUID == "" && b.OpenUID != "" {
			known, _ = c.buyers.Get(b.OpenUID)
		}
		c.learn(b)
		var err error
		if out[i], err = recordOf("refund", row, known); err != nil {
			return nil, err
		}
	}
	return out, nil
}
