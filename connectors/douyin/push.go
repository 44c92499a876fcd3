package douyin

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5" // the platform's older sign method
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"oneid/connectors"
)

var (
	_ connectors.Pushed = (*Connector)(nil)
	_ connectors.Aging  = (*Connector)(nil)
)

// The tags of messages that are about an order, and of those about an
// after-sale, which changes its order too.
var (
	orderTags = set("100", "101", "102", "103", "104", "105", "106", "108", "109", "110", "111", "113", "126")
	saleTags  = set("200", "201", "202", "203", "204", "205", "206", "207", "208", "209", "211", "212", "213", "214", "215",
		"216", "217", "218", "224", "225", "226", "227")
)

func set(tags ...text) map[text]bool {
	s := make(map[text]bool, len(tags))
	for _, tag := range tags {
		s[tag] = true
	}
	return s
}

// Open checks the signature of a push and reads its messages: a JSON array of
// {"tag","msg_id","data"}, data being JSON as text. A body that is signed and
// has another form is one message that cannot be understood.
func (c *Connector) Open(p connectors.Push) ([]connectors.Message, error) {
	if subtle.ConstantTimeCompare([]byte(p.Header.Get("app-id")), []byte(c.cfg.AppKey)) != 1 {
		return nil, connectors.ErrRefused
	}
	signed := p.Header.Get("event-sign")
	want := pushSign(pushSignMethod(p.Header.Get("sign-method"), signed), c.cfg.AppKey, c.cfg.AppSecret, p.Body)
	if want == "" || subtle.ConstantTimeCompare([]byte(strings.ToLower(signed)), []byte(want)) != 1 {
		return nil, connectors.ErrRefused
	}
	return readPush(p.Body), nil
}

// pushSignMethod is how a push is signed. Older apps do not say it: the length
// of the signature decides then (assumed).
func pushSignMethod(said, signed string) string {
	switch {
	case said != "":
		return strings.ToLower(said)
	case len(signed) == 2*sha256.Size:
		return signHMAC
	}
	return signMD5
}

// pushSign is the signature of a push's raw bytes; empty for a method that is
// not known.
func pushSign(method, appKey, secret string, body []byte) string {
	signed := append(append([]byte(appKey), body...), secret...)
	switch method {
	case signMD5:
		sum := md5.Sum(signed)
		return hex.EncodeToString(sum[:])
	case signHMAC:
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(signed)
		return hex.EncodeToString(mac.Sum(nil))
	}
	return ""
}

var (
	errPushForm  = errors.New("the push is not the JSON array that the platform promises")
	errPushData  = errors.New("the message's data is not a JSON object as text")
	errPushOrder = errors.New("the message names no order")
	errPushSale  = errors.New("the message names no after-sale")
)

// readPush reads the messages of a push.
func readPush(body []byte) []connectors.Message {
	var rows []json.RawMessage
	if json.Unmarshal(body, &rows) != nil || rows == nil { // null
		return []connectors.Message{{Raw: body, Err: errPushForm}}
	}
	var messages []connectors.Message
	for _, row := range rows {
		messages = append(messages, readMessage(row)...)
	}
	return messages
}

// readMessage reads one message: what it is about, an after-sale and its order
// if both. Numbers of 19 digits stay as they are written.
func readMessage(row json.RawMessage) []connectors.Message {
	m := connectors.Message{Raw: row}
	var envelope struct {
		Tag  text            `json:"tag"`
		Data json.RawMessage `json:"data"`
	}
	if row = bytes.TrimSpace(row); len(row) == 0 || row[0] != '{' || json.Unmarshal(row, &envelope) != nil {
		m.Err = errPushForm
		return []connectors.Message{m}
	}
	m.Type = string(envelope.Tag)
	if !orderTags[envelope.Tag] && !saleTags[envelope.Tag] {
		return []connectors.Message{m} // also the test message, tag 0
	}
	var about object[struct {
		Shop    text `json:"shop_id"`
		Order   text `json:"p_id"`
		Sale    text `json:"aftersale_id"`
		SaleToo text `json:"after_sale_id"` // the detail's spelling
	}]
	if json.Unmarshal(envelope.Data, &about) != nil {
		m.Err = errPushData
		return []connectors.Message{m}
	}
	m.Shop = string(about.V.Shop)
	order, sale := m, m
	order.Stream, order.ID = Orders, number(about.V.Order)
	if order.ID == "" {
		order.Stream, order.Err = "", errPushOrder
	}
	if orderTags[envelope.Tag] {
		return []connectors.Message{order}
	}
	sale.Stream, sale.ID = Aftersales, number(about.V.Sale)
	if sale.ID == "" {
		sale.ID = number(about.V.SaleToo)
	}
	switch {
	case sale.ID == "":
		sale.Stream, sale.Err = "", errPushSale
		return []connectors.Message{sale}
	case order.ID == "":
		return []connectors.Message{sale}
	}
	return []connectors.Message{sale, order}
}

// number is a number of the platform's, which is made of digits; else "".
func number(t text) string {
	if t == "0" || len(t) > 20 || strings.Trim(string(t), "0123456789") != "" {
		return ""
	}
	return string(t)
}

// Answer implements connectors.Pushed. What the platform does with a failure is
// not documented; these are the codes that its examples give.
func (c *Connector) Answer(err error) connectors.Answer {
	switch {
	case err == nil:
		return connectors.Answer{Status: http.StatusOK, Body: `{"code":0,"msg":"success"}`}
	case errors.Is(err, connectors.ErrRefused):
		return connectors.Answer{Status: http.StatusForbidden, Body: `{"code":40041,"msg":"refused"}`}
	}
	return connectors.Answer{Status: http.StatusServiceUnavailable, Body: `{"code":1,"msg":"try again"}`}
}

// youngTags are of orders that are new, or wait for their payment: a message
// tells no order's age. That no order is paid later than 90 days after it was
// created is assumed.
var youngTags = set("100", "101")

// StillListed implements connectors.Aging: orders are listed for 90 days after
// they were created, and after-sales by their change.
func (c *Connector) StillListed(stream, tag string) bool {
	return stream != Orders || youngTags[text(tag)]
}

// saleByNumber lists one after-sale, in the form of the others.
const saleByNumber = "afterSale.List"

// Fetch reads an order or an after-sale by its number. Of an after-sale the
// list is asked first, by its filter: its rows are what Map knows, while the detail
// spells its names otherwise. It shows those of the last six months.
func (c *Connector) Fetch(ctx context.Context, stream, id string) (connectors.Page, error) {
	switch stream {
	case Orders:
		var answer entity
		if err := c.client.call(ctx, "order.orderDetail", map[string]any{"shop_order_id": id}, &answer); err != nil {
			return connectors.Page{}, err
		}
		order := orderIn(answer)
		if number, buyer, err := orderKey(order); err == nil {
			c.learn(number, buyer)
		}
		return c.fetched(Orders, order), nil
	case Aftersales:
		var answer struct {
			Items list[json.RawMessage] `json:"items"`
		}
		if err := c.client.call(ctx, saleByNumber, map[string]any{"aftersale_id": id, "page": 0, "size": 1}, &answer); err != nil {
			return connectors.Page{}, err
		}
		if len(answer.Items) == 0 {
			return connectors.Page{}, nil
		}
		raw, err := c.whole(ctx, aftersaleListing, answer.Items[0], true)
		if err != nil {
			return connectors.Page{}, err
		}
		return c.fetched(Aftersales, raw), nil
	}
	return connectors.Page{}, connectors.ErrNoStream
}

// fetched is the page of one entity; an empty one of none.
func (c *Connector) fetched(stream string, raw json.RawMessage) connectors.Page {
	now := c.client.now()
	page := connectors.Page{Server: now}
	if raw = bytes.TrimSpace(raw); len(raw) > 0 && raw[0] == '{' {
		page.Records = []connectors.Record{{Stream: stream, Shop: c.shop, Raw: raw, Observed: now.Truncate(time.Millisecond), Origin: "a push"}}
	}
	return page
}
