-- Pairs of accounts that the model of identity finds alike and that were two customers when it was
-- found: what a person may be asked about. The newest row of a pair counts, while its accounts are two
-- customers still (identity_map). Parts tell the weight's parts, without a value in them.
CREATE TABLE IF NOT EXISTS {{.Database}}.resemblances {{.OnCluster}}
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
ENGINE = {{.Replacing "version"}}
PARTITION BY platform
ORDER BY (platform, shop, account, other_platform, other_shop, other_account)
SETTINGS index_granularity = 256, {{.Window}};
