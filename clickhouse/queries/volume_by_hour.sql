-- volume_by_hour: How many decisions of each action were made hour by hour?
--
-- From the hourly aggregate, which no replay counts twice.
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
    hour,
    uniqMergeIf(decisions, action = 'allow')  AS allowed,
    uniqMergeIf(decisions, action = 'review') AS reviewed,
    uniqMergeIf(decisions, action = 'block')  AS blocked,
    uniqMerge(authors)                        AS distinct_authors
FROM moderation.decisions_by_hour
WHERE hour >= {since:DateTime64(3, 'UTC')} AND hour < {until:DateTime64(3, 'UTC')}
    AND mode = 'live'
    AND ({community:String} = '' OR community = {community:String})
GROUP BY hour
ORDER BY hour
