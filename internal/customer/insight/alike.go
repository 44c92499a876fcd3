package insight

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"oneid/identity"
)

// alike adds the pairs that the model finds alike and that are two customers: by
// the thresholds in force, which may be others than those by which they were
// found.
func (r *Reporter) alike(ctx context.Context, limit int) ([]alikeRow, error) {
	if r.Rules.Model == nil {
		return nil, nil
	}
	customer := func(side string) string {
		return "(SELECT toString(platform) AS " + side + "platform, toString(shop) AS " + side + "shop, account AS " + side + "account, customer_id AS " + side + "customer FROM " + r.table("identity_map") + " FINAL)"
	}
	paid := func(side string) string {
		return "(SELECT customer_id AS " + side + "customer, toFloat64(paid_amount) AS " + side + "paid FROM " + r.table("customer_360") + ")"
	}
	var rows []alikeRow
	err := r.ClickHouse.Select(ctx, "find who is alike", &rows, fmt.Sprintf(
		"SELECT a_platform, a_shop, a_account, b_platform, b_shop, b_account, a_customer, b_customer, reason, millibits, parts, least(a_paid, b_paid) AS worth FROM (SELECT toString(platform) AS a_platform, toString(shop) AS a_shop, account AS a_account,"+
			" toString(other_platform) AS b_platform, toString(other_shop) AS b_shop, other_account AS b_account, toString(reason) AS reason, millibits, parts FROM %s FINAL WHERE millibits >= %d) AS p"+
			" INNER JOIN %s AS a USING (a_platform, a_shop, a_account) INNER JOIN %s AS b USING (b_platform, b_shop, b_account)"+
			" LEFT JOIN %s AS c USING (a_customer) LEFT JOIN %s AS d USING (b_customer)"+
			" WHERE a_customer != b_customer ORDER BY worth DESC, a_paid + b_paid DESC, millibits DESC, a_platform, a_shop, a_account, b_platform, b_shop, b_account LIMIT %d",
		r.table("resemblances"), int64(r.Rules.Model.Review*1000), customer("a_"), customer("b_"), paid("a_"), paid("b_"), limit), spill...)
	return rows, err
}

// alikeRow is a pair of the table resemblances, with the customers of both.
type alikeRow struct {
	Platform      string    `ch:"a_platform"`
	Shop          string    `ch:"a_shop"`
	Account       string    `ch:"a_account"`
	OtherPlatform string    `ch:"b_platform"`
	OtherShop     string    `ch:"b_shop"`
	OtherAccount  string    `ch:"b_account"`
	Customer      uuid.UUID `ch:"a_customer"`
	OtherCustomer uuid.UUID `ch:"b_customer"`
	Reason        string    `ch:"reason"`
	Millibits     int32     `ch:"millibits"`
	Parts         []string  `ch:"parts"`
	Worth         float64   `ch:"worth"` // what the one who has paid less has paid
}

// accounts are both accounts, the lower first, and customers theirs.
func (r *alikeRow) accounts() (a, b identity.Account) {
	return identity.Account{Platform: r.Platform, Shop: r.Shop, ID: r.Account}, identity.Account{Platform: r.OtherPlatform, Shop: r.OtherShop, ID: r.OtherAccount}
}

func (r *alikeRow) customers() (a, b identity.CustomerID) {
	return identity.CustomerID(r.Customer), identity.CustomerID(r.OtherCustomer)
}
