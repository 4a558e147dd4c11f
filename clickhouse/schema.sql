-- The tables of Breakwater, the same on a ClickHouse server and on the embedded engine (chdb).
--
-- Every statement may be run again: apply it with `breakwater schema apply`, or with
-- `clickhouse-client --multiquery < clickhouse/schema.sql`.
--
-- How the tables are laid out:
--   * A row's identity is its ORDER BY; the newest row of one identity wins (ReplacingMergeTree), so a
--     repeated message or a replay after a crash leaves one row. Read with FINAL.
--   * Partitions and the head of the order are the event's own time, never the time of the insert: a
--     replayed row meets its first copy, and a question about some days reads only these days. So a
--     repeat is one that carries the same created_at; another created_at under the same id within the
--     same day is a repeat too.
--   * With rows of one identity always in one partition, FINAL need not merge across partitions:
--     the queries set do_not_merge_across_partitions_select_final = 1.
--   * '' and 1970-01-01 stand for "not known": Nullable costs a second column and is used nowhere.

CREATE DATABASE IF NOT EXISTS moderation;

CREATE TABLE IF NOT EXISTS moderation.schema_migrations
(
    name       String                                     COMMENT 'File of clickhouse/migrations, without .sql',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)      COMMENT 'When it was applied, or the tables made with it in them'
)
ENGINE = ReplacingMergeTree
ORDER BY name
COMMENT 'Migrations that these tables have behind them';

CREATE TABLE IF NOT EXISTS moderation.legal_holds
(
    author_id String                                      COMMENT 'Whose contents are kept, now and later',
    held      Bool DEFAULT true                           COMMENT 'Always true: what joinGet gives of them, false of all others',
    held_at   DateTime64(3, 'UTC') DEFAULT now64(3)       COMMENT 'Since when'
)
ENGINE = Join(ANY, LEFT, author_id)
COMMENT 'Authors under legal hold, in memory and on disk: content.legal_hold of a new row is looked up here';

CREATE TABLE IF NOT EXISTS moderation.content
(
    content_id        String                              COMMENT 'Id of the content, as its platform gave it' CODEC(ZSTD(1)),
    revision          UInt32                              COMMENT 'Edits have higher revisions; 0 is the first' CODEC(T64, ZSTD(1)),
    created_at        DateTime64(3, 'UTC')                COMMENT 'When the author posted it' CODEC(Delta, ZSTD(1)),
    author_id         String                              COMMENT 'Who posted it; users.user_id' CODEC(ZSTD(1)),
    author_created_at DateTime64(3, 'UTC')                COMMENT 'When the account was made; 1970 when not known' CODEC(ZSTD(1)),
    kind              Enum8('post' = 1, 'comment' = 2, 'message' = 3, 'profile' = 4, 'video_frame' = 5) COMMENT 'What sort of content',
    community         LowCardinality(String)              COMMENT 'Where it was posted; empty for none',
    language          LowCardinality(String)              COMMENT 'BCP 47 tag the producer gave; empty when not known',
    parent_id         String                              COMMENT 'What it answers, or the video of a frame; empty for none' CODEC(ZSTD(1)),
    text              String                              COMMENT 'Text as posted; gone 30 days after an allowing decision' CODEC(ZSTD(3)),
    image_ids         Array(String)                       COMMENT 'Ids of its images; their bytes are never stored' CODEC(ZSTD(1)),
    image_uris        Array(String)                       COMMENT 'Where each image is, in the order of image_ids; empty for images sent inline' CODEC(ZSTD(1)),
    action            Enum8('allow' = 1, 'review' = 2, 'block' = 3) COMMENT 'What was decided; retention depends on it',
    decided_at        DateTime64(3, 'UTC')                COMMENT 'When it was decided; retention counts from here' CODEC(Delta, ZSTD(1)),
    legal_hold        Bool DEFAULT joinGet('moderation.legal_holds', 'held', author_id) COMMENT 'Kept whatever its age, and never forgotten, while true',
    cluster           String MATERIALIZED if(
        action = 'allow',
        '',
        if(
            match(left(text, 4000), '(?i)https?://'),
            concat('link ', left(extract(lower(left(text, 4000)), 'https?://(?:www\\.)?([^/\\s:?#]+)'), 253)),
            concat('text ', left(trim(replaceRegexpAll(lowerUTF8(left(text, 400)), '\\PL+', ' ')), 40))
        )
    ) COMMENT 'Of moderated content: link and the domain of the first one, or text and its first 40 letters' CODEC(ZSTD(1)),
    version           UInt64 DEFAULT toUnixTimestamp64Milli(decided_at)                        COMMENT 'The row with the highest version of one identity wins' CODEC(Delta, ZSTD(1)),
    INDEX content_id_bloom content_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX author_id_bloom  author_id  TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX text_tokens      lower(text) TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(created_at)
ORDER BY (toYYYYMMDD(created_at), content_id, revision)
TTL toDateTime(decided_at) + INTERVAL 30 DAY DELETE WHERE action = 'allow' AND NOT legal_hold
COMMENT 'What was posted, one row a revision; image bytes are never stored';

CREATE TABLE IF NOT EXISTS moderation.moderation_logs
(
    decision_id     String                                COMMENT 'Deterministic: equal for every repeat of the same message' CODEC(ZSTD(1)),
    content_id      String                                COMMENT 'What was decided; content.content_id' CODEC(ZSTD(1)),
    revision        UInt32                                COMMENT 'Which revision of the content' CODEC(T64, ZSTD(1)),
    user_id         String                                COMMENT 'The author, as author_id in the messages' CODEC(ZSTD(1)),
    community       LowCardinality(String)                COMMENT 'Where it was posted; empty for none',
    kind            Enum8('post' = 1, 'comment' = 2, 'message' = 3, 'profile' = 4, 'video_frame' = 5) COMMENT 'What sort of content',
    action          Enum8('allow' = 1, 'review' = 2, 'block' = 3) COMMENT 'What was decided',
    category        LowCardinality(String)                COMMENT 'The category that decided; empty when allowed',
    reason          String                                COMMENT 'In words: the category, its probability, and the rule or model behind it' CODEC(ZSTD(1)),
    stage           LowCardinality(String)                COMMENT 'Stage of the signal that decided; empty when allowed',
    rule            LowCardinality(String)                COMMENT 'Rule, hash entry or model of that signal; empty when allowed',
    top_category    LowCardinality(String)                COMMENT 'Category of the highest probability, whatever the action; empty without scores',
    top_score       Float32                               COMMENT 'The highest probability of any category, 0 to 1' CODEC(ZSTD(1)),
    scores          Map(LowCardinality(String), Float32)  COMMENT 'Probability of every category, 0 to 1' CODEC(ZSTD(1)),
    rules           Array(LowCardinality(String))         COMMENT 'Rules and hash entries that fired, each once' CODEC(ZSTD(1)),
    signals         String                                COMMENT 'JSON array of {stage, rule, category, score, evidence}' CODEC(ZSTD(3)),
    final           Bool                                  COMMENT 'False on the quick answer while images are still being scored',
    mode            Enum8('live' = 1, 'shadow' = 2)       COMMENT 'Shadow decisions are logged and never acted on',
    degraded        Array(LowCardinality(String))         COMMENT 'Stages that could not do their part',
    policy_version  LowCardinality(String)                COMMENT 'Policy that decided',
    ruleset_version LowCardinality(String)                COMMENT 'Rules and hash lists that were in force',
    model_versions  Map(LowCardinality(String), LowCardinality(String)) COMMENT 'Version of each model that scored it',
    created_at      DateTime64(3, 'UTC')                  COMMENT 'When the author posted it' CODEC(Delta, ZSTD(1)),
    author_created_at DateTime64(3, 'UTC')                COMMENT 'When the account was made; 1970 when not known' CODEC(ZSTD(1)),
    language        LowCardinality(String)                COMMENT 'BCP 47 tag the producer gave; empty when not known',
    timestamp       DateTime64(3, 'UTC')                  COMMENT 'When it was decided, as decided_at in the messages' CODEC(Delta, ZSTD(1)),
    latency_ms      Float32                               COMMENT 'From receipt to decision, in milliseconds' CODEC(ZSTD(1)),
    stage_ms        Map(LowCardinality(String), Float32)  COMMENT 'What it waited for each stage, in milliseconds; of one content in 16, drawn by its id' CODEC(ZSTD(1)),
    version         UInt64 DEFAULT toUnixTimestamp64Milli(timestamp) + bitShiftLeft(toUInt64(final), 61) COMMENT 'The row with the highest version of one identity wins: the live, then the final, then the latest decision' CODEC(Delta, ZSTD(1)),
    INDEX content_id_bloom content_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX user_id_bloom    user_id    TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(created_at)
ORDER BY (toYYYYMMDD(created_at), content_id, revision, mode)
COMMENT 'Decisions, one row a content revision and mode; the final one replaces the quick one';

CREATE TABLE IF NOT EXISTS moderation.model_outputs
(
    content_id       String                               COMMENT 'What was scored; content.content_id' CODEC(ZSTD(1)),
    revision         UInt32                               COMMENT 'Which revision of the content' CODEC(T64, ZSTD(1)),
    model            LowCardinality(String)               COMMENT 'Which model, as the registry names it',
    model_version    LowCardinality(String)               COMMENT 'Which version of it',
    model_prediction LowCardinality(String)               COMMENT 'The category the model gives it; empty for none',
    confidence       Float32                              COMMENT 'Probability of model_prediction, 0 to 1' CODEC(ZSTD(1)),
    scores           Map(LowCardinality(String), Float32) COMMENT 'Probability of each category the model knows, 0 to 1' CODEC(ZSTD(1)),
    created_at       DateTime64(3, 'UTC')                 COMMENT 'When the content was posted' CODEC(Delta, ZSTD(1)),
    version          UInt64 DEFAULT toUnixTimestamp64Milli(now64(3)) COMMENT 'The row with the highest version of one identity wins' CODEC(Delta, ZSTD(1)),
    INDEX content_id_bloom content_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(created_at)
ORDER BY (toYYYYMMDD(created_at), model, content_id, revision, model_version)
COMMENT 'What each model said, one row a content revision, model and version';

CREATE TABLE IF NOT EXISTS moderation.human_labels
(
    label_id    String                                    COMMENT 'Id of the label; a repeat carries the same' CODEC(ZSTD(1)),
    content_id  String                                    COMMENT 'What was labelled; content.content_id' CODEC(ZSTD(1)),
    revision    UInt32                                    COMMENT 'Which revision of the content' CODEC(T64, ZSTD(1)),
    true_label  LowCardinality(String)                    COMMENT 'The category a person gives it; empty for none',
    action      Enum8('allow' = 1, 'review' = 2, 'block' = 3) COMMENT 'What the person would have done',
    reviewer_id String                                    COMMENT 'Who labelled it' CODEC(ZSTD(1)),
    source      Enum8('review' = 1, 'appeal' = 2, 'golden' = 3, 'user_report' = 4) COMMENT 'What asked for the label',
    labeled_at  DateTime64(3, 'UTC')                      COMMENT 'When the person answered' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(labeled_at)
PARTITION BY toYYYYMM(labeled_at)
ORDER BY (content_id, revision, label_id)
COMMENT 'What people say, one row a label; several people may label one content';

CREATE VIEW IF NOT EXISTS moderation.label_answers
(
    content_id  String                                    COMMENT 'What was labelled; content.content_id',
    revision    UInt32                                    COMMENT 'Which revision of the content',
    answer      LowCardinality(String)                    COMMENT 'The category that it is of, empty when the label allows it',
    action      Enum8('allow' = 1, 'review' = 2, 'block' = 3) COMMENT 'What the person would have done',
    reviewer_id String                                    COMMENT 'Who labelled it',
    source      Enum8('review' = 1, 'appeal' = 2, 'golden' = 3, 'user_report' = 4) COMMENT 'What asked for the label',
    labeled_at  DateTime64(3, 'UTC')                      COMMENT 'When the person answered'
)
AS SELECT
    content_id, revision, if(action = 'allow', '', true_label) AS answer, action, reviewer_id, source, labeled_at
FROM moderation.human_labels FINAL
WHERE source != 'user_report' AND (action = 'allow' OR action = 'block' AND true_label != '')
COMMENT 'Labels that answer, as consensus takes them: what users report is no truth, nor what neither allows nor names a category';

CREATE TABLE IF NOT EXISTS moderation.users
(
    user_id    String                                               COMMENT 'Id of the account, as author_id in the messages' CODEC(ZSTD(1)),
    created_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))   COMMENT 'When the account was made; 1970 when not known' CODEC(ZSTD(1)),
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC'))   COMMENT 'created_at of its first content here' CODEC(ZSTD(1)),
    last_seen  SimpleAggregateFunction(max, DateTime64(3, 'UTC'))   COMMENT 'created_at of its latest content here' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY user_id
COMMENT 'Accounts, one row each, filled from content; minimum and maximum, so that a replay changes nothing';

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.users_from_content TO moderation.users AS
SELECT
    author_id              AS user_id,
    max(author_created_at) AS created_at,
    min(posted.created_at) AS first_seen,
    max(posted.created_at) AS last_seen
FROM moderation.content AS posted
GROUP BY author_id;

CREATE TABLE IF NOT EXISTS moderation.user_reports
(
    report_id   String                                    COMMENT 'Id of the report; a repeat carries the same' CODEC(ZSTD(1)),
    content_id  String                                    COMMENT 'What was reported; content.content_id' CODEC(ZSTD(1)),
    reporter_id String                                    COMMENT 'Who reported it' CODEC(ZSTD(1)),
    category    LowCardinality(String)                    COMMENT 'The category the reporter chose',
    reason      String                                    COMMENT 'What the reporter wrote; user text' CODEC(ZSTD(3)),
    reported_at DateTime64(3, 'UTC')                      COMMENT 'When it was reported' CODEC(Delta, ZSTD(1)),
    INDEX reporter_id_bloom reporter_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(reported_at)
PARTITION BY toYYYYMM(reported_at)
ORDER BY (content_id, report_id)
COMMENT 'What users reported, one row a report';

CREATE TABLE IF NOT EXISTS moderation.appeals
(
    appeal_id      String                                 COMMENT 'Id of the appeal; a repeat carries the same' CODEC(ZSTD(1)),
    content_id     String                                 COMMENT 'The content whose decision is appealed' CODEC(ZSTD(1)),
    revision       UInt32                                 COMMENT 'Which revision of the content' CODEC(T64, ZSTD(1)),
    decision_id    String                                 COMMENT 'The decision; moderation_logs.decision_id' CODEC(ZSTD(1)),
    user_id        String                                 COMMENT 'The author who appeals' CODEC(ZSTD(1)),
    category       LowCardinality(String)                 COMMENT 'The category that decided',
    policy_version LowCardinality(String)                 COMMENT 'Policy that decided',
    statement      String                                 COMMENT 'What the author wrote; user text' CODEC(ZSTD(3)),
    state          Enum8('open' = 1, 'granted' = 2, 'denied' = 3) COMMENT 'Granted: the content was restored',
    reviewer_id    String                                 COMMENT 'Who answered it; empty while open' CODEC(ZSTD(1)),
    appealed_at    DateTime64(3, 'UTC')                   COMMENT 'When it was appealed' CODEC(Delta, ZSTD(1)),
    resolved_at    DateTime64(3, 'UTC')                   COMMENT 'When it was answered; 1970 while open' CODEC(Delta, ZSTD(1)),
    INDEX content_id_bloom content_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX user_id_bloom    user_id    TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(resolved_at)
PARTITION BY toYYYYMM(appealed_at)
ORDER BY appeal_id
COMMENT 'Appeals, one row each; the answer replaces the open row';

CREATE TABLE IF NOT EXISTS moderation.surge_alerts
(
    alert_id         String                               COMMENT 'One id from the opening of an alert to its end' CODEC(ZSTD(1)),
    kind             Enum8('surge' = 1, 'drift' = 2, 'health' = 3) COMMENT 'What sort of alert',
    state            Enum8('open' = 1, 'update' = 2, 'resolved' = 3) COMMENT 'The change that this row tells of',
    severity         Enum8('info' = 1, 'warning' = 2, 'error' = 3, 'critical' = 4) COMMENT 'How bad it is',
    category         LowCardinality(String)               COMMENT 'Category that surged; empty for none',
    signature        String                               COMMENT 'Link domain or text signature that surged; empty for none' CODEC(ZSTD(1)),
    community        LowCardinality(String)               COMMENT 'Where; empty for everywhere',
    window_start     DateTime64(3, 'UTC')                 COMMENT 'Start of the window that was compared' CODEC(Delta, ZSTD(1)),
    window_end       DateTime64(3, 'UTC')                 COMMENT 'End of that window' CODEC(Delta, ZSTD(1)),
    observed         Float64                              COMMENT 'What was counted in the window',
    expected         Float64                              COMMENT 'What the past let expect',
    z_score          Float64                              COMMENT 'How many standard deviations lie between the two',
    distinct_authors UInt32                               COMMENT 'Authors behind the observed count',
    examples         Array(String)                        COMMENT 'Ids of some contents in the window' CODEC(ZSTD(1)),
    summary          String                               COMMENT 'In words, without user text' CODEC(ZSTD(1)),
    inserted_at      DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'When the row was written; the latest of one identity wins' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(inserted_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (alert_id, state, window_end)
COMMENT 'Surges and health alerts, one row a change of state';

CREATE TABLE IF NOT EXISTS moderation.drift_alerts
(
    alert_id         String                               COMMENT 'One id from the opening of an alert to its end' CODEC(ZSTD(1)),
    kind             Enum8('surge' = 1, 'drift' = 2, 'health' = 3) COMMENT 'What sort of alert',
    state            Enum8('open' = 1, 'update' = 2, 'resolved' = 3) COMMENT 'The change that this row tells of',
    severity         Enum8('info' = 1, 'warning' = 2, 'error' = 3, 'critical' = 4) COMMENT 'How bad it is',
    category         LowCardinality(String)               COMMENT 'Category whose scores drifted; empty for none',
    signature        String                               COMMENT 'Model or feature that drifted' CODEC(ZSTD(1)),
    community        LowCardinality(String)               COMMENT 'Where; empty for everywhere',
    window_start     DateTime64(3, 'UTC')                 COMMENT 'Start of the window that was compared' CODEC(Delta, ZSTD(1)),
    window_end       DateTime64(3, 'UTC')                 COMMENT 'End of that window' CODEC(Delta, ZSTD(1)),
    observed         Float64                              COMMENT 'What was measured in the window',
    expected         Float64                              COMMENT 'What the reference lets expect',
    z_score          Float64                              COMMENT 'How many standard deviations lie between the two',
    distinct_authors UInt32                               COMMENT 'Authors behind the window',
    examples         Array(String)                        COMMENT 'Ids of some contents in the window' CODEC(ZSTD(1)),
    summary          String                               COMMENT 'In words, without user text' CODEC(ZSTD(1)),
    inserted_at      DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'When the row was written; the latest of one identity wins' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(inserted_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (alert_id, state, window_end)
COMMENT 'Drift of models and features, one row a change of state';

CREATE TABLE IF NOT EXISTS moderation.dead_letters
(
    raw              String                               COMMENT 'The message as it came, byte for byte; not necessarily UTF-8' CODEC(ZSTD(3)),
    error            String                               COMMENT 'What its producer should mend' CODEC(ZSTD(1)),
    stage            LowCardinality(String)               COMMENT 'Stage that gave up on it',
    source_topic     LowCardinality(String)               COMMENT 'Kafka topic it came from; empty for a file',
    source_partition Int32                                COMMENT 'Its partition; -1 for a file',
    source_offset    Int64                                COMMENT 'Its offset; -1 for a file',
    source_file      LowCardinality(String)               COMMENT 'File it came from, - for standard input; empty for Kafka',
    source_line      UInt64                               COMMENT 'Its line, from 1; 0 for Kafka',
    failed_at        DateTime64(3, 'UTC')                 COMMENT 'When it was given up' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(failed_at)
PARTITION BY toYYYYMM(failed_at)
ORDER BY (source_topic, source_partition, source_offset, source_file, source_line, cityHash64(raw))
TTL toDateTime(failed_at) + INTERVAL 90 DAY DELETE
COMMENT 'Messages that could not be used, one row a position';

-- Aggregates count distinct ids, so a replayed decision is counted once. A replay that decides
-- otherwise (another policy, another model) counts under both outcomes: then ask moderation_logs.

CREATE TABLE IF NOT EXISTS moderation.rule_changes
(
    change_id       String                                COMMENT 'Id of the push or rollback; a repeat carries the same' CODEC(ZSTD(1)),
    push            UInt32                                COMMENT 'Its number, as `breakwater rules` names it',
    action          Enum8('push' = 1, 'remove' = 2, 'rollback' = 3) COMMENT 'What was done',
    file            LowCardinality(String)                COMMENT 'Changed file of rules, hashes or policies; empty when none changed',
    entries         UInt32                                COMMENT 'Rules or hashes in the file after the change; 1 for a policy',
    rules           Array(String)                         COMMENT 'Ids of rules that are new, other or gone; 100 at most' CODEC(ZSTD(1)),
    expires_at      DateTime64(3, 'UTC')                  COMMENT 'When the last entry of the file falls asleep; 1970 when one never does' CODEC(ZSTD(1)),
    author          LowCardinality(String)                COMMENT 'Who changed it',
    reason          String                                COMMENT 'Why, in their words' CODEC(ZSTD(1)),
    ruleset_version LowCardinality(String)                COMMENT 'What decisions carry from then on as ruleset_version, or as policy_version',
    changed_at      DateTime64(3, 'UTC')                  COMMENT 'When it was pushed' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(changed_at)
ORDER BY (changed_at, change_id, file)
COMMENT 'Changes of rules, hash lists and policies, one row a change and file; kept for good';

CREATE TABLE IF NOT EXISTS moderation.decisions_by_minute
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

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.decisions_by_minute_from_logs TO moderation.decisions_by_minute AS
SELECT
    toDateTime(toStartOfMinute(created_at), 'UTC') AS minute,
    mode,
    action,
    category,
    uniqState(decision_id) AS decisions,
    uniqState(user_id)     AS authors,
    max(latency_ms)        AS latency_max
FROM moderation.moderation_logs
WHERE final
GROUP BY minute, mode, action, category;

CREATE TABLE IF NOT EXISTS moderation.decisions_by_hour
(
    hour        DateTime('UTC')                           COMMENT 'Start of the hour in which the content was posted' CODEC(Delta, ZSTD(1)),
    mode        Enum8('live' = 1, 'shadow' = 2)           COMMENT 'Shadow decisions are logged and never acted on',
    community   LowCardinality(String)                    COMMENT 'Where it was posted; empty for none',
    action      Enum8('allow' = 1, 'review' = 2, 'block' = 3) COMMENT 'What was decided',
    category    LowCardinality(String)                    COMMENT 'The category that decided; empty when allowed',
    decisions   AggregateFunction(uniq, String)           COMMENT 'Distinct final decisions: uniqMerge(decisions); exact to 65,536 a group' CODEC(ZSTD(1)),
    authors     AggregateFunction(uniq, String)           COMMENT 'Distinct authors: uniqMerge(authors)' CODEC(ZSTD(1)),
    latency_max SimpleAggregateFunction(max, Float32)     COMMENT 'The slowest decision, in milliseconds'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, mode, community, action, category)
COMMENT 'Decisions by hour and community; a replay is not counted twice';

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.decisions_by_hour_from_logs TO moderation.decisions_by_hour AS
SELECT
    toDateTime(toStartOfHour(created_at), 'UTC') AS hour,
    mode,
    community,
    action,
    category,
    uniqState(decision_id) AS decisions,
    uniqState(user_id)     AS authors,
    max(latency_ms)        AS latency_max
FROM moderation.moderation_logs
WHERE final
GROUP BY hour, mode, community, action, category;

CREATE TABLE IF NOT EXISTS moderation.versions_by_hour
(
    hour            DateTime('UTC')                       COMMENT 'Start of the hour in which the content was posted' CODEC(Delta, ZSTD(1)),
    mode            Enum8('live' = 1, 'shadow' = 2)       COMMENT 'Shadow decisions are logged and never acted on',
    policy_version  LowCardinality(String)                COMMENT 'Policy that decided',
    ruleset_version LowCardinality(String)                COMMENT 'Rules and hash lists that were in force',
    models          String                                COMMENT 'Version of each model that scored, a JSON object' CODEC(ZSTD(1)),
    first_seen      SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'The first post that they decided together',
    last_seen       SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'The last one',
    decisions       AggregateFunction(uniqCombined(14), String) COMMENT 'Distinct final decisions: uniqCombinedMerge(14)(decisions), to about 1 %' CODEC(ZSTD(1)),
    moderated       AggregateFunction(uniqCombined(14), String) COMMENT 'Those of them that did not allow' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, mode, policy_version, ruleset_version, models)
COMMENT 'Which versions decided when, by hour; a replay is not counted twice';

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.versions_by_hour_from_logs TO moderation.versions_by_hour AS
SELECT
    toDateTime(toStartOfHour(created_at), 'UTC') AS hour,
    mode,
    policy_version,
    ruleset_version,
    toJSONString(model_versions)                            AS models,
    min(created_at)                                         AS first_seen,
    max(created_at)                                         AS last_seen,
    uniqCombinedState(14)(decision_id)                      AS decisions,
    uniqCombinedStateIf(14)(decision_id, action != 'allow') AS moderated
FROM moderation.moderation_logs
WHERE final
GROUP BY hour, mode, policy_version, ruleset_version, models;

-- Subsets that the query library reads instead of the whole: the same rows, identities and versions as in
-- the table they are filled from, so that FINAL gives the same rows. In a view that is filled by inserts
-- into a table, that table's name inside a sub-query means the inserted rows.

CREATE TABLE IF NOT EXISTS moderation.flagged_logs
(
    content_id      String                                COMMENT 'What was decided; content.content_id' CODEC(ZSTD(1)),
    revision        UInt32                                COMMENT 'Which revision of the content' CODEC(T64, ZSTD(1)),
    user_id         String                                COMMENT 'The author, as author_id in the messages' CODEC(ZSTD(1)),
    community       LowCardinality(String)                COMMENT 'Where it was posted; empty for none',
    action          Enum8('allow' = 1, 'review' = 2, 'block' = 3) COMMENT 'What was decided',
    category        LowCardinality(String)                COMMENT 'The category that decided; empty when allowed',
    rule            LowCardinality(String)                COMMENT 'Rule, hash entry or model of that signal; empty when allowed',
    rules           Array(LowCardinality(String))         COMMENT 'Rules and hash entries that fired, each once' CODEC(ZSTD(1)),
    final           Bool                                  COMMENT 'False on the quick answer while images are still being scored',
    mode            Enum8('live' = 1, 'shadow' = 2)       COMMENT 'Shadow decisions are logged and never acted on',
    created_at      DateTime64(3, 'UTC')                  COMMENT 'When the author posted it' CODEC(Delta, ZSTD(1)),
    author_created_at DateTime64(3, 'UTC')                COMMENT 'When the account was made; 1970 when not known' CODEC(ZSTD(1)),
    timestamp       DateTime64(3, 'UTC')                  COMMENT 'When it was decided, as decided_at in the messages' CODEC(Delta, ZSTD(1)),
    version         UInt64                                COMMENT 'The row with the highest version of one identity wins' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(created_at)
ORDER BY (toYYYYMMDD(created_at), content_id, revision, mode)
COMMENT 'Rows of moderation_logs of content that was ever not allowed, or on which a rule fired: a few in a hundred';

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.flagged_logs_from_logs TO moderation.flagged_logs AS
SELECT
    content_id, revision, user_id, community, action, category, rule, rules, final, mode,
    created_at, author_created_at, timestamp, version
FROM moderation.moderation_logs
WHERE (toYYYYMMDD(created_at), content_id) IN
    (
        SELECT toYYYYMMDD(created_at), content_id
        FROM moderation.moderation_logs
        WHERE action != 'allow' OR notEmpty(rules)
    )
    -- What was flagged before and is no longer replaces its row.
    OR (toYYYYMMDD(created_at), content_id) IN
    (
        SELECT toYYYYMMDD(created_at), content_id
        FROM moderation.flagged_logs
        WHERE (toYYYYMMDD(created_at), content_id) IN
            (SELECT toYYYYMMDD(created_at), content_id FROM moderation.moderation_logs)
    );

CREATE TABLE IF NOT EXISTS moderation.labelled_logs
(
    content_id      String                                COMMENT 'What was decided; content.content_id' CODEC(ZSTD(1)),
    revision        UInt32                                COMMENT 'Which revision of the content' CODEC(T64, ZSTD(1)),
    action          Enum8('allow' = 1, 'review' = 2, 'block' = 3) COMMENT 'What was decided',
    category        LowCardinality(String)                COMMENT 'The category that decided; empty when allowed',
    scores          Map(LowCardinality(String), Float32)  COMMENT 'Probability of every category, 0 to 1' CODEC(ZSTD(1)),
    final           Bool                                  COMMENT 'False on the quick answer while images are still being scored',
    mode            Enum8('live' = 1, 'shadow' = 2)       COMMENT 'Shadow decisions are logged and never acted on',
    created_at      DateTime64(3, 'UTC')                  COMMENT 'When the author posted it' CODEC(Delta, ZSTD(1)),
    timestamp       DateTime64(3, 'UTC')                  COMMENT 'When it was decided, as decided_at in the messages' CODEC(Delta, ZSTD(1)),
    version         UInt64                                COMMENT 'The row with the highest version of one identity wins' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(created_at)
ORDER BY (toYYYYMMDD(created_at), content_id, revision, mode)
COMMENT 'Rows of moderation_logs of content that people have labelled';

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.labelled_logs_from_logs TO moderation.labelled_logs AS
SELECT
    content_id, revision, action, category, scores, final, mode, created_at, timestamp, version
FROM moderation.moderation_logs
WHERE content_id IN
(
    SELECT content_id
    FROM moderation.human_labels
    WHERE content_id IN (SELECT content_id FROM moderation.moderation_logs)
);

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.labelled_logs_from_labels TO moderation.labelled_logs AS
SELECT
    stored.content_id AS content_id, stored.revision AS revision, stored.action AS action,
    stored.category AS category, stored.scores AS scores, stored.final AS final,
    stored.mode AS mode, stored.created_at AS created_at, stored.timestamp AS timestamp,
    stored.version AS version
FROM moderation.human_labels AS given
INNER JOIN
(
    SELECT
        content_id, revision, action, category, scores, final, mode, created_at, timestamp, version
    FROM moderation.moderation_logs
    WHERE content_id IN (SELECT content_id FROM moderation.human_labels)
) AS stored ON stored.content_id = given.content_id;

CREATE TABLE IF NOT EXISTS moderation.labelled_outputs
(
    content_id       String                               COMMENT 'What was scored; content.content_id' CODEC(ZSTD(1)),
    revision         UInt32                               COMMENT 'Which revision of the content' CODEC(T64, ZSTD(1)),
    model            LowCardinality(String)               COMMENT 'Which model, as the registry names it',
    model_version    LowCardinality(String)               COMMENT 'Which version of it',
    model_prediction LowCardinality(String)               COMMENT 'The category the model gives it; empty for none',
    confidence       Float32                              COMMENT 'Probability of model_prediction, 0 to 1' CODEC(ZSTD(1)),
    created_at       DateTime64(3, 'UTC')                 COMMENT 'When the content was posted' CODEC(Delta, ZSTD(1)),
    version          UInt64                               COMMENT 'The row with the highest version of one identity wins' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(created_at)
ORDER BY (toYYYYMMDD(created_at), model, content_id, revision, model_version)
COMMENT 'Rows of model_outputs of content that people have labelled';

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.labelled_outputs_from_outputs TO moderation.labelled_outputs AS
SELECT
    content_id, revision, model, model_version, model_prediction, confidence, created_at, version
FROM moderation.model_outputs
WHERE content_id IN
(
    SELECT content_id
    FROM moderation.human_labels
    WHERE content_id IN (SELECT content_id FROM moderation.model_outputs)
);

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.labelled_outputs_from_labels TO moderation.labelled_outputs AS
SELECT
    stored.content_id AS content_id, stored.revision AS revision, stored.model AS model,
    stored.model_version AS model_version, stored.model_prediction AS model_prediction,
    stored.confidence AS confidence, stored.created_at AS created_at, stored.version AS version
FROM moderation.human_labels AS given
INNER JOIN
(
    SELECT
        content_id, revision, model, model_version, model_prediction, confidence, created_at,
        version
    FROM moderation.model_outputs
    WHERE content_id IN (SELECT content_id FROM moderation.human_labels)
) AS stored ON stored.content_id = given.content_id;

CREATE TABLE IF NOT EXISTS moderation.labelled_content
(
    content_id      String                                COMMENT 'Id of the content, as its platform gave it' CODEC(ZSTD(1)),
    revision        UInt32                                COMMENT 'Edits have higher revisions; 0 is the first' CODEC(T64, ZSTD(1)),
    created_at      DateTime64(3, 'UTC')                  COMMENT 'When the author posted it' CODEC(Delta, ZSTD(1)),
    author_id       String                                COMMENT 'Who posted it; users.user_id' CODEC(ZSTD(1)),
    kind            Enum8('post' = 1, 'comment' = 2, 'message' = 3, 'profile' = 4, 'video_frame' = 5) COMMENT 'What sort of content',
    community       LowCardinality(String)                COMMENT 'Where it was posted; empty for none',
    language        LowCardinality(String)                COMMENT 'BCP 47 tag the producer gave; empty when not known',
    text            String                                COMMENT 'Text as posted; gone when that of content goes' CODEC(ZSTD(3)),
    action          Enum8('allow' = 1, 'review' = 2, 'block' = 3) COMMENT 'What was decided; retention depends on it',
    decided_at      DateTime64(3, 'UTC')                  COMMENT 'When it was decided; retention counts from here' CODEC(Delta, ZSTD(1)),
    legal_hold      Bool                                  COMMENT 'Kept whatever its age, and never forgotten, while true',
    version         UInt64                                COMMENT 'The row with the highest version of one identity wins' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(created_at)
ORDER BY (toYYYYMMDD(created_at), content_id, revision)
TTL toDateTime(decided_at) + INTERVAL 30 DAY DELETE WHERE action = 'allow' AND NOT legal_hold
COMMENT 'Rows of content that people have labelled, as long as content keeps them';

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.labelled_content_from_content TO moderation.labelled_content AS
SELECT
    content_id, revision, created_at, author_id, kind, community, language, text, action,
    decided_at, legal_hold, version
FROM moderation.content
WHERE content_id IN
(
    SELECT content_id
    FROM moderation.human_labels
    WHERE content_id IN (SELECT content_id FROM moderation.content)
);

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.labelled_content_from_labels TO moderation.labelled_content AS
SELECT
    stored.content_id AS content_id, stored.revision AS revision, stored.created_at AS created_at,
    stored.author_id AS author_id, stored.kind AS kind, stored.community AS community,
    stored.language AS language, stored.text AS text, stored.action AS action,
    stored.decided_at AS decided_at, stored.legal_hold AS legal_hold, stored.version AS version
FROM moderation.human_labels AS given
INNER JOIN
(
    SELECT
        content_id, revision, created_at, author_id, kind, community, language, text, action,
        decided_at, legal_hold, version
    FROM moderation.content
    WHERE content_id IN (SELECT content_id FROM moderation.human_labels)
) AS stored ON stored.content_id = given.content_id;

CREATE TABLE IF NOT EXISTS moderation.author_posts
(
    user_id    String                                     COMMENT 'The author, as author_id in the messages' CODEC(ZSTD(1)),
    created_at DateTime64(3, 'UTC')                       COMMENT 'When the author posted it' CODEC(Delta, ZSTD(1)),
    content_id String                                     COMMENT 'What was decided; content.content_id' CODEC(ZSTD(1)),
    revision   UInt32                                     COMMENT 'Which revision of the content' CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(created_at)
ORDER BY (user_id, toYYYYMMDD(created_at), content_id, revision)
COMMENT 'What has a final live decision in moderation_logs, in the order of authors';

CREATE MATERIALIZED VIEW IF NOT EXISTS moderation.author_posts_from_logs TO moderation.author_posts AS
SELECT user_id, created_at, content_id, revision
FROM moderation.moderation_logs
WHERE final AND mode = 'live'
