-- reviewer_speed: How fast does each reviewer work, and how long does content wait?
--
-- seconds_per_label: the median time between two labels of one reviewer, breaks of over 30 minutes left
-- out. hours_waited: the median time from the decision to the label, of what was labelled after it.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = now               end, not included
--
-- Sample:
--   reviewer_id  labels  days  seconds_per_label  hours_waited
--   m2           405     15    754.9              2.73
--   m3           401     15    794.3              3
--   m1           375     15    765.5              2.84

WITH
    answered AS
    (
        SELECT
            *,
            dateDiff('millisecond', lagInFrame(labeled_at, 1, labeled_at) OVER own, labeled_at) / 1000 AS pause
        FROM moderation.human_labels FINAL
        WHERE labeled_at >= {since:DateTime64(3, 'UTC')} AND labeled_at < {until:DateTime64(3, 'UTC')}
            AND source != 'user_report'
        WINDOW own AS
        (
            PARTITION BY reviewer_id ORDER BY labeled_at, label_id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW
        )
    ),
    decided AS
    (
        SELECT content_id, revision, timestamp
        FROM moderation.labelled_logs FINAL
        -- What was posted before the window may have waited longest.
        WHERE created_at < {until:DateTime64(3, 'UTC')} AND final AND mode = 'live'
    )
SELECT
    reviewer_id,
    count()                                                              AS labels,
    uniqExact(toDate(labeled_at))                                        AS days,
    if(
        countIf(pause > 0 AND pause <= 1800) = 0,
        NULL,
        round(quantileExactIf(0.5)(pause, pause > 0 AND pause <= 1800), 1)
    )                                                                    AS seconds_per_label,
    if(
        countIf(decided.content_id != '' AND labeled_at >= timestamp AS waited) = 0,
        NULL,
        round(quantileExactIf(0.5)(dateDiff('second', timestamp, labeled_at), waited) / 3600, 2)
    )                                                                    AS hours_waited
FROM answered
LEFT JOIN decided USING (content_id, revision)
GROUP BY reviewer_id
ORDER BY labels DESC, reviewer_id
SETTINGS do_not_merge_across_partitions_select_final = 1
