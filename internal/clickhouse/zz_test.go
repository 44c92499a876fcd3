package clickhouse
import ("testing";"fmt";"time";"os";"strings";"context")
func TestZZ(t *testing.T) {
	n := os.Getenv("ZZ"); if n == "" { t.Skip() }
	c, d := migrated(t)
	run := func(name, q string) string {
		t0 := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second); defer cancel()
		got, err := d.Query(ctx, q)
		e := ""
		if err != nil { e = err.Error(); if len(e) > 600 { e = e[:600] } }
		fmt.Printf("%-28s %8.1f ms %s %.200s\n", name, float64(time.Since(t0).Microseconds())/1000, e, strings.ReplaceAll(got, "\n", " | "))
		return got
	}
	run("stop", "SYSTEM STOP VIEW customer_360_refresh")
	who := "reinterpretAsUUID(sipHash128(toString(intDiv(acc*5,7))))"
	plat := "['tmall','douyin','weidian'][1+acc%3]"
	src := func(rows string) string { return "(SELECT number AS id, cityHash64(number) % (toUInt64("+n+") / 5) AS acc FROM numbers("+rows+"))" }
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
	for i := 0; i < 2; i++ {
	run("360 count", "SELECT count(), sum(orders), sum(paid_amount), sum(refunded_amount), sum(tickets) FROM customer_360")
	run("360 top", "SELECT customer_id, paid_amount FROM customer_360 ORDER BY paid_amount DESC LIMIT 3")
	run("orders count/sum", "SELECT count(), sum(paid_amount), sum(refunded_amount) FROM customer_orders")
	run("orders count", "SELECT count() FROM customer_orders")
	run("orders sum paid", "SELECT sum(paid_amount) FROM customer_orders")
	run("by month", "SELECT platform, toStartOfMonth(created_at) AS m, sum(paid_amount) FROM customer_orders GROUP BY platform, m ORDER BY m LIMIT 2")
	run("one order", "SELECT * FROM customer_orders WHERE platform='tmall' AND shop='s1' AND order_id='12'")
	run("one order no platform", "SELECT * FROM customer_orders WHERE order_id='12'")
	run("top customers", "SELECT customer_id, sum(paid_amount) AS s FROM customer_orders GROUP BY customer_id ORDER BY s DESC LIMIT 2")
	run("items sum", "SELECT count(), sum(paid_amount) FROM customer_order_items")
	run("refunds sum", "SELECT count(), sum(refund_amount) FROM customer_refunds")
	run("tickets", "SELECT count() FROM customer_tickets WHERE status='open'")
	run("raw final sum", "SELECT count(), sum(paid_minor) FROM orders FINAL")
	run("raw final dict", "SELECT uniq(dictGetOrDefault('"+d.Name+".identity_overrides_dict', 'customer_id', (toString(platform), toString(shop), account), customer_id)) FROM orders FINAL")
	run("raw final cust", "SELECT uniq(customer_id) FROM orders FINAL")
	}
	run("explain", "EXPLAIN indexes=1 SELECT * FROM customer_orders WHERE platform='tmall' AND shop='s1' AND order_id='12'")
	run("mem", "SELECT formatReadableSize(value) FROM system.asynchronous_metrics WHERE metric='MemoryResident'")
}
