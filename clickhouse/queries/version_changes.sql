-- version_changes: When did each version of a policy, rule set or model first and last decide?
--
-- One row a version. Lay it beside a spike: a version that first decided just before it is suspect.
--
-- Parameters:
--   since  DateTime64(3, 'UTC')  = newest - 28 days  first moment, UTC
--   until  DateTime64(3, 'UTC')  = newest            end, not included

SELECT
    kind,
    version,
    min(first_seen)  AS first_decision,
    max(last_seen)   AS last_decision,
    sum(decisions)   AS decisions,
    round(sum(moderated) / decisions, 4) AS moderated_share
FROM
(
    SELECT
        policy_version,
        ruleset_version,
        CAST(model_versions, 'Array(Tuple(String, String))') AS models,
        min(created_at)           AS first_seen,
        max(created_at)           AS last_seen,
        count()                   AS decisions,
        countIf(action != 'allow') AS moderated
    FROM moderation.moderation_logs FINAL
    WHERE created_at >= {since:DateTime64(3, 'UTC')} AND created_at < {until:DateTime64(3, 'UTC')}
        AND final AND mode = 'live'
    GROUP BY policy_version, ruleset_version, models
)
ARRAY JOIN arrayConcat([('policy', policy_version), ('rules', ruleset_version)], models) AS named
GROUP BY named.1 AS kind, named.2 AS version
ORDER BY first_decision DESC, kind, version
SETTINGS do_not_merge_across_partitions_select_final = 1
