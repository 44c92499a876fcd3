-- The present state of each entity with today's customer. An account order:NO stands in for the
-- buyer of one order; once the order names its buyer, its refunds and tickets are the buyer's too.
CREATE OR REPLACE VIEW {{.Database}}.orders_now {{.OnCluster}}
AS SELECT * EXCEPT (customer_id, version, is_deleted), {{.Customer "o"}} AS customer_id
FROM {{.Database}}.orders AS o FINAL;
{{range $of := .Owned}}
CREATE OR REPLACE VIEW {{$.Database}}.{{$of}}_now {{$.OnCluster}}
AS SELECT f.* EXCEPT (account, customer_id, version, is_deleted),
    if(o.account = '', f.account, o.account) AS account,
    if(o.account = '', {{$.Customer "f"}}, o.customer_id) AS customer_id
FROM {{$.Database}}.{{$of}} AS f FINAL
LEFT ANY JOIN
(
    SELECT platform, shop, order_id, concat('order:', order_id) AS standing_in, account, customer_id
    FROM {{$.Database}}.orders_now
    WHERE (platform, shop, order_id) IN (SELECT platform, shop, order_id FROM {{$.Database}}.{{$of}} WHERE startsWith(account, 'order:'))
) AS o ON o.platform = f.platform AND o.shop = f.shop AND o.order_id = f.order_id AND o.standing_in = f.account;
{{end}}
-- The public views: the interface for BI. Stable names, every column commented, no personal data,
-- times in the brand's zone, amounts in the major unit. They run as their definer, so that a
-- reader needs a grant on the view alone.
-- A join by one number costs a fraction of one by three texts; what two keys of one hash would mix
-- up, the sum in refunded_amount tells apart.
CREATE OR REPLACE VIEW {{.Database}}.customer_orders {{.OnCluster}}
(
    platform String COMMENT 'Platform: tmall, douyin, weidian, file …',
    shop String COMMENT 'Shop on the platform',
    order_id String COMMENT 'The platform''s order number, unique in the shop',
    account String COMMENT 'Account of the buyer, platform/shop/id; id is order:NO while the source does not name the buyer',
    customer_id UUID COMMENT 'Customer of the account, today',
    status String COMMENT 'created, paid, part_shipped, shipped, received, finished, closed or unknown',
    platform_status String COMMENT 'The platform''s own word for the status',
    created_at DateTime('{{.Timezone}}') COMMENT 'When the order was placed',
    paid_at Nullable(DateTime('{{.Timezone}}')) COMMENT 'When it was paid; NULL for one that was not',
    paid_amount Decimal(18, 2) COMMENT 'What the buyer paid, freight included, in the major unit of currency: the sum of the items; 0 until it is paid',
    refunded_amount Decimal(18, 2) COMMENT 'What was given back by refunds that succeeded',
    currency String COMMENT 'ISO 4217 code of the amounts'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    toString(o.platform) AS platform,
    toString(o.shop) AS shop,
    o.order_id AS order_id,
    concat(o.platform, '/', o.shop, '/', o.account) AS account,
    o.customer_id AS customer_id,
    toString(o.status) AS status,
    toString(o.platform_status) AS platform_status,
    {{.Time "o.created_at"}} AS created_at,
    {{.MaybeTime "o.paid_at"}} AS paid_at,
    {{.Amount "o.paid_minor" "o.unit"}} AS paid_amount,
    {{.Amount "arraySum(x -> if((x.1, x.2, x.3, x.4) = (o.platform, o.shop, o.order_id, o.currency), x.5, 0), r.refunds)" "o.unit"}} AS refunded_amount,
    toString(o.currency) AS currency
FROM (SELECT *, cityHash64(platform, shop, order_id) AS hash FROM {{.Database}}.orders_now) AS o
LEFT ANY JOIN
(
    SELECT cityHash64(platform, shop, order_id) AS hash, groupArray((platform, shop, order_id, currency, refund_minor)) AS refunds
    FROM {{.Database}}.refunds FINAL
    WHERE status = 'succeeded'
    GROUP BY hash
) AS r ON r.hash = o.hash
COMMENT 'Every order, whatever its state, in its newest version';

CREATE OR REPLACE VIEW {{.Database}}.customer_order_items {{.OnCluster}}
(
    platform String COMMENT 'Platform: tmall, douyin, weidian, file …',
    shop String COMMENT 'Shop on the platform',
    order_id String COMMENT 'The platform''s order number, unique in the shop',
    item_id String COMMENT 'The platform''s number of the item, unique in the order',
    account String COMMENT 'Account of the buyer, platform/shop/id',
    customer_id UUID COMMENT 'Customer of the account, today',
    product_id String COMMENT 'The platform''s product',
    sku_id String COMMENT 'The platform''s variant of the product',
    merchant_sku String COMMENT 'The brand''s own number of the variant',
    title String COMMENT 'Title of the product when it was sold',
    quantity Int64 COMMENT 'Pieces',
    unit_price Decimal(18, 2) COMMENT 'Price of one piece before discounts',
    paid_amount Decimal(18, 2) COMMENT 'The item''s share of what the buyer paid, freight included',
    currency String COMMENT 'ISO 4217 code of the amounts',
    status String COMMENT 'Status of the item, in the words of customer_orders.status',
    platform_status String COMMENT 'The platform''s own word for the status',
    refund_status String COMMENT 'The platform''s own word for the state of the item''s refund',
    created_at DateTime('{{.Timezone}}') COMMENT 'When the order was placed',
    paid_at Nullable(DateTime('{{.Timezone}}')) COMMENT 'When the order was paid'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    toString(o.platform) AS platform,
    toString(o.shop) AS shop,
    o.order_id AS order_id,
    item_id,
    concat(o.platform, '/', o.shop, '/', o.account) AS account,
    o.customer_id AS customer_id,
    item_product_id AS product_id,
    item_sku_id AS sku_id,
    item_merchant_sku AS merchant_sku,
    item_title AS title,
    item_quantity AS quantity,
    {{.Amount "item_unit_price_minor" "o.unit"}} AS unit_price,
    {{.Amount "item_paid_minor" "o.unit"}} AS paid_amount,
    toString(o.currency) AS currency,
    toString(item_status) AS status,
    toString(item_platform_status) AS platform_status,
    toString(item_refund_status) AS refund_status,
    {{.Time "o.created_at"}} AS created_at,
    {{.MaybeTime "o.paid_at"}} AS paid_at
FROM {{.Database}}.orders_now AS o
ARRAY JOIN item_id, item_product_id, item_sku_id, item_merchant_sku, item_title, item_quantity,
    item_unit_price_minor, item_paid_minor, item_status, item_platform_status, item_refund_status
COMMENT 'Every item of every order, in the order''s newest version';

CREATE OR REPLACE VIEW {{.Database}}.customer_refunds {{.OnCluster}}
(
    platform String COMMENT 'Platform: tmall, douyin, weidian, file …',
    shop String COMMENT 'Shop on the platform',
    refund_id String COMMENT 'The platform''s number of the refund, unique in the shop',
    order_id String COMMENT 'Order that it belongs to',
    item_id String COMMENT 'Item that it belongs to; empty for the whole order',
    account String COMMENT 'Account of the buyer, platform/shop/id',
    customer_id UUID COMMENT 'Customer of the account, today',
    status String COMMENT 'requested, approved, returned, refused, closed, succeeded or unknown',
    platform_status String COMMENT 'The platform''s own word for the status',
    refund_type String COMMENT 'refund, return, exchange …',
    reason String COMMENT 'Reason that the buyer chose',
    refund_amount Decimal(18, 2) COMMENT 'Amount asked for, or given back once it succeeded',
    currency String COMMENT 'ISO 4217 code of the amount',
    before_shipping UInt8 COMMENT '1 for a refund before the goods were sent',
    created_at DateTime('{{.Timezone}}') COMMENT 'When it was asked for',
    finished_at Nullable(DateTime('{{.Timezone}}')) COMMENT 'When it ended; NULL while it is open'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    toString(r.platform) AS platform,
    toString(r.shop) AS shop,
    r.refund_id AS refund_id,
    r.order_id AS order_id,
    r.item_id AS item_id,
    concat(r.platform, '/', r.shop, '/', r.account) AS account,
    r.customer_id AS customer_id,
    toString(r.status) AS status,
    toString(r.platform_status) AS platform_status,
    toString(r.refund_type) AS refund_type,
    r.reason AS reason,
    {{.Amount "r.refund_minor" "r.unit"}} AS refund_amount,
    toString(r.currency) AS currency,
    r.before_shipping AS before_shipping,
    {{.Time "r.created_at"}} AS created_at,
    {{.MaybeTime "r.finished_at"}} AS finished_at
FROM {{.Database}}.refunds_now AS r
COMMENT 'Every refund, return and exchange, in its newest version';

CREATE OR REPLACE VIEW {{.Database}}.customer_tickets {{.OnCluster}}
(
    platform String COMMENT 'Platform: tmall, douyin, weidian, file …',
    shop String COMMENT 'Shop on the platform',
    ticket_id String COMMENT 'The source''s number of the ticket, unique in the shop',
    account String COMMENT 'Account of the buyer, platform/shop/id',
    customer_id UUID COMMENT 'Customer of the account, today',
    kind String COMMENT 'refund, return, exchange, complaint, service, call, chat or workorder',
    status String COMMENT 'open, pending, solved, closed, deleted or unknown',
    platform_status String COMMENT 'The source''s own word for the status',
    priority String COMMENT 'Priority, in the source''s words',
    channel String COMMENT 'Channel that it came through',
    subject String COMMENT 'The reason or category that was chosen',
    order_id String COMMENT 'Order that it is about',
    item_id String COMMENT 'Item that it is about',
    amount Decimal(18, 2) COMMENT 'Amount that it is about',
    currency String COMMENT 'ISO 4217 code of the amount',
    created_at DateTime('{{.Timezone}}') COMMENT 'When it was opened',
    first_answer_at Nullable(DateTime('{{.Timezone}}')) COMMENT 'When staff first answered',
    solved_at Nullable(DateTime('{{.Timezone}}')) COMMENT 'When it was solved',
    agent String COMMENT 'Who handles it',
    agent_group String COMMENT 'Group that handles it',
    satisfaction Int32 COMMENT 'Rating by the buyer from 1 (worst) to 5; 0 for none'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    toString(t.platform) AS platform,
    toString(t.shop) AS shop,
    t.ticket_id AS ticket_id,
    concat(t.platform, '/', t.shop, '/', t.account) AS account,
    t.customer_id AS customer_id,
    toString(t.kind) AS kind,
    toString(t.status) AS status,
    toString(t.platform_status) AS platform_status,
    toString(t.priority) AS priority,
    toString(t.channel) AS channel,
    t.subject AS subject,
    t.order_id AS order_id,
    t.item_id AS item_id,
    {{.Amount "t.amount_minor" "t.unit"}} AS amount,
    toString(t.currency) AS currency,
    {{.Time "t.created_at"}} AS created_at,
    {{.MaybeTime "t.first_answer_at"}} AS first_answer_at,
    {{.MaybeTime "t.solved_at"}} AS solved_at,
    t.agent AS agent,
    t.agent_group AS agent_group,
    t.satisfaction AS satisfaction
FROM {{.Database}}.tickets_now AS t
COMMENT 'Every service ticket, in its newest version';

CREATE OR REPLACE VIEW {{.Database}}.identity_map_current {{.OnCluster}}
(
    account String COMMENT 'Account, platform/shop/id',
    customer_id UUID COMMENT 'Customer that it belongs to, today',
    since DateTime('{{.Timezone}}') COMMENT 'Since when it belongs to that customer',
    why String COMMENT 'Why: born, or the kinds of identifiers or the decision that moved it'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    concat(platform, '/', shop, '/', m.account) AS account,
    customer_id,
    toTimeZone(toDateTime(since), '{{.Timezone}}') AS since,
    reason AS why
FROM {{.Database}}.identity_map AS m FINAL
COMMENT 'Which customer each account belongs to, and why';

-- One row for each living customer, made anew at short intervals: what a view over all orders
-- would cost too much for. An account order:NO lives while the newest version of its order
-- belongs to it. A row of the zero id bears the time of the refresh, also where nobody lives. On a
-- cluster each replica keeps its own.
CREATE TABLE IF NOT EXISTS {{.Database}}.customer_360_rows {{.OnCluster}}
(
    customer_id UUID,
    identified UInt8,
    platforms Array(String),
    accounts Map(String, UInt64),
    orders UInt64,
    first_order_at Nullable(DateTime('{{.Timezone}}')),
    last_order_at Nullable(DateTime('{{.Timezone}}')),
    paid_amount Decimal(18, 2),
    refunded_amount Decimal(18, 2),
    net_amount Decimal(18, 2),
    average_order_value Decimal(18, 2),
    currency String,
    other_amounts Map(String, Decimal(18, 2)),
    tickets UInt64,
    open_tickets UInt64,
    member_of Array(String),
    refreshed_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY customer_id
SETTINGS index_granularity = 256;

-- Each part says something of some customers in rows of one form; the outer query puts them
-- together. part: 1 accounts by platform, 2 paid orders by currency, 3 refunds by currency, 4 tickets,
-- 5 memberships by shop. One array a customer, numbers as keys, and the dictionary asked for moved
-- accounts alone, to keep it cheap at many orders. What does not fit in memory goes through the disk.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.customer_360_refresh {{.OnCluster}}
REFRESH AFTER 20 SECOND TO {{.Database}}.customer_360_rows
AS
WITH
    groupArray((part, name, a, b, unit, first_at, last_at)) AS rows,
    arraySort(x -> x.2, arrayFilter(x -> x.1 = 1, rows)) AS by_platform,
    arraySort(x -> (-toInt64(x.3), x.2), arrayFilter(x -> x.1 = 2, rows)) AS by_currency,
    if(empty(by_currency), (toUInt8(2), toLowCardinality(''), toUInt64(0), toInt64(0), toUInt16(100), toDateTime(0, 'UTC'), toDateTime(0, 'UTC')), by_currency[1]) AS main,
    arraySlice(by_currency, 2) AS others
SELECT
    customer_id,
    toUInt8(arrayExists(x -> x.4 > 0, by_platform)) AS identified,
    arrayMap(x -> x.2, by_platform) AS platforms,
    CAST((arrayMap(x -> x.2, by_platform), arrayMap(x -> x.3, by_platform)) AS Map(String, UInt64)) AS accounts,
    arraySum(x -> x.3, by_currency) AS orders,
    if(orders = 0, NULL, {{.Time "arrayMin(x -> x.6, by_currency)"}}) AS first_order_at,
    if(orders = 0, NULL, {{.Time "arrayMax(x -> x.7, by_currency)"}}) AS last_order_at,
    {{.Amount "main.4" "main.5"}} AS paid_amount,
    {{.Amount "arraySum(x -> if(x.1 = 3 AND x.2 = main.2, x.4, 0), rows)" "main.5"}} AS refunded_amount,
    paid_amount - refunded_amount AS net_amount,
    CAST(round(toDecimal128(main.4, 4) / main.5 / greatest(main.3, 1), 2) AS Decimal(18, 2)) AS average_order_value,
    main.2 AS currency,
    CAST((arrayMap(x -> x.2, others), arrayMap(x -> {{.Amount "x.4" "x.5"}}, others)) AS Map(String, Decimal(18, 2))) AS other_amounts,
    arraySum(x -> if(x.1 = 4, x.3, 0), rows) AS tickets,
    toUInt64(arraySum(x -> if(x.1 = 4, x.4, 0), rows)) AS open_tickets,
    arraySort(arrayMap(x -> x.2, arrayFilter(x -> x.1 = 5, rows))) AS member_of,
    now64(3, 'UTC') AS refreshed_at
FROM
(
    SELECT m.customer_id AS customer_id, toUInt8(1) AS part, m.platform AS name, count() AS a, toInt64(countIf(NOT startsWith(m.account, 'order:'))) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
    FROM {{.Database}}.identity_map AS m FINAL
    WHERE NOT startsWith(m.account, 'order:') OR (m.platform, m.shop, m.account) IN
    (
        SELECT platform, shop, account FROM {{.Database}}.orders FINAL
        WHERE account = concat('order:', order_id) AND (platform, shop, order_id) IN
            (SELECT platform, shop, substring(account, 7) FROM {{.Database}}.identity_map WHERE startsWith(account, 'order:'))
    )
    GROUP BY customer_id, name
    UNION ALL
    SELECT customer_id, toUInt8(2) AS part, currency AS name, a, b, unit, first_at, last_at
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
        any(r.unit) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
    FROM {{.Database}}.refunds_now AS r
    WHERE status = 'succeeded'
    GROUP BY customer_id, name
    UNION ALL
    SELECT customer_id, toUInt8(4) AS part, toLowCardinality('') AS name, count() AS a, toInt64(countIf(status IN ('open', 'pending'))) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
    FROM {{.Database}}.tickets_now
    GROUP BY customer_id
    UNION ALL
    SELECT m.customer_id AS customer_id, toUInt8(5) AS part, toLowCardinality(concat(m.platform, '/', m.shop)) AS name, toUInt64(1) AS a, toInt64(0) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
    FROM {{.Database}}.identity_map AS m FINAL
    WHERE (m.platform, m.shop, m.account) IN (SELECT platform, shop, account FROM {{.Database}}.memberships)
    GROUP BY customer_id, name
    UNION ALL
    SELECT toUUID('00000000-0000-0000-0000-000000000000') AS customer_id, toUInt8(1) AS part, toLowCardinality('') AS name, toUInt64(1) AS a, toInt64(0) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
)
GROUP BY customer_id
HAVING notEmpty(by_platform)
SETTINGS max_threads = 2, max_bytes_before_external_group_by = 900000000;

CREATE OR REPLACE VIEW {{.Database}}.customer_360 {{.OnCluster}}
(
    customer_id UUID COMMENT 'Stable id of the customer',
    identified UInt8 COMMENT '0 for a customer made only of orders whose buyer the source does not name: leave it out of rates',
    platforms Array(String) COMMENT 'Platforms on which the customer has an account, sorted',
    accounts Map(String, UInt64) COMMENT 'Number of accounts by platform',
    orders UInt64 COMMENT 'Orders that were paid, those of 0.00 included',
    first_order_at Nullable(DateTime('{{.Timezone}}')) COMMENT 'When the first paid order was placed; NULL without one',
    last_order_at Nullable(DateTime('{{.Timezone}}')) COMMENT 'When the last paid order was placed; NULL without one',
    paid_amount Decimal(18, 2) COMMENT 'What was paid in all, in currency',
    refunded_amount Decimal(18, 2) COMMENT 'What was given back by refunds that succeeded, in currency',
    net_amount Decimal(18, 2) COMMENT 'paid_amount less refunded_amount',
    average_order_value Decimal(18, 2) COMMENT 'paid_amount by paid order of that currency; 0 without one',
    currency String COMMENT 'The customer''s most frequent currency (a tie: the first by alphabet); empty without a paid order',
    other_amounts Map(String, Decimal(18, 2)) COMMENT 'What was paid in other currencies',
    tickets UInt64 COMMENT 'Service tickets in all',
    open_tickets UInt64 COMMENT 'Service tickets that are open or pending',
    member_of Array(String) COMMENT 'Shops (platform/shop) whose member the customer is, sorted'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT * EXCEPT (refreshed_at) FROM {{.Database}}.customer_360_rows WHERE customer_id != toUUID('00000000-0000-0000-0000-000000000000')
COMMENT 'One row for each living customer, at most a minute old';
