-- What reconciliation counts of each version that the resolver read from Kafka, beside its payload.
ALTER TABLE {{.Database}}.raw_events {{.OnCluster}}
    ADD COLUMN IF NOT EXISTS created_at DateTime('UTC'),
    ADD COLUMN IF NOT EXISTS currency LowCardinality(String),
    ADD COLUMN IF NOT EXISTS minor Int64,
    ADD COLUMN IF NOT EXISTS is_deleted UInt8;

-- The entities of a run, one row a side: candidate, source, kafka, clickhouse. A run drops its
-- partition when it is done; what one that was killed has left goes after a week.
CREATE TABLE IF NOT EXISTS {{.Database}}.reconciliation_entities {{.OnCluster}}
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
ENGINE = {{.Replacing "version"}}
PARTITION BY run
ORDER BY (platform, shop, kind, entity_id, side)
TTL toDateTime(intDiv(run, 1000)) + INTERVAL 7 DAY
SETTINGS {{.Window}};

-- What was found, of each run. A stream of which nothing was found has one row of zeros.
CREATE TABLE IF NOT EXISTS {{.Database}}.reconciliation {{.OnCluster}}
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
ENGINE = {{.Replacing ""}}
ORDER BY (platform, shop, stream, kind, day, currency, run)
TTL toDateTime(run) + INTERVAL 400 DAY
SETTINGS {{.Window}};

CREATE OR REPLACE VIEW {{.Database}}.reconciliation_days {{.OnCluster}}
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
    checked_at DateTime('{{.Timezone}}') COMMENT 'When it was checked'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    toString(platform) AS platform, toString(shop) AS shop, toString(stream) AS stream, toString(kind) AS kind,
    if(r.day = toDate(0), NULL, r.day) AS day, toString(currency) AS currency,
    source_count, {{.Amount "source_minor" "unit"}} AS source_amount,
    kafka_count, {{.Amount "kafka_minor" "unit"}} AS kafka_amount,
    clickhouse_count, {{.Amount "clickhouse_minor" "unit"}} AS clickhouse_amount,
    multiIf(different > 0, 'different', moving > 0, 'moving', 'equal') AS state,
    different, {{.Time "toDateTime(r.run)"}} AS checked_at
FROM {{.Database}}.reconciliation AS r FINAL
WHERE source_count + kafka_count + clickhouse_count > 0
    AND (r.platform, r.shop, r.stream, r.day, r.run) IN (SELECT platform, shop, stream, day, max(run) FROM {{.Database}}.reconciliation GROUP BY platform, shop, stream, day)
COMMENT 'Whether all is here: of each day what the platform lists, what came through Kafka and what is stored, at the latest check';
