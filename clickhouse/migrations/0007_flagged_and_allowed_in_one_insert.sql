-- A decision that allows what another one of the same insert had flagged was not among the flagged, which
-- then showed the other for good.

ALTER TABLE moderation.flagged_logs_from_logs MODIFY QUERY
SELECT
    content_id, revision, user_id, community, action, category, rule, rules, final, mode,
    created_at, author_created_at, timestamp, version
FROM moderation.moderation_logs
WHERE (toYYYYMMDD(created_at), content_id) IN
    (
        SELECT toYYYYMMDD(created_at), content_id
        FROM moderation.moderation_logs
        WHERE action != 'allow' OR notEmpty(rules)
    )
    -- What was flagged before and is no longer replaces its row.
    OR (toYYYYMMDD(created_at), content_id) IN
    (
        SELECT toYYYYMMDD(created_at), content_id
        FROM moderation.flagged_logs
        WHERE (toYYYYMMDD(created_at), content_id) IN
            (SELECT toYYYYMMDD(created_at), content_id FROM moderation.moderation_logs)
    );

INSERT INTO moderation.flagged_logs
SELECT
    content_id, revision, user_id, community, action, category, rule, rules, final, mode,
    created_at, author_created_at, timestamp, version
FROM moderation.moderation_logs FINAL
WHERE action = 'allow' AND empty(rules)
    AND (toYYYYMMDD(created_at), content_id) IN
        (SELECT toYYYYMMDD(created_at), content_id FROM moderation.flagged_logs)
SETTINGS do_not_merge_across_partitions_select_final = 1
