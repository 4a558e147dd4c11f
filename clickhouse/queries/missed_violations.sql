-- missed_violations: How much of what is allowed is a violation, by the sample that people look at?
--
-- The policy's `sample_rate` draws allowed contents by their id for people to look at; other labels are no
-- fair sample of them. Of those drawn and answered: one row a category that people found, and `any`.
-- missed_share lies between at_least and at_most in 95 of 100 such samples (Wilson 1927); missed is that
-- share of all that was allowed.
--
-- Parameters:
--   since   DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until   DateTime64(3, 'UTC')  = newest            end, not included
--   sample  Float64               = 0.001             the share that is drawn: sample_rate of the policy
--
-- Sample:
--   category    allowed  answered  found  missed_share  at_least  at_most  missed
--   any         2444     148       22     0.1486        0.1003    0.2148   363
--   spam        2444     148       10     0.0676        0.0371    0.1199   165
--   harassment  2444     148       6      0.0405        0.0187    0.0856   99

WITH
    labels AS
    (
        SELECT content_id, revision, argMax(answer, (source = 'golden', labeled_at)) AS truth
        FROM moderation.label_answers
        -- A label follows its post; a day for clocks that differ.
        WHERE labeled_at >= {since:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
        GROUP BY content_id, revision
    ),
    drawn AS
    (
        SELECT truth
        FROM moderation.labelled_logs FINAL
        INNER JOIN labels USING (content_id, revision)
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND action = 'allow'
            AND final AND mode = 'live'
            -- As `operators.decide` draws them.
            AND CRC32(content_id) < {sample:Float64} * pow(2, 32)
    ),
    (
        SELECT count()
        FROM moderation.moderation_logs FINAL
        WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
            AND action = 'allow'
            AND final AND mode = 'live'
    ) AS all_allowed,
    (SELECT count() FROM drawn) AS n,
    pow(1.96, 2) / n AS spread
SELECT
    arrayJoin(if(truth = '', ['any'], ['any', truth]))  AS category,
    all_allowed                                         AS allowed,
    n                                                   AS answered,
    countIf(truth != '')                                AS found,
    round(found / n AS share, 4)                        AS missed_share,
    round((share + spread / 2 - sqrt(spread * (share * (1 - share) + spread / 4))) / (1 + spread), 4)
                                                        AS at_least,
    round((share + spread / 2 + sqrt(spread * (share * (1 - share) + spread / 4))) / (1 + spread), 4)
                                                        AS at_most,
    toUInt64(round(share * all_allowed))                AS missed
FROM drawn
GROUP BY category
ORDER BY found DESC, category
SETTINGS do_not_merge_across_partitions_select_final = 1
