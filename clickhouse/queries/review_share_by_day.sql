-- review_share_by_day: What share of the decisions goes to humans, day by day?
--
-- The day is that of the post.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest            end, not included
--
-- Sample:
--   day         decided  reviewed  blocked  review_share
--   2026-11-03  194      13        13       0.067
--   2026-11-04  185      16        11       0.0865
--   2026-11-05  202      11        29       0.0545

SELECT
    toDate(created_at)            AS day,
    count()                       AS decided,
    countIf(action = 'review')    AS reviewed,
    countIf(action = 'block')     AS blocked,
    round(reviewed / decided, 4)  AS review_share
FROM moderation.moderation_logs FINAL
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
    AND final AND mode = 'live'
GROUP BY day
ORDER BY day
SETTINGS do_not_merge_across_partitions_select_final = 1
