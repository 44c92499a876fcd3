package sobot

import (
	"errors"
	"net/http"

	"oneid/connectors"
)

var _ connectors.Pushed = (*Connector)(nil)

// Open checks that a push is signed by the desk, and reads which ticket it is
// about. What else it says is not used: its form is assumed, and the ticket is
// fetched.
func (c *Connector) Open(p connectors.Push) ([]connectors.Message, error) {
	record, err := c.verify(p.Header, p.Body, c.client.now())
	switch {
	case errors.Is(err, ErrPushBody):
		return []connectors.Message{{Raw: p.Body, Err: ErrPushBody}}, nil
	case err != nil:
		return nil, errors.Join(connectors.ErrRefused, err)
	}
	return []connectors.Message{{Type: "ticket", Stream: Tickets, ID: ticketID(record.Raw), Raw: p.Body}}, nil
}

// Answer implements connectors.Pushed. What the desk wants to hear, and what it
// does when it hears something else, is not documented.
func (c *Connector) Answer(err error) connectors.Answer {
	switch {
	case err == nil:
		return connectors.Answer{Status: http.StatusOK, Body: `{"ret_code":"000000"}`}
	case errors.Is(err, connectors.ErrRefused):
		return connectors.Answer{Status: http.StatusForbidden, Body: `{"ret_code":"403"}`}
	}
	return connectors.Answer{Status: http.StatusServiceUnavailable, Body: `{"ret_code":"503"}`}
}
