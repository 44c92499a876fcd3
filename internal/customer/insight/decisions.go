package insight

import (
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
// is counted. People look at what seems wrong and at what is worth most, so the shares
// are those of the pairs that were looked at, and no more; but for Sample.
type Decisions struct {
	// JoinedRightly and JoinedWrongly were one customer, and people said same
	// or different; Missed were two, and people said same; ApartRightly
	// were two, and people said different.
	JoinedRightly int `json:"joined_rightly"`
	JoinedWrongly int `json:"joined_wrongly"`
	// Of these the model had joined, and no identifier, ModelRightly and
	// ModelWrongly.
	ModelRightly int `json:"model_joined_rightly"`
	ModelWrongly int `json:"model_joined_wrongly"`
	Missed       int `json:"missed"`
	ApartRightly int `json:"apart_rightly"`
	// Sample are the joined pairs among them that were drawn at random of all joined
	// pairs, as Reporter.Sample does: what says how many joins are right.
	Sample Share `json:"sample"`
}

// Share is how many of what people judged was right.
type Share struct {
	Right int `json:"right"`
	Wrong int `json:"wrong"`
}

// OfModel are the pairs that the model had joined.
func (d Decisions) OfModel() Decisions {
	return Decisions{JoinedRightly: d.ModelRightly, JoinedWrongly: d.ModelWrongly}
}

// OfIdentifiers are the pairs that were joined without the model.
func (d Decisions) OfIdentifiers() Decisions {
	return Decisions{JoinedRightly: d.JoinedRightly - d.ModelRightly, JoinedWrongly: d.JoinedWrongly - d.ModelWrongly}
}

// Joined are the pairs that were joined, Apart those that were kept apart, by
// whether people confirmed that.
func (d Decisions) Joined() Share { return Share{d.JoinedRightly, d.JoinedWrongly} }

// Apart is as Joined says.
func (d Decisions) Apart() Share { return Share{d.ApartRightly, d.Missed} }

// Of is the share of what was right, with the bounds between which it lies with
// 95 % (Wilson, J. Am. Stat. Assoc. 22, 1927); false if nothing was judged.
func (s Share) Of() (share, low, high float64, ok bool) {
	n := float64(s.Right + s.Wrong)
	if n == 0 {
		return 0, 0, 1, false
	}
	const z = 1.959964
	share = float64(s.Right) / n
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
	out.Contradictions = contradictions(&set)
	all := set.All()
	var accounts []identity.Account
	for _, v := range all {
		accounts = append(accounts, v.Pair.A, v.Pair.B)
	}
	moves, err := r.moves(ctx, accounts)
	if err != nil {
		return err
	}
	var joined []identity.Decision
	versions, err := r.versions(ctx)
	if err != nil {
		return err
	}
	for _, v := range all {
		a, okA := before(moves[v.Pair.A], at[v.ID], versions[v.ID])
		b, okB := before(moves[v.Pair.B], at[v.ID], versions[v.ID])
		d := &out.Decisions
		together := okA && okB && a == b
		if together {
			joined = append(joined, identity.Decision{ID: v.ID, Kind: v.Kind, A: v.Pair.A, B: v.Pair.B})
		}
		switch {
		case together && v.Kind == identity.Same:
			d.JoinedRightly++
		case together:
			d.JoinedWrongly++
		case v.Kind == identity.Same:
			d.Missed++
		default:
			d.ApartRightly++
		}
	}
	if out.Decisions.Sample, err = r.sampled(ctx, joined, verdicts(words)); err != nil {
		return err
	}
	byModel, err := r.byModel(ctx, joined, words)
	if err != nil {
		return err
	}
	for _, v := range joined {
		switch {
		case !byModel[v.ID]:
		case v.Kind == identity.Same:
			out.Decisions.ModelRightly++
		default:
			out.Decisions.ModelWrongly++
		}
	}
	return nil
}

// Contradictions are as Report has them.
func (r *Reporter) Contradictions(ctx context.Context) ([][]string, error) {
	words, err := decided.Read(ctx, r.ClickHouse, nil)
	if err != nil {
		return nil, err
	}
	var set identity.Decisions
	for _, d := range words {
		set.Add(d)
	}
	return contradictions(&set), nil
}

func contradictions(set *identity.Decisions) (out [][]string) {
	for _, contradiction := range set.Contradictions() {
		ids := make([]string, len(contradiction))
		for i, v := range contradiction {
			ids[i] = v.ID
		}
		out = append(out, ids)
	}
	return out
}

// move is an account's way to a customer.
type move struct {
	at       int64  // Unix milliseconds
	version  uint64 // of the batch that moved it
	customer identity.CustomerID
}

// before is the customer just before a decision that was made at a moment and
// came in the batch of a version; false for an account that was not born then.
// The clocks of who decides and of who resolves may differ, and a decision that is
// told again has a later version: what it moved itself is later by one of both.
func before(moves []move, at int64, version uint64) (identity.CustomerID, bool) {
	for _, m := range slices.Backward(moves) {
		if m.at < at && m.version < version {
			return m.customer, true
		}
	}
	return identity.CustomerID{}, false
}

// versions are those of the batches that decisions came in, by their ids.
func (r *Reporter) versions(ctx context.Context) (map[string]uint64, error) {
	var rows []struct {
		ID      string `ch:"decision_id"`
		Version uint64 `ch:"version"`
	}
	if err := r.ClickHouse.Select(ctx, "read when decisions came", &rows, "SELECT decision_id, version FROM "+r.table("decisions")+" FINAL"); err != nil {
		return nil, err
	}
	out := make(map[string]uint64, len(rows))
	for _, row := range rows {
		out[row.ID] = row.Version
	}
	return out, nil
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
			Version  uint64    `ch:"version"`
		}
		if err := r.ClickHouse.Select(ctx, "read where accounts were", &rows, "SELECT toString(platform) AS platform, toString(shop) AS shop, account, customer_id, at, version FROM "+r.table("identity_history")+
			" FINAL WHERE (platform, shop, account) IN ("+strings.Join(keys, ",")+") ORDER BY version"); err != nil {
			return nil, err
		}
		for _, row := range rows {
			a := identity.Account{Platform: row.Platform, Shop: row.Shop, ID: row.Account}
			out[a] = append(out[a], move{row.At.UnixMilli(), row.Version, identity.CustomerID(row.Customer)})
		}
	}
	return out, nil
}
