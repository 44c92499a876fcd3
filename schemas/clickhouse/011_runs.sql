-- What ran: one row a run. Of a stream that is pulled every few seconds, runs that found nothing are
-- counted in the next row.
CREATE TABLE IF NOT EXISTS {{.Database}}.runs {{.OnCluster}}
(
    run_id String,
    pipeline LowCardinality(String),
    job LowCardinality(String),
    task LowCardinality(String),
    platform LowCardinality(String),
    shop LowCardinality(String),
    stream LowCardinality(String),
    reason LowCardinality(String),
    state LowCardinality(String),
    scheduled_at DateTime64(3, 'UTC'),
    started_at DateTime64(3, 'UTC'),
    ended_at DateTime64(3, 'UTC'),
    pages UInt64,
    records UInt64,
    events UInt64,
    dead_letters UInt64,
    lag_ms Int64,
    waited_ms Int64,
    quiet_runs UInt64,
    error String,
    machine LowCardinality(String)
)
ENGINE = {{.Replacing ""}}
ORDER BY (job, started_at, run_id)
TTL toDateTime(started_at) + INTERVAL 400 DAY
SETTINGS {{.Window}};

CREATE OR REPLACE VIEW {{.Database}}.pipeline_runs {{.OnCluster}}
(
    run_id String COMMENT 'Names the run; the runId of its OpenLineage events',
    pipeline String COMMENT 'Name of the pipeline, as in its file',
    job String COMMENT 'What ran: pull/PLATFORM/SHOP/STREAM, reconcile, squash, backup …',
    task String COMMENT 'pull, reconcile, squash, backup, replay or import',
    platform String COMMENT 'Platform of the stream; empty for what is of no shop',
    shop String COMMENT 'Shop on the platform',
    stream String COMMENT 'Stream of the connector',
    reason String COMMENT 'schedule; catch_up: it was missed while nobody ran; retry: the run before failed; manual: by `oneid run`',
    state String COMMENT 'succeeded; failed; stopped: it was asked to end, or another process took over',
    scheduled_at Nullable(DateTime('{{.Timezone}}')) COMMENT 'The time of the schedule that it ran for; NULL for one by hand',
    started_at DateTime('{{.Timezone}}') COMMENT 'When it began',
    ended_at DateTime('{{.Timezone}}') COMMENT 'When it ended',
    seconds Float64 COMMENT 'How long it took',
    pages UInt64 COMMENT 'Pages that were read and published',
    records UInt64 COMMENT 'Records in them; of other tasks what they count, such as files or accounts',
    events UInt64 COMMENT 'Events that were published',
    dead_letters UInt64 COMMENT 'Records that became dead letters',
    lag_seconds Nullable(Float64) COMMENT 'How far behind the present the stream was at the end; NULL where that is not known',
    waited_seconds Float64 COMMENT 'How much of it was waiting for limits of the platform',
    quiet_runs UInt64 COMMENT 'Runs before this one that found nothing new and have no row of their own',
    error String COMMENT 'What went wrong, in words of the program; empty if nothing did',
    machine String COMMENT 'Where it ran'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, toString(pipeline) AS pipeline, toString(job) AS job, toString(task) AS task,
    toString(platform) AS platform, toString(shop) AS shop, toString(stream) AS stream,
    toString(reason) AS reason, toString(state) AS state,
    {{.MaybeTime "toDateTime(r.scheduled_at)"}} AS scheduled_at,
    {{.Time "toDateTime(r.started_at)"}} AS started_at,
    {{.Time "toDateTime(r.ended_at)"}} AS ended_at,
    (toUnixTimestamp64Milli(r.ended_at) - toUnixTimestamp64Milli(r.started_at)) / 1000 AS seconds,
    pages, records, events, dead_letters,
    if(lag_ms < 0, NULL, lag_ms / 1000) AS lag_seconds,
    waited_ms / 1000 AS waited_seconds,
    quiet_runs, error, toString(machine) AS machine
FROM {{.Database}}.runs AS r FINAL
COMMENT 'What ran, when, for how long, and how it ended: each run of a pipeline. BI may read this view: it holds no personal value';
