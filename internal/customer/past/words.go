package past

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneid/identity"
	"oneid/internal/clickhouse"
)

// said is a row of the table decisions.
type said struct {
	ID       string    `ch:"decision_id"`
	Kind     string    `ch:"kind"`
	Accounts []string  `ch:"accounts"`
	Undoes   string    `ch:"undoes"`
	Who      string    `ch:"who"`
	Why      string    `ch:"why"`
	At       time.Time `ch:"decided_at"`
	Version  uint64    `ch:"version"`
}

func readSaid(ctx context.Context, db *clickhouse.Conn, where string) ([]said, error) {
	var rows []said
	err := db.Select(ctx, "read what people decided", &rows, "SELECT decision_id, toString(kind) AS kind, accounts, undoes, who, why, decided_at, version FROM "+db.Database()+".decisions FINAL"+
		" WHERE kind IN ('same', 'different', 'undo', 'adopt') AND "+where+" ORDER BY decided_at, decision_id")
	return rows, err
}

// addWords gives moves the decisions by which they came about: those that were
// taken in the very batch that moved the account, of rules or about an account of
// the customer that it left or came to.
func addWords(ctx context.Context, db *clickhouse.Conn, moves []Move) error {
	var versions []string
	for _, m := range moves {
		if m.From != (identity.CustomerID{}) {
			versions = append(versions, strconv.FormatUint(m.version, 10))
		}
	}
	slices.Sort(versions)
	versions = slices.Compact(versions)
	var words []said
	for some := range slices.Chunk(versions, 1000) {
		rows, err := readSaid(ctx, db, "version IN ("+strings.Join(some, ",")+")")
		if err != nil {
			return err
		}
		words = append(words, rows...)
	}
	if len(words) == 0 {
		return nil
	}
	about, err := targets(ctx, db, words)
	if err != nil {
		return err
	}
	var accounts []identity.Account
	for _, d := range about {
		for _, text := range d.Accounts {
			if a, err := identity.ParseAccount(text); err == nil { // else the resolver has passed it by
				accounts = append(accounts, a)
			}
		}
	}
	past := map[string][]Move{}
	for some := range slices.Chunk(accounts, 1000) {
		all, err := movesOf(ctx, db, some...)
		if err != nil {
			return err
		}
		for _, m := range all {
			past[m.Account] = append(past[m.Account], m)
		}
	}
	for i := range moves {
		m := &moves[i]
		for _, d := range words {
			if d.Version != m.version || m.From == (identity.CustomerID{}) {
				continue
			}
			target := about[d.ID]
			if target.Kind == "adopt" || slices.ContainsFunc(target.Accounts, func(account string) bool { return m.concerns(past[account]) }) {
				m.Words = append(m.Words, Word{ID: d.ID, Kind: d.Kind, Undoes: d.Undoes, Who: d.Who, Reason: d.Why, At: d.At})
			}
		}
	}
	return nil
}

// concerns says whether an account with a past was of one of the customers of a
// move, just before it or by it.
func (m *Move) concerns(past []Move) bool {
	var before, after identity.CustomerID
	for _, p := range past {
		if p.version < m.version {
			before = p.To
		}
		if p.version <= m.version {
			after = p.To
		}
	}
	return before == m.From || after == m.To
}

// targets are what words bear upon: themselves, or what undos of undos lead to.
func targets(ctx context.Context, db *clickhouse.Conn, words []said) (map[string]said, error) {
	known := map[string]said{}
	for _, d := range words {
		known[d.ID] = d
	}
	for {
		var missing []string
		for _, d := range known {
			if _, ok := known[d.Undoes]; d.Undoes != "" && !ok {
				missing = append(missing, d.Undoes)
			}
		}
		if len(missing) == 0 {
			break
		}
		for some := range slices.Chunk(missing, 1000) {
			quoted := make([]string, len(some))
			for i, id := range some {
				known[id] = said{} // leads to nothing, unless it is found
				quoted[i] = clickhouse.Quote(id)
			}
			rows, err := readSaid(ctx, db, "decision_id IN ("+strings.Join(quoted, ",")+")")
			if err != nil {
				return nil, err
			}
			for _, d := range rows {
				known[d.ID] = d
			}
		}
	}
	out := map[string]said{}
	for _, d := range words {
		target := d
		for steps := 0; target.Undoes != "" && steps < len(known); steps++ {
			target = known[target.Undoes]
		}
		out[d.ID] = target
	}
	return out, nil
}
