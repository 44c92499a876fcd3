-- customer_360 puts a customer together from narrow rows in one step. Accounts come as they are, and
-- not counted by customer and platform before; platforms and memberships are texts in arrays of their
-- own, and of what has several columns there is a list only of what has several in truth, its
-- currencies: sums need none. The currency of most orders comes first, of two alike the first by
-- alphabet. About a quarter less to do. Else it is what it was in 003, where the parts
-- are explained; a membership stands with its account now (no part 5).
ALTER TABLE {{.Database}}.customer_360_refresh {{.OnCluster}} MODIFY QUERY
WITH
    arraySort(groupArrayArray(on_platform)) AS held,
    arrayDistinct(held) AS names,
    arraySort(groupArrayIf((-toInt64(a), toString(name), b, unit), part = 2)) AS by_currency,
    by_currency.2[1] AS main,
    by_currency.3[1] AS paid,
    if(empty(by_currency), toUInt16(100), by_currency.4[1]) AS main_unit,
    arraySlice(by_currency, 2) AS others
SELECT
    customer_id,
    toUInt8(sumIf(b, part = 1) > 0) AS identified,
    names AS platforms,
    CAST((names, arrayMap(x -> countEqual(held, x), names)) AS Map(String, UInt64)) AS accounts,
    sumIf(a, part = 2) AS orders,
    if(orders = 0, NULL, {{.Time "minIf(first_at, part = 2)"}}) AS first_order_at,
    if(orders = 0, NULL, {{.Time "maxIf(last_at, part = 2)"}}) AS last_order_at,
    {{.Amount "paid" "main_unit"}} AS paid_amount,
    {{.Amount "arraySum(x -> if(x.1 = main, x.2, 0), groupArrayIf((toString(name), b), part = 3))" "main_unit"}} AS refunded_amount,
    paid_amount - refunded_amount AS net_amount,
    CAST(round(toDecimal128(paid, 4) / main_unit / greatest(-by_currency.1[1], 1), 2) AS Decimal(18, 2)) AS average_order_value,
    main AS currency,
    CAST((others.2, arrayMap(x -> {{.Amount "x.3" "x.4"}}, others)) AS Map(String, Decimal(18, 2))) AS other_amounts,
    sumIf(a, part = 4) AS tickets,
    toUInt64(sumIf(b, part = 4)) AS open_tickets,
    arraySort(arrayDistinct(groupArrayArray(member_at))) AS member_of,
    now64(3, 'UTC') AS refreshed_at
FROM
(
    SELECT m.customer_id AS customer_id, toUInt8(1) AS part, toLowCardinality('') AS name, toUInt64(1) AS a, toInt64(NOT startsWith(m.account, 'order:')) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, [toString(m.platform)] AS on_platform,
        if(sipHash128(m.platform, m.shop, m.account) IN (SELECT sipHash128(platform, shop, account) FROM {{.Database}}.memberships), [concat(m.platform, '/', m.shop)], []) AS member_at
    FROM {{.Database}}.identity_map AS m FINAL
    WHERE NOT startsWith(m.account, 'order:') OR (m.platform, m.shop, m.account) IN
    (
        SELECT platform, shop, account FROM {{.Database}}.orders FINAL
        WHERE account = concat('order:', order_id) AND (platform, shop, order_id) IN
            (SELECT platform, shop, substring(account, 7) FROM {{.Database}}.identity_map WHERE startsWith(account, 'order:'))
    )
    UNION ALL
    SELECT customer_id, toUInt8(2) AS part, currency AS name, a, b, unit, first_at, last_at, [] AS on_platform, [] AS member_at
    FROM
    (
        SELECT if(o.account IN (SELECT account FROM {{.Database}}.identity_overrides), {{.Customer "o"}}, o.customer_id) AS customer_id,
            cityHash64(o.currency) AS hash, any(o.currency) AS currency, count() AS a, sum(o.paid_minor) AS b, any(o.unit) AS unit, min(o.created_at) AS first_at, max(o.created_at) AS last_at
        FROM {{.Database}}.orders AS o FINAL
        WHERE o.paid_at > toDateTime(0, 'UTC')
        GROUP BY customer_id, hash
    )
    UNION ALL
    SELECT customer_id, toUInt8(3) AS part, currency AS name, toUInt64(0) AS a, sum(refund_minor) AS b,
        any(r.unit) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, [] AS on_platform, [] AS member_at
    FROM {{.Database}}.refunds_now AS r
    WHERE status = 'succeeded'
    GROUP BY customer_id, name
    UNION ALL
    SELECT customer_id, toUInt8(4) AS part, toLowCardinality('') AS name, count() AS a, toInt64(countIf(status IN ('open', 'pending'))) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, [] AS on_platform, [] AS member_at
    FROM {{.Database}}.tickets_now
    GROUP BY customer_id
    UNION ALL
    SELECT toUUID('00000000-0000-0000-0000-000000000000') AS customer_id, toUInt8(1) AS part, toLowCardinality('') AS name, toUInt64(1) AS a, toInt64(0) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, [''] AS on_platform, [] AS member_at
)
GROUP BY customer_id
HAVING notEmpty(held)
SETTINGS max_threads = 2, max_bytes_before_external_group_by = 900000000;

-- Small parts of orders are merged row by row: their 46 columns one after the other mean as many
-- files to open in each part, which took longer than the rows themselves. From here on columns take
-- less, a quarter less at 900,000 rows.
ALTER TABLE {{.Database}}.orders {{.OnCluster}} MODIFY SETTING vertical_merge_algorithm_min_rows_to_activate = 400000;
