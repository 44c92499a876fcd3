-- What has become of each dead letter, without its bytes: those lie sealed in Kafka, at bytes_at.
-- A letter's state is written again whenever it changes; version says which one counts. The table
-- of 002 had no room for that, and nothing was ever written to it.
DROP TABLE IF EXISTS {{.Database}}.dead_letters {{.OnCluster}};

CREATE TABLE IF NOT EXISTS {{.Database}}.dead_letter_states {{.OnCluster}}
(
    letter_id String,
    platform LowCardinality(String),
    shop LowCardinality(String),
    stream LowCardinality(String),
    reason LowCardinality(String),
    detail String,
    origin String,
    attempts UInt32,
    first_seen_at DateTime64(3, 'UTC'),
    state LowCardinality(String),
    changed_at DateTime64(3, 'UTC'),
    changed_by String,
    bytes_at Int64,
    version UInt64
)
ENGINE = {{.Replacing "version"}}
ORDER BY letter_id
SETTINGS {{.Window}};

CREATE OR REPLACE VIEW {{.Database}}.dead_letters {{.OnCluster}}
(
    letter_id String COMMENT 'Names the letter: what is wrong with it comes once, however often it is read',
    platform String COMMENT 'Platform that it came from; empty where the message does not say so',
    shop String COMMENT 'Shop on the platform',
    stream String COMMENT 'Stream of the connector, or kind of the file',
    reason String COMMENT 'read, map, too_large, decode, open or store: the step that refused it',
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

-- Who has seen what is sealed. It names things by their ids and holds no value of a person.
CREATE TABLE IF NOT EXISTS {{.Database}}.audit {{.OnCluster}}
(
    at DateTime64(3, 'UTC'),
    who String,
    action LowCardinality(String),
    object String,
    id UUID
)
ENGINE = {{.Replacing ""}}
ORDER BY (at, id)
SETTINGS {{.Window}};
