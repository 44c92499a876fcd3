-- What was, for audits: which customer an account was at any moment, and where an id went.
CREATE OR REPLACE VIEW {{.Database}}.account_history {{.OnCluster}}
(
    account String COMMENT 'Account, platform/shop/id',
    moved_at DateTime64(3, '{{.Timezone}}') COMMENT 'Since when it was of the customer: until its next move, or today',
    customer_id UUID COMMENT 'Customer that it came to, by the id of that time',
    previous_customer_id Nullable(UUID) COMMENT 'Customer that it left; NULL where it was seen for the first time',
    why String COMMENT 'born; merged, and the kinds of what holds it to others; or split',
    move UInt64 COMMENT 'Puts the moves of an account in their order'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    concat(platform, '/', shop, '/', h.account) AS account,
    toTimeZone(at, '{{.Timezone}}') AS moved_at,
    customer_id,
    if(h.previous_customer_id = toUUID('00000000-0000-0000-0000-000000000000'), NULL, h.previous_customer_id) AS previous_customer_id,
    reason AS why,
    version AS move
FROM {{.Database}}.identity_history AS h FINAL
COMMENT 'Every move of every account to a customer, from its first one on';

-- An account that was born into a customer has an id of its own that nobody was ever given.
CREATE OR REPLACE VIEW {{.Database}}.customer_redirects {{.OnCluster}}
(
    customer_id UUID COMMENT 'An id that no customer bears today',
    leads_to UUID COMMENT 'The living customer that it has become',
    since DateTime('{{.Timezone}}') COMMENT 'Since when it leads there'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    from_customer_id AS customer_id,
    to_customer_id AS leads_to,
    toTimeZone(toDateTime(r.since), '{{.Timezone}}') AS since
FROM {{.Database}}.redirects AS r FINAL
WHERE from_customer_id != to_customer_id AND from_customer_id IN (SELECT customer_id FROM {{.Database}}.identity_map_by_customer)
COMMENT 'Where each customer_id that was merged away leads to';
