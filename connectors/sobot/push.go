package sobot

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"oneid/connectors"
)

// maxPushAge is how far a push's timestamp may be from the desk's clock, which
// is ours until the desk has answered a call.
const maxPushAge = 5 * time.Minute

// Why a push is refused; each is wrapped with the shop.
var (
	// ErrPushNotSet: the settings have no secret for pushes.
	ErrPushNotSet = errors.New("pushes are not set up: company_id and push_secret are missing")
	// ErrPushSign: the signature is missing or wrong.
	ErrPushSign = errors.New("the push is not signed with the secret of these settings")
	// ErrPushTime: the timestamp is missing or too far from the desk's clock.
	ErrPushTime = errors.New("the push's timestamp is more than five minutes from the desk's clock")
	// ErrPushBody: what is signed is no ticket.
	ErrPushBody = errors.New("the push is no JSON object of a ticket with a ticketid (an encrypted body cannot be read: the desk does not say how it encrypts)")
)

// VerifyPush checks a call of the desk to the brand and reads the ticket in
// it, for Map: the same ticket in the same state has the same ce_id by push as
// by pull, so order and repetition do not matter. header and body are the
// request's own, now is the desk's clock. It touches nothing else.
//
// The desk documents how its calls are signed, for its look-ups in a brand's
// CRM (timestamp and sign in the header). What it pushes of tickets is not
// documented: assumed is the ticket itself, in JSON, as get_ticket_by_id gives
// it.
func (c *Connector) VerifyPush(header http.Header, body []byte, now time.Time) ([]connectors.Record, error) {
	record, err := c.verify(header, body, now)
	if err != nil {
		return nil, fmt.Errorf("sobot: push to shop %s: %w", c.shop, err)
	}
	return []connectors.Record{record}, nil
}

func (c *Connector) verify(header http.Header, body []byte, now time.Time) (connectors.Record, error) {
	if c.cfg.PushSecret == "" {
		return connectors.Record{}, ErrPushNotSet
	}
	timestamp := header.Get("timestamp")
	if !same(header.Get("sign"), pushSign(c.cfg.CompanyID, timestamp, c.cfg.PushSecret, body)) {
		return connectors.Record{}, ErrPushSign
	}
	if at, ok := instant(timestamp); !ok || now.Sub(at).Abs() > maxPushAge {
		return connectors.Record{}, ErrPushTime
	}
	if body = bytes.TrimSpace(body); ticketID(body) == "" {
		return connectors.Record{}, ErrPushBody
	}
	return connectors.Record{
		Stream: Tickets, Shop: c.shop, Raw: bytes.Clone(body), Observed: now.UTC().Truncate(time.Millisecond), Origin: "a push of a ticket",
	}, nil
}

// instant reads a timestamp in milliseconds. Its unit is said for the desk's
// page beside a chat alone; seconds are told from it by their size.
func instant(timestamp string) (time.Time, bool) {
	n, err := strconv.ParseInt(timestamp, 10, 64)
	const least = 100_000_000_000 // as milliseconds 1973, as seconds 5138
	switch {
	case err != nil || n <= 0 || n > year9999:
		return time.Time{}, false
	case n < least:
		return time.Unix(n, 0), true
	}
	return time.UnixMilli(n), true
}
