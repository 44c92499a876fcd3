package clickhouse
import ("testing";"fmt";"time";"os";"strings";"context")
func TestZZ(t *testing.T) {
	n := os.Getenv("ZZ"); if n == "" { t.Skip() }
	c, d := migrated(t)
	run := func(name, q string) string {
		t0 := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Second); defer cancel()
		got, err := d.Query(ctx, q)
		e := ""
		if err != nil { e = err.Error(); if len(e) > 600 { e = e[:600] } }
		fmt.Printf("%-28s %8.1f ms %s %.200s\n", name, float64(time.Since(t0).Microseconds())/1000, e, strings.ReplaceAll(got, "\n", " | "))
		return got
	}
	run("stop", "SYSTEM STOP VIEW customer_360_refresh")
	who := "reinterpretAsUUID(sipHash128(toString(intDiv(acc*5,7))))"
	plat := "['tmall','douyin','weidian'][1+acc%3]"
	src := func(rows string) string { return "(SELECT number AS id, cityHash64(number) % intDiv(toUInt64("+n+"), 5) AS acc FROM numbers("+rows+"))" }
	run("insert orders", "INSERT INTO orders (platform, shop, order_id, account, customer_id, version, is_deleted, status, created_at, paid_at, currency, unit, paid_minor, item_id, item_paid_minor) SELECT "+plat+", 's1', toString(id), concat('acc', toString(acc)), "+who+", 1, 0, 'paid', toDateTime(1700000000 + id % 50000000), toDateTime(1700000000 + id % 50000000), 'CNY', 100, cityHash64(id) % 100000, ['1'], [cityHash64(id) % 100000] FROM "+src(n)+" SETTINGS max_insert_threads=1")
	run("insert again fifth", "INSERT INTO orders (platform, shop, order_id, account, customer_id, version, is_deleted, status, created_at, paid_at, currency, unit, paid_minor, item_id, item_paid_minor) SELECT "+plat+", 's1', toString(id), concat('acc', toString(acc)), "+who+", 0, 0, 'paid', toDateTime(1700000000 + id % 50000000), toDateTime(1700000000 + id % 50000000), 'CNY', 100, cityHash64(id) % 100000, ['1'], [cityHash64(id) % 100000] FROM "+src(n)+" WHERE id % 5 = 0 SETTINGS max_insert_threads=1")
	run("insert refunds", "INSERT INTO refunds (platform, shop, refund_id, account, customer_id, version, is_deleted, order_id, status, currency, unit, refund_minor) SELECT "+plat+", 's1', concat('r', toString(id)), concat('acc', toString(acc)), "+who+", 1, 0, toString(id), 'succeeded', 'CNY', 100, 100 FROM "+src(n)+" WHERE id % 12 = 0")
	run("insert tickets", "INSERT INTO tickets (platform, shop, ticket_id, account, customer_id, version, is_deleted, order_id, status, created_at) SELECT "+plat+", 's1', concat('t', toString(id)), concat('acc', toString(acc)), "+who+", 1, 0, toString(id), 'open', toDateTime(1700000000) FROM "+src(n)+" WHERE id % 10 = 0")
	run("insert map", "INSERT INTO identity_map (platform, shop, account, customer_id, born, version) SELECT "+plat+", 's1', concat('acc', toString(acc)), "+who+", 1, 1 FROM (SELECT number AS acc FROM numbers(toUInt64("+n+")/5))")
	run("insert overrides", "INSERT INTO identity_overrides (platform, shop, account, customer_id, version) SELECT "+plat+", 's1', concat('acc', toString(acc)), "+who+", 2 FROM (SELECT number AS acc FROM numbers(toUInt64("+n+")/5) WHERE number % 50 = 0)")
	run("insert members", "INSERT INTO memberships (platform, shop, account) SELECT "+plat+", 's1', concat('acc', toString(acc)) FROM (SELECT number AS acc FROM numbers(toUInt64("+n+")/5) WHERE number % 3 = 0)")
	run("reload", "SYSTEM RELOAD DICTIONARY identity_overrides_dict")
	run("start", "SYSTEM START VIEW customer_360_refresh")
	t0 := time.Now()
	fmt.Println(c.RefreshViews(t.Context()), "RefreshViews", time.Since(t0))
	run("refreshes", "SELECT status, exception, last_success_duration_ms, read_rows, memory_usage FROM (SELECT *, 0 AS memory_usage FROM system.view_refreshes WHERE database=currentDatabase())")

	q, _ := d.Query(t.Context(), "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = 'customer_360_refresh' FORMAT TSVRaw")
	run("whole", q + " FORMAT Null")
	run("whole nospill", strings.Replace(q, "536870912", "0", 1) + " FORMAT Null")
	from := strings.Index(q, "FROM ("); having := strings.Index(q, ") GROUP BY customer_id HAVING")
	if having < 0 { having = strings.LastIndex(q, "GROUP BY customer_id HAVING")}
	fmt.Println(from, having, len(q))
	inner := q[from+6:having]
	run("inner", "SELECT * FROM (" + strings.TrimSuffix(strings.TrimSpace(inner), ")") + ") FORMAT Null")
	for i, b := range strings.Split(strings.TrimSuffix(strings.TrimSpace(inner), ")"), " UNION ALL SELECT ") {
		if i > 0 { b = "SELECT " + b }
		if strings.Contains(b, "FROM (") && !strings.Contains(b, "GROUP BY") { continue }
		run(fmt.Sprint("branch ", i), b + " FORMAT Null")
	}
	run("orders_now group", "SELECT customer_id, toString(currency) AS name, count(), sum(paid_minor), min(created_at), max(created_at) FROM orders_now WHERE toUnixTimestamp(paid_at) > 0 GROUP BY customer_id, name FORMAT Null SETTINGS max_threads=2")
	run("orders_now group nf", "SELECT customer_id, count(), sum(paid_minor), min(created_at), max(created_at) FROM orders_now GROUP BY customer_id FORMAT Null SETTINGS max_threads=2")
	run("orders group", "SELECT customer_id, count(), sum(paid_minor), min(created_at), max(created_at) FROM orders FINAL GROUP BY customer_id FORMAT Null SETTINGS max_threads=2")
	run("refunds_now", "SELECT customer_id, sum(refund_minor) FROM refunds_now GROUP BY customer_id FORMAT Null")
	run("map", "SELECT count() FROM identity_map FINAL FORMAT Null")
	run("pseudo", "SELECT platform, shop, account FROM orders FINAL WHERE account = concat('order:', order_id) FORMAT Null")
	_ = os.Args
}
