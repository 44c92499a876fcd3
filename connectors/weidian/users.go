package weidian

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"oneid/connectors"
)

const (
	// userPage is how many users one page of ours holds.
	userPage = 500
	// maxSeen bounds the buyers that one run remembers: some 5 MB. Of more, some
	// come twice, which changes nothing.
	maxSeen = 50_000
)

// buyer is what an order says of who bought.
type buyer struct {
	ID    string
	Phone string
}

// readBuyer reads the buyer of an order's detail, which is valid JSON.
func readBuyer(detail json.RawMessage) (buyer, error) {
	var phone text
	var who object[struct {
		ID text `json:"buyer_id"`
	}]
	if len(detail) == 0 || detail[0] != '{' {
		return buyer{}, connectors.ErrRow
	}
	var err error
	found := connectors.Find(detail, "user_phone", "buyer_info")
	if found[0] != nil {
		err = phone.UnmarshalJSON(found[0])
	}
	if found[1] != nil {
		err = errors.Join(err, connectors.DecodeValid(found[1], &who))
	}
	return buyer{ID: string(who.V.ID), Phone: string(phone)}, err
}

// user is the raw payload of a user: the order that named the buyer last.
type user struct {
	BuyerID text `json:"buyer_id"`
	Phone   text `json:"user_phone"`
	OrderID text `json:"order_id"`
	Updated text `json:"update_time"`
}

// readUsers reads the distinct buyers of the orders that changed, since the
// platform lists no buyers: each once in a run, and again with another phone.
func (c *Connector) readUsers(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) error {
	seen := connectors.NewRecent[string, text](maxSeen) // buyer → phone
	window := make(map[string]user)
	return c.walk(ctx, orderListing, from, func(p connectors.Part) error {
		if err := c.collect(ctx, c.records(Users, p, p.Rows).Records, seen, window); err != nil || !p.Last {
			return err
		}
		ids := slices.Sorted(maps.Keys(window))
		for i := 0; i == 0 || i < len(ids); i += userPage {
			var rows []json.RawMessage
			for _, id := range ids[i:min(i+userPage, len(ids))] {
				raw, err := marshal(window[id])
				if err != nil {
					return err
				}
				rows = append(rows, raw)
			}
			page := c.records(Users, p, rows)
			if i+userPage < len(ids) {
				page.Next = ""
			}
			if err := give(page); err != nil {
				return err
			}
		}
		for id, u := range window {
			seen.Put(id, u.Phone)
		}
		clear(window)
		return nil
	})
}

// collect adds the buyers of list items to window, unless they were seen
// already with the same phone. Of several orders the one changed last counts.
func (c *Connector) collect(ctx context.Context, items []connectors.Record, seen *connectors.Recent[string, text], window map[string]user) error {
	var unknown []connectors.Record
	add := func(order listed, who buyer) {
		phone, known := seen.Get(who.ID)
		if !connectors.Names(who.ID) || (known && string(phone) == who.Phone) || order.Updated < window[who.ID].Updated {
			return
		}
		window[who.ID] = user{BuyerID: text(who.ID), Phone: text(who.Phone), OrderID: order.OrderID, Updated: order.Updated}
	}
	for _, item := range items {
		order, err := readListed(item.Raw)
		if err != nil {
			continue // the orders stream reports it
		}
		if who, ok := c.buyers.Get(order); ok {
			add(order, who)
			continue
		}
		unknown = append(unknown, item)
	}
	details, err := c.details(ctx, unknown)
	if err != nil {
		return err
	}
	for i, detail := range details {
		order, _ := readListed(unknown[i].Raw)
		if who, err := readBuyer(detail); err == nil {
			add(order, who)
		}
	}
	return nil
}
