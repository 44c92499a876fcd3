package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oneid/identity"
	"oneid/internal/api"
	"oneid/internal/clickhouse"
	"oneid/internal/customer"
	"oneid/internal/customer/past"
)

// historyAPI answers who was who in the API's words.
type historyAPI struct {
	clickhouse *clickhouse.Conn
	timezone   string
}

var _ api.History = historyAPI{}

// OfAccount implements api.History.
func (h historyAPI) OfAccount(ctx context.Context, account, on string) ([]api.Move, error) {
	a, err := identity.ParseAccount(account)
	if err != nil {
		return nil, fmt.Errorf("%w: write an account as platform/shop/id", customer.ErrBadKey)
	}
	moves, err := past.Of(ctx, h.clickhouse, a)
	if err != nil {
		return nil, pastAPI(err)
	}
	if on != "" {
		zone, err := time.LoadLocation(h.timezone)
		if err != nil {
			return nil, err
		}
		was, known, err := past.OnDay(moves, on, zone)
		switch {
		case err != nil:
			return nil, pastAPI(err)
		case !known:
			return nil, fmt.Errorf("%w: on that day", customer.ErrNotFound)
		}
		moves = []past.Move{was}
	}
	return movesAPI(moves), nil
}

// OfCustomer implements api.History.
func (h historyAPI) OfCustomer(ctx context.Context, id string) (api.Fate, error) {
	parsed, err := identity.ParseCustomerID(id)
	if err != nil {
		return api.Fate{}, fmt.Errorf("%w: a customer_id is a UUID", customer.ErrBadKey)
	}
	fate, err := past.FateOf(ctx, h.clickhouse, parsed)
	if err != nil {
		return api.Fate{}, pastAPI(err)
	}
	out := api.Fate{ID: id, Accounts: append([]string{}, fate.Accounts...), Moves: movesAPI(fate.Moves)}
	if fate.RedirectsTo != (identity.CustomerID{}) {
		out.RedirectsTo, out.Since = fate.RedirectsTo.String(), &fate.Since
	}
	return out, nil
}

func movesAPI(moves []past.Move) []api.Move {
	out := make([]api.Move, len(moves))
	for i, m := range moves {
		out[i] = api.Move{Account: m.Account, At: m.At, To: m.To.String(), Why: m.Why}
		if m.From != (identity.CustomerID{}) {
			out[i].From = m.From.String()
		}
		for _, w := range m.Words {
			out[i].Words = append(out[i].Words, api.MoveBy(w))
		}
	}
	return out
}

// pastAPI is an error of the past in the API's words.
func pastAPI(err error) error {
	switch {
	case errors.Is(err, past.ErrUnknown):
		return fmt.Errorf("%w: %w", customer.ErrNotFound, err)
	case errors.Is(err, past.ErrDay):
		return fmt.Errorf("%w: write a day as 2026-11-11", customer.ErrBadKey)
	case clickhouse.IsUnavailable(err):
		return fmt.Errorf("%w: %w", customer.ErrUnavailable, err)
	}
	return err
}
