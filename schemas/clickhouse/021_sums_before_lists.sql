-- customer_360 sums what nearly all customers have and keeps a list only of what is not usual: one
-- grouping of all rows by customer, of numbers, in place of two with five arrays a customer. Usual are the
-- four platforms of most accounts, the 64 shops of most members and the currency of most orders. Counts
-- are 32 bits each of one number: `held` the accounts of those platforms, `tally` the accounts that are no
-- order:NO, orders, tickets and open tickets, from the lowest; `member` has a bit for each of those shops. Rows
-- of others stand apart, with their names, and are put together afterwards for the few customers who have
-- such. A row is part 1, an account of another platform, 5, any other account, 2, a paid order, 3, a
-- refund, or 4, a ticket. Members, and accounts that may have moved, are found by 64 bits. One thread makes
-- it: two would each have nearly all customers. Its values are those of 019.
ALTER TABLE {{.Database}}.customer_360_refresh {{.OnCluster}} MODIFY QUERY
WITH
    arraySort(arrayResize((SELECT groupArray(toString(platform)) FROM (SELECT platform FROM {{.Database}}.identity_map GROUP BY platform ORDER BY count() DESC, platform LIMIT 4)), 4)) AS usual_platforms,
    (SELECT arraySort(groupArray((concat(platform, '/', shop), cityHash64(platform, shop)))) FROM (SELECT platform, shop FROM {{.Database}}.memberships GROUP BY platform, shop ORDER BY count() DESC, platform, shop LIMIT 64)) AS usual_shops,
    (SELECT toString(any(currency)) FROM (SELECT currency FROM {{.Database}}.orders GROUP BY currency ORDER BY count() DESC, currency LIMIT 1)) AS usual_currency,
    groupArrayIf((part, name, shop, minor, unit), apart) AS others,
    sum(held) AS counted,
    sum(tally) AS tallies,
    [toUInt64(bitAnd(counted, 4294967295)), toUInt64(bitAnd(bitShiftRight(counted, 32), 4294967295)), toUInt64(bitAnd(bitShiftRight(counted, 64), 4294967295)), toUInt64(bitShiftRight(counted, 96))] AS counts,
    arrayMap(x -> toString(x.2), arrayFilter(x -> x.1 = 1, others)) AS other_platforms,
    arrayZip(arrayMap(i -> usual_platforms[i], arrayFilter((i, n) -> n > 0, [1, 2, 3, 4], counts)), arrayFilter(n -> n > 0, counts)) AS on_usual,
    if(empty(others), on_usual, arraySort(arrayConcat(on_usual, arrayMap(p -> (p, toUInt64(countEqual(other_platforms, p))), arrayDistinct(other_platforms))))) AS by_platform,
    arrayFilter(x -> x.1 = 2, others) AS other_orders,
    toUInt64(bitAnd(bitShiftRight(tallies, 32), 4294967295)) - length(other_orders) AS usual_orders,
    sum(paid_usually) AS usual_paid,
    max(unit_usually) AS usual_unit,
    if(empty(others), [], arraySort(arrayConcat(
        arrayMap(x -> (-toInt64(usual_orders), usual_currency, usual_paid, usual_unit), arraySlice(other_orders, 1, usual_orders > 0)),
        arrayMap(c -> (-toInt64(arrayCount(x -> x.2 = c, other_orders)), c, arraySum(x -> if(x.2 = c, x.4, 0), other_orders), arrayFirst(x -> x.2 = c, other_orders).5), arrayDistinct(arrayMap(x -> toString(x.2), other_orders)))))) AS by_currency,
    multiIf(notEmpty(by_currency), by_currency.2[1], usual_orders > 0, usual_currency, '') AS main,
    if(empty(by_currency), usual_paid, by_currency.3[1]) AS paid,
    if(empty(by_currency), toInt64(usual_orders), -by_currency.1[1]) AS main_orders,
    multiIf(notEmpty(by_currency), by_currency.4[1], usual_orders > 0, usual_unit, 100)::UInt16 AS main_unit,
    if(main = usual_currency, sum(refunded_usually), 0) + arraySum(x -> if(x.1 = 3 AND x.2 = main, x.4, 0), others) AS refunded,
    arraySlice(by_currency, 2) AS rest,
    arrayMap(i -> usual_shops.1[i + 1], bitPositionsToArray(groupBitOr(member))) AS of_usual
SELECT
    customer_id,
    toUInt8(bitAnd(tallies, 4294967295) > 0) AS identified,
    by_platform.1 AS platforms,
    CAST((by_platform.1, by_platform.2) AS Map(String, UInt64)) AS accounts,
    toUInt64(bitAnd(bitShiftRight(tallies, 32), 4294967295)) AS orders,
    if(orders = 0, NULL, {{.Time "min(first_at)"}}) AS first_order_at,
    if(orders = 0, NULL, {{.Time "max(last_at)"}}) AS last_order_at,
    {{.Amount "paid" "main_unit"}} AS paid_amount,
    {{.Amount "refunded" "main_unit"}} AS refunded_amount,
    paid_amount - refunded_amount AS net_amount,
    CAST(round(toDecimal128(paid, 4) / main_unit / greatest(main_orders, 1), 2) AS Decimal(18, 2)) AS average_order_value,
    main AS currency,
    CAST((rest.2, arrayMap(x -> {{.Amount "x.3" "x.4"}}, rest)) AS Map(String, Decimal(18, 2))) AS other_amounts,
    toUInt64(bitAnd(bitShiftRight(tallies, 64), 4294967295)) AS tickets,
    toUInt64(bitShiftRight(tallies, 96)) AS open_tickets,
    if(empty(others), of_usual, arraySort(arrayConcat(of_usual, arrayDistinct(arrayMap(x -> concat(x.2, '/', x.3), arrayFilter(x -> x.1 IN (1, 5) AND x.4 = 1, others)))))) AS member_of,
    now64(3, 'UTC') AS refreshed_at
FROM
(
    SELECT customer_id, toUInt8(if(platform_at = 0, 1, 5)) AS part, platform AS name, shop, toInt64(is_member AND shop_at = 0) AS minor, toUInt16(1) AS unit,
        toDateTime(4294967295, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, toInt64(0) AS paid_usually, toInt64(0) AS refunded_usually, toUInt16(0) AS unit_usually, platform_at = 0 OR minor AS apart, toUInt128(NOT startsWith(account, 'order:')) AS tally,
        bitShiftLeft(toUInt128(platform_at > 0), 32 * toUInt8(greatest(platform_at, 1) - 1)) AS held, bitShiftLeft(toUInt64(shop_at > 0), toUInt8(greatest(shop_at, 1) - 1)) AS member
    FROM
    (
        SELECT m.customer_id AS customer_id, m.platform AS platform, m.shop AS shop, m.account AS account,
            toUInt8(transform(m.platform, usual_platforms, [1, 2, 3, 4], 0)) AS platform_at,
            cityHash64(m.platform, m.shop, m.account) IN (SELECT cityHash64(platform, shop, account) FROM {{.Database}}.memberships) AS is_member,
            toUInt8(if(is_member, indexOf(usual_shops.2, cityHash64(m.platform, m.shop)), 0)) AS shop_at
        FROM {{.Database}}.identity_map AS m FINAL
        WHERE NOT startsWith(m.account, 'order:') OR (m.platform, m.shop, m.account) IN
        (
            SELECT platform, shop, account FROM {{.Database}}.orders FINAL
            WHERE account = concat('order:', order_id) AND (platform, shop, order_id) IN
                (SELECT platform, shop, substring(account, 7) FROM {{.Database}}.identity_map WHERE startsWith(account, 'order:'))
        )
    )
    UNION ALL
    SELECT if(cityHash64(o.account) IN (SELECT cityHash64(account) FROM {{.Database}}.identity_overrides), {{.Customer "o"}}, o.customer_id) AS customer_id,
        toUInt8(2) AS part, o.currency AS name, toLowCardinality('') AS shop, o.paid_minor AS minor, o.unit AS unit,
        o.created_at AS first_at, o.created_at AS last_at, if(apart, 0, o.paid_minor) AS paid_usually, toInt64(0) AS refunded_usually, if(apart, 0, o.unit) AS unit_usually, o.currency != usual_currency AS apart, bitShiftLeft(toUInt128(1), 32) AS tally, toUInt128(0) AS held, toUInt64(0) AS member
    FROM {{.Database}}.orders AS o FINAL
    WHERE o.paid_at > toDateTime(0, 'UTC')
    UNION ALL
    SELECT customer_id, toUInt8(3) AS part, currency AS name, toLowCardinality('') AS shop, refund_minor AS minor, unit,
        toDateTime(4294967295, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, toInt64(0) AS paid_usually, if(apart, 0, refund_minor) AS refunded_usually, toUInt16(0) AS unit_usually, currency != usual_currency AS apart, toUInt128(0) AS tally, toUInt128(0) AS held, toUInt64(0) AS member
    FROM {{.Database}}.refunds_now
    WHERE status = 'succeeded'
    UNION ALL
    SELECT customer_id, toUInt8(4) AS part, toLowCardinality('') AS name, toLowCardinality('') AS shop, toInt64(0) AS minor, toUInt16(1) AS unit,
        toDateTime(4294967295, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, toInt64(0) AS paid_usually, toInt64(0) AS refunded_usually, toUInt16(0) AS unit_usually, toUInt8(0) AS apart, if(status IN ('open', 'pending'), bitShiftLeft(toUInt128(1), 96), toUInt128(0)) + bitShiftLeft(toUInt128(1), 64) AS tally, toUInt128(0) AS held, toUInt64(0) AS member
    FROM {{.Database}}.tickets_now
    UNION ALL
    SELECT toUUID('00000000-0000-0000-0000-000000000000') AS customer_id, toUInt8(1) AS part, toLowCardinality('') AS name, toLowCardinality('') AS shop, toInt64(0) AS minor, toUInt16(1) AS unit,
        toDateTime(4294967295, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, toInt64(0) AS paid_usually, toInt64(0) AS refunded_usually, toUInt16(0) AS unit_usually, toUInt8(1) AS apart, toUInt128(0) AS tally, toUInt128(0) AS held, toUInt64(0) AS member
)
GROUP BY customer_id
HAVING notEmpty(by_platform)
SETTINGS max_threads = 1, max_bytes_before_external_group_by = 900000000;
