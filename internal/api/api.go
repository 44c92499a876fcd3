// Package api is the look-up API: who is this buyer, on all platforms, in one
// call. It speaks HTTP, knows keys and scopes, and leaves the answers to a
// Customers.
//
// An identifier to look up stands in the body, never in the URL. Errors are
// problem+json (RFC 9457). The OpenAPI 3.1 document is at /openapi.json.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"oneid/internal/customer"
)

// Customers answers what the API asks. Its errors are customer.ErrNotFound
// (wrapped) for a customer that is not there, customer.ErrBadKey for a key that
// cannot be understood, and customer.ErrUnavailable while a store is away.
type Customers interface {
	// Lookup finds the customer of a key; whoOnly leaves the history out.
	Lookup(ctx context.Context, key customer.Key, whoOnly bool) (customer.Profile, error)
	// Orders and Tickets list a customer's, newest first; limit at most 1000.
	Orders(ctx context.Context, customerID string, limit int) ([]customer.Order, error)
	Tickets(ctx context.Context, customerID string, limit int) ([]customer.Ticket, error)
}

// Config says how to serve.
type Config struct {
	Customers Customers
	Keys      *Keys
	// ShowLetter opens a dead letter for who asks, and notes it in the audit; a
	// nil one answers that this process has none. Its errors are
	// customer.ErrNotFound and customer.ErrUnavailable (wrapped).
	ShowLetter func(ctx context.Context, id, who string) (Letter, error)
	// Decisions takes what people decide; a nil one answers that this process
	// takes none.
	Decisions Decisions
	// History says who was who; a nil one answers that this process does not know.
	History History
	// Ready says what is not ready, nil if all is.
	Ready func(ctx context.Context) error
	// Note is what /readyz says beside that all is ready; may be nil.
	Note func() string
	// Metrics answers /metrics.
	Metrics http.Handler
	// MaxBodyBytes bounds a request's body, Timeout a request.
	MaxBodyBytes int64
	Timeout      time.Duration
	Log          *slog.Logger
}

type lookupInput struct {
	Parts string `query:"parts" enum:"all,who" default:"all" doc:"who leaves out the history, which takes longer."`
	Body  customer.Key
}

type idInput struct {
	ID string `path:"id" format:"uuid" doc:"customer_id"`
}

type listInput struct {
	ID    string `path:"id" format:"uuid" doc:"customer_id"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type profileOutput struct{ Body customer.Profile }

type ordersOutput struct {
	Body struct {
		Orders []customer.Order `json:"orders"`
	}
}

type ticketsOutput struct {
	Body struct {
		Tickets []customer.Ticket `json:"tickets"`
	}
}

type explainOutput struct {
	Body struct {
		CustomerID string             `json:"customer_id"`
		Accounts   []customer.Account `json:"accounts"`
		Reasons    []customer.Reason  `json:"reasons"`
	}
}

// Letter is a dead letter, opened.
type Letter struct {
	ID       string    `json:"letter_id"`
	Platform string    `json:"platform"`
	Shop     string    `json:"shop"`
	Stream   string    `json:"stream"`
	Reason   string    `json:"reason" doc:"read, map, too_large, decode, open, store or deliver"`
	Detail   string    `json:"detail"`
	Origin   string    `json:"origin"`
	Attempts uint32    `json:"attempts"`
	First    time.Time `json:"first_seen_at"`
	State    string    `json:"state" doc:"open, replayed or dropped"`
	// Bytes are what could not be loaded, base64 in JSON.
	Bytes []byte `json:"bytes"`
}

type letterInput struct {
	Body struct {
		ID string `json:"letter_id" minLength:"1"`
	}
}

type letterOutput struct{ Body Letter }

// whoKey is under which a request's context holds the name of its API key,
// scopesKey what that may do.
type (
	whoKey    struct{}
	scopesKey struct{}
)

// may says whether the API key of a request has a scope.
func may(ctx context.Context, scope Scope) bool {
	scopes, _ := ctx.Value(scopesKey{}).([]Scope)
	return slices.Contains(scopes, scope)
}

// Handler serves the API.
func Handler(c Config) http.Handler {
	mux := http.NewServeMux()
	register(mux, c)
	c.probes(mux)
	limited := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, c.MaxBodyBytes)
		ctx, cancel := context.WithTimeout(r.Context(), c.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
		if _, pattern := mux.Handler(r); pattern == "" {
			unrouted(mux, w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
	return limited
}

// Probes serves what machines ask about a process that looks nobody up:
// /healthz, /readyz and /metrics, as Handler does. Of c it needs Keys, Ready,
// Note, Metrics, Timeout and Log.
func Probes(c Config) http.Handler {
	mux := http.NewServeMux()
	c.probes(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), c.Timeout)
		defer cancel()
		mux.ServeHTTP(w, r.WithContext(ctx))
	})
}

// probes adds what machines ask about the process.
func (c Config) probes(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := c.Ready(r.Context()); err != nil {
			problem(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer := "ready\n"
		if c.Note != nil {
			if note := c.Note(); note != "" {
				answer += note + "\n"
			}
		}
		_, _ = w.Write([]byte(answer))
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if _, status, err := c.authorize(r.Header.Get("Authorization"), ScopeMetrics); err != nil {
			problem(w, status, err.Error())
			return
		}
		c.Metrics.ServeHTTP(w, r)
	})
}

// unrouted answers what the mux has no operation for: it knows whether the
// path is wrong or the method.
func unrouted(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	said := &statusOnly{header: make(http.Header)}
	mux.ServeHTTP(said, r)
	if allow := said.header.Get("Allow"); said.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow)
		problem(w, said.status, "this path takes "+allow)
		return
	}
	problem(w, http.StatusNotFound, "there is nothing at this path; /openapi.json lists what there is")
}

// statusOnly is a ResponseWriter that keeps status and header alone.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }

// problem answers with a problem (RFC 9457) outside of huma's operations.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(huma.NewError(status, detail))
}

// withoutValues makes errors that do not repeat what was sent: a body holds
// identifiers of persons.
var withoutValues = sync.OnceFunc(func() {
	original := huma.NewError
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		for i, err := range errs {
			var detail *huma.ErrorDetail
			if errors.As(err, &detail) {
				errs[i] = &huma.ErrorDetail{Message: detail.Message, Location: detail.Location}
			}
		}
		return original(status, message, errs...)
	}
})

// register adds the operations; the OpenAPI document follows from them.
func register(mux *http.ServeMux, c Config) huma.API {
	withoutValues()
	config := huma.DefaultConfig("OneID look-up", "1")
	config.Info.Description = "Who is this buyer, on all platforms? Identifiers stand in the body, never in the URL."
	config.DocsPath = ""
	config.SchemasPath = "/schemas"
	config.CreateHooks = nil // no $schema links in answers
	// What was meant for the body must not stand in the URL, where it would be logged.
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "An API key, made with `oneid apikey create`."},
	}
	api := humago.New(mux, config)
	api.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		for _, requirement := range ctx.Operation().Security {
			for _, scope := range requirement["key"] {
				key, status, err := c.authorize(ctx.Header("Authorization"), Scope(scope))
				if err != nil {
					_ = huma.WriteErr(api, ctx, status, err.Error())
					return
				}
				ctx = huma.WithValue(ctx, whoKey{}, "API key "+key.ID+" ("+key.Name+")")
				ctx = huma.WithValue(ctx, scopesKey{}, key.Scopes)
			}
		}
		next(ctx)
	})
	operation := func(id, method, path, summary string, scope Scope) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary,
			Security:     []map[string][]string{{"key": {string(scope)}}},
			MaxBodyBytes: c.MaxBodyBytes, BodyReadTimeout: c.Timeout,
			Errors: []int{
				http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout,
				http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
			},
		}
	}

	huma.Register(api, operation("lookup", http.MethodPost, "/v1/customers:lookup", "Find the customer of a phone, unionid, member card, order or account", ScopeRead),
		func(ctx context.Context, in *lookupInput) (*profileOutput, error) {
			profile, err := c.Customers.Lookup(ctx, in.Body, in.Parts == "who")
			if err != nil {
				return nil, c.problem(ctx, err)
			}
			return &profileOutput{Body: profile}, nil
		})
	huma.Register(api, operation("customer", http.MethodGet, "/v1/customers/{id}", "A customer's profile", ScopeRead),
		func(ctx context.Context, in *idInput) (*profileOutput, error) {
			profile, err := c.Customers.Lookup(ctx, customer.Key{Customer: in.ID}, false)
			if err != nil {
				return nil, c.problem(ctx, err)
			}
			return &profileOutput{Body: profile}, nil
		})
	huma.Register(api, operation("orders", http.MethodGet, "/v1/customers/{id}/orders", "A customer's orders, newest first", ScopeRead),
		func(ctx context.Context, in *listInput) (*ordersOutput, error) {
			orders, err := c.Customers.Orders(ctx, in.ID, in.Limit)
			if err != nil {
				return nil, c.problem(ctx, err)
			}
			out := &ordersOutput{}
			out.Body.Orders = orders
			return out, nil
		})
	huma.Register(api, operation("tickets", http.MethodGet, "/v1/customers/{id}/tickets", "A customer's tickets, newest first", ScopeRead),
		func(ctx context.Context, in *listInput) (*ticketsOutput, error) {
			tickets, err := c.Customers.Tickets(ctx, in.ID, in.Limit)
			if err != nil {
				return nil, c.problem(ctx, err)
			}
			out := &ticketsOutput{}
			out.Body.Tickets = tickets
			return out, nil
		})
	huma.Register(api, operation("explain", http.MethodGet, "/v1/customers/{id}/explain", "Why a customer's accounts are one person", ScopeExplain),
		func(ctx context.Context, in *idInput) (*explainOutput, error) {
			profile, err := c.Customers.Lookup(ctx, customer.Key{Customer: in.ID}, true)
			if err != nil {
				return nil, c.problem(ctx, err)
			}
			out := &explainOutput{}
			out.Body.CustomerID, out.Body.Accounts, out.Body.Reasons = profile.CustomerID, profile.Accounts, profile.Reasons
			return out, nil
		})
	huma.Register(api, operation("deadletter", http.MethodPost, "/v1/deadletters:show", "A dead letter with the bytes that could not be loaded; who asks is noted in the audit", ScopeLetters),
		func(ctx context.Context, in *letterInput) (*letterOutput, error) {
			if c.ShowLetter == nil {
				return nil, huma.Error503ServiceUnavailable("this process does not hold the dead letters; ask the one of `oneid up`")
			}
			who, _ := ctx.Value(whoKey{}).(string)
			letter, err := c.ShowLetter(ctx, in.Body.ID, who)
			if errors.Is(err, customer.ErrNotFound) {
				return nil, huma.Error404NotFound("there is no dead letter of that id")
			}
			if err != nil {
				return nil, c.problem(ctx, err)
			}
			return &letterOutput{Body: letter}, nil
		})
	c.registerDecisions(api, operation)
	c.registerHistory(api, operation)
	return api
}

// authorize checks a bearer key for a scope.
func (c Config) authorize(header string, scope Scope) (key Key, status int, err error) {
	presented, ok := strings.CutPrefix(header, "Bearer ")
	if !ok {
		return key, http.StatusUnauthorized, errors.New("send an API key: Authorization: Bearer oneid_…")
	}
	key, known, err := c.Keys.find(presented)
	if err != nil {
		c.Log.Error("the API keys cannot be read", "error", err)
		return key, http.StatusServiceUnavailable, errors.New("keys cannot be checked right now")
	}
	if !known {
		return key, http.StatusUnauthorized, errors.New("that API key is not known, or was revoked")
	}
	for _, has := range key.Scopes {
		if has == scope {
			return key, http.StatusOK, nil
		}
	}
	return key, http.StatusForbidden, errors.New("that API key lacks the scope " + string(scope))
}

// problem turns an error of Customers into the answer.
func (c Config) problem(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, customer.ErrNotFound):
		return huma.Error404NotFound("no customer is known under that key")
	case errors.Is(err, customer.ErrBadKey):
		return huma.Error422UnprocessableEntity(err.Error())
	case errors.Is(err, customer.ErrUnavailable):
		return huma.Error503ServiceUnavailable("a store is away; try again")
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		return huma.NewError(http.StatusGatewayTimeout, "the answer took too long; try again")
	}
	c.Log.Error("a look-up failed", "error", err)
	return huma.Error500InternalServerError("the look-up failed; the log says why")
}

// OpenAPI is the OpenAPI 3.1 document of the API, as JSON.
func OpenAPI() ([]byte, error) {
	api := register(http.NewServeMux(), Config{Keys: NewKeys(""), MaxBodyBytes: 64 << 10, Timeout: time.Second, Log: slog.New(slog.DiscardHandler)})
	return api.OpenAPI().MarshalJSON()
}
