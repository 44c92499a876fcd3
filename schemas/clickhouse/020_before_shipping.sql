-- Tmall and Weidian say of a refund only how its order stands now: of a refunded one that it is
-- closed. Whether the goods had been sent says the order, by when they were; each of the three
-- platforms gives that of an order that it ships. One of theirs that was closed without was never
-- sent; a file of another source may lack the column.
CREATE OR REPLACE VIEW {{.Database}}.customer_refunds {{.OnCluster}}
(
    platform String COMMENT 'Platform: tmall, douyin, weidian, file …',
    shop String COMMENT 'Shop on the platform',
    refund_id String COMMENT 'The platform''s number of the refund, unique in the shop',
    order_id String COMMENT 'Order that it belongs to',
    item_id String COMMENT 'Item that it belongs to; empty for the whole order',
    account String COMMENT 'Account of the buyer, platform/shop/id',
    customer_id UUID COMMENT 'Customer of the account, today',
    status String COMMENT 'requested, approved, returned, refused, closed, succeeded or unknown',
    platform_status String COMMENT 'The platform''s own word for the status',
    refund_type String COMMENT 'refund, return, exchange …',
    reason String COMMENT 'Reason that the buyer chose',
    refund_amount Decimal(18, 2) COMMENT 'Amount asked for, or given back once it succeeded',
    currency String COMMENT 'ISO 4217 code of the amount',
    before_shipping Nullable(UInt8) COMMENT '1 for a refund that was asked for before the goods were sent, 0 for one after; NULL where neither the platform nor the order says',
    created_at DateTime('{{.Timezone}}') COMMENT 'When it was asked for',
    finished_at Nullable(DateTime('{{.Timezone}}')) COMMENT 'When it ended; NULL while it is open'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    toString(r.platform) AS platform,
    toString(r.shop) AS shop,
    r.refund_id AS refund_id,
    r.order_id AS order_id,
    r.item_id AS item_id,
    concat(r.platform, '/', r.shop, '/', r.account) AS account,
    r.customer_id AS customer_id,
    toString(r.status) AS status,
    toString(r.platform_status) AS platform_status,
    toString(r.refund_type) AS refund_type,
    r.reason AS reason,
    {{.Amount "r.refund_minor" "r.unit"}} AS refund_amount,
    toString(r.currency) AS currency,
    multiIf(
        r.before_shipping = 1, 1,
        o.order_id = '', NULL,
        o.shipped_at > toDateTime(0, 'UTC'), if(r.created_at > toDateTime(0, 'UTC'), toUInt8(r.created_at < o.shipped_at), NULL),
        o.status IN ('created', 'paid'), 1,
        o.status = 'closed' AND r.platform IN ('tmall', 'douyin', 'weidian'), 1,
        NULL) AS before_shipping,
    {{.Time "r.created_at"}} AS created_at,
    {{.MaybeTime "r.finished_at"}} AS finished_at
FROM {{.Database}}.refunds_now AS r
LEFT ANY JOIN
(
    SELECT platform, shop, order_id, shipped_at, status, sipHash128(platform, shop, order_id) AS hash
    FROM {{.Database}}.orders FINAL
    WHERE sipHash128(platform, shop, order_id) IN (SELECT sipHash128(platform, shop, order_id) FROM {{.Database}}.refunds)
) AS o ON o.hash = sipHash128(r.platform, r.shop, r.order_id)
COMMENT 'Every refund, return and exchange, in its newest version';
