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

// refundRecord is the raw payload of a record of the tickets stream.
type refundRecord struct {
	Refund json.RawMessage `json:"refund"`
	// OUID is the buyer in this shop, where an order told it and the refund
	// does not; empty otherwise.
	OUID string `json:"ouid,omitempty"`
}

// refundRecords makes records of refunds, and learns from them which ouid
// belongs to which buyer_open_uid.
func (c *Connector) refundRecords(_ context.Context, _ connectors.Part, rows []json.RawMessage) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, len(rows))
	for i, row := range rows {
		var b buyerOf
		_ = json.Unmarshal(row, &b) // of a row that is no refund, Map says so
		record := refundRecord{Refund: row}
		if b.OUID == "" && b.OpenUID != "" {
			record.OUID = c.buyers.get(string(b.OpenUID))
		}
		c.buyers.put(string(b.OpenUID), string(b.OUID))
		raw, err := json.Marshal(record)
		if err != nil {
			return nil, err
		}
		out[i] = raw
	}
	return out, nil
}
