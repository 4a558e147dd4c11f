-- what_if_threshold: What would change if a category were blocked from another score on?
--
-- Three rows: what stays blocked, what would be blocked newly, what would be released. Labels, where
-- there are some, say how much of it people call a violation of any category.
--
-- Parameters:
--   since      DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until      DateTime64(3, 'UTC')  = newest           end, not included
--   category   String                = spam             which category
--   threshold  Float32               = 0.8              block from this probability on
--
-- Sample:
--   change         decisions  authors  labelled  violations
--   released       31         27       9         9
--   stays blocked  132        77       46        46

WITH labels AS
    (
        SELECT content_id, revision, argMax(answer, (source = 'golden', labeled_at)) AS truth
        FROM moderation.label_answers
        -- A label follows its post; a day for clocks that differ.
        WHERE labeled_at >= {since:DateTime64(3, 'UTC')} - INTERVAL 1 DAY
        GROUP BY content_id, revision
    )
SELECT
    multiIf(now_blocked AND then_blocked, 'stays blocked', then_blocked, 'newly blocked', 'released') AS change,
    count()                                        AS decisions,
    uniqExact(user_id)                             AS authors,
    countIf(is_labelled)                           AS labelled,
    countIf(is_labelled AND truth != '')           AS violations
FROM
(
    SELECT
        user_id,
        action = 'block' AND category = {category:String}      AS now_blocked,
        scores[{category:String}] >= {threshold:Float32}     AS then_blocked,
        labels.content_id != ''                                AS is_labelled,
        labels.truth                                           AS truth
    FROM moderation.moderation_logs AS decided FINAL
    LEFT JOIN labels ON labels.content_id = decided.content_id AND labels.revision = decided.revision
    WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
        AND final AND mode = 'live'
        AND (action != 'block' OR category = {category:String})
        AND ((action = 'block' AND category = {category:String}) OR scores[{category:String}] >= {threshold:Float32})
)
GROUP BY change
ORDER BY change
SETTINGS do_not_merge_across_partitions_select_final = 1
