package rebuild

import (
	"context"
	"crypto/aes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"oneid/identity"
	"oneid/identity/normalize"
	"oneid/internal/clickhouse"
	"oneid/internal/keyring"
	"oneid/schemas/tables"
)

// asModel is what stands in place of a decision's id for a pair of the model.
const asModel = "'model'"

// Who counts, who meets whom, what a pair weighs, and which pairs there are is SQL;
// the keys of an appearance and the levels of a pair are the model's own, for the
// fields are sealed: appearances pass through here one by one, and then those that
// meet, a block at a time.

// gatherMeeting lays together who meets.
func (b *bulk) gatherMeeting(ctx context.Context) error {
	for _, do := range []func(context.Context) error{b.bearers, b.keys, b.own, b.meet, b.together} {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// spanSQL is the SQL of the seconds between two times.
func spanSQL(first, last string) string {
	return "toInt64(toUnixTimestamp(" + last + ")) - toInt64(toUnixTimestamp(" + first + "))"
}

// bearers are who was seen with which appearance.
func (b *bulk) bearers(ctx context.Context) error {
	seconds := spanSQL("min(first_seen)", "max(last_seen)")
	var err error
	b.borne, err = b.make(ctx, "bearers", "hash", fmt.Sprintf("SELECT hash, a.n AS n, first, last, counts FROM (SELECT hash, toString(platform) AS platform, toString(shop) AS shop, account, min(first_seen) AS first, max(last_seen) AS last, toUInt8(%s >= %d) AS counts"+
		" FROM %s WHERE type = %s GROUP BY hash, platform, shop, account) AS e INNER JOIN %s AS a USING (platform, shop, account)",
		seconds, int64(b.rules.Model.LeastDays)*86400, b.table("evidence_by_identifier"), clickhouse.Quote(string(identity.AppearanceType)), b.of("accounts")))
	return err
}

// keys are those under which each appearance meets others, enciphered: a key tells
// what an appearance shows to whoever tries all surnames and districts. So does whose
// Receiver it is.
func (b *bulk) keys(ctx context.Context) error {
	if err := b.empty(ctx, "keyed", "hash FixedString(16), key FixedString(16)", "hash"); err != nil {
		return err
	}
	if err := b.empty(ctx, "receivers", "hash FixedString(16), receiver FixedString(16)", "hash"); err != nil {
		return err
	}
	out, whose := &keyed{table: b.prefix + "keyed"}, &received{table: b.prefix + "receivers"}
	put, putWhose := b.putter(out), b.putter(whose)
	var secret, one [aes.BlockSize]byte
	_, _ = rand.Read(secret[:]) // it never fails
	cipher, err := aes.NewCipher(secret[:])
	if err != nil {
		return err
	}
	var keys []uint64
	var failed error
	err = b.appearances(ctx, func(h identity.Hash, a identity.Appearance) {
		if failed != nil {
			return
		}
		keys = b.scorer.Blocks(keys[:0], a)
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			one = [aes.BlockSize]byte{}
			binary.BigEndian.PutUint64(one[:], key)
			cipher.Encrypt(one[:], one[:])
			out.hash, out.key = append(out.hash, string(h[:])), append(out.key, string(one[:]))
		}
		mac := hmac.New(sha256.New, secret[:])
		_, _ = mac.Write([]byte(normalize.AppearanceValue(a.Receiver()))) // it takes all
		whose.hash, whose.receiver = append(whose.hash, string(h[:])), append(whose.receiver, string(mac.Sum(nil)[:aes.BlockSize]))
		failed = errors.Join(put(ctx, false), putWhose(ctx, false))
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	return errors.Join(put(ctx, true), putWhose(ctx, true))
}

// own says of each bearer whether the appearance is its own, as
// identity.ModelRule.Own does of those whose fields are known.
func (b *bulk) own(ctx context.Context) error {
	if b.rules.Model.ByFar == 0 {
		_, err := b.make(ctx, "borne", "hash", "SELECT hash, n, counts, toUInt8(1) AS own FROM "+b.of("bearers"))
		return err
	}
	known := "SELECT hash, any(receiver) AS receiver FROM " + b.of("receivers") + " GROUP BY hash"
	_, err := b.make(ctx, "whose", "n", "SELECT r.hash AS hash, n, first, last, counts, receiver FROM "+b.of("bearers")+" AS r INNER JOIN ("+known+") AS k USING (hash)")
	if err != nil {
		return err
	}
	lengths := "SELECT n, receiver, " + spanSQL("min(first)", "max(last)") + " AS length FROM " + b.of("whose") + " GROUP BY n, receiver"
	_, err = b.make(ctx, "owned", "n", fmt.Sprintf("SELECT n, longest[1].2 AS receiver FROM (SELECT n, arrayReverseSort(groupArray((length, receiver))) AS longest FROM (%s) GROUP BY n)"+
		" WHERE length(longest) = 1 OR longest[1].1 > longest[2].1 AND longest[1].1 >= %d * longest[2].1", lengths, b.rules.Model.ByFar))
	if err != nil {
		return err
	}
	_, err = b.make(ctx, "borne", "hash", "SELECT hash, w.n AS n, counts, toUInt8(o.receiver IS NOT NULL AND o.receiver = w.receiver) AS own FROM "+b.of("whose")+" AS w LEFT JOIN "+b.of("owned")+" AS o USING (n)",
		clickhouse.Setting{Name: "join_use_nulls", Value: 1})
	return err
}

// meet finds who meets: the bearers that count of each key that enough accounts
// share, and not too many.
func (b *bulk) meet(ctx context.Context) error {
	_, err := b.make(ctx, "blocks", "key", "SELECT key, n, hash, counts, own FROM "+b.of("keyed")+" AS k INNER JOIN "+b.of("borne")+" AS r USING (hash)")
	if err != nil {
		return err
	}
	bound := ""
	if b.rules.Model.Block > 0 {
		bound = fmt.Sprintf(" AND uniqExact(n) <= %d", b.rules.Model.Block)
	}
	_, err = b.make(ctx, "meeting", "hash", "SELECT key, m.1 AS n, m.2 AS hash, m.4 AS own FROM (SELECT key, groupArray((n, hash, counts, own)) AS bearers FROM "+b.of("blocks")+
		" GROUP BY key HAVING uniqExactIf(n, counts = 1) > 1"+bound+") ARRAY JOIN bearers AS m WHERE m.3 = 1")
	return err
}

// bearersAtOnce bounds the rows of a range; tests take less.
var bearersAtOnce = 1 << 18

// together lays the sealed fields beside who meets, block by block. Both tables lie
// in the order of the hashes, so it is done a range of these at a time: a join of
// rows so wide takes far more memory than they do.
func (b *bulk) together(ctx context.Context) error {
	if err := b.empty(ctx, "met", "key FixedString(16), n UInt32, hash FixedString(16), own UInt8, sealed String", "key"); err != nil {
		return err
	}
	ranges := min(b.borne/bearersAtOnce+1, 1<<16)
	for i := range ranges {
		in := func(and string) string {
			if i > 0 {
				and += fmt.Sprintf(" AND hash >= toFixedString(unhex('%04x'), 16)", i<<16/ranges)
			}
			if i+1 < ranges {
				and += fmt.Sprintf(" AND hash < toFixedString(unhex('%04x'), 16)", (i+1)<<16/ranges)
			}
			return and
		}
		err := b.ClickHouse.Exec(ctx, "lay together who meets", "INSERT INTO "+b.of("met")+" SELECT key, n, hash, own, sealed FROM (SELECT hash, any(sealed) AS sealed FROM "+b.table("identifier_values")+
			in(" WHERE type = "+clickhouse.Quote(string(identity.AppearanceType)))+" GROUP BY hash) AS v INNER JOIN (SELECT key, n, hash, own FROM "+b.of("meeting")+in(" WHERE 1")+") AS m USING (hash)", bulkSpill...)
		if err != nil {
			return err
		}
		b.tell("ranges of receivers", i+1)
	}
	var rows int
	err := b.count(ctx, &rows, "SELECT count() FROM "+b.of("met"))
	b.rows += rows
	return err
}

// met is a bearer that counts, in a block.
type met struct {
	account uint32
	hash    identity.Hash
	fields  identity.Appearance
	own     uint8 // 1 if the appearance is its own
}

// levels keeps on which levels those who meet agree.
func (b *bulk) levels(ctx context.Context) error {
	if err := b.empty(ctx, "compared", "a UInt32, b UInt32, levels UInt64, rare Float64, own UInt8", "(a, b)"); err != nil {
		return err
	}
	out := &compared{table: b.prefix + "compared"}
	put := b.putter(out)
	var block []met
	var of string // the block's key
	compare := func() error {
		for i, x := range block {
			for _, y := range block[i+1:] {
				if x.account == y.account {
					continue
				}
				levels, rare := identity.Compare(b.scorer, x.hash, y.hash, x.fields, y.fields)
				out.a, out.b = append(out.a, min(x.account, y.account)), append(out.b, max(x.account, y.account))
				out.levels, out.rare = append(out.levels, uint64(levels)), append(out.rare, rare)
				out.own = append(out.own, x.own&y.own)
				if err := put(ctx, false); err != nil {
					return err
				}
			}
		}
		block = block[:0]
		return nil
	}
	n := 0
	err := b.ClickHouse.Rows(ctx, "read who meets", "SELECT key, n, hash, own, sealed FROM "+b.of("met")+" ORDER BY key", func(scan func(...any) error) error {
		var m met
		var key, hash, sealed string
		if err := scan(&key, &m.account, &hash, &m.own, &sealed); err != nil {
			return err
		}
		var err error
		if m.hash, m.fields, err = b.open(hash, sealed); err != nil {
			return err
		}
		if key != of {
			if err := compare(); err != nil {
				return err
			}
			of = key
		}
		block = append(block, m)
		if n++; n%10_000 == 0 {
			b.progress("receivers that meet", n)
		}
		return nil
	}, bulkSpill...)
	if err != nil {
		return err
	}
	if err := compare(); err != nil {
		return err
	}
	return put(ctx, true)
}

// readAlike adds the pairs of the model to contested components.
func (b *bulk) readAlike(ctx context.Context, parts map[uint32]*part, some string) error {
	return b.ClickHouse.Rows(ctx, "read who resembles whom", "SELECT l, a, b, weight FROM "+b.of("parts_alike")+some, func(scan func(...any) error) error {
		var l, x, y uint32
		var weight float32
		if err := scan(&l, &x, &y, &weight); err != nil {
			return err
		}
		p := parts[l]
		i, j := p.at[x], p.at[y]
		p.Pairs = append(p.Pairs, identity.Resemblance{A: min(i, j), B: max(i, j), Weight: weight})
		return nil
	}, bulkSpill...)
}

// open opens the fields of an appearance.
func (r *Rebuild) open(hash, sealed string) (identity.Hash, identity.Appearance, error) {
	var fields identity.Appearance
	if len(hash) != len(identity.Hash{}) {
		return identity.Hash{}, fields, fmt.Errorf("a hash has %d bytes", len(hash))
	}
	id := identity.Identifier{Type: identity.AppearanceType, Hash: identity.Hash([]byte(hash))}
	value, err := r.Keys.Open(nil, []byte(sealed), keyring.IdentifierContext(string(id.Type), id.Hash))
	if err != nil {
		return id.Hash, fields, fmt.Errorf("open %s: %w", id, err)
	}
	if fields, err = normalize.ParseAppearance(string(value)); err != nil {
		return id.Hash, fields, fmt.Errorf("%s: %w", id, err)
	}
	return id.Hash, fields, nil
}

// rowsAtOnce bounds the rows that are in memory on their way to ClickHouse.
const rowsAtOnce = 1 << 18

// putter returns what inserts the rows once there are enough of them, or all.
func (b *bulk) putter(out tables.Block) func(ctx context.Context, all bool) error {
	part := 0
	return func(ctx context.Context, all bool) error {
		if out.Rows() == 0 || !all && out.Rows() < rowsAtOnce {
			return nil
		}
		part++
		if err := b.ClickHouse.Insert(ctx, out, fmt.Sprint(out.Table(), part)); err != nil {
			return err
		}
		b.rows += out.Rows()
		out.Reset()
		return nil
	}
}

// keyed is which appearance has which keys.
type keyed struct {
	table     string
	hash, key []string
}

func (k *keyed) Table() string              { return k.table }
func (k *keyed) Columns() ([]string, []any) { return []string{"hash", "key"}, []any{k.hash, k.key} }
func (k *keyed) Rows() int                  { return len(k.key) }
func (k *keyed) Reset()                     { k.hash, k.key = k.hash[:0], k.key[:0] }

// received is whose Receiver each appearance is.
type received struct {
	table          string
	hash, receiver []string
}

func (r *received) Table() string { return r.table }
func (r *received) Columns() ([]string, []any) {
	return []string{"hash", "receiver"}, []any{r.hash, r.receiver}
}
func (r *received) Rows() int { return len(r.hash) }
func (r *received) Reset()    { r.hash, r.receiver = r.hash[:0], r.receiver[:0] }

// compared is on which levels accounts agree that were seen with two appearances,
// what is added because what is equal is rare, and whether both are their accounts' own.
type compared struct {
	table  string
	a, b   []uint32
	levels []uint64
	rare   []float64
	own    []uint8
}

func (p *compared) Table() string { return p.table }
func (p *compared) Columns() ([]string, []any) {
	return []string{"a", "b", "levels", "rare", "own"}, []any{p.a, p.b, p.levels, p.rare, p.own}
}
func (p *compared) Rows() int { return len(p.a) }
func (p *compared) Reset() {
	p.a, p.b, p.levels, p.rare, p.own = p.a[:0], p.b[:0], p.levels[:0], p.rare[:0], p.own[:0]
}
