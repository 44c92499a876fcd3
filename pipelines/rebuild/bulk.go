package rebuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/customer/decided"
)

// Bulk is all that is stored, resolved as SQL on ClickHouse.
type Bulk struct {
	Accounts  int `json:"accounts"`
	Customers int `json:"customers"`
	// Groups are what joins two accounts or more: an identifier in one span of
	// time, or a decision.
	Groups int `json:"groups,omitempty"`
	// Rounds is how often labels were passed on until none changed.
	Rounds int `json:"rounds,omitempty"`
	// Components that something may keep apart are partitioned by the rules one
	// by one; Contested counts them, and ContestedAccounts what is in them.
	Contested         int `json:"contested_components,omitempty"`
	ContestedAccounts int `json:"contested_accounts,omitempty"`
	// Differences are accounts whose customer_id is another than in the table
	// identity_map.
	Differences int    `json:"differences"`
	Steps       []Step `json:"steps"`
}

// Step is a part of the work and how long it took.
type Step struct {
	What    string  `json:"what"`
	Seconds float64 `json:"seconds"`
}

// Again resolves everything anew as Bulk does, by this program and in its memory.
func (r *Rebuild) Again(ctx context.Context, rules *identity.Rules) (Bulk, error) {
	var out Bulk
	began := time.Now()
	took := func(what string) {
		out.Steps = append(out.Steps, Step{what, time.Since(began).Seconds()})
		began = time.Now()
	}
	e, sequence, err := r.inMemory(ctx)
	if err != nil {
		return out, err
	}
	took("read what is stored")
	if rules == nil {
		_, inForce := e.Rules()
		same := *inForce // adopted anew, for every account to be resolved
		rules = &same
	}
	changes, err := e.Apply(sequence+1, nil, []identity.Decision{adoption(rules)})
	if err != nil {
		return out, err
	}
	for range e.Customers {
		out.Customers++
	}
	took("resolve")
	out.Accounts, out.Differences = e.Size().Accounts, len(changes.Moved)
	return out, nil
}

// bulk is one run. Its tables are its own, and gone with it.
type bulk struct {
	*Rebuild
	rules  *identity.Rules
	words  identity.Decisions
	prefix string
	out    Bulk
	scorer identity.Scorer // of the rules; nil if they use no model
	// pairs are those that the model joins, by the accounts' numbers.
	pairs []identity.Resemblance
}

// Bulk resolves everything anew by the rules given, nil meaning those in force,
// on ClickHouse, and compares the outcome with identity_map. Only components
// that a constraint may split are read; so it is bounded by ClickHouse's disk and
// not by this machine's memory. What a model of the rules is asked about is an
// exception: the appearances that count are held in memory.
//
// Accounts are numbered in the order of their births, and every account takes the
// lowest number of those that it shares a group with, until nothing changes; in
// each round it also takes what the account of its own label has taken (pointer
// jumping: Shiloach and Vishkin, J. Algorithms 3, 1982), so that a chain needs
// rounds by the logarithm of its length. The lowest number is the eldest account,
// whose birth id is the customer's.
func (r *Rebuild) Bulk(ctx context.Context, rules *identity.Rules) (_ Bulk, err error) {
	words, err := decided.Read(ctx, r.ClickHouse, nil)
	if err != nil {
		return Bulk{}, err
	}
	b := &bulk{Rebuild: r, rules: rules, prefix: r.table("bulk_" + strings.ReplaceAll(uuid.NewString(), "-", "") + "_")}
	for _, d := range words {
		b.words.Add(d)
	}
	if rules == nil {
		b.rules = b.words.Rules(r.Rules)
	}
	if b.scorer, err = r.Models.Of(b.rules); err != nil {
		return Bulk{}, err
	}
	defer func() { err = errors.Join(err, b.drop(context.WithoutCancel(ctx))) }()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"number the accounts", b.number},
		{"gather what joins", b.gather},
		{"ask the model", b.resemble},
		{"pass on labels", b.label},
		{"find what is contested", b.contest},
		{"partition what is contested", b.partition},
		{"compare", b.compare},
	} {
		r.progress(step.what, 0)
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return b.out, err
		}
		b.out.Steps = append(b.out.Steps, Step{step.what, time.Since(began).Seconds()})
	}
	return b.out, nil
}

var bulkTables = []string{"accounts", "sightings", "members", "labels", "passed", "contested", "partitioned"}

func (b *bulk) drop(ctx context.Context) error {
	var faults []error
	for _, table := range bulkTables {
		faults = append(faults, b.ClickHouse.Exec(ctx, "drop a table of the bulk resolution", "DROP TABLE IF EXISTS "+b.prefix+table+" SYNC"))
	}
	return errors.Join(faults...)
}

// make makes a table of a run from a query.
func (b *bulk) make(ctx context.Context, table, order, query string) error {
	return b.ClickHouse.Exec(ctx, "make the table of "+table, "CREATE TABLE "+b.prefix+table+" ENGINE = MergeTree ORDER BY "+order+" AS "+query, bulkSpill...)
}

// bulkSpill keeps joins and groups within memory.
var bulkSpill = []clickhouse.Setting{
	{Name: "max_bytes_before_external_group_by", Value: 512 << 20},
	{Name: "max_bytes_before_external_sort", Value: 512 << 20},
	{Name: "join_algorithm", Value: "grace_hash"},
	{Name: "grace_hash_join_initial_buckets", Value: 8},
}

func (b *bulk) count(ctx context.Context, into *int, query string) error {
	n, err := b.ClickHouse.Number(ctx, "count", query, bulkSpill...)
	*into = int(n)
	return err
}

// birthID is the SQL of an account's own id from x, the hexadecimal digits of the
// SHA-256 of its key, as identity.Account.BirthID makes it.
const birthID = "toUUID(concat(substring(x, 1, 8), '-', substring(x, 9, 4), '-8', substring(x, 14, 3), '-'," +
	" substring('89ab89ab89ab89ab', position('0123456789abcdef', substring(x, 17, 1)), 1), substring(x, 18, 3), '-', substring(x, 21, 12)))"

func (b *bulk) number(ctx context.Context) error {
	journal, err := readJournal(ctx, b.Kafka, b.Topics.Journal)
	if err != nil {
		return err
	}
	err = b.make(ctx, "accounts", "(platform, shop, account)", "SELECT toUInt32(rowNumberInAllBlocks()) AS n, platform, shop, account, id FROM ("+
		"SELECT platform, shop, account, "+birthID+" AS id, born FROM (SELECT toString(platform) AS platform, toString(shop) AS shop, account, lower(hex(SHA256(concat(platform, '/', shop, '/', account)))) AS x, "+sequence("min(version)")+" AS born"+
		" FROM "+b.table("identity_history")+" WHERE "+journal.valid()+" GROUP BY platform, shop, account) ORDER BY born, toString(id))")
	if err != nil {
		return err
	}
	return b.count(ctx, &b.out.Accounts, "SELECT count() FROM "+b.prefix+"accounts")
}

// byType is the SQL of a number of each type, 0 for one that has none.
func (b *bulk) byType(of func(*identity.TypeRule) int) string {
	types, numbers := []string{"''"}, []string{"0"}
	for _, typ := range slices.Sorted(maps.Keys(b.rules.Types)) {
		if n := of(b.rules.Types[typ]); n > 0 {
			types, numbers = append(types, clickhouse.Quote(string(typ))), append(numbers, strconv.Itoa(n))
		}
	}
	return "transform(toString(type), [" + strings.Join(types, ",") + "], [" + strings.Join(numbers, ",") + "], 0)"
}

// strength is the SQL of how strongly a row of evidence joins, 0 if it does not.
func (b *bulk) strength() string {
	keys, numbers := []string{"''"}, []string{"0"}
	for _, typ := range slices.Sorted(maps.Keys(b.rules.Types)) {
		for role := identity.RoleMember; role <= identity.RoleAgent; role++ {
			if n := b.rules.Strength(typ, role); n > 0 {
				keys, numbers = append(keys, clickhouse.Quote(string(typ)+"/"+role.String())), append(numbers, strconv.Itoa(n))
			}
		}
	}
	return "transform(concat(toString(type), '/', toString(role)), [" + strings.Join(keys, ",") + "], [" + strings.Join(numbers, ",") + "], 0)"
}

// identified is the SQL of identity.Account.Identified.
const identified = "NOT startsWith(account, 'order:')"

func (b *bulk) gather(ctx context.Context) error {
	err := b.make(ctx, "sightings", "(hash, type, n)", "SELECT hash, type, a.n AS n, max(s) AS strength, min(first_seen) AS first, max(last_seen) AS last FROM (SELECT hash, toString(type) AS type, toString(platform) AS platform, toString(shop) AS shop, account, toUInt8("+
		b.strength()+") AS s, first_seen, last_seen FROM "+b.table("evidence_by_identifier")+" WHERE s > 0) AS e INNER JOIN "+b.prefix+"accounts AS a USING (platform, shop, account) GROUP BY hash, type, n")
	if err != nil {
		return err
	}
	// Spans as identity.Rules.Groups cuts them: a sighting that begins more than
	// the gap after all before it have ended begins another.
	gap := "(" + b.byType(func(r *identity.TypeRule) int { return r.GapDays }) + " * 86400)"
	bound := b.byType(func(r *identity.TypeRule) int { return r.Accounts })
	err = b.make(ctx, "members", "(g, n)", "SELECT sipHash128(hash, type, span) AS g, hash, type, span, n, strength, '' AS decision FROM (SELECT hash, type, n, strength, span, count() OVER (PARTITION BY hash, type, span) AS together FROM ("+
		"SELECT hash, type, n, strength, sum(begins) OVER (PARTITION BY hash, type ORDER BY first, last, n) AS span FROM ("+
		"SELECT hash, type, n, strength, first, last, "+gap+" AS gap, toUInt32(gap > 0 AND toInt64(first) > max(toInt64(last)) OVER (PARTITION BY hash, type ORDER BY first, last, n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) + gap AND row_number() OVER (PARTITION BY hash, type ORDER BY first, last, n) > 1) AS begins"+
		" FROM "+b.prefix+"sightings WHERE (hash, type) IN (SELECT hash, type FROM "+b.prefix+"sightings GROUP BY hash, type HAVING count() > 1 AND ("+bound+" = 0 OR count() <= "+bound+"))"+
		"))) WHERE together > 1")
	if err != nil {
		return err
	}
	for _, v := range b.words.All() {
		if v.Kind != identity.Same {
			continue
		}
		err := b.ClickHouse.Exec(ctx, "add a decision", "INSERT INTO "+b.prefix+"members SELECT sipHash128('decision', "+clickhouse.Quote(v.ID)+"), toFixedString('', 16), '', 0, n, 100, "+clickhouse.Quote(v.ID)+" FROM "+b.prefix+"accounts WHERE "+b.pair(v.Pair)+
			" AND (SELECT count() FROM "+b.prefix+"accounts WHERE "+b.pair(v.Pair)+") = 2")
		if err != nil {
			return err
		}
	}
	return b.count(ctx, &b.out.Groups, "SELECT uniqExact(g) FROM "+b.prefix+"members")
}

func (b *bulk) pair(p identity.Pair) string {
	account := func(a identity.Account) string {
		return "(" + clickhouse.Quote(a.Platform) + "," + clickhouse.Quote(a.Shop) + "," + clickhouse.Quote(a.ID) + ")"
	}
	return "(platform, shop, account) IN (" + account(p.A) + "," + account(p.B) + ")"
}

// resemble adds the pairs that the model joins. The appearances are read
// into memory, and so are the pairs.
func (b *bulk) resemble(ctx context.Context) error {
	if b.scorer == nil {
		return nil
	}
	var bearers []identity.Bearer
	wanted := map[identity.Hash]bool{}
	query := fmt.Sprintf("SELECT a.n, e.hash, e.first, e.last FROM (SELECT hash, toString(platform) AS platform, toString(shop) AS shop, account,"+
		" toInt64(toUnixTimestamp(min(first_seen))) AS first, toInt64(toUnixTimestamp(max(last_seen))) AS last FROM %s WHERE type = %s GROUP BY hash, platform, shop, account) AS e INNER JOIN %saccounts AS a USING (platform, shop, account)",
		b.table("evidence_by_identifier"), clickhouse.Quote(string(identity.AppearanceType)), b.prefix)
	err := b.ClickHouse.Rows(ctx, "read who receives", query, func(scan func(...any) error) error {
		var n uint32
		var hash string
		var first, last int64
		if err := scan(&n, &hash, &first, &last); err != nil {
			return err
		}
		if len(hash) != len(identity.Hash{}) {
			return fmt.Errorf("a hash has %d bytes", len(hash))
		}
		bearers = append(bearers, identity.Bearer{Account: int(n), Hash: identity.Hash([]byte(hash)), Counts: b.rules.Model.Counts(first, last)})
		wanted[identity.Hash([]byte(hash))] = true
		return nil
	}, bulkSpill...)
	if err != nil {
		return err
	}
	appearances := make(map[identity.Hash]identity.Appearance, len(wanted))
	err = b.appearances(ctx, func(h identity.Hash, a identity.Appearance) {
		if wanted[h] {
			appearances[h] = a
		}
	})
	if err != nil {
		return err
	}
	pairs, _ := b.rules.Model.Resemblances(b.scorer, bearers, appearances)
	b.pairs = slices.DeleteFunc(pairs, func(r identity.Resemblance) bool { return r.Weight < b.rules.Model.Accept })
	for some := range slices.Chunk(b.pairs, 10_000) {
		texts := make([]string, len(some))
		for i, r := range some {
			texts[i] = fmt.Sprintf("(%d,%d)", r.A, r.B)
		}
		err := b.ClickHouse.Exec(ctx, "add what the model joins", "INSERT INTO "+b.prefix+"members SELECT sipHash128('model', p.1, p.2), toFixedString('', 16), '', 0, arrayJoin([p.1, p.2]), 1, "+asModel+" FROM (SELECT arrayJoin(["+strings.Join(texts, ",")+"]) AS p)", bulkSpill...)
		if err != nil {
			return err
		}
	}
	return b.count(ctx, &b.out.Groups, "SELECT uniqExact(g) FROM "+b.prefix+"members")
}

// asModel is what stands in place of a decision's id for a pair of the model.
const asModel = "'model'"

// mostRounds is beyond what any chain of fewer than 2³² accounts needs.
const mostRounds = 64

func (b *bulk) label(ctx context.Context) error {
	if err := b.make(ctx, "labels", "n", "SELECT DISTINCT n, n AS l FROM "+b.prefix+"members"); err != nil {
		return err
	}
	for changed := 1; changed > 0; {
		if b.out.Rounds++; b.out.Rounds > mostRounds {
			return fmt.Errorf("rebuild: labels still change after %d rounds", mostRounds)
		}
		// The lowest label of each group, and of the groups of each account.
		lowest := "SELECT n, min(low) AS l FROM (SELECT n, low FROM " + b.prefix + "members AS m INNER JOIN (SELECT g, min(l) AS low FROM " + b.prefix + "members AS m INNER JOIN " + b.prefix + "labels AS x USING (n) GROUP BY g) AS y USING (g)) GROUP BY n"
		if err := b.make(ctx, "passed", "n", lowest); err != nil {
			return err
		}
		err := b.count(ctx, &changed, "SELECT countIf(x.l != y.l) FROM "+b.prefix+"labels AS x INNER JOIN "+b.prefix+"passed AS y USING (n)")
		if err != nil {
			return err
		}
		for _, statement := range []string{"DROP TABLE " + b.prefix + "labels SYNC", "CREATE TABLE " + b.prefix + "labels (n UInt32, l UInt32) ENGINE = MergeTree ORDER BY n",
			"INSERT INTO " + b.prefix + "labels SELECT x.n, y.l FROM " + b.prefix + "passed AS x INNER JOIN " + b.prefix + "passed AS y ON x.l = y.n", "DROP TABLE " + b.prefix + "passed SYNC"} {
			if err := b.ClickHouse.Exec(ctx, "pass on labels", statement, bulkSpill...); err != nil {
				return err
			}
		}
		b.progress("rounds", b.out.Rounds)
	}
	return nil
}

// contest finds the components in which some link may be refused; it may find
// too many, and never too few.
func (b *bulk) contest(ctx context.Context) error {
	of := " INNER JOIN " + b.prefix + "labels AS x USING (n)"
	perShop := b.byType(func(r *identity.TypeRule) int { return r.PerShop })
	exclusive := b.byType(func(r *identity.TypeRule) int { return r.Exclusive })
	reasons := []string{
		fmt.Sprintf("SELECT l FROM %slabels GROUP BY l HAVING count() > %d", b.prefix, b.rules.LargestCustomer),
		"SELECT l FROM (SELECT l, type, hash FROM " + b.prefix + "sightings AS s" + of + " WHERE " + exclusive + " > 0 GROUP BY l, type, hash) GROUP BY l, type HAVING count() > " + exclusive,
		// A shop with more accounts than the strictest of the types that join there allows.
		"SELECT l FROM (SELECT l, min(bound) AS bound FROM (SELECT l, " + perShop + " AS bound FROM " + b.prefix + "members AS m" + of + " WHERE bound > 0) GROUP BY l) AS p INNER JOIN (SELECT l, max(k) AS most FROM (SELECT l, count() AS k FROM " +
			b.prefix + "accounts AS a" + of + " WHERE " + identified + " GROUP BY l, platform, shop) GROUP BY l) AS q USING (l) WHERE most > bound",
	}
	if b.scorer != nil {
		// Which of its pairs are refused, the rules say.
		reasons = append(reasons, "SELECT DISTINCT l FROM "+b.prefix+"members AS m"+of+" WHERE decision = "+asModel)
	}
	for _, v := range b.words.All() {
		if v.Kind == identity.Different {
			reasons = append(reasons, "SELECT l FROM "+b.prefix+"accounts AS a"+of+" WHERE "+b.pair(v.Pair)+" GROUP BY l HAVING count() = 2")
		}
	}
	if err := b.make(ctx, "contested", "l", "SELECT DISTINCT toUInt32(l) AS l FROM ("+strings.Join(reasons, " UNION ALL ")+")"); err != nil {
		return err
	}
	return errors.Join(
		b.count(ctx, &b.out.Contested, "SELECT count() FROM "+b.prefix+"contested"),
		b.count(ctx, &b.out.ContestedAccounts, "SELECT count() FROM "+b.prefix+"labels WHERE l IN (SELECT l FROM "+b.prefix+"contested)"))
}

// contestedAtOnce bounds the components that are in memory.
const contestedAtOnce = 20_000

// partition splits the contested components by the rules themselves.
func (b *bulk) partition(ctx context.Context) error {
	if err := b.ClickHouse.Exec(ctx, "make the table of partitioned", "CREATE TABLE "+b.prefix+"partitioned (n UInt32, l UInt32) ENGINE = MergeTree ORDER BY n"); err != nil {
		return err
	}
	for from := 0; from < b.out.Contested; from += contestedAtOnce {
		some := fmt.Sprintf("l IN (SELECT l FROM %scontested ORDER BY l LIMIT %d OFFSET %d)", b.prefix, contestedAtOnce, from)
		if err := b.partitionSome(ctx, some); err != nil {
			return err
		}
		b.progress("contested components", from)
	}
	return nil
}

// part is a contested component on its way to identity.Rules.Partition.
type part struct {
	numbers []uint32 // of Accounts
	identity.Component
	at     map[uint32]int
	groups map[string]int
}

func (b *bulk) partitionSome(ctx context.Context, some string) error {
	parts, partOf := map[uint32]*part{}, map[uint32]*part{} // by label, by account
	of := " INNER JOIN " + b.prefix + "labels AS x USING (n) WHERE " + some
	err := b.ClickHouse.Rows(ctx, "read contested accounts", "SELECT l, n, platform, shop, account FROM "+b.prefix+"accounts AS a"+of+" ORDER BY l, platform, shop, account", func(scan func(...any) error) error {
		var l, n uint32
		var a identity.Account
		if err := scan(&l, &n, &a.Platform, &a.Shop, &a.ID); err != nil {
			return err
		}
		p := parts[l]
		if p == nil {
			p = &part{at: map[uint32]int{}, groups: map[string]int{}}
			parts[l] = p
		}
		p.numbers, p.Accounts = append(p.numbers, n), append(p.Accounts, a)
		partOf[n] = p
		return nil
	}, bulkSpill...)
	if err != nil {
		return err
	}
	for _, p := range parts {
		p.sort()
		for _, a := range p.Accounts {
			for _, v := range b.words.Of(a) {
				_, here := slices.BinarySearchFunc(p.Accounts, v.Pair.B, identity.Account.Compare)
				if v.Pair.A == a && here {
					p.Verdicts = append(p.Verdicts, v)
				}
			}
		}
	}
	for _, pair := range b.pairs {
		if p := partOf[uint32(pair.A)]; p != nil {
			pair.A, pair.B = p.at[uint32(pair.A)], p.at[uint32(pair.B)]
			if pair.A > pair.B {
				pair.A, pair.B, pair.X, pair.Y = pair.B, pair.A, pair.Y, pair.X
			}
			p.Pairs = append(p.Pairs, pair)
		}
	}
	err = b.ClickHouse.Rows(ctx, "read what joins contested accounts", "SELECT l, hex(g), hash, toString(type), span, n, strength FROM "+b.prefix+"members AS m"+of+" AND decision = ''", func(scan func(...any) error) error {
		var l, n uint32
		var g, hash, typ string
		var span uint64
		var strength uint8
		if err := scan(&l, &g, &hash, &typ, &span, &n, &strength); err != nil {
			return err
		}
		p := parts[l]
		i, ok := p.groups[g]
		if !ok {
			i = len(p.Groups)
			p.groups[g] = i
			p.Groups = append(p.Groups, identity.Group{Identifier: identityOf(typ, hash), Span: int(span)})
		}
		account := p.at[n]
		p.Groups[i].Members = append(p.Groups[i].Members, identity.Sighting{Account: account, Shop: p.shop(account), Strength: int(strength)})
		return nil
	}, bulkSpill...)
	if err != nil {
		return err
	}
	exclusive := b.byType(func(r *identity.TypeRule) int { return r.Exclusive })
	err = b.ClickHouse.Rows(ctx, "read what contested accounts may have one of", "SELECT l, hash, toString(type), n FROM "+b.prefix+"sightings AS s"+of+" AND "+exclusive+" > 0 ORDER BY n, type, hash", func(scan func(...any) error) error {
		var l, n uint32
		var hash, typ string
		if err := scan(&l, &hash, &typ, &n); err != nil {
			return err
		}
		p := parts[l]
		p.Exclusive[p.at[n]] = append(p.Exclusive[p.at[n]], identityOf(typ, hash))
		return nil
	}, bulkSpill...)
	if err != nil {
		return err
	}
	var rows []string
	for _, l := range slices.Sorted(maps.Keys(parts)) {
		p := parts[l]
		slices.SortFunc(p.Groups, func(x, y identity.Group) int {
			return cmp.Or(x.Identifier.Compare(y.Identifier), cmp.Compare(x.Span, y.Span))
		})
		customer := b.rules.Partition(p.Component).Customer
		eldest := map[int]uint32{}
		for i, first := range customer {
			if n, ok := eldest[first]; !ok || p.numbers[i] < n {
				eldest[first] = p.numbers[i]
			}
		}
		for i, first := range customer {
			rows = append(rows, fmt.Sprintf("(%d,%d)", p.numbers[i], eldest[first]))
		}
	}
	return b.ClickHouse.Exec(ctx, "keep what was partitioned", "INSERT INTO "+b.prefix+"partitioned VALUES "+strings.Join(rows, ","))
}

// sort puts the accounts in the order of a Component.
func (p *part) sort() {
	order := make([]int, len(p.numbers))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return p.Accounts[i].Compare(p.Accounts[j]) })
	numbers, accounts := make([]uint32, len(order)), make([]identity.Account, len(order))
	for i, from := range order {
		numbers[i], accounts[i] = p.numbers[from], p.Accounts[from]
		p.at[numbers[i]] = i
	}
	p.numbers, p.Accounts, p.Exclusive = numbers, accounts, make([][]identity.Identifier, len(order))
}

// shop numbers an account's shop by its first account here; -1 if it is not
// identified.
func (p *part) shop(account int) int {
	a := p.Accounts[account]
	if !a.Identified() {
		return -1
	}
	return slices.IndexFunc(p.Accounts, func(other identity.Account) bool { return other.Platform == a.Platform && other.Shop == a.Shop })
}

func identityOf(typ, hash string) identity.Identifier {
	id := identity.Identifier{Type: identity.IdentifierType(typ)}
	copy(id.Hash[:], hash)
	return id
}

func (b *bulk) compare(ctx context.Context) error {
	leader := "SELECT a.n AS n, platform, shop, account, if(p.l IS NULL, if(x.l IS NULL, a.n, x.l), p.l) AS leader FROM " + b.prefix + "accounts AS a LEFT JOIN " + b.prefix + "labels AS x ON a.n = x.n LEFT JOIN " + b.prefix + "partitioned AS p ON a.n = p.n"
	nullable := append(slices.Clone(bulkSpill), clickhouse.Setting{Name: "join_use_nulls", Value: 1})
	found := "SELECT platform, shop, account, e.id AS customer FROM (" + leader + ") AS r INNER JOIN " + b.prefix + "accounts AS e ON r.leader = e.n"
	var rows []struct {
		Customers   uint64 `ch:"customers"`
		Differences uint64 `ch:"differences"`
	}
	err := b.ClickHouse.Select(ctx, "compare with identity_map", &rows, "SELECT uniqExact(f.customer) AS customers, countIf(m.customer_id IS NULL OR m.customer_id != f.customer) AS differences FROM ("+found+") AS f LEFT JOIN (SELECT toString(platform) AS platform, toString(shop) AS shop, account, customer_id FROM "+
		b.table("identity_map")+" FINAL) AS m USING (platform, shop, account)", nullable...)
	if err != nil || len(rows) != 1 {
		return err
	}
	b.out.Customers, b.out.Differences = int(rows[0].Customers), int(rows[0].Differences)
	return nil
}
