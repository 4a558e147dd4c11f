-- appeals_by_policy: How often do appeals succeed, by category and policy version?
--
-- A high share granted says that a category, or a version of the policy, blocks too much.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = now               end, not included
--
-- Sample:
--   category    policy_version  appeals  granted  denied  open  granted_share  median_hours
--   harassment  p1              26       4        13      9     0.2353         14.24
--   harassment  p2              4        0        3       1     0              24.14
--   hate        p1              20       11       2       7     0.8462         14.77

SELECT
    category,
    policy_version,
    count()                     AS appeals,
    countIf(state = 'granted')  AS granted,
    countIf(state = 'denied')   AS denied,
    countIf(state = 'open')     AS open,
    if(granted + denied = 0, NULL, round(granted / (granted + denied), 4)) AS granted_share,
    if(
        granted + denied = 0,
        NULL,
        round(quantileExactIf(0.5)(dateDiff('second', appealed_at, resolved_at), state != 'open') / 3600, 2)
    )                           AS median_hours
FROM moderation.appeals FINAL
WHERE appealed_at >= {since:DateTime64(3, 'UTC')} AND appealed_at < {until:DateTime64(3, 'UTC')}
GROUP BY category, policy_version
ORDER BY category, policy_version
