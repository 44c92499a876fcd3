package weidian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"oneid/connectors"
)

var _ connectors.Pushed = (*Connector)(nil)

// pushSecret is what the secret part of an address is made of.
var pushSecret = regexp.MustCompile(`^[A-Za-z0-9_-]{20,}$`)

const pushPrefix = "weidian.order."

// The types of messages that are about an order alone, and of those about its
// refunds too.
var (
	orderTypes = map[string]bool{
		"non_payment": true, "already_payment": true, "delivered": true, "confirm_eceipt": true, // the platform's spelling
		"confirm_receipt": true, "finished": true, "close": true, "buyers_complaints": true, "complaints_have_been_processed": true,
	}
	refundTypes = map[string]bool{
		"buyers_apply_refund": true, "seller_submit_refund": true, "sellers_refused_refund": true,
		"refund_success": true, "refund_suc": true, "refund_byweidian": true,
	}
)

// Open checks that a push came to the address with the secret part, which
// stands for the signature that the platform does not make, and reads its
// message. That is a hint alone: nothing that it says is believed but the
// order's number.
func (c *Connector) Open(p connectors.Push) ([]connectors.Message, error) {
	got, want := sha256.Sum256([]byte(p.Key)), sha256.Sum256([]byte(c.cfg.PushSecret))
	if c.cfg.PushSecret == "" || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return nil, connectors.ErrRefused
	}
	messages := readPush(p.Body)
	if orderNumber(text(c.shop)) == "" {
		for i := range messages {
			messages[i].Shop = "" // the settings name the shop by a word, the platform by its number
		}
	}
	return messages, nil
}

var (
	errPushForm  = errors.New("the push is not the form with JSON in the field content that the platform sends")
	errPushOrder = errors.New("the message names no order")
)

// readPush reads the message of a push: a form whose field content is
// {"type","message","shopId"}, message being an order or its JSON as text.
func readPush(body []byte) []connectors.Message {
	m := connectors.Message{Raw: body, Err: errPushForm}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return []connectors.Message{m}
	}
	var content struct {
		Type    text `json:"type"`
		Shop    text `json:"shopId"`
		Message object[struct {
			OrderID text `json:"order_id"`
		}] `json:"message"`
	}
	raw := bytes.TrimSpace([]byte(form.Get("content")))
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &content) != nil {
		return []connectors.Message{m}
	}
	m.Type, m.Shop, m.Err = string(content.Type), string(content.Shop), nil
	kind, ours := strings.CutPrefix(m.Type, pushPrefix)
	if !ours || !orderTypes[kind] && !refundTypes[kind] {
		return []connectors.Message{m}
	}
	order := m
	if order.ID = orderNumber(content.Message.V.OrderID); order.ID == "" {
		order.Err = errPushOrder
		return []connectors.Message{order}
	}
	order.Stream = Orders
	if orderTypes[kind] {
		return []connectors.Message{order}
	}
	refund := order
	refund.Stream = Tickets
	return []connectors.Message{order, refund}
}

// orderNumber is an order's number, which is made of digits; else "".
func orderNumber(t text) string {
	if t == "0" || len(t) > 20 || strings.Trim(string(t), "0123456789") != "" {
		return ""
	}
	return string(t)
}

// Answer implements connectors.Pushed. What the platform does when it gets
// another answer than the first one is not documented.
func (c *Connector) Answer(err error) connectors.Answer {
	switch {
	case err == nil:
		return connectors.Answer{Status: http.StatusOK, Body: `{"status":"success"}`}
	case errors.Is(err, connectors.ErrRefused):
		return connectors.Answer{Status: http.StatusForbidden, Body: `{"status":"refused"}`}
	}
	return connectors.Answer{Status: http.StatusServiceUnavailable, Body: `{"status":"fail"}`}
}

// An order's time of change stands in the list only, and the list has no
// filter by number: the order is looked for among what changed lately, first
// in a narrow window and then in a wider one, in few pages. What is not found
// there is left to the pull.
var lookBack = []time.Duration{2 * time.Minute, time.Hour}

const lookPages = 4

// Fetch reads an order by its number, or the refunds of the order of that
// number.
func (c *Connector) Fetch(ctx context.Context, stream, id string) (connectors.Page, error) {
	switch stream {
	case Orders:
		row, err := c.changedLately(ctx, id)
		if err != nil || row == nil {
			return connectors.Page{}, err
		}
		page := c.records(Orders, connectors.Part{}, []json.RawMessage{row})
		err = c.addDetails(ctx, &page)
		return fetched(page), err
	case Tickets:
		return c.refundsOf(ctx, id)
	}
	return connectors.Page{}, connectors.ErrNoStream
}

// fetched names where a page's records came from.
func fetched(page connectors.Page) connectors.Page {
	page.Next = ""
	for i := range page.Records {
		page.Records[i].Origin = "a push"
	}
	for i := range page.Bad {
		page.Bad[i].Origin = "a push"
	}
	return page
}

// changedLately is an order's row of the list; nil if it is not found.
func (c *Connector) changedLately(ctx context.Context, id string) (json.RawMessage, error) {
	for _, back := range lookBack {
		now := c.client.now()
		w := connectors.Window{From: now.Add(-back), To: now}
		for n := 1; n <= lookPages; n++ {
			p, err := c.page(ctx, orderListing, w, n, c.cfg.PageSize)
			if err != nil {
				return nil, err
			}
			for _, row := range p.Rows {
				if l, err := readListed(row); err == nil && string(l.OrderID) == id {
					return row, nil
				}
			}
			if len(p.Rows) < c.cfg.PageSize {
				break
			}
		}
	}
	return nil, nil
}

// refundsOf are the refunds of an order, by the way by which they are pulled:
// their own list, which has a filter for it, or, where the app may not use
// that, the order's items.
func (c *Connector) refundsOf(ctx context.Context, order string) (connectors.Page, error) {
	byOrder := refundListing
	byOrder.params = func(_ connectors.Window, page, size int) map[string]any {
		return map[string]any{"orderIdList": []string{order}, "pageNum": page - 1, "pageSize": size}
	}
	p, err := c.page(ctx, byOrder, connectors.Window{}, 1, c.cfg.PageSize)
	if withoutRefunds(err) {
		row, err := c.changedLately(ctx, order)
		if err != nil || row == nil {
			return connectors.Page{}, err
		}
		page := c.records(Tickets, connectors.Part{}, []json.RawMessage{row})
		err = c.refundsOfOrders(ctx, &page)
		return fetched(page), err
	}
	if err != nil {
		return connectors.Page{}, err
	}
	page := c.records(Tickets, connectors.Part{}, p.Rows)
	err = c.addBuyers(ctx, &page)
	return fetched(page), err
}
