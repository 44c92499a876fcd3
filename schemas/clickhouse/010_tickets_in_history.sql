-- What the service desk wants to know of a ticket besides its status: behind the version stand the
-- channel, the priority, first_answer_at and solved_at in seconds, who handles it and the rating.
-- Rows of before, which end with the version, stay: of two rows of one version the longer counts.
{{define "ticket"}}SELECT concat(platform, '/', shop, '/', t.account) AS account, 'ticket' AS kind, ticket_id AS id, version,
    ['ticket', ticket_id, order_id, toString(status), toString(t.kind), subject, toString(toUnixTimestamp(created_at)), '0',
        '', '0', toString(is_deleted), leftPad(hex(version), 32, '0'),
        toString(channel), toString(priority), toString(toUnixTimestamp(first_answer_at)), toString(toUnixTimestamp(solved_at)), agent, toString(satisfaction)] AS about
FROM {{.Database}}.tickets AS t{{end}}
DROP VIEW IF EXISTS {{.Database}}.tickets_to_history {{.OnCluster}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.tickets_to_history {{.OnCluster}} TO {{.Database}}.history_by_account
AS {{template "ticket" .}};

-- What was there before, and what came between the two statements above.
INSERT INTO {{.Database}}.history_by_account
{{template "ticket" .}};
