package insight

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/customer/decided"
)

// draw is the SQL of where a pair of accounts, written platform/shop/id, stands in
// the order in which pairs are drawn: an order that has nothing to do with what they
// are, and that is the same today and tomorrow.
func draw(a, b string) string {
	return "sipHash64(concat(least(" + a + ", " + b + "), '\\n', greatest(" + a + ", " + b + ")))"
}

// joinedPair is two accounts of one customer, the lesser name first.
type joinedPair struct {
	A        string    `ch:"a"`
	B        string    `ch:"b"`
	Customer uuid.UUID `ch:"customer"`
	Drawn    uint64    `ch:"drawn"`
}

func (p joinedPair) key() [2]string { return [2]string{p.A, p.B} }

// drawn are the first pairs of accounts of one customer in the order of drawing.
func (r *Reporter) drawn(ctx context.Context, limit int) (pairs []joinedPair, err error) {
	err = r.ClickHouse.Select(ctx, "draw joined pairs", &pairs, fmt.Sprintf("SELECT x.account AS a, y.account AS b, x.customer_id AS customer, %s AS drawn FROM %s AS x INNER JOIN %s AS y ON x.customer_id = y.customer_id"+
		" WHERE a < b ORDER BY drawn, a, b LIMIT %d", draw("x.account", "y.account"), r.of("identity_map"), r.of("identity_map"), limit), spill...)
	return pairs, err
}

// of is the SQL of accounts with their customers.
func (r *Reporter) of(table string) string {
	return "(SELECT concat(toString(platform), '/', toString(shop), '/', account) AS account, customer_id FROM " + r.table(table) + " FINAL)"
}

// Sample lists pairs of accounts that are one customer, drawn at random of all such
// pairs, at most limit, which people have not judged: those first that come first in
// the order of drawing. Whoever answers them in this order makes of the decisions a
// sample of all joins; see Decisions.Sample.
func (r *Reporter) Sample(ctx context.Context, limit int) ([]Question, error) {
	limit = min(max(limit, 0), mostQuestions)
	words, err := decided.Read(ctx, r.ClickHouse, nil)
	if err != nil {
		return nil, err
	}
	said := verdicts(words)
	pairs, err := r.drawn(ctx, limit+len(said))
	if err != nil {
		return nil, err
	}
	var customers []identity.CustomerID
	var open []joinedPair
	for _, p := range pairs {
		if _, ok := said[p.key()]; !ok && len(open) < limit {
			open = append(open, p)
			customers = append(customers, identity.CustomerID(p.Customer))
		}
	}
	of, err := r.bought(ctx, customers)
	if err != nil {
		return nil, err
	}
	out := make([]Question, 0, len(open))
	for _, p := range open {
		a, err := identity.ParseAccount(p.A)
		if err != nil {
			return nil, err
		}
		b, err := identity.ParseAccount(p.B)
		if err != nil {
			return nil, err
		}
		id := identity.CustomerID(p.Customer)
		out = append(out, *of.question(id, id, a, b))
	}
	return out, nil
}

// verdicts are what people said of pairs, by their accounts' names, the lesser first.
func verdicts(words []identity.Decision) map[[2]string]identity.Verdict {
	var set identity.Decisions
	for _, d := range words {
		set.Add(d)
	}
	said := map[[2]string]identity.Verdict{}
	for _, v := range set.All() {
		said[pairKey(v.Pair.A, v.Pair.B)] = v
	}
	return said
}

func pairKey(x, y identity.Account) [2]string {
	a, b := x.String(), y.String()
	return [2]string{min(a, b), max(a, b)}
}

// sampled counts, of the pairs that were joined when people judged them, those that
// come in the order of drawing before the first joined pair that nobody has judged:
// whoever goes by Sample leaves no gap, and what was judged for another reason counts
// only where its turn has come anyway.
func (r *Reporter) sampled(ctx context.Context, joined []identity.Decision, said map[[2]string]identity.Verdict) (sample Share, err error) {
	if len(joined) == 0 {
		return sample, nil
	}
	pairs, err := r.drawn(ctx, len(said)+1)
	if err != nil {
		return sample, err
	}
	gap, open := uint64(0), false
	for _, p := range pairs {
		if _, ok := said[p.key()]; !ok {
			gap, open = p.Drawn, true
			break
		}
	}
	list := make([]string, len(joined))
	for i, d := range joined {
		list[i] = "(" + clickhouse.Quote(d.ID) + "," + clickhouse.Quote(d.A.String()) + "," + clickhouse.Quote(d.B.String()) + ")"
	}
	var rows []struct {
		ID    string `ch:"id"`
		Drawn uint64 `ch:"drawn"`
	}
	if err := r.ClickHouse.Select(ctx, "find what was drawn", &rows, "SELECT p.1 AS id, "+draw("p.2", "p.3")+" AS drawn FROM (SELECT arrayJoin(["+strings.Join(list, ",")+"]) AS p)"); err != nil {
		return sample, err
	}
	kinds := map[string]identity.DecisionKind{}
	for _, d := range joined {
		kinds[d.ID] = d.Kind
	}
	for _, row := range rows {
		if open && row.Drawn >= gap {
			continue
		}
		if kinds[row.ID] == identity.Same {
			sample.Right++
		} else {
			sample.Wrong++
		}
	}
	return sample, nil
}
