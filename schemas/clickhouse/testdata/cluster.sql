CREATE DATABASE IF NOT EXISTS oneid ON CLUSTER 'main' ENGINE = Atomic;
CREATE TABLE IF NOT EXISTS oneid.schema_migrations ON CLUSTER 'main' (number UInt32, name String, checksum String, applied_at DateTime('UTC') DEFAULT now()) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', applied_at) ORDER BY number;

-- 001_facts
CREATE TABLE IF NOT EXISTS oneid.orders ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    order_id String,
    account String,
    customer_id UUID,
    version UInt128,
    is_deleted UInt8,
    status LowCardinality(String),
    platform_status LowCardinality(String),
    order_type LowCardinality(String),
    created_at DateTime('UTC'),
    paid_at DateTime('UTC'),
    shipped_at DateTime('UTC'),
    finished_at DateTime('UTC'),
    currency LowCardinality(String),
    unit UInt16,
    goods_minor Int64,
    freight_minor Int64,
    seller_discount_minor Int64,
    platform_discount_minor Int64,
    talent_discount_minor Int64,
    payable_minor Int64,
    paid_minor Int64,
    channel LowCardinality(String),
    live_room String,
    referrer String,
    province LowCardinality(String),
    city LowCardinality(String),
    district LowCardinality(String),
    item_id Array(String),
    item_product_id Array(String),
    item_sku_id Array(String),
    item_merchant_sku Array(String),
    item_title Array(String),
    item_quantity Array(Int64),
    item_unit_price_minor Array(Int64),
    item_paid_minor Array(Int64),
    item_status Array(LowCardinality(String)),
    item_platform_status Array(LowCardinality(String)),
    item_refund_status Array(LowCardinality(String)),
    INDEX created created_at TYPE minmax GRANULARITY 4
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version, is_deleted)
PARTITION BY platform
ORDER BY (platform, shop, order_id)
SETTINGS index_granularity = 512, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.refunds ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    refund_id String,
    account String,
    customer_id UUID,
    version UInt128,
    is_deleted UInt8,
    order_id String,
    item_id String,
    status LowCardinality(String),
    platform_status LowCardinality(String),
    refund_type LowCardinality(String),
    platform_type LowCardinality(String),
    reason String,
    currency LowCardinality(String),
    unit UInt16,
    refund_minor Int64,
    before_shipping UInt8,
    created_at DateTime('UTC'),
    finished_at DateTime('UTC'),
    INDEX created created_at TYPE minmax GRANULARITY 4
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version, is_deleted)
PARTITION BY platform
ORDER BY (platform, shop, refund_id)
SETTINGS index_granularity = 512, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.users ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    user_id String,
    account String,
    customer_id UUID,
    version UInt128,
    is_deleted UInt8,
    nick String,
    member UInt8,
    member_level LowCardinality(String),
    member_since DateTime('UTC'),
    points Int64,
    province LowCardinality(String),
    city LowCardinality(String),
    created_at DateTime('UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version, is_deleted)
PARTITION BY platform
ORDER BY (platform, shop, user_id)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.tickets ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    ticket_id String,
    account String,
    customer_id UUID,
    version UInt128,
    is_deleted UInt8,
    kind LowCardinality(String),
    status LowCardinality(String),
    platform_status LowCardinality(String),
    priority LowCardinality(String),
    channel LowCardinality(String),
    subject String,
    order_id String,
    item_id String,
    currency LowCardinality(String),
    unit UInt16,
    amount_minor Int64,
    created_at DateTime('UTC'),
    first_answer_at DateTime('UTC'),
    solved_at DateTime('UTC'),
    agent String,
    agent_group String,
    satisfaction Int32,
    INDEX created created_at TYPE minmax GRANULARITY 4
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version, is_deleted)
PARTITION BY platform
ORDER BY (platform, shop, ticket_id)
SETTINGS index_granularity = 512, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.spend ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    spend_id String,
    version UInt128,
    is_deleted UInt8,
    channel LowCardinality(String),
    campaign String,
    day Date,
    currency LowCardinality(String),
    unit UInt16,
    spend_minor Int64,
    impressions Int64,
    clicks Int64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version, is_deleted)
PARTITION BY platform
ORDER BY (platform, shop, spend_id)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.raw_events ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    kind LowCardinality(String),
    entity_id String,
    version UInt128,
    stream LowCardinality(String),
    modified_at DateTime64(3, 'UTC'),
    observed_at DateTime64(3, 'UTC'),
    raw String CODEC(NONE)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toYYYYMM(modified_at)
ORDER BY (platform, shop, kind, entity_id, version, modified_at)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.entities_by_account ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    kind LowCardinality(String),
    id String,
    version UInt128,
    is_deleted UInt8,
    order_id String,
    status LowCardinality(String),
    word LowCardinality(String),
    subject String,
    created_at DateTime('UTC'),
    paid_at DateTime('UTC'),
    currency LowCardinality(String),
    minor Int64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
PARTITION BY platform
ORDER BY (platform, shop, account, kind, id)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, max_compress_block_size = 16384, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.entities_by_order ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    order_id String,
    kind LowCardinality(String),
    id String
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY platform
ORDER BY (platform, shop, order_id, kind, id)
SETTINGS index_granularity = 256, replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.orders_to_account ON CLUSTER 'main' TO oneid.entities_by_account
AS SELECT platform, shop, account, 'order' AS kind, order_id AS id, version, is_deleted, order_id, status, platform_status AS word, '' AS subject,
    created_at, paid_at, currency, paid_minor AS minor
FROM oneid.orders;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.refunds_to_account ON CLUSTER 'main' TO oneid.entities_by_account
AS SELECT platform, shop, account, 'refund' AS kind, refund_id AS id, version, is_deleted, order_id, status, '' AS word, '' AS subject,
    created_at, toDateTime(0, 'UTC') AS paid_at, currency, refund_minor AS minor
FROM oneid.refunds;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.tickets_to_account ON CLUSTER 'main' TO oneid.entities_by_account
AS SELECT platform, shop, account, 'ticket' AS kind, ticket_id AS id, version, is_deleted, order_id, status, t.kind AS word, subject,
    created_at, toDateTime(0, 'UTC') AS paid_at, '' AS currency, toInt64(0) AS minor
FROM oneid.tickets AS t;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.refunds_to_order ON CLUSTER 'main' TO oneid.entities_by_order
AS SELECT platform, shop, order_id, 'refund' AS kind, refund_id AS id FROM oneid.refunds WHERE order_id != '';

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.tickets_to_order ON CLUSTER 'main' TO oneid.entities_by_order
AS SELECT platform, shop, order_id, 'ticket' AS kind, ticket_id AS id FROM oneid.tickets WHERE order_id != '' AND startsWith(account, 'order:');

CREATE TABLE IF NOT EXISTS oneid.memberships ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY platform
ORDER BY (platform, shop, account)
SETTINGS index_granularity = 256, replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.users_to_memberships ON CLUSTER 'main' TO oneid.memberships
AS SELECT platform, shop, account FROM oneid.users WHERE member = 1 AND is_deleted = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.memberships_to_account ON CLUSTER 'main' TO oneid.entities_by_account
AS SELECT platform, shop, account, 'member' AS kind, '' AS id, toUInt128(0) AS version, toUInt8(0) AS is_deleted, '' AS order_id, '' AS status, '' AS word, '' AS subject,
    toDateTime(0, 'UTC') AS created_at, toDateTime(0, 'UTC') AS paid_at, '' AS currency, toInt64(0) AS minor
FROM oneid.memberships;

-- 002_identity
CREATE TABLE IF NOT EXISTS oneid.identity_map ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    customer_id UUID,
    since DateTime64(3, 'UTC'),
    reason String,
    born UInt64,
    version UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
PARTITION BY platform
ORDER BY (platform, shop, account)
SETTINGS index_granularity = 256, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.identity_map_by_customer ON CLUSTER 'main'
(
    customer_id UUID,
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    version UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
ORDER BY (customer_id, platform, shop, account)
SETTINGS index_granularity = 256, replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.identity_map_to_customer ON CLUSTER 'main' TO oneid.identity_map_by_customer
AS SELECT customer_id, platform, shop, account, version FROM oneid.identity_map;

CREATE TABLE IF NOT EXISTS oneid.identity_history ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    version UInt64,
    previous_customer_id UUID,
    customer_id UUID,
    at DateTime64(3, 'UTC'),
    reason String
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY platform
ORDER BY (platform, shop, account, version)
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.identity_overrides ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    customer_id UUID,
    version UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
ORDER BY (platform, shop, account)
SETTINGS replicated_deduplication_window = 10000;

CREATE DICTIONARY IF NOT EXISTS oneid.identity_overrides_dict ON CLUSTER 'main'
(
    platform String,
    shop String,
    account String,
    customer_id UUID
)
PRIMARY KEY platform, shop, account
SOURCE(CLICKHOUSE(USER 'app' PASSWORD 'it\'s' QUERY 'SELECT platform, shop, account, customer_id FROM oneid.identity_overrides FINAL' INVALIDATE_QUERY 'SELECT max(version), count() FROM oneid.identity_overrides'))
LAYOUT(COMPLEX_KEY_HASHED())
LIFETIME(MIN 1 MAX 2);

CREATE TABLE IF NOT EXISTS oneid.squash_snapshot ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    customer_id UUID,
    version UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
ORDER BY (platform, shop, account)
SETTINGS replicated_deduplication_window = 10000;

CREATE DICTIONARY IF NOT EXISTS oneid.squash_dict ON CLUSTER 'main'
(
    platform String,
    shop String,
    account String,
    customer_id UUID,
    version UInt64
)
PRIMARY KEY platform, shop, account
SOURCE(CLICKHOUSE(USER 'app' PASSWORD 'it\'s' QUERY 'SELECT platform, shop, account, customer_id, version FROM oneid.squash_snapshot FINAL'))
LAYOUT(COMPLEX_KEY_HASHED())
LIFETIME(0);

CREATE TABLE IF NOT EXISTS oneid.redirects ON CLUSTER 'main'
(
    from_customer_id UUID,
    to_customer_id UUID,
    since DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
ORDER BY from_customer_id
SETTINGS index_granularity = 256, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.evidence ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    type LowCardinality(String),
    hash FixedString(16),
    role LowCardinality(String),
    source LowCardinality(String),
    first_seen SimpleAggregateFunction(min, DateTime('UTC')),
    last_seen SimpleAggregateFunction(max, DateTime('UTC'))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY platform
ORDER BY (platform, shop, account, type, hash, role, source)
SETTINGS index_granularity = 256, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.evidence_by_identifier ON CLUSTER 'main'
(
    hash FixedString(16),
    type LowCardinality(String),
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    role LowCardinality(String),
    source LowCardinality(String),
    first_seen SimpleAggregateFunction(min, DateTime('UTC')),
    last_seen SimpleAggregateFunction(max, DateTime('UTC'))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (hash, type, platform, shop, account, role, source)
SETTINGS index_granularity = 256, replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.evidence_to_identifier ON CLUSTER 'main' TO oneid.evidence_by_identifier
AS SELECT hash, type, platform, shop, account, role, source, first_seen, last_seen FROM oneid.evidence;

CREATE TABLE IF NOT EXISTS oneid.identifier_values ON CLUSTER 'main'
(
    hash FixedString(16),
    type LowCardinality(String),
    sealed String CODEC(NONE)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (hash, type)
SETTINGS index_granularity = 256, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.decisions ON CLUSTER 'main'
(
    decision_id String,
    kind LowCardinality(String),
    accounts Array(String),
    undoes String,
    who String,
    why String,
    decided_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
ORDER BY decision_id
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.dead_letters ON CLUSTER 'main'
(
    letter_id String,
    platform LowCardinality(String),
    shop LowCardinality(String),
    stream LowCardinality(String),
    reason LowCardinality(String),
    detail String,
    origin String,
    attempts UInt32,
    first_seen_at DateTime64(3, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', attempts)
ORDER BY letter_id
SETTINGS replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.evidence_to_memberships ON CLUSTER 'main' TO oneid.memberships
AS SELECT platform, shop, account FROM oneid.evidence WHERE role = 'member';

-- 003_views
CREATE OR REPLACE VIEW oneid.orders_now ON CLUSTER 'main'
AS SELECT * EXCEPT (customer_id, version, is_deleted), dictGetOrDefault('oneid.identity_overrides_dict', 'customer_id', (toString(o.platform), toString(o.shop), o.account), o.customer_id) AS customer_id
FROM oneid.orders AS o FINAL;

CREATE OR REPLACE VIEW oneid.refunds_now ON CLUSTER 'main'
AS SELECT f.* EXCEPT (account, customer_id, version, is_deleted),
    if(o.account = '', f.account, o.account) AS account,
    if(o.account = '', dictGetOrDefault('oneid.identity_overrides_dict', 'customer_id', (toString(f.platform), toString(f.shop), f.account), f.customer_id), o.customer_id) AS customer_id
FROM oneid.refunds AS f FINAL
LEFT ANY JOIN
(
    SELECT platform, shop, order_id, concat('order:', order_id) AS standing_in, account, customer_id
    FROM oneid.orders_now
    WHERE (platform, shop, order_id) IN (SELECT platform, shop, order_id FROM oneid.refunds WHERE startsWith(account, 'order:'))
) AS o ON o.platform = f.platform AND o.shop = f.shop AND o.order_id = f.order_id AND o.standing_in = f.account;

CREATE OR REPLACE VIEW oneid.tickets_now ON CLUSTER 'main'
AS SELECT f.* EXCEPT (account, customer_id, version, is_deleted),
    if(o.account = '', f.account, o.account) AS account,
    if(o.account = '', dictGetOrDefault('oneid.identity_overrides_dict', 'customer_id', (toString(f.platform), toString(f.shop), f.account), f.customer_id), o.customer_id) AS customer_id
FROM oneid.tickets AS f FINAL
LEFT ANY JOIN
(
    SELECT platform, shop, order_id, concat('order:', order_id) AS standing_in, account, customer_id
    FROM oneid.orders_now
    WHERE (platform, shop, order_id) IN (SELECT platform, shop, order_id FROM oneid.tickets WHERE startsWith(account, 'order:'))
) AS o ON o.platform = f.platform AND o.shop = f.shop AND o.order_id = f.order_id AND o.standing_in = f.account;

CREATE OR REPLACE VIEW oneid.customer_orders ON CLUSTER 'main'
(
    platform String COMMENT 'Platform: tmall, douyin, weidian, file …',
    shop String COMMENT 'Shop on the platform',
    order_id String COMMENT 'The platform''s order number, unique in the shop',
    account String COMMENT 'Account of the buyer, platform/shop/id; id is order:NO while the source does not name the buyer',
    customer_id UUID COMMENT 'Customer of the account, today',
    status String COMMENT 'created, paid, part_shipped, shipped, received, finished, closed or unknown',
    platform_status String COMMENT 'The platform''s own word for the status',
    created_at DateTime('Asia/Shanghai') COMMENT 'When the order was placed',
    paid_at Nullable(DateTime('Asia/Shanghai')) COMMENT 'When it was paid; NULL for one that was not',
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
    toTimeZone(o.created_at, 'Asia/Shanghai') AS created_at,
    if(toUnixTimestamp(o.paid_at) = 0, NULL, toTimeZone(o.paid_at, 'Asia/Shanghai')) AS paid_at,
    CAST(round(toDecimal128(o.paid_minor, 3) / o.unit, 2) AS Decimal(18, 2)) AS paid_amount,
    CAST(round(toDecimal128(arraySum(x -> if((x.1, x.2, x.3, x.4) = (o.platform, o.shop, o.order_id, o.currency), x.5, 0), r.refunds), 3) / o.unit, 2) AS Decimal(18, 2)) AS refunded_amount,
    toString(o.currency) AS currency
FROM (SELECT *, cityHash64(platform, shop, order_id) AS hash FROM oneid.orders_now) AS o
LEFT ANY JOIN
(
    SELECT cityHash64(platform, shop, order_id) AS hash, groupArray((platform, shop, order_id, currency, refund_minor)) AS refunds
    FROM oneid.refunds FINAL
    WHERE status = 'succeeded'
    GROUP BY hash
) AS r ON r.hash = o.hash
COMMENT 'Every order, whatever its state, in its newest version';

CREATE OR REPLACE VIEW oneid.customer_order_items ON CLUSTER 'main'
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
    created_at DateTime('Asia/Shanghai') COMMENT 'When the order was placed',
    paid_at Nullable(DateTime('Asia/Shanghai')) COMMENT 'When the order was paid'
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
    CAST(round(toDecimal128(item_unit_price_minor, 3) / o.unit, 2) AS Decimal(18, 2)) AS unit_price,
    CAST(round(toDecimal128(item_paid_minor, 3) / o.unit, 2) AS Decimal(18, 2)) AS paid_amount,
    toString(o.currency) AS currency,
    toString(item_status) AS status,
    toString(item_platform_status) AS platform_status,
    toString(item_refund_status) AS refund_status,
    toTimeZone(o.created_at, 'Asia/Shanghai') AS created_at,
    if(toUnixTimestamp(o.paid_at) = 0, NULL, toTimeZone(o.paid_at, 'Asia/Shanghai')) AS paid_at
FROM oneid.orders_now AS o
ARRAY JOIN item_id, item_product_id, item_sku_id, item_merchant_sku, item_title, item_quantity,
    item_unit_price_minor, item_paid_minor, item_status, item_platform_status, item_refund_status
COMMENT 'Every item of every order, in the order''s newest version';

CREATE OR REPLACE VIEW oneid.customer_refunds ON CLUSTER 'main'
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
    created_at DateTime('Asia/Shanghai') COMMENT 'When it was asked for',
    finished_at Nullable(DateTime('Asia/Shanghai')) COMMENT 'When it ended; NULL while it is open'
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
    CAST(round(toDecimal128(r.refund_minor, 3) / r.unit, 2) AS Decimal(18, 2)) AS refund_amount,
    toString(r.currency) AS currency,
    r.before_shipping AS before_shipping,
    toTimeZone(r.created_at, 'Asia/Shanghai') AS created_at,
    if(toUnixTimestamp(r.finished_at) = 0, NULL, toTimeZone(r.finished_at, 'Asia/Shanghai')) AS finished_at
FROM oneid.refunds_now AS r
COMMENT 'Every refund, return and exchange, in its newest version';

CREATE OR REPLACE VIEW oneid.customer_tickets ON CLUSTER 'main'
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
    created_at DateTime('Asia/Shanghai') COMMENT 'When it was opened',
    first_answer_at Nullable(DateTime('Asia/Shanghai')) COMMENT 'When staff first answered',
    solved_at Nullable(DateTime('Asia/Shanghai')) COMMENT 'When it was solved',
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
    CAST(round(toDecimal128(t.amount_minor, 3) / t.unit, 2) AS Decimal(18, 2)) AS amount,
    toString(t.currency) AS currency,
    toTimeZone(t.created_at, 'Asia/Shanghai') AS created_at,
    if(toUnixTimestamp(t.first_answer_at) = 0, NULL, toTimeZone(t.first_answer_at, 'Asia/Shanghai')) AS first_answer_at,
    if(toUnixTimestamp(t.solved_at) = 0, NULL, toTimeZone(t.solved_at, 'Asia/Shanghai')) AS solved_at,
    t.agent AS agent,
    t.agent_group AS agent_group,
    t.satisfaction AS satisfaction
FROM oneid.tickets_now AS t
COMMENT 'Every service ticket, in its newest version';

CREATE OR REPLACE VIEW oneid.identity_map_current ON CLUSTER 'main'
(
    account String COMMENT 'Account, platform/shop/id',
    customer_id UUID COMMENT 'Customer that it belongs to, today',
    since DateTime('Asia/Shanghai') COMMENT 'Since when it belongs to that customer',
    why String COMMENT 'Why: born, or the kinds of identifiers or the decision that moved it'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    concat(platform, '/', shop, '/', m.account) AS account,
    customer_id,
    toTimeZone(toDateTime(since), 'Asia/Shanghai') AS since,
    reason AS why
FROM oneid.identity_map AS m FINAL
COMMENT 'Which customer each account belongs to, and why';

CREATE TABLE IF NOT EXISTS oneid.customer_360_rows ON CLUSTER 'main'
(
    customer_id UUID,
    identified UInt8,
    platforms Array(String),
    accounts Map(String, UInt64),
    orders UInt64,
    first_order_at Nullable(DateTime('Asia/Shanghai')),
    last_order_at Nullable(DateTime('Asia/Shanghai')),
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

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.customer_360_refresh ON CLUSTER 'main'
REFRESH AFTER 20 SECOND TO oneid.customer_360_rows
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
    if(orders = 0, NULL, toTimeZone(arrayMin(x -> x.6, by_currency), 'Asia/Shanghai')) AS first_order_at,
    if(orders = 0, NULL, toTimeZone(arrayMax(x -> x.7, by_currency), 'Asia/Shanghai')) AS last_order_at,
    CAST(round(toDecimal128(main.4, 3) / main.5, 2) AS Decimal(18, 2)) AS paid_amount,
    CAST(round(toDecimal128(arraySum(x -> if(x.1 = 3 AND x.2 = main.2, x.4, 0), rows), 3) / main.5, 2) AS Decimal(18, 2)) AS refunded_amount,
    paid_amount - refunded_amount AS net_amount,
    CAST(round(toDecimal128(main.4, 4) / main.5 / greatest(main.3, 1), 2) AS Decimal(18, 2)) AS average_order_value,
    main.2 AS currency,
    CAST((arrayMap(x -> x.2, others), arrayMap(x -> CAST(round(toDecimal128(x.4, 3) / x.5, 2) AS Decimal(18, 2)), others)) AS Map(String, Decimal(18, 2))) AS other_amounts,
    arraySum(x -> if(x.1 = 4, x.3, 0), rows) AS tickets,
    toUInt64(arraySum(x -> if(x.1 = 4, x.4, 0), rows)) AS open_tickets,
    arraySort(arrayMap(x -> x.2, arrayFilter(x -> x.1 = 5, rows))) AS member_of,
    now64(3, 'UTC') AS refreshed_at
FROM
(
    SELECT m.customer_id AS customer_id, toUInt8(1) AS part, m.platform AS name, count() AS a, toInt64(countIf(NOT startsWith(m.account, 'order:'))) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
    FROM oneid.identity_map AS m FINAL
    WHERE NOT startsWith(m.account, 'order:') OR (m.platform, m.shop, m.account) IN
    (
        SELECT platform, shop, account FROM oneid.orders FINAL
        WHERE account = concat('order:', order_id) AND (platform, shop, order_id) IN
            (SELECT platform, shop, substring(account, 7) FROM oneid.identity_map WHERE startsWith(account, 'order:'))
    )
    GROUP BY customer_id, name
    UNION ALL
    SELECT customer_id, toUInt8(2) AS part, currency AS name, a, b, unit, first_at, last_at
    FROM
    (
        SELECT if(o.account IN (SELECT account FROM oneid.identity_overrides), dictGetOrDefault('oneid.identity_overrides_dict', 'customer_id', (toString(o.platform), toString(o.shop), o.account), o.customer_id), o.customer_id) AS customer_id,
            cityHash64(o.currency) AS hash, any(o.currency) AS currency, count() AS a, sum(o.paid_minor) AS b, any(o.unit) AS unit, min(o.created_at) AS first_at, max(o.created_at) AS last_at
        FROM oneid.orders AS o FINAL
        WHERE o.paid_at > toDateTime(0, 'UTC')
        GROUP BY customer_id, hash
    )
    UNION ALL
    SELECT customer_id, toUInt8(3) AS part, currency AS name, toUInt64(0) AS a, sum(refund_minor) AS b,
        any(r.unit) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
    FROM oneid.refunds_now AS r
    WHERE status = 'succeeded'
    GROUP BY customer_id, name
    UNION ALL
    SELECT customer_id, toUInt8(4) AS part, toLowCardinality('') AS name, count() AS a, toInt64(countIf(status IN ('open', 'pending'))) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
    FROM oneid.tickets_now
    GROUP BY customer_id
    UNION ALL
    SELECT m.customer_id AS customer_id, toUInt8(5) AS part, toLowCardinality(concat(m.platform, '/', m.shop)) AS name, toUInt64(1) AS a, toInt64(0) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
    FROM oneid.identity_map AS m FINAL
    WHERE (m.platform, m.shop, m.account) IN (SELECT platform, shop, account FROM oneid.memberships)
    GROUP BY customer_id, name
    UNION ALL
    SELECT toUUID('00000000-0000-0000-0000-000000000000') AS customer_id, toUInt8(1) AS part, toLowCardinality('') AS name, toUInt64(1) AS a, toInt64(0) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
)
GROUP BY customer_id
HAVING notEmpty(by_platform)
SETTINGS max_threads = 2, max_bytes_before_external_group_by = 900000000;

CREATE OR REPLACE VIEW oneid.customer_360 ON CLUSTER 'main'
(
    customer_id UUID COMMENT 'Stable id of the customer',
    identified UInt8 COMMENT '0 for a customer made only of orders whose buyer the source does not name: leave it out of rates',
    platforms Array(String) COMMENT 'Platforms on which the customer has an account, sorted',
    accounts Map(String, UInt64) COMMENT 'Number of accounts by platform',
    orders UInt64 COMMENT 'Orders that were paid, those of 0.00 included',
    first_order_at Nullable(DateTime('Asia/Shanghai')) COMMENT 'When the first paid order was placed; NULL without one',
    last_order_at Nullable(DateTime('Asia/Shanghai')) COMMENT 'When the last paid order was placed; NULL without one',
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
AS SELECT * EXCEPT (refreshed_at) FROM oneid.customer_360_rows WHERE customer_id != toUUID('00000000-0000-0000-0000-000000000000')
COMMENT 'One row for each living customer, at most a minute old';

-- 004_overrides_follow_the_map
CREATE OR REPLACE DICTIONARY oneid.identity_overrides_dict ON CLUSTER 'main'
(
    platform String,
    shop String,
    account String,
    customer_id UUID
)
PRIMARY KEY platform, shop, account
SOURCE(CLICKHOUSE(USER 'app' PASSWORD 'it\'s' QUERY 'SELECT platform, shop, account, customer_id FROM oneid.identity_map FINAL WHERE (platform, shop, account) IN (SELECT platform, shop, account FROM oneid.identity_overrides)' INVALIDATE_QUERY 'SELECT maxIf(version, version < 9223372036854775808), max(version), count() FROM oneid.identity_overrides'))
LAYOUT(COMPLEX_KEY_HASHED())
LIFETIME(MIN 1 MAX 2);

-- 005_dead_letters
DROP TABLE IF EXISTS oneid.dead_letters ON CLUSTER 'main';

CREATE TABLE IF NOT EXISTS oneid.dead_letter_states ON CLUSTER 'main'
(
    letter_id String,
    platform LowCardinality(String),
    shop LowCardinality(String),
    stream LowCardinality(String),
    reason LowCardinality(String),
    detail String,
    origin String,
    attempts UInt32,
    first_seen_at DateTime64(3, 'UTC'),
    state LowCardinality(String),
    changed_at DateTime64(3, 'UTC'),
    changed_by String,
    bytes_at Int64,
    version UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
ORDER BY letter_id
SETTINGS replicated_deduplication_window = 10000;

CREATE OR REPLACE VIEW oneid.dead_letters ON CLUSTER 'main'
(
    letter_id String COMMENT 'Names the letter: what is wrong with it comes once, however often it is read',
    platform String COMMENT 'Platform that it came from; empty where the message does not say so',
    shop String COMMENT 'Shop on the platform',
    stream String COMMENT 'Stream of the connector, or kind of the file',
    reason String COMMENT 'read, map, too_large, decode, open or store: the step that refused it',
    detail String COMMENT 'What is wrong with it, in words of the program: no value of the record is repeated',
    origin String COMMENT 'Where it came from: page, file and line, or topic, partition and offset',
    attempts UInt32 COMMENT 'How often it was tried',
    first_seen_at DateTime('Asia/Shanghai') COMMENT 'When it was refused for the first time',
    state String COMMENT 'open; replayed: it is in the other views now; dropped: a person has given it up',
    changed_at Nullable(DateTime('Asia/Shanghai')) COMMENT 'When it was tried again, replayed or dropped; NULL before'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    letter_id, toString(platform) AS platform, toString(shop) AS shop, toString(stream) AS stream, toString(reason) AS reason, detail, origin, attempts,
    toTimeZone(toDateTime(s.first_seen_at), 'Asia/Shanghai') AS first_seen_at,
    toString(state) AS state,
    if(toUnixTimestamp(toDateTime(s.changed_at)) = 0, NULL, toTimeZone(toDateTime(s.changed_at), 'Asia/Shanghai')) AS changed_at
FROM oneid.dead_letter_states AS s FINAL
COMMENT 'What could not be loaded, and why. Its bytes are not here: they are sealed, and shown by `oneid deadletter show` to who may see them. BI may read this view: it holds no personal value';

CREATE TABLE IF NOT EXISTS oneid.audit ON CLUSTER 'main'
(
    at DateTime64(3, 'UTC'),
    who String,
    action LowCardinality(String),
    object String,
    id UUID
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (at, id)
SETTINGS replicated_deduplication_window = 10000;

-- 006_reconciliation
ALTER TABLE oneid.raw_events ON CLUSTER 'main'
    ADD COLUMN IF NOT EXISTS created_at DateTime('UTC'),
    ADD COLUMN IF NOT EXISTS currency LowCardinality(String),
    ADD COLUMN IF NOT EXISTS minor Int64,
    ADD COLUMN IF NOT EXISTS is_deleted UInt8;

CREATE TABLE IF NOT EXISTS oneid.reconciliation_entities ON CLUSTER 'main'
(
    run UInt64,
    side LowCardinality(String),
    platform LowCardinality(String),
    shop LowCardinality(String),
    kind LowCardinality(String),
    entity_id String,
    version UInt128,
    stream LowCardinality(String),
    modified_at DateTime64(3, 'UTC'),
    created_at DateTime('UTC'),
    currency LowCardinality(String),
    minor Int64,
    is_deleted UInt8
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
PARTITION BY run
ORDER BY (platform, shop, kind, entity_id, side)
TTL toDateTime(intDiv(run, 1000)) + INTERVAL 7 DAY
SETTINGS replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS oneid.reconciliation ON CLUSTER 'main'
(
    run DateTime64(3, 'UTC'),
    platform LowCardinality(String),
    shop LowCardinality(String),
    stream LowCardinality(String),
    kind LowCardinality(String),
    day Date,
    currency LowCardinality(String),
    unit UInt16,
    source_count UInt64,
    source_minor Int64,
    kafka_count UInt64,
    kafka_minor Int64,
    clickhouse_count UInt64,
    clickhouse_minor Int64,
    different UInt64,
    moving UInt64,
    missing_source Array(String),
    missing_kafka Array(String),
    missing_clickhouse Array(String),
    other_amount Array(String)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (platform, shop, stream, kind, day, currency, run)
TTL toDateTime(run) + INTERVAL 400 DAY
SETTINGS replicated_deduplication_window = 10000;

CREATE OR REPLACE VIEW oneid.reconciliation_days ON CLUSTER 'main'
(
    platform String COMMENT 'Platform: tmall, douyin, weidian …',
    shop String COMMENT 'Shop on the platform',
    stream String COMMENT 'Stream of the connector',
    kind String COMMENT 'order, refund, user or ticket',
    day Nullable(Date) COMMENT 'Day on which they came to be, in the brand''s zone; NULL for what has none, such as users',
    currency String COMMENT 'ISO 4217 code of the amounts; empty for what has no amount',
    source_count UInt64 COMMENT 'How many the platform lists',
    source_amount Decimal(18, 2) COMMENT 'Their amounts: of orders what was paid, of refunds and tickets what is given back',
    kafka_count UInt64 COMMENT 'How many of them the resolver has read from Kafka',
    kafka_amount Decimal(18, 2) COMMENT 'Their amounts as they were read',
    clickhouse_count UInt64 COMMENT 'How many of them are in the facts',
    clickhouse_amount Decimal(18, 2) COMMENT 'Their amounts in the facts',
    state String COMMENT 'equal; moving: what differs was changed within minutes of the check; different',
    different UInt64 COMMENT 'How many entities differ',
    checked_at DateTime('Asia/Shanghai') COMMENT 'When it was checked'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    toString(platform) AS platform, toString(shop) AS shop, toString(stream) AS stream, toString(kind) AS kind,
    if(r.day = toDate(0), NULL, r.day) AS day, toString(currency) AS currency,
    source_count, CAST(round(toDecimal128(source_minor, 3) / unit, 2) AS Decimal(18, 2)) AS source_amount,
    kafka_count, CAST(round(toDecimal128(kafka_minor, 3) / unit, 2) AS Decimal(18, 2)) AS kafka_amount,
    clickhouse_count, CAST(round(toDecimal128(clickhouse_minor, 3) / unit, 2) AS Decimal(18, 2)) AS clickhouse_amount,
    multiIf(different > 0, 'different', moving > 0, 'moving', 'equal') AS state,
    different, toTimeZone(toDateTime(r.run), 'Asia/Shanghai') AS checked_at
FROM oneid.reconciliation AS r FINAL
WHERE source_count + kafka_count + clickhouse_count > 0
    AND (r.platform, r.shop, r.stream, r.day, r.run) IN (SELECT platform, shop, stream, day, max(run) FROM oneid.reconciliation GROUP BY platform, shop, stream, day)
COMMENT 'Whether all is here: of each day what the platform lists, what came through Kafka and what is stored, at the latest check';

-- 007_history_by_account
CREATE TABLE IF NOT EXISTS oneid.history_by_account ON CLUSTER 'main'
(
    account String,
    kind LowCardinality(String),
    id String,
    version UInt128,
    about Array(String)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
ORDER BY (account, kind, id)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, max_compress_block_size = 16384, replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.orders_to_history ON CLUSTER 'main' TO oneid.history_by_account
AS SELECT concat(platform, '/', shop, '/', o.account) AS account, 'order' AS kind, order_id AS id, version,
    ['order', order_id, order_id, toString(status), toString(platform_status), '', toString(toUnixTimestamp(created_at)), toString(toUnixTimestamp(paid_at)),
        toString(currency), toString(paid_minor), toString(is_deleted), leftPad(hex(version), 32, '0')] AS about
FROM oneid.orders AS o;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.refunds_to_history ON CLUSTER 'main' TO oneid.history_by_account
AS SELECT concat(platform, '/', shop, '/', r.account) AS account, 'refund' AS kind, refund_id AS id, version,
    ['refund', refund_id, order_id, toString(status), '', '', toString(toUnixTimestamp(created_at)), '0',
        toString(currency), toString(refund_minor), toString(is_deleted), leftPad(hex(version), 32, '0')] AS about
FROM oneid.refunds AS r;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.tickets_to_history ON CLUSTER 'main' TO oneid.history_by_account
AS SELECT concat(platform, '/', shop, '/', t.account) AS account, 'ticket' AS kind, ticket_id AS id, version,
    ['ticket', ticket_id, order_id, toString(status), toString(t.kind), subject, toString(toUnixTimestamp(created_at)), '0',
        '', '0', toString(is_deleted), leftPad(hex(version), 32, '0')] AS about
FROM oneid.tickets AS t;

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.memberships_to_history ON CLUSTER 'main' TO oneid.history_by_account
AS SELECT concat(platform, '/', shop, '/', m.account) AS account, 'member' AS kind, '' AS id, toUInt128(0) AS version,
    ['member', '', '', '', '', '', '0', '0', '', '0', '0', '00000000000000000000000000000000'] AS about
FROM oneid.memberships AS m;

INSERT INTO oneid.history_by_account
SELECT concat(platform, '/', shop, '/', o.account) AS account, 'order' AS kind, order_id AS id, version,
    ['order', order_id, order_id, toString(status), toString(platform_status), '', toString(toUnixTimestamp(created_at)), toString(toUnixTimestamp(paid_at)),
        toString(currency), toString(paid_minor), toString(is_deleted), leftPad(hex(version), 32, '0')] AS about
FROM oneid.orders AS o;

INSERT INTO oneid.history_by_account
SELECT concat(platform, '/', shop, '/', r.account) AS account, 'refund' AS kind, refund_id AS id, version,
    ['refund', refund_id, order_id, toString(status), '', '', toString(toUnixTimestamp(created_at)), '0',
        toString(currency), toString(refund_minor), toString(is_deleted), leftPad(hex(version), 32, '0')] AS about
FROM oneid.refunds AS r;

INSERT INTO oneid.history_by_account
SELECT concat(platform, '/', shop, '/', t.account) AS account, 'ticket' AS kind, ticket_id AS id, version,
    ['ticket', ticket_id, order_id, toString(status), toString(t.kind), subject, toString(toUnixTimestamp(created_at)), '0',
        '', '0', toString(is_deleted), leftPad(hex(version), 32, '0')] AS about
FROM oneid.tickets AS t;

INSERT INTO oneid.history_by_account
SELECT concat(platform, '/', shop, '/', m.account) AS account, 'member' AS kind, '' AS id, toUInt128(0) AS version,
    ['member', '', '', '', '', '', '0', '0', '', '0', '0', '00000000000000000000000000000000'] AS about
FROM oneid.memberships AS m;

DROP VIEW IF EXISTS oneid.orders_to_account ON CLUSTER 'main';

DROP VIEW IF EXISTS oneid.refunds_to_account ON CLUSTER 'main';

DROP VIEW IF EXISTS oneid.tickets_to_account ON CLUSTER 'main';

DROP VIEW IF EXISTS oneid.memberships_to_account ON CLUSTER 'main';

DROP TABLE IF EXISTS oneid.entities_by_account ON CLUSTER 'main';

-- 008_letters_of_webhooks
CREATE OR REPLACE VIEW oneid.dead_letters ON CLUSTER 'main'
(
    letter_id String COMMENT 'Names the letter: what is wrong with it comes once, however often it is read',
    platform String COMMENT 'Platform that it came from; empty where the message does not say so',
    shop String COMMENT 'Shop on the platform',
    stream String COMMENT 'Stream of the connector, or kind of the file',
    reason String COMMENT 'read, map, too_large, decode, open, store or deliver: the step that refused it',
    detail String COMMENT 'What is wrong with it, in words of the program: no value of the record is repeated',
    origin String COMMENT 'Where it came from: page, file and line, or topic, partition and offset',
    attempts UInt32 COMMENT 'How often it was tried',
    first_seen_at DateTime('Asia/Shanghai') COMMENT 'When it was refused for the first time',
    state String COMMENT 'open; replayed: it is in the other views now; dropped: a person has given it up',
    changed_at Nullable(DateTime('Asia/Shanghai')) COMMENT 'When it was tried again, replayed or dropped; NULL before'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    letter_id, toString(platform) AS platform, toString(shop) AS shop, toString(stream) AS stream, toString(reason) AS reason, detail, origin, attempts,
    toTimeZone(toDateTime(s.first_seen_at), 'Asia/Shanghai') AS first_seen_at,
    toString(state) AS state,
    if(toUnixTimestamp(toDateTime(s.changed_at)) = 0, NULL, toTimeZone(toDateTime(s.changed_at), 'Asia/Shanghai')) AS changed_at
FROM oneid.dead_letter_states AS s FINAL
COMMENT 'What could not be loaded, and why. Its bytes are not here: they are sealed, and shown by `oneid deadletter show` to who may see them. BI may read this view: it holds no personal value';

-- 009_adopted_rules
ALTER TABLE oneid.decisions ON CLUSTER 'main' ADD COLUMN IF NOT EXISTS rules String CODEC(ZSTD(3)) AFTER undoes;

-- 010_tickets_in_history
DROP VIEW IF EXISTS oneid.tickets_to_history ON CLUSTER 'main';

CREATE MATERIALIZED VIEW IF NOT EXISTS oneid.tickets_to_history ON CLUSTER 'main' TO oneid.history_by_account
AS SELECT concat(platform, '/', shop, '/', t.account) AS account, 'ticket' AS kind, ticket_id AS id, version,
    ['ticket', ticket_id, order_id, toString(status), toString(t.kind), subject, toString(toUnixTimestamp(created_at)), '0',
        '', '0', toString(is_deleted), leftPad(hex(version), 32, '0'),
        toString(channel), toString(priority), toString(toUnixTimestamp(first_answer_at)), toString(toUnixTimestamp(solved_at)), agent, toString(satisfaction)] AS about
FROM oneid.tickets AS t;

INSERT INTO oneid.history_by_account
SELECT concat(platform, '/', shop, '/', t.account) AS account, 'ticket' AS kind, ticket_id AS id, version,
    ['ticket', ticket_id, order_id, toString(status), toString(t.kind), subject, toString(toUnixTimestamp(created_at)), '0',
        '', '0', toString(is_deleted), leftPad(hex(version), 32, '0'),
        toString(channel), toString(priority), toString(toUnixTimestamp(first_answer_at)), toString(toUnixTimestamp(solved_at)), agent, toString(satisfaction)] AS about
FROM oneid.tickets AS t;

-- 011_runs
CREATE TABLE IF NOT EXISTS oneid.runs ON CLUSTER 'main'
(
    run_id String,
    pipeline LowCardinality(String),
    job LowCardinality(String),
    task LowCardinality(String),
    platform LowCardinality(String),
    shop LowCardinality(String),
    stream LowCardinality(String),
    reason LowCardinality(String),
    state LowCardinality(String),
    scheduled_at DateTime64(3, 'UTC'),
    started_at DateTime64(3, 'UTC'),
    ended_at DateTime64(3, 'UTC'),
    pages UInt64,
    records UInt64,
    events UInt64,
    dead_letters UInt64,
    lag_ms Int64,
    waited_ms Int64,
    quiet_runs UInt64,
    error String,
    machine LowCardinality(String)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (job, started_at, run_id)
TTL toDateTime(started_at) + INTERVAL 400 DAY
SETTINGS replicated_deduplication_window = 10000;

CREATE OR REPLACE VIEW oneid.pipeline_runs ON CLUSTER 'main'
(
    run_id String COMMENT 'Names the run; the runId of its OpenLineage events',
    pipeline String COMMENT 'Name of the pipeline, as in its file',
    job String COMMENT 'What ran: pull/PLATFORM/SHOP/STREAM, reconcile, squash, backup …',
    task String COMMENT 'pull, reconcile, squash, backup, replay or import',
    platform String COMMENT 'Platform of the stream; empty for what is of no shop',
    shop String COMMENT 'Shop on the platform',
    stream String COMMENT 'Stream of the connector',
    reason String COMMENT 'schedule; catch_up: it was missed while nobody ran; retry: the run before failed; manual: by `oneid run`',
    state String COMMENT 'succeeded; failed; stopped: it was asked to end, or another process took over',
    scheduled_at Nullable(DateTime('Asia/Shanghai')) COMMENT 'The time of the schedule that it ran for; NULL for one by hand',
    started_at DateTime('Asia/Shanghai') COMMENT 'When it began',
    ended_at DateTime('Asia/Shanghai') COMMENT 'When it ended',
    seconds Float64 COMMENT 'How long it took',
    pages UInt64 COMMENT 'Pages that were read and published',
    records UInt64 COMMENT 'Records in them; of other tasks what they count, such as files or accounts',
    events UInt64 COMMENT 'Events that were published',
    dead_letters UInt64 COMMENT 'Records that became dead letters',
    lag_seconds Nullable(Float64) COMMENT 'How far behind the present the stream was at the end; NULL where that is not known',
    waited_seconds Float64 COMMENT 'How much of it was waiting for limits of the platform',
    quiet_runs UInt64 COMMENT 'Runs before this one that found nothing new and have no row of their own',
    error String COMMENT 'What went wrong, in words of the program; empty if nothing did',
    machine String COMMENT 'Where it ran'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, toString(pipeline) AS pipeline, toString(job) AS job, toString(task) AS task,
    toString(platform) AS platform, toString(shop) AS shop, toString(stream) AS stream,
    toString(reason) AS reason, toString(state) AS state,
    if(toUnixTimestamp(toDateTime(r.scheduled_at)) = 0, NULL, toTimeZone(toDateTime(r.scheduled_at), 'Asia/Shanghai')) AS scheduled_at,
    toTimeZone(toDateTime(r.started_at), 'Asia/Shanghai') AS started_at,
    toTimeZone(toDateTime(r.ended_at), 'Asia/Shanghai') AS ended_at,
    (toUnixTimestamp64Milli(r.ended_at) - toUnixTimestamp64Milli(r.started_at)) / 1000 AS seconds,
    pages, records, events, dead_letters,
    if(lag_ms < 0, NULL, lag_ms / 1000) AS lag_seconds,
    waited_ms / 1000 AS waited_seconds,
    quiet_runs, error, toString(machine) AS machine
FROM oneid.runs AS r FINAL
COMMENT 'What ran, when, for how long, and how it ended: each run of a pipeline. BI may read this view: it holds no personal value';

-- 012_decryptions
CREATE TABLE IF NOT EXISTS oneid.decryptions ON CLUSTER 'main'
(
    id UUID,
    at DateTime64(3, 'UTC'),
    who String,
    platform LowCardinality(String),
    shop LowCardinality(String),
    order_id String,
    account String,
    fields String,
    texts UInt32,
    outcome LowCardinality(String),
    stage UInt8
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', stage)
PARTITION BY platform
ORDER BY (platform, shop, order_id, id)
SETTINGS replicated_deduplication_window = 10000;

-- 013_resemblances
CREATE TABLE IF NOT EXISTS oneid.resemblances ON CLUSTER 'main'
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    other_platform LowCardinality(String),
    other_shop LowCardinality(String),
    other_account String,
    reason LowCardinality(String),
    millibits Int32,
    parts Array(String),
    found_at DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
PARTITION BY platform
ORDER BY (platform, shop, account, other_platform, other_shop, other_account)
SETTINGS index_granularity = 256, replicated_deduplication_window = 10000;

-- 014_merges_and_moves_cost_less
CREATE OR REPLACE DICTIONARY oneid.identity_overrides_dict ON CLUSTER 'main'
(
    platform String,
    shop String,
    account String,
    customer_id UUID
)
PRIMARY KEY platform, shop, account
SOURCE(CLICKHOUSE(USER 'app' PASSWORD 'it\'s' QUERY 'SELECT platform, shop, account, customer_id FROM oneid.identity_map FINAL WHERE (platform, shop, account) IN (SELECT platform, shop, account FROM oneid.identity_overrides)' INVALIDATE_QUERY 'SELECT maxIf(version, version < 9223372036854775808), max(version), count() FROM oneid.identity_overrides'))
LAYOUT(COMPLEX_KEY_HASHED())
LIFETIME(MIN 40 MAX 60);

ALTER TABLE oneid.orders ON CLUSTER 'main' MODIFY SETTING vertical_merge_algorithm_min_rows_to_activate = 1, min_parts_to_merge_at_once = 16;

-- 015_fewer_merges
ALTER TABLE oneid.raw_events ON CLUSTER 'main' MODIFY SETTING min_parts_to_merge_at_once = 32;

ALTER TABLE oneid.identifier_values ON CLUSTER 'main' MODIFY SETTING min_parts_to_merge_at_once = 32;

ALTER TABLE oneid.identity_history ON CLUSTER 'main' MODIFY SETTING min_parts_to_merge_at_once = 32;

ALTER TABLE oneid.users ON CLUSTER 'main' MODIFY SETTING min_parts_to_merge_at_once = 16;

ALTER TABLE oneid.refunds ON CLUSTER 'main' MODIFY SETTING min_parts_to_merge_at_once = 16;

ALTER TABLE oneid.tickets ON CLUSTER 'main' MODIFY SETTING min_parts_to_merge_at_once = 16;

ALTER TABLE oneid.memberships ON CLUSTER 'main' MODIFY SETTING min_parts_to_merge_at_once = 16;

ALTER TABLE oneid.evidence ON CLUSTER 'main' MODIFY SETTING min_parts_to_merge_at_once = 16;

ALTER TABLE oneid.evidence_by_identifier ON CLUSTER 'main' MODIFY SETTING min_parts_to_merge_at_once = 16;

ALTER TABLE oneid.orders ON CLUSTER 'main'
    MODIFY COLUMN item_status Array(String),
    MODIFY COLUMN item_platform_status Array(String),
    MODIFY COLUMN item_refund_status Array(String);

-- 016_history
CREATE OR REPLACE VIEW oneid.account_history ON CLUSTER 'main'
(
    account String COMMENT 'Account, platform/shop/id',
    moved_at DateTime64(3, 'Asia/Shanghai') COMMENT 'Since when it was of the customer: until its next move, or today',
    customer_id UUID COMMENT 'Customer that it came to, by the id of that time',
    previous_customer_id Nullable(UUID) COMMENT 'Customer that it left; NULL where it was seen for the first time',
    why String COMMENT 'born; merged, and the kinds of what holds it to others; or split',
    move UInt64 COMMENT 'Puts the moves of an account in their order'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    concat(platform, '/', shop, '/', h.account) AS account,
    toTimeZone(at, 'Asia/Shanghai') AS moved_at,
    customer_id,
    if(h.previous_customer_id = toUUID('00000000-0000-0000-0000-000000000000'), NULL, h.previous_customer_id) AS previous_customer_id,
    reason AS why,
    version AS move
FROM oneid.identity_history AS h FINAL
COMMENT 'Every move of every account to a customer, from its first one on';

CREATE OR REPLACE VIEW oneid.customer_redirects ON CLUSTER 'main'
(
    customer_id UUID COMMENT 'An id that no customer bears today',
    leads_to UUID COMMENT 'The living customer that it has become',
    since DateTime('Asia/Shanghai') COMMENT 'Since when it leads there'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    from_customer_id AS customer_id,
    to_customer_id AS leads_to,
    toTimeZone(toDateTime(r.since), 'Asia/Shanghai') AS since
FROM oneid.redirects AS r FINAL
WHERE from_customer_id != to_customer_id AND from_customer_id IN (SELECT customer_id FROM oneid.identity_map_by_customer)
COMMENT 'Where each customer_id that was merged away leads to';

-- 017_accounts_are_read_once
ALTER TABLE oneid.customer_360_refresh ON CLUSTER 'main' MODIFY QUERY
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
    if(orders = 0, NULL, toTimeZone(arrayMin(x -> x.6, by_currency), 'Asia/Shanghai')) AS first_order_at,
    if(orders = 0, NULL, toTimeZone(arrayMax(x -> x.7, by_currency), 'Asia/Shanghai')) AS last_order_at,
    CAST(round(toDecimal128(main.4, 3) / main.5, 2) AS Decimal(18, 2)) AS paid_amount,
    CAST(round(toDecimal128(arraySum(x -> if(x.1 = 3 AND x.2 = main.2, x.4, 0), rows), 3) / main.5, 2) AS Decimal(18, 2)) AS refunded_amount,
    paid_amount - refunded_amount AS net_amount,
    CAST(round(toDecimal128(main.4, 4) / main.5 / greatest(main.3, 1), 2) AS Decimal(18, 2)) AS average_order_value,
    main.2 AS currency,
    CAST((arrayMap(x -> x.2, others), arrayMap(x -> CAST(round(toDecimal128(x.4, 3) / x.5, 2) AS Decimal(18, 2)), others)) AS Map(String, Decimal(18, 2))) AS other_amounts,
    arraySum(x -> if(x.1 = 4, x.3, 0), rows) AS tickets,
    toUInt64(arraySum(x -> if(x.1 = 4, x.4, 0), rows)) AS open_tickets,
    arraySort(arrayMap(x -> x.2, arrayFilter(x -> x.1 = 5, rows))) AS member_of,
    now64(3, 'UTC') AS refreshed_at
FROM
(
    SELECT customer_id, row.1 AS part, toLowCardinality(row.2) AS name, row.3 AS a, row.4 AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
    FROM
    (
        SELECT m.customer_id AS customer_id, m.platform AS platform, count() AS accounts, toInt64(countIf(NOT startsWith(m.account, 'order:'))) AS named,
            groupUniqArrayIf(m.shop, sipHash128(m.platform, m.shop, m.account) IN (SELECT sipHash128(platform, shop, account) FROM oneid.memberships)) AS shops
        FROM oneid.identity_map AS m FINAL
        WHERE NOT startsWith(m.account, 'order:') OR (m.platform, m.shop, m.account) IN
        (
            SELECT platform, shop, account FROM oneid.orders FINAL
            WHERE account = concat('order:', order_id) AND (platform, shop, order_id) IN
                (SELECT platform, shop, substring(account, 7) FROM oneid.identity_map WHERE startsWith(account, 'order:'))
        )
        GROUP BY customer_id, platform
    )
    ARRAY JOIN arrayConcat([(toUInt8(1), toString(platform), accounts, named)], arrayMap(s -> (toUInt8(5), concat(platform, '/', s), toUInt64(1), toInt64(0)), shops)) AS row
    UNION ALL
    SELECT customer_id, toUInt8(2) AS part, currency AS name, a, b, unit, first_at, last_at
    FROM
    (
        SELECT if(o.account IN (SELECT account FROM oneid.identity_overrides), dictGetOrDefault('oneid.identity_overrides_dict', 'customer_id', (toString(o.platform), toString(o.shop), o.account), o.customer_id), o.customer_id) AS customer_id,
            cityHash64(o.currency) AS hash, any(o.currency) AS currency, count() AS a, sum(o.paid_minor) AS b, any(o.unit) AS unit, min(o.created_at) AS first_at, max(o.created_at) AS last_at
        FROM oneid.orders AS o FINAL
        WHERE o.paid_at > toDateTime(0, 'UTC')
        GROUP BY customer_id, hash
    )
    UNION ALL
    SELECT customer_id, toUInt8(3) AS part, currency AS name, toUInt64(0) AS a, sum(refund_minor) AS b,
        any(r.unit) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
    FROM oneid.refunds_now AS r
    WHERE status = 'succeeded'
    GROUP BY customer_id, name
    UNION ALL
    SELECT customer_id, toUInt8(4) AS part, toLowCardinality('') AS name, count() AS a, toInt64(countIf(status IN ('open', 'pending'))) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
    FROM oneid.tickets_now
    GROUP BY customer_id
    UNION ALL
    SELECT toUUID('00000000-0000-0000-0000-000000000000') AS customer_id, toUInt8(1) AS part, toLowCardinality('') AS name, toUInt64(1) AS a, toInt64(0) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at
)
GROUP BY customer_id
HAVING notEmpty(by_platform)
SETTINGS max_threads = 2, max_bytes_before_external_group_by = 900000000;

-- 018_today_forgets
CREATE OR REPLACE VIEW oneid.identity_map_current ON CLUSTER 'main'
(
    account String COMMENT 'Account, platform/shop/id',
    customer_id UUID COMMENT 'Customer that it belongs to, today',
    since DateTime('Asia/Shanghai') COMMENT 'When it first came to that customer; account_history says whether it was elsewhere in between',
    why String COMMENT 'What brought it there then: born; merged, and the kinds of what holds it to others; or split'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    concat(m.platform, '/', m.shop, '/', m.account) AS account,
    m.customer_id AS customer_id,
    toTimeZone(toDateTime(if(notEmpty(came.reason), came.at, m.since)), 'Asia/Shanghai') AS since,
    if(notEmpty(came.reason), came.reason, m.reason) AS why
FROM oneid.identity_map AS m FINAL
LEFT ANY JOIN
(
    SELECT platform, shop, account, customer_id, argMin(h.at, h.version) AS at, argMin(h.reason, h.version) AS reason
    FROM oneid.identity_history AS h
    WHERE (platform, shop, account) IN
    (
        SELECT platform, shop, account FROM oneid.identity_history
        WHERE previous_customer_id != toUUID('00000000-0000-0000-0000-000000000000')
        GROUP BY platform, shop, account
        HAVING count() > 1
    )
    GROUP BY platform, shop, account, customer_id
    HAVING count() > 1
) AS came ON came.platform = m.platform AND came.shop = m.shop AND came.account = m.account AND came.customer_id = m.customer_id
COMMENT 'Which customer each account belongs to today, since when, and why';

CREATE OR REPLACE VIEW oneid.customer_redirects ON CLUSTER 'main'
(
    customer_id UUID COMMENT 'An id that no customer bears today',
    leads_to UUID COMMENT 'The living customer that it has become'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    from_customer_id AS customer_id,
    to_customer_id AS leads_to
FROM oneid.redirects AS r FINAL
WHERE from_customer_id != to_customer_id AND from_customer_id IN (SELECT customer_id FROM oneid.identity_map_by_customer)
COMMENT 'Where each customer_id that was merged away leads to';

-- 019_refreshes_and_merges_cost_less
ALTER TABLE oneid.customer_360_refresh ON CLUSTER 'main' MODIFY QUERY
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
    if(orders = 0, NULL, toTimeZone(minIf(first_at, part = 2), 'Asia/Shanghai')) AS first_order_at,
    if(orders = 0, NULL, toTimeZone(maxIf(last_at, part = 2), 'Asia/Shanghai')) AS last_order_at,
    CAST(round(toDecimal128(paid, 3) / main_unit, 2) AS Decimal(18, 2)) AS paid_amount,
    CAST(round(toDecimal128(arraySum(x -> if(x.1 = main, x.2, 0), groupArrayIf((toString(name), b), part = 3)), 3) / main_unit, 2) AS Decimal(18, 2)) AS refunded_amount,
    paid_amount - refunded_amount AS net_amount,
    CAST(round(toDecimal128(paid, 4) / main_unit / greatest(-by_currency.1[1], 1), 2) AS Decimal(18, 2)) AS average_order_value,
    main AS currency,
    CAST((others.2, arrayMap(x -> CAST(round(toDecimal128(x.3, 3) / x.4, 2) AS Decimal(18, 2)), others)) AS Map(String, Decimal(18, 2))) AS other_amounts,
    sumIf(a, part = 4) AS tickets,
    toUInt64(sumIf(b, part = 4)) AS open_tickets,
    arraySort(arrayDistinct(groupArrayArray(member_at))) AS member_of,
    now64(3, 'UTC') AS refreshed_at
FROM
(
    SELECT m.customer_id AS customer_id, toUInt8(1) AS part, toLowCardinality('') AS name, toUInt64(1) AS a, toInt64(NOT startsWith(m.account, 'order:')) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, [toString(m.platform)] AS on_platform,
        if(sipHash128(m.platform, m.shop, m.account) IN (SELECT sipHash128(platform, shop, account) FROM oneid.memberships), [concat(m.platform, '/', m.shop)], []) AS member_at
    FROM oneid.identity_map AS m FINAL
    WHERE NOT startsWith(m.account, 'order:') OR (m.platform, m.shop, m.account) IN
    (
        SELECT platform, shop, account FROM oneid.orders FINAL
        WHERE account = concat('order:', order_id) AND (platform, shop, order_id) IN
            (SELECT platform, shop, substring(account, 7) FROM oneid.identity_map WHERE startsWith(account, 'order:'))
    )
    UNION ALL
    SELECT customer_id, toUInt8(2) AS part, currency AS name, a, b, unit, first_at, last_at, [] AS on_platform, [] AS member_at
    FROM
    (
        SELECT if(o.account IN (SELECT account FROM oneid.identity_overrides), dictGetOrDefault('oneid.identity_overrides_dict', 'customer_id', (toString(o.platform), toString(o.shop), o.account), o.customer_id), o.customer_id) AS customer_id,
            cityHash64(o.currency) AS hash, any(o.currency) AS currency, count() AS a, sum(o.paid_minor) AS b, any(o.unit) AS unit, min(o.created_at) AS first_at, max(o.created_at) AS last_at
        FROM oneid.orders AS o FINAL
        WHERE o.paid_at > toDateTime(0, 'UTC')
        GROUP BY customer_id, hash
    )
    UNION ALL
    SELECT customer_id, toUInt8(3) AS part, currency AS name, toUInt64(0) AS a, sum(refund_minor) AS b,
        any(r.unit) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, [] AS on_platform, [] AS member_at
    FROM oneid.refunds_now AS r
    WHERE status = 'succeeded'
    GROUP BY customer_id, name
    UNION ALL
    SELECT customer_id, toUInt8(4) AS part, toLowCardinality('') AS name, count() AS a, toInt64(countIf(status IN ('open', 'pending'))) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, [] AS on_platform, [] AS member_at
    FROM oneid.tickets_now
    GROUP BY customer_id
    UNION ALL
    SELECT toUUID('00000000-0000-0000-0000-000000000000') AS customer_id, toUInt8(1) AS part, toLowCardinality('') AS name, toUInt64(1) AS a, toInt64(0) AS b,
        toUInt16(1) AS unit, toDateTime(0, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, [''] AS on_platform, [] AS member_at
)
GROUP BY customer_id
HAVING notEmpty(held)
SETTINGS max_threads = 2, max_bytes_before_external_group_by = 900000000;

ALTER TABLE oneid.orders ON CLUSTER 'main' MODIFY SETTING vertical_merge_algorithm_min_rows_to_activate = 400000;

-- 020_before_shipping
CREATE OR REPLACE VIEW oneid.customer_refunds ON CLUSTER 'main'
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
    before_shipping Nullable(UInt8) COMMENT '1 for a refund that was asked for before the goods were sent, 0 for one after; NULL where neither the platform nor the order says',
    created_at DateTime('Asia/Shanghai') COMMENT 'When it was asked for',
    finished_at Nullable(DateTime('Asia/Shanghai')) COMMENT 'When it ended; NULL while it is open'
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
    CAST(round(toDecimal128(r.refund_minor, 3) / r.unit, 2) AS Decimal(18, 2)) AS refund_amount,
    toString(r.currency) AS currency,
    multiIf(
        r.before_shipping = 1, 1,
        o.order_id = '', NULL,
        o.shipped_at > toDateTime(0, 'UTC'), if(r.created_at > toDateTime(0, 'UTC'), toUInt8(r.created_at < o.shipped_at), NULL),
        o.status IN ('created', 'paid'), 1,
        o.status = 'closed' AND r.platform IN ('tmall', 'douyin', 'weidian'), 1,
        NULL) AS before_shipping,
    toTimeZone(r.created_at, 'Asia/Shanghai') AS created_at,
    if(toUnixTimestamp(r.finished_at) = 0, NULL, toTimeZone(r.finished_at, 'Asia/Shanghai')) AS finished_at
FROM oneid.refunds_now AS r
LEFT ANY JOIN
(
    SELECT platform, shop, order_id, shipped_at, status, sipHash128(platform, shop, order_id) AS hash
    FROM oneid.orders FINAL
    WHERE sipHash128(platform, shop, order_id) IN (SELECT sipHash128(platform, shop, order_id) FROM oneid.refunds)
) AS o ON o.hash = sipHash128(r.platform, r.shop, r.order_id)
COMMENT 'Every refund, return and exchange, in its newest version';

-- 021_sums_before_lists
ALTER TABLE oneid.customer_360_refresh ON CLUSTER 'main' MODIFY QUERY
WITH
    arraySort(arrayResize((SELECT groupArray(toString(platform)) FROM (SELECT platform FROM oneid.identity_map GROUP BY platform ORDER BY count() DESC, platform LIMIT 4)), 4)) AS usual_platforms,
    (SELECT arraySort(groupArray((concat(platform, '/', shop), cityHash64(platform, shop)))) FROM (SELECT platform, shop FROM oneid.memberships GROUP BY platform, shop ORDER BY count() DESC, platform, shop LIMIT 64)) AS usual_shops,
    (SELECT toString(any(currency)) FROM (SELECT currency FROM oneid.orders GROUP BY currency ORDER BY count() DESC, currency LIMIT 1)) AS usual_currency,
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
    if(orders = 0, NULL, toTimeZone(min(first_at), 'Asia/Shanghai')) AS first_order_at,
    if(orders = 0, NULL, toTimeZone(max(last_at), 'Asia/Shanghai')) AS last_order_at,
    CAST(round(toDecimal128(paid, 3) / main_unit, 2) AS Decimal(18, 2)) AS paid_amount,
    CAST(round(toDecimal128(refunded, 3) / main_unit, 2) AS Decimal(18, 2)) AS refunded_amount,
    paid_amount - refunded_amount AS net_amount,
    CAST(round(toDecimal128(paid, 4) / main_unit / greatest(main_orders, 1), 2) AS Decimal(18, 2)) AS average_order_value,
    main AS currency,
    CAST((rest.2, arrayMap(x -> CAST(round(toDecimal128(x.3, 3) / x.4, 2) AS Decimal(18, 2)), rest)) AS Map(String, Decimal(18, 2))) AS other_amounts,
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
            cityHash64(m.platform, m.shop, m.account) IN (SELECT cityHash64(platform, shop, account) FROM oneid.memberships) AS is_member,
            toUInt8(if(is_member, indexOf(usual_shops.2, cityHash64(m.platform, m.shop)), 0)) AS shop_at
        FROM oneid.identity_map AS m FINAL
        WHERE NOT startsWith(m.account, 'order:') OR (m.platform, m.shop, m.account) IN
        (
            SELECT platform, shop, account FROM oneid.orders FINAL
            WHERE account = concat('order:', order_id) AND (platform, shop, order_id) IN
                (SELECT platform, shop, substring(account, 7) FROM oneid.identity_map WHERE startsWith(account, 'order:'))
        )
    )
    UNION ALL
    SELECT if(cityHash64(o.account) IN (SELECT cityHash64(account) FROM oneid.identity_overrides), dictGetOrDefault('oneid.identity_overrides_dict', 'customer_id', (toString(o.platform), toString(o.shop), o.account), o.customer_id), o.customer_id) AS customer_id,
        toUInt8(2) AS part, o.currency AS name, toLowCardinality('') AS shop, o.paid_minor AS minor, o.unit AS unit,
        o.created_at AS first_at, o.created_at AS last_at, if(apart, 0, o.paid_minor) AS paid_usually, toInt64(0) AS refunded_usually, if(apart, 0, o.unit) AS unit_usually, o.currency != usual_currency AS apart, bitShiftLeft(toUInt128(1), 32) AS tally, toUInt128(0) AS held, toUInt64(0) AS member
    FROM oneid.orders AS o FINAL
    WHERE o.paid_at > toDateTime(0, 'UTC')
    UNION ALL
    SELECT customer_id, toUInt8(3) AS part, currency AS name, toLowCardinality('') AS shop, refund_minor AS minor, unit,
        toDateTime(4294967295, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, toInt64(0) AS paid_usually, if(apart, 0, refund_minor) AS refunded_usually, toUInt16(0) AS unit_usually, currency != usual_currency AS apart, toUInt128(0) AS tally, toUInt128(0) AS held, toUInt64(0) AS member
    FROM oneid.refunds_now
    WHERE status = 'succeeded'
    UNION ALL
    SELECT customer_id, toUInt8(4) AS part, toLowCardinality('') AS name, toLowCardinality('') AS shop, toInt64(0) AS minor, toUInt16(1) AS unit,
        toDateTime(4294967295, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, toInt64(0) AS paid_usually, toInt64(0) AS refunded_usually, toUInt16(0) AS unit_usually, toUInt8(0) AS apart, if(status IN ('open', 'pending'), bitShiftLeft(toUInt128(1), 96), toUInt128(0)) + bitShiftLeft(toUInt128(1), 64) AS tally, toUInt128(0) AS held, toUInt64(0) AS member
    FROM oneid.tickets_now
    UNION ALL
    SELECT toUUID('00000000-0000-0000-0000-000000000000') AS customer_id, toUInt8(1) AS part, toLowCardinality('') AS name, toLowCardinality('') AS shop, toInt64(0) AS minor, toUInt16(1) AS unit,
        toDateTime(4294967295, 'UTC') AS first_at, toDateTime(0, 'UTC') AS last_at, toInt64(0) AS paid_usually, toInt64(0) AS refunded_usually, toUInt16(0) AS unit_usually, toUInt8(1) AS apart, toUInt128(0) AS tally, toUInt128(0) AS held, toUInt64(0) AS member
)
GROUP BY customer_id
HAVING notEmpty(by_platform)
SETTINGS max_threads = 1, max_bytes_before_external_group_by = 900000000;
