package tmall

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5" // the message service's
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"oneid/connectors"
)

var _ connectors.Listening = (*Connector)(nil)

// messageService is the platform's production address.
const messageService = "ws://mc.api.taobao.com/"

const (
	// pullEvery is how often the service is asked for what waits, which keeps
	// the connection alive too; it sends what is new by itself (assumed).
	pullEvery = 30 * time.Second
	// heartbeat is how often the connection is tried, and answerIn how long an
	// answer may take.
	heartbeat = 45 * time.Second
	answerIn  = 10 * time.Second
	// reconnectMin and reconnectMax bound the doubling pause before a
	// connection that broke is made anew.
	reconnectMin = time.Second
	reconnectMax = time.Minute
	// atOnce is how many messages are being kept at the same time.
	atOnce = 16
)

// Listens implements connectors.Listening.
func (c *Connector) Listens() bool { return c.cfg.Messages }

// Listen takes the messages of the message service until ctx ends; it returns
// nil then. A connection that breaks is made anew; the service's refusal to
// connect is returned.
func (c *Connector) Listen(ctx context.Context, take func(context.Context, []connectors.Message) error) error {
	pause := reconnectMin
	for {
		connected, err := c.session(ctx, take)
		var refused *connectors.Error
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &refused) && refused.Class >= connectors.StopStream:
			return err
		case connected:
			pause = reconnectMin
		}
		c.log.DebugContext(ctx, "the message service's connection ended; it is made anew", "error", err)
		timer := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // not a secret
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		pause = min(2*pause, reconnectMax)
	}
}

// session is one connection, from its making to its end; connected says that
// the service let us in.
func (c *Connector) session(ctx context.Context, take func(context.Context, []connectors.Message) error) (connected bool, err error) {
	seller, err := c.seller(ctx)
	if err != nil {
		return false, err
	}
	dialling, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	conn, _, err := websocket.Dial(dialling, c.cfg.MessageURL, nil) //nolint:bodyclose // of an upgraded connection there is none
	if err != nil {
		return false, fmt.Errorf("tmall: connect to the message service: %w", errConnect)
	}
	defer conn.CloseNow() //nolint:errcheck // it ended
	conn.SetReadLimit(maxFrame)
	token, err := c.signIn(dialling, conn)
	if err != nil {
		return false, err
	}
	// Messages in hand are kept and confirmed before the connection is left.
	group, working := errgroup.WithContext(ctx)
	keeping, kept := errgroup.WithContext(working)
	keeping.SetLimit(atOnce)
	group.Go(func() error { return c.keepAlive(working, conn, token) })
	group.Go(func() error {
		for {
			_, raw, err := conn.Read(working)
			if err != nil {
				return errors.Join(errConnect, keeping.Wait())
			}
			f, err := decodeFrame(raw)
			if err != nil {
				return errors.Join(err, keeping.Wait())
			}
			if f.kind != frameSend || f.fields[kindField] != int64(kindData) {
				continue
			}
			keeping.Go(func() error { return c.keep(kept, conn, token, seller, f.fields, take) })
		}
	})
	return true, group.Wait()
}

// errConnect stands for an error of the connection, whose text may name an
// address.
var errConnect = errors.New("the message service cannot be reached, or has closed the connection")

// signIn sends the first frame, and gives the token of the later ones.
func (c *Connector) signIn(ctx context.Context, conn *websocket.Conn) (token string, err error) {
	timestamp := strconv.FormatInt(c.client.now().UnixMilli(), 10)
	first := encodeFrame(frameConnect, "",
		field{"app_key", c.cfg.AppKey}, field{"group_name", c.cfg.MessageGroup}, field{"timestamp", timestamp},
		field{"sign", messageSign(c.cfg.AppSecret, c.cfg.AppKey, c.cfg.MessageGroup, timestamp)}, field{"sdk", "oneid"})
	if err := conn.Write(ctx, websocket.MessageBinary, first); err != nil {
		return "", errConnect
	}
	_, raw, err := conn.Read(ctx)
	if err != nil {
		return "", errConnect
	}
	ack, err := decodeFrame(raw)
	switch {
	case err != nil:
		return "", err
	case ack.kind != frameConnectAck:
		return "", errFrame
	case ack.status != 0 || ack.token == "":
		return "", &connectors.Error{
			Platform: Platform, Shop: c.shop, Op: "messages", Class: connectors.StopStream, Kind: connectors.ErrUnauthorized,
			SystemCode: strconv.Itoa(int(ack.status)), Mend: "look at app_key, app_secret and message_group, and at the message service in the app's console",
		}
	}
	return ack.token, nil
}

// messageSign signs the first frame: MD5 in upper-case hexadecimal.
func messageSign(secret, appKey, group, timestamp string) string {
	sum := md5.Sum([]byte(secret + "app_key" + appKey + "group_name" + group + "timestamp" + timestamp + secret))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// keepAlive asks for what waits, at once and now and then, and finds out when
// the other end is gone.
func (c *Connector) keepAlive(ctx context.Context, conn *websocket.Conn, token string) error {
	pull := encodeFrame(frameSend, token, field{kindField, byte(kindPull)})
	pulls, beats := time.NewTicker(pullEvery), time.NewTicker(heartbeat)
	defer pulls.Stop()
	defer beats.Stop()
	for {
		if err := conn.Write(ctx, websocket.MessageBinary, pull); err != nil {
			return errConnect
		}
	waiting:
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-pulls.C:
				break waiting
			case <-beats.C:
				beat, cancel := context.WithTimeout(ctx, answerIn)
				err := conn.Ping(beat)
				cancel()
				if err != nil {
					return errConnect
				}
			}
		}
	}
}

// keep has one message kept, and confirms it then. One that could not be kept
// is not confirmed, so it comes again.
func (c *Connector) keep(ctx context.Context, conn *websocket.Conn, token, seller string, fields map[string]any, take func(context.Context, []connectors.Message) error) error {
	if take(ctx, readMessage(fields, seller)) != nil {
		return nil
	}
	id, ok := fields["id"].(int64)
	if !ok {
		return nil
	}
	if err := conn.Write(ctx, websocket.MessageBinary, encodeFrame(frameSend, token, field{kindField, byte(kindConfirm)}, field{"id", id})); err != nil {
		return errConnect
	}
	return nil
}

// seller is the number of the shop's seller, by which messages of other sellers
// of the app are told apart; "" when the app may not ask.
func (c *Connector) seller(ctx context.Context) (string, error) {
	var answer struct {
		User struct {
			ID text `json:"user_id"`
		} `json:"user"`
	}
	err := c.client.call(ctx, "taobao.user.seller.get", map[string]string{"fields": "user_id"}, &answer)
	if errors.Is(err, connectors.ErrForbidden) {
		return "", nil
	}
	return string(answer.User.ID), err
}

var (
	errContent = errors.New("the message's content is not the JSON object that the platform promises")
	errTrade   = errors.New("the message names no trade")
	errRefund  = errors.New("the message names no refund")
)

// maxContent bounds a content that came compressed.
const maxContent = maxFrame

// readMessage reads the fields of a message: what it is about, a refund and its
// trade if both.
func readMessage(fields map[string]any, seller string) []connectors.Message {
	content, readable := contentOf(fields["content"])
	m := connectors.Message{Raw: content, Type: fieldText(fields["topic"])}
	if user := fieldText(fields["userid"]); seller != "" && user != "" && user != seller {
		m.Shop = "user " + user // no shop is called so
	}
	ofTrade := strings.HasPrefix(m.Type, "taobao_trade_")
	ofRefund := strings.HasPrefix(m.Type, "taobao_refund_") || strings.HasPrefix(m.Type, "taobao_dispute_") || strings.HasPrefix(m.Type, "tmall_refund_")
	if !ofTrade && !ofRefund {
		return []connectors.Message{m}
	}
	var about struct {
		Trade  text `json:"tid"`
		Refund text `json:"refund_id"`
		Claim  text `json:"biz_claim_type"`
	}
	if trimmed := bytes.TrimSpace(content); !readable || len(trimmed) == 0 || trimmed[0] != '{' || json.Unmarshal(trimmed, &about) != nil {
		m.Err = errContent
		return []connectors.Message{m}
	}
	trade, refund := m, m
	if trade.ID = entity(about.Trade); trade.ID == "" {
		trade.Err = errTrade
	} else {
		trade.Stream = Orders
	}
	// An exchange has a number of its own kind, and is no refund.
	if ofTrade || about.Claim == "4" || about.Claim == "6" {
		return []connectors.Message{trade}
	}
	if refund.ID = entity(about.Refund); refund.ID == "" {
		refund.Err = errRefund
		return []connectors.Message{refund}
	}
	refund.Stream = Tickets
	if trade.ID == "" {
		return []connectors.Message{refund}
	}
	return []connectors.Message{refund, trade}
}

// entity is a number of the platform's, which is made of digits; else "".
func entity(t text) string {
	if t == "0" || len(t) > 20 || strings.Trim(string(t), "0123456789") != "" {
		return ""
	}
	return string(t)
}

// fieldText is a field's text, or its number as text.
func fieldText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return ""
}

// contentOf is a message's content, which may come compressed.
func contentOf(value any) (content []byte, ok bool) {
	switch v := value.(type) {
	case string:
		return []byte(v), true
	case []byte:
		if !bytes.HasPrefix(v, []byte{0x1f, 0x8b}) {
			return v, true
		}
		unpacked, err := gzip.NewReader(bytes.NewReader(v))
		if err != nil {
			return v, false
		}
		plain, err := io.ReadAll(io.LimitReader(unpacked, maxContent+1))
		if err != nil || len(plain) > maxContent {
			return v, false
		}
		return plain, true
	}
	return nil, false
}

const (
	orderDetail  = "taobao.trade.fullinfo.get"
	refundDetail = "taobao.refund.get"
)

// Fetch reads an order or a refund by its number.
func (c *Connector) Fetch(ctx context.Context, stream, id string) (connectors.Page, error) {
	var rows []json.RawMessage
	switch stream {
	case Orders:
		var answer struct {
			Trade json.RawMessage `json:"trade"`
		}
		if err := c.client.call(ctx, orderDetail, map[string]string{"fields": orderFields, "tid": id}, &answer); err != nil {
			return connectors.Page{}, err
		}
		row, err := c.named.one(ctx, answer.Trade)
		if err != nil {
			return connectors.Page{}, err
		}
		rows = row
	case Tickets:
		var answer struct {
			Refund json.RawMessage `json:"refund"`
		}
		err := c.client.call(ctx, refundDetail, map[string]string{"fields": refundFields, "refund_id": id}, &answer)
		if err == nil && len(answer.Refund) > 0 {
			rows, err = c.refundRecords(ctx, []json.RawMessage{answer.Refund}, true)
		}
		if err != nil {
			return connectors.Page{}, err
		}
	default:
		return connectors.Page{}, connectors.ErrNoStream
	}
	page := connectors.Page{Server: c.client.now().UTC()}
	for _, raw := range rows {
		page.Records = append(page.Records, connectors.Record{Stream: stream, Shop: c.shop, Raw: raw, Observed: page.Server, Origin: "a message"})
	}
	return page, nil
}
