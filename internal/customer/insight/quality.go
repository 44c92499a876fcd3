// Package insight reports how good the answer to "who is who" is: how large
// customers are, what joins too much, what holds large ones together, what was
// refused, how many accounts were found on another platform, and how often
// people agreed. It reads ClickHouse and changes nothing. It names accounts and
// keyed hashes, never a value that points at a person.
package insight

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/customer/decided"
)

// Report is the quality of an instance's customers at a moment.
type Report struct {
	Taken time.Time `json:"taken"`
	// Customers are the living ones, of whom Unnamed are made only of orders
	// whose buyer the source does not name; Accounts are theirs.
	Customers int `json:"customers"`
	Unnamed   int `json:"unnamed"`
	Accounts  int `json:"accounts"`
	// Sizes are the customers by their number of accounts.
	Sizes []Size `json:"sizes"`
	// Platforms say how many accounts were found to be on another one too.
	Platforms []Platform `json:"platforms"`
	// Biggest are the customers with most accounts.
	Biggest []Customer `json:"biggest"`
	// Bridges are accounts that alone hold one of the Biggest together.
	Bridges []Bridge `json:"bridges"`
	// Identifiers are by type.
	Identifiers []Type `json:"identifiers"`
	// Inert are the identifiers that bear most accounts of those that bear too
	// many to join any.
	Inert []Inert `json:"inert"`
	// Bearers are the accounts that bear most values of a type at a time, of those
	// that bear too many to be joined by it.
	Bearers []Bearer `json:"bearers"`
	// Conflicts are by reason and type of identifier.
	Conflicts []Conflict `json:"conflicts"`
	// ConflictsSeen is how many identifiers Conflicts were counted on, those
	// with most customers: all there are, or a bounded number.
	ConflictsSeen int `json:"conflicts_seen"`
	// Model is what the model of the rules does; nil if they use none.
	Model *ModelQuality `json:"model,omitempty"`
	// Decisions say how often people agreed with the rules.
	Decisions Decisions `json:"decisions"`
	// Contradictions are decisions that contradict each other, by their ids: a
	// different, then the sames against it.
	Contradictions [][]string `json:"contradictions,omitempty"`
}

// Size is how many customers have From to To accounts; To is 0 for no bound.
type Size struct {
	From      int `json:"from"`
	To        int `json:"to,omitempty"`
	Customers int `json:"customers"`
}

// Platform is how many of a platform's accounts belong to a customer who has
// an account on another one. Orders whose buyer is not named are left out.
type Platform struct {
	Platform string `json:"platform"`
	Accounts int    `json:"accounts"`
	Joined   int    `json:"joined"`
}

// Share is Joined by Accounts.
func (p Platform) Share() float64 { return float64(p.Joined) / float64(max(p.Accounts, 1)) }

// Customer is one of the biggest.
type Customer struct {
	ID         identity.CustomerID `json:"customer_id"`
	Accounts   int                 `json:"accounts"`
	ByPlatform map[string]uint64   `json:"by_platform"`
}

// Bridge is an account without which its customer would fall into Parts.
type Bridge struct {
	Customer identity.CustomerID `json:"customer_id"`
	Account  string              `json:"account"`
	Parts    []int               `json:"parts"`
	// ThroughModel: it is held to others by the model.
	ThroughModel bool `json:"through_model,omitempty"`
}

// Type is what the identifiers of a type do. Those that were seen in a role in
// which the type joins are counted.
type Type struct {
	Type identity.IdentifierType `json:"type"`
	// Seen are the identifiers; Shared of them bear several accounts, and Inert
	// of these more than the rules allow.
	Seen   int `json:"seen"`
	Shared int `json:"shared"`
	Inert  int `json:"inert"`
	// Parted bear several accounts that belong to several customers.
	Parted int `json:"parted"`
}

// Inert is an identifier that bears too many accounts to join any. Its name
// holds a part of its keyed hash, not its value.
type Inert struct {
	Identifier string `json:"identifier"`
	Accounts   int    `json:"accounts"`
	Allowed    int    `json:"allowed"`
}

// Bearer is an account that bears so many values of a type at a time: it is a bridge
// between strangers, and no value of the type joins it to anybody.
type Bearer struct {
	Account string                  `json:"account"`
	Type    identity.IdentifierType `json:"type"`
	Values  int                     `json:"values"`
	Allowed int                     `json:"allowed"`
}

// Conflict is why identifiers of a type, borne by accounts of several
// customers, did not join these.
type Conflict struct {
	// Reason is one of identity.ReviewReason; or "apart": the sightings lie too
	// far apart in time, as those of a phone that changed hands; or "not looked
	// at".
	Reason      string                  `json:"reason"`
	Type        identity.IdentifierType `json:"type"`
	Identifiers int                     `json:"identifiers"`
	Customers   int                     `json:"customers"`
}

// most of each list that a report holds.
const most = 20

// sizes are where the classes of Sizes begin.
var sizes = []int{1, 2, 3, 4, 5, 6, 11, 21, 51}

// Reporter makes reports of one instance.
type Reporter struct {
	ClickHouse *clickhouse.Conn
	// Rules hold where no decision has adopted others.
	Rules *identity.Rules
	// Models are those that rules may use; Open opens an appearance's sealed
	// value. A report needs both where the rules use a model.
	Models identity.Scorers
	Open   func(hash identity.Hash, sealed []byte) (identity.Appearance, error)
	// Progress, if set, is told what is asked for.
	Progress func(what string)

	// scorer is the model of the rules while a report is made: from blocks on,
	// without the keys that are inert.
	scorer identity.Scorer
}

// spill lets what does not fit into memory go to ClickHouse's disk, and keeps a
// report from taking all processors from those who look customers up.
var spill = []clickhouse.Setting{
	{Name: "max_threads", Value: 2},
	{Name: "max_bytes_before_external_group_by", Value: 1 << 30},
	{Name: "max_bytes_before_external_sort", Value: 1 << 30},
	{Name: "optimize_aggregation_in_order", Value: 1},
	{Name: "join_algorithm", Value: "grace_hash"},
}

// Take makes a report. Counts of customers are those of customer_360, whose
// last refresh they are as old as.
func (r *Reporter) Take(ctx context.Context) (*Report, error) {
	// A list without entries is one in JSON, too.
	out := &Report{
		Taken: time.Now().UTC().Truncate(time.Second), Platforms: []Platform{}, Biggest: []Customer{}, Bridges: []Bridge{},
		Identifiers: []Type{}, Inert: []Inert{}, Bearers: []Bearer{}, Conflicts: []Conflict{},
	}
	r, err := r.inForce(ctx)
	if err != nil {
		return nil, err
	}
	if r.scorer, err = r.Models.Of(r.Rules); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context, *Report) error
	}{
		{"customers", r.customers},
		{"platforms", r.platforms},
		{"the biggest customers", r.biggest},
		{"what the model joined", r.model},
		{"bridges", r.bridges},
		{"identifiers", r.identifiers},
		{"inert identifiers", r.inert},
		{"accounts that bear too many", r.bearers},
		{"conflicts", r.conflicts},
		{"decisions", r.decisions},
	} {
		if r.Progress != nil {
			r.Progress(step.what)
		}
		if err := step.do(ctx, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// inForce is a Reporter with the rules that are in force.
func (r *Reporter) inForce(ctx context.Context) (*Reporter, error) {
	rules, err := decided.Rules(ctx, r.ClickHouse, r.Rules)
	if err != nil {
		return nil, err
	}
	return &Reporter{ClickHouse: r.ClickHouse, Rules: rules, Models: r.Models, Open: r.Open, Progress: r.Progress}, nil
}

func (r *Reporter) table(name string) string { return r.ClickHouse.Database() + "." + name }

func (r *Reporter) customers(ctx context.Context, out *Report) error {
	var rows []struct {
		Accounts  uint64 `ch:"n"`
		Customers uint64 `ch:"customers"`
		Unnamed   uint64 `ch:"unnamed"`
	}
	if err := r.ClickHouse.Select(ctx, "count customers", &rows, "SELECT arraySum(mapValues(accounts)) AS n, count() AS customers, countIf(NOT identified) AS unnamed FROM "+
		r.table("customer_360")+" GROUP BY n ORDER BY n", spill...); err != nil {
		return err
	}
	for i, from := range sizes {
		s := Size{From: from}
		if i+1 < len(sizes) {
			s.To = sizes[i+1] - 1
		}
		for _, row := range rows {
			if n := int(row.Accounts); n >= from && (s.To == 0 || n <= s.To) {
				s.Customers += int(row.Customers)
				out.Customers += int(row.Customers)
				out.Accounts += n * int(row.Customers)
				out.Unnamed += int(row.Unnamed)
			}
		}
		out.Sizes = append(out.Sizes, s)
	}
	return nil
}

func (r *Reporter) platforms(ctx context.Context, out *Report) error {
	var rows []struct {
		Platform string `ch:"platform"`
		Accounts uint64 `ch:"n"`
		Joined   uint64 `ch:"joined"`
	}
	err := r.ClickHouse.Select(ctx, "count each platform's accounts", &rows, "SELECT platform, sum(accounts[platform]) AS n, sumIf(accounts[platform], length(platforms) > 1) AS joined FROM "+
		r.table("customer_360")+" ARRAY JOIN platforms AS platform WHERE identified GROUP BY platform ORDER BY platform", spill...)
	for _, row := range rows {
		out.Platforms = append(out.Platforms, Platform{row.Platform, int(row.Accounts), int(row.Joined)})
	}
	return err
}

func (r *Reporter) biggest(ctx context.Context, out *Report) error {
	var rows []struct {
		ID         uuid.UUID         `ch:"customer_id"`
		ByPlatform map[string]uint64 `ch:"accounts"`
	}
	err := r.ClickHouse.Select(ctx, "find the biggest customers", &rows, fmt.Sprintf("SELECT customer_id, accounts FROM %s WHERE arraySum(mapValues(accounts)) > 1 ORDER BY arraySum(mapValues(accounts)) DESC, customer_id LIMIT %d",
		r.table("customer_360"), most), spill...)
	for _, row := range rows {
		c := Customer{ID: identity.CustomerID(row.ID), ByPlatform: row.ByPlatform}
		for _, n := range row.ByPlatform {
			c.Accounts += int(n)
		}
		out.Biggest = append(out.Biggest, c)
	}
	return err
}

func (r *Reporter) bridges(ctx context.Context, out *Report) error {
	for _, c := range out.Biggest {
		if c.Accounts < 3 {
			break
		}
		resolved, err := r.resolve(ctx, []identity.CustomerID{c.ID}, nil)
		if err != nil {
			return err
		}
		for _, b := range identity.Bridges(resolved.Links) {
			through := slices.ContainsFunc(resolved.Links, func(l identity.Link) bool {
				return l.Weight > 0 && (l.Account == b.Account || l.Other == b.Account)
			})
			out.Bridges = append(out.Bridges, Bridge{c.ID, b.Account.String(), b.Parts, through})
		}
	}
	slices.SortStableFunc(out.Bridges, func(a, b Bridge) int { return b.Parts[1] - a.Parts[1] })
	out.Bridges = out.Bridges[:min(len(out.Bridges), most)]
	return nil
}

// joining is the SQL condition on a row of evidence that its type joins in its
// role.
func (r *Reporter) joining() string {
	var pairs []string
	for _, typ := range slices.Sorted(maps.Keys(r.Rules.Types)) {
		for role := identity.RoleMember; role <= identity.RoleAgent; role++ {
			if r.Rules.Strength(typ, role) > 0 {
				pairs = append(pairs, "("+clickhouse.Quote(string(typ))+","+clickhouse.Quote(role.String())+")")
			}
		}
	}
	if len(pairs) == 0 {
		return "0"
	}
	return "(type, role) IN (" + strings.Join(pairs, ",") + ")"
}

// allowed is the SQL of how many accounts an identifier of a row may bear.
func (r *Reporter) allowed() string {
	return r.byType(func(rule *identity.TypeRule) int { return rule.Accounts }, 1_000_000_000)
}

// byType is the SQL of a number of each type, another for one that has none.
func (r *Reporter) byType(of func(*identity.TypeRule) int, without int) string {
	types, numbers := []string{"''"}, []string{"0"}
	for _, typ := range slices.Sorted(maps.Keys(r.Rules.Types)) {
		if n := of(r.Rules.Types[typ]); n > 0 {
			types, numbers = append(types, clickhouse.Quote(string(typ))), append(numbers, fmt.Sprint(n))
		}
	}
	return "transform(toString(type), [" + strings.Join(types, ",") + "], [" + strings.Join(numbers, ",") + "], " + fmt.Sprint(without) + ")"
}

// shared is the SQL of the identifiers that several accounts bear in joining
// roles: type, hash, n.
func (r *Reporter) shared() string {
	return "SELECT hash, type, uniqExact(platform, shop, account) AS n FROM " + r.table("evidence_by_identifier") + " WHERE " + r.joining() + " GROUP BY hash, type"
}

func (r *Reporter) identifiers(ctx context.Context, out *Report) error {
	var rows []struct {
		Type   string `ch:"type"`
		Seen   uint64 `ch:"seen"`
		Shared uint64 `ch:"shared"`
		Inert  uint64 `ch:"inert"`
	}
	err := r.ClickHouse.Select(ctx, "count identifiers", &rows, "SELECT toString(type) AS type, count() AS seen, countIf(n > 1) AS shared, countIf(n > "+r.allowed()+") AS inert FROM ("+
		r.shared()+") GROUP BY type ORDER BY type", spill...)
	for _, row := range rows {
		out.Identifiers = append(out.Identifiers, Type{Type: identity.IdentifierType(row.Type), Seen: int(row.Seen), Shared: int(row.Shared), Inert: int(row.Inert)})
	}
	return err
}

func (r *Reporter) inert(ctx context.Context, out *Report) error {
	var rows []identified
	err := r.ClickHouse.Select(ctx, "find inert identifiers", &rows, fmt.Sprintf("SELECT toString(type) AS type, hash, n FROM (%s) WHERE n > %s ORDER BY n DESC, type, hash LIMIT %d",
		r.shared(), r.allowed(), most), spill...)
	for _, row := range rows {
		id := row.identifier()
		out.Inert = append(out.Inert, Inert{id.String(), int(row.N), r.Rules.Types[id.Type].Accounts})
	}
	return err
}

// bearers finds the accounts that identity.Rules.TooMany names, as that does: values
// come and go at moments, and one that comes when another goes meets it.
func (r *Reporter) bearers(ctx context.Context, out *Report) error {
	bound := r.byType(func(rule *identity.TypeRule) int { return rule.Values }, 1_000_000_000)
	gap := r.byType(func(rule *identity.TypeRule) int { return rule.GapDays }, 0)
	var rows []struct {
		Platform string `ch:"platform"`
		Shop     string `ch:"shop"`
		Account  string `ch:"account"`
		Type     string `ch:"type"`
		Values   uint64 `ch:"most"`
	}
	const borne = "arrayMax(arrayCumSum(arrayMap(m -> m.2, arraySort(m -> (m.1, -m.2), arrayConcat(arrayMap(t -> (t.1, 1), times), arrayMap(t -> (t.2 + gap, -1), times))))))"
	err := r.ClickHouse.Select(ctx, "find who bears too many values", &rows, fmt.Sprintf("SELECT platform, shop, account, type, toUInt64(if(gap = 0, length(times), %s)) AS most FROM ("+
		"SELECT platform, shop, account, type, groupArray((first, last)) AS times, any(toInt64(%s) * 86400) AS gap FROM ("+
		"SELECT toString(platform) AS platform, toString(shop) AS shop, account, toString(type) AS type, hash, toInt64(min(first_seen)) AS first, toInt64(max(last_seen)) AS last FROM %s WHERE %s GROUP BY platform, shop, account, type, hash"+
		") GROUP BY platform, shop, account, type HAVING count() > %s) WHERE most > %s ORDER BY most DESC, platform, shop, account, type LIMIT %d",
		borne, gap, r.table("evidence"), r.joining(), bound, bound, most), spill...)
	for _, row := range rows {
		typ := identity.IdentifierType(row.Type)
		out.Bearers = append(out.Bearers, Bearer{identity.Account{Platform: row.Platform, Shop: row.Shop, ID: row.Account}.String(), typ, int(row.Values), r.Rules.Types[typ].Values})
	}
	return err
}

// identified is a row about an identifier.
type identified struct {
	Type string `ch:"type"`
	Hash string `ch:"hash"`
	N    uint64 `ch:"n"`
}

func (i identified) identifier() identity.Identifier {
	id := identity.Identifier{Type: identity.IdentifierType(i.Type)}
	copy(id.Hash[:], i.Hash)
	return id
}
