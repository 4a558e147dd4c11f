-- over_moderation: What was blocked and later restored?
--
-- One row a category and the rule or model behind the block. restored: an appeal was granted, or a label
-- says allow. restored_share is of all blocks; hours_down is the median time until then, of what was
-- restored after the decision: a replay decides again later.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest            end, not included
--
-- Sample:
--   category    rule       blocked  restored  restored_share  hours_down
--   spam        text-fast  128      9         0.0703          11.96
--   hate        text-fast  59       9         0.1525          15.41
--   harassment  text-fast  48       3         0.0625          22.45

WITH restored AS
    (
        SELECT content_id, revision, min(at) AS restored_at
        FROM
        (
            SELECT content_id, revision, resolved_at AS at FROM moderation.appeals FINAL WHERE state = 'granted'
            UNION ALL
            SELECT content_id, revision, argMax(labeled_at, (source = 'golden', labeled_at)) AS at
            FROM moderation.label_answers
            GROUP BY content_id, revision
            HAVING argMax(action, (source = 'golden', labeled_at)) = 'allow'
        )
        GROUP BY content_id, revision
    )
SELECT
    category,
    rule,
    count()                          AS blocked,
    countIf(restored.content_id != '') AS restored,
    round(restored / blocked, 4)     AS restored_share,
    if(
        countIf(restored.content_id != '' AND restored_at >= timestamp AS later) = 0,
        NULL,
        round(quantileExactIf(0.5)(dateDiff('second', timestamp, restored_at), later) / 3600, 2)
    )                                AS hours_down
FROM moderation.flagged_logs AS decided FINAL
LEFT JOIN restored ON restored.content_id = decided.content_id AND restored.revision = decided.revision
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
    AND action = 'block'
    AND final AND mode = 'live'
GROUP BY category, rule
ORDER BY restored DESC, blocked DESC, category, rule
SETTINGS do_not_merge_across_partitions_select_final = 1
