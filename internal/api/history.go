package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"oneid/internal/customer"
)

// History says who was who. Its errors are customer.ErrNotFound for an account or
// id that was never seen, or not yet on that day, customer.ErrBadKey and
// customer.ErrUnavailable (all wrapped).
type History interface {
	// OfAccount lists an account's moves in the order of time; given a day, written
	// 2026-11-11 and cut in the brand's zone, the one that held at its end.
	OfAccount(ctx context.Context, account, on string) ([]Move, error)
	// OfCustomer says what has become of a customer_id.
	OfCustomer(ctx context.Context, id string) (Fate, error)
}

// Move is an account's way to a customer.
type Move struct {
	Account string    `json:"account" doc:"platform/shop/id."`
	At      time.Time `json:"at"`
	From    string    `json:"previous_customer_id,omitempty" doc:"Absent where it was seen for the first time."`
	To      string    `json:"customer_id" doc:"By the id of that time."`
	Why     string    `json:"why" doc:"born; merged, and the kinds of what holds it to others; or split."`
	Words   []MoveBy  `json:"decisions,omitempty" doc:"By which it moved; absent where evidence alone did it."`
}

// MoveBy is a decision that moved an account.
type MoveBy struct {
	ID     string    `json:"decision_id"`
	Kind   string    `json:"kind" doc:"same, different, adopt (of rules) or undo"`
	Undoes string    `json:"undoes,omitempty" doc:"The decision that an undo takes back."`
	Who    string    `json:"who"`
	Reason string    `json:"reason"`
	At     time.Time `json:"decided_at"`
}

// Fate is what has become of a customer_id.
type Fate struct {
	ID          string     `json:"customer_id"`
	Accounts    []string   `json:"accounts" doc:"Those that bear it now; empty if it lives no longer."`
	RedirectsTo string     `json:"redirects_to,omitempty" doc:"The living customer that it leads to, if it is not one itself."`
	Since       *time.Time `json:"since,omitempty" doc:"Since when it leads there."`
	Moves       []Move     `json:"moves" doc:"To it and away from it, in the order of time."`
}

type pastInput struct {
	Body struct {
		Account string `json:"account" minLength:"1" doc:"platform/shop/id."`
		On      string `json:"on,omitempty" doc:"A day such as 2026-11-11, in the brand's zone: only the move that held at its end."`
	}
}

type pastOutput struct {
	Body struct {
		Account string `json:"account"`
		Moves   []Move `json:"moves"`
	}
}

type fateOutput struct{ Body Fate }

// registerHistory adds the operations of who was who.
func (c Config) registerHistory(api huma.API, operation func(id, method, path, summary string, scope Scope) huma.Operation) {
	problem := func(ctx context.Context, err error) error {
		if errors.Is(err, customer.ErrNotFound) {
			return huma.Error404NotFound("it was never seen, or not yet on that day")
		}
		return c.problem(ctx, err)
	}
	none := func() error { return huma.Error503ServiceUnavailable("this process knows no history") }
	huma.Register(api, operation("accountHistory", http.MethodPost, "/v1/accounts:history", "Which customer an account was, on each day, and why", ScopeExplain),
		func(ctx context.Context, in *pastInput) (*pastOutput, error) {
			if c.History == nil {
				return nil, none()
			}
			moves, err := c.History.OfAccount(ctx, in.Body.Account, in.Body.On)
			if err != nil {
				return nil, problem(ctx, err)
			}
			out := &pastOutput{}
			out.Body.Account, out.Body.Moves = in.Body.Account, moves
			return out, nil
		})
	huma.Register(api, operation("customerHistory", http.MethodGet, "/v1/customers/{id}/history", "What has become of a customer_id, and which accounts came and went", ScopeExplain),
		func(ctx context.Context, in *idInput) (*fateOutput, error) {
			if c.History == nil {
				return nil, none()
			}
			fate, err := c.History.OfCustomer(ctx, in.ID)
			if err != nil {
				return nil, problem(ctx, err)
			}
			return &fateOutput{fate}, nil
		})
}
