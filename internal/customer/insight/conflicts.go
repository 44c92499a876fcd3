package insight

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"oneid/identity"
	"oneid/internal/customer/decided"
)

// mostConflicts bounds the identifiers whose reasons are looked for.
const mostConflicts = 500

// Reasons besides identity.ReviewReason.
const (
	// apart is that of an identifier whose sightings lie too far apart.
	apart = "apart"
	// unknown is that of one whose accounts are too many to be resolved here.
	unknown = "not looked at"
)

// customersEach bounds the customers of one identifier that are resolved.
const customersEach = 200

// parted is the SQL of the identifiers whose accounts belong to several
// customers.
func (r *Reporter) parted() string {
	return "SELECT toString(e.type) AS type, e.hash AS hash, groupUniqArray(m.customer_id) AS customers FROM (SELECT DISTINCT type, hash, platform, shop, account FROM " + r.table("evidence_by_identifier") +
		" WHERE " + r.joining() + " AND (hash, type) IN (SELECT hash, type FROM (" + r.shared() + ") WHERE n > 1)) AS e INNER JOIN (SELECT platform, shop, account, customer_id FROM " + r.table("identity_map") +
		" FINAL) AS m ON e.platform = m.platform AND e.shop = m.shop AND e.account = m.account GROUP BY type, hash HAVING length(customers) > 1"
}

// conflicts finds the identifiers whose accounts belong to several customers,
// and asks the rules why.
func (r *Reporter) conflicts(ctx context.Context, out *Report) error {
	var totals []struct {
		Type   string `ch:"type"`
		Parted uint64 `ch:"parted"`
	}
	parted := r.parted()
	if err := r.ClickHouse.Select(ctx, "count conflicts", &totals, "SELECT type, count() AS parted FROM ("+parted+") GROUP BY type", spill...); err != nil {
		return err
	}
	for _, total := range totals {
		if i := slices.IndexFunc(out.Identifiers, func(t Type) bool { return string(t.Type) == total.Type }); i >= 0 {
			out.Identifiers[i].Parted = int(total.Parted)
		}
	}
	var rows []struct {
		Type      string      `ch:"type"`
		Hash      string      `ch:"hash"`
		N         uint64      `ch:"n"`
		Customers []uuid.UUID `ch:"some"`
	}
	if err := r.ClickHouse.Select(ctx, "find conflicts", &rows, fmt.Sprintf("SELECT type, hash, length(customers) AS n, arraySlice(arraySort(customers), 1, %d) AS some FROM (%s) ORDER BY n DESC, type, hash LIMIT %d", customersEach, parted, mostConflicts), spill...); err != nil {
		return err
	}
	out.ConflictsSeen = len(rows)
	asked := map[identity.CustomerID]bool{}
	var customers []identity.CustomerID
	for _, row := range rows {
		for _, c := range row.Customers {
			if id := identity.CustomerID(c); !asked[id] {
				asked[id] = true
				customers = append(customers, id)
			}
		}
	}
	counts := map[identity.Identifier]int{}
	evidence, err := r.whole(ctx, customers, counts)
	if err != nil {
		return err
	}
	resolved, err := r.resolution(ctx, evidence)
	if err != nil {
		return err
	}
	why := whysOf(r.Rules, evidence, resolved)
	customer := map[identity.Account]int{}
	for i, accounts := range resolved.Customers {
		for _, a := range accounts {
			customer[a] = i
		}
	}
	borne := map[identity.Identifier]map[identity.Account]int{}
	for _, e := range evidence {
		if r.Rules.Strength(e.Identifier.Type, e.Role) > 0 {
			if borne[e.Identifier] == nil {
				borne[e.Identifier] = map[identity.Account]int{}
			}
			borne[e.Identifier][e.Account] = customer[e.Account]
		}
	}
	found := map[Conflict]Conflict{}
	for _, row := range rows {
		id := identified{Type: row.Type, Hash: row.Hash}.identifier()
		rule := r.Rules.Types[id.Type]
		reason := why.of(id, slices.Collect(maps.Values(bearers(why, id, borne[id])))...)
		switch {
		case rule.Accounts > 0 && counts[id] > rule.Accounts:
			reason = string(identity.ReviewAccounts)
		case int(row.N) > len(row.Customers):
			reason = unknown
		}
		key := Conflict{Reason: reason, Type: id.Type}
		c := found[key]
		c.Reason, c.Type = key.Reason, key.Type
		c.Identifiers++
		c.Customers += int(row.N)
		found[key] = c
	}
	for _, c := range found {
		out.Conflicts = append(out.Conflicts, c)
	}
	slices.SortFunc(out.Conflicts, func(a, b Conflict) int {
		return cmp.Or(cmp.Compare(b.Identifiers, a.Identifiers), strings.Compare(a.Reason, b.Reason), strings.Compare(string(a.Type), string(b.Type)))
	})
	return nil
}

// resolve applies the rules to all accounts of some customers.
func (r *Reporter) resolve(ctx context.Context, customers []identity.CustomerID, counts map[identity.Identifier]int) (identity.Resolution, error) {
	evidence, err := r.whole(ctx, customers, counts)
	if err != nil {
		return identity.Resolution{}, err
	}
	return r.resolution(ctx, evidence)
}

// whole is the evidence of all accounts of some customers by which they are resolved
// alone. An identifier that also bears accounts of other customers joins nothing across
// them today, and would here, where too few of them are seen: it is left out, unless all
// its accounts are here. Those of a bridge stay, for it is one by all that it bears.
// Counts, if given, is told how many accounts each identifier bears in joining roles.
func (r *Reporter) whole(ctx context.Context, customers []identity.CustomerID, counts map[identity.Identifier]int) ([]identity.Evidence, error) {
	if counts == nil {
		counts = map[identity.Identifier]int{}
	}
	var evidence []identity.Evidence
	for chunk := range slices.Chunk(customers, 1000) {
		some, err := r.evidence(ctx, chunk, counts)
		if err != nil {
			return nil, err
		}
		evidence = append(evidence, some...)
	}
	here := map[identity.Identifier]map[identity.Account]bool{}
	for _, e := range evidence {
		if r.Rules.Strength(e.Identifier.Type, e.Role) == 0 {
			continue
		}
		if here[e.Identifier] == nil {
			here[e.Identifier] = map[identity.Account]bool{}
		}
		here[e.Identifier][e.Account] = true
	}
	bridges := r.Rules.Bridges(evidence)
	evidence = slices.DeleteFunc(evidence, func(e identity.Evidence) bool {
		return !bridges[identity.Bearing{Account: e.Account, Type: e.Identifier.Type}] && len(here[e.Identifier]) > 0 && len(here[e.Identifier]) < counts[e.Identifier]
	})
	return evidence, nil
}

// resolution is what the rules and what people have decided make of evidence.
func (r *Reporter) resolution(ctx context.Context, evidence []identity.Evidence) (identity.Resolution, error) {
	words, err := decided.Read(ctx, r.ClickHouse, nil)
	if err != nil {
		return identity.Resolution{}, err
	}
	model := identity.Model{}
	if r.scorer != nil {
		model.Scorers = identity.Scorers{r.Rules.Model.Use: r.scorer}
		if model.Appearances, err = r.appearancesOf(ctx, evidence); err != nil {
			return identity.Resolution{}, err
		}
	}
	return model.Resolve(evidence, words, r.Rules), nil
}

// evidence reads what is known of the accounts of customers, and how many
// accounts each of their identifiers bears.
func (r *Reporter) evidence(ctx context.Context, customers []identity.CustomerID, counts map[identity.Identifier]int) ([]identity.Evidence, error) {
	in := quoted(customers)
	// An account that has moved on is listed under its former customer too.
	accounts := "SELECT platform, shop, account FROM " + r.table("identity_map") + " FINAL WHERE (platform, shop, account) IN (SELECT platform, shop, account FROM " +
		r.table("identity_map_by_customer") + " WHERE customer_id IN (" + in + ")) AND customer_id IN (" + in + ")"
	var rows []struct {
		Platform string    `ch:"platform"`
		Shop     string    `ch:"shop"`
		Account  string    `ch:"account"`
		Type     string    `ch:"type"`
		Hash     string    `ch:"hash"`
		Role     string    `ch:"role"`
		Source   string    `ch:"source"`
		First    time.Time `ch:"first"`
		Last     time.Time `ch:"last"`
	}
	if err := r.ClickHouse.Select(ctx, "read the evidence of customers", &rows, "SELECT toString(platform) AS platform, toString(shop) AS shop, account, toString(type) AS type, hash, toString(role) AS role, toString(source) AS source, min(first_seen) AS first, max(last_seen) AS last FROM "+
		r.table("evidence")+" WHERE (platform, shop, account) IN ("+accounts+") GROUP BY platform, shop, account, type, hash, role, source", spill...); err != nil {
		return nil, err
	}
	var evidence []identity.Evidence
	for _, row := range rows {
		role, ok := identity.ParseRole(row.Role)
		if !ok {
			continue // of a later version
		}
		evidence = append(evidence, identity.Evidence{
			Account: identity.Account{Platform: row.Platform, Shop: row.Shop, ID: row.Account}, Identifier: identified{Type: row.Type, Hash: row.Hash}.identifier(),
			Role: role, Source: row.Source, First: row.First.Unix(), Last: row.Last.Unix(),
		})
	}
	var borne []identified
	if err := r.ClickHouse.Select(ctx, "count the accounts of identifiers", &borne, "SELECT toString(type) AS type, hash, uniqExact(platform, shop, account) AS n FROM "+r.table("evidence_by_identifier")+
		" WHERE "+r.joining()+" AND (hash, type) IN (SELECT hash, type FROM "+r.table("evidence")+" WHERE (platform, shop, account) IN ("+accounts+")) GROUP BY hash, type", spill...); err != nil {
		return nil, err
	}
	for _, row := range borne {
		counts[row.identifier()] = int(row.N)
	}
	return evidence, nil
}
