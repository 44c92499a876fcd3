package insight

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/customer/decided"
)

// Decisions compare what people decided about pairs of accounts with what
// OneID had said of them just before. Of decisions that were taken back nothing
// is counted. People look at what seems wrong, so the shares are those of the
// pairs that were looked at, and no more.
type Decisions struct {
	// JoinedRightly and JoinedWrongly were one customer, and people said same
	// or different; Missed were two, and people said same; ApartRightly
	// were two, and people said different.
	JoinedRightly int `json:"joined_rightly"`
	JoinedWrongly int `json:"joined_wrongly"`
	Missed        int `json:"missed"`
	ApartRightly  int `json:"apart_rightly"`
}

// Precision is the share of joined pairs that people confirmed, with the
// bounds between which it lies with 95 % (Wilson, J. Am. Stat. Assoc. 22, 1927);
// false without such a pair.
func (d Decisions) Precision() (share, low, high float64, ok bool) {
	n := float64(d.JoinedRightly + d.JoinedWrongly)
	if n == 0 {
		return 0, 0, 1, false
	}
	const z = 1.959964
	share = float64(d.JoinedRightly) / n
	middle := share + z*z/(2*n)
	width := z * math.Sqrt(share*(1-share)/n+z*z/(4*n*n))
	return share, (middle - width) / (1 + z*z/n), (middle + width) / (1 + z*z/n), true
}

func (r *Reporter) decisions(ctx context.Context, out *Report) error {
	words, err := decided.Read(ctx, r.ClickHouse, nil)
	if err != nil || len(words) == 0 {
		return err
	}
	var set identity.Decisions
	at := map[string]int64{}
	for _, d := range words {
		set.Add(d)
		at[d.ID] = d.At
	}
	verdicts := set.All()
	var accounts []identity.Account
	for _, v := range verdicts {
		accounts = append(accounts, v.Pair.A, v.Pair.B)
	}
	moves, err := r.moves(ctx, accounts)
	if err != nil {
		return err
	}
	for _, v := range verdicts {
		a, okA := before(moves[v.Pair.A], at[v.ID])
		b, okB := before(moves[v.Pair.B], at[v.ID])
		d := &out.Decisions
		switch joined := okA && okB && a == b; {
		case joined && v.Kind == identity.Same:
			d.JoinedRightly++
		case joined:
			d.JoinedWrongly++
		case v.Kind == identity.Same:
			d.Missed++
		default:
			d.ApartRightly++
		}
	}
	return nil
}

// move is an account's way to a customer.
type move struct {
	at       int64 // Unix milliseconds
	customer identity.CustomerID
}

// before is the customer just before a moment; false for an account that was
// not born then.
func before(moves []move, at int64) (identity.CustomerID, bool) {
	i, _ := slices.BinarySearchFunc(moves, at, func(m move, at int64) int { return cmp.Compare(m.at, at) })
	if i == 0 {
		return identity.CustomerID{}, false
	}
	return moves[i-1].customer, true
}

// moves reads the ways of accounts, each in the order of time.
func (r *Reporter) moves(ctx context.Context, accounts []identity.Account) (map[identity.Account][]move, error) {
	out := map[identity.Account][]move{}
	for chunk := range slices.Chunk(accounts, 1000) {
		keys := make([]string, len(chunk))
		for i, a := range chunk {
			keys[i] = "(" + clickhouse.Quote(a.Platform) + "," + clickhouse.Quote(a.Shop) + "," + clickhouse.Quote(a.ID) + ")"
		}
		var rows []struct {
			Platform string    `ch:"platform"`
			Shop     string    `ch:"shop"`
			Account  string    `ch:"account"`
			Customer uuid.UUID `ch:"customer_id"`
			At       time.Time `ch:"at"`
		}
		if err := r.ClickHouse.Select(ctx, "read where accounts were", &rows, "SELECT toString(platform) AS platform, toString(shop) AS shop, account, customer_id, at FROM "+r.table("identity_history")+
			" FINAL WHERE (platform, shop, account) IN ("+strings.Join(keys, ",")+") ORDER BY version"); err != nil {
			return nil, err
		}
		for _, row := range rows {
			a := identity.Account{Platform: row.Platform, Shop: row.Shop, ID: row.Account}
			out[a] = append(out[a], move{row.At.UnixMilli(), identity.CustomerID(row.Customer)})
		}
	}
	return out, nil
}
