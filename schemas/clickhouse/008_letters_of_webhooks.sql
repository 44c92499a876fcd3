-- What a webhook refused is a dead letter too.
CREATE OR REPLACE VIEW {{.Database}}.dead_letters {{.OnCluster}}
(
    letter_id String COMMENT 'Names the letter: what is wrong with it comes once, however often it is read',
    platform String COMMENT 'Platform that it came from; empty where the message does not say so',
    shop String COMMENT 'Shop on the platform',
    stream String COMMENT 'Stream of the connector, or kind of the file',
    reason String COMMENT 'read, map, too_large, decode, open, store or deliver: the step that refused it',
    detail String COMMENT 'What is wrong with it, in words of the program: no value of the record is repeated',
    origin String COMMENT 'Where it came from: page, file and line, or topic, partition and offset',
    attempts UInt32 COMMENT 'How often it was tried',
    first_seen_at DateTime('{{.Timezone}}') COMMENT 'When it was refused for the first time',
    state String COMMENT 'open; replayed: it is in the other views now; dropped: a person has given it up',
    changed_at Nullable(DateTime('{{.Timezone}}')) COMMENT 'When it was tried again, replayed or dropped; NULL before'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    letter_id, toString(platform) AS platform, toString(shop) AS shop, toString(stream) AS stream, toString(reason) AS reason, detail, origin, attempts,
    {{.Time "toDateTime(s.first_seen_at)"}} AS first_seen_at,
    toString(state) AS state,
    {{.MaybeTime "toDateTime(s.changed_at)"}} AS changed_at
FROM {{.Database}}.dead_letter_states AS s FINAL
COMMENT 'What could not be loaded, and why. Its bytes are not here: they are sealed, and shown by `oneid deadletter show` to who may see them. BI may read this view: it holds no personal value';
