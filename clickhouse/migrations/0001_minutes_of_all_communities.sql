-- decisions_by_minute loses its community (a row a minute and community was hardly an aggregate), and
-- decisions_by_hour is filled from the logs instead of from it. Nothing is counted anew: states merge.

DROP VIEW IF EXISTS moderation.decisions_by_hour_from_minutes;

DROP VIEW IF EXISTS moderation.decisions_by_minute_from_logs;

RENAME TABLE moderation.decisions_by_minute TO moderation.decisions_by_minute_0001;

CREATE TABLE moderation.decisions_by_minute
(
    minute      DateTime('UTC')                           COMMENT 'Start of the minute in which the content was posted' CODEC(Delta, ZSTD(1)),
    mode        Enum8('live' = 1, 'shadow' = 2)           COMMENT 'Shadow decisions are logged and never acted on',
    action      Enum8('allow' = 1, 'review' = 2, 'block' = 3) COMMENT 'What was decided',
    category    LowCardinality(String)                    COMMENT 'The category that decided; empty when allowed',
    decisions   AggregateFunction(uniq, String)           COMMENT 'Distinct final decisions: uniqMerge(decisions); exact to 65,536 a group' CODEC(ZSTD(1)),
    authors     AggregateFunction(uniq, String)           COMMENT 'Distinct authors: uniqMerge(authors)' CODEC(ZSTD(1)),
    latency_max SimpleAggregateFunction(max, Float32)     COMMENT 'The slowest decision, in milliseconds'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, mode, action, category)
COMMENT 'Decisions by minute, of all communities; a replay is not counted twice';

INSERT INTO moderation.decisions_by_minute
SELECT minute, mode, action, category, uniqMergeState(decisions), uniqMergeState(authors), max(latency_max)
FROM moderation.decisions_by_minute_0001
GROUP BY minute, mode, action, category;

DROP TABLE moderation.decisions_by_minute_0001
