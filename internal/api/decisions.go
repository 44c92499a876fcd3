package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"oneid/internal/customer"
)

// Decisions takes what people decide about who is who. Its errors are
// customer.ErrNotFound for a decision or an account that is not there,
// customer.ErrBadKey for what makes no sense, customer.ErrUnavailable while a
// store is away (all wrapped), and a ConflictError.
type Decisions interface {
	// Decide says that two accounts are the same person or different ones.
	// Made is false if that stands already.
	Decide(ctx context.Context, word Word) (d Decision, made bool, err error)
	// Undo takes a decision back. One about rules, or an undo of one, is an
	// ErrRules unless rules says that who asks may do that.
	Undo(ctx context.Context, id, who, reason string, rules bool) (d Decision, made bool, err error)
	// ListDecisions lists the newest ones, limit at most.
	ListDecisions(ctx context.Context, limit int) (DecisionList, error)
	// Reviews lists the pairs whose answers are worth most, limit at most.
	Reviews(ctx context.Context, limit int) ([]Review, error)
}

// ErrRules is returned for a decision about rules where only those about
// accounts may be taken back.
var ErrRules = errors.New("api: that decision is about rules")

// Word is what a person decides.
type Word struct {
	Same     bool
	Accounts [2]string
	Who      string
	Reason   string
}

// Decision is a person's word.
type Decision struct {
	ID       string    `json:"decision_id"`
	Kind     string    `json:"kind" doc:"same, different, adopt (of rules, by the command line alone) or undo"`
	Accounts []string  `json:"accounts,omitempty" doc:"As platform/shop/id; absent for an undo and for rules."`
	Undoes   string    `json:"undoes,omitempty" doc:"The decision that an undo takes back."`
	Who      string    `json:"who"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"decided_at"`
	Standing string    `json:"standing" doc:"stands, undone, or overruled by another about the same accounts, or a later one of rules"`
	Resolved bool      `json:"resolved" doc:"false while the customers do not follow it yet, which takes about a second."`
}

// DecisionList is what was decided.
type DecisionList struct {
	Decisions []Decision `json:"decisions"`
	Conflicts [][]string `json:"conflicts" doc:"Decisions that contradict each other, which people who decide at once bring about: a different, then the sames across it, or about the same two accounts. The different wins until one of them is undone."`
}

// Review is a pair of customers that share something and are kept apart.
type Review struct {
	Accounts  [2]string `json:"accounts" doc:"One account of each, as a decision names them."`
	Customers [2]string `json:"customers" doc:"customer_id of each."`
	Paid      [2]string `json:"paid" doc:"What each has paid, as a decimal number."`
	Currency  [2]string `json:"currency" doc:"Of what each has paid; empty without a paid order."`
	Orders    [2]uint64 `json:"orders" doc:"Paid orders of each."`
	Shares    []string  `json:"shares" doc:"Types of the identifiers that both bear."`
	Reasons   []string  `json:"reasons" doc:"Why these did not join them: accounts, values, per_shop, exclusive or different (two who share it are two persons, by ids of which a person has one or by somebody's word), largest_customer, apart (in time), or model (they are alike, and not enough)."`
	Bits      float64   `json:"bits,omitempty" doc:"How much speaks for one person where the model finds them alike, in bits."`
	Parts     []string  `json:"parts,omitempty" doc:"What does, part by part; no value is in it."`
}

// ReviewList is what a person should look at.
type ReviewList struct {
	Pairs []Review `json:"pairs" doc:"Those first in which the customer who has paid less has paid most."`
}

// ConflictError names the decisions that stand and that a word contradicts.
type ConflictError struct{ IDs []string }

func (*ConflictError) Error() string { return "it contradicts decisions that stand" }

type decideInput struct {
	Body struct {
		Kind     string   `json:"kind" enum:"same,different"`
		Accounts []string `json:"accounts" minItems:"2" maxItems:"2" doc:"Two accounts, as platform/shop/id."`
		Reason   string   `json:"reason" minLength:"1" maxLength:"500" doc:"Why, for who reads it later. No personal data: it is kept for good."`
		By       string   `json:"by,omitempty" maxLength:"200" doc:"The person who decides, where many share one API key."`
	}
}

type undoInput struct {
	Body struct {
		ID     string `json:"decision_id" minLength:"1"`
		Reason string `json:"reason" minLength:"1" maxLength:"500"`
		By     string `json:"by,omitempty" maxLength:"200"`
	}
}

type decisionsInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type reviewsInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"20"`
}

type reviewsOutput struct{ Body ReviewList }

type decisionOutput struct {
	Status int
	Body   Decision
}

type decisionsOutput struct{ Body DecisionList }

// registerDecisions adds the operations of decisions.
func (c Config) registerDecisions(api huma.API, operation func(id, method, path, summary string, scope Scope) huma.Operation) {
	none := func() error {
		return huma.Error503ServiceUnavailable("this process takes no decisions, for it knows no Kafka to publish them to; ask the one of `oneid up`, or name kafka.brokers in the settings of this one")
	}
	who := func(ctx context.Context, by string) string {
		key, _ := ctx.Value(whoKey{}).(string)
		if by == "" {
			return key
		}
		return by + ", " + key
	}
	answer := func(ctx context.Context, d Decision, made bool, err error) (*decisionOutput, error) {
		if err != nil {
			return nil, c.decisionProblem(ctx, err)
		}
		status := http.StatusOK
		if made {
			status = http.StatusCreated
		}
		return &decisionOutput{status, d}, nil
	}
	takes := func(id, path, summary string) huma.Operation {
		o := operation(id, http.MethodPost, path, summary, ScopeDecide)
		o.DefaultStatus = http.StatusCreated
		o.Errors = append(o.Errors, http.StatusConflict)
		return o
	}
	huma.Register(api, takes("decide", "/v1/decisions", "Say that two accounts are one person, or two; 200 if that stands already, 409 with the decisions that it contradicts"),
		func(ctx context.Context, in *decideInput) (*decisionOutput, error) {
			if c.Decisions == nil {
				return nil, none()
			}
			d, made, err := c.Decisions.Decide(ctx, Word{
				Same: in.Body.Kind == "same", Accounts: [2]string(in.Body.Accounts), Who: who(ctx, in.Body.By), Reason: in.Body.Reason,
			})
			return answer(ctx, d, made, err)
		})
	huma.Register(api, takes("undo", "/v1/decisions:undo", "Take a decision back; 200 if it was already. One about rules takes the scope rules:adopt too"),
		func(ctx context.Context, in *undoInput) (*decisionOutput, error) {
			if c.Decisions == nil {
				return nil, none()
			}
			d, made, err := c.Decisions.Undo(ctx, in.Body.ID, who(ctx, in.Body.By), in.Body.Reason, may(ctx, ScopeRules))
			return answer(ctx, d, made, err)
		})
	huma.Register(api, operation("decisions", http.MethodGet, "/v1/decisions", "What people decided about who is who, newest first", ScopeDecide),
		func(ctx context.Context, in *decisionsInput) (*decisionsOutput, error) {
			if c.Decisions == nil {
				return nil, none()
			}
			list, err := c.Decisions.ListDecisions(ctx, in.Limit)
			if err != nil {
				return nil, c.decisionProblem(ctx, err)
			}
			return &decisionsOutput{list}, nil
		})
	huma.Register(api, operation("reviews", http.MethodGet, "/v1/reviews", "Pairs of customers that may be one person, most valuable first; answer by a decision", ScopeDecide),
		func(ctx context.Context, in *reviewsInput) (*reviewsOutput, error) {
			if c.Decisions == nil {
				return nil, none()
			}
			pairs, err := c.Decisions.Reviews(ctx, in.Limit)
			if err != nil {
				return nil, c.decisionProblem(ctx, err)
			}
			return &reviewsOutput{ReviewList{append([]Review{}, pairs...)}}, nil
		})
}

func (c Config) decisionProblem(ctx context.Context, err error) error {
	var conflict *ConflictError
	switch {
	case errors.As(err, &conflict):
		details := make([]error, len(conflict.IDs))
		for i, id := range conflict.IDs {
			details[i] = errors.New("decision " + id)
		}
		return huma.Error409Conflict("it contradicts decisions that stand; take one of them back first", details...)
	case errors.Is(err, ErrRules):
		return huma.Error403Forbidden("the decision is about rules, and that API key lacks the scope " + string(ScopeRules))
	case errors.Is(err, customer.ErrNotFound):
		return huma.Error404NotFound("no such account, or decision, is known")
	}
	return c.problem(ctx, err)
}
