package clickhouse

import (
	"fmt"
	"strings"
	"testing"

	schema "oneid/schemas/clickhouse"
)

// refreshQuery is what customer_360 is made of after that many migrations.
func refreshQuery(t *testing.T, migrations []schema.Migration) string {
	t.Helper()
	var newest string
	for _, m := range migrations {
		for _, statement := range m.Statements {
			if what, query, found := strings.Cut(statement, "MODIFY QUERY"); found && strings.Contains(what, "customer_360_refresh") {
				newest = query
			}
		}
	}
	if newest == "" {
		t.Fatal("no migration says what customer_360 is made of")
	}
	return newest
}

// randomFacts are statements that fill the tables of customer_360: accounts of seven
// platforms with thirty shops each, customers of one account and of a hundred, of several currencies as
// often and of none, accounts that stand in for a buyer, that have moved, and several versions.
func randomFacts(seed, accounts int) []string {
	// An account's number says all that belongs to it, and what is drawn of it.
	draw := func(what string, of int) string {
		return fmt.Sprintf("(cityHash64(%d, '%s', n) %% %d)", seed, what, of)
	}
	platform := fmt.Sprintf("['tmall', 'tmall', 'weidian', 'douyin', 'file', 'jd', 'pdd', 'other'][toUInt8(least(%s, %s) + 1)]", draw("platform", 8), draw("again", 9))
	shop := "concat('s', toString(" + draw("shop", 30) + "))"
	standsIn := draw("stands in", 5) + " = 0"
	account := "if(" + standsIn + ", concat('order:', toString(n)), concat('a', toString(n)))"
	customer := func(what string) string {
		return fmt.Sprintf("reinterpretAsUUID(sipHash128(%d, if(%s = 0, 0, %s)))", seed, draw("big", 40), draw(what, accounts/2))
	}
	moved := draw("moved", 7) + " = 0"
	currency := "['CNY', 'CNY', 'CNY', 'CNY', 'JPY', 'KWD', 'USD', ''][toUInt8(least(" + draw("currency", 8) + ", " + draw("currency again", 8) + ") + 1)]"
	unit := "toUInt16(multiIf(currency = 'JPY', 1, currency = 'KWD', 1000, 100))"
	numbers := fmt.Sprintf(" FROM (SELECT number AS n, %%s AS platform, %%s AS shop, %%s AS account FROM numbers(%d))", accounts)
	from := fmt.Sprintf(numbers, platform, shop, account)
	// Facts draw for themselves, but belong to one account.
	facts := func(of int) string {
		return fmt.Sprintf(" FROM (SELECT f, cityHash64(%d, f) AS n, platform, shop, account, first, whose FROM (SELECT number AS f, cityHash64(%d, 'of', number) %% %d AS n FROM numbers(%d)) AS f"+
			" INNER JOIN (SELECT n, platform, shop, account, %s AS first, n AS whose%s) AS a USING n)", seed, seed, accounts, of, customer("first"), from)
	}
	second := " WHERE " + moved
	return []string{
		"INSERT INTO identity_map (platform, shop, account, customer_id, version) SELECT platform, shop, account, " + customer("first") + ", 1" + from,
		"INSERT INTO identity_map (platform, shop, account, customer_id, version) SELECT platform, shop, account, " + customer("second") + ", 2" + from + second,
		"INSERT INTO identity_overrides (platform, shop, account, customer_id, version) SELECT platform, shop, account, " + customer("second") + ", 2" + from + second,
		"INSERT INTO memberships SELECT platform, shop, account" + from + " WHERE " + draw("member", 2) + " = 0",
		// An order of an account that stands in for its buyer is that one's, or has named another since.
		"INSERT INTO orders (platform, shop, order_id, account, customer_id, version, created_at, paid_at, currency, unit, paid_minor)" +
			" SELECT platform, shop, if(startsWith(account, 'order:') AND f % 2 = 0, substring(account, 7), concat('o', toString(f))), account, first, 1, toDateTime(1700000000 + " + draw("created", 1000000) + ", 'UTC'), toDateTime(if(" + draw("paid", 5) + " = 0, 0, 1700000000), 'UTC'), " +
			currency + " AS currency, " + unit + ", toInt64(" + draw("minor", 100000) + ")" + facts(2*accounts),
		"INSERT INTO orders (platform, shop, order_id, account, customer_id, version, is_deleted, created_at, paid_at, currency, unit, paid_minor)" +
			" SELECT platform, shop, order_id, if(cityHash64(order_id) % 2 = 0, account, 'named'), customer_id, 2, cityHash64(order_id) % 11 = 0, created_at, paid_at, currency, unit, paid_minor + 1 FROM orders WHERE cityHash64(order_id, 2) % 4 = 0",
		"INSERT INTO refunds (platform, shop, refund_id, account, customer_id, version, order_id, status, currency, unit, refund_minor)" +
			" SELECT platform, shop, concat('r', toString(f)), account, first, 1, if(startsWith(account, 'order:'), substring(account, 7), ''), if(" + draw("status", 3) + " = 0, 'requested', 'succeeded'), " +
			currency + " AS currency, " + unit + ", toInt64(" + draw("minor", 10000) + ")" + facts(accounts),
		"INSERT INTO tickets (platform, shop, ticket_id, account, customer_id, version, order_id, status)" +
			" SELECT platform, shop, concat('t', toString(f)), account, first, 1, if(startsWith(account, 'order:'), substring(account, 7), ''), ['open', 'pending', 'solved'][toUInt8(" + draw("status", 3) + " + 1)]" + facts(accounts/2),
	}
}

// Whatever the facts are, customer_360 says what the query of before said: one that
// makes lists of everything, for everybody.
func TestCustomer360IsWhatListsOfAllSay(t *testing.T) {
	t.Parallel()
	// With few accounts there are fewer platforms and shops than usual ones, or none.
	for seed, accounts := range []int{2, 5, 60, 3000, 3000} {
		t.Run(fmt.Sprintf("%d accounts, seed %d", accounts, seed), func(t *testing.T) {
			c, d := migrated(t)
			exec := func(statement string) {
				t.Helper()
				if err := d.Exec(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			for _, statement := range randomFacts(seed, accounts) {
				exec(statement)
			}
			if err := c.ReloadOverrides(t.Context()); err != nil {
				t.Fatal(err)
			}
			migrations, err := schema.Migrations(c.target())
			if err != nil {
				t.Fatal(err)
			}
			for name, some := range map[string][]schema.Migration{"lists": migrations[:19], "sums": migrations} {
				exec("CREATE TABLE " + name + " AS customer_360_rows")
				exec("INSERT INTO " + name + " " + refreshQuery(t, some))
			}
			all := "SELECT * EXCEPT refreshed_at FROM "
			if only := answer(t, d, "SELECT * FROM ("+all+"sums EXCEPT ALL "+all+"lists) ORDER BY customer_id LIMIT 3"); only != "" {
				t.Errorf("sums alone say\n%s", only)
			}
			if only := answer(t, d, "SELECT * FROM ("+all+"lists EXCEPT ALL "+all+"sums) ORDER BY customer_id LIMIT 3"); only != "" {
				t.Errorf("lists alone say\n%s", only)
			}
			if accounts < 1000 {
				return
			}
			// What is drawn has what the two do in different ways.
			for what, query := range map[string]string{
				"customers of more platforms than are usual":     "SELECT max(length(platforms)) > 4 FROM lists",
				"more shops with members than are usual":         "SELECT uniqExact(platform, shop) > 64 FROM memberships",
				"customers of several currencies":                "SELECT countIf(notEmpty(other_amounts)) > 100 AND max(length(other_amounts)) > 2 FROM lists",
				"customers whose main currency is not the usual": "SELECT uniqExact(currency) > 3 FROM lists WHERE orders > 0",
				"refunds in a main currency":                     "SELECT uniqExactIf(currency, refunded_amount > 0) > 3 FROM lists",
				"facts of accounts that have moved":              "SELECT countIf(orders > 0 AND tickets > 0) > 100 FROM lists WHERE customer_id IN (SELECT customer_id FROM identity_overrides)",
				"customers made of orders alone":                 "SELECT countIf(NOT identified) > 20 FROM lists",
			} {
				if answer(t, d, query) != "1" {
					t.Errorf("there are no %s", what)
				}
			}
		})
	}
}
