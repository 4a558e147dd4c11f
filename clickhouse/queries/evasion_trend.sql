-- evasion_trend: Which tricks of spelling are used to get past moderation, day by day?
--
-- The normalizer signals each trick as the rule obfuscation.NAME. moderated_share: how much of the
-- content with the trick was not allowed.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest            end, not included
--
-- Sample:
--   day         tactic      contents  authors  moderated_share
--   2026-11-03  leet        7         7        0
--   2026-11-03  zero_width  2         2        0
--   2026-11-04  zero_width  8         8        0.125

SELECT
    toDate(created_at)                       AS day,
    substring(rule, length('obfuscation.') + 1) AS tactic,
    count()                                  AS contents,
    uniqExact(user_id)                       AS authors,
    round(avg(action != 'allow'), 4)         AS moderated_share
FROM
(
    SELECT created_at, user_id, action, arrayJoin(rules) AS rule
    FROM moderation.flagged_logs FINAL
    WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
        AND notEmpty(rules)
        AND final AND mode = 'live'
)
WHERE startsWith(rule, 'obfuscation.')
GROUP BY day, tactic
ORDER BY day, contents DESC, tactic
SETTINGS do_not_merge_across_partitions_select_final = 1
