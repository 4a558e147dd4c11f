-- version_changes: When did each version of a policy, rule set or model first and last decide?
--
-- One row a version, of the hours that begin in the window; decisions are estimates, to about 1 %. Lay it
-- beside a spike: a version that first decided just before it is suspect.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest            end, not included
--
-- Sample:
--   kind    version  first_decision       last_decision        decisions  moderated_share
--   policy  p2       2026-11-15 13:13:48  2026-11-16 23:57:43  460        0.4043
--   fusion  1        2026-11-03 00:11:37  2026-11-16 23:57:43  3000       0.1853
--   policy  p1       2026-11-03 00:11:37  2026-11-15 12:59:40  2540       0.1457

SELECT
    kind,
    version,
    min(seen_first)  AS first_decision,
    max(seen_last)   AS last_decision,
    sum(decided)     AS decisions,
    round(sum(not_allowed) / decisions, 4) AS moderated_share
FROM
(
    -- By version rather than by all versions together: what was decided again under another policy
    -- is one decision of the models that are still the same.
    SELECT
        named.1                          AS kind,
        named.2                          AS version,
        min(first_seen)                  AS seen_first,
        max(last_seen)                   AS seen_last,
        uniqCombinedMerge(14)(decisions) AS decided,
        uniqCombinedMerge(14)(moderated) AS not_allowed
    FROM moderation.versions_by_hour
    ARRAY JOIN arrayConcat(
        [('policy', toString(policy_version)), ('rules', toString(ruleset_version))],
        JSONExtractKeysAndValues(models, 'String')
    ) AS named
    WHERE hour >= {since:DateTime64(3, 'UTC')} AND hour < {until:DateTime64(3, 'UTC')}
        AND mode = 'live'
    GROUP BY hour, kind, version
)
GROUP BY kind, version
ORDER BY first_decision DESC, kind, version
