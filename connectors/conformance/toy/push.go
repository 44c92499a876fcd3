package toy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"oneid/connectors"
)

// pushAge is how far a push's timestamp may be from our clock.
const pushAge = 10 * time.Minute

// pushStreams are the streams of what the platform pushes.
var pushStreams = map[string]string{"order.changed": Orders}

var _ connectors.Pushed = (*Connector)(nil)

// pushSign is the signature of a push: HMAC-SHA256 of its timestamp and its
// body, in hexadecimal.
func pushSign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Open implements connectors.Pushed.
func (c *Connector) Open(p connectors.Push) ([]connectors.Message, error) {
	timestamp := p.Header.Get("X-Toy-Time")
	at, err := strconv.ParseInt(timestamp, 10, 64)
	signed := c.cfg.PushSecret != "" && connectors.SameSignature(p.Header.Get("X-Toy-Sign"), pushSign(c.cfg.PushSecret, timestamp, p.Body))
	if err != nil || !signed || c.client.clock.Now().Sub(time.Unix(at, 0)).Abs() > pushAge {
		return nil, fmt.Errorf("toy: push to shop %s: %w", c.shop, connectors.ErrRefused)
	}
	var push struct {
		Event string                 `json:"event"`
		ID    connectors.LenientText `json:"id"`
	}
	m := connectors.Message{Raw: p.Body}
	switch {
	case json.Unmarshal(p.Body, &push) != nil:
		m.Err = errors.New("the push is not of the form that the platform promises")
	case pushStreams[push.Event] == "": // about nothing that is read
		m.Type = connectors.CleanCode(push.Event)
	case push.ID == "":
		m.Err = errors.New("the push names no id")
	default:
		m.Type, m.Stream, m.ID = connectors.CleanCode(push.Event), pushStreams[push.Event], string(push.ID)
	}
	return []connectors.Message{m}, nil
}

// Answer implements connectors.Pushed.
func (*Connector) Answer(err error) connectors.Answer {
	switch {
	case err == nil:
		return connectors.Answer{Status: http.StatusOK, Body: `{"code":"0"}`}
	case errors.Is(err, connectors.ErrRefused):
		return connectors.Answer{Status: http.StatusForbidden, Body: `{"code":"1"}`}
	}
	return connectors.Answer{Status: http.StatusServiceUnavailable, Body: `{"code":"2"}`}
}

// Fetch implements connectors.Fetcher: an order by its number, as a reading
// gives it.
func (c *Connector) Fetch(ctx context.Context, stream, id string) (connectors.Page, error) {
	if stream != Orders {
		return connectors.Page{}, fmt.Errorf("toy: fetch from %s of shop %s: %w", stream, c.shop, connectors.ErrNoStream)
	}
	var raw json.RawMessage
	err := c.client.call(ctx, "order.get", map[string]string{"id": id}, &raw)
	now := c.client.clock.Now()
	switch {
	case err == nil:
		return connectors.PageOf(stream, c.shop, "a push", now, []json.RawMessage{raw}), nil
	case connectors.ClassOf(err) == connectors.SkipRecord: // not there, or not yet
		return connectors.Page{Server: now}, nil
	}
	return connectors.Page{}, fmt.Errorf("toy: fetch an order of shop %s: %w", c.shop, err)
}
