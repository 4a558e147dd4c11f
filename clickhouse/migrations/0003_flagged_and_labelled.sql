-- Subsets of decisions and model outputs that the query library reads; filled from what is there.
-- The views come first: what is inserted meanwhile is not missed, and twice is once.

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
WHERE action != 'allow' OR notEmpty(rules)
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

INSERT INTO moderation.flagged_logs
SELECT
    content_id, revision, user_id, community, action, category, rule, rules, final, mode,
    created_at, author_created_at, timestamp, version
FROM moderation.moderation_logs
WHERE action != 'allow' OR notEmpty(rules)
    OR content_id IN (SELECT content_id FROM moderation.moderation_logs WHERE action != 'allow' OR notEmpty(rules));

INSERT INTO moderation.labelled_logs
SELECT
    content_id, revision, action, category, scores, final, mode, created_at, timestamp, version
FROM moderation.moderation_logs
WHERE content_id IN (SELECT content_id FROM moderation.human_labels);

INSERT INTO moderation.labelled_outputs
SELECT
    content_id, revision, model, model_version, model_prediction, confidence, created_at, version
FROM moderation.model_outputs
WHERE content_id IN (SELECT content_id FROM moderation.human_labels)
