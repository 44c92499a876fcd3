-- The dictionary of accounts that have moved is loaded by who resolves, as often as suits what that
-- costs; by itself about once a minute, should nobody do it.
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
LIFETIME(MIN 40 MAX 60);

-- Merging orders was more than half of all merging: their many columns go one after the other, also
-- in small merges, which takes half as long as row by row; and more parts at once, so that a row is
-- written again less often.
ALTER TABLE {{.Database}}.orders {{.OnCluster}} MODIFY SETTING vertical_merge_algorithm_min_rows_to_activate = 1, min_parts_to_merge_at_once = 16;
