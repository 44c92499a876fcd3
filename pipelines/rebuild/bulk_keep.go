package rebuild

import (
	"context"

	"oneid/internal/clickhouse"
)

// ResolvedTable is where Bulk keeps what it found, if it is asked to: a row for
// each account.
const ResolvedTable = "identity_resolved"

// resolvedColumns are its columns. A key of the sort is its account's.
const resolvedColumns = "platform String COMMENT 'Platform of the account', shop String COMMENT 'Shop of the account', account String COMMENT 'The platform''s own id of the account'," +
	" customer_id UUID COMMENT 'Customer that the run found: the id of its eldest account, as the resolver would give it'," +
	" present_customer_id Nullable(UUID) COMMENT 'Customer of identity_map when the run ended; NULL if it had none'," +
	" resolved_at DateTime('UTC') COMMENT 'When the run ended'"

// Shifts are how many customers come together or apart between those that there
// are and those that a run found, counted as in Plan.
type Shifts struct {
	// Redirected customers lose all their accounts to others.
	Redirected int `json:"redirected_customers"`
	JoinedFrom int `json:"joined_from"`
	JoinedTo   int `json:"joined_to"`
	SplitFrom  int `json:"split_from"`
	SplitTo    int `json:"split_to"`
}

// keep lays what was found beside what there is, and puts it in the place of what
// an earlier run has kept, in one step: who reads sees the one or the other.
func (b *bulk) keep(ctx context.Context) error {
	if err := b.empty(ctx, "kept", resolvedColumns, "(platform, shop, account)"); err != nil {
		return err
	}
	nullable := append(bulkSpill[:len(bulkSpill):len(bulkSpill)], clickhouse.Setting{Name: "join_use_nulls", Value: 1})
	err := b.ClickHouse.Exec(ctx, "keep what was resolved", "INSERT INTO "+b.of("kept")+" SELECT f.platform, f.shop, f.account, f.customer, m.customer_id, now('UTC') FROM ("+b.found()+") AS f LEFT JOIN "+b.present()+" AS m USING (platform, shop, account)", nullable...)
	if err != nil {
		return err
	}
	b.rows += b.out.Accounts
	if b.out.Shifts, err = b.shifts(ctx); err != nil {
		return err
	}
	there, err := b.ClickHouse.Number(ctx, "look for what an earlier run has kept", "SELECT count() FROM system.tables WHERE database = "+clickhouse.Quote(b.ClickHouse.Database())+" AND name = "+clickhouse.Quote(ResolvedTable))
	if err != nil {
		return err
	}
	// A RENAME of two tables is two steps: who reads between them finds none, and one
	// that ends there leaves none.
	place := "RENAME TABLE " + b.of("kept") + " TO " + b.table(ResolvedTable)
	if there > 0 {
		place = "EXCHANGE TABLES " + b.of("kept") + " AND " + b.table(ResolvedTable) // what was there goes with the run's tables
	}
	return b.ClickHouse.Exec(ctx, "put what was resolved in its place", place)
}

// shifts counts who comes together and who comes apart.
func (b *bulk) shifts(ctx context.Context) (*Shifts, error) {
	var rows []struct {
		Redirected uint64 `ch:"redirected"`
		SplitFrom  uint64 `ch:"split_from"`
		SplitTo    uint64 `ch:"split_to"`
		JoinedFrom uint64 `ch:"joined_from"`
		JoinedTo   uint64 `ch:"joined_to"`
	}
	known := " FROM " + b.of("kept") + " WHERE present_customer_id IS NOT NULL"
	sides := func(of, other string) string {
		return "(SELECT uniqExact(" + other + ") AS k" + known + " GROUP BY " + of + " HAVING k > 1)"
	}
	err := b.ClickHouse.Select(ctx, "count who comes together and apart", &rows, "SELECT"+
		" (SELECT uniqExact(present_customer_id)"+known+" AND present_customer_id NOT IN (SELECT customer_id FROM "+b.of("kept")+")) AS redirected,"+
		" (SELECT count() FROM "+sides("present_customer_id", "customer_id")+") AS split_from, (SELECT sum(k) FROM "+sides("present_customer_id", "customer_id")+") AS split_to,"+
		" (SELECT sum(k) FROM "+sides("customer_id", "present_customer_id")+") AS joined_from, (SELECT count() FROM "+sides("customer_id", "present_customer_id")+") AS joined_to", bulkSpill...)
	if err != nil || len(rows) != 1 {
		return nil, err
	}
	r := rows[0]
	return &Shifts{Redirected: int(r.Redirected), JoinedFrom: int(r.JoinedFrom), JoinedTo: int(r.JoinedTo), SplitFrom: int(r.SplitFrom), SplitTo: int(r.SplitTo)}, nil
}
