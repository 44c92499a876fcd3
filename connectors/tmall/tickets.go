package tmall

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"oneid/connectors"
)

const refundList = "taobao.refunds.receive.get"

// refundFields are the fields of a refund that are asked for; the free text
// "desc" is not among them.
const refundFields = "refund_id,tid,oid,status,order_status,good_status,has_good_return,dispute_type,refund_phase," +
	"refund_version,created,modified,end_time,reason,total_fee,refund_fee,payment,title,num,sku,outer_id," +
	"buyer_nick,buyer_open_uid,ouid"

// refundListing lists refunds by modification time. The platform documents no
// longest window and no order for it, in which it is read like the orders, and no age:
// what changed at any time is asked for.
func (c *Connector) refundListing() listing {
	return listing{
		method: refundList,
		params: map[string]string{"fields": refundFields, "type": strings.Join(c.cfg.OrderTypes, ",")},
		start:  "start_modified", end: "end_modified", page: "page_no",
		list: "refunds", item: "refund", total: "total_results", hasNext: true, ageless: true,
		records: func(ctx context.Context, _ connectors.Part, rows []json.RawMessage) ([]json.RawMessage, error) {
			return c.refundRecords(ctx, rows, false)
		},
	}
}

// refundRecords makes records of refunds, {"refund":{…},"messages":[…],"ouid":"…"},
// and learns from them which ouid belongs to which buyer_open_uid. The buyer in
// this shop is added where an order told it and the refund does not. anew asks for
// the messages though the refund is as it was.
func (c *Connector) refundRecords(ctx context.Context, rows []json.RawMessage, anew bool) ([]json.RawMessage, error) {
	threads, err := c.refundThreads(ctx, rows, anew)
	if err != nil {
		return nil, err
	}
	out := make([]json.RawMessage, len(rows))
	for i, row := range rows {
		b := readBuyer(row)
		var known text
		if b.OUID == "" && b.OpenUID != "" {
			known, _ = c.buyers.Get(b.OpenUID)
		}
		c.learn(b)
		var more []connectors.Member
		if threads[i] != nil {
			more = []connectors.Member{{Name: "messages", Value: threads[i]}}
		}
		if out[i], err = recordOf("refund", row, known, more...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// refundThread gives what was said about a refund, by whom and when.
const refundThread = "taobao.refund.messages.get"

const (
	// threadFields leave out what was said, and who said it.
	threadFields = "id,owner_role,created,message_type"
	// threadPage is how many messages are asked for at a time: what the refunds'
	// list takes when it is not told. threadPages bounds those of one refund.
	threadPage  = 40
	threadPages = 25
	// threadsKept is how many refunds' threads are remembered: the overlap of a
	// window shows a refund again that was read a moment ago.
	threadsKept = 10_000
)

// version is one state of a refund.
type version struct{ id, modified text }

// refundThreads are the messages of each of some refunds; nil where the platform
// does not give them.
func (c *Connector) refundThreads(ctx context.Context, rows []json.RawMessage, anew bool) ([]json.RawMessage, error) {
	threads := make([]json.RawMessage, len(rows))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(c.cfg.Parallel)
	for i, row := range rows {
		group.Go(func() (err error) {
			threads[i], err = c.thread(inner, row, anew)
			return err
		})
	}
	return threads, group.Wait()
}

func (c *Connector) thread(ctx context.Context, row json.RawMessage, anew bool) (json.RawMessage, error) {
	var of version
	var phase text
	fields := [...]*text{&of.id, &of.modified, &phase}
	for i, value := range connectors.Find(row, "refund_id", "modified", "refund_phase") {
		if value != nil && fields[i].UnmarshalJSON(value) != nil {
			return nil, nil // Map says what is wrong
		}
	}
	if of.id == "" {
		return nil, nil
	}
	if known, ok := c.threads.Get(of); ok && !anew {
		return known, nil
	}
	var messages []json.RawMessage
	had, err := c.messages.Call(func() (err error) {
		if messages, err = c.said(ctx, of.id, phase); ofThisRefund(err) {
			return connectors.ErrMissing
		}
		return err
	})
	if !had || err != nil {
		return nil, err
	}
	thread, err := json.Marshal(messages)
	if err != nil {
		return nil, nil // one that is no JSON is none
	}
	c.threads.Put(of, thread)
	return thread, nil
}

// said asks for a refund's messages. In which order they come is not documented:
// all are read.
func (c *Connector) said(ctx context.Context, refund, phase text) ([]json.RawMessage, error) {
	all := []json.RawMessage{}
	for number := 1; number <= threadPages; number++ {
		var body json.RawMessage
		err := c.client.call(ctx, refundThread, map[string]string{
			"fields": threadFields, "refund_id": string(refund), "refund_phase": string(phase),
			"page_no": strconv.Itoa(number), "page_size": strconv.Itoa(threadPage),
		}, &body)
		if err != nil {
			return nil, err
		}
		page := unwrap(connectors.Find(body, "refund_messages")[0], "refund_message")
		for _, message := range page {
			all = append(all, connectors.Pick(message, "owner_role", "created", "message_type"))
		}
		if len(page) < threadPage {
			break
		}
	}
	return all, nil
}

// ofThisRefund says of a refusal that it is about the one refund's number or phase:
// a refund of Taobao's may have none, which Tmall's must have (documented).
func ofThisRefund(err error) bool {
	var refused *connectors.Error
	if !errors.As(err, &refused) || refused.Op != refundThread {
		return false
	}
	code, name, _ := strings.Cut(refused.SubCode, ":")
	return (code == "isv.invalid-parameter" || code == "isv.missing-parameter") && strings.HasPrefix(name, "refund_")
}
