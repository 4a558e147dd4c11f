-- surge_z_scores: When did a category surge in a community, against its own recent past?
--
-- One row a bucket whose count of moderated posts lies `least_z` standard deviations or more above the
-- mean of the `past` buckets before it, quiet buckets counted as zeros. The deviation is at least the
-- square root of the mean (counts of independent events) and at least 1.
--
-- Parameters:
--   since    DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until    DateTime64(3, 'UTC')  = newest           end, not included
--   minutes  UInt32                = 10               width of a bucket
--   past     UInt32                = 36               buckets to compare with
--   least_z  Float64               = 5                from this z-score on
--
-- Sample:
--   start                category  community  moderated  distinct_authors  expected  variance  z_score
--   2026-11-15 14:00:00  spam      news       94         62                0.056     0.052     93.94

WITH
    {minutes:UInt32} * 60 AS width,
    counted AS
    (
        SELECT
            intDiv(toUnixTimestamp(created_at), width) AS bucket,
            category,
            community,
            count()            AS moderated,
            uniqExact(user_id) AS distinct_authors
        FROM moderation.flagged_logs FINAL
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND action != 'allow'
            AND final AND mode = 'live'
        GROUP BY bucket, category, community
    ),
    compared AS
    (
        SELECT
            *,
            sum(moderated) OVER recent           AS total,
            sum(moderated * moderated) OVER recent AS squares,
            -- A series begins with the window that is asked about, not with its first post.
            least({past:UInt32}, bucket - intDiv(toUnixTimestamp({since:DateTime64(3, 'UTC')}), width)) AS buckets
        FROM counted
        WINDOW recent AS
        (
            PARTITION BY category, community ORDER BY bucket
            RANGE BETWEEN {past:UInt32} PRECEDING AND 1 PRECEDING
        )
    )
SELECT
    toDateTime(bucket * width, 'UTC')            AS start,
    category,
    community,
    moderated,
    distinct_authors,
    round(total / buckets, 3)                    AS expected,
    round(greatest(0, squares / buckets - pow(total / buckets, 2)) AS spread, 3) AS variance,
    round((moderated - total / buckets) / greatest(1, sqrt(total / buckets), sqrt(spread)), 2) AS z_score
FROM compared
WHERE buckets >= least({past:UInt32}, 12) AND z_score >= {least_z:Float64}
ORDER BY z_score DESC, start, category, community
SETTINGS do_not_merge_across_partitions_select_final = 1
