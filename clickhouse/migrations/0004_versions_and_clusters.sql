-- What spikes and clusters are asked from: versions by hour, and the cluster of moderated content.

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

INSERT INTO moderation.versions_by_hour
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

ALTER TABLE moderation.content ADD COLUMN IF NOT EXISTS cluster String MATERIALIZED if(
        action = 'allow',
        '',
        if(
            match(left(text, 4000), '(?i)https?://'),
            concat('link ', left(extract(lower(left(text, 4000)), 'https?://(?:www\\.)?([^/\\s:?#]+)'), 253)),
            concat('text ', left(trim(replaceRegexpAll(lowerUTF8(left(text, 400)), '\\PL+', ' ')), 40))
        )
    )
    COMMENT 'Of moderated content: link and the domain of the first one, or text and its first 40 letters'
    CODEC(ZSTD(1)) AFTER legal_hold;

ALTER TABLE moderation.content MATERIALIZE COLUMN cluster
