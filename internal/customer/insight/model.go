package insight

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/customer/decided"
)

// ModelQuality is what the model of the rules does. A customer of n accounts
// takes n-1 joins: by identifiers, as far as these reach; then by what people
// decided; the rest is the model's.
type ModelQuality struct {
	// Name under which the rules use it.
	Name string `json:"name"`
	// Customers of several accounts that were looked at, of how many there are:
	// all, or some that are drawn by their ids.
	Customers int `json:"customers"`
	Of        int `json:"of"`
	// Joins of these, by what they are.
	ByIdentifiers int `json:"by_identifiers"`
	ByPeople      int `json:"by_people"`
	ByModel       int `json:"by_model"`
	// InertBlocks join nobody, since too many accounts have receivers that look
	// alike there; Inert are those with most accounts.
	InertBlocks int          `json:"inert_blocks"`
	Inert       []InertBlock `json:"inert"`
}

// Joins are all of them.
func (m ModelQuality) Joins() int { return m.ByIdentifiers + m.ByPeople + m.ByModel }

// Share of the joins that are the model's.
func (m ModelQuality) Share() float64 {
	return float64(m.ByModel) / float64(max(m.Joins(), 1))
}

// InertBlock is receivers that look alike, of too many accounts to join any.
type InertBlock struct {
	Accounts  int `json:"accounts"`
	Allowed   int `json:"allowed"`
	Receivers int `json:"receivers"` // as orders show them
	// Account is one of them, platform/shop/id, to look it up.
	Account string `json:"account"`
}

// looked bounds the customers whose joins are counted.
const looked = 5000

// model counts what the model does.
func (r *Reporter) model(ctx context.Context, out *Report) error {
	if r.scorer == nil {
		return nil
	}
	out.Model = &ModelQuality{Name: r.Rules.Model.Use, Inert: []InertBlock{}}
	if err := r.blocks(ctx, out.Model); err != nil {
		return err
	}
	return r.joins(ctx, out.Model)
}

// appearancesOf opens the appearances in evidence.
func (r *Reporter) appearancesOf(ctx context.Context, evidence []identity.Evidence) (map[identity.Hash]identity.Appearance, error) {
	var hashes []identity.Hash
	out := map[identity.Hash]identity.Appearance{}
	for _, e := range evidence {
		if _, ok := out[e.Identifier.Hash]; !ok && e.Identifier.Type == identity.AppearanceType {
			out[e.Identifier.Hash] = identity.Appearance{}
			hashes = append(hashes, e.Identifier.Hash)
		}
	}
	clear(out)
	for some := range slices.Chunk(hashes, 1000) {
		var rows []struct {
			Hash   string `ch:"hash"`
			Sealed string `ch:"some"`
		}
		if err := r.ClickHouse.Select(ctx, "read appearances", &rows, "SELECT hash, any(sealed) AS some FROM "+r.table("identifier_values")+
			" WHERE type = "+clickhouse.Quote(string(identity.AppearanceType))+" AND hash IN ("+hexed(some)+") GROUP BY hash", spill...); err != nil {
			return nil, err
		}
		for _, row := range rows {
			hash := identified{Hash: row.Hash}.identifier().Hash
			fields, err := r.Open(hash, []byte(row.Sealed))
			if err != nil {
				return nil, err
			}
			out[hash] = fields
		}
	}
	return out, nil
}

func hexed(hashes []identity.Hash) string {
	texts := make([]string, len(hashes))
	for i, h := range hashes {
		texts[i] = fmt.Sprintf("unhex('%x')", h[:])
	}
	return strings.Join(texts, ",")
}

// alive is a scorer without the keys that are inert.
type alive struct {
	identity.Scorer
	inert map[uint64]bool
}

// Blocks implements identity.Scorer.
func (a alive) Blocks(keys []uint64, seen identity.Appearance) []uint64 {
	from := len(keys)
	keys = a.Scorer.Blocks(keys, seen)
	return append(keys[:from], slices.DeleteFunc(keys[from:], func(key uint64) bool { return a.inert[key] })...)
}

// blocks finds the inert ones. No block has more accounts than its receivers
// have together; only those where that is too many are looked at one by one.
func (r *Reporter) blocks(ctx context.Context, out *ModelQuality) error {
	rule := r.Rules.Model
	sums := map[uint64]int{}
	receivers := map[uint64][]identity.Hash{}
	of := map[identity.Hash][]uint64{}
	// each calls do for each appearance with its keys and how many accounts were
	// seen with it.
	each := func(do func(hash identity.Hash, keys []uint64, accounts int)) error {
		var keys []uint64
		return r.ClickHouse.Rows(ctx, "count the accounts of receivers", "SELECT hash, n, sealed FROM (SELECT hash, uniqExact(platform, shop, account) AS n FROM "+r.table("evidence_by_identifier")+
			" WHERE type = "+clickhouse.Quote(string(identity.AppearanceType))+" GROUP BY hash) AS e INNER JOIN (SELECT hash, any(sealed) AS sealed FROM "+r.table("identifier_values")+
			" WHERE type = "+clickhouse.Quote(string(identity.AppearanceType))+" GROUP BY hash) AS v USING (hash)", func(scan func(...any) error) error {
			var text, sealed string
			var n uint64
			if err := scan(&text, &n, &sealed); err != nil {
				return err
			}
			hash := identified{Hash: text}.identifier().Hash
			fields, err := r.Open(hash, []byte(sealed))
			if err != nil {
				return err
			}
			keys = r.scorer.Blocks(keys[:0], fields)
			slices.Sort(keys)
			do(hash, slices.Compact(keys), int(n))
			return nil
		}, spill...)
	}
	if err := each(func(_ identity.Hash, keys []uint64, accounts int) {
		for _, key := range keys {
			sums[key] += accounts
		}
	}); err != nil {
		return err
	}
	for key, n := range sums {
		if !rule.Inert(n) {
			delete(sums, key)
		}
	}
	if len(sums) == 0 {
		return nil
	}
	if err := each(func(hash identity.Hash, keys []uint64, _ int) {
		for _, key := range keys {
			if _, many := sums[key]; many {
				receivers[key] = append(receivers[key], hash)
				of[hash] = append(of[hash], key)
			}
		}
	}); err != nil {
		return err
	}
	accounts := map[uint64]map[uint64]bool{} // by key, each account's hash
	first := map[uint64]string{}
	var hashes []identity.Hash
	for hash := range of {
		hashes = append(hashes, hash)
	}
	for some := range slices.Chunk(hashes, 1000) {
		if err := r.ClickHouse.Rows(ctx, "count the accounts of blocks", "SELECT hash, groupUniqArray(sipHash64(platform, shop, account)), min(concat(platform, '/', shop, '/', account)) FROM "+r.table("evidence_by_identifier")+
			" WHERE type = "+clickhouse.Quote(string(identity.AppearanceType))+" AND hash IN ("+hexed(some)+") GROUP BY hash", func(scan func(...any) error) error {
			var text, account string
			var seen []uint64
			if err := scan(&text, &seen, &account); err != nil {
				return err
			}
			for _, key := range of[identified{Hash: text}.identifier().Hash] {
				if accounts[key] == nil {
					accounts[key] = map[uint64]bool{}
				}
				for _, a := range seen {
					accounts[key][a] = true
				}
				if first[key] == "" || account < first[key] {
					first[key] = account
				}
			}
			return nil
		}, spill...); err != nil {
			return err
		}
	}
	inert := map[uint64]bool{}
	for key, seen := range accounts {
		if rule.Inert(len(seen)) {
			inert[key] = true
			out.Inert = append(out.Inert, InertBlock{Accounts: len(seen), Allowed: rule.Block, Receivers: len(receivers[key]), Account: first[key]})
		}
	}
	r.scorer = alive{r.scorer, inert}
	out.InertBlocks = len(out.Inert)
	slices.SortFunc(out.Inert, func(a, b InertBlock) int {
		return cmp.Or(cmp.Compare(b.Accounts, a.Accounts), cmp.Compare(b.Receivers, a.Receivers), strings.Compare(a.Account, b.Account))
	})
	out.Inert = out.Inert[:min(len(out.Inert), most)]
	return nil
}

// joins counts what joined the customers of several accounts.
func (r *Reporter) joins(ctx context.Context, out *ModelQuality) error {
	several := " FROM " + r.table("customer_360") + " WHERE arraySum(mapValues(accounts)) > 1"
	n, err := r.ClickHouse.Number(ctx, "count customers of several accounts", "SELECT count()"+several)
	if err != nil {
		return err
	}
	out.Of = int(n)
	var rows []struct {
		ID uuid.UUID `ch:"customer_id"`
	}
	if err := r.ClickHouse.Select(ctx, "draw customers", &rows, fmt.Sprintf("SELECT customer_id%s ORDER BY sipHash64(customer_id), customer_id LIMIT %d", several, looked), spill...); err != nil {
		return err
	}
	words, err := decided.Read(ctx, r.ClickHouse, nil)
	if err != nil {
		return err
	}
	rules := slices.DeleteFunc(slices.Clone(words), func(d identity.Decision) bool { return d.Kind == identity.Same || d.Kind == identity.Different })
	for chunk := range slices.Chunk(rows, 1000) {
		ids := make([]identity.CustomerID, len(chunk))
		for i, row := range chunk {
			ids[i] = identity.CustomerID(row.ID)
		}
		each, err := r.apart(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			accounts := each.accounts[id]
			if accounts < 2 {
				continue // it has come apart meanwhile
			}
			groups := func(words []identity.Decision) int {
				return len(identity.Resolve(each.evidence[id], words, r.Rules).Customers)
			}
			byIdentifiers := groups(rules)
			byPeople := min(byIdentifiers, groups(words))
			out.Customers++
			out.ByIdentifiers += accounts - byIdentifiers
			out.ByPeople += byIdentifiers - byPeople
			out.ByModel += byPeople - 1
		}
	}
	return nil
}

// eachCustomer is what is known of customers, each by itself.
type eachCustomer struct {
	accounts map[identity.CustomerID]int
	// evidence has at least one piece of each account, so that what people said of
	// it counts.
	evidence map[identity.CustomerID][]identity.Evidence
}

// apart reads what is known of customers, but for identifiers that bear more
// accounts, here or elsewhere, than they may.
func (r *Reporter) apart(ctx context.Context, customers []identity.CustomerID) (*eachCustomer, error) {
	out := &eachCustomer{map[identity.CustomerID]int{}, map[identity.CustomerID][]identity.Evidence{}}
	in := quoted(customers)
	of := map[identity.Account]identity.CustomerID{}
	if err := r.ClickHouse.Rows(ctx, "read the accounts of customers", "SELECT platform, shop, account, customer_id FROM "+r.table("identity_map")+" FINAL WHERE (platform, shop, account) IN (SELECT platform, shop, account FROM "+
		r.table("identity_map_by_customer")+" WHERE customer_id IN ("+in+")) AND customer_id IN ("+in+") ORDER BY platform, shop, account", func(scan func(...any) error) error {
		var a identity.Account
		var id uuid.UUID
		if err := scan(&a.Platform, &a.Shop, &a.ID, &id); err != nil {
			return err
		}
		customer := identity.CustomerID(id)
		of[a] = customer
		out.accounts[customer]++
		out.evidence[customer] = append(out.evidence[customer], identity.Evidence{Account: a})
		return nil
	}, spill...); err != nil {
		return nil, err
	}
	counts := map[identity.Identifier]int{}
	evidence, err := r.evidence(ctx, customers, counts)
	if err != nil {
		return nil, err
	}
	bridges := r.Rules.Bridges(evidence)
	for _, e := range evidence {
		rule := r.Rules.Types[e.Identifier.Type]
		if rule == nil {
			continue
		}
		// What a bridge bears joins nobody anyway, and makes a bridge of it.
		if rule.Accounts > 0 && counts[e.Identifier] > rule.Accounts && !bridges[identity.Bearing{Account: e.Account, Type: e.Identifier.Type}] {
			continue
		}
		if customer, ok := of[e.Account]; ok {
			out.evidence[customer] = append(out.evidence[customer], e)
		}
	}
	return out, nil
}

// byModel says of each pair of accounts, which were one customer when people
// judged them, whether the model had joined them: neither identifiers nor what
// people said of other pairs does. Evidence and rules are those of now.
func (r *Reporter) byModel(ctx context.Context, verdicts []identity.Decision, words []identity.Decision) (map[string]bool, error) {
	out := map[string]bool{}
	if r.scorer == nil || len(verdicts) == 0 {
		return out, nil
	}
	var accounts []identity.Account
	for _, v := range verdicts {
		accounts = append(accounts, v.A, v.B)
	}
	now := map[identity.Account]identity.CustomerID{}
	var customers []identity.CustomerID
	moves, err := r.moves(ctx, accounts)
	if err != nil {
		return nil, err
	}
	for a, m := range moves {
		now[a] = m[len(m)-1].customer
		customers = append(customers, now[a])
	}
	slices.SortFunc(customers, func(a, b identity.CustomerID) int { return slices.Compare(a[:], b[:]) })
	customers = slices.Compact(customers)
	each := map[identity.CustomerID][]identity.Evidence{}
	for chunk := range slices.Chunk(customers, 1000) {
		some, err := r.apart(ctx, chunk)
		if err != nil {
			return nil, err
		}
		maps.Copy(each, some.evidence)
	}
	for _, v := range verdicts {
		evidence := slices.Clone(each[now[v.A]])
		if now[v.B] != now[v.A] {
			evidence = append(evidence, each[now[v.B]]...)
		}
		others := slices.DeleteFunc(slices.Clone(words), func(d identity.Decision) bool {
			return d.ID == v.ID || d.Kind != identity.Undo && d.Kind != identity.Adopt && identity.PairOf(d.A, d.B) == identity.PairOf(v.A, v.B)
		})
		together := slices.ContainsFunc(identity.Resolve(evidence, others, r.Rules).Customers, func(c []identity.Account) bool {
			return slices.Contains(c, v.A) && slices.Contains(c, v.B)
		})
		out[v.ID] = !together
	}
	return out, nil
}
