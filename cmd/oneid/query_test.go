package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The columns that everything outside OneID builds upon, with their types.
var promised = map[string]string{
	"customer_360": "customer_id UUID, identified UInt8, platforms Array(String), accounts Map(String, UInt64), orders UInt64, " +
		"first_order_at Nullable(DateTime('Asia/Shanghai')), last_order_at Nullable(DateTime('Asia/Shanghai')), " +
		"paid_amount Decimal(18, 2), refunded_amount Decimal(18, 2), net_amount Decimal(18, 2), average_order_value Decimal(18, 2), " +
		"currency String, other_amounts Map(String, Decimal(18, 2)), tickets UInt64, open_tickets UInt64, member_of Array(String)",
	"customer_orders": "platform String, shop String, order_id String, account String, customer_id UUID, status String, platform_status String, " +
		"created_at DateTime('Asia/Shanghai'), paid_at Nullable(DateTime('Asia/Shanghai')), paid_amount Decimal(18, 2), refunded_amount Decimal(18, 2), currency String",
	"identity_map_current": "account String, customer_id UUID, since DateTime('Asia/Shanghai'), why String",
}

func TestViewsDescribeThemselves(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	p, _ := up(t, dir)
	for _, view := range []string{"customer_360", "customer_orders", "customer_order_items", "customer_refunds", "customer_tickets", "identity_map_current"} {
		var got []string
		columns := make(map[string]bool)
		for _, row := range rows(t, dir, "DESCRIBE TABLE "+view) {
			name, kind, comment := row[0], row[1], row[4]
			got = append(got, name+" "+kind)
			columns[name] = true
			if len(comment) < 4 {
				t.Errorf("%s.%s has no comment that explains it: %q", view, name, comment)
			}
		}
		if want, ok := promised[view]; ok {
			if d := cmp.Diff(want, strings.Join(got, ", ")); d != "" {
				t.Errorf("the columns of %s:\n%s", view, d)
			}
		}
		if !columns["customer_id"] {
			t.Errorf("%s has no customer_id", view)
		}
		if one(t, dir, "SELECT count() > 0 FROM "+view) != "1" {
			t.Errorf("%s is empty after a demo", view)
		}
	}
	// What hangs together by its meaning.
	for claim, sql := range map[string]string{
		"customer_360 has each living customer once":          "SELECT count() = uniqExact(customer_id) FROM customer_360",
		"net is paid less refunded":                           "SELECT countIf(net_amount != paid_amount - refunded_amount) = 0 FROM customer_360",
		"paid orders are counted":                             "SELECT (SELECT sum(orders) FROM customer_360) = (SELECT countIf(paid_at IS NOT NULL) FROM customer_orders)",
		"what was paid is all there":                          "SELECT (SELECT sum(paid_amount) FROM customer_360) = (SELECT sum(paid_amount) FROM customer_orders WHERE paid_at IS NOT NULL)",
		"an order is paid what its items are":                 "SELECT countIf(a != b) = 0 FROM (SELECT order_id, any(paid_amount) a FROM customer_orders GROUP BY order_id) AS o JOIN (SELECT order_id, sum(paid_amount) b FROM customer_order_items GROUP BY order_id) AS i USING order_id",
		"nothing is paid for an order that is not":            "SELECT countIf(paid_at IS NULL AND paid_amount != 0) = 0 FROM customer_orders",
		"each order's customer is its account's":              "SELECT countIf(o.customer_id != m.customer_id) = 0 FROM customer_orders o JOIN identity_map_current m USING account",
		"each order is there once":                            "SELECT count() = uniqExact(platform, shop, order_id) FROM customer_orders",
		"open tickets are counted":                            "SELECT (SELECT sum(open_tickets) FROM customer_360) = (SELECT countIf(status IN ('open', 'pending')) FROM customer_tickets)",
		"refunds that succeeded are what orders got back":     "SELECT (SELECT sum(refund_amount) FROM customer_refunds WHERE status = 'succeeded') = (SELECT sum(refunded_amount) FROM customer_orders)",
		"a customer's platforms are those of its accounts":    "SELECT countIf(platforms != arraySort(mapKeys(accounts))) = 0 FROM customer_360",
		"each customer of the map is in customer_360":         "SELECT count() = 0 FROM identity_map_current WHERE customer_id NOT IN (SELECT customer_id FROM customer_360)",
		"each account stands in the map once":                 "SELECT count() = uniqExact(account) FROM identity_map_current",
		"members were joined from the lists and the streams":  "SELECT countIf(notEmpty(member_of)) > 0 FROM customer_360",
		"an average is of the paid orders of the currency":    "SELECT countIf(empty(other_amounts) AND orders > 0 AND abs(average_order_value - paid_amount / orders) > 0.01) = 0 FROM customer_360",
		"some customer has accounts on two platforms or more": "SELECT countIf(length(platforms) > 1) > 0 FROM customer_360",
	} {
		if got := one(t, dir, sql); got != "1" && got != "true" {
			t.Errorf("not so: %s", claim)
		}
	}
	down(t, dir, p)
}

// The BI user reads the public views and nothing else, through the command as
// through any BI tool.
func TestQueryFence(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	p, _ := up(t, dir)
	for name, sql := range map[string]string{
		"a file":                    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
		"a file, from the folder":   "SELECT * FROM file('../secrets/clickhouse.password', 'LineAsString')",
		"a URL":                     "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
		"another server":            "SELECT * FROM remote('127.0.0.1:1', system.one)",
		"a program":                 "SELECT * FROM executable('id', 'LineAsString', 'x String')",
		"raw events":                "SELECT count() FROM raw_events",
		"facts":                     "SELECT count() FROM orders",
		"identity's own table":      "SELECT count() FROM identity_map",
		"the rows behind a view":    "SELECT count() FROM customer_360_rows",
		"who may do what":           "SELECT * FROM system.users",
		"what others ask":           "SELECT query FROM system.processes",
		"a write":                   "INSERT INTO customer_orders SELECT * FROM customer_orders",
		"a new table":               "CREATE TABLE x (a Int8) ENGINE = Memory",
		"a drop":                    "DROP VIEW customer_360",
		"a setting in the query":    "SELECT 1 SETTINGS readonly = 0",
		"a setting of the session":  "SET max_memory_usage = 0",
		"a file to write":           "SELECT 1 INTO OUTFILE '/tmp/oneid-test-outfile'",
		"a stop of the server":      "SYSTEM SHUTDOWN",
		"a kill of others' queries": "KILL QUERY WHERE 1",
		"two statements":            "SELECT 1; DROP VIEW customer_360",
		"another user":              "EXECUTE AS default SELECT count() FROM oneid.orders",
		"no SQL at all":             "hello",
	} {
		t.Run(name, func(t *testing.T) {
			a := oneid(t, "query", "--dir", dir, sql)
			wantRefused(t, a, 1, "oneid: Code: ")
			if a.stdout != "" {
				t.Errorf("it answers %q", a.stdout)
			}
		})
	}
	if got := one(t, dir, "SELECT count() > 0 FROM customer_360"); got != "1" {
		t.Errorf("after all that, customer_360 answers %s", got)
	}
	down(t, dir, p)
}

func TestQueryFormats(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	const sql = "SELECT account, customer_id FROM identity_map_current ORDER BY account LIMIT 2"
	p, _ := up(t, dir)
	for format, wanted := range map[string]func(out string) bool{
		"JSONEachRow": func(out string) bool { return strings.Count(out, "\n") == 2 && strings.HasPrefix(out, `{"account":"`) },
		"CSVWithNames": func(out string) bool {
			return strings.HasPrefix(out, "\"account\",\"customer_id\"\n") && strings.Count(out, "\n") == 3
		},
		"Parquet": func(out string) bool { return strings.HasPrefix(out, "PAR1") && strings.HasSuffix(out, "PAR1") },
		// It has the engine write a schema of its own.
		"Protobuf": func(out string) bool { return strings.Count(out, "/") >= 4 },
		"":         func(out string) bool { return strings.Count(out, "\t") == 2 },
	} {
		args := []string{"query", "--dir", dir, sql}
		if format != "" {
			args = append(args, "--format", format)
		}
		if out := must(t, args...).stdout; !wanted(out) {
			t.Errorf("--format %s answers %q", format, out)
		}
	}
	if a := startWith(t, sql, nil, "query", "--dir", dir, "-").wait(t); a.code != 0 || strings.Count(a.stdout, "\n") != 2 {
		t.Errorf("from standard input: exit code %d, %q %s", a.code, a.stdout, a.stderr)
	}
	wantRefused(t, oneid(t, "query", "--dir", dir, sql, "--format", "Sheep"), 1, "Sheep")
	wantRefused(t, oneid(t, "query", "--dir", dir), 2, "<sql>")
	down(t, dir, p)
	// The folder at rest answers alike.
	if out := must(t, "query", "--dir", dir, sql).stdout; strings.Count(out, "\t") != 2 {
		t.Errorf("at rest it answers %q", out)
	}
}
