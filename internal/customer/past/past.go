// Package past says which customer an account was, when and why, and where a
// customer_id went.
package past

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"oneid/identity"
	"oneid/internal/clickhouse"
)

// Move is an account's way to a customer.
type Move struct {
	Account string    `json:"account"`
	At      time.Time `json:"at"`
	// From is the zero id for an account that was born.
	From identity.CustomerID `json:"previous_customer_id,omitzero"`
	To   identity.CustomerID `json:"customer_id"`
	// Why: born; merged, and the kinds of what holds it to others; or split.
	Why string `json:"why"`
	// Words are the decisions by which it moved; none if rules and evidence alone did it.
	Words []Word `json:"decisions,omitempty"`

	version uint64
}

// Word is a person's decision that moved accounts.
type Word struct {
	ID string `json:"decision_id"`
	// Kind is same, different, adopt or undo.
	Kind string `json:"kind"`
	// Undoes is the decision that an undo takes back.
	Undoes string    `json:"undoes,omitempty"`
	Who    string    `json:"who"`
	Reason string    `json:"reason"`
	At     time.Time `json:"decided_at"`
}

// Fate is what has become of a customer_id.
type Fate struct {
	ID identity.CustomerID `json:"customer_id"`
	// Accounts that bear it now; none if it lives no longer.
	Accounts []string `json:"accounts"`
	// RedirectsTo is the living customer that it leads to, since Since, if it
	// is not itself one.
	RedirectsTo identity.CustomerID `json:"redirects_to,omitzero"`
	Since       time.Time           `json:"since,omitzero"`
	// Moves to it and away from it, in the order of time.
	Moves []Move `json:"moves"`
}

// ErrUnknown is about an account or id that never was.
var ErrUnknown = errors.New("past: it was never seen")

// ErrDay is about a day that is none.
var ErrDay = errors.New("past: a day is written as 2026-11-11")

type row struct {
	Platform string    `ch:"platform"`
	Shop     string    `ch:"shop"`
	Account  string    `ch:"account"`
	From     uuid.UUID `ch:"previous_customer_id"`
	To       uuid.UUID `ch:"customer_id"`
	At       time.Time `ch:"at"`
	Why      string    `ch:"reason"`
	Version  uint64    `ch:"version"`
}

const columns = "SELECT toString(platform) AS platform, toString(shop) AS shop, account, previous_customer_id, customer_id, at, reason, version FROM "

func moves(rows []row) []Move {
	out := make([]Move, len(rows))
	for i, r := range rows {
		account := identity.Account{Platform: r.Platform, Shop: r.Shop, ID: r.Account}
		out[i] = Move{Account: account.String(), At: r.At, From: identity.CustomerID(r.From), To: identity.CustomerID(r.To), Why: r.Why, version: r.Version}
	}
	return out
}

// Of returns an account's moves in their order, the first of which is its
// birth; ErrUnknown for one that was never seen.
func Of(ctx context.Context, db *clickhouse.Conn, a identity.Account) ([]Move, error) {
	out, err := movesOf(ctx, db, a)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, ErrUnknown
	}
	return out, addWords(ctx, db, out)
}

// movesOf are the moves of accounts, each account's in their order.
func movesOf(ctx context.Context, db *clickhouse.Conn, accounts ...identity.Account) ([]Move, error) {
	keys := make([]string, len(accounts))
	for i, a := range accounts {
		keys[i] = "(" + clickhouse.Quote(a.Platform) + "," + clickhouse.Quote(a.Shop) + "," + clickhouse.Quote(a.ID) + ")"
	}
	var rows []row
	err := db.Select(ctx, "read the past of accounts", &rows, columns+db.Database()+".identity_history FINAL WHERE (platform, shop, account) IN ("+strings.Join(keys, ",")+") ORDER BY platform, shop, account, version")
	return moves(rows), err
}

// OnDay is On for the end of a day, written 2026-11-11, in a time zone; ErrDay if
// it is none.
func OnDay(all []Move, day string, zone *time.Location) (Move, bool, error) {
	begin, err := time.ParseInLocation(time.DateOnly, day, zone)
	if err != nil {
		return Move{}, false, ErrDay
	}
	was, ok := On(all, begin.AddDate(0, 0, 1))
	return was, ok, nil
}

// On is the last of an account's moves before a moment: the customer that it
// was then, and why; false if it was not born yet.
func On(all []Move, moment time.Time) (Move, bool) {
	var last Move
	found := false
	for _, m := range all {
		if m.At.Before(moment) {
			last, found = m, true
		}
	}
	return last, found
}

// FateOf returns what has become of an id; ErrUnknown for one that was never
// handed out.
func FateOf(ctx context.Context, db *clickhouse.Conn, id identity.CustomerID) (Fate, error) {
	fate := Fate{ID: id}
	quoted := "toUUID(" + clickhouse.Quote(id.String()) + ")"
	// Whoever ever bore it is listed under it.
	bearers := "(platform, shop, account) IN (SELECT platform, shop, account FROM " + db.Database() + ".identity_map_by_customer WHERE customer_id = " + quoted + ")"
	var rows []row
	if err := db.Select(ctx, "read an id's past", &rows, columns+db.Database()+".identity_history FINAL WHERE "+bearers+" AND ("+quoted+" IN (customer_id, previous_customer_id)) ORDER BY version, platform, shop, account"); err != nil {
		return fate, err
	}
	fate.Moves = moves(rows)
	if err := addWords(ctx, db, fate.Moves); err != nil {
		return fate, err
	}
	var now []struct {
		Platform string `ch:"platform"`
		Shop     string `ch:"shop"`
		Account  string `ch:"account"`
	}
	if err := db.Select(ctx, "find who bears an id", &now, "SELECT toString(platform) AS platform, toString(shop) AS shop, account FROM "+db.Database()+".identity_map FINAL WHERE "+bearers+" AND customer_id = "+quoted+" ORDER BY platform, shop, account"); err != nil {
		return fate, err
	}
	for _, r := range now {
		fate.Accounts = append(fate.Accounts, strings.Join([]string{r.Platform, r.Shop, r.Account}, "/"))
	}
	var redirects []struct {
		To    uuid.UUID `ch:"to_customer_id"`
		Since time.Time `ch:"since"`
	}
	if err := db.Select(ctx, "read an id's redirect", &redirects, "SELECT to_customer_id, since FROM "+db.Database()+".redirects FINAL WHERE from_customer_id = "+quoted); err != nil {
		return fate, err
	}
	if len(redirects) > 0 && len(fate.Accounts) == 0 {
		fate.RedirectsTo, fate.Since = identity.CustomerID(redirects[0].To), redirects[0].Since
	}
	if len(rows) == 0 { // an account's own id that nobody bore may have a redirect
		return fate, ErrUnknown
	}
	return fate, nil
}
