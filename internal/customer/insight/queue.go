package insight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/customer/decided"
)

// Question is a pair of customers that share something, or are alike, and are
// kept apart: one person or two? A person answers it by a decision about its accounts.
type Question struct {
	// Accounts are one of each customer, platform/shop/id, that bear what is
	// shared: what a decision names.
	Accounts  [2]string              `json:"accounts"`
	Customers [2]identity.CustomerID `json:"customers"`
	// Paid is what each has paid, in the customer's own currency, and Currency
	// which that is; empty without a paid order.
	Paid     [2]string `json:"paid"`
	Currency [2]string `json:"currency"`
	Orders   [2]uint64 `json:"orders"`
	// Shares are the types of the identifiers that both bear.
	Shares []identity.IdentifierType `json:"shares"`
	// Reasons why these did not join them, as in Conflict.
	Reasons []string `json:"reasons"`
	// Bits is how much speaks for one person where the model finds the accounts
	// alike, and Parts what does, with no value in it.
	Bits  float64  `json:"bits,omitempty"`
	Parts []string `json:"parts,omitempty"`

	value [2]float64
	// bridges are those through whom they share something, and direct says that they
	// share something, or are alike, through none.
	bridges []identity.Bearing
	direct  bool
}

// shared notes who is a bridge of those that share an identifier.
func (q *Question) shared(why whys, id identity.Identifier, bearers ...identity.Account) {
	through := false
	for _, a := range bearers {
		if why.isBridge(a, id) {
			through = true
			if of := (identity.Bearing{Account: a, Type: id.Type}); !slices.Contains(q.bridges, of) {
				q.bridges = append(q.bridges, of)
			}
		}
	}
	q.direct = q.direct || !through
}

// fewOfBridges keeps of the questions that are asked for a bridge alone, most worth
// first, as many of each as it may bear values: who orders for hundreds would ask for
// all of them before anybody else is asked for. What is answered makes room for the next.
func fewOfBridges(rules *identity.Rules, questions []Question) []Question {
	asked := map[identity.Bearing]int{}
	return slices.DeleteFunc(questions, func(q Question) bool {
		if q.direct {
			return false
		}
		for _, of := range q.bridges {
			if asked[of] >= rules.Types[of.Type].Values {
				return true
			}
		}
		for _, of := range q.bridges {
			asked[of]++
		}
		return false
	})
}

// Bounds on what Queue looks at: an identifier that is borne by more customers
// asks nothing that can be answered pair by pair.
const (
	mostSharers   = 8
	mostQuestions = 1000
)

// Queue lists the questions whose answers are worth most, at most limit: those
// first in which the customer who has paid less has paid most, since so much is
// counted for the wrong person if they are one. Amounts are compared whatever
// their currency. What people have decided already is not asked, and of a bridge no more
// at a time than the values that it may bear.
func (r *Reporter) Queue(ctx context.Context, limit int) ([]Question, error) {
	r, err := r.inForce(ctx)
	if err != nil {
		return nil, err
	}
	limit = min(max(limit, 0), mostQuestions)
	// What was answered is looked at in vain: the more of it there is, the farther
	// down one has to look.
	for look := 2 * limit; ; look *= 4 {
		questions, unseen, err := r.questions(ctx, look)
		if err != nil {
			return nil, err
		}
		if unseen < 0 || len(questions) >= limit && (limit == 0 || questions[limit-1].worth() >= unseen) {
			return questions[:min(limit, len(questions))], nil
		}
	}
}

// worth is what the customer who has paid less has paid.
func (q *Question) worth() float64 { return min(q.value[0], q.value[1]) }

// questions are those about the identifiers, and the pairs that are alike, that are
// worth most, look of each at most; and how much one that was not looked at is
// worth at most, below 0 if there is none.
func (r *Reporter) questions(ctx context.Context, look int) (_ []Question, unseen float64, err error) {
	var rows []struct {
		Type      string      `ch:"type"`
		Hash      string      `ch:"hash"`
		Customers []uuid.UUID `ch:"customers"`
		// Everyone is who bears it, also those of whom customer_360 does not know yet.
		Everyone []uuid.UUID `ch:"everyone"`
		Worth    float64     `ch:"worth"`
	}
	if err := r.ClickHouse.Select(ctx, "find what is worth a look", &rows, fmt.Sprintf(
		"SELECT type, hash, any(everyone) AS everyone, groupArray(customer_id) AS customers, arrayReverseSort(groupArray(paid))[2] AS worth FROM (SELECT type, hash, customers AS everyone, arrayJoin(customers) AS customer_id FROM (%s AND length(customers) <= %d)) AS p"+
			" INNER JOIN (SELECT customer_id, toFloat64(paid_amount) AS paid FROM %s) AS c USING (customer_id)"+
			" GROUP BY type, hash HAVING length(customers) > 1 ORDER BY worth DESC, sum(paid) DESC, type, hash LIMIT %d",
		r.parted(), mostSharers, r.table("customer_360"), look), spill...); err != nil {
		return nil, 0, err
	}
	alike, err := r.alike(ctx, look)
	if err != nil {
		return nil, 0, err
	}
	unseen = -1
	if len(rows) > 0 && len(rows) == look {
		unseen = rows[look-1].Worth
	}
	if len(alike) > 0 && len(alike) == look {
		unseen = max(unseen, alike[look-1].Worth)
	}
	if len(rows)+len(alike) == 0 {
		return nil, unseen, nil
	}
	asked := map[identity.CustomerID]bool{}
	var customers, others []identity.CustomerID
	for _, row := range rows {
		for _, c := range row.Everyone {
			if id := identity.CustomerID(c); !asked[id] {
				asked[id] = true
				customers = append(customers, id)
			}
		}
	}
	for _, row := range alike {
		a, b := row.customers()
		for _, id := range []identity.CustomerID{a, b} {
			if !asked[id] {
				asked[id] = true
				others = append(others, id)
			}
		}
	}
	// Of what also bears others than these nothing is known here but that it joins them to
	// nobody here. The model is not asked: it joins last, and keeps no identifier from it.
	evidence, err := r.whole(ctx, customers, nil)
	if err != nil {
		return nil, 0, err
	}
	borne := map[identity.Identifier][]identity.Evidence{}
	for _, e := range evidence {
		if r.Rules.Strength(e.Identifier.Type, e.Role) > 0 {
			borne[e.Identifier] = append(borne[e.Identifier], e)
		}
	}
	words, err := decided.Read(ctx, r.ClickHouse, nil)
	if err != nil {
		return nil, 0, err
	}
	of, err := r.bought(ctx, append(customers, others...))
	if err != nil {
		return nil, 0, err
	}
	why := whysOf(r.Rules, evidence, identity.Resolve(evidence, words, r.Rules))
	var said identity.Decisions
	for _, d := range words {
		said.Add(d)
	}
	questions := map[[2]identity.CustomerID]*Question{}
	between := func(a, b identity.CustomerID, first, second identity.Account) *Question {
		q := questions[[2]identity.CustomerID{a, b}]
		if q == nil {
			if q = questions[[2]identity.CustomerID{b, a}]; q == nil {
				q = of.question(a, b, first, second)
				questions[[2]identity.CustomerID{a, b}] = q
			}
		}
		return q
	}
	for _, row := range rows {
		id := identified{Type: row.Type, Hash: row.Hash}.identifier()
		customers := map[identity.Account]identity.CustomerID{}
		for _, e := range borne[id] {
			if customer := of.customer[e.Account]; slices.Contains(row.Customers, uuid.UUID(customer)) {
				customers[e.Account] = customer
			}
		}
		bearers := bearers(why, id, customers)
		for a, first := range bearers {
			for b, second := range bearers {
				if first.Compare(second) >= 0 || said.Apart(of.accounts[a], of.accounts[b]) {
					continue
				}
				q := between(a, b, first, second)
				if !slices.Contains(q.Shares, id.Type) {
					q.Shares = append(q.Shares, id.Type)
				}
				q.shared(why, id, first, second)
				if reason := why.of(id, first, second); !slices.Contains(q.Reasons, reason) {
					q.Reasons = append(q.Reasons, reason)
				}
			}
		}
	}
	for _, row := range alike {
		a, b := row.customers()
		if said.Apart(of.accounts[a], of.accounts[b]) {
			continue
		}
		first, second := row.accounts()
		q := between(a, b, first, second)
		q.direct = true
		if !slices.Contains(q.Shares, identity.AppearanceType) {
			q.Shares = append(q.Shares, identity.AppearanceType)
		}
		if !slices.Contains(q.Reasons, row.Reason) {
			q.Reasons = append(q.Reasons, row.Reason)
		}
		if bits := float64(row.Millibits) / 1000; bits > q.Bits {
			q.Bits, q.Parts = bits, row.Parts
		}
	}
	out := make([]Question, 0, len(questions))
	for _, q := range questions {
		slices.Sort(q.Shares)
		slices.Sort(q.Reasons)
		out = append(out, *q)
	}
	slices.SortFunc(out, func(p, q Question) int {
		return cmp.Or(cmp.Compare(q.worth(), p.worth()), cmp.Compare(q.value[0]+q.value[1], p.value[0]+p.value[1]),
			cmp.Compare(len(q.Shares), len(p.Shares)), strings.Compare(p.Accounts[0], q.Accounts[0]), strings.Compare(p.Accounts[1], q.Accounts[1]))
	})
	return fewOfBridges(r.Rules, out), unseen, nil
}

// buyers are customers with their accounts and what they bought.
type buyers struct {
	customer map[identity.Account]identity.CustomerID
	accounts map[identity.CustomerID][]identity.Account
	paid     map[identity.CustomerID]purchase
}

type purchase struct {
	Customer uuid.UUID `ch:"customer_id"`
	Paid     string    `ch:"paid"`
	Value    float64   `ch:"value"`
	Currency string    `ch:"money"`
	Orders   uint64    `ch:"bought"`
}

func (b *buyers) question(a, c identity.CustomerID, first, second identity.Account) *Question {
	p, q := b.paid[a], b.paid[c]
	return &Question{
		Accounts: [2]string{first.String(), second.String()}, Customers: [2]identity.CustomerID{a, c},
		Paid: [2]string{p.Paid, q.Paid}, Currency: [2]string{p.Currency, q.Currency}, Orders: [2]uint64{p.Orders, q.Orders}, value: [2]float64{p.Value, q.Value},
	}
}

// bought reads the accounts of customers, and what they have bought.
func (r *Reporter) bought(ctx context.Context, customers []identity.CustomerID) (*buyers, error) {
	out := &buyers{map[identity.Account]identity.CustomerID{}, map[identity.CustomerID][]identity.Account{}, map[identity.CustomerID]purchase{}}
	for chunk := range slices.Chunk(customers, 1000) {
		in := quoted(chunk)
		var placed []struct {
			Platform string    `ch:"platform"`
			Shop     string    `ch:"shop"`
			Account  string    `ch:"account"`
			Customer uuid.UUID `ch:"customer_id"`
		}
		if err := r.ClickHouse.Select(ctx, "read the accounts of customers", &placed, "SELECT toString(platform) AS platform, toString(shop) AS shop, account, customer_id FROM "+r.table("identity_map")+" FINAL WHERE (platform, shop, account) IN (SELECT platform, shop, account FROM "+
			r.table("identity_map_by_customer")+" WHERE customer_id IN ("+in+")) ORDER BY platform, shop, account", spill...); err != nil {
			return nil, err
		}
		for _, p := range placed {
			a, id := identity.Account{Platform: p.Platform, Shop: p.Shop, ID: p.Account}, identity.CustomerID(p.Customer)
			out.customer[a] = id
			out.accounts[id] = append(out.accounts[id], a)
		}
		var paid []purchase
		if err := r.ClickHouse.Select(ctx, "read what customers paid", &paid, "SELECT customer_id, toString(paid_amount) AS paid, toFloat64(paid_amount) AS value, toString(currency) AS money, orders AS bought FROM "+
			r.table("customer_360")+" WHERE customer_id IN ("+in+")", spill...); err != nil {
			return nil, err
		}
		for _, p := range paid {
			out.paid[identity.CustomerID(p.Customer)] = p
		}
	}
	return out, nil
}

// quoted are ids as SQL.
func quoted(customers []identity.CustomerID) string {
	ids := make([]string, len(customers))
	for i, id := range customers {
		ids[i] = "toUUID(" + clickhouse.Quote(id.String()) + ")"
	}
	return strings.Join(ids, ",")
}
