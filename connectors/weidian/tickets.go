package weidian

import (
	"context"
	"encoding/json"
	"errors"

	"oneid/connectors"
)

// readTickets reads the refunds that changed: by their own list, or, where the
// app may not use it, from the orders that changed. A run stays with one of
// the two ways; both give the same entities.
func (c *Connector) readTickets(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) error {
	err := c.readRefunds(ctx, from, give)
	if withoutRefunds(err) {
		c.log.WarnContext(ctx, "refunds are read from the orders: the app may not list them", "error", err)
		return c.readRefundsOfOrders(ctx, from, give)
	}
	return err
}

// withoutRefunds says of an error that the app may not list refunds.
func withoutRefunds(err error) bool {
	var refused *connectors.Error
	return errors.As(err, &refused) && refused.Op == refundListing.method && withoutRefundList(refused.SystemCode)
}

// readRefunds reads the list of refunds. A record is
// {"refund":{…},"buyer_id":"…"}; the buyer is asked of the order where the
// refund does not name one.
func (c *Connector) readRefunds(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) error {
	// The count that walk begins with meets a missing right first, before
	// any page was given.
	return c.walk(ctx, refundListing, from, func(p connectors.Part) error {
		page := c.records(Tickets, p, p.Rows)
		page.Total = p.Expected
		if err := c.addBuyers(ctx, &page); err != nil {
			return err
		}
		return give(page)
	})
}

// addBuyers makes of each refund of a page {"refund":{…},"buyer_id":"…"}.
func (c *Connector) addBuyers(ctx context.Context, page *connectors.Page) error {
	return page.Each(ctx, c.cfg.Parallel, func(ctx context.Context, record *connectors.Record) error {
		var r struct {
			OrderID text `json:"orderId"`
			BuyerID text `json:"buyerId"`
		}
		if json.Unmarshal(record.Raw, &r) != nil {
			r.OrderID, r.BuyerID = "", ""
		}
		who := buyer{ID: string(r.BuyerID)}
		if (who.ID == "" || who.ID == "0") && r.OrderID != "" {
			var err error
			if who, err = c.buyerOf(ctx, listed{OrderID: r.OrderID}); err != nil {
				return err
			}
		}
		var err error
		record.Raw, err = marshal(struct {
			Refund  json.RawMessage `json:"refund"`
			BuyerID string          `json:"buyer_id"`
		}{record.Raw, who.ID})
		return err
	})
}

// buyerOf is who bought an order; nobody when the platform does not know it.
// Since the buyer of an order never changes, any version of it will do.
func (c *Connector) buyerOf(ctx context.Context, order listed) (buyer, error) {
	if who, ok := c.buyers.Get(order); ok {
		return who, nil
	}
	detail, err := c.detail(ctx, order)
	if err != nil || detail == nil {
		return buyer{}, err
	}
	who, err := readBuyer(detail)
	if err != nil {
		return buyer{}, nil
	}
	return who, nil
}

// readRefundsOfOrders reads refunds from the orders that changed: each item
// with a refund number is a record, {"list":{…},"detail":{…},"refund_no":"…"}.
func (c *Connector) readRefundsOfOrders(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) error {
	return c.walk(ctx, orderListing, from, func(p connectors.Part) error {
		page := c.records(Tickets, p, p.Rows)
		if err := c.refundsOfOrders(ctx, &page); err != nil {
			return err
		}
		return give(page)
	})
}

// refundsOfOrders makes records of the refunds that a page's orders name.
func (c *Connector) refundsOfOrders(ctx context.Context, page *connectors.Page) error {
	details, err := c.details(ctx, page.Records)
	if err != nil {
		return err
	}
	items := page.Records
	page.Records = nil
	for i, detail := range details {
		for _, number := range refundNumbers(detail) {
			record := items[i]
			record.Raw, err = marshal(struct {
				List     json.RawMessage `json:"list"`
				Detail   json.RawMessage `json:"detail"`
				RefundNo string          `json:"refund_no"`
			}{items[i].Raw, detail, number})
			if err != nil {
				return err
			}
			page.Records = append(page.Records, record)
		}
	}
	return nil
}

// refundNumbers lists the refunds that an order's items name, each once.
func refundNumbers(detail json.RawMessage) []string {
	var d struct {
		Items list[item] `json:"items"`
	}
	if len(detail) == 0 || json.Unmarshal(detail, &d) != nil {
		return nil
	}
	var numbers []string
	seen := make(map[text]bool)
	for _, it := range d.Items {
		if no := it.Refund.V.No; no != "" && no != "0" && !seen[no] {
			seen[no] = true
			numbers = append(numbers, string(no))
		}
	}
	return numbers
}
