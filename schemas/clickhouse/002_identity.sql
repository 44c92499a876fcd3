-- Who is who. version orders by the resolver's epoch, then by the journal's sequence.
CREATE TABLE IF NOT EXISTS {{.Database}}.identity_map {{.OnCluster}}
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
ENGINE = {{.Replacing "version"}}
PARTITION BY platform
ORDER BY (platform, shop, account)
SETTINGS index_granularity = 256, {{.Window}};

-- Candidates by customer: an account that has moved on stays here too, so each is checked
-- against identity_map.
CREATE TABLE IF NOT EXISTS {{.Database}}.identity_map_by_customer {{.OnCluster}}
(
    customer_id UUID,
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    version UInt64
)
ENGINE = {{.Replacing "version"}}
ORDER BY (customer_id, platform, shop, account)
SETTINGS index_granularity = 256, {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.identity_map_to_customer {{.OnCluster}} TO {{.Database}}.identity_map_by_customer
AS SELECT customer_id, platform, shop, account, version FROM {{.Database}}.identity_map;

CREATE TABLE IF NOT EXISTS {{.Database}}.identity_history {{.OnCluster}}
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
ENGINE = {{.Replacing ""}}
PARTITION BY platform
ORDER BY (platform, shop, account, version)
SETTINGS {{.Window}};

-- One row for each account whose facts bear an older customer than its own.
CREATE TABLE IF NOT EXISTS {{.Database}}.identity_overrides {{.OnCluster}}
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    customer_id UUID,
    version UInt64
)
ENGINE = {{.Replacing "version"}}
ORDER BY (platform, shop, account)
SETTINGS {{.Window}};

CREATE DICTIONARY IF NOT EXISTS {{.Database}}.identity_overrides_dict {{.OnCluster}}
(
    platform String,
    shop String,
    account String,
    customer_id UUID
)
PRIMARY KEY platform, shop, account
SOURCE(CLICKHOUSE({{.DictionaryUser}} QUERY 'SELECT platform, shop, account, customer_id FROM {{.Database}}.identity_overrides FINAL' INVALIDATE_QUERY 'SELECT max(version), count() FROM {{.Database}}.identity_overrides'))
LAYOUT(COMPLEX_KEY_HASHED())
LIFETIME(MIN 1 MAX 2);

-- What one squash folds into the facts; empty between two of them.
CREATE TABLE IF NOT EXISTS {{.Database}}.squash_snapshot {{.OnCluster}}
(
    platform LowCardinality(String),
    shop LowCardinality(String),
    account String,
    customer_id UUID,
    version UInt64
)
ENGINE = {{.Replacing "version"}}
ORDER BY (platform, shop, account)
SETTINGS {{.Window}};

CREATE DICTIONARY IF NOT EXISTS {{.Database}}.squash_dict {{.OnCluster}}
(
    platform String,
    shop String,
    account String,
    customer_id UUID,
    version UInt64
)
PRIMARY KEY platform, shop, account
SOURCE(CLICKHOUSE({{.DictionaryUser}} QUERY 'SELECT platform, shop, account, customer_id, version FROM {{.Database}}.squash_snapshot FINAL'))
LAYOUT(COMPLEX_KEY_HASHED())
LIFETIME(0);

-- Where a customer_id that was handed out leads to.
CREATE TABLE IF NOT EXISTS {{.Database}}.redirects {{.OnCluster}}
(
    from_customer_id UUID,
    to_customer_id UUID,
    since DateTime64(3, 'UTC'),
    version UInt64
)
ENGINE = {{.Replacing "version"}}
ORDER BY from_customer_id
SETTINGS index_granularity = 256, {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.evidence {{.OnCluster}}
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
ENGINE = {{.Aggregating}}
PARTITION BY platform
ORDER BY (platform, shop, account, type, hash, role, source)
SETTINGS index_granularity = 256, {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.evidence_by_identifier {{.OnCluster}}
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
ENGINE = {{.Aggregating}}
ORDER BY (hash, type, platform, shop, account, role, source)
SETTINGS index_granularity = 256, {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.evidence_to_identifier {{.OnCluster}} TO {{.Database}}.evidence_by_identifier
AS SELECT hash, type, platform, shop, account, role, source, first_seen, last_seen FROM {{.Database}}.evidence;

-- The values behind the hashes, sealed: all of a person's that there is in plain form, so that
-- erasing is cheap.
CREATE TABLE IF NOT EXISTS {{.Database}}.identifier_values {{.OnCluster}}
(
    hash FixedString(16),
    type LowCardinality(String),
    sealed String CODEC(NONE)
)
ENGINE = {{.Replacing ""}}
ORDER BY (hash, type)
SETTINGS index_granularity = 256, {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.decisions {{.OnCluster}}
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
ENGINE = {{.Replacing "version"}}
ORDER BY decision_id
SETTINGS {{.Window}};

-- What could not be mapped, decoded or stored, without its bytes, which lie sealed in Kafka.
CREATE TABLE IF NOT EXISTS {{.Database}}.dead_letters {{.OnCluster}}
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
ENGINE = {{.Replacing "attempts"}}
ORDER BY letter_id
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.evidence_to_memberships {{.OnCluster}} TO {{.Database}}.memberships
AS SELECT platform, shop, account FROM {{.Database}}.evidence WHERE role = 'member';
