-- review_share_by_day: What share of the decisions goes to humans, day by day?
--
-- From the hourly aggregate, which no replay counts twice.
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
    toDate(hour)                          AS day,
    uniqMerge(decisions)                  AS decided,
    uniqMergeIf(decisions, action = 'review') AS reviewed,
    uniqMergeIf(decisions, action = 'block')  AS blocked,
    round(reviewed / decided, 4)          AS review_share
FROM moderation.decisions_by_hour
WHERE hour >= {since:DateTime64(3, 'UTC')} AND hour < {until:DateTime64(3, 'UTC')}
    AND mode = 'live'
GROUP BY day
ORDER BY day
