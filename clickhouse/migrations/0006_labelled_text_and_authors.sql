-- Texts of labelled content, and posts by author; filled from what is there. The views come first:
-- what is inserted meanwhile is not missed, and twice is once.

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
WHERE final AND mode = 'live';

INSERT INTO moderation.labelled_content
SELECT
    content_id, revision, created_at, author_id, kind, community, language, text, action,
    decided_at, legal_hold, version
FROM moderation.content
WHERE content_id IN (SELECT content_id FROM moderation.human_labels);

INSERT INTO moderation.author_posts
SELECT user_id, created_at, content_id, revision
FROM moderation.moderation_logs
WHERE final AND mode = 'live'
