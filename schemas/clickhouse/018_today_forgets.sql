-- What shows today forgets what was taken back: an account that came back to its customer is there
-- since it came first, and by what brought it then. Every move, there and back, is in account_history.
-- Only who has moved twice can have come back, so the history is asked about those alone.
CREATE OR REPLACE VIEW {{.Database}}.identity_map_current {{.OnCluster}}
(
    account String COMMENT 'Account, platform/shop/id',
    customer_id UUID COMMENT 'Customer that it belongs to, today',
    since DateTime('{{.Timezone}}') COMMENT 'When it first came to that customer; account_history says whether it was elsewhere in between',
    why String COMMENT 'What brought it there then: born; merged, and the kinds of what holds it to others; or split'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    concat(m.platform, '/', m.shop, '/', m.account) AS account,
    m.customer_id AS customer_id,
    toTimeZone(toDateTime(if(notEmpty(came.reason), came.at, m.since)), '{{.Timezone}}') AS since,
    if(notEmpty(came.reason), came.reason, m.reason) AS why
FROM {{.Database}}.identity_map AS m FINAL
LEFT ANY JOIN
(
    SELECT platform, shop, account, customer_id, argMin(h.at, h.version) AS at, argMin(h.reason, h.version) AS reason
    FROM {{.Database}}.identity_history AS h
    WHERE (platform, shop, account) IN
    (
        SELECT platform, shop, account FROM {{.Database}}.identity_history
        WHERE previous_customer_id != toUUID('00000000-0000-0000-0000-000000000000')
        GROUP BY platform, shop, account
        HAVING count() > 1
    )
    GROUP BY platform, shop, account, customer_id
    HAVING count() > 1
) AS came ON came.platform = m.platform AND came.shop = m.shop AND came.account = m.account AND came.customer_id = m.customer_id
COMMENT 'Which customer each account belongs to today, since when, and why';

-- When an id was left, by whom and for which customer, is in account_history.
CREATE OR REPLACE VIEW {{.Database}}.customer_redirects {{.OnCluster}}
(
    customer_id UUID COMMENT 'An id that no customer bears today',
    leads_to UUID COMMENT 'The living customer that it has become'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    from_customer_id AS customer_id,
    to_customer_id AS leads_to
FROM {{.Database}}.redirects AS r FINAL
WHERE from_customer_id != to_customer_id AND from_customer_id IN (SELECT customer_id FROM {{.Database}}.identity_map_by_customer)
COMMENT 'Where each customer_id that was merged away leads to';
