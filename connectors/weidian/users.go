package weidian

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"

	"oneid/connectors"
)

const (
	// userPage is how many users one page of ours holds.
	userPage = 500
	// maxSeen bounds the buyers that one run remembers: some 100 MB.
	maxSeen = 1_000_000
	// maxBuyers bounds what is remembered of orders' buyers: some 20 MB.
	maxBuyers = 100_000
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
	connectors.Members(detail, func(name string, value json.RawMessage) {
		switch name {
		case "user_phone":
			err = errors.Join(err, phone.UnmarshalJSON(value))
		case "buyer_info":
			err = errors.Join(err, who.UnmarshalJSON(value))
		}
	})
	return buyer{ID: string(who.V.ID), Phone: string(phone)}, err
}

// buyers remembers who bought, by version of an order, so that one stream need
// not ask for what another has just read.
type buyers struct {
	mu sync.Mutex
	// byOrder is guarded by mu.
	byOrder map[listed]buyer
}

func newBuyers() *buyers { return &buyers{byOrder: make(map[listed]buyer)} }

// learn notes the buyer of a version of an order. When there are too many, any
// other goes.
func (b *buyers) learn(order listed, who buyer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.byOrder) >= maxBuyers {
		for other := range b.byOrder {
			delete(b.byOrder, other)
			break
		}
	}
	b.byOrder[order] = who
}

func (b *buyers) of(order listed) (buyer, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	who, ok := b.byOrder[order]
	return who, ok
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
	seen := make(map[string]text) // buyer → phone
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
		if len(seen)+len(ids) > maxSeen {
			clear(seen) // some come twice then
		}
		for id, u := range window {
			seen[id] = u.Phone
		}
		clear(window)
		return nil
	})
}

// collect adds the buyers of list items to window, unless they were seen
// already with the same phone. Of several orders the one changed last counts.
func (c *Connector) collect(ctx context.Context, items []connectors.Record, seen map[string]text, window map[string]user) error {
	var unknown []connectors.Record
	add := func(order listed, who buyer) {
		phone, known := seen[who.ID]
		if who.ID == "" || who.ID == "0" || (known && string(phone) == who.Phone) || order.Updated < window[who.ID].Updated {
			return
		}
		window[who.ID] = user{BuyerID: text(who.ID), Phone: text(who.Phone), OrderID: order.OrderID, Updated: order.Updated}
	}
	for _, item := range items {
		order, err := readListed(item.Raw)
		if err != nil {
			continue // the orders stream reports it
		}
		if who, ok := c.buyers.of(order); ok {
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
