-- volume_by_hour: How many decisions of each action were made hour by hour?
--
-- The hour is that of the post.
--
-- Parameters:
--   since      DateTime64(3, 'UTC')  = newest - 7 days  first moment, UTC
--   until      DateTime64(3, 'UTC')  = newest           end, not included
--   community  String                = ''               one community, empty for all
--
-- Sample:
--   hour                 allowed  reviewed  blocked  distinct_authors
--   2026-11-03 00:00:00  5        0         0        5
--   2026-11-03 01:00:00  1        0         0        1
--   2026-11-03 02:00:00  0        1         0        1

SELECT
    toStartOfHour(created_at)   AS hour,
    countIf(action = 'allow')   AS allowed,
    countIf(action = 'review')  AS reviewed,
    countIf(action = 'block')   AS blocked,
    uniq(user_id)               AS distinct_authors
FROM moderation.moderation_logs FINAL
WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
    AND ({community:String} = '' OR community = {community:String})
    AND final AND mode = 'live'
GROUP BY hour
ORDER BY hour
SETTINGS do_not_merge_across_partitions_select_final = 1
