package rebuild

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
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
	// Compared are the pairs of accounts that the model was asked about, each once;
	// Pairs are those that it joins, and Asked those that people are asked about.
	// Weights says how many there are of each weight from 0 bits on: how many other
	// thresholds would join.
	Compared int      `json:"model_compared,omitempty"`
	Pairs    int      `json:"model_pairs,omitempty"`
	Asked    int      `json:"model_asked,omitempty"`
	Weights  []Weight `json:"model_weights,omitempty"`
	// Rounds is how often the graph of accounts was contracted until nothing was
	// left to join.
	Rounds int `json:"rounds,omitempty"`
	// Components that something may keep apart are partitioned by the rules one
	// by one; Contested counts them, and ContestedAccounts what is in them.
	Contested         int `json:"contested_components,omitempty"`
	ContestedAccounts int `json:"contested_accounts,omitempty"`
	// Differences are accounts whose customer_id is another than in the table
	// identity_map.
	Differences int `json:"differences"`
	// Shifts are told by a run that keeps what it found.
	Shifts *Shifts `json:"shifts,omitempty"`
	// Checksum of who is whose: that of another run is the same if and, but for a
	// chance of 1 in 2⁶⁴, only if it found the same customers.
	Checksum string `json:"checksum"`
	Steps    []Step `json:"steps"`
}

// Step is a part of the work, how long it took, and how many rows it wrote on
// ClickHouse.
type Step struct {
	What    string  `json:"what"`
	Seconds float64 `json:"seconds"`
	Rows    int     `json:"rows,omitempty"`
}

// low64 is the end of an id as a number, the same as on ClickHouse.
func low64(id identity.CustomerID) uint64 { return binary.LittleEndian.Uint64(id[8:]) }

// low64SQL is the SQL of low64.
func low64SQL(id string) string {
	return "reinterpretAsUInt64(substring(UUIDStringToNum(toString(" + id + ")), 9, 8))"
}

// Again resolves everything anew as Bulk does, by this program and in its memory.
func (r *Rebuild) Again(ctx context.Context, rules *identity.Rules) (Bulk, error) {
	var out Bulk
	began := time.Now()
	took := func(what string) {
		out.Steps = append(out.Steps, Step{What: what, Seconds: time.Since(began).Seconds()})
		began = time.Now()
	}
	e, sequence, err := r.inMemory(ctx)
	if err != nil {
		return out, err
	}
	took("read what is stored")
	if rules == nil {
		_, rules = e.Rules()
	}
	changes, err := e.Apply(sequence+1, nil, []identity.Decision{adoption(rules)})
	if err != nil {
		return out, err
	}
	sum := uint64(0)
	for c := range e.Customers {
		out.Customers++
		for _, a := range c.Accounts {
			sum += low64(a.BirthID()) * (low64(c.ID) | 1)
		}
	}
	out.Checksum = fmt.Sprintf("%016x", sum)
	took("resolve")
	out.Accounts, out.Differences = e.Size().Accounts, len(changes.Moved)
	return out, nil
}

// bulk is one run. Its tables are its own, and gone with it, but for what it is
// asked to keep; those of one that was
// killed go when the next begins.
type bulk struct {
	*Rebuild
	rules  *identity.Rules
	words  identity.Decisions
	prefix string
	tables []string // made so far
	rows   int      // written since the step began
	out    Bulk
	scorer identity.Scorer // of the rules; nil if they use no model
	borne  int             // who was seen with which appearance
}

// Bulk resolves everything anew by the rules given, nil meaning those in force,
// on ClickHouse, and compares the outcome with identity_map. It is bounded by
// ClickHouse's disk and not by this machine's memory: what is read here are
// components that a constraint may split, some at a time, and, for the model,
// appearances and blocks of them as they come, for they are sealed and ClickHouse
// has no key.
//
// Accounts are numbered in the order of their births; the eldest of a component
// is the account whose birth id is the customer's.
//
// Of one brand one run is under way at a time: BulkRunsError says that another is.
func (r *Rebuild) Bulk(ctx context.Context, rules *identity.Rules) (_ Bulk, err error) {
	words, err := decided.Read(ctx, r.ClickHouse, nil)
	if err != nil {
		return Bulk{}, err
	}
	patient := *r
	if patient.ClickHouse, err = r.ClickHouse.Patient(ctx); err != nil {
		return Bulk{}, err
	}
	defer func() { err = errors.Join(err, patient.ClickHouse.Close()) }()
	b := &bulk{Rebuild: &patient, rules: rules, prefix: "bulk_" + strings.ReplaceAll(uuid.NewString(), "-", "") + "_"}
	for _, d := range words {
		b.words.Add(d)
	}
	if rules == nil {
		b.rules = b.words.Rules(r.Rules)
	}
	if b.scorer, err = r.Models.Of(b.rules); err != nil {
		return Bulk{}, err
	}
	err = b.alone(ctx, b.run)
	return b.out, err
}

func (b *bulk) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, b.drop(context.WithoutCancel(ctx))) }()
	type step struct {
		what string
		do   func(context.Context) error
	}
	steps := []step{{"number the accounts", b.number}, {"gather what joins", b.gather}}
	if b.scorer != nil {
		steps = append(steps, step{"find who meets", b.gatherMeeting}, step{"compare who meets", b.levels}, step{"weigh pairs", b.score})
	}
	steps = append(steps, []step{
		{"join what is connected", b.label},
		{"find what is contested", b.contest},
		{"partition what is contested", b.partition},
		{"compare", b.compare},
	}...)
	if b.KeepResolved {
		steps = append(steps, step{"keep", b.keep})
	}
	for _, step := range steps {
		b.tell(step.what, 0)
		began := time.Now()
		b.rows = 0
		if err := step.do(ctx); err != nil {
			return err
		}
		b.out.Steps = append(b.out.Steps, Step{step.what, time.Since(began).Seconds(), b.rows})
	}
	return nil
}

// tell says how far a step is that counts no rows.
func (b *bulk) tell(what string, n int) {
	if b.Progress != nil {
		b.Progress(what, n)
	}
}

func (b *bulk) drop(ctx context.Context) error {
	var faults []error
	for _, table := range b.tables {
		faults = append(faults, b.ClickHouse.Exec(ctx, "drop a table of the bulk resolution", "DROP TABLE IF EXISTS "+b.of(table)+" SYNC"))
	}
	return errors.Join(faults...)
}

// of is the name of a table of the run in a statement.
func (b *bulk) of(table string) string { return b.table(b.prefix + table) }

// empty makes a table of the run.
func (b *bulk) empty(ctx context.Context, table, columns, order string) error {
	b.tables = append(b.tables, table)
	return b.ClickHouse.Exec(ctx, "make the table of "+table, "CREATE TABLE "+b.of(table)+" ("+columns+") ENGINE = MergeTree ORDER BY "+order)
}

// make makes a table of the run from a query, and says how many rows it has.
func (b *bulk) make(ctx context.Context, table, order, query string, settings ...clickhouse.Setting) (rows int, err error) {
	b.tables = append(b.tables, table)
	err = b.ClickHouse.Exec(ctx, "make the table of "+table, "CREATE TABLE "+b.of(table)+" ENGINE = MergeTree ORDER BY "+order+" AS "+query, append(slices.Clone(bulkSpill), settings...)...)
	if err != nil {
		return 0, err
	}
	err = b.count(ctx, &rows, "SELECT count() FROM "+b.of(table))
	b.rows += rows
	return rows, err
}

// bulkSpill keeps the memory of a query the same, however many accounts there
// are: what sorts, groups and joins have no room for goes to the disk. A query that
// needs more than max_memory_usage all the same fails, and takes no server down.
var bulkSpill = []clickhouse.Setting{
	{Name: "max_memory_usage", Value: 2 << 30},
	{Name: "max_bytes_before_external_group_by", Value: 256 << 20},
	{Name: "max_bytes_before_external_sort", Value: 256 << 20},
	// Groups of rows that lie together need no memory at all.
	{Name: "optimize_aggregation_in_order", Value: 1},
	{Name: "join_algorithm", Value: "grace_hash"},
	{Name: "grace_hash_join_initial_buckets", Value: 8},
	// Of one bucket: there are more of them where that is too little.
	{Name: "max_bytes_in_join", Value: 128 << 20},
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
	b.out.Accounts, err = b.make(ctx, "accounts", "(platform, shop, account)", "SELECT toUInt32(rowNumberInAllBlocks()) AS n, platform, shop, account, id FROM ("+
		"SELECT platform, shop, account, "+birthID+" AS id, born FROM (SELECT toString(platform) AS platform, toString(shop) AS shop, account, lower(hex(SHA256(concat(platform, '/', shop, '/', account)))) AS x, "+sequence("min(version)")+" AS born"+
		" FROM "+b.table("identity_history")+" WHERE "+journal.valid()+" GROUP BY platform, shop, account) ORDER BY born, toString(id))")
	if b.out.Accounts > math.MaxUint32 {
		return fmt.Errorf("rebuild: %d accounts are more than there are numbers for", b.out.Accounts)
	}
	return err
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
	_, err := b.make(ctx, "sightings", "(hash, type, n)", "SELECT hash, type, a.n AS n, max(s) AS strength, min(first_seen) AS first, max(last_seen) AS last FROM (SELECT hash, toString(type) AS type, toString(platform) AS platform, toString(shop) AS shop, account, toUInt8("+
		b.strength()+") AS s, first_seen, last_seen FROM "+b.table("evidence_by_identifier")+" WHERE s > 0) AS e INNER JOIN "+b.of("accounts")+" AS a USING (platform, shop, account) GROUP BY hash, type, n")
	if err != nil {
		return err
	}
	// Spans as identity.Rules.Groups cuts them: a sighting that begins more than
	// the gap after all before it have ended begins another.
	gap := "(" + b.byType(func(r *identity.TypeRule) int { return r.GapDays }) + " * 86400)"
	// Turns within them likewise, by the time after which a number may be another's.
	idle := "(" + b.byType(func(r *identity.TypeRule) int { return r.ReissueDays }) + " * 86400)"
	window := "OVER (PARTITION BY hash, type ORDER BY first, last, n"
	begins := func(after string) string {
		return "toUInt32(" + after + " > 0 AND toInt64(first) > max(toInt64(last)) " + window + " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) + " + after + " AND row_number() " + window + ") > 1)"
	}
	bound := b.byType(func(r *identity.TypeRule) int { return r.Accounts })
	if err := b.bridges(ctx); err != nil {
		return err
	}
	_, err = b.make(ctx, "members", "(g, n)", "SELECT sipHash128(hash, type, span) AS g, hash, type, span, turn, n, strength, '' AS decision FROM (SELECT hash, type, n, strength, span, turn, count() OVER (PARTITION BY hash, type, span) AS together FROM ("+
		"SELECT hash, type, n, strength, sum(spans) "+window+") AS span, sum(turns) "+window+") AS turn FROM ("+
		"SELECT hash, type, n, strength, first, last, "+gap+" AS gap, "+idle+" AS idle, "+begins("gap")+" AS spans, "+begins("idle")+" AS turns"+
		" FROM (SELECT *, count() OVER (PARTITION BY hash, type) AS bearers FROM "+b.of("sightings")+") WHERE bearers > 1 AND ("+bound+" = 0 OR bearers <= "+bound+") AND (type, n) NOT IN (SELECT type, n FROM "+b.of("bridges")+")"+
		"))) WHERE together > 1")
	if err != nil {
		return err
	}
	if err := b.decisions(ctx); err != nil {
		return err
	}
	err = b.ClickHouse.Exec(ctx, "add decisions", "INSERT INTO "+b.of("members")+" SELECT sipHash128('decision', id), toFixedString('', 16), '', 0, 0, arrayJoin(ns), 100, id FROM (SELECT id, groupUniqArray(n) AS ns FROM "+
		b.of("words")+" WHERE kind = "+clickhouse.Quote(identity.Same.String())+" GROUP BY id HAVING length(ns) = 2)", bulkSpill...)
	if err != nil {
		return err
	}
	return b.countGroups(ctx)
}

// bridges finds the accounts that bear more values of a type than they may, as
// identity.Rules.TooMany does: one that begins at the moment at which another ends
// meets it. They are few, and stay in memory where they are looked for.
func (b *bulk) bridges(ctx context.Context) error {
	bound := b.byType(func(r *identity.TypeRule) int { return r.Values })
	gap := b.byType(func(r *identity.TypeRule) int { return r.GapDays })
	many := "SELECT type, n FROM " + b.of("sightings") + " WHERE " + bound + " > 0 GROUP BY type, n HAVING count() > " + bound
	moments := "SELECT type, n, arrayJoin([(toInt64(first), 1), (toInt64(last) + " + gap + " * 86400, -1)]) AS moment FROM " + b.of("sightings") + " WHERE (type, n) IN (" + many + ")"
	_, err := b.make(ctx, "bridges", "(type, n)", "SELECT type, n FROM (SELECT type, n, sum(moment.2) OVER (PARTITION BY type, n ORDER BY moment.1, moment.2 DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS borne FROM ("+
		moments+")) GROUP BY type, n HAVING max(borne) > "+bound+" OR "+gap+" = 0")
	return err
}

func (b *bulk) countGroups(ctx context.Context) error {
	return b.count(ctx, &b.out.Groups, "SELECT count() FROM (SELECT g FROM "+b.of("members")+" GROUP BY g)")
}

// decisions lays what people have said of pairs of accounts beside their numbers.
func (b *bulk) decisions(ctx context.Context) error {
	if err := b.empty(ctx, "said", "id String, kind String, platform String, shop String, account String", "id"); err != nil {
		return err
	}
	out := &said{table: b.prefix + "said"}
	put := b.putter(out)
	for _, v := range b.words.All() {
		for _, a := range [...]identity.Account{v.Pair.A, v.Pair.B} {
			out.id, out.kind = append(out.id, v.ID), append(out.kind, v.Kind.String())
			out.platform, out.shop, out.account = append(out.platform, a.Platform), append(out.shop, a.Shop), append(out.account, a.ID)
		}
		if err := put(ctx, false); err != nil {
			return err
		}
	}
	if err := put(ctx, true); err != nil {
		return err
	}
	_, err := b.make(ctx, "words", "n", "SELECT id, kind, a.n AS n FROM "+b.of("said")+" AS s INNER JOIN "+b.of("accounts")+" AS a USING (platform, shop, account)")
	return err
}

// said is what people have said, a row for each of two accounts.
type said struct {
	table                             string
	id, kind, platform, shop, account []string
}

func (s *said) Table() string { return s.table }
func (s *said) Columns() ([]string, []any) {
	return []string{"id", "kind", "platform", "shop", "account"}, []any{s.id, s.kind, s.platform, s.shop, s.account}
}
func (s *said) Rows() int { return len(s.id) }
func (s *said) Reset() {
	s.id, s.kind, s.platform, s.shop, s.account = s.id[:0], s.kind[:0], s.platform[:0], s.shop[:0], s.account[:0]
}

// contest finds the components in which some link may be refused; it may find
// too many, and never too few.
func (b *bulk) contest(ctx context.Context) error {
	of := " INNER JOIN " + b.of("labels") + " AS x USING (n)"
	perShop := b.byType(func(r *identity.TypeRule) int { return r.PerShop })
	exclusive := b.byType(func(r *identity.TypeRule) int { return r.Exclusive })
	if b.scorer != nil && b.rules.Model.PerShop > 0 {
		// Who has a rival is in a component with more accounts of a shop, too.
		perShop = fmt.Sprintf("if(decision = %s, %d, %s)", asModel, b.rules.Model.PerShop, perShop)
	}
	reasons := []string{
		fmt.Sprintf("SELECT l FROM %s GROUP BY l HAVING count() > %d", b.of("labels"), b.rules.LargestCustomer),
		"SELECT l FROM (SELECT l, type, hash FROM " + b.of("sightings") + " AS s" + of + " WHERE " + exclusive + " > 0 GROUP BY l, type, hash) GROUP BY l, type HAVING count() > " + exclusive,
		// A shop with more accounts than the strictest of what joins there allows.
		"SELECT l FROM (SELECT l, min(bound) AS bound FROM (SELECT l, " + perShop + " AS bound FROM " + b.of("members") + " AS m" + of + " WHERE bound > 0) GROUP BY l) AS p INNER JOIN (SELECT l, max(k) AS most FROM (SELECT l, count() AS k FROM " +
			b.of("accounts") + " AS a" + of + " WHERE " + identified + " GROUP BY l, platform, shop) GROUP BY l) AS q USING (l) WHERE most > bound",
		"SELECT l FROM " + b.of("words") + " AS w" + of + " WHERE kind = " + clickhouse.Quote(identity.Different.String()) + " GROUP BY l, id HAVING uniqExact(n) = 2",
	}
	var err error
	if b.out.Contested, err = b.make(ctx, "contested", "l", "SELECT DISTINCT toUInt32(l) AS l FROM ("+strings.Join(reasons, " UNION ALL ")+")"); err != nil {
		return err
	}
	return b.count(ctx, &b.out.ContestedAccounts, "SELECT count() FROM "+b.of("labels")+" WHERE l IN (SELECT l FROM "+b.of("contested")+")")
}

// contestedAtOnce bounds the components that are in memory.
const contestedAtOnce = 20_000

// partition splits the contested components by the rules themselves. What they
// are made of is laid together by label first, so that each turn reads its own part
// and not all there is.
func (b *bulk) partition(ctx context.Context) error {
	if err := b.empty(ctx, "partitioned", "n UInt32, l UInt32", "n"); err != nil {
		return err
	}
	if b.out.Contested == 0 {
		return nil
	}
	of := " INNER JOIN (SELECT n, l FROM " + b.of("labels") + " WHERE l IN (SELECT l FROM " + b.of("contested") + ")) AS x USING (n)"
	exclusive := b.byType(func(r *identity.TypeRule) int { return r.Exclusive })
	type table struct{ table, query string }
	parts := []table{
		{"parts", "SELECT l, n, platform, shop, account FROM " + b.of("accounts") + " AS a" + of},
		{"parts_joined", "SELECT l, g, hash, type, span, turn, n, strength FROM " + b.of("members") + " AS m" + of + " WHERE decision = ''"},
		{"parts_exclusive", "SELECT l, hash, type, n FROM " + b.of("sightings") + " AS s" + of + " WHERE " + exclusive + " > 0"},
	}
	if b.scorer != nil {
		parts = append(parts, table{"parts_alike", "SELECT l, a, b, weight FROM (SELECT a AS n, a, b, weight FROM " + b.of("scored") + " WHERE " + b.accepted() + ") AS s" + of})
	}
	for _, part := range parts {
		if _, err := b.make(ctx, part.table, "l", part.query); err != nil {
			return err
		}
	}
	var begins []uint32 // first label of each turn
	query := fmt.Sprintf("SELECT l FROM (SELECT l, row_number() OVER (ORDER BY l) AS k FROM %s) WHERE k %% %d = 1 ORDER BY l", b.of("contested"), contestedAtOnce)
	err := b.ClickHouse.Rows(ctx, "read where turns begin", query, func(scan func(...any) error) error {
		var l uint32
		if err := scan(&l); err != nil {
			return err
		}
		begins = append(begins, l)
		return nil
	}, bulkSpill...)
	if err != nil {
		return err
	}
	for i, from := range begins {
		some := fmt.Sprintf(" WHERE l >= %d", from)
		if i+1 < len(begins) {
			some += fmt.Sprintf(" AND l < %d", begins[i+1])
		}
		if err := b.partitionSome(ctx, some); err != nil {
			return err
		}
		b.tell("contested components", min((i+1)*contestedAtOnce, b.out.Contested))
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
	parts := map[uint32]*part{} // by label
	err := b.ClickHouse.Rows(ctx, "read contested accounts", "SELECT l, n, platform, shop, account FROM "+b.of("parts")+some+" ORDER BY l, platform, shop, account", func(scan func(...any) error) error {
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
	if b.scorer != nil {
		if err := b.readAlike(ctx, parts, some); err != nil {
			return err
		}
	}
	err = b.ClickHouse.Rows(ctx, "read what joins contested accounts", "SELECT l, hex(g), hash, toString(type), span, turn, n, strength FROM "+b.of("parts_joined")+some, func(scan func(...any) error) error {
		var l, n uint32
		var g, hash, typ string
		var span, turn uint64
		var strength uint8
		if err := scan(&l, &g, &hash, &typ, &span, &turn, &n, &strength); err != nil {
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
		p.Groups[i].Members = append(p.Groups[i].Members, identity.Sighting{Account: account, Shop: p.shop(account), Strength: int(strength), Turn: int(turn)})
		return nil
	}, bulkSpill...)
	if err != nil {
		return err
	}
	err = b.ClickHouse.Rows(ctx, "read what contested accounts may have one of", "SELECT l, hash, toString(type), n FROM "+b.of("parts_exclusive")+some+" ORDER BY n, type, hash", func(scan func(...any) error) error {
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
	out := &partitioned{table: b.prefix + "partitioned"}
	put := b.putter(out)
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
			out.n, out.l = append(out.n, p.numbers[i]), append(out.l, eldest[first])
			if err := put(ctx, false); err != nil {
				return err
			}
		}
	}
	return put(ctx, true)
}

// partitioned is which account leads the customer of one in a contested component.
type partitioned struct {
	table string
	n, l  []uint32
}

func (p *partitioned) Table() string              { return p.table }
func (p *partitioned) Columns() ([]string, []any) { return []string{"n", "l"}, []any{p.n, p.l} }
func (p *partitioned) Rows() int                  { return len(p.n) }
func (p *partitioned) Reset()                     { p.n, p.l = p.n[:0], p.l[:0] }

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

// found is the SQL of each account with the customer that was found for it.
func (b *bulk) found() string {
	leader := "SELECT a.n AS n, a.id AS id, platform, shop, account, if(p.l IS NULL, if(x.l IS NULL, a.n, x.l), p.l) AS leader FROM " + b.of("accounts") + " AS a LEFT JOIN " + b.of("labels") + " AS x ON a.n = x.n LEFT JOIN " + b.of("partitioned") + " AS p ON a.n = p.n"
	return "SELECT platform, shop, account, r.id AS birth, r.leader = r.n AS eldest, e.id AS customer FROM (" + leader + ") AS r INNER JOIN " + b.of("accounts") + " AS e ON r.leader = e.n"
}

// present is the SQL of each account with the customer that it has.
func (b *bulk) present() string {
	return "(SELECT toString(platform) AS platform, toString(shop) AS shop, account, customer_id FROM " + b.table("identity_map") + " FINAL)"
}

func (b *bulk) compare(ctx context.Context) error {
	nullable := append(slices.Clone(bulkSpill), clickhouse.Setting{Name: "join_use_nulls", Value: 1})
	var rows []struct {
		Customers   uint64 `ch:"customers"`
		Differences uint64 `ch:"differences"`
		Sum         uint64 `ch:"sum"`
	}
	err := b.ClickHouse.Select(ctx, "compare with identity_map", &rows, "SELECT countIf(f.eldest) AS customers, countIf(m.customer_id IS NULL OR m.customer_id != f.customer) AS differences, sum("+low64SQL("f.birth")+" * bitOr("+low64SQL("f.customer")+", 1)) AS sum FROM ("+b.found()+") AS f LEFT JOIN "+
		b.present()+" AS m USING (platform, shop, account)", nullable...)
	if err != nil || len(rows) != 1 {
		return err
	}
	b.out.Customers, b.out.Differences = int(rows[0].Customers), int(rows[0].Differences)
	b.out.Checksum = fmt.Sprintf("%016x", rows[0].Sum)
	return nil
}
