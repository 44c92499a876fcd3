// Package decided reads from ClickHouse what people decided about who is who.
package decided

import (
	"context"
	"fmt"
	"strings"
	"time"

	"oneid/identity"
	"oneid/internal/clickhouse"
)

// Read returns every decision that was resolved, in the order of their ids;
// given accounts, those about one of them, all undos and all adopted rules.
// Decisions are few: people made them.
func Read(ctx context.Context, db *clickhouse.Conn, about []identity.Account, settings ...clickhouse.Setting) ([]identity.Decision, error) {
	pairs := "kind IN ('same', 'different')"
	if len(about) > 0 {
		list := make([]string, len(about))
		for i, a := range about {
			list[i] = clickhouse.Quote(a.String())
		}
		pairs += " AND hasAny(accounts, [" + strings.Join(list, ",") + "])"
	}
	return read(ctx, db, "kind IN ('undo', 'adopt') OR "+pairs, settings...)
}

// Rules are those in force: the last that were adopted and not taken back, or
// else those given.
func Rules(ctx context.Context, db *clickhouse.Conn, given *identity.Rules, settings ...clickhouse.Setting) (*identity.Rules, error) {
	decisions, err := read(ctx, db, "kind IN ('undo', 'adopt')", settings...)
	if err != nil {
		return nil, err
	}
	var set identity.Decisions
	for _, d := range decisions {
		set.Add(d)
	}
	return set.Rules(given), nil
}

func read(ctx context.Context, db *clickhouse.Conn, where string, settings ...clickhouse.Setting) ([]identity.Decision, error) {
	var rows []struct {
		ID       string    `ch:"decision_id"`
		Kind     string    `ch:"kind"`
		Accounts []string  `ch:"accounts"`
		Undoes   string    `ch:"undoes"`
		Rules    string    `ch:"rules"`
		At       time.Time `ch:"decided_at"`
	}
	err := db.Select(ctx, "read the decisions", &rows, "SELECT decision_id, toString(kind) AS kind, accounts, undoes, rules, decided_at FROM "+db.Database()+".decisions FINAL"+
		" WHERE "+where+" ORDER BY decision_id", settings...)
	if err != nil {
		return nil, err
	}
	kinds := map[string]identity.DecisionKind{}
	for _, kind := range []identity.DecisionKind{identity.Same, identity.Different, identity.Undo, identity.Adopt} {
		kinds[kind.String()] = kind
	}
	decisions := make([]identity.Decision, len(rows))
	for i, row := range rows {
		d := &decisions[i]
		*d = identity.Decision{ID: row.ID, Kind: kinds[row.Kind], Undoes: row.Undoes, At: row.At.UnixMilli()}
		switch d.Kind {
		case identity.Undo:
		case identity.Adopt:
			if d.Rules, err = identity.ParseRules([]byte(row.Rules)); err != nil {
				return nil, fmt.Errorf("decision %s: %w", row.ID, err)
			}
		case identity.Same, identity.Different:
			if len(row.Accounts) != 2 {
				return nil, fmt.Errorf("decision %s names %d accounts, want 2", row.ID, len(row.Accounts))
			}
			for k, account := range []*identity.Account{&d.A, &d.B} {
				if *account, err = identity.ParseAccount(row.Accounts[k]); err != nil {
					return nil, fmt.Errorf("decision %s: account %d is not written platform/shop/id", row.ID, k+1)
				}
			}
		}
	}
	return decisions, nil
}
