-- What the platforms were asked to decrypt, and for whom: a row for each order and call, written before
-- the platform is called, and once more with what came of it (the higher stage). No value is in it.
CREATE TABLE IF NOT EXISTS {{.Database}}.decryptions {{.OnCluster}}
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
ENGINE = {{.Replacing "stage"}}
PARTITION BY platform
ORDER BY (platform, shop, order_id, id)
SETTINGS {{.Window}};
