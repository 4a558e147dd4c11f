-- rule_changes: Who changed the rules, hash lists and policies, when, why, and what came of it?
--
-- One row a push or rollback and file that it changed, the latest first. rules: the rules that are new,
-- other or gone; expires_at: when the last entry of the file falls asleep, empty when one never does.
-- decisions, moderated_share: of the live decisions under the version of the rules, or of the policy,
-- that the change made. Rules and policies count their pushes apart.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--
-- Sample:
--   changed_at           push  action    file               entries  rules       author  reason       expires_at           version  decisions  moderated_share
--   2026-11-10 00:00:00  3     rollback  rules/urgent.yaml  0        link-wave   bob     back to 1    ᴺᵁᴸᴸ                 r1       3000       0.1853
--   2026-11-06 00:00:00  2     push      rules/urgent.yaml  1        link-wave   ann     a link wave  2026-11-09 00:00:00  r2       0          ᴺᵁᴸᴸ

WITH decided AS
    (
        SELECT version, sum(decided) AS decisions, sum(not_allowed) AS moderated
        FROM
        (
            SELECT
                version,
                uniqCombinedMerge(14)(by_hour.decisions)  AS decided,
                uniqCombinedMerge(14)(by_hour.moderated)  AS not_allowed
            FROM moderation.versions_by_hour AS by_hour
            ARRAY JOIN [toString(ruleset_version), toString(policy_version)] AS version
            WHERE hour >= toStartOfHour({since:DateTime64(3, 'UTC')}) AND mode = 'live'
            GROUP BY hour, version
        )
        GROUP BY version
    )
SELECT
    changed_at,
    push,
    action,
    file,
    entries,
    arrayStringConcat(rules, ' ')                     AS rules,
    author,
    reason,
    nullIf(expires_at, toDateTime64(0, 3, 'UTC'))     AS expires_at,
    changes.ruleset_version                           AS version,
    decided.decisions                                 AS decisions,
    if(decisions = 0, NULL, round(decided.moderated / decisions, 4)) AS moderated_share
FROM (SELECT * FROM moderation.rule_changes FINAL) AS changes
LEFT JOIN decided ON decided.version = changes.ruleset_version
WHERE changed_at >= {since:DateTime64(3, 'UTC')}
ORDER BY changed_at DESC, push DESC, file
SETTINGS do_not_merge_across_partitions_select_final = 1
