-- What an account has had, for look-ups: two columns that are read instead of sixteen, and one text
-- to find them by. A look-up's cost lies in how many columns it opens, not in their bytes; the
-- table of 001 in the order of accounts took three times as long to read. Every version may be
-- here, and an order's under each account that it had: the reader takes the newest.
-- about: kind, id, order_id, status, the platform's status (of a ticket: its kind), subject,
-- created_at and paid_at in seconds, currency, minor, is_deleted, version in 32 hexadecimal digits.
CREATE TABLE IF NOT EXISTS {{.Database}}.history_by_account {{.OnCluster}}
(
    account String,
    kind LowCardinality(String),
    id String,
    version UInt128,
    about Array(String)
)
ENGINE = {{.Replacing "version"}}
ORDER BY (account, kind, id)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, max_compress_block_size = 16384, {{.Window}};
{{define "order"}}SELECT concat(platform, '/', shop, '/', o.account) AS account, 'order' AS kind, order_id AS id, version,
    ['order', order_id, order_id, toString(status), toString(platform_status), '', toString(toUnixTimestamp(created_at)), toString(toUnixTimestamp(paid_at)),
        toString(currency), toString(paid_minor), toString(is_deleted), leftPad(hex(version), 32, '0')] AS about
FROM {{.Database}}.orders AS o{{end}}
{{define "refund"}}SELECT concat(platform, '/', shop, '/', r.account) AS account, 'refund' AS kind, refund_id AS id, version,
    ['refund', refund_id, order_id, toString(status), '', '', toString(toUnixTimestamp(created_at)), '0',
        toString(currency), toString(refund_minor), toString(is_deleted), leftPad(hex(version), 32, '0')] AS about
FROM {{.Database}}.refunds AS r{{end}}
{{define "ticket"}}SELECT concat(platform, '/', shop, '/', t.account) AS account, 'ticket' AS kind, ticket_id AS id, version,
    ['ticket', ticket_id, order_id, toString(status), toString(t.kind), subject, toString(toUnixTimestamp(created_at)), '0',
        '', '0', toString(is_deleted), leftPad(hex(version), 32, '0')] AS about
FROM {{.Database}}.tickets AS t{{end}}
{{define "member"}}SELECT concat(platform, '/', shop, '/', m.account) AS account, 'member' AS kind, '' AS id, toUInt128(0) AS version,
    ['member', '', '', '', '', '', '0', '0', '', '0', '0', '00000000000000000000000000000000'] AS about
FROM {{.Database}}.memberships AS m{{end}}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.orders_to_history {{.OnCluster}} TO {{.Database}}.history_by_account
AS {{template "order" .}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.refunds_to_history {{.OnCluster}} TO {{.Database}}.history_by_account
AS {{template "refund" .}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.tickets_to_history {{.OnCluster}} TO {{.Database}}.history_by_account
AS {{template "ticket" .}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.memberships_to_history {{.OnCluster}} TO {{.Database}}.history_by_account
AS {{template "member" .}};

-- What was there before. A row that the views above have brought meanwhile is brought once more,
-- and so is all if this is cut off and begins anew: that changes nothing.
INSERT INTO {{.Database}}.history_by_account
{{template "order" .}};

INSERT INTO {{.Database}}.history_by_account
{{template "refund" .}};

INSERT INTO {{.Database}}.history_by_account
{{template "ticket" .}};

INSERT INTO {{.Database}}.history_by_account
{{template "member" .}};

DROP VIEW IF EXISTS {{.Database}}.orders_to_account {{.OnCluster}};

DROP VIEW IF EXISTS {{.Database}}.refunds_to_account {{.OnCluster}};

DROP VIEW IF EXISTS {{.Database}}.tickets_to_account {{.OnCluster}};

DROP VIEW IF EXISTS {{.Database}}.memberships_to_account {{.OnCluster}};

DROP TABLE IF EXISTS {{.Database}}.entities_by_account {{.OnCluster}};
