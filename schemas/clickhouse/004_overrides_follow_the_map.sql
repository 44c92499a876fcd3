-- An override says which account's facts may bear an older customer; which customer is today's, the
-- account's mapping alone says. So an override that comes late, after newer ones were folded into
-- the facts, does no harm. One whose version is 2^63 plus a time in seconds watches an account: a
-- resolver that was declared dead may still insert facts of it with an older customer.
CREATE OR REPLACE DICTIONARY {{.Database}}.identity_overrides_dict {{.OnCluster}}
(
    platform String,
    shop String,
    account String,
    customer_id UUID
)
PRIMARY KEY platform, shop, account
SOURCE(CLICKHOUSE({{.DictionaryUser}} QUERY 'SELECT platform, shop, account, customer_id FROM {{.Database}}.identity_map FINAL WHERE (platform, shop, account) IN (SELECT platform, shop, account FROM {{.Database}}.identity_overrides)' INVALIDATE_QUERY 'SELECT maxIf(version, version < 9223372036854775808), max(version), count() FROM {{.Database}}.identity_overrides'))
LAYOUT(COMPLEX_KEY_HASHED())
LIFETIME(MIN 1 MAX 2);
