-- Facts: the state of each entity, newest version first to none. The sort key is the identity;
-- the partition follows from it, so an entity lies in one partition for ever. Times are UTC, the
-- zero time means "not (yet)"; amounts are in the currency's minor unit, `unit` of which make one
-- of the major unit. customer_id is the customer of the moment of insertion: views correct it.
CREATE TABLE IF NOT EXISTS {{.Database}}.orders {{.OnCluster}}
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
ENGINE = {{.Replacing "version, is_deleted"}}
PARTITION BY platform
ORDER BY (platform, shop, order_id)
SETTINGS index_granularity = 512, {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.refunds {{.OnCluster}}
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
ENGINE = {{.Replacing "version, is_deleted"}}
PARTITION BY platform
ORDER BY (platform, shop, refund_id)
SETTINGS index_granularity = 512, {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.users {{.OnCluster}}
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
ENGINE = {{.Replacing "version, is_deleted"}}
PARTITION BY platform
ORDER BY (platform, shop, user_id)
SETTINGS {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.tickets {{.OnCluster}}
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
ENGINE = {{.Replacing "version, is_deleted"}}
PARTITION BY platform
ORDER BY (platform, shop, ticket_id)
SETTINGS index_granularity = 512, {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.spend {{.OnCluster}}
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
ENGINE = {{.Replacing "version, is_deleted"}}
PARTITION BY platform
ORDER BY (platform, shop, spend_id)
SETTINGS {{.Window}};

-- Each version's payload, sealed, so that a mapping can be mended and run again without Kafka.
CREATE TABLE IF NOT EXISTS {{.Database}}.raw_events {{.OnCluster}}
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
ENGINE = {{.Replacing ""}}
PARTITION BY toYYYYMM(modified_at)
ORDER BY (platform, shop, kind, entity_id, version, modified_at)
SETTINGS {{.Window}};

-- What an account has had, for look-ups: the facts again, in the order of accounts, in small blocks.
-- Every version may be here, and an order's under each account that it had: the reader takes the
-- newest. entities_by_order says what belongs to an order whose buyer is not named.
CREATE TABLE IF NOT EXISTS {{.Database}}.entities_by_account {{.OnCluster}}
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
ENGINE = {{.Replacing "version"}}
PARTITION BY platform
ORDER BY (platform, shop, account, kind, id)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, max_compress_block_size = 16384, {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.entities_by_order {{.OnCluster}}
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    order_id String,
    kind LowCardinality(String),
    id String
)
ENGINE = {{.Replacing ""}}
PARTITION BY platform
ORDER BY (platform, shop, order_id, kind, id)
SETTINGS index_granularity = 256, {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.orders_to_account {{.OnCluster}} TO {{.Database}}.entities_by_account
AS SELECT platform, shop, account, 'order' AS kind, order_id AS id, version, is_deleted, order_id, status, platform_status AS word, '' AS subject,
    created_at, paid_at, currency, paid_minor AS minor
FROM {{.Database}}.orders;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.refunds_to_account {{.OnCluster}} TO {{.Database}}.entities_by_account
AS SELECT platform, shop, account, 'refund' AS kind, refund_id AS id, version, is_deleted, order_id, status, '' AS word, '' AS subject,
    created_at, toDateTime(0, 'UTC') AS paid_at, currency, refund_minor AS minor
FROM {{.Database}}.refunds;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.tickets_to_account {{.OnCluster}} TO {{.Database}}.entities_by_account
AS SELECT platform, shop, account, 'ticket' AS kind, ticket_id AS id, version, is_deleted, order_id, status, t.kind AS word, subject,
    created_at, toDateTime(0, 'UTC') AS paid_at, '' AS currency, toInt64(0) AS minor
FROM {{.Database}}.tickets AS t;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.refunds_to_order {{.OnCluster}} TO {{.Database}}.entities_by_order
AS SELECT platform, shop, order_id, 'refund' AS kind, refund_id AS id FROM {{.Database}}.refunds WHERE order_id != '';

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.tickets_to_order {{.OnCluster}} TO {{.Database}}.entities_by_order
AS SELECT platform, shop, order_id, 'ticket' AS kind, ticket_id AS id FROM {{.Database}}.tickets WHERE order_id != '' AND startsWith(account, 'order:');

-- Accounts that were ever bound as members of their shop: a later state of the user that does not
-- say so, because its source does not know of members, takes nothing back.
CREATE TABLE IF NOT EXISTS {{.Database}}.memberships {{.OnCluster}}
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String
)
ENGINE = {{.Replacing ""}}
PARTITION BY platform
ORDER BY (platform, shop, account)
SETTINGS index_granularity = 256, {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.users_to_memberships {{.OnCluster}} TO {{.Database}}.memberships
AS SELECT platform, shop, account FROM {{.Database}}.users WHERE member = 1 AND is_deleted = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.memberships_to_account {{.OnCluster}} TO {{.Database}}.entities_by_account
AS SELECT platform, shop, account, 'member' AS kind, '' AS id, toUInt128(0) AS version, toUInt8(0) AS is_deleted, '' AS order_id, '' AS status, '' AS word, '' AS subject,
    toDateTime(0, 'UTC') AS created_at, toDateTime(0, 'UTC') AS paid_at, '' AS currency, toInt64(0) AS minor
FROM {{.Database}}.memberships;
