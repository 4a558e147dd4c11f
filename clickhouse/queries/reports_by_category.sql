-- reports_by_category: What do users report, and are they right?
--
-- One row a category that reporters chose; empty when they chose none. moderated: contents that were not
-- allowed, as they were last decided. labelled, violations: those that people have judged, and found to be
-- of any category; upheld_share is of these. missed: violations among them that the job had allowed.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  reported from here on, UTC
--   until  DateTime64(3, 'UTC')  = now               end, not included
--
-- Sample:
--   category  reports  contents  reporters  moderated  labelled  violations  upheld_share  missed
--   spam      60       60        43         15         16        10          0.625         3

WITH
    decided AS
    (
        -- What has no row among the flagged was allowed.
        SELECT content_id, argMax(action, revision) != 'allow' AS is_moderated
        FROM moderation.flagged_logs FINAL
        WHERE content_id IN (SELECT content_id FROM moderation.user_reports)
            AND final AND mode = 'live'
        GROUP BY content_id
    ),
    labels AS
    (
        SELECT content_id, argMax(answer, (source = 'golden', labeled_at)) AS truth
        FROM moderation.label_answers
        WHERE content_id IN (SELECT content_id FROM moderation.user_reports)
        GROUP BY content_id
    )
SELECT
    category,
    count()                                                                   AS reports,
    uniqExact(told.content_id)                                                AS contents,
    uniqExact(reporter_id)                                                    AS reporters,
    uniqExactIf(told.content_id, is_moderated)                                AS moderated,
    uniqExactIf(told.content_id, labels.content_id != '')                     AS labelled,
    uniqExactIf(told.content_id, truth != '')                                 AS violations,
    if(labelled = 0, NULL, round(violations / labelled, 4))                   AS upheld_share,
    uniqExactIf(told.content_id, truth != '' AND NOT is_moderated)            AS missed
FROM moderation.user_reports AS told FINAL
LEFT JOIN decided ON decided.content_id = told.content_id
LEFT JOIN labels ON labels.content_id = told.content_id
WHERE reported_at >= {since:DateTime64(3, 'UTC')} AND reported_at < {until:DateTime64(3, 'UTC')}
GROUP BY category
ORDER BY reports DESC, category
SETTINGS do_not_merge_across_partitions_select_final = 1
