package weidian

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"oneid/connectors"
)

// errNoDetail: the list names an order that cannot be had.
var errNoDetail = errors.New("the platform lists the order but gives no detail of it (code 20018)")

// readOrders reads the orders that changed: the list says which, and when; the
// detail says the rest. A record is {"list":{…},"detail":{…}}, since the time
// of the last change stands in the list only.
func (c *Connector) readOrders(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) error {
	return c.walk(ctx, orderListing, from, func(p connectors.Part) error {
		page := c.records(Orders, p, p.Rows)
		page.Total = p.Expected
		if err := c.addDetails(ctx, &page); err != nil {
			return err
		}
		return give(page.Checked())
	})
}

// addDetails joins the list's rows of a page with their details.
func (c *Connector) addDetails(ctx context.Context, page *connectors.Page) error {
	details, err := c.details(ctx, page.Records)
	if err != nil {
		return err
	}
	kept := page.Records[:0]
	for i, record := range page.Records {
		if details[i] == nil {
			page.Bad = append(page.Bad, connectors.BadRecord{Raw: record.Raw, Origin: record.Origin, Err: errNoDetail})
			continue
		}
		record.Raw = both(record.Raw, details[i])
		kept = append(kept, record)
	}
	page.Records = kept
	return nil
}

// both is the raw payload of an order.
func both(listed, detail json.RawMessage) json.RawMessage {
	return connectors.Object(connectors.Member{Name: "list", Value: listed}, connectors.Member{Name: "detail", Value: detail})
}

// details asks for the orders of list items, several at the same time; nil for
// one that the platform does not know.
func (c *Connector) details(ctx context.Context, items []connectors.Record) ([]json.RawMessage, error) {
	details := make([]json.RawMessage, len(items))
	group, inner := errgroup.WithContext(ctx)
	var next atomic.Int64
	// A goroutine an item would grow its stack anew for each call.
	for range min(c.cfg.Parallel, len(items)) {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < len(items); i = int(next.Add(1)) - 1 {
				listed, err := readListed(items[i].Raw)
				if err != nil || listed.OrderID == "" {
					details[i] = json.RawMessage("{}") // Map names what is wrong
					continue
				}
				if details[i], err = c.detail(inner, listed); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return details, group.Wait()
}

// listed is what is read of an order's place in the list.
type listed struct{ OrderID, Updated text }

// readListed reads a row of a page, which is valid JSON. Each comes by here: it
// is cut and not decoded.
func readListed(raw json.RawMessage) (l listed, err error) {
	found := connectors.Find(raw, "order_id", "update_time")
	for i, field := range []*text{&l.OrderID, &l.Updated} {
		if found[i] != nil {
			err = errors.Join(err, field.UnmarshalJSON(found[i]))
		}
	}
	return l, err
}

// orderAsked is the parameter of a method that gives one order.
type orderAsked struct {
	OrderID string `json:"order_id"`
}

// detail asks for one order; nil when the platform does not know it.
func (c *Connector) detail(ctx context.Context, of listed) (json.RawMessage, error) {
	var answer entity
	err := c.client.call(ctx, "vdian.order.get", c.cfg.DetailVersion, orderAsked{string(of.OrderID)}, &answer)
	if err != nil && connectors.ClassOf(err) == connectors.SkipRecord {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(answer) == 0 {
		return nil, nil
	}
	detail := json.RawMessage(answer)
	if b, err := readBuyer(detail); err == nil {
		c.buyers.Put(of, b)
	}
	return detail, nil
}
